// Package event is what happened to distributions, as the observer's own parts speak of it: the contract's events and
// records without the wire.
package event

import "time"

// Event is one immutable line of what happened to a distribution; see distribution.v1.Event for what its fields mean.
type Event struct {
	Production, Distribution string
	// ID orders events within a distribution: "<ms>-<n>" by Redis's clock.
	ID   string
	Time time.Time
	// Kind: accepted planned started attempt paused resumed cancel_requested stopped retry_requested retry resend skip_requested
	// skip skipped end_requested cancelled ended
	Kind string

	// Of an attempt: what ran, about what, by whom, from when, what it ended in, and why.
	Step, Unit    string
	Attempt       int
	Worker        string
	Started       time.Time
	State         string
	Code, Message string
	Retryable     bool

	// RetryAt is when it will be tried again, of an attempt that ended so.
	RetryAt time.Time

	// Limit held the attempt up while its step was ready, for LimitWait.
	Limit     string
	LimitWait time.Duration

	BytesIn, BytesOut int64
	Metrics           []Metric
	Log               []Line
	Text              string

	// Delivery is the state that the delivery entered, of an attempt that failed for good.
	Delivery string
	// Again names the steps that run or wait again, of a retry, resend or skip: "i1.7/watermark".
	Again []string
}

// Metric is a number that a function gave with an attempt.
type Metric struct {
	Name   string
	Value  float64
	Labels map[string]string
}

// Line is one line that was logged while a function worked.
type Line struct {
	Time        time.Time
	Level, Text string
}

// Distribution is what is known of one as a whole.
type Distribution struct {
	Production, ID, Title, State, Mode string
	Definition                         string
	Version                            int
	Created, Started, Ended, Deadline  time.Time // zero when not
	HeldUntil                          time.Time
	Items, ItemsDone, ItemsFailed      int
	Recipients                         int
	Files                              []File
	Steps                              []Step
	Parent                             string
}

// File is a source document of a distribution, by its place in it from 1 on.
type File struct {
	SHA256, Name string
}

// Step is one of the definition, with how many of it are in which state, and what it needs.
type Step struct {
	Name, Function, Scope string // scope: distribution file item recipient
	Needs                 []string
	Limits                []string
	Optional              bool
	Delivers              bool           // it reaches people: not before the undo window has closed
	Counts                map[string]int // by state
}

// Recipient is a person as addressed by one distribution, and what became of the delivery.
type Recipient struct {
	Number      int // from 1
	Name, Email string
	State       string // of the delivery
	MessageID   string
	Code        string
	Message     string
	SentAt      time.Time
}
