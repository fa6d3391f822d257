package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// What is done to what fails instead of trying it again.
const (
	actSkip   = "skip"
	actCancel = "cancel"
)

// EndFailing implements distributionv1.DistributionServiceServer.
func (s *Server) EndFailing(ctx context.Context, req *distributionv1.EndFailingRequest) (*distributionv1.EndFailingResponse, error) {
	d, err := s.find(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	if req.GetStep() != "" {
		_, ok := d.steps.Step(req.GetStep())
		if !ok {
			return nil, fault.New(fault.NotFound, "STEP_UNKNOWN", "distribution %s has no step %q", d.id, req.GetStep())
		}
	}
	c := choice{Act: req.GetAction(), Step: req.GetStep(), Code: req.GetCode(), By: who(ctx)}
	c.Numbers, err = d.numbers(req.GetRecipients())
	if err != nil {
		return nil, err
	}
	err = s.leave(ctx, d, c)
	if err != nil {
		return nil, err
	}
	v, err := s.view(ctx, d.production, d.id)
	if err != nil {
		return nil, err
	}
	return &distributionv1.EndFailingResponse{Distribution: v}, nil
}

// leave begins what c chooses; a chore does it.
func (s *Server) leave(ctx context.Context, d *distribution, c choice) error {
	sum, err := s.store.Get(ctx, d.production, d.id)
	if errors.Is(err, store.ErrNotFound) {
		return unknown(d.id)
	}
	if err != nil {
		return unavailable(err)
	}
	if sum.CancelRequested {
		return s.reviveError(d, store.ErrCancelled)
	}
	open := []plan.State{plan.Pending, plan.Ready, plan.Retrying, plan.Running}
	if c.Act == actSkip {
		open = append(open, plan.Failed)
	}
	possible := sum.State != plan.Accepted && sum.Unfinished(open...)
	count, _ := c.each(d.size.Recipients)
	if possible && count <= atOnce {
		possible, err = s.anyToLeave(ctx, d, &c)
		if err != nil {
			return unavailable(err)
		}
	}
	if !possible && c.Act == actSkip {
		return fault.New(fault.Conflict, "NOTHING_TO_SKIP", "nothing that this chooses has failed or waits for another try, so there is nothing to skip")
	}
	if !possible {
		return fault.New(fault.Conflict, "NOTHING_TO_CANCEL", "all that this chooses has come to its end, so there is nothing to cancel; what failed can be skipped")
	}
	id, err := c.id()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	kind := "end_requested"
	if c.Act == actSkip {
		kind = "skip_requested"
	}
	err = s.store.AskAgain(ctx, d.production, d.id, store.Ask{ID: id, Choice: raw, Who: c.By, Text: c.String(), Leaves: true, Kind: kind})
	if err != nil {
		return s.reviveError(d, err)
	}
	s.kickChores()
	s.deps.Log.InfoContext(ctx, "giving up asked for", "distribution", d.id, "production", d.production, "by", c.By, "action", c.Act, "step", c.Step, "code", c.Code)
	return nil
}

// failing reports whether c is about a step of u, as it stands.
func (c *choice) failing(u plan.UnitState, step *plan.Step) bool {
	return (c.Step == "" || c.Step == step.Name) && u.Failing(step.Name, c.Code)
}

// hurts reports whether anything of units is what c is about.
func (c *choice) hurts(d *distribution, units ...plan.UnitState) bool {
	for _, u := range units {
		for i := range d.steps.Steps {
			if c.failing(u, &d.steps.Steps[i]) {
				return true
			}
		}
	}
	return false
}

// leaves is what c makes of one recipient; more is what fails beside their own: of the distribution itself.
func (d *distribution) leaves(c *choice, h household, more bool) plan.Left {
	all := states(h)
	files, items, own := all[:d.size.Files], all[d.size.Files:2*d.size.Files], all[2*d.size.Files]
	if c.Act == actSkip {
		choose := func(u plan.UnitState, step *plan.Step) bool {
			return c.failing(u, step) && (step.Scope != plan.ScopeFile || c.Numbers == nil)
		}
		return plan.Leave(d.steps, d.rules.Join, choose, files, items, own)
	}
	byFailure := c.Numbers == nil && (c.Step != "" || c.Code != "")
	if byFailure && !more && !c.hurts(d, all...) {
		return plan.Left{}
	}
	units := append([]plan.UnitState{own}, items...) // their mail before what it is made of
	l := plan.Drop(d.steps, units)
	if l.Busy && byFailure {
		// What fails is the last to end: until a worker has given back what it has of them it says that they are chosen.
		l.Ends = slices.DeleteFunc(l.Ends, func(st plan.StepOf) bool {
			i := slices.IndexFunc(units, func(u plan.UnitState) bool { return u.Unit == st.Unit })
			step, _ := d.steps.Step(st.Step)
			return c.failing(units[i], step)
		})
	}
	return l
}

// anyToLeave reports whether c changes anything. Of more recipients than a call looks at it is not asked.
func (s *Server) anyToLeave(ctx context.Context, d *distribution, c *choice) (bool, error) {
	whole, left, _, err := s.leavesWhole(ctx, d, c)
	if err != nil || len(left) > 0 {
		return err == nil, err
	}
	any := c.Act == actSkip && len(whole.names)+len(whole.given) > 0
	err = s.slices(ctx, d, c, func(_ int, h household) {
		l := d.leaves(c, h, whole.hurt)
		any = any || l.Busy || len(l.Ends) > 0
	})
	return any, err
}

// wholeLeft is what c makes of the steps of the whole distribution.
type wholeLeft struct {
	names, given []string
	attempts     map[string]int // of given
	busy, hurt   bool
}

// leavesWhole is what c makes of files and of the distribution itself: nothing if it chooses recipients.
func (s *Server) leavesWhole(ctx context.Context, d *distribution, c *choice) (wholeLeft, []plan.Left, household, error) {
	var w wholeLeft
	if c.Numbers != nil {
		return w, nil, nil, nil
	}
	records, err := s.store.Units(ctx, d.production, d.id, append(d.fileUnits(), plan.Unit{}))
	if err != nil {
		return w, nil, nil, err
	}
	all := states(records)
	files, whole := all[:d.size.Files], all[d.size.Files]
	var left []plan.Left
	for _, f := range files {
		var l plan.Left
		switch {
		case c.Act == actSkip:
			l = plan.LeaveFile(d.steps, c.failing, f)
		case c.hurts(d, f) || c.Step == "" && c.Code == "":
			l = plan.Drop(d.steps, []plan.UnitState{f})
		}
		if l.Busy || len(l.Ends) > 0 {
			left = append(left, l)
		}
	}
	w.hurt = c.hurts(d, whole)
	if c.Act == actSkip {
		w.names, w.given, w.busy = plan.LeaveWhole(d.steps, c.failing, whole)
	} else if w.hurt || c.Step == "" && c.Code == "" {
		l := plan.Drop(d.steps, []plan.UnitState{whole})
		w.busy = l.Busy
		for _, st := range l.Ends {
			w.names = append(w.names, st.Step)
		}
	}
	w.attempts = map[string]int{}
	for _, name := range w.given {
		w.attempts[name] = records[d.size.Files].Steps[name].Attempts
	}
	return w, left, records, nil
}

// wholeCursor begins the cursor of a chore that has begun to end steps of the whole distribution, and names them.
const wholeCursor = "whole:"

// leaveSlice does one slice of giving up and lets whoever comes next go on. What it does is guarded by the chore's cursor and by
// the states of steps; whoever goes on after a crash looks again.
func (s *Server) leaveSlice(ctx context.Context, d *distribution, ch store.Chore) error {
	err := s.leaveOn(ctx, d, &ch)
	switch {
	case errors.Is(err, store.ErrTaken):
		return nil
	case errors.Is(err, store.ErrCancelled):
		return s.retried(ctx, d, ch) // that does the rest
	case errors.Is(err, errBusy), errors.Is(err, store.ErrChanged):
		return s.store.PutBack(ctx, ch, notNow)
	}
	return err
}

func (s *Server) leaveOn(ctx context.Context, d *distribution, ch *store.Chore) error {
	raw, err := s.store.Choice(ctx, *ch)
	if err != nil {
		return err
	}
	var c choice
	err = json.Unmarshal(raw, &c)
	if err != nil {
		return fmt.Errorf("giving up of %s: %w", d.id, err)
	}
	sum, err := s.store.Get(ctx, d.production, d.id)
	if err != nil {
		return err
	}
	if sum.CancelRequested {
		return store.ErrCancelled
	}
	if sum.State == plan.Accepted {
		return errBusy // being laid out
	}
	if names, ok := strings.CutPrefix(ch.Cursor, wholeCursor); ok {
		return s.leaveWhole(ctx, d, &c, *ch, strings.Split(names, ","))
	}
	next := 0
	if ch.Cursor != store.FirstCursor {
		next, err = strconv.Atoi(ch.Cursor)
		if err != nil {
			return fmt.Errorf("giving up: cursor %q: %w", ch.Cursor, err)
		}
	}
	whole, _, _, err := s.leavesWhole(ctx, d, &c)
	if err != nil {
		return err
	}
	count, _ := c.each(d.size.Recipients)
	if next >= count {
		return s.leaveRest(ctx, d, &c, *ch)
	}
	numbers := c.slice(d.size.Recipients, next, d.sliceSize())
	known, err := s.households(ctx, d, numbers)
	if err != nil {
		return err
	}
	for i, n := range numbers {
		err = s.leaveOne(ctx, d, &c, *ch, n, known[i], whole.hurt)
		if err != nil {
			// What was passed over need not be looked at again.
			return errors.Join(err, s.step(ctx, d, ch, strconv.Itoa(next+i)))
		}
	}
	err = s.step(ctx, d, ch, strconv.Itoa(next+len(numbers)))
	if err != nil {
		return err
	}
	return s.store.PutBack(ctx, *ch, 0)
}

// step moves the chore's cursor.
func (s *Server) step(ctx context.Context, d *distribution, ch *store.Chore, next string) error {
	if next == ch.Cursor || next == "0" {
		return nil
	}
	_, err := s.store.Proceed(ctx, *ch, d.graph, next)
	if err == nil {
		ch.Cursor = next
	}
	return err
}

// leaveOne gives up what c chooses of recipient n.
func (s *Server) leaveOne(ctx context.Context, d *distribution, c *choice, ch store.Chore, n int, h household, more bool) error {
	for try := range tries {
		if try > 0 {
			known, err := s.households(ctx, d, []int{n})
			if err != nil {
				return err
			}
			h = known[0]
		}
		l := d.leaves(c, h, more)
		if len(l.Ends) == 0 && l.Busy {
			return errBusy
		}
		if len(l.Ends) == 0 {
			return nil
		}
		if len(l.Revivals) > 0 {
			a, err := s.again(ctx, d, n, h, plan.Revived{Revivals: l.Revivals}, nil)
			if err != nil {
				return err
			}
			a.Who, a.Kind, a.Chore, a.Next = c.By, actSkip, ch, ch.Cursor
			err = s.store.Revive(ctx, d.graph, d.production, d.id, a)
			if errors.Is(err, store.ErrChanged) {
				continue
			}
			if err != nil {
				return err
			}
		}
		err := s.store.EndSteps(ctx, ch, d.graph, l.Ends, c.to(), c.By)
		if err != nil {
			return err
		}
	}
	return store.ErrChanged
}

// to is the state in which c ends steps.
func (c *choice) to() plan.State {
	if c.Act == actSkip {
		return plan.Skipped
	}
	return plan.Cancelled
}

// leaveRest gives up what c chooses of files and of the distribution itself, after all recipients.
func (s *Server) leaveRest(ctx context.Context, d *distribution, c *choice, ch store.Chore) error {
	for range tries {
		whole, files, records, err := s.leavesWhole(ctx, d, c)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return s.leaveGiven(ctx, d, c, ch, whole)
		}
		ended := false
		for _, l := range files {
			if len(l.Revivals) > 0 {
				err = s.store.Revive(ctx, d.graph, d.production, d.id, store.Again{
					Revivals: l.Revivals, Attempts: attempts(records, l.Revivals), Documents: d.documents(l.Revivals), Who: c.By, Kind: actSkip,
					Others: store.Others(d.steps, states(records)[:d.size.Files], plan.Revived{Revivals: l.Revivals}), Chore: ch, Next: ch.Cursor,
				})
				if err != nil {
					return err
				}
			}
			err = s.store.EndSteps(ctx, ch, d.graph, l.Ends, c.to(), c.By)
			if err != nil {
				return err
			}
			ended = ended || len(l.Ends) > 0
		}
		if !ended {
			return errBusy
		}
		s.kickChores() // items are told of files in slices
	}
	return store.ErrChanged
}

