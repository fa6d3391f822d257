package plan

import (
	"slices"
	"time"
)

// Class says what a failure means for the next attempt.
type Class int

const (
	Permanent Class = iota + 1
	Transient
	Throttled
	// Unsure: the effect may have happened.
	Unsure
)

// Failure is an attempt's failure as the worker reports it.
type Failure struct {
	Class      Class
	Code       string
	Message    string
	RetryAfter time.Duration
	// Delivery is the state that a delivering step's delivery ends in if this failure is final; empty means failed.
	Delivery Delivery
}

// Tally is what happened to a step in earlier attempts. Errors, crashes and throttles are counted apart: only errors
// use up the retry policy.
type Tally struct {
	Errors, Crashes, Throttles int
}

// MaxCrashes is how many attempts at a step may die without a word before it is given up, and how many workers a document
// may kill in a row before it is quarantined.
const MaxCrashes = 3

// OnUncertain is the policy for an effect that may have happened.
type OnUncertain string

const (
	Resend OnUncertain = "resend"
	Hold   OnUncertain = "hold"
)

// Outcome is what ends an attempt: the state its step enters, and all that must change with it.
type Outcome struct {
	To State
	// Wait is how long until the next attempt, for Retrying.
	Wait time.Duration
	// Tally is the step's tally from now on.
	Tally Tally
	// Code and Message tell why, for everything but success.
	Code, Message string
	// Delivery is the state that a delivering step's delivery enters; empty leaves it as it is.
	Delivery Delivery
	// MaybeSent marks the delivery as one that may reach the recipient twice.
	MaybeSent bool
	// KeepCheckpoint keeps what the attempt recorded, because how far it came is all that is known of it.
	KeepCheckpoint bool
	// Checkpoint replaces what the attempt recorded: how to ask for what it submitted.
	Checkpoint string
	// Throttled: somebody else's limit ended it.
	Throttled bool
	// Crashed: the attempt died with its worker. What it was about may be what kills them.
	Crashed bool
	// Event reports whether the attempt is worth an event: one that was handed back untouched is not.
	Event bool
}

// Succeeded is the outcome of an attempt that did what it should.
func Succeeded(step *Step, t Tally) Outcome {
	o := Outcome{To: Done, Tally: t, Event: true}
	if step.Delivers != "" {
		o.Delivery = Sent
	}
	return o
}

// HandedBack is the outcome of an attempt that a stopping worker did not begin, or undid.
func HandedBack(step *Step, t Tally) Outcome {
	o := Outcome{To: Ready, Tally: t}
	if step.Delivers != "" {
		o.Delivery = Queued
	}
	return o
}

// Submitted is the outcome of an attempt whose work goes on elsewhere: it is asked for again after wait. That is no event:
// a thousand jobs that take hours would tell nothing else.
func Submitted(t Tally, wait time.Duration, checkpoint string) Outcome {
	return Outcome{To: Retrying, Tally: t, Wait: max(wait, time.Millisecond), Checkpoint: checkpoint}
}

// LeftOut is the outcome of a step whose condition is false.
func LeftOut(step *Step, t Tally) Outcome {
	o := Outcome{To: Skipped, Tally: t, Event: true}
	if step.Delivers != "" {
		o.Delivery = Withdrawn
	}
	return o
}

const quarantined = "three workers in a row were lost while they had this document, so nobody touches it any more; a retry lifts that"

// Quarantined is the outcome of a step about a document that killed three workers.
func Quarantined(step *Step, t Tally) Outcome {
	return Failing(step, t, Failure{Class: Permanent, Code: "FILE_QUARANTINED", Message: quarantined}, Hold, 0)
}

// Failing decides what a reported failure means. draw in [0,1) is the jitter.
func Failing(step *Step, t Tally, f Failure, policy OnUncertain, draw float64) Outcome {
	o := Outcome{Tally: t, Code: f.Code, Message: f.Message, Event: true}
	switch f.Class {
	case Unsure:
		return unsure(step, o, policy, f.RetryAfter, draw)
	case Throttled:
		o.Tally.Throttles++
		o.Throttled = true
		o.To = Retrying
		o.Wait = max(f.RetryAfter, jitter(step.Retry.wait(o.Tally.Throttles), draw))
	case Transient:
		o.Tally.Errors++
		if o.Tally.Errors >= step.Retry.Attempts || slices.Contains(step.Retry.Permanent, f.Code) {
			o.To = Failed
			break
		}
		o.To = Retrying
		o.Wait = max(f.RetryAfter, jitter(step.Retry.wait(o.Tally.Errors), draw))
	default:
		o.Tally.Errors++
		o.To = Failed
	}
	if step.Delivers != "" {
		o.Delivery = Deferred
		if o.To == Failed {
			o.Delivery = NotSent
			if f.Delivery != "" {
				o.Delivery = f.Delivery
			}
		}
	}
	return o
}

// Lost decides what it means that an attempt's lease ran out: its worker died, hung, or lost sight of us. checkpoint is
// the last thing it recorded.
func Lost(step *Step, t Tally, checkpoint string, policy OnUncertain) Outcome {
	o := Outcome{
		Tally: t, Event: true, Crashed: true, Code: "WORKER_LOST",
		Message: "the worker stopped answering while it had this step; another one takes over",
	}
	o.Tally.Crashes++
	if step.Delivers != "" && checkpoint != "" {
		o.Code = "DELIVERY_UNCERTAIN"
		o.Message = "the worker was lost at the moment of sending, so the message may have gone out"
		return unsure(step, o, policy, 0, 0)
	}
	if o.Tally.Crashes >= MaxCrashes {
		o.To = Failed
		o.Code = "WORKER_CRASHED"
		o.Message = "three workers in a row were lost at this step, so it was given up; the document may be what kills them"
		if step.Delivers != "" {
			o.Delivery = NotSent
		}
		return o
	}
	o.To = Ready
	if step.Delivers != "" {
		o.Delivery = Queued
	}
	return o
}

// unsure applies the policy for an effect that may have happened. Resending is bounded by the retry policy like any
// error: a server that never answers the final dot does not get the same message for ever.
func unsure(step *Step, o Outcome, policy OnUncertain, after time.Duration, draw float64) Outcome {
	o.MaybeSent = true
	o.KeepCheckpoint = true
	o.Tally.Errors++
	if policy == Hold || o.Tally.Errors >= step.Retry.Attempts {
		o.To = Failed
		o.Delivery = Uncertain
		return o
	}
	o.To = Retrying
	o.Delivery = Deferred
	o.Wait = max(after, jitter(step.Retry.wait(o.Tally.Errors), draw))
	return o
}

// wait is the back-off after the n-th error, counted from 1.
func (r Retry) wait(n int) time.Duration {
	if len(r.Backoff) == 0 {
		return time.Second
	}
	return r.Backoff[min(n, len(r.Backoff))-1]
}

// jitter draws a wait between half of d and all of it, so that what failed together is not repeated together.
func jitter(d time.Duration, draw float64) time.Duration {
	return d/2 + time.Duration(draw*float64(d/2))
}
