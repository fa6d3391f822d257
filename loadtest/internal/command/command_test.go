package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filigreehq/filigree/loadtest/internal/engine"
	"github.com/filigreehq/filigree/loadtest/internal/send"
	"github.com/filigreehq/filigree/pkg/need"
)

// program is the load tool, with what it starts beside it.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if made := os.Getenv("FILIGREE_BIN"); made != "" { // the CLI's; the others lie beside it
		var err error
		program, err = filepath.Abs(filepath.Join(filepath.Dir(made), "loadtest"))
		if err != nil {
			fmt.Fprintln(os.Stderr, "FILIGREE_BIN:", err)
			return 1
		}
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "filigree-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "a place for the programs:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder harms nobody
	program = filepath.Join(dir, "loadtest")
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", dir+"/", "github.com/filigreehq/filigree/loadtest/cmd/loadtest",
		"github.com/filigreehq/filigree/services/cli/cmd/filigree", "github.com/filigreehq/filigree/services/orchestrator/cmd/orchestrator").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build the load tool: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// loadtest is the program with args, in a process of its own that starts with a temporary folder of its own.
func loadtest(t *testing.T, args ...string) (cmd *exec.Cmd, dir string, stdout, stderr *bytes.Buffer) {
	t.Helper()
	need.Programs(t, "redis-server")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "load") // t.TempDir's is too long for the name of a socket in it
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	t.Cleanup(func() {
		nothingLeft(t, dir)
		_ = os.RemoveAll(dir) // what is left was told
	})
	return cmd, dir, stdout, stderr
}

// measured runs loadtest with args and --json, and reads what it prints into figures.
func measured(t *testing.T, figures any, args ...string) {
	t.Helper()
	cmd, _, stdout, stderr := loadtest(t, append(args, "--json")...)
	err := cmd.Run()
	if err != nil {
		t.Fatalf("loadtest %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	err = json.Unmarshal(stdout.Bytes(), figures)
	if err != nil {
		t.Fatalf("loadtest %s printed no figures: %v\n%s", strings.Join(args, " "), err, stdout)
	}
}

// nothingLeft fails the test when files, or processes that work on them, are left in dir.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v (%v)", left, err)
	}
	for pid, line := range working(t, dir) {
		t.Errorf("process %d is left running: %s", pid, line)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// working lists the processes that were started with dir in their environment or on their command line, which it returns.
func working(t *testing.T, dir string) map[int]string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, path := range all {
		env, err1 := os.ReadFile(filepath.Join(path, "environ"))
		line, err2 := os.ReadFile(filepath.Join(path, "cmdline"))
		pid, err3 := strconv.Atoi(filepath.Base(path))
		if err1 != nil || err2 != nil || err3 != nil {
			continue // somebody else's, or it has just ended
		}
		if bytes.Contains(env, []byte("TMPDIR="+dir+"\x00")) || bytes.Contains(line, []byte(dir+"/")) {
			found[pid] = string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	return found
}

// runs reports whether what was started with dir includes the program named name.
func runs(t *testing.T, dir, name string) bool {
	t.Helper()
	for _, line := range working(t, dir) {
		if strings.HasPrefix(line, filepath.Join(filepath.Dir(program), name)+" ") {
			return true
		}
	}
	return false
}

func TestEngine(t *testing.T) {
	t.Parallel()
	var f engine.Figures
	measured(t, &f, "engine", "--items", "600", "--paced", "200ms", "--asynq", "--fsync", "everysec")
	if f.Items != 600 || f.Steps != 4 || f.Fsync != "everysec" {
		t.Errorf("got figures of %d items × %d steps under %s, want 600 × 4 under everysec", f.Items, f.Steps, f.Fsync)
	}
	if rate := 2400 / f.Seconds; f.StepsPerSecond < 0.99*rate || f.StepsPerSecond > 1.01*rate {
		t.Errorf("got %.1f steps/s, want 2400 in %.3f s", f.StepsPerSecond, f.Seconds)
	}
	if f.P50 <= 0 || f.P99 < f.P50 || f.P99 > 10_000 {
		t.Errorf("got waits of p50 %.2f ms and p99 %.2f ms, want some, in that order", f.P50, f.P99)
	}
	if f.Join <= 0 || f.Join > 10_000 {
		t.Errorf("got %.2f ms from the last item to the join, want some", f.Join)
	}
	if f.RedisBytesPerItem < 100 || f.RedisBytesPerItem > 100_000 {
		t.Errorf("got %.0f bytes an item, want what an item can take", f.RedisBytesPerItem)
	}
	if f.OrchestratorCPU < 0.01 {
		t.Errorf("got %.2f s of the orchestrator's processor time, want some", f.OrchestratorCPU)
	}
	if f.Asynq == nil || f.Asynq.StepsPerSecond <= 0 || f.Ratio <= 0 {
		t.Errorf("got %+v of asynq, ratio %.2f, want figures", f.Asynq, f.Ratio)
	}
}

func TestEngineRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"engine --items 0", "--items must be 1 or more"},
		{"engine --items 10001", "a multiple of 10000"},
		{"engine --fsync never", "always"},
		{"engine --redis nowhere", "redis://host:port or unix:///path"},
	} {
		cmd, _, _, stderr := loadtest(t, strings.Fields(c.args)...)
		err := cmd.Run()
		if err == nil || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("loadtest %s: got %v and %q, want it refused with %q", c.args, err, stderr, c.want)
		}
	}
}

