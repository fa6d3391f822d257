package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// A child's answer begins with one of these.
	statusResult = 'R'
	statusError  = 'E'
	// exitUnavailable is the exit status of a child that could not confine itself.
	exitUnavailable = 97
	// argv0 is the name by which a process knows that it is a child.
	argv0 = "filigree-sandbox"
	// maxResult bounds what a function may return; more than that travels in a file.
	maxResult = 16 << 20
	// maxSaid bounds what is kept of a child's standard error.
	maxSaid = 2 << 10
)

// Run calls the function registered as name in a child and returns its result. The error is an *Error, or that of ctx
// when ctx ended first.
func Run(ctx context.Context, name string, req Request) ([]byte, error) {
	limits := req.Limits.withDefaults()
	cmd, err := child(limits, "run", name, fmt.Sprint(len(req.Files)))
	if err != nil {
		return nil, &Error{Kind: Unavailable, Name: name, Detail: err.Error()}
	}
	result := &capped{max: maxResult}
	said := &capped{max: maxSaid}
	cmd.Stdin = bytes.NewReader(req.Args)
	cmd.Stdout = result
	cmd.Stderr = said
	cmd.Env = []string{}
	cmd.ExtraFiles = req.Files
	err = supervise(ctx, cmd, limits.Wall)
	if err != nil {
		return nil, classify(ctx, name, cmd, limits, said.String(), err)
	}
	out := result.Bytes()
	switch {
	case result.over:
		return nil, &Error{Kind: Output, Name: name}
	case len(out) > 0 && out[0] == statusResult:
		return out[1:], nil
	case len(out) > 0 && out[0] == statusError:
		return nil, &Error{Kind: Failed, Name: name, Detail: string(out[1:])}
	}
	return nil, &Error{Kind: Crash, Name: name, Detail: said.String()}
}

// Tool is a foreign program about to run under limits.
type Tool struct {
	// Stdin, Stdout and Files are what it is handed; Files become descriptors 3, 4, … They stay the caller's to close.
	Stdin, Stdout *os.File
	Files         []*os.File

	path   string
	args   []string
	limits Limits
}

// Command prepares tool, looked up in PATH, with args. It fails when there is no such program.
func Command(limits Limits, tool string, args ...string) (*Tool, error) {
	path, err := exec.LookPath(tool)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", tool, err)
	}
	return &Tool{path: path, args: args, limits: limits.withDefaults()}, nil
}

// Run runs the tool to its end. When it exits with another status than 0 the error is an *exec.ExitError, as text what
// it said; a limit met or a crash is an *Error; ctx's error comes when ctx ended first.
func (t *Tool) Run(ctx context.Context) error {
	cmd, err := child(t.limits, append([]string{"exec", t.path}, t.args...)...)
	if err != nil {
		return &Error{Kind: Unavailable, Name: t.path, Detail: err.Error()}
	}
	said := &capped{max: maxSaid}
	cmd.Stderr = said
	if t.Stdin != nil {
		cmd.Stdin = t.Stdin
	}
	if t.Stdout != nil {
		cmd.Stdout = t.Stdout
	}
	// Fontconfig wants a home, and names a locale decides how text is read; neither may come from outside.
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8"}
	cmd.ExtraFiles = t.Files
	err = supervise(ctx, cmd, t.limits.Wall)
	if err == nil {
		return nil
	}
	classified := classify(ctx, t.path, cmd, t.limits, said.String(), err)
	var exit *exec.ExitError
	var e *Error
	if errors.As(classified, &e) && e.Kind == Crash && errors.As(err, &exit) && exit.Exited() {
		return fmt.Errorf("%s: %w: %s", t.path, exit, said.String())
	}
	return classified
}

// Check reports whether children can be confined here, and if not, why.
func Check(ctx context.Context) error {
	_, err := Run(ctx, "", Request{Limits: Limits{CPU: 2 * time.Second, Wall: 5 * time.Second}})
	return err
}

// child makes the command that starts this program again as a child.
func child(limits Limits, args ...string) (*exec.Cmd, error) {
	if !ready {
		return nil, errNoMain
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(limits)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{argv0, args[0], string(spec)}, args[1:]...)
	err = prepare(cmd)
	if err != nil {
		return nil, err
	}
	return cmd, nil
}

var errWall = errors.New("out of time")

// supervise runs cmd and kills its process group when ctx ends or wall is over.
func supervise(ctx context.Context, cmd *exec.Cmd, wall time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, wall, errWall)
	defer cancel()
	err := ctx.Err()
	if err != nil {
		return context.Cause(ctx)
	}
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	if err != nil {
		return fmt.Errorf("%w: %w", errStart, err)
	}
	stop := context.AfterFunc(ctx, func() { killGroup(cmd.Process.Pid) })
	err = cmd.Wait()
	if !stop() && err != nil {
		return context.Cause(ctx)
	}
	return err
}

var (
	errStart    = errors.New("start child")
	errNoMain   = errors.New("sandbox.Main was not called at the start of this program, so a child would run it all over again")
	errNotLinux = errors.New("PDFs are opened in a child process confined by Linux's seccomp; this system has none")
)

// classify tells how the child ended from what the kernel and the Go runtime said of it.
func classify(ctx context.Context, name string, cmd *exec.Cmd, limits Limits, said string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e := &Error{Kind: Crash, Name: name, Detail: strings.TrimSpace(said)}
	if e.Detail == "" {
		e.Detail = err.Error()
	}
	if errors.Is(err, errWall) {
		e.Kind = Time
		return e
	}
	if errors.Is(err, errStart) || cmd.ProcessState == nil || cmd.ProcessState.ExitCode() == exitUnavailable {
		e.Kind = Unavailable
		return e
	}
	var signal syscall.Signal
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		signal = status.Signal()
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	switch {
	case signal == syscall.SIGXCPU || strings.Contains(said, "SIGXCPU"):
		e.Kind = CPU
	case signal == syscall.SIGXFSZ || strings.Contains(said, "SIGXFSZ") || strings.Contains(said, "file too large"):
		e.Kind = Output
	case outOfMemory(said):
		e.Kind = Memory
	case used >= cpuSeconds(limits.CPU):
		e.Kind = CPU
	case signal == syscall.SIGKILL || signal == syscall.SIGTERM:
		e.Kind = Killed
	}
	return e
}

// outOfMemory recognises the last words of the Go runtime, of its race detector and of the C++ library.
func outOfMemory(said string) bool {
	for _, words := range []string{
		"out of memory", "cannot allocate memory", "stack exceeds", "stack overflow", "bad_alloc",
		"failed to create new OS thread", "Out of memory", "(errno: 12)",
		// Go's collector does not look whether the kernel gave it what it asked for (seen with 1.26 in spanQueue.tryDrain).
		"unexpected signal during runtime execution", "SIGSEGV: segmentation violation\nPC=",
	} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

func cpuSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// capped keeps the first max bytes and notes whether there were more.
type capped struct {
	bytes.Buffer
	max  int
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	room := c.max - c.Len()
	if len(p) > room {
		c.over = true
		c.Buffer.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return c.Buffer.Write(p)
}
