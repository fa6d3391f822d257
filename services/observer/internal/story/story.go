// Package story tells what happened to one unit of a distribution, and to what it depends on, in order: what was done to it by
// whom, what it waited for in between, and what people did. It is pure: the same events give the same story.
package story

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/why"
)

// Chapter is one attempt, one wait or one act of a person.
type Chapter struct {
	Kind string // attempt wait life
	// Event is what it is told from; of a wait the attempt that ended it, of what goes on still what is known of it.
	event.Event
	From, Until time.Time // Until is zero while it goes on
	// State is that of the step after an attempt; of a wait what for: waiting, slot, limit, backoff.
	State    string
	Sentence string
}

// Input is what a story is told from.
type Input struct {
	Distribution event.Distribution
	Unit         string
	// Events are all of the distribution's, in order.
	Events []event.Event
	// Way are the steps of the story's units as they stand.
	Way []why.Step
	// Email is the recipient's address.
	Email string
	Now   time.Time
}

// Units are the units that a story of unit is about, those that come first first: the file of an item, itself, and its
// recipient; of a recipient all that is theirs.
func Units(unit string, files int) []string {
	file, recipient := Numbers(unit)
	var out []string
	switch {
	case file > 0 && recipient > 0:
		return []string{"f" + strconv.Itoa(file), unit, "r" + strconv.Itoa(recipient)}
	case recipient > 0:
		for f := 1; f <= files; f++ {
			out = append(out, "f"+strconv.Itoa(f))
		}
		for f := 1; f <= files; f++ {
			out = append(out, fmt.Sprintf("i%d.%d", f, recipient))
		}
	}
	return append(out, unit)
}

// Numbers are the file and the recipient of a unit, 0 where it has none.
func Numbers(unit string) (file, recipient int) {
	if len(unit) < 2 {
		return 0, 0
	}
	first, second, _ := strings.Cut(unit[1:], ".")
	n, _ := strconv.Atoi(first)
	m, _ := strconv.Atoi(second)
	switch unit[0] {
	case 'f':
		return n, 0
	case 'r':
		return 0, n
	case 'i':
		return n, m
	}
	return 0, 0
}

// most bounds how many chapters a story has; what is left out is in the middle.
const most = 500

// shortest is how long a wait lasts to be told.
const shortest = 100 * time.Millisecond

// Of tells the story; leftOut counts the chapters that are not told.
func Of(in Input) (chapters []Chapter, leftOut int) {
	t := &telling{in: in, units: map[string]bool{}, steps: map[string]*why.Step{}, plan: map[string]event.Step{}, last: map[string]event.Event{}}
	for _, u := range Units(in.Unit, len(in.Distribution.Files)) {
		t.units[u] = true
	}
	for i := range in.Way {
		t.steps[in.Way[i].Unit+"/"+in.Way[i].Name] = &in.Way[i]
	}
	for _, s := range in.Distribution.Steps {
		t.plan[s.Name] = s
	}
	for i := range in.Events {
		t.event(&in.Events[i])
	}
	for i := range in.Way {
		t.standing(&in.Way[i])
	}
	slices.SortStableFunc(t.out, func(a, b Chapter) int {
		return cmp.Or(a.From.Compare(b.From), strings.Compare(order(a.Kind), order(b.Kind)))
	})
	if n := len(t.out); n > most {
		leftOut = n - most
		t.out = slices.Concat(t.out[:most/5], t.out[n-most*4/5:])
	}
	return t.out, leftOut
}

// order puts what people did before waits, and these before attempts, at the same instant.
func order(kind string) string {
	switch kind {
	case "life":
		return "1"
	case "wait":
		return "2"
	}
	return "3"
}

type telling struct {
	in    Input
	units map[string]bool
	steps map[string]*why.Step
	plan  map[string]event.Step
	last  map[string]event.Event // the last attempt of each unit and step so far
	begun time.Time              // when its steps could begin
	asked time.Time              // when somebody asked for it again last
	out   []Chapter
}

func (t *telling) add(c Chapter) { t.out = append(t.out, c) }

func (t *telling) event(e *event.Event) {
	switch e.Kind {
	case "attempt":
		if !t.units[e.Unit] {
			// What it waits for may be another's; only when that ended matters.
			t.last[e.Unit+"/"+e.Step] = *e
			return
		}
		if !e.Started.IsZero() {
			t.before(e)
		}
		t.add(t.attempt(e))
		t.last[e.Unit+"/"+e.Step] = *e
		return
	case "planned":
		t.begun = e.Time
		return
	case "skipped", "cancelled":
		if !t.units[e.Unit] {
			return
		}
		what := why.Person(e.Worker) + " had " + t.what(e.Step, e.Unit)
		if e.Kind == "skipped" {
			what += " left out"
		} else {
			what += " cancelled"
		}
		t.add(Chapter{Kind: "life", Event: *e, From: e.Time, Until: e.Time, State: e.Kind, Sentence: why.Sentence(what)})
		return
	case "retry", "resend", "skip":
		_, mine := Numbers(t.in.Unit)
		_, theirs := Numbers(e.Unit)
		if mine != 0 && theirs != 0 && mine != theirs {
			return
		}
		t.asked = e.Time
	case "accepted":
		if t.begun.IsZero() {
			t.begun = e.Time
		}
	}
	t.add(Chapter{Kind: "life", Event: *e, From: e.Time, Until: e.Time, State: e.State, Sentence: why.Sentence(life(e))})
}

