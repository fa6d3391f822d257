// Package replay makes the states of a distribution's steps, items and deliveries from its events alone. It is pure, and knows
// nothing of how the orchestrator comes to them: where both agree, the events tell all.
//
// What is between two events is not told, and it is the same for nobody: an attempt is an event when it ends, so a step that
// has not ended is open, whether a worker has it or not, and so are its item and its delivery. When a distribution is cancelled
// its steps end one by one, and only the end of the last is an event. Of an ended distribution every state is exact.
package replay

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/services/observer/internal/event"
)

// Step is one step of what a distribution runs.
type Step struct {
	Name, Scope string // scope: distribution file item recipient
	Needs       []string
	Optional    bool
	// Delivers: it is the required delivery of a recipient.
	Delivers bool
}

// Plan is what a distribution runs.
type Plan struct {
	// Steps are in an order in which each comes after what it needs.
	Steps             []Step
	Files, Recipients int
	// Hold: a recipient of whom something failed gets nothing; else what there is.
	Hold bool
}

// Open is the state of what has not ended.
const Open = "open"

// States are what events make.
type States struct {
	// Steps are by "unit/step": done failed skipped cancelled, or open.
	Steps map[string]string
	// Items are by "file.recipient": done failed skipped cancelled, or open.
	Items map[string]string
	// Deliveries are by recipient, from 1: the states of deliveries; nil when nothing is delivered. One that has not been tried
	// is queued.
	Deliveries map[int]string
	// Distribution is its state.
	Distribution string
}

// Replay makes states from all events of a distribution, in order.
func Replay(p Plan, events []event.Event) (States, error) {
	r := newReplayer(p)
	for i := range events {
		err := r.event(&events[i])
		if err != nil {
			return States{}, fmt.Errorf("event %s: %w", events[i].ID, err)
		}
	}
	return r.states(), nil
}

// unit is what is there once: files and recipients are counted from 1, and 0 is none.
type unit struct{ file, recipient int }

func (u unit) String() string {
	switch {
	case u.file > 0 && u.recipient > 0:
		return fmt.Sprintf("i%d.%d", u.file, u.recipient)
	case u.file > 0:
		return "f" + strconv.Itoa(u.file)
	case u.recipient > 0:
		return "r" + strconv.Itoa(u.recipient)
	}
	return "d"
}

func parseUnit(s string) (unit, error) {
	var u unit
	var err1, err2 error
	switch {
	case s == "d":
		return u, nil
	case strings.HasPrefix(s, "f"):
		u.file, err1 = strconv.Atoi(s[1:])
	case strings.HasPrefix(s, "r"):
		u.recipient, err1 = strconv.Atoi(s[1:])
	case strings.HasPrefix(s, "i"):
		f, n, _ := strings.Cut(s[1:], ".")
		u.file, err1 = strconv.Atoi(f)
		u.recipient, err2 = strconv.Atoi(n)
	}
	if err1 != nil || err2 != nil || u.String() != s {
		return u, fmt.Errorf("%q is no unit", s)
	}
	return u, nil
}

// A step of a unit waits, or may be tried, or has ended.
const (
	waiting   = "waiting"
	ready     = "ready"
	done      = "done"
	failed    = "failed"
	skipped   = "skipped"
	cancelled = "cancelled"
)

// record is a step of a unit.
type record struct {
	state string
	// told is what it told those that need it when it ended: ok, bad, cancelled, or left: it is neither there nor missing.
	told string
}

func (r *record) ended() bool { return r.told != "" }

type replayer struct {
	plan       Plan
	records    map[unit][]record // by step, in the plan's order
	deliveries map[int]string
	state      string
	paused     bool
	stopping   bool // somebody, or too many failures, cancelled it
}

func newReplayer(p Plan) *replayer {
	r := &replayer{plan: p, records: map[unit][]record{}, state: "accepted"}
	for i, s := range p.Steps {
		if s.Delivers {
			r.deliveries = map[int]string{}
			for n := range p.Recipients {
				r.deliveries[n+1] = "queued"
			}
		}
		r.each(s.Scope, func(u unit) {
			if r.records[u] == nil {
				r.records[u] = make([]record, len(p.Steps))
			}
			r.records[u][i].state = ready
			if len(s.Needs) > 0 {
				r.records[u][i].state = waiting
			}
		})
	}
	return r
}

// each calls do with all units of a scope.
func (r *replayer) each(scope string, do func(unit)) {
	switch scope {
	case "file":
		for f := range r.plan.Files {
			do(unit{file: f + 1})
		}
	case "recipient":
		for n := range r.plan.Recipients {
			do(unit{recipient: n + 1})
		}
	case "item":
		for f := range r.plan.Files {
			for n := range r.plan.Recipients {
				do(unit{f + 1, n + 1})
			}
		}
	default:
		do(unit{})
	}
}

