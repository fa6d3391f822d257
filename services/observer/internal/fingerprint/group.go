package fingerprint

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Attempt is one attempt at a step, or the end of a step that was never tried; without a code it went well.
type Attempt struct {
	Production, Distribution string
	Unit, Step, Function     string
	Number                   int
	Worker                   string
	At                       time.Time
	Code, Message            string
	Retryable                bool
	// Open: it is where the step stands now.
	Open bool
	// Recipient is whose it is, counted from 1; 0: all Recipients of the distribution's.
	Recipient, Recipients int
	Name, Email           string // of the recipient
	File, FileName        string // of the file: its digest
	Version               string // of what the distribution runs: "send-documents@3"
}

func (a *Attempt) domain() string {
	at := strings.LastIndexByte(a.Email, '@')
	return strings.ToLower(a.Email[at+1:])
}

// Change is something that changed, which may be why.
type Change struct {
	Time       time.Time
	Production string // empty: everywhere
	Sentence   string // "worker mail-2 started"
}

// Group is failures with one fingerprint.
type Group struct {
	ID, Function, Step, Code, Signature string
	// Example is the first sentence as it was.
	Example string
	// Count is how many attempts failed so; Open how many steps stand there now.
	Count, Open               int
	Recipients, Distributions int
	First, Last               time.Time
	Retryable                 bool
	// Summary is the first cause, how far it spreads, and what changed just before.
	Summary string
	// Spread is how far it spreads: "on all 2 workers", "only at example.com".
	Spread []string
	// Hurt are some of those it hurts, in the order of time, each once.
	Hurt []*Attempt
	// Production and Distribution are the first's.
	Production, Distribution string

	all []*Attempt
}

// Numbers are the recipients of a distribution whom it hurts, in order; all: it is about a file or the distribution, so it
// hurts everybody. open: only those whom it hurts still.
func (g *Group) Numbers(distribution string, open bool) (numbers []int, all bool) {
	for _, a := range g.all {
		if a.Distribution != distribution || open && !a.Open {
			continue
		}
		if a.Recipient == 0 {
			all = true
			continue
		}
		numbers = append(numbers, a.Recipient)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), all
}

// mostHurt bounds Group.Hurt.
const mostHurt = 20

// Groups groups the failures among attempts, the most harm first. Those that went well say how far a failure spreads.
func Groups(attempts []Attempt, changes []Change) []*Group {
	sorted := make([]*Attempt, len(attempts))
	for i := range attempts {
		sorted[i] = &attempts[i]
	}
	slices.SortStableFunc(sorted, order)
	byID := map[string]*Group{}
	known := map[string]string{} // signatures by sentence and names
	around := newSurroundings(sorted)
	var out []*Group
	for _, a := range sorted {
		if a.Code == "" {
			continue
		}
		key := a.Message + "\x00" + a.Name + "\x00" + a.FileName
		signature, ok := known[key]
		if !ok {
			signature = Signature(a.Message, a.Name, a.FileName)
			known[key] = signature
		}
		id := ID(a.Function, a.Code, signature)
		g := byID[id]
		if g == nil {
			g = &Group{ID: id, Function: a.Function, Step: a.Step, Code: a.Code, Signature: signature, Example: a.Message,
				First: a.At, Production: a.Production, Distribution: a.Distribution}
			byID[id] = g
			out = append(out, g)
		}
		g.add(a)
	}
	for _, g := range out {
		g.finish()
		g.Spread = around.spread(g)
		g.Summary = around.summary(g, changes)
	}
	slices.SortStableFunc(out, func(a, b *Group) int {
		return cmp.Or(cmp.Compare(min(b.Open, 1), min(a.Open, 1)), cmp.Compare(b.Recipients, a.Recipients),
			cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last), strings.Compare(a.ID, b.ID))
	})
	return out
}

// order is that of time, and total, so that it does not matter in which order attempts are told.
func order(a, b *Attempt) int {
	return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Production, b.Production), strings.Compare(a.Distribution, b.Distribution),
		strings.Compare(a.Unit, b.Unit), strings.Compare(a.Step, b.Step), cmp.Compare(a.Number, b.Number), strings.Compare(a.Message, b.Message))
}

func (g *Group) add(a *Attempt) {
	g.Count++
	g.Last = a.At
	if a.Open {
		g.Open++
	}
	g.Retryable = g.Retryable || a.Retryable
	g.all = append(g.all, a)
}

// finish counts whom it hurts.
func (g *Group) finish() {
	type person struct {
		distribution string
		number       int
	}
	everybody := map[string]int{} // distributions all of whose recipients it hurts
	people, distributions := map[person]bool{}, map[string]bool{}
	units := map[string]bool{}
	for _, a := range g.all {
		distributions[a.Distribution] = true
		if a.Recipient == 0 {
			everybody[a.Distribution] = a.Recipients
		} else {
			people[person{a.Distribution, a.Recipient}] = true
		}
		unit := a.Distribution + "/" + a.Unit
		if !units[unit] && len(g.Hurt) < mostHurt {
			g.Hurt = append(g.Hurt, a)
		}
		units[unit] = true
	}
	g.Distributions = len(distributions)
	for p := range maps.Keys(people) {
		if everybody[p.distribution] == 0 {
			g.Recipients++
		}
	}
	for _, n := range everybody {
		g.Recipients += n
	}
}