// what names a step of a unit for people.
func (t *telling) what(step, unit string) string {
	s := t.steps[unit+"/"+step]
	if s != nil {
		return s.What()
	}
	p := t.plan[step]
	made := why.Step{Name: step, Function: p.Function, File: t.file(unit)}
	return made.What()
}

func (t *telling) file(unit string) string {
	f, _ := Numbers(unit)
	if f > 0 && f <= len(t.in.Distribution.Files) {
		return t.in.Distribution.Files[f-1].Name
	}
	return ""
}

// ready is when a step could have begun, and which of those that it needs ended last.
func (t *telling) ready(step, unit string) (at time.Time, last event.Event) {
	file, recipient := Numbers(unit)
	for _, need := range t.plan[step].Needs {
		for _, u := range t.needed(need, file, recipient) {
			e, ok := t.last[u+"/"+need]
			if ok && e.Time.After(last.Time) {
				last = e
			}
		}
	}
	at = last.Time
	if at.IsZero() {
		at = t.begun
	}
	if t.asked.After(at) {
		at = t.asked
	}
	return at, last
}

// needed are the units of a step that one of file and recipient waits for.
func (t *telling) needed(need string, file, recipient int) []string {
	switch t.plan[need].Scope {
	case "file":
		if file > 0 {
			return []string{"f" + strconv.Itoa(file)}
		}
	case "recipient":
		return []string{"r" + strconv.Itoa(recipient)}
	case "item":
		if file > 0 {
			return []string{fmt.Sprintf("i%d.%d", file, recipient)}
		}
		var out []string
		for f := range t.in.Distribution.Files {
			out = append(out, fmt.Sprintf("i%d.%d", f+1, recipient))
		}
		return out
	case "distribution":
		return []string{"d"}
	}
	return nil
}

// before tells what an attempt waited for before it began.
func (t *telling) before(e *event.Event) {
	had, again := t.last[e.Unit+"/"+e.Step]
	from, until := time.Time{}, e.Started
	wait := func(from, until time.Time, state, sentence string) {
		if until.Sub(from) < shortest || from.IsZero() {
			return
		}
		t.add(Chapter{Kind: "wait", Event: event.Event{Step: e.Step, Unit: e.Unit, Attempt: e.Attempt, Limit: e.Limit}, From: from, Until: until, State: state,
			Sentence: why.Sentence(sentence + " " + span(until.Sub(from)))})
	}
	what := t.what(e.Step, e.Unit)
	if again && had.Time.After(t.asked) {
		from = had.Time
		if had.State == "retrying" {
			due := had.RetryAt
			if due.IsZero() || due.After(until) || due.Before(from) {
				due = until
			}
			wait(from, due, "backoff", what+" was to be tried again after")
			from = due
		}
	} else {
		var last event.Event
		from, last = t.ready(e.Step, e.Unit)
		t.join(e, last)
	}
	if held := t.in.Distribution.HeldUntil; t.plan[e.Step].Delivers && held.After(from) && !held.After(until) {
		wait(from, held, "waiting", "the undo window was open for")
		from = held
	}
	if e.LimitWait > 0 {
		// It was looked at, put aside, and taken as soon as there was room.
		at := until.Add(-min(e.LimitWait, until.Sub(from)))
		wait(from, at, "slot", what+" was ready without a worker for")
		wait(at, until, "limit", what+" waited at the limit "+e.Limit+" for")
		return
	}
	wait(from, until, "slot", what+" was ready without a worker for")
}

// join tells that a step of a recipient waited for the last of several.
func (t *telling) join(e *event.Event, last event.Event) {
	_, recipient := Numbers(e.Unit)
	if recipient == 0 || last.Unit == "" || last.Unit == e.Unit {
		return
	}
	first := time.Time{}
	for _, need := range t.plan[e.Step].Needs {
		for _, u := range t.needed(need, 0, recipient) {
			n, ok := t.last[u+"/"+need]
			mine := u == t.in.Unit || t.in.Unit[0] != 'i'
			if ok && mine && (first.IsZero() || n.Time.Before(first)) {
				first = n.Time
			}
		}
	}
	if first.IsZero() || last.Time.Sub(first) < shortest {
		return
	}
	t.add(Chapter{Kind: "wait", Event: event.Event{Step: e.Step, Unit: e.Unit, Attempt: e.Attempt}, From: first, Until: last.Time, State: "waiting",
		Sentence: why.Sentence(fmt.Sprintf("%s waited for %s for %s", t.what(e.Step, e.Unit), t.what(last.Step, last.Unit), span(last.Time.Sub(first))))})
}

func span(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// Since returns a function that says since when a step stands as it does: since it was tried last, or since what it needs
// had ended. It costs one look through the events of in.
func Since(in Input) func(*why.Step) time.Time {
	t := &telling{in: in, units: map[string]bool{}, plan: map[string]event.Step{}, last: map[string]event.Event{}}
	for _, s := range in.Distribution.Steps {
		t.plan[s.Name] = s
	}
	for i := range in.Events {
		e := &in.Events[i]
		switch e.Kind {
		case "attempt":
			t.last[e.Unit+"/"+e.Step] = *e
		case "planned", "accepted":
			t.begun = e.Time
		}
	}
	return t.since
}
