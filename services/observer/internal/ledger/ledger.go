// Package ledger says where a distribution's wall time went: along the path of steps that decided when it ended, every
// instant belongs to exactly one part, so the parts add up to the whole.
//
// The path is walked from the end backwards, as in the critical path method: an attempt is what the next one waited for,
// before it stands the time in which its step was ready or backed off, and before that the attempt of the dependency that
// ended last. It is pure: the same events give the same ledger.
package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
)

// Kind is what a part of the time was spent on.
type Kind string

// The kinds.
const (
	Waiting Kind = "waiting" // for others, for a person, in the undo window, in a pause
	Slot    Kind = "slot"    // ready, and no worker took it
	Limit   Kind = "limit"   // ready, and a limit was full
	Backoff Kind = "backoff" // failed, and not yet to be tried again
	Service Kind = "service" // with a worker
)

// Part is a stretch of the path.
type Part struct {
	From, Until time.Time
	Kind        Kind
	Step, Unit  string
	Subject     string // of a limit its name, of a service the worker, of waiting what for
}

// Sum is the time of all parts of one step and kind.
type Sum struct {
	Step  string
	Kind  Kind
	Time  time.Duration
	Share float64 // of the whole, 0 to 1
}

// Ledger is the whole.
type Ledger struct {
	From, Until time.Time
	Parts       []Part // in the order of time, without gaps
	Sums        []Sum  // the most first
}

// Span is a stretch of time in which something stood still from outside.
type Span struct {
	From, Until time.Time // Until is zero while it lasts
	What        string    // "production paused"
}

// Of makes the ledger of d from its events, in order; until is when it ended, or now. Of one that goes on, an attempt whose
// Time is zero runs still, and one whose Started is zero, too, is ready and waits, at Limit for LimitWait so far. Pauses are
// those that its events do not tell of: of its production, of functions.
func Of(d event.Distribution, events []event.Event, pauses []Span, until time.Time) Ledger {
	w := newWalk(d, events, pauses, until)
	w.path()
	slices.Reverse(w.parts)
	l := Ledger{From: d.Created, Until: until, Parts: merge(w.parts)}
	l.Sums = sums(l)
	return l
}

type attempt struct {
	step, unit, worker, state, limit string
	from, until, retryAt             time.Time
	limited                          time.Duration
}

type walk struct {
	d        event.Distribution
	steps    map[string]event.Step
	attempts map[string][]attempt // by step and unit, in order
	asked    []event.Event        // retries and resends
	ends     []time.Time          // when it had ended, more than once if it was retried
	pauses   []Span
	planned  time.Time
	until    time.Time
	at       time.Time // everything after this is told
	parts    []Part    // from the end backwards
}

func newWalk(d event.Distribution, events []event.Event, pauses []Span, until time.Time) *walk {
	w := &walk{d: d, steps: map[string]event.Step{}, attempts: map[string][]attempt{}, pauses: slices.Clone(pauses), until: until, at: until}
	for _, s := range d.Steps {
		w.steps[s.Name] = s
	}
	for _, e := range events {
		if e.Time.After(until) {
			break
		}
		switch e.Kind {
		case "planned":
			w.planned = e.Time
		case "paused":
			w.pauses = append(w.pauses, Span{From: e.Time, What: "paused"})
		case "resumed":
			for i := range w.pauses {
				if w.pauses[i].What == "paused" && w.pauses[i].Until.IsZero() {
					w.pauses[i].Until = e.Time
				}
			}
		case "retry", "resend", "skip":
			w.asked = append(w.asked, e)
		case "ended":
			w.ends = append(w.ends, e.Time)
		case "attempt":
			a := attempt{step: e.Step, unit: e.Unit, worker: e.Worker, state: e.State, limit: e.Limit,
				from: e.Started, until: e.Time, retryAt: e.RetryAt, limited: e.LimitWait}
			if a.until.IsZero() {
				a.until = until
				if a.from.IsZero() {
					a.from = until
				}
			}
			if a.from.IsZero() {
				continue // ended without a worker: skipped, or cancelled before it began
			}
			k := key(e.Step, e.Unit)
			w.attempts[k] = append(w.attempts[k], a)
		}
	}
	return w
}

func key(step, unit string) string { return step + " " + unit }

// add tells of the time from from to where the walk stands.
func (w *walk) add(from time.Time, kind Kind, step, unit, subject string) {
	if from.Before(w.d.Created) {
		from = w.d.Created
	}
	if !from.Before(w.at) {
		return
	}
	w.parts = append(w.parts, Part{From: from, Until: w.at, Kind: kind, Step: step, Unit: unit, Subject: subject})
	w.at = from
}

