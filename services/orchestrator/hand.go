package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/filigreehq/filigree/pkg/telemetry"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// claim takes ready steps for a worker. It goes on to its end when the worker has gone away meanwhile: what was taken must
// be known, to be handed back.
func (s *Server) claim(ctx context.Context, req *taskv1.PullRequest) ([]store.Claimed, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	claim, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.store.Claim(claim, req.GetWorker(), req.GetFunctions(), int(req.GetSlots()))
}

// announce remembers functions that workers serve, once each.
func (s *Server) announce(ctx context.Context, functions []string) error {
	var unknown []string
	s.mu.Lock()
	for _, f := range functions {
		if !s.announced[f] {
			unknown = append(unknown, f)
		}
	}
	s.mu.Unlock()
	if len(unknown) == 0 {
		return nil
	}
	err := s.store.Announce(ctx, unknown)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range unknown {
		s.announced[f] = true
	}
	return nil
}

// known is what is known of a unit, with what was read for it. A view is made when an expression needs one.
type known struct {
	d     *distribution
	unit  plan.Unit
	facts *store.Facts
	view  define.View
	err   error // why there is none
}

// View implements define.Known.
func (k *known) View() (define.View, error) {
	if k.view == nil && k.err == nil {
		k.view, k.err = k.d.known(k.unit, k.facts)
	}
	return k.view, k.err
}

// Word implements define.Known: what most requests are made of.
func (k *known) Word(path string) (string, bool) {
	u, r := k.unit, k.facts.Person
	switch {
	case path == "item.id" && u.Scope() == plan.ScopeItem:
		return itemID(k.d.id, u), true
	case path == "recipient.id" && u.Recipient > 0:
		return recipientID(k.d.id, u.Recipient), true
	case path == "file.sha256" && u.File > 0:
		return k.d.spec.Files[u.File-1].SHA256, true
	case path == "file.name" && u.File > 0:
		return k.d.spec.Files[u.File-1].Name, true
	case u.Recipient == 0 || r == nil:
		return "", false
	case path == "recipient.name":
		return r.Name, true
	case path == "recipient.email":
		return r.Email, true
	case path == "recipient.delivery":
		return deliveryID(k.d.id, u.Recipient, r.Revision), true
	}
	return "", false
}

// sameFor is what requests about recipient r (nil: about none) have in common with others: nothing when they have a mark
// of their own.
func (d *distribution) sameFor(r *store.Recipient) *define.Same {
	if r != nil && r.Look != nil {
		return nil
	}
	return d.same
}

// handing is one claimed attempt on its way to being a task, or to its end without a worker.
type handing struct {
	store.Claimed
	d    *distribution
	step *plan.Step
	read *store.Facts
	// What comes of it: a task, or an outcome of its own.
	task *taskv1.Task
	own  *plan.Outcome
}

// hand makes tasks of what was claimed. What no worker is needed for ends here: a step whose condition is false, one that
// was done before, one about a document that kills workers, one that the definition cannot make a request of. All goes back
// when the store did not answer, or when the worker has gone away meanwhile.
func (s *Server) hand(ctx context.Context, worker string, claimed []store.Claimed) ([]*taskv1.Task, error) {
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
	defer cancel()
	all := make([]handing, len(claimed))
	err := s.prepare(work, claimed, all)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		for i := range all {
			all[i].Claimed, all[i].task = claimed[i], nil
		}
		return nil, errors.Join(err, s.own(work, worker, all))
	}
	var out []*taskv1.Task
	for _, h := range all {
		if h.task != nil {
			out = append(out, h.task)
		}
	}
	if len(out) < len(all) {
		err = s.own(work, worker, all)
		if err != nil && len(out) == 0 {
			return nil, err // their leases run out
		}
	}
	return out, nil
}

