package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// readyIn is how long a program may take to say that it serves.
	readyIn = 60 * time.Second
	// endsIn is how long a program gets to end in order.
	endsIn = 30 * time.Second
)

// A Process is a program that runs.
type Process struct {
	Name string
	// Ready is its line that began with "ready ", without that word; empty for one that says no such thing.
	Ready string

	cmd  *exec.Cmd
	log  string
	gone chan struct{} // closed when it has ended
}

// Start starts path with args. With says, it returns when the program has printed a line that begins with "ready ", or
// fails when the program ends before.
func (r *Rig) Start(ctx context.Context, says bool, path string, args ...string) (*Process, error) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	log, err := r.log(name)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own handle
	p := &Process{Name: name, cmd: exec.Command(path, args...), log: log.Name(), gone: make(chan struct{})}
	p.cmd.Stderr = log
	p.cmd.Env = append(os.Environ(), r.Env...)
	// A group of its own keeps Ctrl-C from it: it is ended in order. When we die it is told to end.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p.cmd.WaitDelay = time.Second
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	err = p.cmd.Start()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(p.gone)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadString('\n')
			rest, ok := strings.CutPrefix(line, "ready ")
			if ok {
				select {
				case ready <- strings.TrimSpace(rest):
				default: // it said so before
				}
			}
			if err != nil {
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	r.Closer(p.Stop)
	if !says {
		return p, nil
	}
	late := time.NewTimer(readyIn)
	defer late.Stop()
	select {
	case p.Ready = <-ready:
		return p, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-late.C:
		return nil, fmt.Errorf("%s is not ready after %s; its last words:\n%s", name, readyIn, p.LastWords())
	case <-p.gone:
		return nil, fmt.Errorf("%s ended before it was ready; its last words:\n%s", name, p.LastWords())
	}
}

// Word is what follows key and "=" among the words of Ready: the address after "grpc".
func (p *Process) Word(key string) string {
	for _, word := range strings.Fields(p.Ready) {
		value, ok := strings.CutPrefix(word, key+"=")
		if ok {
			return value
		}
	}
	return ""
}

// Gone is closed when the process has ended.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// LastWords is the end of what it wrote to standard error.
func (p *Process) LastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	const most = 2000
	return strings.TrimSpace(string(text[max(0, len(text)-most):]))
}

// Stop tells the process to end and waits until it has; one that does not is killed. Calling it again does nothing.
func (p *Process) Stop() error {
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.Name, err)
	}
	late := time.NewTimer(endsIn)
	defer late.Stop()
	select {
	case <-p.gone:
		return nil
	case <-late.C:
	}
	_ = p.cmd.Process.Kill() // already gone is as good
	<-p.gone
	return fmt.Errorf("%s went on %s after it was told to end, and was killed", p.Name, endsIn)
}

// CPU is the processor time that the process has used, and its children that have ended, user and system.
func (p *Process) CPU() time.Duration { return cpuOf(p.cmd.Process.Pid) }
