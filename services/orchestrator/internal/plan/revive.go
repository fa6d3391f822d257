package plan

import (
	"cmp"
	"slices"
)

// Redo says what of a recipient's a person asked for again, besides what failed.
type Redo struct {
	// Copies: steps of their items run again even if they are done.
	Copies bool
	// Delivery: their own steps run again even if they are done, as another delivery.
	Delivery bool
	// Changed names steps that are asked for something else from now on; nil: none. Those that are done run again, those that
	// wait for another attempt begin afresh, and those that are with a worker must end first.
	Changed func(*Step) bool
}

// UnitState is what Revive needs to know of a unit: its steps' states, with the codes of those that failed, an item's phase,
// and by step of an item which steps of its file it has counted the ends of, as far as they are remembered (see
// Definition.Hears).
type UnitState struct {
	Unit
	Steps map[string]State
	Codes map[string]string
	Phase Phase
	Heard map[string][]string
}

// FailedWith reports whether a step of u failed with code, or was given up because what it needs did, or will be.
func (u UnitState) FailedWith(code string) bool {
	for step, state := range u.Steps {
		if (state == Failed || state == Cancelled || state == Pending) && u.Codes[step] == code {
			return true
		}
	}
	return false
}

// Revival is one step that is to run again, or that has not run and must wait for some that do.
type Revival struct {
	Unit
	Step     *Step
	From, To State
	// Waits is how many ends of other steps it waits for; AnyOK and AnyBad what those that have ended already were.
	Waits         int
	AnyOK, AnyBad bool
	// AnyHard: one that cannot be done without has failed.
	AnyHard bool
	// Code is that of the first that failed.
	Code string
	// Heard are the steps of its file whose ends are counted, Unheard those that it will be told of; see Definition.Hears.
	Heard, Unheard []string
}

// What becomes of a step of the whole distribution when something that it needs is asked for again. One that is done, or that
// a worker has, stays as it is, and so does one of which work goes on elsewhere.
var (
	// WaitsAgain are the states in which it waits again for what it needs.
	WaitsAgain = []State{Ready, Retrying}
	// GivenUp are the states in which it runs again itself, after that.
	GivenUp = []State{Failed, Cancelled}
)

// ReviveFiles lists the steps of files that failed: they come first, since items wait for them. What has not begun and waits
// for several waits for those again.
func ReviveFiles(d *Definition, files []UnitState) []Revival {
	var out []Revival
	for _, f := range files {
		again := map[string]bool{}
		for i := range d.Steps {
			step := &d.Steps[i]
			from, laidOut := f.Steps[step.Name]
			if step.Scope != ScopeFile || !laidOut {
				continue
			}
			r := Revival{Unit: f.Unit, Step: step, From: from}
			moved := false
			for _, name := range step.Needs {
				need, _ := d.Step(name)
				r.count(f, name, again[name], need.Optional)
				moved = moved || again[name]
			}
			r.AnyHard = r.AnyBad
			waits := moved && (from == Pending || from == Ready || from == Retrying)
			if !waits && from != Failed && from != Cancelled || r.Waits == 0 && r.AnyBad {
				continue
			}
			out = append(out, r.ready())
			again[step.Name] = true
		}
	}
	return out
}

// Revived is what Revive makes of one recipient.
type Revived struct {
	Revivals []Revival
	// Idle are steps that have not begun and are asked for something else from now on: they must not have been handed out
	// when that becomes so.
	Idle []StepOf
	// Busy: a step is with a worker that would have to run again, so nothing can be done before it has ended.
	Busy bool
}

// StepOf names a step of a unit.
type StepOf struct {
	Unit Unit
	Step string
}

