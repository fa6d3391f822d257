//go:build linux

package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/pkg/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

func init() {
	sandbox.Register("echo", func(files []*os.File, args []byte) ([]byte, error) {
		in, err := io.ReadAll(files[0])
		if err != nil {
			return nil, err
		}
		_, err = files[1].Write(bytes.ToUpper(in))
		return append([]byte("echo "), args...), err
	})
	sandbox.Register("fail", func([]*os.File, []byte) ([]byte, error) { return nil, errors.New("no such luck") })
	sandbox.Register("panic", func([]*os.File, []byte) ([]byte, error) { panic("boom") })
	sandbox.Register("wait", func([]*os.File, []byte) ([]byte, error) { time.Sleep(time.Hour); return nil, nil })
	sandbox.Register("burn", func([]*os.File, []byte) ([]byte, error) {
		for n := 1; n != 0; n = n*3 | 1 { // never 0
		}
		return nil, nil
	})
	sandbox.Register("allocate", func([]*os.File, []byte) ([]byte, error) {
		var all [][]byte
		for {
			all = append(all, bytes.Repeat([]byte{1}, 16<<20))
		}
	})
	sandbox.Register("recurse", func([]*os.File, []byte) ([]byte, error) { return nil, errors.New(fmt.Sprint(recurse(1))) })
	sandbox.Register("overflow", func(files []*os.File, _ []byte) ([]byte, error) {
		for {
			_, err := files[0].Write(make([]byte, 1<<20))
			if err != nil {
				return nil, err
			}
		}
	})
	sandbox.Register("probe", func(_ []*os.File, args []byte) ([]byte, error) {
		for _, p := range probes {
			if p.name == string(args) {
				return nil, p.try()
			}
		}
		return nil, nil
	})
}

func recurse(n int) int { return n + recurse(n+1)*2 }

func TestAFunctionSeesItsArgumentsAndFiles(t *testing.T) {
	in, out := file(t, "hello"), file(t, "")
	got, err := sandbox.Run(t.Context(), "echo", sandbox.Request{Args: []byte("x"), Files: []*os.File{in, out}})
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != "echo x" {
		t.Errorf("result %q, want %q", got, "echo x")
	}
	written, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != "HELLO" {
		t.Errorf("file has %q, want HELLO", written)
	}
}

func TestHowAChildEndsIsToldApart(t *testing.T) {
	tight := sandbox.Limits{Memory: 128 << 20, CPU: 20 * time.Second, Wall: time.Minute, Output: 4 << 20}
	short, busy := tight, tight
	short.Wall = 200 * time.Millisecond
	busy.CPU = time.Second
	for _, c := range []struct {
		name   string
		limits sandbox.Limits
		want   sandbox.Kind
	}{
		{"fail", tight, sandbox.Failed},
		{"panic", tight, sandbox.Crash},
		{"wait", short, sandbox.Time},
		{"burn", busy, sandbox.CPU},
		{"allocate", tight, sandbox.Memory},
		{"recurse", tight, sandbox.Memory},
		{"overflow", tight, sandbox.Output},
		{"nobody", tight, sandbox.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := sandbox.Run(t.Context(), c.name, sandbox.Request{Files: []*os.File{file(t, "")}, Limits: c.limits})
			var e *sandbox.Error
			if !errors.As(err, &e) || e.Kind != c.want {
				t.Errorf("got %v, want it %v", err, c.want)
			}
		})
	}
}

func TestTheCallersContextEndsAChild(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := sandbox.Run(ctx, "wait", sandbox.Request{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

var probes = []struct {
	name string
	try  func() error
}{
	{"open a file", func() error { _, err := os.Open("/etc/passwd"); return err }},
	{"write a file", func() error { return os.WriteFile(filepath.Join(os.TempDir(), "escaped"), nil, 0o600) }},
	{"list a folder", func() error { _, err := os.ReadDir("/"); return err }},
	{"look at a file", func() error { _, err := os.Stat("/etc/passwd"); return err }},
	{"dial", func() error { _, err := net.Dial("tcp", "127.0.0.1:1"); return err }},
	{"listen on a unix socket", func() error { _, err := net.Listen("unix", "@escaped"); return err }},
	{"start a program", func() error { return exec.Command("/bin/true").Run() }},
	{"become a program", func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) }},
	{"fork", func() error {
		_, _, errno := syscall.RawSyscall(unix.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0)
		return fail(errno)
	}},
	{"signal the parent", func() error { return syscall.Kill(os.Getppid(), 0) }},
	{"trace", func() error { return syscall.PtraceAttach(os.Getppid()) }},
	{"raise a limit", func() error {
		return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: 1 << 40, Max: 1 << 40})
	}},
	{"read the environment", func() error {
		if len(os.Environ()) > 0 {
			return nil
		}
		return errors.New("it is empty")
	}},
}

