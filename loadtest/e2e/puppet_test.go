package e2e_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/rpc"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

// A puppet is a worker that does as the test says: it takes steps and works at none.
type puppet struct {
	t        *testing.T
	name     string
	function string
	tasks    taskv1.TaskServiceClient
}

func (s *site) puppet(name, function string) *puppet {
	s.t.Helper()
	conn, err := rpc.Dial(s.workerAddr(), name, "", rpc.TLS{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() }) // nothing is under way that matters
	return &puppet{s.t, name, function, taskv1.NewTaskServiceClient(conn)}
}

// pull asks for a step once.
func (p *puppet) pull(ctx context.Context, wait time.Duration) ([]*taskv1.Task, error) {
	got, err := p.tasks.Pull(ctx, &taskv1.PullRequest{Worker: p.name, Functions: []string{p.function}, Slots: 1, Wait: durationpb.New(wait)})
	return got.GetTasks(), err
}

// waits has it wait for steps until the test ends, as one does that serves.
func (p *puppet) waits() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	p.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, err := p.pull(ctx, time.Second)
			if err != nil {
				pauseFor(ctx, 100*time.Millisecond)
			}
		}
	}()
}

// takes waits for a step and takes it.
func (p *puppet) takes() *taskv1.Task {
	p.t.Helper()
	var got *taskv1.Task
	await(p.t, 2*time.Minute, p.name+" gets a step", func() (bool, error) {
		tasks, err := p.pull(p.t.Context(), 2*time.Second)
		if err != nil || len(tasks) == 0 {
			return false, err
		}
		got = tasks[0]
		return true, nil
	})
	return got
}

// keeps prolongs the lease of a step until the test ends, and does nothing else.
func (p *puppet) keeps(task *taskv1.Task) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	p.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = p.tasks.Renew(ctx, &taskv1.RenewRequest{Worker: p.name, Tasks: []string{task.GetId()}}) // the next one comes soon
			pauseFor(ctx, time.Second)
		}
	}()
}

func pauseFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// A delayer stands between others and a server, and holds back what they send when the test says so.
type delayer struct {
	lis net.Listener

	mu   sync.Mutex
	gate chan struct{} // while it is there, nothing goes on before it is closed
}

func delay(t *testing.T, server string) *delayer {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &delayer{lis: lis}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		_ = lis.Close() // it was only listened on
		d.goOn()
		running.Wait()
	})
	running.Go(func() {
		for {
			in, err := lis.Accept()
			if err != nil {
				return
			}
			running.Go(func() { d.between(ctx, in, server) })
		}
	})
	return d
}

// between carries both ways until either side has had enough.
func (d *delayer) between(ctx context.Context, in net.Conn, server string) {
	out, err := net.Dial("tcp", server)
	if err != nil {
		_ = in.Close() // the caller sees that nobody is there
		return
	}
	end := context.AfterFunc(ctx, func() { _, _ = in.Close(), out.Close() })
	defer end()
	var both sync.WaitGroup
	both.Go(func() {
		defer func() { _, _ = in.Close(), out.Close() }()
		buf := make([]byte, 32<<10)
		for {
			n, err := in.Read(buf)
			d.wait(ctx)
			if n > 0 {
				_, errOut := out.Write(buf[:n])
				if errOut != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	both.Go(func() {
		defer func() { _, _ = in.Close(), out.Close() }()
		_, _ = io.Copy(in, out) // its end is the connection's
	})
	both.Wait()
}

func (d *delayer) wait(ctx context.Context) {
	d.mu.Lock()
	gate := d.gate
	d.mu.Unlock()
	if gate == nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-gate:
	}
}

// stop holds everything back from now on.
func (d *delayer) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gate == nil {
		d.gate = make(chan struct{})
	}
}

// goOn lets go on what is held back, and holds nothing back any more.
func (d *delayer) goOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gate != nil {
		close(d.gate)
		d.gate = nil
	}
}
