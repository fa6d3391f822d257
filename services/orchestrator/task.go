package orchestrator

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/fault"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// Pull implements taskv1.TaskServiceServer.
func (s *Server) Pull(ctx context.Context, req *taskv1.PullRequest) (*taskv1.PullResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, max(req.GetWait().AsDuration(), time.Millisecond)+10*time.Second)
	defer cancel()
	waited := time.NewTimer(req.GetWait().AsDuration())
	defer waited.Stop()
	woken, stop := s.hub.wait(req.GetFunctions())
	defer stop()
	for last := false; ; {
		claimed, err := s.store.Claim(ctx, req.GetWorker(), req.GetFunctions(), int(req.GetSlots()))
		if err != nil {
			return nil, unavailable(err)
		}
		if len(claimed) > 0 {
			tasks, err := s.tasks(ctx, req.GetWorker(), claimed)
			if err != nil {
				return nil, unavailable(err)
			}
			if len(tasks) > 0 {
				return &taskv1.PullResponse{Tasks: tasks}, nil
			}
			continue
		}
		if last {
			return &taskv1.PullResponse{}, nil
		}
		poll := time.NewTimer(s.cfg.Tick)
		select {
		case <-ctx.Done():
			poll.Stop()
			return nil, ctx.Err()
		case <-waited.C:
			last = true
		case <-s.deps.Stopping:
			poll.Stop()
			return &taskv1.PullResponse{}, nil
		case <-woken:
		case <-poll.C:
		}
		poll.Stop()
	}
}

// tasks makes tasks of what was claimed. What cannot be made into a task is settled here: it is handed back when the
// store did not answer, and failed when the definition cannot make a request of it. So is everything when the worker
// has gone away meanwhile.
func (s *Server) tasks(ctx context.Context, worker string, claimed []store.Claimed) ([]*taskv1.Task, error) {
	var out []*taskv1.Task
	for i, c := range claimed {
		t, err := s.task(ctx, c)
		var bad *requestError
		switch {
		case err == nil && ctx.Err() == nil:
			out = append(out, t)
		case errors.Is(err, errAlreadySent) && ctx.Err() == nil:
			err = s.end(ctx, worker, c, func(_ *distribution, step *plan.Step) plan.Outcome { return plan.Succeeded(step, plan.Tally{}) })
			if err != nil {
				return nil, err
			}
		case errors.As(err, &bad):
			s.deps.Log.ErrorContext(ctx, "definition makes no request", "distribution", c.Distribution, "step", c.Step, "err", err)
			err = s.end(ctx, worker, c, func(d *distribution, step *plan.Step) plan.Outcome {
				return plan.Failing(step, plan.Tally{}, plan.Failure{Class: plan.Permanent, Code: "REQUEST_INVALID",
					Message: "the definition's expressions do not make a request of what is known: " + bad.Error()}, d.onUncertain(), 0)
			})
			if err != nil {
				return nil, err
			}
		default:
			// Under a context of its own: the caller's may be what ended.
			undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			for _, c := range claimed[i:] {
				backErr := s.end(undo, worker, c, func(_ *distribution, step *plan.Step) plan.Outcome {
					return plan.HandedBack(step, plan.Tally{})
				})
				if backErr != nil {
					s.deps.Log.WarnContext(ctx, "not handed back; the lease will run out", "task", c.Ref.String(), "err", backErr)
				}
			}
			if len(out) > 0 && ctx.Err() == nil {
				return out, nil
			}
			return nil, errors.Join(err, ctx.Err())
		}
	}
	return out, nil
}

// errAlreadySent says that a retry made nothing new for a recipient: their delivery stands as it was.
var errAlreadySent = errors.New("this was sent before")

// end settles one attempt that no worker has seen.
func (s *Server) end(ctx context.Context, worker string, c store.Claimed, decide func(*distribution, *plan.Step) plan.Outcome) error {
	d, err := s.load(ctx, c.Production, c.Distribution)
	if err != nil {
		return err
	}
	step, _ := d.steps.Step(c.Step)
	_, _, err = s.store.Settle(ctx, d.graph, d.production, d.id, []store.End{{Ref: c.Ref, Worker: worker, Outcome: decide(d, step)}})
	return err
}

func (s *Server) task(ctx context.Context, c store.Claimed) (*taskv1.Task, error) {
	d, err := s.load(ctx, c.Production, c.Distribution)
	if err != nil {
		return nil, err
	}
	step, ok := d.steps.Step(c.Step)
	if !ok {
		return nil, &requestError{errors.New("the definition has no such step")}
	}
	request, err := s.request(ctx, d, step, c.Unit)
	if err != nil {
		return nil, err
	}
	sent, err := s.alreadySent(ctx, d, step, c.Unit, request)
	if err != nil {
		return nil, err
	}
	if sent {
		return nil, errAlreadySent
	}
	return &taskv1.Task{
		Id: c.Ref.String(), Function: step.Function, Step: step.Name, Attempt: int32(c.Attempt),
		Production: c.Production, Distribution: c.Distribution, Unit: c.Unit.String(),
		RequestJson: request, Timeout: durationpb.New(step.Timeout), Checkpoint: c.Checkpoint,
	}, nil
}

