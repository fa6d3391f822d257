package paint

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"weak"

	"github.com/filigreehq/filigree/pkg/mark"
)

// outline is a mark.Outline taken apart, in ems.
type outline struct {
	segments []segment
	// min and max are the corners of a box around all points, control points included, which hold the curves.
	min, max point
}

// segment is one operator of a path.
type segment struct {
	op byte // m, l, c or h
	at [3]point
}

type point struct{ x, y float64 }

// outlines are those taken apart, by weak.Pointer[mark.Outline]: they go when the mark's outline goes.
var outlines sync.Map

// outlineOf takes o apart, or finds it done. An outline that is none cannot come from package mark: it is a defect of
// ours, and panics.
func outlineOf(o *mark.Outline) *outline {
	key := weak.Make(o)
	known, ok := outlines.Load(key)
	if ok {
		return known.(*outline)
	}
	parsed, err := parse(o.Path)
	if err != nil {
		panic(err)
	}
	_, loaded := outlines.LoadOrStore(key, parsed)
	if !loaded {
		runtime.AddCleanup(o, func(key weak.Pointer[mark.Outline]) { outlines.Delete(key) }, key)
	}
	return parsed
}

// operands of each operator.
var operands = map[string]int{"m": 2, "l": 2, "c": 6, "h": 0}

// parse reads the PDF path operators of an outline.
func parse(path []byte) (*outline, error) {
	o := &outline{}
	first := true
	for line := range bytes.Lines(path) {
		fields := bytes.Fields(line)
		if len(fields) == 0 {
			continue
		}
		operator := string(fields[len(fields)-1])
		fields = fields[:len(fields)-1]
		want, ok := operands[operator]
		if !ok || len(fields) != want {
			return nil, fmt.Errorf("outline: %q is no line of one", line)
		}
		s := segment{op: operator[0]}
		for i, field := range fields {
			v, err := strconv.ParseInt(string(field), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("outline: %w", err)
			}
			if i%2 == 0 {
				s.at[i/2].x = float64(v) / mark.PerEm
			} else {
				s.at[i/2].y = float64(v) / mark.PerEm
			}
		}
		for _, p := range s.at[:want/2] {
			if first {
				o.min, o.max, first = p, p, false
			}
			o.min.x, o.max.x = min(o.min.x, p.x), max(o.max.x, p.x)
			o.min.y, o.max.y = min(o.min.y, p.y), max(o.max.y, p.y)
		}
		o.segments = append(o.segments, s)
	}
	return o, nil
}