func (r *replayer) find(name string) (int, error) {
	i := slices.IndexFunc(r.plan.Steps, func(s Step) bool { return s.Name == name })
	if i < 0 {
		return 0, fmt.Errorf("there is no step %q", name)
	}
	return i, nil
}

func (r *replayer) event(e *event.Event) error {
	switch e.Kind {
	case "planned":
		r.state = "running"
		if r.paused {
			r.state = "paused"
		}
	case "paused", "resumed":
		r.paused = e.Kind == "paused"
		if r.state == "running" || r.state == "paused" {
			r.state = "running"
			if r.paused {
				r.state = "paused"
			}
		}
	case "cancel_requested", "stopped":
		r.stopping = true
	case "retry_requested":
		r.revive()
		r.paused = r.paused && r.state == "paused"
	case "retry", "resend", "skip":
		r.revive()
		return r.again(e)
	case "skip_requested", "end_requested":
		r.revive()
		r.paused = r.paused && r.state == "paused"
	case skipped, cancelled:
		return r.givenUp(e)
	case "attempt":
		return r.attempt(e)
	case "ended":
		r.state = e.State
		if r.stopping {
			r.endAll()
		}
	}
	return nil
}

// revive: one that had ended runs again.
func (r *replayer) revive() {
	switch r.state {
	case "completed", "completed_with_failures", failed, cancelled:
		r.state = "running"
	}
}

// of is what an event about a step is about.
func (r *replayer) of(e *event.Event) (unit, int, error) {
	u, err := parseUnit(e.Unit)
	if err != nil {
		return u, 0, err
	}
	i, err := r.find(e.Step)
	if err != nil {
		return u, 0, err
	}
	if r.records[u] == nil || r.records[u][i].state == "" {
		return u, 0, fmt.Errorf("there is no step %s of %s", e.Step, e.Unit)
	}
	return u, i, nil
}

// givenUp: a person had a step end that no worker had.
func (r *replayer) givenUp(e *event.Event) error {
	u, i, err := r.of(e)
	if err != nil {
		return err
	}
	told := "left"
	if e.Kind == cancelled {
		told = cancelled
	}
	if r.plan.Steps[i].Delivers {
		r.deliveries[u.recipient] = cancelled
	}
	r.end(u, i, e.Kind, told)
	return nil
}

// attempt: a step was tried, and entered a state by that.
func (r *replayer) attempt(e *event.Event) error {
	u, i, err := r.of(e)
	if err != nil {
		return err
	}
	if r.plan.Steps[i].Delivers {
		r.deliveries[u.recipient] = delivered(e)
	}
	switch e.State {
	case done, skipped:
		r.end(u, i, e.State, "ok")
	case failed:
		r.end(u, i, e.State, "bad")
	case cancelled:
		r.end(u, i, e.State, "cancelled")
	default:
		r.records[u][i] = record{state: ready}
	}
	return nil
}

// delivered is the state that an attempt to deliver leads to.
func delivered(e *event.Event) string {
	switch e.State {
	case done:
		return "sent"
	case skipped, cancelled:
		return cancelled
	case failed:
		return cmp.Or(e.Delivery, failed)
	case "retrying":
		return "deferred"
	}
	return "queued" // the worker was lost before it sent anything
}

// end: a step has ended, and those that wait for it hear of that.
func (r *replayer) end(u unit, i int, state, told string) {
	if told == "bad" && r.plan.Steps[i].Optional {
		told = "ok"
	}
	r.records[u][i] = record{state, told}
	name, scope := r.plan.Steps[i].Name, r.plan.Steps[i].Scope
	for j := range r.plan.Steps {
		s := &r.plan.Steps[j]
		if !slices.Contains(s.Needs, name) {
			continue
		}
		switch {
		case s.Scope == scope:
			r.decide(u, j)
		case s.Scope == "distribution":
			r.decide(unit{}, j)
		case s.Scope == "recipient":
			r.decide(unit{recipient: u.recipient}, j)
		default:
			for n := range r.plan.Recipients {
				r.decide(unit{u.file, n + 1}, j)
			}
		}
	}
}

// needed calls do with all that step i of u waits for; near says that it is of the same unit.
func (r *replayer) needed(u unit, i int, do func(rec *record, near bool)) {
	mine := &r.plan.Steps[i]
	for _, name := range mine.Needs {
		j, err := r.find(name)
		if err != nil {
			continue // left out
		}
		switch from := r.plan.Steps[j].Scope; {
		case from == mine.Scope:
			do(&r.records[u][j], true)
		case mine.Scope == "distribution":
			r.each(from, func(v unit) { do(&r.records[v][j], false) })
		case mine.Scope == "recipient":
			for f := range r.plan.Files {
				do(&r.records[unit{f + 1, u.recipient}][j], false)
			}
		default:
			do(&r.records[unit{file: u.file}][j], false)
		}
	}
}