// Report implements taskv1.TaskServiceServer.
func (s *Server) Report(ctx context.Context, req *taskv1.ReportRequest) (*taskv1.ReportResponse, error) {
	resp := &taskv1.ReportResponse{Verdicts: make([]taskv1.Verdict, len(req.GetResults()))}
	groups := map[string]*batch{} // by distribution
	for i, r := range req.GetResults() {
		ref, err := store.ParseRef(r.GetTask())
		if err != nil {
			return nil, fault.New(fault.Invalid, "TASK_UNKNOWN", "%v", err)
		}
		resp.Verdicts[i] = taskv1.Verdict_VERDICT_FENCED
		g, ok := groups[ref.Distribution]
		if !ok {
			production, err := s.store.Production(ctx, ref)
			if errors.Is(err, store.ErrNotFound) {
				continue // gone with its retention: nothing to settle
			}
			if err != nil {
				return nil, unavailable(err)
			}
			g = &batch{}
			g.d, err = s.load(ctx, production, ref.Distribution)
			if err != nil {
				return nil, unavailable(err)
			}
			groups[ref.Distribution] = g
		}
		g.refs, g.results, g.at = append(g.refs, ref), append(g.results, r), append(g.at, i)
	}
	for _, g := range groups {
		err := s.settle(ctx, req.GetWorker(), g, resp.GetVerdicts())
		if err != nil {
			return nil, unavailable(err)
		}
	}
	return resp, nil
}

// batch is the results of one report that belong to one distribution.
type batch struct {
	d       *distribution
	refs    []store.Ref
	results []*taskv1.Result
	at      []int // where each verdict goes
}

func (s *Server) settle(ctx context.Context, worker string, g *batch, verdicts []taskv1.Verdict) error {
	tallies := make([]plan.Tally, len(g.refs))
	for _, r := range g.results {
		if r.GetFailure() != nil {
			var err error
			tallies, err = s.store.Tallies(ctx, g.refs)
			if err != nil {
				return err
			}
			break
		}
	}
	var ends []store.End
	var at []int
	for i, r := range g.results {
		step, ok := g.d.steps.Step(g.refs[i].Step)
		if !ok {
			continue // stays fenced
		}
		ends = append(ends, store.End{Ref: g.refs[i], Worker: worker,
			Outcome: s.outcome(g.d, step, tallies[i], r), Output: r.GetOutputJson()})
		at = append(at, g.at[i])
	}
	for len(ends) > 0 {
		n := min(len(ends), 100)
		got, ended, err := s.store.Settle(ctx, g.d.graph, g.d.production, g.d.id, ends[:n])
		if err != nil {
			return err
		}
		for i, v := range got {
			verdicts[at[i]] = verdict(v)
		}
		s.said(ctx, g.d, ended)
		ends, at = ends[n:], at[n:]
	}
	s.kickChores()
	return nil
}

// said logs the end of a distribution.
func (s *Server) said(ctx context.Context, d *distribution, ended string) {
	if ended != "" {
		s.deps.Log.InfoContext(ctx, "distribution ended", "distribution", d.id, "production", d.production, "state", ended)
	}
}

func (s *Server) outcome(d *distribution, step *plan.Step, t plan.Tally, r *taskv1.Result) plan.Outcome {
	switch o := r.GetOutcome().(type) {
	case *taskv1.Result_OutputJson:
		return plan.Succeeded(step, t)
	case *taskv1.Result_Failure:
		f := plan.Failure{Code: o.Failure.GetCode(), Message: o.Failure.GetMessage(),
			RetryAfter: o.Failure.GetRetryAfter().AsDuration(), Delivery: plan.Delivery(o.Failure.GetDelivery())}
		switch o.Failure.GetClass() {
		case taskv1.FailureClass_FAILURE_CLASS_TRANSIENT:
			f.Class = plan.Transient
		case taskv1.FailureClass_FAILURE_CLASS_THROTTLED:
			f.Class = plan.Throttled
		case taskv1.FailureClass_FAILURE_CLASS_UNCERTAIN:
			f.Class = plan.Unsure
		default:
			f.Class = plan.Permanent
		}
		return plan.Failing(step, t, f, d.onUncertain(), s.deps.draw())
	}
	return plan.HandedBack(step, t)
}

func verdict(v store.Verdict) taskv1.Verdict {
	switch v {
	case store.OK:
		return taskv1.Verdict_VERDICT_OK
	case store.Stopped:
		return taskv1.Verdict_VERDICT_CANCELLED
	}
	return taskv1.Verdict_VERDICT_FENCED
}

// Checkpoint implements taskv1.TaskServiceServer.
func (s *Server) Checkpoint(ctx context.Context, req *taskv1.CheckpointRequest) (*taskv1.CheckpointResponse, error) {
	ref, err := store.ParseRef(req.GetTask())
	if err != nil {
		return nil, fault.New(fault.Invalid, "TASK_UNKNOWN", "%v", err)
	}
	v, err := s.store.Checkpoint(ctx, ref, req.GetWorker(), req.GetState())
	if err != nil {
		return nil, unavailable(err)
	}
	return &taskv1.CheckpointResponse{Verdict: verdict(v)}, nil
}

// Renew implements taskv1.TaskServiceServer.
func (s *Server) Renew(ctx context.Context, req *taskv1.RenewRequest) (*taskv1.RenewResponse, error) {
	refs := make([]store.Ref, len(req.GetTasks()))
	for i, id := range req.GetTasks() {
		var err error
		refs[i], err = store.ParseRef(id)
		if err != nil {
			return nil, fault.New(fault.Invalid, "TASK_UNKNOWN", "%v", err)
		}
	}
	verdicts, err := s.store.Renew(ctx, req.GetWorker(), refs)
	if err != nil {
		return nil, unavailable(err)
	}
	resp := &taskv1.RenewResponse{}
	for i, v := range verdicts {
		switch v {
		case store.OK:
		case store.Stopped:
			resp.Cancelled = append(resp.Cancelled, req.GetTasks()[i])
		default:
			resp.Lost = append(resp.Lost, req.GetTasks()[i])
		}
	}
	return resp, nil
}

// unavailable says that the store did not do it; repeating helps.
func unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the state store did not answer; try again").Because(err)
}
