// Package sandbox runs work on untrusted bytes in a disposable child process that limits itself before it reads a byte.
//
// What holds for a child that runs one of our own functions (Run):
//   - it has what it was handed and nothing else: its arguments, open files, no environment; it can open no file, no
//     socket and no process, and see no other (an allow-list of system calls, on all its threads);
//   - its memory, CPU time, output and number of open files are bounded by the kernel, and it is killed with its whole
//     process group at its deadline, or when the parent dies;
//   - how it ended is told apart: see Kind.
//
// What holds for a foreign tool (Command): the same limits; no socket, no second process, no look at other processes;
// but it may open files, since it has libraries and fonts to load, and it keeps a small fixed environment.
//
// Where the kernel offers no seccomp filter nothing runs, unless Limits.Unconfined says so; see Check.
//
// A program that uses the package calls Main as the first statement of main, and of TestMain.
package sandbox

import (
	"fmt"
	"os"
	"time"
)

// Func is work done in a child. files are what the parent handed in, in order; they share their offsets with the
// parent's. What it returns goes back to the parent, an error as its text (see Failed).
type Func func(files []*os.File, args []byte) ([]byte, error)

// funcs is filled by init functions only, before Main reads it.
var funcs = map[string]Func{}

// ready is set by Main: without it a child would not know that it is one.
var ready bool

// Register makes f known as name to Run. It is called from init functions, since a child knows only what was registered
// before Main. A second function of the same name panics.
func Register(name string, f Func) {
	if funcs[name] != nil {
		panic("sandbox: " + name + " is registered twice")
	}
	funcs[name] = f
}

// Limits bounds a child. Zero fields take the defaults named.
type Limits struct {
	// Memory is what the child may allocate, in bytes (RLIMIT_DATA). Default 512 MiB.
	Memory int64
	// CPU is its processor time, rounded up to seconds. Default 10 s.
	CPU time.Duration
	// Wall is how long it may run. Default 30 s.
	Wall time.Duration
	// Output is the length up to which it may write a file, in bytes. Default 1 GiB.
	Output int64
	// Files is how many files it may have open. Default 64.
	Files int
	// Unconfined leaves away the system call filter, for kernels that have none. Everything else stays.
	Unconfined bool
}

func (l Limits) withDefaults() Limits {
	if l.Memory <= 0 {
		l.Memory = 512 << 20
	}
	if l.CPU <= 0 {
		l.CPU = 10 * time.Second
	}
	if l.Wall <= 0 {
		l.Wall = 30 * time.Second
	}
	if l.Output <= 0 {
		l.Output = 1 << 30
	}
	if l.Files <= 0 {
		l.Files = 64
	}
	return l
}

// Request is what a child is given.
type Request struct {
	// Args is read by the child from a pipe, never seen in a process list.
	Args []byte
	// Files are handed in as they are. They stay the caller's to close.
	Files  []*os.File
	Limits Limits
}

// Kind says how a child ended.
type Kind int

const (
	// Failed: the function returned an error.
	Failed Kind = iota + 1
	// Memory: it wanted more memory than it may have, or its stack grew without bound.
	Memory
	// CPU: it used up its processor time.
	CPU
	// Time: it was still running at its deadline.
	Time
	// Output: it wrote more than it may.
	Output
	// Killed: somebody else ended it, the kernel for want of memory on the machine above all. It may do better later.
	Killed
	// Crash: it ended in any other way than by returning.
	Crash
	// Unavailable: it could not be started or not be confined; nothing was read.
	Unavailable
)

func (k Kind) String() string {
	switch k {
	case Failed:
		return "failed"
	case Memory:
		return "out of memory"
	case CPU:
		return "out of processor time"
	case Time:
		return "out of time"
	case Output:
		return "output too large"
	case Killed:
		return "killed from outside"
	case Crash:
		return "crashed"
	case Unavailable:
		return "not available"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Error is how a child ended that did not return a result.
type Error struct {
	Kind Kind
	// Name of the function or tool.
	Name string
	// Detail is for logs: the function's error, or the end of what the child said on standard error.
	Detail string
}

func (e *Error) Error() string {
	s := "sandboxed " + e.Name + ": " + e.Kind.String()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}
