package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

const lease = 10 * time.Second

// service is a TaskService in memory that holds its callers to the contract: leases, fences, limits, valid requests. It
// loses calls and answers as lose says.
type service struct {
	t *testing.T
	// lose says what becomes of a call; nil: nothing bad.
	lose func(method string) loss

	mu      sync.Mutex
	changed chan struct{} // closed, and another, when something may have become ready
	steps   []*step
	ready   []*step // those that are due, the oldest first
	running map[*step]bool
	byID    map[string]*step
	limits  map[string]int
	left    map[string]bool
	calls   map[string]int
	renewed [][]string // what each Renew named
	expired int        // leases that ran out
}

type loss int

const (
	nothing    loss = iota
	lostCall        // it never arrives; the caller waits in vain
	lostAnswer      // it is executed; the caller waits in vain
	refused         // it never arrives, and the caller is told
	cut             // it is executed, and the caller is told otherwise
)

// step is one step, over all its attempts.
type step struct {
	name, function, request string
	state                   string // ready, running, done, failed
	attempt                 int
	worker                  string
	leased                  time.Time // until when
	checkpoint              string
	cancelled               bool
	slots                   map[string]slots // by key
	last                    *taskv1.Result
	pulledAt                []time.Time
}

type slots struct {
	limit string
	n     int
}

func (s *step) id() string { return fmt.Sprint(s.name, "#", s.attempt) }

func newService(t *testing.T) *service {
	return &service{t: t, changed: make(chan struct{}), byID: map[string]*step{}, running: map[*step]bool{}, limits: map[string]int{}, left: map[string]bool{}, calls: map[string]int{}}
}

// add makes steps of function ready.
func (o *service) add(function, request string, n int) []*step {
	o.mu.Lock()
	defer o.mu.Unlock()
	var added []*step
	for range n {
		added = append(added, &step{name: fmt.Sprint("s", len(o.steps)+len(added)), function: function, request: request, state: "ready", slots: map[string]slots{}})
	}
	o.steps, o.ready = append(o.steps, added...), append(o.ready, added...)
	o.wake()
	return added
}

func (o *service) wake() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// count says how many steps are in state.
func (o *service) count(state string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, s := range o.steps {
		if s.state == state {
			n++
		}
	}
	return n
}

// settled waits until all steps have ended.
func (o *service) settled(within time.Duration) {
	o.t.Helper()
	for end := time.Now().Add(within); ; {
		open := o.count("ready") + o.count("running")
		if open == 0 {
			return
		}
		if time.Now().After(end) {
			o.t.Fatalf("%d steps are open after %s", open, within)
		}
		time.Sleep(time.Second) // of the bubble's time
	}
}

func (o *service) taken(limit string) int {
	n := 0
	for s := range o.running {
		for _, u := range s.slots {
			if u.limit == limit {
				n += u.n
			}
		}
	}
	return n
}

// expire takes s back if its lease does not protect it any more.
func (o *service) expire(s *step) {
	if s.state == "running" && time.Now().After(s.leased) {
		o.expired++
		o.end(s, "ready", 0)
	}
}

// end ends an attempt; one that leaves the step ready may be followed by the next after a time.
func (o *service) end(s *step, state string, after time.Duration) {
	delete(o.running, s)
	s.state, s.worker, s.slots = state, "", map[string]slots{}
	defer o.wake()
	switch {
	case state != "ready":
	case after == 0:
		o.ready = append(o.ready, s)
	default:
		time.AfterFunc(after, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.ready = append(o.ready, s)
			o.wake()
		})
	}
}

// owned finds the attempt that id names if it is worker's.
func (o *service) owned(worker, id string) *step {
	s := o.byID[id]
	if s == nil || s.id() != id {
		return nil
	}
	o.expire(s)
	if s.state != "running" || s.worker != worker {
		return nil
	}
	return s
}

func call[Resp any](ctx context.Context, o *service, method string, req proto.Message, do func() Resp) (Resp, error) {
	var none Resp
	_, err := proto.Marshal(req)
	err = errors.Join(err, protovalidate.Validate(req))
	if err != nil {
		o.t.Errorf("%s: %v", method, err)
	}
	o.mu.Lock()
	o.calls[method]++
	o.mu.Unlock()
	err = ctx.Err()
	if err != nil {
		return none, err
	}
	what := nothing
	if o.lose != nil {
		what = o.lose(method)
	}
	switch what {
	case lostCall:
		<-ctx.Done()
		return none, ctx.Err()
	case lostAnswer:
		do()
		<-ctx.Done()
		return none, ctx.Err()
	case refused:
		return none, status.Error(codes.Unavailable, "refused")
	case cut:
		do()
		return none, status.Error(codes.Unavailable, "cut")
	}
	resp := do()
	return resp, ctx.Err()
}

