package index

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
)

// found is what events say that the index keeps.
type found struct {
	// position is the last event's.
	position string
	workers  []string
	// steps that were tried, in the order in which they were first.
	steps  []stepFacts
	errors []sentence
	// ended: at that time nothing was tried again any more. stopped is the code of why it stopped by itself.
	ended   bool
	stopped string
}

// stepFacts is how a step failed, by code; no failures: it went well in the end.
type stepFacts struct {
	unit, step string
	failures   []failure
}

type failure struct {
	code, message, worker, state string
	attempts                     int
	first, last                  time.Time
}

type sentence struct{ code, message string }

// facts reads events that come after position; others were read before.
func facts(events []event.Event, position string) found {
	f := found{position: position}
	workers, said := map[string]bool{}, map[sentence]bool{}
	where := map[[2]string]int{}
	say := func(s sentence) {
		if s.code != "" && !said[s] {
			said[s] = true
			f.errors = append(f.errors, s)
		}
	}
	for i := range events {
		e := &events[i]
		if !After(e.ID, f.position) {
			continue
		}
		f.position = e.ID
		switch e.Kind {
		case "stopped":
			f.stopped = e.Code
			say(sentence{e.Code, e.Message})
		case "ended":
			f.ended = true
			for n := range f.steps {
				f.steps[n].over()
			}
		case "skipped", "cancelled":
			// What failed so far of it does not count any more.
			n, ok := where[[2]string{e.Unit, e.Step}]
			if !ok {
				n = len(f.steps)
				where[[2]string{e.Unit, e.Step}] = n
				f.steps = append(f.steps, stepFacts{unit: e.Unit, step: e.Step})
			}
			for j := range f.steps[n].failures {
				f.steps[n].failures[j].state = "resolved"
			}
		case "attempt":
			if e.Worker != "" && !workers[e.Worker] {
				workers[e.Worker] = true
				f.workers = append(f.workers, e.Worker)
			}
			key := [2]string{e.Unit, e.Step}
			n, ok := where[key]
			if !ok {
				n = len(f.steps)
				where[key] = n
				f.steps = append(f.steps, stepFacts{unit: e.Unit, step: e.Step})
			}
			say(sentence{e.Code, e.Message})
			f.steps[n].attempt(e)
		}
	}
	return f
}

// over: what was to be tried again is not.
func (s *stepFacts) over() {
	for i := range s.failures {
		if s.failures[i].state == "retrying" {
			s.failures[i].state = "failed"
		}
	}
}

func (s *stepFacts) attempt(e *event.Event) {
	for i := range s.failures {
		s.failures[i].state = "resolved"
	}
	if e.Code == "" || e.State == "done" || e.State == "skipped" {
		return
	}
	state := "retrying"
	if e.State == "failed" || e.State == "cancelled" {
		state = "failed"
	}
	for i := range s.failures {
		f := &s.failures[i]
		if f.code == e.Code {
			f.message, f.worker, f.state, f.last = e.Message, e.Worker, state, e.Time
			f.attempts++
			return
		}
	}
	s.failures = append(s.failures, failure{code: e.Code, message: e.Message, worker: e.Worker, state: state, attempts: 1, first: e.Time, last: e.Time})
}

// After reports whether the event id comes after the one that position is; all come after "".
func After(id, position string) bool {
	if position == "" {
		return true
	}
	a, b := split(id), split(position)
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) > 0
}

func split(id string) [2]uint64 {
	ms, n, _ := strings.Cut(id, "-")
	var out [2]uint64
	out[0], _ = strconv.ParseUint(ms, 10, 64) // what is no number comes first
	out[1], _ = strconv.ParseUint(n, 10, 64)
	return out
}
