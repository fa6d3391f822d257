package orchestrator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

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
	err := s.announce(ctx, req.GetFunctions())
	if err != nil {
		return nil, unavailable(err)
	}
	s.room.note(req.GetWorker(), int(req.GetSlots()))
	for last := false; ; {
		claimed, err := s.claim(ctx, req)
		draining := errors.Is(err, store.ErrDraining)
		if draining {
			err = nil // it waits like others, and hears of the end as soon
		}
		if len(claimed) == 0 && err != nil {
			return nil, unavailable(err)
		}
		if len(claimed) > 0 {
			tasks, err := s.hand(ctx, req.GetWorker(), claimed)
			if err != nil {
				return nil, unavailable(err)
			}
			if len(tasks) > 0 {
				return &taskv1.PullResponse{Tasks: tasks}, nil
			}
			continue
		}
		if last {
			return &taskv1.PullResponse{Draining: draining}, nil
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
			d, err := s.loadRef(ctx, ref)
			if errors.Is(err, store.ErrNotFound) {
				continue // gone with its retention: nothing to settle
			}
			if err != nil {
				return nil, unavailable(err)
			}
			g = &batch{d: d}
			groups[ref.Distribution] = g
		}
		g.refs, g.results, g.at = append(g.refs, ref), append(g.results, r), append(g.at, i)
	}
	// At once: they share Redis's wait for the disk, which one after the other each would pay in full.
	var settling sync.WaitGroup
	errs := make(chan error, len(groups))
	for _, g := range groups {
		settling.Go(func() { errs <- s.settle(ctx, req.GetWorker(), g, resp.GetVerdicts()) })
	}
	settling.Wait()
	close(errs)
	for err := range errs {
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
	attempts := make([]store.Attempt, len(g.refs))
	for i, r := range g.results {
		step, ok := g.d.steps.Step(g.refs[i].Step)
		if ok && (r.GetFailure() != nil || len(step.Resources) > 0) {
			var err error
			attempts, err = s.store.Attempts(ctx, g.refs)
			if err != nil {
				return err
			}
			break
		}
	}
	var ends []store.End
	var tells []store.Told
	var at []int
	var results []*taskv1.Result
	for i, r := range g.results {
		step, ok := g.d.steps.Step(g.refs[i].Step)
		if !ok {
			continue // stays fenced
		}
		ends = append(ends, store.End{Ref: g.refs[i], Worker: worker,
			Outcome: s.outcome(g.d, step, attempts[i].Tally, r), Output: output(r), Figures: figures(r), Document: g.d.document(step, g.refs[i].Unit)})
		tell := store.Told{}
		if attempts[i].Runs {
			// Otherwise the resource knows, or its news are old.
			tell = told(r, ends[len(ends)-1].Outcome)
		}
		tells = append(tells, tell)
		at = append(at, g.at[i])
		results = append(results, r)
	}
	for i, e := range ends {
		// Bad news goes first: nobody is to come into the place that this one leaves and fare alike.
		tells[i].About = e.Ref.String()
		if tells[i].Kind != "ok" {
			s.heed(ctx, g.d, e.Step, tells[i])
		}
	}
	for len(ends) > 0 {
		n := min(len(ends), 100)
		got, ended, err := s.store.Settle(ctx, g.d.graph, g.d.production, g.d.id, ends[:n])
		if err != nil {
			return err
		}
		for i, v := range got {
			verdicts[at[i]] = verdict(v)
			if v == store.OK {
				s.attempted(g.d, ends[i], results[i])
			}
			if v == store.OK && tells[i].Kind == "ok" {
				s.heed(ctx, g.d, ends[i].Step, tells[i])
			}
		}
		s.said(ctx, g.d, ended)
		ends, tells, at, results = ends[n:], tells[n:], at[n:], results[n:]
	}
	s.kickChores()
	return nil
}

// figures are what the function gave beside its answer.
func figures(r *taskv1.Result) store.Figures {
	f := store.Figures{In: r.GetBytesIn(), Out: r.GetBytesOut()}
	for _, m := range r.GetMetrics() {
		f.Metrics = append(f.Metrics, store.Metric{Name: m.GetName(), Value: m.GetValue(), Labels: m.GetLabels()})
	}
	for _, l := range r.GetLog() {
		f.Lines = append(f.Lines, store.Line{Time: l.GetTime().AsTime().UnixMilli(), Level: l.GetLevel(), Text: l.GetText()})
	}
	return f
}

