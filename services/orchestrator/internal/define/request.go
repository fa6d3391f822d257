package define

import (
	"fmt"
	"reflect"
	"sync/atomic"

	"cel.dev/cel-go/common/types"
	"google.golang.org/protobuf/types/known/structpb"
)

var valueType = reflect.TypeFor[*structpb.Value]()

// Known is what is known of one unit. It is asked on the way of every task, for no more than a step's expressions need.
type Known interface {
	// Word is what a path ("recipient.name") stands for in View, if that is a text that can be told without making one.
	Word(path string) (string, bool)
	View() (View, error)
}

// View is itself known as a whole.
func (v View) View() (View, error) { return v, nil }

// Word implements Known.
func (View) Word(string) (string, bool) { return "", false }

// Same keeps the parts that the requests of one distribution have in common: what looks at nothing but the distribution
// and its production is worked out once, not for each unit. It is safe for concurrent use.
type Same struct{ parts []atomic.Pointer[string] }

// Same makes an empty one.
func (d *Definition) Same() *Same { return &Same{make([]atomic.Pointer[string], d.fixed)} }

// fix numbers the fields that are the same for all units of a distribution.
func (d *Definition) fix() {
	for _, fields := range d.requests {
		for i := range fields {
			if fields[i].uses.only("distribution", "production") {
				d.fixed++
				fields[i].fixed = d.fixed
			}
		}
	}
}

// Request makes the request of step from what is known, as protobuf JSON. A field whose expression gives null is left out.
// same is of the distribution; nil for a unit to which the distribution is not what it is to the others.
func (d *Definition) Request(step string, known Known, same *Same) (string, error) {
	request := append(make([]byte, 0, 256), '{')
	for i := range d.requests[step] {
		f := &d.requests[step][i]
		before := len(request)
		if before > 1 {
			request = append(request, ',')
		}
		at := len(request)
		var err error
		request, err = d.appendField(request, f, known, same)
		if err != nil {
			return "", fmt.Errorf("step %s: with.%s: %w", step, f.name, err)
		}
		if len(request) == at {
			request = request[:before]
		}
	}
	return string(append(request, '}')), nil
}

// appendField appends a field with its name, or nothing when it is left out.
func (d *Definition) appendField(b []byte, f *field, known Known, same *Same) ([]byte, error) {
	if same == nil || f.fixed == 0 {
		return d.evaluate(b, f, known)
	}
	part := &same.parts[f.fixed-1]
	made := part.Load()
	if made == nil {
		raw, err := d.evaluate(nil, f, known)
		if err != nil {
			return b, err
		}
		text := string(raw)
		made = &text
		part.Store(made)
	}
	return append(b, *made...), nil
}

func (d *Definition) evaluate(b []byte, f *field, known Known) ([]byte, error) {
	if f.path != "" {
		word, ok := known.Word(f.path)
		if ok {
			b, err := appendString(b, f.name)
			if err != nil {
				return b, err
			}
			return appendString(append(b, ':'), word)
		}
	}
	view, err := known.View()
	if err != nil {
		return b, err
	}
	out, _, err := f.prog.Eval(d.complete(f.uses, view))
	if err != nil || out == types.NullValue {
		return b, err
	}
	b, err = appendString(b, f.name)
	if err != nil {
		return b, err
	}
	return appendValue(append(b, ':'), out)
}
