// Package define reads definitions: YAML with CEL expressions becomes a plan.Definition and, for each step, functions
// from what is known (a view) to the step's request, its condition and its exclusive key. What is wrong with a definition
// is told all at once, each with its line.
package define

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Definition is a readable definition: the graph, and how each step's request is made. It does not change, and is safe
// for concurrent use.
type Definition struct {
	plan.Definition
	// Source is the text it was read from.
	Source string
	// Conditions are the `when` of steps as they were written.
	Conditions map[string]string

	requests  map[string][]field
	when      map[string]compiled
	exclusive map[string]compiled
	fixed     int // how many fields are
}

// field makes one field of a request.
type field struct {
	name string
	compiled
	fixed int // which of the definition's fields that are the same for all units of a distribution, from 1 on; 0: none
}

// View is what a step's expressions may look at. Keys are the words of definitions: "distribution", "production",
// "file", "recipient", "item", "items", "steps".
type View map[string]any

var sharedEnvironment = sync.OnceValues(environment)

// Parse reads a definition. The error of a bad one is an *Error that says where and what.
func Parse(source string) (*Definition, error) {
	env, err := sharedEnvironment()
	if err != nil {
		return nil, err
	}
	r := &reader{}
	root := r.read(source)
	if root == nil {
		return nil, r.err()
	}
	w := r.definition(root)
	r.check(&w)
	d := &Definition{
		Definition: w.graph(),
		Source:     source,
		Conditions: map[string]string{},
		requests:   map[string][]field{},
		when:       map[string]compiled{},
		exclusive:  map[string]compiled{},
	}
	c := &compiler{problems: &r.problems, env: env, d: d}
	// Conditions first: what can be left out decides what others may look at.
	for i := range w.steps {
		d.condition(c, &w.steps[i], i)
	}
	for i := range w.steps {
		d.compile(c, &w.steps[i], i)
	}
	err = r.err()
	if err != nil {
		return nil, err
	}
	d.fix()
	return d, nil
}

// condition makes a program of the condition of the n-th step.
func (d *Definition) condition(c *compiler, s *writtenStep, n int) {
	for _, e := range s.when {
		d.Conditions[s.Name] = e.text
		made := c.compile(&d.Steps[n], s.label(n), e, cel.BoolType, conditionCost)
		if made != nil {
			d.when[s.Name] = *made
			d.Steps[n].Conditional = !made.uses.only("distribution", "production")
		}
	}
}

// compile makes programs of the other expressions of the n-th step.
func (d *Definition) compile(c *compiler, s *writtenStep, n int) {
	step, label := &d.Steps[n], s.label(n)
	for _, e := range s.with {
		made := c.compile(step, label, e, nil, requestCost)
		if made != nil {
			d.requests[s.Name] = append(d.requests[s.Name], field{name: e.field[len("with."):], compiled: *made})
		}
	}
	for _, e := range s.exclusive {
		made := c.compile(step, label, e, cel.StringType, conditionCost)
		if made == nil {
			continue
		}
		for _, name := range outputs {
			at, used := made.uses.variables[name]
			if used {
				c.add(e.lineOf(at), label, e.field, "the key is made when the distribution starts, so it cannot look at %q, which tells what steps gave", name)
			}
		}
		d.exclusive[s.Name] = *made
	}
}

// planned reports whether a step's condition is decided when a distribution is laid out.
func (d *Definition) planned(step *plan.Step) bool {
	_, has := d.when[step.Name]
	return has && !step.Conditional
}

// For returns the graph of one distribution: without the steps whose `when` is false for it, and without the needs of
// others for those. A step of which nothing is left to wait for waits for what those waited for. view has distribution
// and production; conditions that look at more are decided by When, when the step is handed out.
func (d *Definition) For(view View) (*plan.Definition, error) {
	out := &plan.Definition{Name: d.Name, Version: d.Version}
	left := map[string][]string{} // of each step that is left out: what it waited for
	for _, step := range d.Steps {
		step.Needs = without(step.Needs, left)
		if d.planned(&step) {
			yes, err := d.When(step.Name, view)
			if err != nil {
				return nil, err
			}
			if !yes && d.spare(&step) {
				left[step.Name] = step.Needs
				continue
			}
			// One that cannot be spared stays, and is skipped when its turn comes.
			step.Conditional = !yes
		}
		out.Steps = append(out.Steps, step)
	}
	return out, out.Validate()
}