func (w *walk) path() {
	a := w.lastBefore(w.until)
	if a == nil {
		w.add(w.planned, Slot, "", "", "")
		w.add(w.d.Created, Waiting, "", "", "being laid out")
		return
	}
	if a.until.Before(w.until) {
		w.after(a)
	}
	for a != nil && w.d.Created.Before(w.at) {
		a = w.back(a)
	}
	w.add(w.d.Created, Waiting, "", "", "being laid out")
}

// after tells of the time since the last attempt that is known of: of one that ended, what comes after it; of one that is
// to be tried again, its back-off.
func (w *walk) after(a *attempt) {
	if a.state == "retrying" {
		if a.retryAt.Before(w.at) && !a.retryAt.IsZero() {
			w.idle(a.retryAt, a.step, a.unit, "", 0)
		}
		w.add(a.until, Backoff, a.step, a.unit, "")
		return
	}
	w.idle(a.until, "", "", "", 0)
}

// back tells of one attempt and of the time before it in which its step could have run, and returns the attempt that this
// began with: of a dependency, or of the step itself.
func (w *walk) back(a *attempt) *attempt {
	w.add(a.from, Service, a.step, a.unit, a.worker)
	before := w.before(a)
	cause, ready := w.cause(a)
	asked, ok := w.request(a, before)
	switch {
	case before != nil && (!ok || asked.Time.Before(before.until)) && !ready.After(before.until):
		// The same step was tried before.
		if before.state == "retrying" && before.retryAt.After(before.until) {
			w.idle(before.retryAt, a.step, a.unit, a.limit, a.limited)
			w.add(before.until, Backoff, a.step, a.unit, "")
		} else {
			w.idle(before.until, a.step, a.unit, a.limit, a.limited)
		}
		return before
	case ok && asked.Time.After(ready):
		// A person asked for it again: the time before that was theirs.
		w.idle(asked.Time, a.step, a.unit, a.limit, a.limited)
		was := before
		end := w.endBefore(asked.Time)
		if !end.IsZero() {
			was = w.lastBefore(end)
		}
		if was == nil {
			was = cause
		}
		if was != nil {
			w.add(was.until, Waiting, a.step, a.unit, "somebody to ask for it again")
		}
		return was
	}
	if cause == nil {
		w.idle(w.planned, a.step, a.unit, a.limit, a.limited)
		return nil
	}
	w.idle(cause.until, a.step, a.unit, a.limit, a.limited)
	return cause
}

// idle tells of the time since from, in which a step was ready and did not run: what a pause, the undo window or a limit
// does not explain is waiting for a worker.
func (w *walk) idle(from time.Time, step, unit, limit string, limited time.Duration) {
	if from.Before(w.d.Created) {
		from = w.d.Created
	}
	for from.Before(w.at) {
		span, ok := w.stood(from, w.at, step)
		if !ok {
			break
		}
		// Between the stretch and where the walk stands it could have run.
		limited = w.ready(span.Until, step, unit, limit, limited)
		w.add(span.From, Waiting, step, unit, span.What)
	}
	w.ready(from, step, unit, limit, limited)
}

// ready is idle without stretches that stood still; it returns what is left of the time at the limit.
func (w *walk) ready(from time.Time, step, unit, limit string, limited time.Duration) time.Duration {
	gap := w.at.Sub(from)
	if gap <= 0 {
		return limited
	}
	held := min(limited, gap)
	if held > 0 {
		// It was tried, put aside, and taken as soon as there was room.
		w.add(w.at.Add(-held), Limit, step, unit, limit)
	}
	w.add(from, Slot, step, unit, "")
	return limited - held
}

// stood is the last stretch between from and until in which the step could not run, cut to these.
func (w *walk) stood(from, until time.Time, step string) (Span, bool) {
	var last Span
	see := func(s Span) {
		if s.Until.IsZero() || s.Until.After(until) {
			s.Until = until
		}
		if s.From.Before(from) {
			s.From = from
		}
		if s.From.Before(s.Until) && s.Until.After(last.Until) {
			last = s
		}
	}
	for _, p := range w.pauses {
		see(p)
	}
	if s, ok := w.steps[step]; ok && s.Delivers && !w.d.HeldUntil.IsZero() {
		see(Span{From: w.d.Created, Until: w.d.HeldUntil, What: "the undo window"})
	}
	return last, !last.Until.IsZero()
}