// leaveGiven begins to end steps of the whole distribution: those that were given up wait again first.
func (s *Server) leaveGiven(ctx context.Context, d *distribution, c *choice, ch store.Chore, whole wholeLeft) error {
	switch {
	case len(whole.names) == 0 && whole.busy:
		return errBusy
	case len(whole.names) == 0:
		return s.retried(ctx, d, ch)
	}
	next := wholeCursor + strings.Join(whole.names, ",")
	if len(whole.given) == 0 {
		_, err := s.store.Proceed(ctx, ch, d.graph, next)
		if err != nil {
			return err
		}
	} else {
		err := s.store.Revive(ctx, d.graph, d.production, d.id, store.Again{Whole: whole.attempts, Who: c.By, Kind: actSkip, Chore: ch, Next: next})
		if err != nil {
			return err
		}
	}
	ch.Cursor = next
	return s.leaveWhole(ctx, d, c, ch, whole.names)
}

// leaveWhole ends steps of the whole distribution, and the chore.
func (s *Server) leaveWhole(ctx context.Context, d *distribution, c *choice, ch store.Chore, names []string) error {
	var steps []plan.StepOf
	for _, name := range names {
		steps = append(steps, plan.StepOf{Step: name})
	}
	err := s.store.EndSteps(ctx, ch, d.graph, steps, c.to(), c.By)
	if err != nil {
		return err
	}
	records, err := s.store.Units(ctx, d.production, d.id, []plan.Unit{{}})
	if err != nil {
		return err
	}
	for _, name := range names {
		if !records[0].Steps[name].State.Final() {
			return errBusy
		}
	}
	return s.retried(ctx, d, ch)
}