// output is a function's response without white space, if it said anything.
func output(r *taskv1.Result) string {
	if r.GetOutputJson() == "{}" {
		return ""
	}
	var b bytes.Buffer
	err := json.Compact(&b, []byte(r.GetOutputJson()))
	if err != nil || !isObject(r.GetOutputJson()) || b.String() == "{}" {
		return "" // nothing, or nothing that anybody could read: see outcome
	}
	return b.String()
}

// isObject reports whether text is a JSON object, as every function's response is.
func isObject(text string) bool {
	return text == "{}" || strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") && json.Valid([]byte(text))
}

// told is what the end of an attempt tells of the resources that it used; nothing if its Kind is empty.
func told(r *taskv1.Result, o plan.Outcome) store.Told {
	t := store.Told{Code: r.GetFailure().GetCode(), Message: r.GetFailure().GetMessage()}
	switch r.GetFailure().GetClass() {
	case taskv1.FailureClass_FAILURE_CLASS_THROTTLED:
		t.Kind, t.Wait = "throttle", o.Wait
	case taskv1.FailureClass_FAILURE_CLASS_TRANSIENT, taskv1.FailureClass_FAILURE_CLASS_UNCERTAIN:
		t.Kind = "fail" // also where the step gives up
	default:
		if o.To == plan.Done {
			t.Kind = "ok"
		}
	}
	return t // a refusal for good, a handing back and work that goes on elsewhere tell nothing
}

// heed tells the resources that a step used what became of it. What is lost of that is made up for by the next step.
func (s *Server) heed(ctx context.Context, d *distribution, step string, t store.Told) {
	st, ok := d.steps.Step(step)
	if !ok || t.Kind == "" {
		return
	}
	for _, name := range st.Resources {
		err := s.store.Heed(ctx, d.production, name, t)
		if err != nil {
			s.deps.Log.WarnContext(ctx, "a resource was not told how its step ended", "resource", name, "err", err)
		}
	}
}

// said logs the end of a distribution; of one that a resource waits for it tells those who look after resources.
func (s *Server) said(ctx context.Context, d *distribution, ended string) {
	if ended != "" && d.spec.Resource != nil {
		kick(s.tended)
		return
	}
	if ended != "" {
		s.deps.Log.InfoContext(ctx, "distribution ended", "distribution", d.id, "production", d.production, "state", ended)
	}
}

