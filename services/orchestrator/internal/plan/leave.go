package plan

import "slices"

// CodeSkipped is the code of a step that a person skipped, and of one that is about to be: it waits, and nothing else ends it.
const CodeSkipped = "SKIPPED"

// CodeCancelled is the code of a step that was cancelled before it was done.
const CodeCancelled = "CANCELLED"

// Leaving are the states in which a person may end a step that no worker has.
var Leaving = []State{Pending, Ready, Retrying}

// Left is what Leave makes of one recipient, file, or distribution.
type Left struct {
	// Revivals are steps that had ended, or wait for such: they wait from now on, until Ends have been ended. Those that end
	// wait for more than there is, and have CodeSkipped.
	Revivals []Revival
	// Ends are the steps to end after that, in this order: what is sent before what it is made of, so that nothing gets ready
	// in between.
	Ends []StepOf
	// Busy: a worker has one of them, so it must end first.
	Busy bool
}

// Failing reports whether a step of u failed, or failed and waits for another try or has it: with code, if that is not empty.
func (u UnitState) Failing(step, code string) bool {
	switch u.Steps[step] {
	case Failed, Ready, Retrying, Running:
		return u.Codes[step] != "" && (code == "" || u.Codes[step] == code)
	}
	return false
}

// gone reports whether a person skipped a step of u.
func (u UnitState) gone(step string) bool {
	return u.Steps[step] == Skipped && u.Codes[step] == CodeSkipped
}

// chosen reports whether a step is to be skipped; one that is being skipped still is.
type chosen func(UnitState, *Step) bool

func (c chosen) has(u UnitState, step *Step) bool {
	return c(u, step) || u.Steps[step.Name] == Pending && u.Codes[step.Name] == CodeSkipped
}

// Leave finds what is to be skipped of one recipient when steps that fail are: those that choose says, what of the same item, or
// of the recipient, cannot do without them, and the recipient's own when no copy is left to be sent. What waits for many goes on
// with what there is. files and items are in the order of files.
func Leave(d *Definition, join Join, choose func(UnitState, *Step) bool, files, items []UnitState, recipient UnitState) Left {
	var out, own Left
	left, again := map[StepOf]bool{}, map[StepOf]bool{}
	for i, item := range items {
		out.unit(d, ScopeItem, choose, item, files[i], left, again)
	}
	for s := range d.Steps {
		step := &d.Steps[s]
		from, laidOut := recipient.Steps[step.Name]
		if step.Scope != ScopeRecipient || !laidOut {
			continue
		}
		at := StepOf{recipient.Unit, step.Name}
		leave, near := chosen(choose).has(recipient, step), false
		r := Revival{Unit: recipient.Unit, Step: step, From: from, To: Pending}
		moved, some, any := false, false, false // some: a copy is there or may be; any: one is left out now
		for _, name := range step.Needs {
			need, _ := d.Step(name)
			if need.Scope == ScopeRecipient {
				of := StepOf{recipient.Unit, name}
				leave = leave || !need.Optional && (left[of] || recipient.gone(name))
				near = near || left[of] || again[of]
				var n Revival
				n.count(recipient, name, left[of] || again[of], need.Optional)
				r.join(n)
				continue
			}
			for _, item := range items {
				of := StepOf{item.Unit, name}
				r.count(item, name, left[of] || again[of], need.Optional)
				moved, any = moved || left[of] || again[of], any || left[of]
				some = some || !need.Optional && !left[of] && !item.gone(name)
			}
		}
		switch {
		case leave || any && !some:
			own.end(at, step, from, near || moved, left)
		case !near && !moved:
		case from == Pending, from == Cancelled && recipient.Codes[step.Name] != CodeCancelled && !r.stays(join):
			own.Revivals = append(own.Revivals, r)
			again[at] = true
		}
	}
	return Left{Revivals: append(out.Revivals, own.Revivals...), Ends: append(own.Ends, out.Ends...), Busy: out.Busy || own.Busy}
}

// LeaveFile is Leave for the steps of one file. Items that cannot do without them come before.
func LeaveFile(d *Definition, choose func(UnitState, *Step) bool, file UnitState) Left {
	var out Left
	out.unit(d, ScopeFile, choose, file, UnitState{}, map[StepOf]bool{}, map[StepOf]bool{})
	return out
}

