// Package plan decides: which states follow which, what a result means for its step, what a definition makes of files
// and recipients, when a distribution is over. It is pure; the store applies what it decides, and Lua, docs and tests
// derive their tables from it.
package plan

import (
	"fmt"
	"slices"
)

// State is the state of a step.
type State string

const (
	Pending   State = "pending"   // waits for the steps it needs
	Ready     State = "ready"     // waits for a worker
	Running   State = "running"   // a worker has it, by a lease
	Retrying  State = "retrying"  // waits for a time: that of its next attempt, or the end of the undo window
	Done      State = "done"      // final: it succeeded
	Failed    State = "failed"    // final: it will not succeed
	Skipped   State = "skipped"   // final: its condition was false, or a person had it left out
	Cancelled State = "cancelled" // final: somebody cancelled, or what it needs failed
)

// States lists all states of a step in the order in which they are shown.
var States = []State{Pending, Ready, Running, Retrying, Done, Failed, Skipped, Cancelled}

// follows is the transition table of a step: what may come after what. Final states have no successors.
var follows = map[State][]State{
	Pending:  {Ready, Retrying, Skipped, Cancelled},               // retrying while the undo window is open
	Ready:    {Running, Skipped, Cancelled},                       // skipped: a person gave up what failed before and is to be tried again
	Running:  {Ready, Retrying, Done, Failed, Skipped, Cancelled}, // skipped: its condition was looked at when it was handed out
	Retrying: {Ready, Skipped, Cancelled},
}

// revived is what a person may make of a step by asking for it again, or for something that it needs. Nothing else leads
// out of a final state.
var revived = map[State][]State{
	Pending:   {Pending}, // and waits for more than before
	Ready:     {Pending},
	Retrying:  {Pending, Ready},
	Done:      {Pending, Ready},
	Failed:    {Pending, Ready},
	Skipped:   {Pending, Ready},
	Cancelled: {Pending, Ready},
}

// CheckRevival returns nil if a person may make a step in state from enter to.
func CheckRevival(from, to State) error {
	if slices.Contains(revived[from], to) {
		return nil
	}
	return &IllegalError{From: from, To: to}
}

// Final reports whether nothing may follow s.
func (s State) Final() bool { return len(follows[s]) == 0 }

// Check returns nil if a step in state from may enter to, else an *IllegalError.
func Check(from, to State) error {
	if slices.Contains(follows[from], to) {
		return nil
	}
	return &IllegalError{From: from, To: to}
}

// IllegalError is a transition that the table does not have.
type IllegalError struct {
	From, To State
}

func (e *IllegalError) Error() string {
	return fmt.Sprintf("a step that is %s cannot become %s", e.From, e.To)
}

// Delivery is the state of a delivery: what one recipient is sent over one channel.
type Delivery string

const (
	NoDelivery Delivery = "" // the definition delivers nothing
	Queued     Delivery = "queued"
	Sending    Delivery = "sending"
	Sent       Delivery = "sent"      // the mail server took it
	Uncertain  Delivery = "uncertain" // it may have been taken, and policy says that a person decides
	Delivered  Delivery = "delivered"
	Deferred   Delivery = "deferred" // refused for now; tried again
	Bounced    Delivery = "bounced"
	Blocked    Delivery = "blocked"
	Complained Delivery = "complained"
	NotSent    Delivery = "failed"
	Withdrawn  Delivery = "cancelled"
)

// Deliveries lists all states of a delivery in the order in which they are shown.
var Deliveries = []Delivery{Queued, Sending, Sent, Uncertain, Delivered, Deferred, Bounced, Blocked, Complained, NotSent, Withdrawn}

// deliveryFollows is the transition table of a delivery. After sent only word from the receiving side can come.
var deliveryFollows = map[Delivery][]Delivery{
	Queued:    {Sending, NotSent, Withdrawn},
	Sending:   {Queued, Sent, Uncertain, Deferred, Bounced, Blocked, NotSent, Withdrawn},
	Deferred:  {Sending, Withdrawn},
	Sent:      {Delivered, Bounced, Complained},
	Delivered: {Complained},
}

// CheckDelivery returns nil if a delivery in state from may enter to.
func CheckDelivery(from, to Delivery) error {
	if slices.Contains(deliveryFollows[from], to) {
		return nil
	}
	return fmt.Errorf("a delivery that is %s cannot become %s", from, to)
}

