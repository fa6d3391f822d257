// Package define reads definitions: YAML with CEL expressions becomes a plan.Definition and, for each step, a function
// from what is known (a view) to the step's request. Errors point at the line.
package define

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"
	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Definition is a readable definition: the graph, and how each step's request is made.
type Definition struct {
	plan.Definition
	// Source is the text it was read from.
	Source   string
	requests map[string][]field
	when     map[string]cel.Program
}

// field makes one field of a request.
type field struct {
	name string
	prog cel.Program
}

// View is what a step's expressions may look at. Keys are the words of definitions: "distribution", "production",
// "file", "recipient", "item", "items".
type View map[string]any

type yamlDefinition struct {
	Name    string     `yaml:"name"`
	Version int        `yaml:"version"`
	Steps   []yamlStep `yaml:"steps"`
}

type yamlStep struct {
	Name     string            `yaml:"name"`
	Scope    string            `yaml:"scope"`
	Function string            `yaml:"function"`
	Needs    []string          `yaml:"needs"`
	Optional bool              `yaml:"optional"`
	Delivers string            `yaml:"delivers"`
	Reaches  bool              `yaml:"reaches"`
	When     string            `yaml:"when"`
	With     map[string]string `yaml:"with"`
	Retry    struct {
		Attempts int             `yaml:"attempts"`
		Backoff  []time.Duration `yaml:"backoff"`
	} `yaml:"retry"`
	Timeout time.Duration `yaml:"timeout"`
}

// Parse reads a definition. The error of a bad one says where and what.
func Parse(source string) (*Definition, error) {
	var y yamlDefinition
	err := yaml.UnmarshalWithOptions([]byte(source), &y, yaml.Strict())
	if err != nil {
		return nil, fmt.Errorf("definition: %s", yaml.FormatError(err, false, true))
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	d := &Definition{
		Definition: plan.Definition{Name: y.Name, Version: y.Version},
		Source:     source,
		requests:   map[string][]field{},
		when:       map[string]cel.Program{},
	}
	if y.Name == "" || y.Version < 1 {
		return nil, fmt.Errorf("definition: name and version (from 1) are required")
	}
	for i, s := range y.Steps {
		d.Steps = append(d.Steps, plan.Step{
			Name: s.Name, Scope: plan.Scope(s.Scope), Function: s.Function, Needs: s.Needs,
			Optional: s.Optional, Delivers: s.Delivers, Timeout: s.Timeout,
			Reaches: s.Reaches || s.Delivers != "",
			Retry:   plan.Retry{Attempts: max(s.Retry.Attempts, 1), Backoff: s.Retry.Backoff},
		})
		fields, err := compile(env, s)
		if err != nil {
			return nil, fmt.Errorf("definition %s, line %d: step %q: %w", y.Name, lineOf(source, i), s.Name, err)
		}
		d.requests[s.Name] = fields
		if s.When == "" {
			continue
		}
		d.when[s.Name], err = condition(env, s.When)
		if err != nil {
			return nil, fmt.Errorf("definition %s, line %d: step %q: when: %w", y.Name, lineOf(source, i), s.Name, err)
		}
	}
	err = d.Validate()
	if err != nil {
		return nil, fmt.Errorf("definition %s: %w", y.Name, err)
	}
	return d, nil
}

// lineOf is the line on which the n-th step begins, counted from 1; 0 if it cannot be told.
func lineOf(source string, n int) int {
	path, err := yaml.PathString(fmt.Sprintf("$.steps[%d].name", n))
	if err != nil {
		return 0
	}
	node, err := path.ReadNode(strings.NewReader(source))
	if err != nil {
		return 0
	}
	return node.GetToken().Position.Line
}

func environment() (*cel.Env, error) {
	env, err := cel.NewEnv(
		cel.Variable("distribution", cel.DynType),
		cel.Variable("production", cel.DynType),
		cel.Variable("file", cel.DynType),
		cel.Variable("recipient", cel.DynType),
		cel.Variable("item", cel.DynType),
		cel.Variable("items", cel.ListType(cel.DynType)),
		ext.Strings(),
	)
	if err != nil {
		return nil, fmt.Errorf("definition: prepare expressions: %w", err)
	}
	return env, nil
}

func compile(env *cel.Env, s yamlStep) ([]field, error) {
	names := make([]string, 0, len(s.With))
	for name := range s.With {
		names = append(names, name)
	}
	sort.Strings(names)
	var fields []field
	for _, name := range names {
		ast, issues := env.Compile(s.With[name])
		if issues.Err() != nil {
			return nil, fmt.Errorf("with.%s: %w", name, issues.Err())
		}
		prog, err := env.Program(ast, cel.CostLimit(10_000_000))
		if err != nil {
			return nil, fmt.Errorf("with.%s: %w", name, err)
		}
		fields = append(fields, field{name: name, prog: prog})
	}
	return fields, nil
}

func condition(env *cel.Env, source string) (cel.Program, error) {
	ast, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it gives %s, not true or false", t)
	}
	return env.Program(ast, cel.CostLimit(1_000_000))
}

// For returns the graph of one distribution: without the steps whose `when` is false for it, and without the needs of
// others for those. view has distribution and production.
func (d *Definition) For(view View) (*plan.Definition, error) {
	out := &plan.Definition{Name: d.Name, Version: d.Version}
	left := map[string]bool{}
	for _, step := range d.Steps {
		prog, ok := d.when[step.Name]
		if ok {
			value, _, err := prog.Eval(map[string]any(view))
			if err != nil {
				return nil, fmt.Errorf("step %s: when: %w", step.Name, err)
			}
			yes, isBool := value.Value().(bool)
			if !isBool {
				return nil, fmt.Errorf("step %s: when gives %v, not true or false", step.Name, value.Value())
			}
			if !yes {
				left[step.Name] = true
				continue
			}
		}
		step.Needs = slices.DeleteFunc(slices.Clone(step.Needs), func(n string) bool { return left[n] })
		out.Steps = append(out.Steps, step)
	}
	return out, out.Validate()
}

var valueType = reflect.TypeFor[*structpb.Value]()

// Request makes the request of step from view, as protobuf JSON. A field whose expression gives null is left out.
func (d *Definition) Request(step string, view View) (string, error) {
	request := map[string]json.RawMessage{}
	for _, f := range d.requests[step] {
		out, _, err := f.prog.Eval(map[string]any(view))
		if err != nil {
			return "", fmt.Errorf("step %s: with.%s: %w", step, f.name, err)
		}
		native, err := out.ConvertToNative(valueType)
		if err != nil {
			return "", fmt.Errorf("step %s: with.%s: %w", step, f.name, err)
		}
		value := native.(*structpb.Value)
		if _, null := value.GetKind().(*structpb.Value_NullValue); null {
			continue
		}
		request[f.name], err = protojson.Marshal(value)
		if err != nil {
			return "", fmt.Errorf("step %s: with.%s: %w", step, f.name, err)
		}
	}
	raw, err := json.Marshal(request)
	return string(raw), err
}
