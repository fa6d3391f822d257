package plan

// Life is where a shared resource stands that functions of its kind make and end.
type Life string

const (
	LifeAbsent     Life = "absent"
	LifeCreating   Life = "creating"
	LifeReady      Life = "ready"
	LifeDestroying Life = "destroying" // its users come to their end, and then the function does
	LifeFailed     Life = "failed"     // it could not be created; tried again after a while
)

// Move is one step in a resource's life.
type Move string

const (
	MoveNone Move = ""
	// By what is known of the resource.
	MoveAdopt   Move = "adopt"   // there is nothing to create: ready as it is
	MoveUnmake  Move = "unmake"  // ready without having been created, and now there is a function for that: absent
	MoveCreate  Move = "create"  // begins the task
	MoveDrain   Move = "drain"   // lets nobody in any more
	MoveDestroy Move = "destroy" // begins the task
	MoveDrop    Move = "drop"    // nothing is needed to end it: absent
	MoveRemove  Move = "remove"  // forgets it altogether
	MoveCheck   Move = "check"   // begins the task, beside whatever else goes on
	// By how a task ended.
	MoveCreated       Move = "created"
	MoveCreateFailed  Move = "create_failed"
	MoveDestroyed     Move = "destroyed"
	MoveDestroyFailed Move = "destroy_failed"
	MoveChecked       Move = "checked"
)

// Standing is what a resource's next move depends on.
type Standing struct {
	Life Life
	// Busy says that the task is under way which this life is about, Checking that a check is.
	Busy, Checking bool
	// Wanted says that somebody was turned away since it was made last, Unused that nobody has a place in it now.
	Wanted, Unused bool
	// Blocked says that its back-off is not over.
	Blocked bool
	// Creates says that there is a function to make it, Made that it was asked or is being asked, Destroys that what was made
	// has one to end it, Changed that it was made by other words than it has now, Deleted that people want it no more.
	Creates, Made, Destroys, Changed, Deleted bool
	// Idle says that nobody has used it for as long as that may be, CheckDue that a check is to be made.
	Idle, CheckDue bool
}

// Next is the move that a resource has to make on its own, MoveNone if it has none.
func (s Standing) Next() Move {
	switch s.Life {
	case LifeAbsent, LifeFailed:
		switch {
		case s.Deleted:
			return MoveRemove
		case !s.Creates:
			return MoveAdopt
		case s.Life == LifeFailed && s.Changed:
			return MoveDrop // other words may do better, at once
		case s.Wanted && !s.Blocked:
			return MoveCreate
		}
	case LifeReady:
		switch {
		case s.Made && (s.Deleted || s.Changed || !s.Creates || s.Idle && s.Unused):
			return MoveDrain
		case !s.Made && s.Deleted:
			return MoveRemove
		case !s.Made && s.Creates:
			return MoveUnmake
		case s.CheckDue && !s.Checking:
			return MoveCheck
		}
	case LifeDestroying:
		switch {
		case s.Busy || s.Blocked || !s.Unused:
		case s.Destroys:
			return MoveDestroy
		default:
			return MoveDrop
		}
	}
	return MoveNone
}