// decide: once all that a waiting step needs has ended, it may be tried, or ends, too.
func (r *replayer) decide(u unit, i int) {
	rec := &r.records[u][i]
	if rec.state != waiting {
		return
	}
	all, ok, bad, hard, stop := true, false, false, false, false
	r.needed(u, i, func(n *record, near bool) {
		switch n.told {
		case "":
			all = false
		case "ok":
			ok = true
		case "bad":
			bad, hard = true, hard || near
		case "cancelled":
			stop = true
		}
	})
	s := &r.plan.Steps[i]
	available := s.Scope == "recipient" && !r.plan.Hold
	switch {
	case !all:
	case r.stopping, stop && !bad:
		r.giveUp(u, i, "cancelled", cancelled)
	case bad && (hard || !(available && ok)):
		r.giveUp(u, i, "bad", failed)
	default:
		rec.state = ready
	}
}

// giveUp ends a step that is not tried.
func (r *replayer) giveUp(u unit, i int, told, delivery string) {
	if r.plan.Steps[i].Delivers {
		r.deliveries[u.recipient] = delivery
	}
	r.end(u, i, cancelled, told)
}

// again: steps run again, or wait again.
func (r *replayer) again(e *event.Event) error {
	if len(e.Again) == 0 {
		return fmt.Errorf("it does not say which steps run again, as events of earlier versions did not")
	}
	type at struct {
		u unit
		i int
	}
	var steps []at
	for _, name := range e.Again {
		text, step, _ := strings.Cut(name, "/")
		u, err := parseUnit(text)
		if err != nil {
			return err
		}
		i, err := r.find(step)
		if err != nil {
			return err
		}
		if r.records[u] == nil || r.records[u][i].state == "" {
			return fmt.Errorf("there is no step %s", name)
		}
		steps = append(steps, at{u, i})
		r.records[u][i] = record{state: waiting}
		if r.plan.Steps[i].Delivers {
			r.deliveries[u.recipient] = "queued"
		}
	}
	for _, s := range steps {
		all := true
		r.needed(s.u, s.i, func(n *record, _ bool) { all = all && n.ended() })
		if all {
			r.records[s.u][s.i].state = ready
		}
	}
	return nil
}

// endAll: it was cancelled, and all that had not ended has.
func (r *replayer) endAll() {
	for u, steps := range r.records {
		for i := range steps {
			if steps[i].state == "" || steps[i].ended() {
				continue
			}
			steps[i] = record{cancelled, "cancelled"}
			if r.plan.Steps[i].Delivers {
				r.deliveries[u.recipient] = cancelled
			}
		}
	}
}

func (r *replayer) states() States {
	out := States{Steps: map[string]string{}, Items: map[string]string{}, Deliveries: r.deliveries, Distribution: r.state}
	for u, steps := range r.records {
		for i := range steps {
			switch {
			case steps[i].state == "":
			case steps[i].ended():
				out.Steps[u.String()+"/"+r.plan.Steps[i].Name] = steps[i].state
			default:
				out.Steps[u.String()+"/"+r.plan.Steps[i].Name] = Open
			}
		}
	}
	for f := range r.plan.Files {
		for n := range r.plan.Recipients {
			out.Items[fmt.Sprintf("%d.%d", f+1, n+1)] = r.item(unit{f + 1, n + 1})
		}
	}
	return out
}

// badness is how bad the ends of an item's steps are for it: the worst is the item's.
var badness = []string{skipped, "made", cancelled, failed}

// item is an item's state: by its own steps, and once these have ended well by its recipient's delivery.
func (r *replayer) item(u unit) string {
	worst := -1
	for i, rec := range r.records[u] {
		if rec.state == "" {
			continue
		}
		end := cancelled
		switch {
		case !rec.ended():
			return Open
		case rec.state == skipped:
			end = skipped
		case rec.told == "ok" || r.plan.Steps[i].Optional:
			end = "made"
		case rec.told == "bad":
			end = failed
		}
		worst = max(worst, slices.Index(badness, end))
	}
	if worst >= 0 && badness[worst] != "made" {
		return badness[worst]
	}
	if r.deliveries == nil {
		return done
	}
	switch r.deliveries[u.recipient] {
	case "sent", "delivered", "complained":
		return done
	case "bounced", "blocked", failed, "uncertain":
		return failed
	case cancelled:
		return cancelled
	}
	return Open
}
