package plan

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Scope is what a step is about.
type Scope string

const (
	ScopeDistribution Scope = "distribution"
	ScopeFile         Scope = "file"
	ScopeRecipient    Scope = "recipient"
	ScopeItem         Scope = "item"
)

// Scopes lists all scopes.
var Scopes = []Scope{ScopeDistribution, ScopeFile, ScopeRecipient, ScopeItem}

// Join says what becomes of a step when the last of what it needs has ended.
type Join string

const (
	// JoinAll: it runs only if all of them ended well.
	JoinAll Join = "all"
	// JoinAvailable: it runs if any of them did.
	JoinAvailable Join = "available"
)

// Step is one node of a definition.
type Step struct {
	Name     string
	Scope    Scope
	Function string
	Needs    []string
	// Optional: its failure does not fail the item.
	Optional bool
	// Delivers names the channel ("email") when this step is a recipient's required delivery.
	Delivers string
	// Reaches: it reaches somebody outside, so it waits for the undo window to close.
	Reaches bool
	Retry   Retry
	Timeout time.Duration
	// Conditional: whether it runs is decided when it is handed out, by what others gave.
	Conditional bool
	// Priority is 0 to 9, added to the distribution's; higher goes first.
	Priority int
	// Limits are those that a running attempt takes a place in, resources among them, in the order named. "studio/" before
	// a name means one that all productions share.
	Limits []string
	// Resources are those of Limits that are shared resources: what happens to a step tells of their health.
	Resources []string
	// Exclusive: it has a key, and of all steps of a production with the same key one runs at a time.
	Exclusive bool
	// Starts: it starts another distribution and waits for its end.
	Starts bool
}

// Retry is a step's retry policy.
type Retry struct {
	// Attempts is how many errors are allowed, the last of them final. Throttles and crashes are counted apart.
	Attempts int
	// Backoff is how long to wait after the first, second, … error; the last value repeats. Each wait is drawn at random
	// between half of it and all of it.
	Backoff []time.Duration
	// Permanent are codes of errors that are final at once, although the function says that trying again may help.
	Permanent []string
}

// Definition is the graph of steps that a distribution runs. It never changes under its name and version.
type Definition struct {
	Name    string
	Version int
	// Steps are in an order in which each comes after what it needs.
	Steps []Step
}

// Step returns the step named name.
func (d *Definition) Step(name string) (*Step, bool) {
	for i := range d.Steps {
		if d.Steps[i].Name == name {
			return &d.Steps[i], true
		}
	}
	return nil, false
}

// Delivering returns the step that is a recipient's required delivery, if there is one.
func (d *Definition) Delivering() (*Step, bool) {
	for i := range d.Steps {
		if d.Steps[i].Delivers != "" {
			return &d.Steps[i], true
		}
	}
	return nil, false
}

// Hears lists the steps of its file that an item's step needs, if it needs several steps: it must count the end of each once,
// while of a single one it has heard when it does not wait any more.
func (d *Definition) Hears(step *Step) []string {
	if step.Scope != ScopeItem || len(step.Needs) < 2 {
		return nil
	}
	var out []string
	for _, name := range step.Needs {
		need, ok := d.Step(name)
		if ok && need.Scope == ScopeFile {
			out = append(out, name)
		}
	}
	return out
}

// Whole lists the steps of the whole distribution.
func (d *Definition) Whole() []*Step {
	var out []*Step
	for i := range d.Steps {
		if d.Steps[i].Scope == ScopeDistribution {
			out = append(out, &d.Steps[i])
		}
	}
	return out
}

// Dependents lists the steps that need the step named name.
func (d *Definition) Dependents(name string) []*Step {
	var deps []*Step
	for i := range d.Steps {
		for _, n := range d.Steps[i].Needs {
			if n == name {
				deps = append(deps, &d.Steps[i])
			}
		}
	}
	return deps
}

// FirstPhase is the phase in which items are laid out: they are made when none of the steps is theirs, and it is their
// recipient's delivery alone that decides.
func (d *Definition) FirstPhase() Phase {
	for i := range d.Steps {
		if d.Steps[i].Scope == ScopeItem {
			return PhasePending
		}
	}
	return PhaseMade
}

// Problem is one thing that is wrong with a graph.
type Problem struct {
	// Step is the step's place in Steps.
	Step int
	// Field is the word that definitions use for what is wrong, and Index the place in it when it is a list, else -1.
	Field string
	Index int
	Text  string
}

// Validate reports what is wrong with the graph, or nil.
func (d *Definition) Validate() error {
	if len(d.Steps) == 0 {
		return fmt.Errorf("definition %s has no steps", d.Name)
	}
	var errs []error
	for _, p := range d.Problems() {
		errs = append(errs, fmt.Errorf("step %q: %s: %s", d.Steps[p.Step].Name, p.Field, p.Text))
	}
	return errors.Join(errs...)
}

