// Package model says in plain Go what the store promises of distributions: which step is in which state after what, what
// waits for what, what is counted, and what may be handed out. It knows no queues, leases or scripts, counts nothing that
// it can derive, and lets anything happen that is promised. Tests hold Redis against it after every operation, and search
// small cases of it exhaustively.
package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Ref names a step of a unit.
type Ref struct {
	Unit plan.Unit
	Step string
}

func (r Ref) String() string { return r.Unit.String() + "/" + r.Step }

// Ending is how a step ended, for what waits for it.
type Ending struct {
	From Ref
	Word string // ok, bad, cancelled
	Code string // why, if bad
	// Near: it is of the same unit's scope, so it cannot be done without.
	Near bool
}

// Step is one step of one unit.
type Step struct {
	Def        *plan.Step
	State      plan.State
	Attempt    int
	Worker     string
	Tally      plan.Tally
	Checkpoint string
	Code       string
	Key        string // its exclusive key
	Dup        bool
	// Waits are the steps that it waits for, Told those of them that have ended, in that order.
	Waits map[Ref]bool
	Told  []Ending
	// Word is what it told those that wait for it, once it has ended.
	Word string
}

// Distribution is one distribution as it should be.
type Distribution struct {
	ID, Production string
	Def            *plan.Definition
	Size           plan.Size
	Join           plan.Join
	Tolerate       *int
	Priority       int
	Deadline       int64 // ms since 1970
	Hold           bool  // the undo window is open
	Parent         string
	// Prompt: items are told at once how their file's steps end, as they are few.
	Prompt bool

	State      plan.DistributionState
	Cancelled  bool
	Stop       plan.Stop
	Paused     bool
	LaidOut    int // units
	Steps      map[Ref]*Step
	Deliveries map[int]plan.Delivery
	// Begun are the items of which a step was handed out, since they were last asked for.
	Begun map[plan.Unit]bool
	// Fans are the steps of files of which items are still to be told, with how many have been.
	Fans map[Ref]*Fan
	// Asks are wishes that steps run again, under way.
	Asks map[string]bool
	// Violations are promises that were broken inside the model itself.
	Violations []string
}

// Fan is the telling of a file's items how a step of the file ended.
type Fan struct {
	Told   int
	Ending Ending
}

// New is a distribution that was just accepted.
func New(id, production string, d *plan.Definition, size plan.Size, join plan.Join) *Distribution {
	m := &Distribution{ID: id, Production: production, Def: d, Size: size, Join: join, State: plan.Accepted,
		Steps: map[Ref]*Step{}, Deliveries: map[int]plan.Delivery{}, Begun: map[plan.Unit]bool{}, Fans: map[Ref]*Fan{}, Asks: map[string]bool{}}
	for n := range size.Units() {
		u := size.UnitAt(n)
		for i := range d.Steps {
			st := &d.Steps[i]
			if st.Scope != u.Scope() {
				continue
			}
			s := &Step{Def: st, State: plan.Ready, Waits: map[Ref]bool{}}
			for _, need := range m.needs(Ref{u, st.Name}) {
				s.State = plan.Pending
				s.Waits[need] = true
			}
			m.Steps[Ref{u, st.Name}] = s
			if st.Delivers != "" {
				m.Deliveries[u.Recipient] = plan.Queued
			}
		}
	}
	return m
}

// needs lists the steps of units that a step waits for.
func (d *Distribution) needs(r Ref) []Ref {
	st, _ := d.Def.Step(r.Step)
	var out []Ref
	for _, name := range st.Needs {
		need, _ := d.Def.Step(name)
		for n := range d.Size.Units() {
			u := d.Size.UnitAt(n)
			if u.Scope() == need.Scope && concerns(u, r.Unit) {
				out = append(out, Ref{u, name})
			}
		}
	}
	return out
}

// concerns reports whether what happens to unit from is of concern for unit to.
func concerns(from, to plan.Unit) bool {
	return (to.File == 0 || from.File == to.File) && (to.Recipient == 0 || from.Recipient == 0 || from.Recipient == to.Recipient)
}

// Lay says that the units up to the n-th are laid out.
func (d *Distribution) Lay(n int) {
	d.LaidOut = n
	if n >= d.Size.Units() {
		d.State = plan.InProgress
		if d.Paused {
			d.State = plan.Paused
		}
	}
}

