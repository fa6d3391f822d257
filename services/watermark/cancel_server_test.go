package watermark_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/need"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/watermark"
)

// promptly is how long after its context's end a call may take to return, on a machine with much else to do.
const promptly = 10 * time.Second

// children are the processes that this one has started and that have not been waited for.
func children(t *testing.T) []int {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 {
		t.Skipf("this kernel lists no children: %v", err)
	}
	var out []int
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue // the thread ended
		}
		for _, field := range strings.Fields(string(data)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, pid)
		}
	}
	return out
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within half a minute", what)
		case <-tick.C:
		}
	}
}

// interrupted calls do and ends its context once a child runs. It returns do's error and how long do took from then on.
func interrupted(t *testing.T, do func(context.Context) error) (error, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	until(t, "a child", func() bool { return len(children(t)) > 0 || len(done) > 0 })
	ended := time.Now()
	cancel()
	err := <-done
	return err, time.Since(ended)
}

func wantEnded(t *testing.T, err error, took time.Duration) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if took > promptly {
		t.Errorf("it returned %s after it was ended", took)
	}
}

// Without a store nobody else waits for the same, so a child ends with the call that wanted it.
func TestLocalCallsEndWithTheirContext(t *testing.T) {
	local := newLocal(t)
	slow := pages(1000, "", "").write(t)
	f, err := os.Open(slow)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err, took := interrupted(t, func(ctx context.Context) error {
		_, err := local.Open(ctx, f)
		return err
	})
	wantEnded(t, err, took)
	if left := children(t); len(left) > 0 {
		t.Errorf("children %v go on", left)
	}

	s, err := local.Open(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	err, took = interrupted(t, func(ctx context.Context) error { return s.Check(ctx, mark.Spec{}, nil) })
	wantEnded(t, err, took)
	if left := children(t); len(left) > 0 {
		t.Errorf("children %v go on looking", left)
	}
	until(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

// What a call began, others may wait for, and its repetition will: it goes on within its limits, and is there then.
func TestServerCallsEndWithTheirContext(t *testing.T) {
	b := newBench(t)
	r := b.replica(t)
	req := order(b.upload(t, pages(60, "", "").bytes()), "i")
	before := runtime.NumGoroutine()
	for _, call := range []func(context.Context) error{
		func(ctx context.Context) error {
			_, err := r.Stamp(ctx, req)
			return err
		},
		func(ctx context.Context) error {
			_, err := r.Prepare(ctx, &watermarkv1.PrepareRequest{Production: production, File: req.GetFile()})
			return err
		},
	} {
		err, took := interrupted(t, call)
		wantEnded(t, err, took)
	}
	stamped(t, r, req)
	if r.reads() != 1 {
		t.Errorf("the source was read %d times", r.reads())
	}
	until(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
	if left := children(t); len(left) > 0 {
		t.Errorf("children %v are left", left)
	}
}

// A proof is this call's own, and ends with it.
func TestAProofEndsWithItsContext(t *testing.T) {
	needTools(t)
	b := newBench(t)
	r := b.replica(t)
	proved, _ := samples(t, r, order(b.upload(t, pages(60, "", "").bytes()), ""))
	before := runtime.NumGoroutine()
	err, took := interrupted(t, func(ctx context.Context) error {
		_, err := r.Stamp(ctx, proved)
		return err
	})
	wantEnded(t, err, took)
	if left := children(t); len(left) > 0 {
		t.Errorf("children %v go on", left)
	}
	until(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
	if keys := b.list(t, "art/"); len(keys) > 0 {
		t.Errorf("stored are %q", keys)
	}
}

// Copies that cannot be stored leave nobody behind who goes on writing them.
func TestUnstoredCopiesAreGivenUp(t *testing.T) {
	f := newFaultyStore(t)
	r := f.replica(t)
	req := order(f.upload(t, pages(50, "", "").bytes()), "i")
	stamped(t, r, req)
	before := runtime.NumGoroutine()
	f.set(refuse("PUT", "art/"))
	for i := range 5 {
		req.Item = fmt.Sprint(i)
		_, err := r.Stamp(t.Context(), req)
		wantTransient(t, err, "STORE_UNAVAILABLE")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Stamp(ctx, req)
	wantTransient(t, err, "STORE_UNAVAILABLE", "TIMEOUT")
	f.set(nil)
	until(t, "all writers end", func() bool { return runtime.NumGoroutine() <= before+4 }) // connections come and go
}

// A child that the machine's need ends is no verdict on the source, on the mark or on a copy.
func TestAChildThatIsKilledIsTriedAgain(t *testing.T) {
	needTools(t)
	whole := pages(50, "", "").bytes()
	for _, c := range []struct {
		name, program string
		reads         int // how many children have read the source by then
		data          []byte
	}{
		{"reading", "", 0, whole},
		{"repairing", "qpdf", 1, displaced(whole)},
		{"having a copy read", "qpdf", 1, whole},
		{"having pages counted", "pdfinfo", 1, whole},
		{"having pages drawn", "pdftoppm", 1, whole},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			r := b.replica(t)
			req := order(b.upload(t, c.data), "i")
			done := make(chan error, 1)
			go func() {
				_, err := r.Stamp(t.Context(), req)
				done <- err
			}()
			killed := 0
			for len(done) == 0 {
				for _, pid := range children(t) {
					if r.reads() >= c.reads && runs(pid, c.program) && syscall.Kill(pid, syscall.SIGKILL) == nil {
						killed++
					}
				}
			}
			err := <-done
			if killed == 0 {
				t.Skip("none was met")
			}
			wantTransient(t, err, "WATERMARK_OVERLOADED", "SANDBOX_UNAVAILABLE")
			b.fetch(t, stamped(t, r, req))
		})
	}
}

// runs reports whether a process runs a program; all run "".
func runs(pid int, program string) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	name, _, _ := strings.Cut(string(line), "\x00")
	return err == nil && (program == "" || filepath.Base(name) == program)
}

// Calls that wait for a child's turn end with their context, too.
func TestWaitingForATurnEndsWithTheContext(t *testing.T) {
	cfg := watermark.DefaultConfig()
	cfg.Parallel = 1
	local, err := watermark.NewLocal(cfg, newKeys(t), slog.New(slog.DiscardHandler))
	need.Working(t, "copies", err)
	src, err := os.Open(pages(1000, "", "").write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	first, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := local.Open(first, src)
		done <- err
	}()
	until(t, "a child", func() bool { return len(children(t)) > 0 || len(done) > 0 })
	second, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err = local.Open(second, src)
	if took := time.Since(started); !errors.Is(err, context.DeadlineExceeded) || took > promptly {
		t.Errorf("got %v after %s", err, took)
	}
	end()
	<-done
}