// Problems lists all that is wrong with the steps of the graph, in their order.
func (d *Definition) Problems() []Problem {
	var all []Problem
	first := map[string]int{}
	delivering := -1
	for i := range d.Steps {
		s := &d.Steps[i]
		add := func(field string, index int, format string, args ...any) {
			all = append(all, Problem{Step: i, Field: field, Index: index, Text: fmt.Sprintf(format, args...)})
		}
		// Shorter names are fields of the record that keeps the step.
		if len(s.Name) < 2 || len(s.Name) > 20 || strings.Trim(s.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			text := "it has none; a name has 2 to 20 lower-case letters, digits and dashes"
			if s.Name != "" {
				text = fmt.Sprintf("%q is no name for a step; it has 2 to 20 lower-case letters, digits and dashes", s.Name)
			}
			add("name", -1, "%s", text)
		} else if at, twice := first[s.Name]; twice {
			add("name", -1, "step %d has this name already", at+1)
		} else {
			first[s.Name] = i
		}
		switch {
		case s.Scope == "":
			add("scope", -1, "it has none; a step is about the distribution, a file, a recipient or an item")
		case !slices.Contains(Scopes, s.Scope):
			add("scope", -1, "%q is no scope; a step is about the distribution, a file, a recipient or an item", s.Scope)
		}
		if s.Function == "" {
			add("function", -1, "it calls none; name the function that a worker announces")
		}
		for j, name := range s.Needs {
			text := d.unmet(i, j, first)
			if text != "" {
				add("needs", j, "%s", text)
				continue
			}
			from := d.Steps[first[name]].Scope
			if slices.Contains(Scopes, from) && slices.Contains(Scopes, s.Scope) && !MayNeed(from, s.Scope) {
				add("needs", j, "a step for each %s cannot wait for %q, which is for each %s; %s", s.Scope, name, from, whatFor[s.Scope])
			}
		}
		if s.Delivers == "" {
			continue
		}
		switch {
		case s.Scope != ScopeRecipient:
			add("delivers", -1, "only a step of scope recipient delivers")
		case s.Optional:
			add("delivers", -1, "what is delivered cannot be optional: items are done when it is")
		case delivering >= 0:
			add("delivers", -1, "step %q delivers already, and one may", d.Steps[delivering].Name)
		}
		if delivering < 0 {
			delivering = i
		}
	}
	return all
}

// unmet says why step i cannot need what its need j names, of the steps before it, and is empty when it can.
func (d *Definition) unmet(i, j int, before map[string]int) string {
	s, name := &d.Steps[i], d.Steps[i].Needs[j]
	_, known := before[name]
	switch {
	case name == s.Name:
		return "a step cannot wait for itself"
	case slices.Contains(s.Needs[:j], name):
		return fmt.Sprintf("%q is there twice", name)
	case known:
		return ""
	}
	_, later := d.Step(name)
	if !later {
		var names []string
		for k := range d.Steps {
			if k != i && d.Steps[k].Name != "" {
				names = append(names, d.Steps[k].Name)
			}
		}
		return fmt.Sprintf("there is no step %q%s", name, others(names))
	}
	circle := d.path(name, s.Name, map[string]bool{})
	if circle != nil {
		return fmt.Sprintf("these wait for each other: %s needs %s", s.Name, strings.Join(circle, ", which needs "))
	}
	return fmt.Sprintf("%q comes later; a step stands below all that it needs", name)
}

func others(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; the others are " + strings.Join(names, ", ")
}

// path is a way from one step to another along their needs, both included; nil if there is none.
func (d *Definition) path(from, to string, seen map[string]bool) []string {
	if from == to {
		return []string{to}
	}
	s, ok := d.Step(from)
	if !ok || seen[from] {
		return nil
	}
	seen[from] = true
	for _, n := range s.Needs {
		rest := d.path(n, to, seen)
		if rest != nil {
			return append([]string{from}, rest...)
		}
	}
	return nil
}

// whatFor says for each scope what its steps may wait for.
var whatFor = map[Scope]string{
	ScopeFile:      "it may wait for steps of its file",
	ScopeItem:      "it may wait for steps of its item and of its file",
	ScopeRecipient: "it may wait for steps of its recipient and of the recipient's items",
}

// MayNeed reports whether a step of scope to may wait for one of scope from.
func MayNeed(from, to Scope) bool {
	switch to {
	case ScopeDistribution:
		return true
	case ScopeFile:
		return from == ScopeFile
	case ScopeItem:
		return from == ScopeItem || from == ScopeFile
	case ScopeRecipient:
		return from == ScopeRecipient || from == ScopeItem
	}
	return false
}

// Size is how many files and recipients a distribution has.
type Size struct {
	Files, Recipients int
}

// Items is the number of (file, recipient) pairs.
func (s Size) Items() int { return s.Files * s.Recipients }