// Barred says why a step of it must not be handed out, apart from pauses and limits; empty when it may.
func (d *Distribution) Barred(r Ref) string {
	s := d.Steps[r]
	switch {
	case s == nil:
		return "there is no such step"
	case s.State != plan.Ready:
		return "it is " + string(s.State)
	case d.Cancelled:
		return "its distribution was cancelled"
	case d.State != plan.InProgress:
		return "its distribution is " + string(d.State)
	}
	return ""
}

// Start hands a step to a worker.
func (d *Distribution) Start(r Ref, worker string) {
	s := d.Steps[r]
	d.enter(r, plan.Running)
	s.Attempt++
	s.Worker = worker
	if r.Unit.Scope() == plan.ScopeItem {
		d.Begun[r.Unit] = true
	}
	if s.Def.Delivers != "" {
		d.deliver(r.Unit.Recipient, plan.Sending)
	}
}

// Holds reports whether an attempt is the current one, and running.
func (d *Distribution) Holds(r Ref, attempt int, worker string) bool {
	s := d.Steps[r]
	return s != nil && s.State == plan.Running && s.Attempt == attempt && s.Worker == worker
}

func (d *Distribution) enter(r Ref, to plan.State) {
	s := d.Steps[r]
	err := plan.Check(s.State, to)
	if err != nil {
		d.broken("%s: %v", r, err)
	}
	s.State = to
}

func (d *Distribution) deliver(recipient int, to plan.Delivery) {
	from, ok := d.Deliveries[recipient]
	if !ok || from == to {
		return
	}
	d.Deliveries[recipient] = to
}

func (d *Distribution) broken(format string, args ...any) {
	d.Violations = append(d.Violations, fmt.Sprintf(format, args...))
}

// Answer is what becomes of an attempt's end.
type Answer int

const (
	Applied Answer = iota + 1
	Already
	Refused
)

// End is the end of an attempt; Attempt 0 is whatever attempt there is.
type End struct {
	Ref
	Attempt int
	Worker  string
	From    []plan.State
	Outcome plan.Outcome
	// Keep: what was recorded stays, whatever the outcome says.
	Keep bool
}

// Settle applies ends of attempts in order.
func (d *Distribution) Settle(ends ...End) []Answer {
	var out []Answer
	changed := false
	for _, e := range ends {
		a := d.settle(e)
		changed = changed || a == Applied
		out = append(out, a)
	}
	d.after(changed)
	return out
}

func (d *Distribution) settle(e End) Answer {
	s := d.Steps[e.Ref]
	if s == nil || e.Attempt > 0 && (s.Attempt != e.Attempt || s.Worker != e.Worker) {
		return Refused
	}
	o := e.Outcome
	word := wordOf(o.To)
	if d.Cancelled && word == "" {
		o.To, word, o.Delivery = plan.Cancelled, "cancelled", plan.Withdrawn
		if o.MaybeSent {
			o.To, word, o.Delivery = plan.Failed, "bad", plan.Uncertain
		}
	}
	if s.State == o.To {
		return Already
	}
	if !slices.Contains(e.From, s.State) {
		return Refused
	}
	if e.Outcome.Code != "" && e.Attempt > 0 {
		s.Tally = o.Tally
	}
	switch {
	case o.Checkpoint != "":
		s.Checkpoint = o.Checkpoint
	case !o.KeepCheckpoint && !e.Keep:
		s.Checkpoint = ""
	}
	s.Dup = s.Dup || o.MaybeSent
	if o.Code != "" {
		s.Code = o.Code
	} else if o.To == plan.Done {
		s.Code = ""
	}
	if word != "" {
		d.finish(e.Ref, o.To, word, o.Code, o.Delivery)
		return Applied
	}
	d.enter(e.Ref, o.To)
	if s.Def.Delivers != "" && o.Delivery != "" {
		d.deliver(e.Unit.Recipient, o.Delivery)
	}
	return Applied
}

func wordOf(s plan.State) string {
	switch s {
	case plan.Done, plan.Skipped:
		return "ok"
	case plan.Failed:
		return "bad"
	case plan.Cancelled:
		return "cancelled"
	}
	return ""
}

