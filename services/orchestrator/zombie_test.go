package orchestrator_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/pkg/worker"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// still is a connection that can stand still, as that of a process does which is stopped: calls go out, and answers come
// in, when it goes on.
type still struct {
	grpc.ClientConnInterface

	mu       sync.Mutex
	goes     chan struct{} // closed when it goes on; nil while it does
	reported int           // reports that were answered
}

func (s *still) stand() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.goes = make(chan struct{})
}

func (s *still) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.goes != nil {
		close(s.goes)
		s.goes = nil
	}
}

func (s *still) wait() (stood bool) {
	s.mu.Lock()
	goes := s.goes
	s.mu.Unlock()
	if goes == nil {
		return false
	}
	<-goes
	return true
}

func (s *still) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if s.wait() && method != taskv1.TaskService_Pull_FullMethodName {
		ctx = context.WithoutCancel(ctx) // its time stood still, too
	}
	err := s.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
	s.wait()
	if method == taskv1.TaskService_Report_FullMethodName {
		s.mu.Lock()
		s.reported++
		s.mu.Unlock()
	}
	return err
}

func (s *still) reports() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reported
}

// A worker that stood still past its leases is not heard when it goes on: what it says of an attempt changes nothing
// while another runs, it may do nothing any more, and the other ends the step.
func TestLateWordsOfALostWorker(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("late", ""))
	e := &effects{done: map[string]int{}}
	file := func(r *structpb.Struct) string { return strings.TrimLeft(r.GetFields()["file"].GetStringValue(), "0") }

	lost := &still{ClientConnInterface: s.unsteady[0]}
	begun, stands, woken := make(chan string, 2), make(chan struct{}), make(chan struct{})
	wake := sync.OnceFunc(func() { close(woken) })
	refused := make(chan error, 1)
	s.workBy(taskv1.NewTaskServiceClient(lost), "lost", 2, map[string]handler{"test.Work": func(ctx context.Context, r *structpb.Struct) (*structpb.Struct, error) {
		begun <- file(r)
		<-stands
		if file(r) == "1" {
			<-woken
			err := worker.Checkpoint(ctx, "dot")
			refused <- err
			if err != nil {
				return nil, err
			}
		}
		return &structpb.Struct{}, nil
	}})
	t.Cleanup(wake) // whatever comes, the workers can stop
	t.Cleanup(lost.goOn)
	id := s.create("one", "late", 2, 1)
	s.await("both have begun", func() bool { return len(begun) == 2 })
	lost.stand()
	close(stands)

	again, finish := make(chan string, 2), make(chan struct{})
	done := sync.OnceFunc(func() { close(finish) })
	s.work("other", 2, map[string]handler{"test.Work": func(ctx context.Context, r *structpb.Struct) (*structpb.Struct, error) {
		again <- file(r)
		<-finish
		err := worker.Checkpoint(ctx, "dot")
		if err != nil {
			return nil, err
		}
		e.did(file(r))
		return &structpb.Struct{}, nil
	}})
	t.Cleanup(done)
	for range 2 {
		select {
		case <-again:
		case <-time.After(time.Minute):
			t.Fatal("a minute after its worker was lost nobody else has begun the step")
		}
	}
	lost.goOn()
	wake()
	s.await("the lost worker asks", func() bool { return len(refused) > 0 })
	if err := <-refused; err == nil {
		t.Error("the lost worker may do what the other one is about to do")
	}
	s.await("the late report is answered", func() bool { return lost.reports() > 0 })
	if d := s.get("one", id); d.GetItems().GetDone() != 0 {
		t.Errorf("%d items are done, and what would have done them is still running", d.GetItems().GetDone())
	}
	done()
	d := s.ended("one", id)
	if d.GetState() != "completed" || e.done["1"] != 1 || e.done["2"] != 1 {
		t.Errorf("it ended %s, and what was done by file is %v; want completed and each once", d.GetState(), e.done)
	}
	resp, err := s.distributions[0].ListEvents(t.Context(), &distributionv1.ListEventsRequest{Production: "one", Distribution: id, PageSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	ends := map[string][]string{}
	for _, ev := range resp.GetEvents() {
		if ev.GetKind() == "attempt" {
			ends[ev.GetUnit()] = append(ends[ev.GetUnit()], ev.GetWorker()+" "+ev.GetState())
		}
	}
	for unit, list := range ends {
		if strings.Join(list, ", ") != "lost ready, other done" {
			t.Errorf("%s went so: %s", unit, strings.Join(list, ", "))
		}
	}
}