// Ctrl-C in the middle leaves nothing behind.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	cmd, dir, _, stderr := loadtest(t, "engine", "--items", "10000", "--rounds", "20")
	err := cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	late := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !runs(t, dir, "orchestrator") {
		select {
		case <-late:
			t.Fatalf("the orchestrator did not start within a minute; %s", stderr)
		case <-tick.C:
		}
	}
	err = cmd.Process.Signal(os.Interrupt)
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("got %v and %q after an interrupt, want exit code 1 and to be told", err, stderr)
	}
}

func TestGrowth(t *testing.T) {
	t.Parallel()
	var points []engine.Point
	file := filepath.Join(t.TempDir(), "growth.svg")
	measured(t, &points, "growth", "--sizes", "5,50", "--rounds", "1", "--plot", file)
	if len(points) != 2 || points[0].Items != 5 || points[1].Items != 50 {
		t.Fatalf("got %+v, want figures of 5 and 50 items", points)
	}
	for _, p := range points {
		if p.Seconds <= 0 || p.StepsPerSecond <= 0 {
			t.Errorf("got %+v, want a time and a rate", p)
		}
	}
	svg, err := os.ReadFile(file)
	if err != nil || !bytes.HasPrefix(svg, []byte("<svg ")) {
		t.Errorf("got a picture that begins %.20q (%v), want an SVG", svg, err)
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args                 string
		distributions, items int
		mails                int
	}{
		{"--files 2 --recipients 3 --password", 1, 6, 3},
		{"--recipients 2 --count 2 --profile many --mode link", 2, 4, 4},
		{"--recipients 2 --count 2 --profile burst", 2, 4, 4},
		{"--recipients 2 --count 1 --profile mixed", 2, 7, 7},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			var f send.Figures
			file := filepath.Join(t.TempDir(), "steps.svg")
			measured(t, &f, append([]string{"send", "--plot", file}, strings.Fields(tt.args)...)...)
			if f.Distributions != tt.distributions || f.Items != tt.items || f.Mails != tt.mails || f.By != "smtp" {
				t.Errorf("got %d distributions, %d items, %d mails by %s, want %d, %d, %d by smtp", f.Distributions, f.Items, f.Mails, f.By, tt.distributions, tt.items, tt.mails)
			}
			if f.Seconds <= 0 || f.Each.P50 <= 0 || f.Each.P99 < f.Each.P50 || f.Each.P99 > 1000*f.Seconds+1 {
				t.Errorf("got %.3f s in all and %+v for each, want times, each within all", f.Seconds, f.Each)
			}
			attempts := map[string]int{}
			for _, s := range f.Steps {
				attempts[s.Name] = s.Attempts
			}
			if attempts["watermark"] != tt.items || attempts["email"] != tt.mails {
				t.Errorf("got attempts %v, want %d of watermark and %d of email", attempts, tt.items, tt.mails)
			}
			for _, s := range f.Steps {
				if s.Name == "email" && (s.Wait.P99 < 0 || s.Run.P99 <= 0) {
					t.Errorf("got %+v, want it to have run, and to have waited no less than no time", s)
				}
			}
			svg, err := os.ReadFile(file)
			if err != nil || !bytes.Contains(svg, []byte("watermark runs")) {
				t.Errorf("got no picture of the steps (%v): %.200q", err, svg)
			}
		})
	}
}

func TestBeside(t *testing.T) {
	t.Parallel()
	var b send.Beside
	measured(t, &b, "beside", "--files", "1", "--recipients", "20", "--count", "2")
	for name, q := range map[string]float64{"alone": b.Alone.P95, "same": b.Same.P95, "other": b.Other.P95} {
		if q <= 0 {
			t.Errorf("got p95 %v ms %s, want a time", q, name)
		}
	}
	if b.BigItems != 20 || b.Count != 2 || b.Allowed != 1.5*b.Alone.P95+250 {
		t.Errorf("got %+v, want 2 of each beside 20 items", b)
	}
}