// finish ends a step and tells what waits for it.
func (d *Distribution) finish(r Ref, to plan.State, word, code string, delivery plan.Delivery) {
	s := d.Steps[r]
	d.enter(r, to)
	if code != "" {
		s.Code = code
	}
	if s.Def.Delivers != "" && delivery != "" {
		d.deliver(r.Unit.Recipient, delivery)
	}
	if word == "bad" && s.Def.Optional {
		word = "ok"
	}
	s.Word = word
	ending := Ending{From: r, Word: word, Code: code}
	fan := false
	for _, dep := range d.Def.Dependents(r.Step) {
		if s.Def.Scope == plan.ScopeFile && dep.Scope == plan.ScopeItem {
			fan = true
			continue
		}
		to := Ref{plan.Unit{}, dep.Name}
		switch dep.Scope {
		case s.Def.Scope:
			to.Unit = r.Unit
		case plan.ScopeRecipient:
			to.Unit = plan.Unit{Recipient: r.Unit.Recipient}
		}
		near := ending
		near.Near = dep.Scope == s.Def.Scope
		d.tell(r, to, near)
	}
	switch {
	case fan && d.Prompt:
		d.Fans[r] = &Fan{Ending: ending}
		d.told(r, d.Size.Recipients)
	case fan:
		d.Fans[r] = &Fan{Ending: ending}
	}
}

// Tell tells the next n items of a file how a step of it ended.
func (d *Distribution) Tell(r Ref, n int) {
	f := d.Fans[r]
	if f == nil {
		d.broken("%s is told again", r)
		return
	}
	d.told(r, n)
	d.after(true)
}

func (d *Distribution) told(r Ref, n int) {
	f := d.Fans[r]
	to := min(f.Told+n, d.Size.Recipients)
	for i := f.Told + 1; i <= to; i++ {
		for _, dep := range d.Def.Dependents(r.Step) {
			if dep.Scope == plan.ScopeItem {
				d.tell(r, Ref{plan.Unit{File: r.Unit.File, Recipient: i}, dep.Name}, f.Ending)
			}
		}
	}
	f.Told = to
	if to == d.Size.Recipients {
		delete(d.Fans, r)
	}
}

// tell moves what waits for a step that ended. With the last of what it waits for it becomes ready, or ends, too.
func (d *Distribution) tell(from, to Ref, e Ending) {
	s := d.Steps[to]
	if !s.Waits[from] {
		return // it has counted that end when somebody asked for it again
	}
	if s.State != plan.Pending {
		delete(s.Waits, from)
		return
	}
	delete(s.Waits, from)
	s.Told = append(s.Told, e)
	d.decide(to)
}

// decide moves a step that waits for nothing any more. One of the whole distribution waits for wishes, too.
func (d *Distribution) decide(to Ref) {
	s := d.Steps[to]
	if len(s.Waits) > 0 || s.Def.Scope == plan.ScopeDistribution && len(d.Asks) > 0 && !d.Cancelled {
		return
	}
	var ok, bad, hard, stop bool
	code := ""
	for _, t := range s.Told {
		ok = ok || t.Word == "ok"
		stop = stop || t.Word == "cancelled"
		if t.Word == "bad" {
			if code == "" {
				code = t.Code
			}
			bad, hard = true, hard || t.Near
		}
	}
	join := plan.JoinAll
	if s.Def.Scope == plan.ScopeRecipient {
		join = d.Join
	}
	switch {
	case d.Cancelled || stop && !bad:
		d.finish(to, plan.Cancelled, "cancelled", "CANCELLED", plan.Withdrawn)
	case bad && (hard || join != plan.JoinAvailable || !ok):
		d.finish(to, plan.Cancelled, "bad", code, plan.NotSent)
	case s.Def.Reaches && d.Hold:
		d.enter(to, plan.Retrying)
	default:
		d.enter(to, plan.Ready)
	}
}

// Ask begins a wish.
func (d *Distribution) Ask(id string) {
	d.Asks[id] = true
	if d.State.Final() {
		d.State, d.Paused = plan.InProgress, false
	}
}

// Fulfil ends a wish.
func (d *Distribution) Fulfil(id string) {
	delete(d.Asks, id)
	for _, st := range d.Def.Whole() {
		r := Ref{plan.Unit{}, st.Name}
		if d.Steps[r].State == plan.Pending {
			d.decide(r)
		}
	}
	d.after(true)
}

// Promote makes steps ready whose time has come.
func (d *Distribution) Promote(refs ...Ref) {
	var ends []End
	for _, r := range refs {
		ends = append(ends, End{Ref: r, From: []plan.State{plan.Retrying}, Outcome: plan.Outcome{To: plan.Ready}, Keep: true})
	}
	d.Settle(ends...)
}

