package orchestrator_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// faulty is a connection on which one call of ten never arrives, and another is carried out while its caller hears of
// nothing but a timeout.
type faulty struct {
	grpc.ClientConnInterface

	mu   sync.Mutex
	rand *rand.Rand
	// By method: calls that never arrived, calls that were carried out and whose answer was lost, all calls.
	never, lost, all map[string]int
	next             map[string][]int // by method: what becomes of the next calls
}

func newFaulty(conn grpc.ClientConnInterface, seed uint64) *faulty {
	return &faulty{ClientConnInterface: conn, rand: rand.New(rand.NewPCG(seed, 27)), never: map[string]int{}, lost: map[string]int{}, all: map[string]int{}, next: map[string][]int{}}
}

// draw says what becomes of a call: 0 it never arrives, 1 its answer is lost. Of each ten calls of a method one fares so.
func (f *faulty) draw(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.next[method]) == 0 {
		f.next[method] = f.rand.Perm(10)
	}
	n := f.next[method][0]
	f.next[method] = f.next[method][1:]
	f.all[method]++
	switch n {
	case 0:
		f.never[method]++
	case 1:
		f.lost[method]++
	}
	return n
}

func (f *faulty) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	n := f.draw(method)
	switch n {
	case 0:
		return fault.From(status.Error(codes.Unavailable, "connection refused, by the test"))
	case 1:
		// The answer goes nowhere, as it does when it comes too late.
		err := f.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
		if err != nil {
			return err
		}
		return fault.From(status.Error(codes.DeadlineExceeded, "timeout, by the test"))
	}
	return f.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
}

// effects counts what was done, by key.
type effects struct {
	mu   sync.Mutex
	done map[string]int
}

func (e *effects) did(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done[key]++
}

// size is a number that the environment may set, for the full size of a test.
func size(t *testing.T, name string, small int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return small
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number from 1 on", name, text)
	}
	return n
}

const unsteady = `name: unsteady
version: 1
steps:
  - name: work
    scope: item
    function: test.Work
    with: {key: item.id}
    retry: {attempts: 8, backoff: [10ms, 20ms, 50ms, 100ms]}
  - name: send
    scope: recipient
    function: test.Send
    needs: [work]
    delivers: email
    with: {key: recipient.delivery}
    retry: {attempts: 8, backoff: [10ms, 20ms, 50ms, 100ms]}
  - name: last
    scope: distribution
    function: test.Last
    needs: [send]
    with: {key: distribution.id}
    retry: {attempts: 8, backoff: [10ms, 20ms, 50ms, 100ms]}
`

// Every method of TaskService fails for its callers in one call of five, half of them after it was carried out, and so
// do the services that orchestrators ask and the calls that create: nothing is lost, and no effect happens twice.
func TestCallsThatFailOrOnlySeemTo(t *testing.T) {
	t.Parallel()
	people := size(t, "FILIGREE_FAULT_RECIPIENTS", 20)
	var mu sync.Mutex
	var conns []*faulty
	s := newStudioOver(t, 2, orchestrator.Config{}, func(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
		mu.Lock()
		defer mu.Unlock()
		f := newFaulty(conn, uint64(len(conns)))
		conns = append(conns, f)
		return f
	})
	// What the test itself does goes over steady connections, but for what it repeats.
	s.define(unsteady)
	s.await("a limit", func() bool {
		_, err := s.control.SetLimit(t.Context(), &controlv1.SetLimitRequest{Production: "one", Name: "desk", Limit: &controlv1.Limit{Name: "desk", Concurrency: 3}})
		if err != nil && !fault.Transient(err) {
			t.Fatal(err)
		}
		return err == nil
	})
	e := &effects{done: map[string]int{}}
	desk := newGauge()
	key := func(r *structpb.Struct) string { return r.GetFields()["key"].GetStringValue() }
	for n := range 2 {
		s.workBy(taskv1.NewTaskServiceClient(s.unsteady[n]), fmt.Sprint("worker", n), 8, map[string]handler{
			"test.Work": func(ctx context.Context, r *structpb.Struct) (*structpb.Struct, error) {
				release, err := worker.Occupy(ctx, "desk", 1)
				if err != nil {
					return nil, err
				}
				defer release()
				defer desk.in("desk")()
				spend(ctx, 2*time.Millisecond)
				e.did("work " + key(r))
				return &structpb.Struct{}, nil
			},
			"test.Send": func(ctx context.Context, r *structpb.Struct) (*structpb.Struct, error) {
				err := worker.Checkpoint(ctx, "dot")
				if err != nil {
					return nil, err
				}
				e.did("send " + key(r))
				return &structpb.Struct{}, nil
			},
			"test.Last": func(_ context.Context, r *structpb.Struct) (*structpb.Struct, error) {
				e.did("last " + key(r))
				return &structpb.Struct{}, nil
			},
		})
	}
	req := request(2, people)
	req.Production, req.Definition = "one", "unsteady"
	var id string
	s.await("an answer to the request", func() bool {
		resp, err := distributionv1.NewDistributionServiceClient(s.unsteady[0]).CreateDistribution(t.Context(), req)
		if err != nil && !fault.Transient(err) {
			t.Fatal(err)
		}
		id = resp.GetDistribution().GetId()
		return err == nil
	})
	d := s.endedWithin(10*time.Minute, "one", id)
	if d.GetState() != "completed" || d.GetItems().GetDone() != int32(2*people) || d.GetRecipients().GetSent() != int32(people) {
		t.Errorf("it ended %s with items %v and recipients %v, want all %d done and all %d sent", d.GetState(), d.GetItems(), d.GetRecipients(), 2*people, people)
	}
	failed, err := s.distributions[0].ListItems(t.Context(), &distributionv1.ListItemsRequest{Production: "one", Distribution: id, State: "failed", PageSize: 10})
	for _, i := range failed.GetItems() {
		t.Errorf("%s failed: %v, %v", i.GetId(), i.GetError(), err)
	}
	list, err := s.distributions[0].ListDistributions(t.Context(), &distributionv1.ListDistributionsRequest{Production: "one"})
	if err != nil || len(list.GetDistributions()) != 1 {
		t.Errorf("one request made %d distributions: %v", len(list.GetDistributions()), err)
	}
	if want := 3*people + 1; len(e.done) != want {
		t.Errorf("%d effects happened, want %d: each item's, each recipient's and the last", len(e.done), want)
	}
	for what, n := range e.done {
		if n != 1 {
			t.Errorf("%s happened %d times", what, n)
		}
	}
	if desk.most["desk"] > 3 {
		t.Errorf("%d were at the desk at once, want 3 at most", desk.most["desk"])
	}
	never, lost, all := map[string]int{}, map[string]int{}, map[string]int{}
	for _, f := range conns {
		f.mu.Lock()
		for m, n := range f.all {
			all[m], never[m], lost[m] = all[m]+n, never[m]+f.never[m], lost[m]+f.lost[m]
		}
		f.mu.Unlock()
	}
	for m, n := range all {
		t.Logf("%s: %d calls, %d never arrived, %d done and their answers lost", m, n, never[m], lost[m])
	}
	for _, m := range taskv1.TaskService_ServiceDesc.Methods {
		if all["/"+taskv1.TaskService_ServiceDesc.ServiceName+"/"+m.MethodName] == 0 {
			t.Errorf("nobody called %s", m.MethodName)
		}
	}
}