func (o *service) Pull(ctx context.Context, r *taskv1.PullRequest, _ ...grpc.CallOption) (*taskv1.PullResponse, error) {
	return call(ctx, o, "Pull", r, func() *taskv1.PullResponse {
		for end := time.Now().Add(r.GetWait().AsDuration()); ; {
			o.mu.Lock()
			resp, changed := o.claim(r), o.changed
			o.mu.Unlock()
			if len(resp.GetTasks()) > 0 || !time.Now().Before(end) || ctx.Err() != nil {
				return resp
			}
			tick := time.NewTimer(100 * time.Millisecond)
			select {
			case <-ctx.Done():
			case <-changed:
			case <-tick.C:
			}
			tick.Stop()
		}
	})
}

func (o *service) claim(r *taskv1.PullRequest) *taskv1.PullResponse {
	for s := range o.running {
		o.expire(s)
	}
	resp := &taskv1.PullResponse{}
	if o.left[r.GetWorker()] {
		return resp
	}
	others := []*step{}
	for i, s := range o.ready {
		if len(resp.GetTasks()) == int(r.GetSlots()) {
			others = append(others, o.ready[i:]...)
			break
		}
		if !slices.Contains(r.GetFunctions(), s.function) {
			others = append(others, s)
			continue
		}
		s.attempt++
		s.state, s.worker, s.leased = "running", r.GetWorker(), time.Now().Add(lease)
		s.pulledAt = append(s.pulledAt, time.Now())
		o.byID[s.id()], o.running[s] = s, true
		resp.Tasks = append(resp.Tasks, &taskv1.Task{Id: s.id(), Function: s.function, RequestJson: s.request, Attempt: int32(s.attempt), Checkpoint: s.checkpoint, Timeout: durationpb.New(24 * time.Hour),
			Resources: []*taskv1.Resource{{Name: "studio/smtp", Kind: "smtp", StateJson: `{"a":1}`, Credential: "c1"}}})
	}
	o.ready = others
	return resp
}

func (o *service) Report(ctx context.Context, r *taskv1.ReportRequest, _ ...grpc.CallOption) (*taskv1.ReportResponse, error) {
	return call(ctx, o, "Report", r, func() *taskv1.ReportResponse {
		o.mu.Lock()
		defer o.mu.Unlock()
		resp := &taskv1.ReportResponse{}
		for _, result := range r.GetResults() {
			s := o.owned(r.GetWorker(), result.GetTask())
			switch {
			case s != nil:
				o.settle(s, result)
				fallthrough
			case o.byID[result.GetTask()] != nil && proto.Equal(o.byID[result.GetTask()].last, result): // again
				resp.Verdicts = append(resp.Verdicts, taskv1.Verdict_VERDICT_OK)
			default:
				resp.Verdicts = append(resp.Verdicts, taskv1.Verdict_VERDICT_FENCED)
			}
		}
		return resp
	})
}

func (o *service) settle(s *step, r *taskv1.Result) {
	s.last = r
	switch out := r.GetOutcome().(type) {
	case *taskv1.Result_OutputJson:
		o.end(s, "done", 0)
	case *taskv1.Result_HandBack:
		state := "ready"
		if s.cancelled {
			state = "failed"
		}
		o.end(s, state, 0)
	case *taskv1.Result_Pending:
		s.checkpoint = out.Pending.GetCheckpoint()
		o.end(s, "ready", out.Pending.GetAskAfter().AsDuration())
	case *taskv1.Result_Failure:
		state := "ready"
		if out.Failure.GetClass() == taskv1.FailureClass_FAILURE_CLASS_PERMANENT {
			state = "failed"
		}
		o.end(s, state, out.Failure.GetRetryAfter().AsDuration())
	}
}

func (o *service) verdict(s *step) taskv1.Verdict {
	switch {
	case s == nil:
		return taskv1.Verdict_VERDICT_FENCED
	case s.cancelled:
		return taskv1.Verdict_VERDICT_CANCELLED
	}
	return taskv1.Verdict_VERDICT_OK
}