// EndCancelled cancels what of the n units from the first on is not with a worker.
func (d *Distribution) EndCancelled(first, n int) {
	changed := false
	for i := first; i < min(first+n, d.Size.Units()); i++ {
		for _, st := range d.Def.Steps {
			u := d.Size.UnitAt(i)
			s := d.Steps[Ref{u, st.Name}]
			if st.Scope != u.Scope() || s.State == plan.Running || s.State.Final() {
				continue
			}
			s.Checkpoint = ""
			delivery := plan.NoDelivery
			if st.Delivers != "" {
				delivery = plan.Withdrawn
			}
			d.finish(Ref{u, st.Name}, plan.Cancelled, "cancelled", "CANCELLED", delivery)
			changed = true
		}
	}
	d.after(changed)
}

// after stops a distribution of which too much has failed, and ends one of which nothing is open.
func (d *Distribution) after(changed bool) {
	if !changed || d.State.Final() {
		return
	}
	items := d.Items()
	if d.Tolerate != nil && !d.Cancelled && items[plan.ItemFailed] > *d.Tolerate {
		d.Cancelled, d.Stop = true, plan.ByFailures
	}
	if len(d.Asks) > 0 {
		return
	}
	bad := items[plan.ItemDone] < d.Size.Items()
	for _, s := range d.Steps {
		if !s.State.Final() {
			return
		}
		bad = bad || !s.Def.Optional && (s.State == plan.Failed || s.State == plan.Cancelled)
	}
	stop := d.Stop
	if d.Cancelled && stop == plan.NotStopped {
		stop = plan.ByPerson
	}
	to := plan.Ending(stop, items[plan.ItemDone] > 0, bad)
	err := plan.CheckDistribution(d.State, to)
	if err != nil {
		d.broken("%v", err)
	}
	d.State = to
}

// Phase is how far an item's own steps are.
func (d *Distribution) Phase(u plan.Unit) plan.Phase {
	worst := plan.PhaseSkipped
	none := true
	for i := range d.Def.Steps {
		s := d.Steps[Ref{u, d.Def.Steps[i].Name}]
		if s == nil {
			continue
		}
		none = false
		if !s.State.Final() {
			if d.Begun[u] {
				return plan.PhaseRunning
			}
			return plan.PhasePending
		}
		p := plan.PhaseMade
		switch {
		case s.State == plan.Skipped:
			p = plan.PhaseSkipped
		case s.Def.Optional:
			// No item is the worse for it, also not when it was cancelled.
		case s.Word == "bad":
			p = plan.PhaseFailed
		case s.Word == "cancelled":
			p = plan.PhaseCancelled
		}
		if slices.Index(plan.Phases, p) > slices.Index(plan.Phases, worst) {
			worst = p
		}
	}
	if none {
		return plan.PhasePending
	}
	return worst
}

// Items counts items by state.
func (d *Distribution) Items() map[plan.ItemState]int {
	out := map[plan.ItemState]int{}
	for f := 1; f <= d.Size.Files; f++ {
		for r := 1; r <= d.Size.Recipients; r++ {
			out[plan.Item(d.Phase(plan.Unit{File: f, Recipient: r}), d.Deliveries[r])]++
		}
	}
	return out
}

// Counters are all counters of its record, without those that are 0.
func (d *Distribution) Counters() map[string]int {
	out := map[string]int{}
	if len(d.Asks) > 0 {
		out["open"] = len(d.Asks)
	}
	for r, s := range d.Steps {
		out["s:"+r.Step+":"+string(s.State)]++
		if !s.State.Final() {
			out["open"]++
		}
	}
	for _, v := range d.Deliveries {
		out["v:"+string(v)]++
	}
	for f := 1; f <= d.Size.Files; f++ {
		for r := 1; r <= d.Size.Recipients; r++ {
			p := d.Phase(plan.Unit{File: f, Recipient: r})
			if p == plan.PhaseMade {
				out["m:"+string(d.Deliveries[r])]++
			} else {
				out["i:"+string(p)]++
			}
		}
	}
	return out
}

// States are the states of the steps of units, for plan.Revive.
func (d *Distribution) States(units ...plan.Unit) []plan.UnitState {
	var out []plan.UnitState
	for _, u := range units {
		st := plan.UnitState{Unit: u, Phase: d.Phase(u), Steps: map[string]plan.State{}}
		for _, def := range d.Def.Steps {
			s := d.Steps[Ref{u, def.Name}]
			if s != nil {
				st.Steps[def.Name] = s.State
			}
		}
		out = append(out, st)
	}
	return out
}