// before is the attempt of the same step before a, nil if a is the first.
func (w *walk) before(a *attempt) *attempt {
	all := w.attempts[key(a.step, a.unit)]
	for i := len(all) - 1; i >= 0; i-- {
		if !all[i].from.Before(a.from) {
			continue
		}
		return &all[i]
	}
	return nil
}

// cause is the attempt that a's step waited for last, and when that had ended.
func (w *walk) cause(a *attempt) (*attempt, time.Time) {
	var last *attempt
	for _, need := range w.steps[a.step].Needs {
		for _, unit := range w.related(need, a.unit) {
			all := w.attempts[key(need, unit)]
			for i := len(all) - 1; i >= 0; i-- {
				if all[i].until.After(a.from) {
					continue // it ran again later
				}
				if last == nil || all[i].until.After(last.until) {
					last = &all[i]
				}
				break
			}
		}
	}
	if last == nil {
		return nil, w.planned
	}
	return last, last.until
}

// related are the units of step that a step of unit waits for: those of the same file or recipient, or all.
func (w *walk) related(step, unit string) []string {
	file, recipient := numbers(unit)
	files, people := span(file, len(w.d.Files)), span(recipient, w.d.Recipients)
	var out []string
	switch w.steps[step].Scope {
	case "distribution":
		return []string{"d"}
	case "file":
		for _, f := range files {
			out = append(out, fmt.Sprint("f", f))
		}
	case "recipient":
		for _, r := range people {
			out = append(out, fmt.Sprint("r", r))
		}
	case "item":
		for _, f := range files {
			for _, r := range people {
				out = append(out, "i"+strconv.Itoa(f)+"."+strconv.Itoa(r))
			}
		}
	}
	return out
}

func span(one, all int) []int {
	if one > 0 {
		return []int{one}
	}
	out := make([]int, all)
	for i := range out {
		out[i] = i + 1
	}
	return out
}

// numbers are the file and the recipient of a unit, 0 where it has none.
func numbers(unit string) (file, recipient int) {
	if unit == "" {
		return 0, 0
	}
	first, second, both := strings.Cut(unit[1:], ".")
	n, _ := strconv.Atoi(first) // "d" has none
	switch unit[0] {
	case 'f':
		return n, 0
	case 'r':
		return 0, n
	}
	if both {
		m, _ := strconv.Atoi(second)
		return n, m
	}
	return 0, 0
}

// request is the last asking, after the attempt before and before a, for a's recipient or for all.
func (w *walk) request(a *attempt, before *attempt) (event.Event, bool) {
	_, recipient := numbers(a.unit)
	for i := len(w.asked) - 1; i >= 0; i-- {
		e := w.asked[i]
		if e.Time.After(a.from) {
			continue
		}
		if before != nil && e.Time.Before(before.until) {
			break
		}
		_, of := numbers(e.Unit)
		if of == 0 || recipient == 0 || of == recipient {
			return e, true
		}
	}
	return event.Event{}, false
}

func (w *walk) endBefore(t time.Time) time.Time {
	var last time.Time
	for _, end := range w.ends {
		if !end.After(t) {
			last = end
		}
	}
	return last
}

// lastBefore is the attempt that ended last, not after t.
func (w *walk) lastBefore(t time.Time) *attempt {
	var last *attempt
	for k, all := range w.attempts {
		for i := len(all) - 1; i >= 0; i-- {
			if all[i].until.After(t) {
				continue
			}
			// Of two at the same instant always the same one, whatever the order of the map.
			if last == nil || all[i].until.After(last.until) || all[i].until.Equal(last.until) && k > key(last.step, last.unit) {
				last = &all[i]
			}
			break
		}
	}
	return last
}

// merge joins neighbours that are of one kind.
func merge(parts []Part) []Part {
	var out []Part
	for _, p := range parts {
		if n := len(out); n > 0 && out[n-1].Kind == p.Kind && out[n-1].Step == p.Step && out[n-1].Unit == p.Unit && out[n-1].Subject == p.Subject && p.Kind != Service {
			out[n-1].Until = p.Until
			continue
		}
		out = append(out, p)
	}
	return out
}

func sums(l Ledger) []Sum {
	type of struct {
		step string
		kind Kind
	}
	by := map[of]time.Duration{}
	for _, p := range l.Parts {
		by[of{p.Step, p.Kind}] += p.Until.Sub(p.From)
	}
	whole := l.Until.Sub(l.From)
	var out []Sum
	for k, d := range by {
		s := Sum{Step: k.step, Kind: k.kind, Time: d}
		if whole > 0 {
			s.Share = float64(d) / float64(whole)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Sum) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Step, b.Step), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}