func (s *Server) outcome(d *distribution, step *plan.Step, t plan.Tally, r *taskv1.Result) plan.Outcome {
	switch o := r.GetOutcome().(type) {
	case *taskv1.Result_OutputJson:
		if !isObject(o.OutputJson) {
			return plan.Failing(step, t, plan.Failure{Class: plan.Permanent, Code: "OUTPUT_INVALID",
				Message: "the worker answered with something that is no JSON object; its function must be mended"}, d.onUncertain(), 0)
		}
		return plan.Succeeded(step, t)
	case *taskv1.Result_Pending:
		return plan.Submitted(t, o.Pending.GetAskAfter().AsDuration(), o.Pending.GetCheckpoint())
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
	named := map[store.Ref]bool{}
	for i, id := range req.GetTasks() {
		var err error
		refs[i], err = store.ParseRef(id)
		if err != nil {
			return nil, fault.New(fault.Invalid, "TASK_UNKNOWN", "%v", err)
		}
		named[refs[i]] = true
	}
	err := s.keep(ctx, refs)
	if err != nil {
		return nil, unavailable(err)
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
	if req.GetLeaving() {
		err = s.store.Leave(ctx, req.GetWorker())
		if err != nil {
			return nil, unavailable(err)
		}
	}
	return resp, s.takeBack(ctx, req.GetWorker(), named, req.GetLeaving())
}

// keep prolongs the places that attempts have in limits which productions share.
func (s *Server) keep(ctx context.Context, refs []store.Ref) error {
	names := make([][]string, len(refs))
	any := false
	for i, r := range refs {
		d, err := s.loadRef(ctx, r)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		step, ok := d.steps.Step(r.Step)
		if ok && len(step.Limits) > 0 {
			names[i], any = step.Limits, true
		}
	}
	if !any {
		return nil
	}
	return s.store.Keep(ctx, refs, names)
}

// takeBack gives to others what a worker was handed and does not know of.
func (s *Server) takeBack(ctx context.Context, worker string, named map[store.Ref]bool, leaving bool) error {
	for {
		n, err := s.takeSome(ctx, worker, named, leaving)
		if err != nil || n == 0 || !leaving {
			return err
		}
	}
}

// takeSome is takeBack for as many as one look finds, and says how many those were.
func (s *Server) takeSome(ctx context.Context, worker string, named map[store.Ref]bool, leaving bool) (int, error) {
	strays, err := s.store.Strays(ctx, worker, leaving)
	if err != nil {
		return 0, unavailable(err)
	}
	taken := 0
	groups := map[string][]store.Ref{}
	for _, r := range strays {
		if !named[r] {
			groups[r.Distribution] = append(groups[r.Distribution], r)
		}
	}
	for _, refs := range groups {
		d, err := s.loadRef(ctx, refs[0])
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return taken, unavailable(err)
		}
		attempts, err := s.store.Attempts(ctx, refs)
		if err != nil {
			return taken, unavailable(err)
		}
		var ends []store.End
		for i, r := range refs {
			step, ok := d.steps.Step(r.Step)
			if ok {
				ends = append(ends, store.End{Ref: r, Worker: worker, Outcome: plan.HandedBack(step, attempts[i].Tally)})
			}
		}
		_, ended, err := s.store.Settle(ctx, d.graph, d.production, d.id, ends)
		if err != nil {
			return taken, unavailable(err)
		}
		s.said(ctx, d, ended)
		taken += len(ends)
		s.deps.Log.InfoContext(ctx, "tasks that their worker does not know of were taken back", "worker", worker, "distribution", d.id, "tasks", len(ends))
	}
	return taken, nil
}

// Occupy implements taskv1.TaskServiceServer.
func (s *Server) Occupy(ctx context.Context, req *taskv1.OccupyRequest) (*taskv1.OccupyResponse, error) {
	o, err := s.occupied(ctx, req.GetTask(), req.GetLimit(), req.GetKey())
	if errors.Is(err, store.ErrNotFound) {
		return &taskv1.OccupyResponse{Verdict: taskv1.Verdict_VERDICT_FENCED}, nil
	}
	if err != nil {
		return nil, err
	}
	o.Slots = int(req.GetSlots())
	waited := time.NewTimer(req.GetWait().AsDuration())
	defer waited.Stop()
	for last := false; ; {
		v, err := s.store.Occupy(ctx, req.GetWorker(), o)
		if err != nil {
			return nil, unavailable(err)
		}
		if v != 0 || last {
			return &taskv1.OccupyResponse{Verdict: verdict(max(v, store.OK)), Occupied: v == store.OK}, nil
		}
		poll := time.NewTimer(s.cfg.Tick)
		select {
		case <-ctx.Done():
			poll.Stop()
			return nil, ctx.Err()
		case <-waited.C:
			last = true
		case <-s.deps.Stopping:
			last = true
		case <-poll.C:
		}
		poll.Stop()
	}
}

// Vacate implements taskv1.TaskServiceServer.
func (s *Server) Vacate(ctx context.Context, req *taskv1.VacateRequest) (*taskv1.VacateResponse, error) {
	o, err := s.occupied(ctx, req.GetTask(), req.GetLimit(), req.GetKey())
	if errors.Is(err, store.ErrNotFound) {
		return &taskv1.VacateResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	err = s.store.Vacate(ctx, o)
	if err != nil {
		return nil, unavailable(err)
	}
	return &taskv1.VacateResponse{}, nil
}

func (s *Server) occupied(ctx context.Context, task, limit, key string) (store.Occupied, error) {
	ref, err := store.ParseRef(task)
	if err != nil {
		return store.Occupied{}, fault.New(fault.Invalid, "TASK_UNKNOWN", "%v", err)
	}
	d, err := s.loadRef(ctx, ref)
	if errors.Is(err, store.ErrNotFound) {
		return store.Occupied{}, err
	}
	if err != nil {
		return store.Occupied{}, unavailable(err)
	}
	return store.Occupied{Ref: ref, Production: d.production, Limit: limit, Key: key}, nil
}

// unavailable says that the store did not do it; repeating helps.
func unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the state store did not answer; try again").Because(err)
}