// Revive finds the steps of one recipient that are to run again: what failed or was given up because of that, what
// redo asks for, and what waits for any of those. files and items are the states of all files, and of the recipient's
// items in the order of files, recipient that of the recipient itself. join is what the recipient's steps do when
// something they need has failed for good.
func Revive(d *Definition, join Join, redo Redo, files, items []UnitState, recipient UnitState) Revived {
	var out Revived
	again := map[StepOf]bool{}
	for i, item := range items {
		for s := range d.Steps {
			step := &d.Steps[s]
			from, laidOut := item.Steps[step.Name]
			if step.Scope != ScopeItem || !laidOut {
				continue
			}
			r := Revival{Unit: item.Unit, Step: step, From: from}
			moved := false
			for _, name := range step.Needs {
				need, _ := d.Step(name)
				if need.Scope == ScopeFile {
					r.count(files[i], name, false, need.Optional)
					r.AnyBad = r.AnyBad || files[i].gone(name) && !need.Optional // the file was left out
					// It has counted an end that was taken back.
					moved = moved || from == Pending && !files[i].Steps[name].Final() && slices.Contains(item.Heard[step.Name], name)
				} else {
					near := again[StepOf{item.Unit, name}]
					r.count(item, name, near, need.Optional)
					moved = moved || near
				}
			}
			for _, name := range d.Hears(step) {
				if files[i].Steps[name].Final() {
					r.Heard = append(r.Heard, name)
				} else {
					r.Unheard = append(r.Unheard, name)
				}
			}
			if out.moves(redo, r, moved, redo.Copies) && !(r.Waits == 0 && r.AnyBad) {
				out.Revivals = append(out.Revivals, r.ready())
				again[StepOf{item.Unit, step.Name}] = true
			}
		}
	}
	for s := range d.Steps {
		step := &d.Steps[s]
		from, laidOut := recipient.Steps[step.Name]
		if step.Scope != ScopeRecipient || !laidOut {
			continue
		}
		r := Revival{Unit: recipient.Unit, Step: step, From: from}
		moved := false
		for _, name := range step.Needs {
			need, _ := d.Step(name)
			if need.Scope == ScopeRecipient {
				var near Revival
				near.count(recipient, name, again[StepOf{recipient.Unit, name}], need.Optional)
				r.join(near)
				moved = moved || again[StepOf{recipient.Unit, name}]
				continue
			}
			for _, item := range items {
				r.count(item, name, again[StepOf{item.Unit, name}], need.Optional)
				moved = moved || again[StepOf{item.Unit, name}]
			}
		}
		stays := r.AnyHard || r.AnyBad && !(join == JoinAvailable && r.AnyOK)
		if out.moves(redo, r, moved, redo.Delivery) && !(r.Waits == 0 && stays) {
			out.Revivals = append(out.Revivals, r.ready())
			again[StepOf{recipient.Unit, step.Name}] = true
		}
	}
	return out
}

// moves reports whether a step is to run again, or to wait again: moved says that one it needs is, wanted that it is asked
// for even if it is done.
func (out *Revived) moves(redo Redo, r Revival, moved, wanted bool) bool {
	changed := redo.Changed != nil && redo.Changed(r.Step)
	another := changed || redo.Delivery && r.Scope() == ScopeRecipient
	switch {
	case r.From.Final():
		return moved || changed || wanted || r.From == Failed || r.From == Cancelled
	case r.From == Running:
		out.Busy = out.Busy || moved || another
		return false
	case changed && r.From == Retrying:
		return true
	case another && !moved:
		out.Idle = append(out.Idle, StepOf{r.Unit, r.Step.Name})
	}
	return moved
}

// count adds a step of u that r waits for: how it ended, or that it is to run again.
func (r *Revival) count(u UnitState, step string, again, optional bool) {
	s := u.Steps[step]
	switch {
	case again || !s.Final():
		r.Waits++
	case u.gone(step) && !optional:
		// What was left out is neither there nor missing: of what is left out alone nothing can be made, and nothing need be.
	case s == Done || s == Skipped || optional:
		r.AnyOK = true
	default:
		r.AnyBad = true
		r.Code = cmp.Or(r.Code, u.Codes[step], "FAILED")
	}
}

func (r Revival) ready() Revival {
	r.To = Pending
	if r.Waits == 0 {
		r.To = Ready
	}
	return r
}
