// Package why says why something is as it is: of records, queues, limits and pauses it makes causes, the worst first, and one
// sentence. It is pure: the same facts give the same answer.
package why

import (
	"slices"
	"strings"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/fingerprint"
)

// Facts is all that an answer is drawn from, of one instant.
type Facts struct {
	Now time.Time
	Distribution
	// Person is whose the way is; nil: it is about the distribution as a whole.
	Person *event.Recipient
	// File is what it is about besides: its name, if the question was about one file or item.
	File string
	// Way are the steps that lead to the end, in order, those of files first.
	Way    []Step
	World  World
	Groups []*fingerprint.Group
	// Usual is how long an attempt at a function takes as a rule, where that is known.
	Usual map[string]time.Duration
}

// Distribution is event.Distribution and who stopped it.
type Distribution struct {
	event.Distribution
	// Cancelled and Paused are when that was asked for, zero if it was not or no longer holds; By says who.
	Cancelled, Paused     time.Time
	CancelledBy, PausedBy string
	// TooMany: it stopped by itself, since too many items failed.
	TooMany bool
	// Waiting is how many recipients have not got theirs.
	Waiting int
}

// Step is a step as it stands, of one unit.
type Step struct {
	Name, Function, Unit string
	File                 string // the document's name, of files and items
	Delivers, Optional   bool
	Limits               []string
	State, Worker        string
	Code, Message        string
	// Limit is what a ready step waits at; empty: for a worker.
	Limit          string
	Attempts       int
	Started, Ended time.Time
	RetryAt        time.Time
	Since          time.Time // when it came to be so: the first failure in a row, or when it was ready
	LeaseEnds      time.Time // of a running step: when its lease runs out unless it is renewed; zero when not known
	Timeout        time.Duration
}

// World is what is known of all else.
type World struct {
	// Redis is what is wrong with it, empty when it answers; RedisSince since when.
	Redis      string
	RedisSince time.Time
	// Orchestrator is when one was heard of last; Alive: it is there.
	Orchestrator time.Time
	Alive        bool
	Functions    []Function
	Pauses       []Pause
	Limits       []Limit
	Open         []Open
}

// Function is how a function stands, everywhere.
type Function struct {
	Name           string
	Ready, Running int
	Oldest         time.Duration
	Workers        []Worker
	Paused         bool
}

// Worker serves a function.
type Worker struct {
	Name    string
	Running int
	Seen    time.Time
}

// Pause is of a production, of a function, or of a function in a production: an empty field means all.
type Pause struct{ Production, Function string }

// Limit is a limit, or a resource if it has a kind; of a production, or, when that is empty, of all.
type Limit struct {
	Production, Name string
	Concurrency      int
	Rate             float64
	Taken, Waiting   int

	Kind, Credential, State, Breaker string
	BlockedUntil                     time.Time
	Code, Message                    string
}

// Called is a limit as definitions and commands call it.
func (l *Limit) Called() string {
	if l.Production == "" {
		return "studio/" + l.Name
	}
	return l.Name
}

// Open is a distribution that has not ended.
type Open struct {
	Production, ID string
	// Waiting is how many recipients have not got theirs.
	Waiting int
	// Left is how many steps have not ended, by function, and those of them that a limit holds.
	Left   map[string]int
	Limits []string
}

// function finds a function by its name.
func (w *World) function(name string) *Function {
	i := slices.IndexFunc(w.Functions, func(f Function) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return &w.Functions[i]
}

// limit finds what a step of production calls name.
func (w *World) limit(production, name string) *Limit {
	bare, studio := strings.CutPrefix(name, "studio/")
	if studio {
		production = ""
	}
	i := slices.IndexFunc(w.Limits, func(l Limit) bool { return l.Production == production && l.Name == bare })
	if i < 0 {
		return nil
	}
	return &w.Limits[i]
}

// served lists other versions of a function that are served: "example.Sign@1" for "example.Sign@2".
func (w *World) served(name string) []Function {
	base, _, _ := strings.Cut(name, "@")
	var out []Function
	for _, f := range w.Functions {
		other, _, _ := strings.Cut(f.Name, "@")
		if other == base && f.Name != name && len(f.Workers) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// hurt counts recipients who wait, and their distributions, of those that count.
func (w *World) hurt(counts func(Open) bool) (recipients, distributions int) {
	for _, o := range w.Open {
		if o.Waiting > 0 && counts(o) {
			recipients += o.Waiting
			distributions++
		}
	}
	return recipients, distributions
}