// Reached lists the states of a required delivery in which its items count as done.
var Reached = []Delivery{NoDelivery, Sent, Delivered, Complained}

// Phase is how far an item's own steps are, apart from its recipient's delivery.
type Phase string

const (
	PhasePending   Phase = "pending"
	PhaseRunning   Phase = "running"
	PhaseSkipped   Phase = "skipped" // all steps of the item were skipped
	PhaseMade      Phase = "made"    // all steps of the item ended well, but for optional ones
	PhaseCancelled Phase = "cancelled"
	PhaseFailed    Phase = "failed"
)

// Phases lists all phases. A phase that ends an item is as bad as its place here: of the ends of an item's steps the
// last in this list is the item's.
var Phases = []Phase{PhasePending, PhaseRunning, PhaseSkipped, PhaseMade, PhaseCancelled, PhaseFailed}

// ItemState is the state of an item as everybody sees it.
type ItemState string

const (
	ItemPending   ItemState = "pending"
	ItemRunning   ItemState = "running"
	ItemDone      ItemState = "done"
	ItemFailed    ItemState = "failed"
	ItemSkipped   ItemState = "skipped"
	ItemCancelled ItemState = "cancelled"
)

// ItemStates lists all states of an item in the order in which they are shown.
var ItemStates = []ItemState{ItemPending, ItemRunning, ItemDone, ItemFailed, ItemSkipped, ItemCancelled}

// Item derives an item's state from its own steps and from its recipient's required delivery. It is the only place
// where that is decided: pages use it for one item, summaries for counters of (phase, delivery).
func Item(p Phase, d Delivery) ItemState {
	switch p {
	case PhaseFailed:
		return ItemFailed
	case PhaseCancelled:
		return ItemCancelled
	case PhaseSkipped:
		return ItemSkipped
	case PhasePending:
		return ItemPending
	case PhaseRunning:
		return ItemRunning
	}
	switch d {
	case NoDelivery, Sent, Delivered, Complained:
		return ItemDone
	case Bounced, Blocked, NotSent, Uncertain:
		return ItemFailed
	case Withdrawn:
		return ItemCancelled
	}
	return ItemRunning
}

// DistributionState is the state of a distribution.
type DistributionState string

const (
	Accepted              DistributionState = "accepted" // stored; its steps are being laid out
	InProgress            DistributionState = "running"
	Paused                DistributionState = "paused"
	Completed             DistributionState = "completed"
	CompletedWithFailures DistributionState = "completed_with_failures"
	AllFailed             DistributionState = "failed"
	Stopped               DistributionState = "cancelled"
)

// DistributionStates lists all states of a distribution.
var DistributionStates = []DistributionState{Accepted, InProgress, Paused, Completed, CompletedWithFailures, AllFailed, Stopped}

var distributionFollows = map[DistributionState][]DistributionState{
	Accepted:   {InProgress, Paused, Stopped},
	InProgress: {Paused, Completed, CompletedWithFailures, AllFailed, Stopped},
	// What was with a worker when it was paused may have been the last of it.
	Paused: {InProgress, Completed, CompletedWithFailures, AllFailed, Stopped},
}

// CheckDistribution returns nil if a distribution in state from may enter to.
func CheckDistribution(from, to DistributionState) error {
	if slices.Contains(distributionFollows[from], to) {
		return nil
	}
	return fmt.Errorf("a distribution that is %s cannot become %s", from, to)
}

// Final reports whether nothing may follow s.
func (s DistributionState) Final() bool { return len(distributionFollows[s]) == 0 }

// Stop is why a distribution ends before it is done.
type Stop string

const (
	NotStopped Stop = ""
	ByPerson   Stop = "c"
	// ByFailures: more items failed than its policy tolerates.
	ByFailures Stop = "f"
)

// Ending decides the final state of a distribution whose last step has ended: good and bad say whether any item is done,
// and whether any is not.
func Ending(stop Stop, good, bad bool) DistributionState {
	switch {
	case stop == ByFailures:
		return AllFailed
	case stop == ByPerson && bad:
		return Stopped
	case !bad:
		return Completed
	case good:
		return CompletedWithFailures
	}
	return AllFailed
}
