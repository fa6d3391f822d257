package verdict

import (
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

var finalStep = map[string]bool{"done": true, "failed": true, "skipped": true, "cancelled": true}

// events: each step of each unit ended at most once, in the state that the listing has; attempts are counted upwards;
// the distribution was accepted once, first, and ended once, last.
func (v *Verdict) events(a Account) {
	type step struct{ name, unit string }
	ends := map[step]string{}
	last := map[step]int32{}
	id := ""
	accepted, ended := 0, 0
	for n, e := range a.Events {
		if e.GetId() == id {
			v.add("event %s is listed twice", id)
		}
		id = e.GetId()
		switch e.GetKind() {
		case "accepted":
			accepted++
			if n != 0 {
				v.add("event %d is the acceptance, want it first", n+1)
			}
		case "ended":
			ended++
			if n != len(a.Events)-1 {
				v.add("events follow the distribution's end")
			}
			if e.GetState() != a.Distribution.GetState() {
				v.add("the log says that it ended %s, the API %s", e.GetState(), a.Distribution.GetState())
			}
		case "attempt":
			s := step{e.GetStep(), e.GetUnit()}
			if e.GetAttempt() <= last[s] {
				v.add("%s of %s: attempt %d is logged after attempt %d", s.name, s.unit, e.GetAttempt(), last[s])
			}
			last[s] = e.GetAttempt()
			if ends[s] != "" {
				v.add("%s of %s was %s and then %s: a final state has a successor", s.name, s.unit, ends[s], e.GetState())
			}
			if finalStep[e.GetState()] {
				ends[s] = e.GetState()
			}
		}
	}
	if accepted != 1 || ended != 1 {
		v.add("the log has %d acceptances and %d ends, want one of each", accepted, ended)
	}
	said := map[step]bool{}
	for _, i := range a.Items {
		for _, s := range i.GetSteps() {
			key := step{s.GetName(), unit(i, s.GetName())}
			if said[key] {
				continue
			}
			said[key] = true
			v.step(key.name, key.unit, s, ends[key])
		}
	}
}

func (v *Verdict) step(name, unit string, s *distributionv1.StepView, logged string) {
	switch state := s.GetState(); {
	case state == "done" || state == "failed":
		if logged != state {
			v.add("%s of %s is %s, the log says %q", name, unit, state, logged)
		}
	case logged != "" && logged != state: // what never ran has no line
		v.add("%s of %s is %s, the log says %q", name, unit, state, logged)
	case !finalStep[state]:
		v.add("%s of %s is %q, which is not final", name, unit, state)
	}
}