// without is needs without the steps that were left out; with nothing left it is what those waited for.
func without(needs []string, left map[string][]string) []string {
	var kept, instead []string
	for _, n := range needs {
		waited, gone := left[n]
		if !gone {
			kept = append(kept, n)
		}
		for _, w := range waited {
			if !slices.Contains(instead, w) {
				instead = append(instead, w)
			}
		}
	}
	if len(kept) == 0 {
		return instead
	}
	return kept
}

// spare reports whether step can be left out: whoever might wait for nothing but it can wait for what it waits for.
func (d *Definition) spare(step *plan.Step) bool {
	for _, dep := range d.Dependents(step.Name) {
		sure := slices.ContainsFunc(dep.Needs, func(n string) bool {
			need, _ := d.Step(n)
			return !d.planned(need)
		})
		for _, n := range step.Needs {
			need, _ := d.Step(n)
			if !sure && !plan.MayNeed(need.Scope, dep.Scope) {
				return false
			}
		}
	}
	return true
}

// When reports whether step is to run for what view is of; a step without a condition is. view has all that is known of
// the step's unit.
func (d *Definition) When(step string, view View) (bool, error) {
	c, ok := d.when[step]
	if !ok {
		return true, nil
	}
	value, _, err := c.prog.Eval(d.complete(c.uses, view))
	if err != nil {
		return false, fmt.Errorf("step %s: when: %w", step, err)
	}
	yes, ok := value.Value().(bool)
	if !ok {
		return false, fmt.Errorf("step %s: when gives %v, not true or false", step, value.Value())
	}
	return yes, nil
}

// Key makes the exclusive key of step: of all steps of a production with the same key one runs at a time. It is empty
// when this one may run beside any other: it has no expression, or that gives an empty text or null. It can be of any
// length.
func (d *Definition) Key(step string, view View) (string, error) {
	c, ok := d.exclusive[step]
	if !ok {
		return "", nil
	}
	value, _, err := c.prog.Eval(d.complete(c.uses, view))
	if err != nil {
		return "", fmt.Errorf("step %s: exclusive: %w", step, err)
	}
	if value == types.NullValue {
		return "", nil
	}
	key, ok := value.Value().(string)
	if !ok {
		return "", fmt.Errorf("step %s: exclusive gives %v, not a text", step, value.Value())
	}
	return key, nil
}

// complete is view with the steps that were left out of a distribution: to expressions they are skipped.
func (d *Definition) complete(u uses, view View) map[string]any {
	if len(u.steps) == 0 && len(u.itemSteps) == 0 {
		return view
	}
	all := maps.Clone(map[string]any(view))
	if len(u.steps) > 0 {
		all["steps"] = withSkipped(all["steps"], u.steps)
	}
	items, ok := all["items"].([]any)
	if len(u.itemSteps) > 0 && ok {
		filled := make([]any, len(items))
		for i, item := range items {
			filled[i] = item
			known, ok := item.(map[string]any)
			if ok {
				one := maps.Clone(known)
				one["steps"] = withSkipped(one["steps"], u.itemSteps)
				filled[i] = one
			}
		}
		all["items"] = filled
	}
	return all
}

func withSkipped(known any, names map[string]int) map[string]any {
	steps, _ := known.(map[string]any) // nil when nothing is known of any
	steps = maps.Clone(steps)
	if steps == nil {
		steps = map[string]any{}
	}
	for name := range names {
		_, there := steps[name]
		if !there {
			steps[name] = map[string]any{"state": string(plan.Skipped), "output": map[string]any{}}
		}
	}
	return steps
}

// Functions lists the functions that the steps call, each once, in their order.
func (d *Definition) Functions() []string {
	var out []string
	for _, s := range d.Steps {
		if !slices.Contains(out, s.Function) {
			out = append(out, s.Function)
		}
	}
	return out
}