// Revive makes steps run again. What they wait for follows from the states of what they need. wanted are steps of the whole
// distribution that are asked for themselves.
func (d *Distribution) Revive(revivals []plan.Revival, wanted ...string) {
	for _, r := range revivals {
		p := d.Phase(r.Unit)
		if p != plan.PhasePending && p != plan.PhaseRunning {
			delete(d.Begun, r.Unit)
		}
	}
	moved := map[string]bool{}
	for _, r := range revivals {
		d.again(Ref{r.Unit, r.Step.Name}, r.To)
		moved[r.Step.Name] = true
	}
	for _, r := range revivals {
		left := d.recount(Ref{r.Unit, r.Step.Name})
		if (left == 0) != (r.To == plan.Ready) {
			d.broken("%s/%s is revived as %s while it waits for %d", r.Unit, r.Step.Name, r.To, left)
		}
	}
	d.rejoin(moved, wanted)
	if d.State.Final() && (len(revivals) > 0 || len(moved) > 0) {
		d.State = plan.InProgress
	}
}

// rejoin is what becomes of steps of the whole distribution when those in moved run again: what has not begun waits for them
// again, what was given up runs after them, and what is done or has begun stays as it is. Only what needs another step of the
// whole distribution that runs again runs again, too, when it is done.
func (d *Distribution) rejoin(moved map[string]bool, wanted []string) {
	near := map[string]bool{}
	for _, st := range d.Def.Whole() {
		r := Ref{plan.Unit{}, st.Name}
		s := d.Steps[r]
		hears := slices.ContainsFunc(st.Needs, func(n string) bool { return moved[n] })
		after := slices.ContainsFunc(st.Needs, func(n string) bool { return near[n] })
		given := s.State == plan.Failed || s.State == plan.Cancelled
		switch {
		case s.State == plan.Pending && hears:
			d.recount(r)
			moved[st.Name] = true
		case (s.State == plan.Ready || s.State == plan.Retrying) && hears && s.Checkpoint == "":
			d.again(r, plan.Pending)
			d.recount(r)
			moved[st.Name] = true
		case s.State.Final() && (after || given && (hears || slices.Contains(wanted, st.Name))):
			was := *s
			left := d.recount(r)
			bad := slices.ContainsFunc(s.Told, func(e Ending) bool { return e.Word == "bad" })
			if left == 0 && bad {
				*s = was
				continue
			}
			d.again(r, plan.Pending)
			if left == 0 && len(d.Asks) == 0 {
				d.Steps[r].State = plan.Ready
				if st.Reaches && d.Hold {
					d.Steps[r].State = plan.Retrying
				}
			}
			moved[st.Name], near[st.Name] = true, true
		}
	}
}

// again puts a step back.
func (d *Distribution) again(r Ref, to plan.State) {
	s := d.Steps[r]
	err := plan.CheckRevival(s.State, to)
	if err != nil {
		d.broken("%s: %v", r, err)
	}
	ended := s.State.Final()
	// What has not ended goes on with what is known of it; that a message may be out is not forgotten.
	if ended || s.State != plan.Retrying || s.Def.Delivers == "" {
		s.Checkpoint = ""
	}
	if ended {
		s.Tally = plan.Tally{}
	}
	s.State, s.Code, s.Word = to, "", ""
	if to == plan.Ready && s.Def.Reaches && d.Hold {
		s.State = plan.Retrying
	}
	if s.Def.Delivers != "" {
		d.Deliveries[r.Unit.Recipient] = plan.Queued
	}
}

// recount finds what a step waits for, and what it was told, from the states of what it needs. It returns the number of the
// former.
func (d *Distribution) recount(r Ref) int {
	s := d.Steps[r]
	s.Waits, s.Told = map[Ref]bool{}, nil
	for _, need := range d.needs(r) {
		n := d.Steps[need]
		if !n.State.Final() {
			s.Waits[need] = true
			continue
		}
		word := n.Word
		if word == "cancelled" {
			word = "bad" // who asks again does not undo a cancellation
		}
		s.Told = append(s.Told, Ending{From: need, Word: word, Code: n.Code, Near: n.Def.Scope == s.Def.Scope})
	}
	return len(s.Waits)
}

// Refs lists its steps in a fixed order.
func (d *Distribution) Refs() []Ref {
	refs := slices.Collect(maps.Keys(d.Steps))
	slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.String(), b.String()) })
	return refs
}