// LeaveWhole lists the steps of the whole distribution that are to be skipped, in order, and those of them that must run again
// for that.
func LeaveWhole(d *Definition, choose func(UnitState, *Step) bool, whole UnitState) (ends []string, given []string, busy bool) {
	for _, step := range d.Whole() {
		leave := choose(whole, step)
		for _, name := range step.Needs {
			need, _ := d.Step(name)
			leave = leave || need.Scope == ScopeDistribution && !need.Optional && slices.Contains(ends, name)
		}
		state := whole.Steps[step.Name]
		switch {
		case !leave || state == Done || state == Skipped:
			continue
		case state == Running:
			busy = true
		case state.Final():
			given = append(given, step.Name)
		}
		ends = append(ends, step.Name)
	}
	return ends, given, busy
}

// unit finds what is to be skipped of an item, or of a file.
func (out *Left) unit(d *Definition, scope Scope, choose chosen, u, file UnitState, left, again map[StepOf]bool) {
	for s := range d.Steps {
		step := &d.Steps[s]
		from, laidOut := u.Steps[step.Name]
		if step.Scope != scope || !laidOut {
			continue
		}
		leave, near := choose.has(u, step), false
		r := Revival{Unit: u.Unit, Step: step, From: from, To: Pending}
		for _, name := range step.Needs {
			need, _ := d.Step(name)
			of, have := StepOf{u.Unit, name}, u
			if need.Scope != scope {
				have = file
				leave = leave || !need.Optional && choose.has(file, need)
			}
			leave = leave || !need.Optional && (left[of] || have.gone(name))
			near = near || left[of] || again[of]
			r.count(have, name, left[of] || again[of], need.Optional)
		}
		switch {
		case leave:
			out.end(StepOf{u.Unit, step.Name}, step, from, near, left)
		case near && from == Pending:
			// It has counted an end that is taken back.
			for _, name := range d.Hears(step) {
				if file.Steps[name].Final() {
					r.Heard = append(r.Heard, name)
				} else {
					r.Unheard = append(r.Unheard, name)
				}
			}
			out.Revivals = append(out.Revivals, r)
			again[StepOf{u.Unit, step.Name}] = true
		}
	}
}

// end has a step ended; near says that one that it needs is taken back before it ends, so that it may count that twice.
func (out *Left) end(at StepOf, step *Step, from State, near bool, left map[StepOf]bool) {
	switch {
	case from == Done, from == Skipped:
		return
	case from == Running:
		out.Busy = true
	default:
		if from.Final() || near && from == Pending {
			// It waits for more than will ever come, so that nothing but this ends it.
			out.Revivals = append(out.Revivals, Revival{Unit: at.Unit, Step: step, From: from, To: Pending, Waits: never, AnyBad: true, Code: CodeSkipped})
		}
		out.Ends = append(out.Ends, at)
	}
	left[at] = true
}

// never is more than any step waits for.
const never = 1 << 30

// join adds what n counted of a step of the same unit.
func (r *Revival) join(n Revival) {
	r.Waits += n.Waits
	r.AnyOK, r.AnyBad, r.AnyHard = r.AnyOK || n.AnyOK, r.AnyBad || n.AnyBad, r.AnyHard || n.AnyBad
	if r.Code == "" {
		r.Code = n.Code
	}
}

// stays reports whether a step would be given up again whatever becomes of what it waits for.
func (r *Revival) stays(join Join) bool { return r.AnyHard || r.AnyBad && join != JoinAvailable }

// Drop lists what has not ended of units, to be cancelled, in the order of units; busy says that a worker has some of it.
func Drop(d *Definition, units []UnitState) Left {
	var out Left
	for _, u := range units {
		for i := range d.Steps {
			step := &d.Steps[i]
			from, laidOut := u.Steps[step.Name]
			switch {
			case !laidOut || from.Final():
			case from == Running:
				out.Busy = true
			default:
				out.Ends = append(out.Ends, StepOf{u.Unit, step.Name})
			}
		}
	}
	return out
}