// own settles what has no task: by its own outcome, or by handing it back.
func (s *Server) own(ctx context.Context, worker string, all []handing) error {
	ends := map[*distribution][]store.End{}
	for _, h := range all {
		if h.task != nil {
			continue
		}
		if h.d == nil {
			var err error
			h.d, err = s.load(ctx, h.Production, h.Distribution)
			if err != nil {
				return err
			}
		}
		step, ok := h.d.steps.Step(h.Step)
		if !ok {
			continue // a definition without it: nobody can say what becomes of it
		}
		o := plan.HandedBack(step, plan.Tally{})
		if h.own != nil {
			o = *h.own
		}
		ends[h.d] = append(ends[h.d], store.End{Ref: h.Ref, Worker: worker, Outcome: o})
	}
	var errs []error
	for d, list := range ends {
		_, ended, err := s.store.Settle(ctx, d.graph, d.production, d.id, list)
		errs = append(errs, err)
		s.said(ctx, d, ended)
	}
	s.kickChores()
	return errors.Join(errs...)
}

// prepare reads what is needed of all that was claimed at once, and makes tasks or outcomes.
func (s *Server) prepare(ctx context.Context, claimed []store.Claimed, all []handing) error {
	reads := make([]*store.Facts, len(claimed))
	facts := make([]store.Facts, len(claimed))
	for i, c := range claimed {
		d, err := s.load(ctx, c.Production, c.Distribution)
		if err != nil {
			return err
		}
		step, ok := d.steps.Step(c.Step)
		all[i] = handing{Claimed: c, d: d, step: step}
		if !ok {
			return fmt.Errorf("distribution %s runs no step %q", d.id, c.Step)
		}
		facts[i] = d.needed(step, c.Unit)
		all[i].read, reads[i] = &facts[i], &facts[i]
	}
	err := s.store.Read(ctx, reads)
	if err != nil {
		return err
	}
	for i := range all {
		err = s.make(ctx, &all[i])
		if err != nil {
			return err
		}
	}
	return nil
}

// needed is what must be read to make a request of step for unit u.
func (d *distribution) needed(step *plan.Step, u plan.Unit) store.Facts {
	f := store.Facts{Production: d.production, Distribution: d.id}
	uses := d.steady[step.Name].uses
	if u.Recipient > 0 && (uses.Recipient || uses.Mark || step.Delivers != "" || step.Starts) {
		f.Recipient = u.Recipient
	}
	if uses.Steps {
		f.Units = append(f.Units, u)
		if u.Scope() == plan.ScopeItem {
			f.Units = append(f.Units, plan.Unit{File: u.File})
		}
	}
	if uses.Items && u.Scope() == plan.ScopeRecipient {
		for file := range d.size.Files {
			f.Units = append(f.Units, plan.Unit{File: file + 1, Recipient: u.Recipient})
		}
	}
	f.Document = d.document(step, u)
	return f
}

// document names what an attempt is about and what it does with it: what three workers in a row were lost with is not
// handed out any more. Empty for steps that are about no document alone.
func (d *distribution) document(step *plan.Step, u plan.Unit) string {
	if u.File == 0 {
		return ""
	}
	return d.steady[step.Name].documents[u.File-1]
}

// make makes the task of a claimed attempt, or says how it ends without one.
func (s *Server) make(ctx context.Context, h *handing) error {
	own := func(o plan.Outcome) error {
		h.own = &o
		return nil
	}
	if h.read.Crashes >= plan.MaxCrashes {
		return own(plan.Quarantined(h.step, plan.Tally{}))
	}
	about := known{d: h.d, unit: h.Unit, facts: h.read}
	bad := func(err error) error {
		if about.err != nil {
			return about.err // nothing can be known, so nothing is wrong with the definition
		}
		s.deps.Log.ErrorContext(ctx, "definition makes no request", "distribution", h.Distribution, "step", h.Step, "err", err)
		return own(plan.Failing(h.step, plan.Tally{}, plan.Failure{Class: plan.Permanent, Code: "REQUEST_INVALID",
			Message: "the definition's expressions do not make a request of what is known: " + err.Error()}, h.d.onUncertain(), 0))
	}
	if h.step.Conditional {
		view, err := about.View()
		if err != nil {
			return err
		}
		yes, err := h.d.def.When(h.Step, view)
		if err != nil {
			return bad(err)
		}
		if !yes {
			return own(plan.LeftOut(h.step, plan.Tally{}))
		}
	}
	request, err := h.d.def.Request(h.Step, &about, h.d.sameFor(h.read.Person))
	if err != nil {
		return bad(err)
	}
	if h.step.Starts {
		request, err = s.startRequest(ctx, h.d, h.Unit, request)
		if err != nil {
			return err
		}
	}
	if h.step.Delivers != "" && h.read.Person.Sent != "" && h.read.Person.Sent == digest(request) {
		// A retry made nothing new for them: their delivery stands as it was.
		return own(plan.Succeeded(h.step, plan.Tally{}))
	}
	h.task = &taskv1.Task{
		Id: h.Ref.String(), Function: h.step.Function, Step: h.step.Name, Attempt: int32(h.Attempt),
		Production: h.Production, Distribution: h.Distribution, Unit: h.Unit.String(),
		RequestJson: request, Timeout: h.d.steady[h.Step].timeout, Checkpoint: h.Checkpoint,
	}
	if telemetry.On() {
		h.task.Traceparent, h.task.Tracestate = h.d.attempt(h.Ref, h.step).Context()
	}
	for _, name := range h.step.Resources {
		r, err := s.resourceOf(ctx, h.Production, name)
		if err != nil {
			return err
		}
		h.task.Resources = append(h.task.Resources, r)
	}
	return nil
}