func fail(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// Each probe returns an error when it was kept from what it tried, which is what must happen.
func TestAConfinedFunctionCannotReachOut(t *testing.T) {
	t.Setenv("CANARY", "visible")
	for _, p := range probes {
		t.Run(p.name, func(t *testing.T) {
			_, err := sandbox.Run(t.Context(), "probe", sandbox.Request{Args: []byte(p.name)})
			var e *sandbox.Error
			if !errors.As(err, &e) || e.Kind != sandbox.Failed {
				t.Errorf("the child was not kept from it: %v", err)
			}
		})
	}
}

// The probes are of use only if they succeed where nothing confines them.
func TestTheProbesBite(t *testing.T) {
	for _, p := range probes {
		switch p.name {
		case "open a file", "list a folder", "look at a file", "start a program", "listen on a unix socket":
			_, err := sandbox.Run(t.Context(), "probe",
				sandbox.Request{Args: []byte(p.name), Limits: sandbox.Limits{Unconfined: true}})
			if err != nil {
				t.Errorf("%s fails without a sandbox, too: %v", p.name, err)
			}
		}
	}
}

func TestATool(t *testing.T) {
	run := func(limits sandbox.Limits, script string) (string, error) {
		tool, err := sandbox.Command(limits, "sh", "-c", script)
		if err != nil {
			t.Fatal(err)
		}
		tool.Stdout = file(t, "")
		tool.Files = []*os.File{file(t, "handed in")}
		err = tool.Run(t.Context())
		out, readErr := os.ReadFile(tool.Stdout.Name())
		if readErr != nil {
			t.Fatal(readErr)
		}
		return string(out), err
	}
	t.Run("reads what it is handed", func(t *testing.T) {
		out, err := run(sandbox.Limits{}, "read line <&3; echo $line")
		if err != nil || !strings.HasPrefix(out, "handed in") {
			t.Errorf("got %q, %v", out, err)
		}
	})
	t.Run("says why it failed", func(t *testing.T) {
		_, err := run(sandbox.Limits{}, "echo broken >&2; exit 3")
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(err.Error(), "broken") {
			t.Errorf("got %v, want exit status 3 and its words", err)
		}
	})
	t.Run("starts no process", func(t *testing.T) {
		out, err := run(sandbox.Limits{}, "(echo child); echo after")
		if err == nil && strings.Contains(out, "child") {
			t.Errorf("got %q, want no child", out)
		}
	})
	t.Run("burns no more than its time", func(t *testing.T) {
		_, err := run(sandbox.Limits{CPU: time.Second}, "while :; do :; done")
		var e *sandbox.Error
		if !errors.As(err, &e) || e.Kind != sandbox.CPU {
			t.Errorf("got %v, want it out of processor time", err)
		}
	})
	t.Run("has no environment of ours", func(t *testing.T) {
		t.Setenv("CANARY", "visible")
		out, err := run(sandbox.Limits{}, "echo \"[$CANARY]\"")
		if err != nil || out != "[]\n" {
			t.Errorf("got %q, %v", out, err)
		}
	})
	t.Run("must exist", func(t *testing.T) {
		_, err := sandbox.Command(sandbox.Limits{}, "no-such-tool-here")
		if err == nil {
			t.Error("got no error")
		}
	})
}

func TestConfinementIsAvailableHere(t *testing.T) {
	err := sandbox.Check(t.Context())
	need.Working(t, "sandbox", err)
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		err := sandbox.Check(b.Context())
		if err != nil {
			b.Fatal(err)
		}
	}
}

func file(t *testing.T, content string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	_, err = f.WriteString(content)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Seek(0, io.SeekStart)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
