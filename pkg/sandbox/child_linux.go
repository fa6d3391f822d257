package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxStack is where runaway recursion ends; Go's own default, 1 GB, is above any memory limit of ours.
const maxStack = 128 << 20

// Main does a child's work and exits if this process is a child, and returns at once if not. It must be called before
// anything else, since every statement before it runs without limits.
func Main() {
	if len(os.Args) < 3 || os.Args[0] != argv0 {
		ready = true
		return
	}
	var limits Limits
	err := json.Unmarshal([]byte(os.Args[2]), &limits)
	if err == nil {
		switch os.Args[1] {
		case "run":
			err = serve(limits, os.Args[3:])
		case "exec":
			err = become(limits, os.Args[3:])
		default:
			err = errors.New("unknown kind of child")
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitUnavailable)
	}
	os.Exit(0)
}

// serve confines the process, then reads, works and answers. An error means that it was not confined.
func serve(limits Limits, args []string) error {
	if len(args) != 2 {
		return errors.New("child of a function: want its name and number of files")
	}
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	// Short-lived and bounded from outside, so collecting garbage early is wasted work; near the limit it is not.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(limits.Memory / 4 * 3)
	debug.SetMaxStack(min(maxStack, int(limits.Memory/2)))
	err = confine(limits, functionFilter())
	if err != nil {
		return err
	}
	result, err := call(args[0], count)
	if errors.Is(err, syscall.EFBIG) {
		fmt.Fprintln(os.Stderr, err) // by which the parent knows
		os.Exit(1)
	}
	status := byte(statusResult)
	if err != nil {
		status, result = statusError, []byte(err.Error())
	}
	_, err = os.Stdout.Write([]byte{status})
	if err == nil {
		_, err = os.Stdout.Write(result)
	}
	if err != nil {
		os.Exit(1) // the parent is gone
	}
	return nil
}

func call(name string, count int) ([]byte, error) {
	args, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, fmt.Errorf("read arguments: %w", err)
	}
	if name == "" { // Check
		return nil, nil
	}
	f := funcs[name]
	if f == nil {
		return nil, fmt.Errorf("no function %q is registered", name)
	}
	files := make([]*os.File, count)
	for i := range files {
		files[i] = os.NewFile(uintptr(3+i), "file "+strconv.Itoa(i))
	}
	return f(files, args)
}

// become confines the process and turns it into a tool. It returns only with an error.
func become(limits Limits, args []string) error {
	if len(args) == 0 {
		return errors.New("child of a tool: want its path")
	}
	err := confine(limits, toolFilter())
	if err != nil {
		return err
	}
	err = syscall.Exec(args[0], args, os.Environ())
	return fmt.Errorf("start %s: %w", args[0], err)
}

// confine sets the limits and the filter; from then on there is no way back.
func confine(limits Limits, filter []unix.SockFilter) error {
	data := uint64(limits.Memory) * inflation
	cpu := uint64(cpuSeconds(limits.CPU) / time.Second)
	for _, l := range []struct {
		resource   int
		soft, hard uint64
	}{
		{unix.RLIMIT_DATA, data, data},
		// At the soft limit comes a signal that can be told apart, at the hard one the end.
		{unix.RLIMIT_CPU, cpu, cpu + 1},
		{unix.RLIMIT_FSIZE, uint64(limits.Output), uint64(limits.Output)},
		{unix.RLIMIT_NOFILE, uint64(limits.Files), uint64(limits.Files)},
		{unix.RLIMIT_CORE, 0, 0},
	} {
		// syscall's, not unix.Prlimit: Go restores the limit on files before an exec if it does not know of the change.
		err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: l.soft, Max: l.hard})
		if err != nil {
			return fmt.Errorf("set limit %d: %w", l.resource, err)
		}
	}
	if limits.Unconfined {
		return nil
	}
	// The attribute belongs to a thread; the filter's flag below carries both to all threads.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	return install(filter)
}

// prepare gives the child a process group of its own and ties its life to ours.
func prepare(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return nil
}

// killGroup kills the child and whatever it may have started. That it is gone already is no error.
func killGroup(pid int) {
	_ = syscall.Kill(-pid, syscall.SIGKILL)
}