// Count is how many units of a scope a distribution of this size has.
func (s Size) Count(scope Scope) int {
	switch scope {
	case ScopeDistribution:
		return 1
	case ScopeFile:
		return s.Files
	case ScopeRecipient:
		return s.Recipients
	}
	return s.Items()
}

// Unit is what one step record is about: the distribution, one file, one recipient, or one item. Files and recipients
// are counted from 1; 0 means none.
type Unit struct {
	File, Recipient int
}

// Scope returns what sort of unit u is.
func (u Unit) Scope() Scope {
	switch {
	case u.File > 0 && u.Recipient > 0:
		return ScopeItem
	case u.File > 0:
		return ScopeFile
	case u.Recipient > 0:
		return ScopeRecipient
	}
	return ScopeDistribution
}

// String is how a unit is written in keys and ids: "d", "f2", "r7", "i2.7".
func (u Unit) String() string {
	var b [32]byte
	return string(u.Append(b[:0]))
}

// Append appends what String gives.
func (u Unit) Append(b []byte) []byte {
	switch u.Scope() {
	case ScopeItem:
		b = strconv.AppendInt(append(b, 'i'), int64(u.File), 10)
		return strconv.AppendInt(append(b, '.'), int64(u.Recipient), 10)
	case ScopeFile:
		return strconv.AppendInt(append(b, 'f'), int64(u.File), 10)
	case ScopeRecipient:
		return strconv.AppendInt(append(b, 'r'), int64(u.Recipient), 10)
	}
	return append(b, 'd')
}

// ParseUnit is the reverse of Unit.String.
func ParseUnit(s string) (Unit, error) {
	bad := func() (Unit, error) { return Unit{}, fmt.Errorf("%q is not a unit", s) }
	if s == "d" {
		return Unit{}, nil
	}
	if len(s) < 2 {
		return bad()
	}
	var u Unit
	var err1, err2 error
	switch s[0] {
	case 'f':
		u.File, err1 = strconv.Atoi(s[1:])
	case 'r':
		u.Recipient, err1 = strconv.Atoi(s[1:])
	case 'i':
		f, r, ok := strings.Cut(s[1:], ".")
		if !ok {
			return bad()
		}
		u.File, err1 = strconv.Atoi(f)
		u.Recipient, err2 = strconv.Atoi(r)
	default:
		return bad()
	}
	var b [32]byte
	if err1 != nil || err2 != nil || string(u.Append(b[:0])) != s {
		return bad()
	}
	return u, nil
}

// UnitAt returns the n-th unit, counted from 0, in the order in which a distribution is laid out: itself, recipients,
// items, and files last, since a file's first step may start at once and all that waits for it must be there.
func (s Size) UnitAt(n int) Unit {
	if n == 0 {
		return Unit{}
	}
	n--
	if n < s.Recipients {
		return Unit{Recipient: n + 1}
	}
	n -= s.Recipients
	if n < s.Items() {
		return Unit{File: n/s.Recipients + 1, Recipient: n%s.Recipients + 1}
	}
	return Unit{File: n - s.Items() + 1}
}

// Units is how many units a distribution has.
func (s Size) Units() int { return 1 + s.Recipients + s.Items() + s.Files }

// Waits is how many ends of other steps a step waits for.
func (d *Definition) Waits(step *Step, size Size) int {
	n := 0
	for _, name := range step.Needs {
		need, ok := d.Step(name)
		if !ok {
			continue // refused by Validate
		}
		n += perUnit(need.Scope, step.Scope, size)
	}
	return n
}

// perUnit is how many units of scope from one unit of scope to waits for.
func perUnit(from, to Scope, size Size) int {
	switch {
	case to == ScopeDistribution:
		return size.Count(from)
	case to == ScopeRecipient && from == ScopeItem:
		return size.Files
	}
	return 1
}

// MostPriority is the highest priority of a distribution or of a step.
const MostPriority = 9

// Rank is where a step stands among others that are ready, apart from its distribution's deadline: higher priorities, the
// step's and the distribution's together, have a lower rank. It is to be added to a deadline in milliseconds, of which it
// is a multiple that none reaches: the sum is exact as a float64.
func Rank(distribution, step int) int64 {
	const beyondAnyDeadline = 10_000_000_000_000 // the year 2286
	return int64(2*MostPriority-min(max(distribution, 0), MostPriority)-min(max(step, 0), MostPriority)) * beyondAnyDeadline
}

// Deadline is when a distribution should be over that may reach people from begins on, which is when it was accepted or the
// end of its undo window: 5 s plus 50 ms an item. Ready steps are handed out in its order, so a small distribution passes a
// big one and nobody starves.
func Deadline(begins time.Time, size Size) time.Time {
	return begins.Add(5*time.Second + time.Duration(size.Items())*50*time.Millisecond)
}
