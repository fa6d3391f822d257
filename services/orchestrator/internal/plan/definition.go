package plan

import (
	"fmt"
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
}

// Retry is a step's retry policy.
type Retry struct {
	// Attempts is how many errors are allowed, the last of them final. Throttles and crashes are counted apart.
	Attempts int
	// Backoff is how long to wait after the first, second, … error; the last value repeats. Each wait is drawn at random
	// between half of it and all of it.
	Backoff []time.Duration
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

// Validate reports what is wrong with the graph, or nil.
func (d *Definition) Validate() error {
	seen := map[string]Scope{}
	delivering := 0
	for _, s := range d.Steps {
		// Shorter names, and "dstep", are fields of the record that keeps the step.
		if len(s.Name) < 2 || len(s.Name) > 20 || s.Name == "dstep" || strings.Trim(s.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return fmt.Errorf("step %q: a name has 2 to 20 lower-case letters, digits and dashes", s.Name)
		}
		if _, ok := seen[s.Name]; ok {
			return fmt.Errorf("step %q is there twice", s.Name)
		}
		for _, n := range s.Needs {
			from, ok := seen[n]
			if !ok {
				return fmt.Errorf("step %q needs %q, which is not a step before it", s.Name, n)
			}
			if !reaches(from, s.Scope) {
				return fmt.Errorf("step %q (%s) cannot need %q (%s)", s.Name, s.Scope, n, from)
			}
		}
		if s.Function == "" {
			return fmt.Errorf("step %q names no function", s.Name)
		}
		if s.Delivers != "" {
			delivering++
			if s.Scope != ScopeRecipient || s.Optional || delivering > 1 {
				return fmt.Errorf("step %q: one required step of scope recipient may deliver", s.Name)
			}
		}
		seen[s.Name] = s.Scope
	}
	if len(d.Steps) == 0 {
		return fmt.Errorf("definition %s has no steps", d.Name)
	}
	return nil
}

// reaches reports whether a step of scope to may wait for one of scope from.
func reaches(from, to Scope) bool {
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
	switch u.Scope() {
	case ScopeItem:
		return "i" + strconv.Itoa(u.File) + "." + strconv.Itoa(u.Recipient)
	case ScopeFile:
		return "f" + strconv.Itoa(u.File)
	case ScopeRecipient:
		return "r" + strconv.Itoa(u.Recipient)
	}
	return "d"
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
	if err1 != nil || err2 != nil || u.String() != s {
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

// Deadline is when a distribution accepted at should be over: 5 s plus 50 ms an item. Ready steps are handed out in its
// order, so a small distribution passes a big one and nobody starves.
func Deadline(accepted time.Time, size Size) time.Time {
	return accepted.Add(5*time.Second + time.Duration(size.Items())*50*time.Millisecond)
}