// about is what expressions may look at of unit u before any step of it has run; r is nil where it has no recipient.
func (d *distribution) about(u plan.Unit, r *store.Recipient) define.View {
	view := d.view()
	if u.File > 0 {
		view["file"] = d.spec.Files[u.File-1].view()
	}
	if r == nil || u.Recipient == 0 {
		return view
	}
	if r.Look != nil {
		view["distribution"] = d.words(look(*r.Look))
	}
	view["recipient"] = recipientView(d.id, u.Recipient, *r)
	if u.Scope() == plan.ScopeItem {
		view["item"] = map[string]any{"id": itemID(d.id, u), "fields": d.fields(u, *r)}
	}
	return view
}

// known is what expressions may look at of unit u, with what steps gave.
func (d *distribution) known(u plan.Unit, f *store.Facts) (define.View, error) {
	view := d.about(u, f.Person)
	steps := map[string]any{}
	items := []any{}
	for _, rec := range f.Records {
		mine, err := d.given(rec)
		if err != nil {
			return nil, err
		}
		if rec.Unit == u || u.Scope() == plan.ScopeItem {
			for name, st := range mine {
				steps[name] = st
			}
			continue
		}
		items = append(items, map[string]any{"id": itemID(d.id, rec.Unit), "file": d.spec.Files[rec.File-1].view(), "steps": mine})
	}
	view["steps"] = steps
	view["items"] = items
	return view, nil
}

// given is the state and output of each step of a unit.
func (d *distribution) given(rec store.UnitRecord) (map[string]any, error) {
	out := map[string]any{}
	for name, st := range rec.Steps {
		output := map[string]any{}
		if st.Output != "" {
			err := json.Unmarshal([]byte(st.Output), &output)
			if err != nil {
				return nil, fmt.Errorf("output of %s of %s in %s: %w", name, rec.Unit, d.id, err)
			}
		}
		out[name] = map[string]any{"state": string(st.State), "output": output}
	}
	return out, nil
}

// keys gives the exclusive keys of units by step.
func (d *distribution) keys(s *Server) store.Keys {
	return func(ctx context.Context, units []plan.Unit) (map[plan.Unit]map[string]string, error) {
		reads := make([]*store.Facts, len(units))
		for i, u := range units {
			reads[i] = &store.Facts{Production: d.production, Distribution: d.id, Recipient: u.Recipient}
		}
		err := s.store.Read(ctx, reads)
		if err != nil {
			return nil, err
		}
		out := map[plan.Unit]map[string]string{}
		for i, u := range units {
			for _, st := range d.steps.Steps {
				if !st.Exclusive || st.Scope != u.Scope() {
					continue
				}
				key, err := d.def.Key(st.Name, d.about(u, reads[i].Person))
				if err != nil {
					return nil, err
				}
				if out[u] == nil {
					out[u] = map[string]string{}
				}
				out[u][st.Name] = key
			}
		}
		return out, nil
	}
}
