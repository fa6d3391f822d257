package plan

// Redo says what of a recipient's a person asked for again.
type Redo struct {
	// Copies are made again even if they are done, because what they show has changed.
	Copies bool
	// Delivery is sent again even if it was sent.
	Delivery bool
}

// UnitState is what Revive needs to know of a unit: its steps' states, and an item's phase.
type UnitState struct {
	Unit
	Steps map[string]State
	Phase Phase
}

// Revival is one step that is to run again.
type Revival struct {
	Unit
	Step     *Step
	From, To State
	// Waits is how many ends of other steps it waits for; AnyOK and AnyBad what those that have ended already were.
	Waits         int
	AnyOK, AnyBad bool
	// AnyHard: one that cannot be done without has failed.
	AnyHard bool
}

// ReviveFiles lists the steps of files that failed: they come first, since items wait for them.
func ReviveFiles(d *Definition, files []UnitState) []Revival {
	var out []Revival
	for _, f := range files {
		again := map[string]bool{}
		for i := range d.Steps {
			step := &d.Steps[i]
			from := f.Steps[step.Name]
			if step.Scope != ScopeFile || (from != Failed && from != Cancelled) {
				continue
			}
			r := Revival{Unit: f.Unit, Step: step, From: from}
			for _, need := range step.Needs {
				r.count(f.Steps[need], again[need], false)
			}
			if r.Waits == 0 && r.AnyBad {
				continue
			}
			out = append(out, r.ready())
			again[step.Name] = true
		}
	}
	return out
}

// Revive lists the steps of one recipient that are to run again: what failed or was given up because of that, what
// redo asks for, and what waits for any of those. files and items are the states of all files, and of the recipient's
// items in the order of files, recipient that of the recipient itself. join is what the delivering step does when
// something it needs has failed for good.
func Revive(d *Definition, join Join, redo Redo, files, items []UnitState, recipient UnitState) []Revival {
	var out []Revival
	again := map[Unit]map[string]bool{}
	for i, item := range items {
		again[item.Unit] = map[string]bool{}
		for s := range d.Steps {
			step := &d.Steps[s]
			from, laidOut := item.Steps[step.Name]
			if step.Scope != ScopeItem || !laidOut {
				continue
			}
			r := Revival{Unit: item.Unit, Step: step, From: from}
			moved := redo.Copies || from == Failed || from == Cancelled
			for _, name := range step.Needs {
				need, _ := d.Step(name)
				if need.Scope == ScopeFile {
					r.count(files[i].Steps[name], false, need.Optional)
				} else {
					r.count(item.Steps[name], again[item.Unit][name], need.Optional)
					moved = moved || again[item.Unit][name]
				}
			}
			if !moved || !from.Final() || r.Waits == 0 && r.AnyBad {
				continue
			}
			out = append(out, r.ready())
			again[item.Unit][step.Name] = true
		}
	}
	for s := range d.Steps {
		step := &d.Steps[s]
		from, laidOut := recipient.Steps[step.Name]
		if step.Scope != ScopeRecipient || !laidOut {
			continue
		}
		r := Revival{Unit: recipient.Unit, Step: step, From: from}
		moved := redo.Delivery || from == Failed || from == Cancelled
		for _, name := range step.Needs {
			need, _ := d.Step(name)
			if need.Scope == ScopeRecipient {
				var near Revival
				near.count(recipient.Steps[name], again[recipient.Unit][name], need.Optional)
				r.Waits += near.Waits
				r.AnyOK, r.AnyBad, r.AnyHard = r.AnyOK || near.AnyOK, r.AnyBad || near.AnyBad, r.AnyHard || near.AnyBad
				moved = moved || again[recipient.Unit][name]
				continue
			}
			for _, item := range items {
				r.count(item.Steps[name], again[item.Unit][name], need.Optional)
				moved = moved || again[item.Unit][name]
			}
		}
		stays := r.AnyHard || r.AnyBad && !(join == JoinAvailable && r.AnyOK)
		if !moved || !from.Final() || r.Waits == 0 && stays {
			continue
		}
		if again[recipient.Unit] == nil {
			again[recipient.Unit] = map[string]bool{}
		}
		out = append(out, r.ready())
		again[recipient.Unit][step.Name] = true
	}
	return out
}

// count adds a step that r waits for: it ended in state s, or is to run again.
func (r *Revival) count(s State, again, optional bool) {
	switch {
	case again || !s.Final():
		r.Waits++
	case s == Done || s == Skipped || optional:
		r.AnyOK = true
	default:
		r.AnyBad = true
	}
}

func (r Revival) ready() Revival {
	r.To = Pending
	if r.Waits == 0 {
		r.To = Ready
	}
	return r
}