func (o *service) Checkpoint(ctx context.Context, r *taskv1.CheckpointRequest, _ ...grpc.CallOption) (*taskv1.CheckpointResponse, error) {
	return call(ctx, o, "Checkpoint", r, func() *taskv1.CheckpointResponse {
		o.mu.Lock()
		defer o.mu.Unlock()
		s := o.owned(r.GetWorker(), r.GetTask())
		if s != nil {
			s.checkpoint = r.GetState()
		}
		return &taskv1.CheckpointResponse{Verdict: o.verdict(s)}
	})
}

func (o *service) Renew(ctx context.Context, r *taskv1.RenewRequest, _ ...grpc.CallOption) (*taskv1.RenewResponse, error) {
	return call(ctx, o, "Renew", r, func() *taskv1.RenewResponse {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.renewed = append(o.renewed, r.GetTasks())
		resp := &taskv1.RenewResponse{}
		for _, id := range r.GetTasks() {
			s := o.owned(r.GetWorker(), id)
			if s == nil {
				resp.Lost = append(resp.Lost, id)
				continue
			}
			s.leased = time.Now().Add(lease)
			if s.cancelled {
				resp.Cancelled = append(resp.Cancelled, id)
			}
		}
		if r.GetLeaving() {
			o.left[r.GetWorker()] = true
			for s := range o.running {
				if s.worker == r.GetWorker() && !slices.Contains(r.GetTasks(), s.id()) {
					o.end(s, "ready", 0)
				}
			}
		}
		return resp
	})
}

func (o *service) Occupy(ctx context.Context, r *taskv1.OccupyRequest, _ ...grpc.CallOption) (*taskv1.OccupyResponse, error) {
	return call(ctx, o, "Occupy", r, func() *taskv1.OccupyResponse {
		for end := time.Now().Add(r.GetWait().AsDuration()); ; {
			o.mu.Lock()
			s := o.owned(r.GetWorker(), r.GetTask())
			verdict := o.verdict(s)
			occupied := false
			if verdict == taskv1.Verdict_VERDICT_OK {
				_, occupied = s.slots[r.GetKey()]
				limit, limited := o.limits[r.GetLimit()]
				if !occupied && (!limited || o.taken(r.GetLimit())+int(r.GetSlots()) <= limit) {
					s.slots[r.GetKey()] = slots{r.GetLimit(), int(r.GetSlots())}
					occupied = true
				}
			}
			changed := o.changed
			o.mu.Unlock()
			if occupied || verdict != taskv1.Verdict_VERDICT_OK || !time.Now().Before(end) || ctx.Err() != nil {
				return &taskv1.OccupyResponse{Verdict: verdict, Occupied: occupied}
			}
			tick := time.NewTimer(100 * time.Millisecond)
			select {
			case <-ctx.Done():
			case <-changed:
			case <-tick.C:
			}
			tick.Stop()
		}
	})
}

func (o *service) Vacate(ctx context.Context, r *taskv1.VacateRequest, _ ...grpc.CallOption) (*taskv1.VacateResponse, error) {
	return call(ctx, o, "Vacate", r, func() *taskv1.VacateResponse {
		o.mu.Lock()
		defer o.mu.Unlock()
		s := o.owned(r.GetWorker(), r.GetTask())
		if s != nil {
			if u, ok := s.slots[r.GetKey()]; ok && u.limit != r.GetLimit() {
				o.t.Errorf("Vacate: key %s is for %s, not %s", r.GetKey(), u.limit, r.GetLimit())
			}
			delete(s.slots, r.GetKey())
			o.wake()
		}
		return &taskv1.VacateResponse{}
	})
}

// loseNext loses one call of method.
func (o *service) loseNext(method string, what loss) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lose = func(m string) loss {
		o.mu.Lock()
		defer o.mu.Unlock()
		if m != method || what == nothing {
			return nothing
		}
		this := what
		what = nothing
		return this
	}
}

// stopping answers each Pull at once, with nothing.
type stopping struct{ *service }

func (s stopping) Pull(ctx context.Context, r *taskv1.PullRequest, _ ...grpc.CallOption) (*taskv1.PullResponse, error) {
	return call(ctx, s.service, "Pull", r, func() *taskv1.PullResponse { return &taskv1.PullResponse{} })
}

// twice hands out each task twice.
type twice struct{ *service }

func (s twice) Pull(ctx context.Context, r *taskv1.PullRequest, _ ...grpc.CallOption) (*taskv1.PullResponse, error) {
	resp, err := s.service.Pull(ctx, r)
	if err == nil {
		resp.Tasks = append(resp.Tasks, resp.GetTasks()...)
	}
	return resp, err
}
