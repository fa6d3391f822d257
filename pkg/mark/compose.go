package mark

import (
	"slices"

	"github.com/filigreehq/filigree/pkg/mark/typeface"
)

// PerEm is the number of a Shape's units to the em.
const PerEm = 1000

// MaxShapes is the largest number of a mark's shapes.
const MaxShapes = 4

const (
	em      = PerEm
	gap     = em / 8     // between lines
	ascent  = em * 3 / 4 // of capitals and most letters
	descent = em / 4
	tallest = em * 3 / 2 // what a line may reach above or below its baseline; accents heaped beyond are let out of the box

	smaller, larger = 3, 4 // lines after the first are set in this part of its size
)

// Mark is a mark ready to be put on pages. It is immutable and safe for concurrent use.
type Mark struct {
	look   look
	lines  []string
	first  *line
	shapes [2]Shape
}

// The shapes of a mark.
const (
	blockShape = iota // the lines one below the other
	rowShape          // the lines one beside the other
)

// Shape is the outline of some text. It does not depend on a page.
type Shape struct {
	// Width and Height of its box, whose lower left corner is the origin, in units: em/1000. Only accents heaped upon each
	// other reach out of it.
	Width, Height int32
	// Glyphs are those that can be seen.
	Glyphs []Glyph
	// Rule is a line under the text, nil if there is none. A copy draws it as a ribbon that hides its id.
	Rule *Glyph
	// Overlaps tells that glyphs may cover each other, as letters that join do, so that the shape must be painted as one
	// (a transparency group) lest it be darker there.
	Overlaps bool
}

// Glyph is an outline and where it stands.
type Glyph struct {
	Outline *Outline
	X, Y    int32 // of the outline's origin, in the shape's units
}

// Compose fills the template with fields, outlines the text and reads the style. Errors are *Error, except for a defect
// of ours.
func Compose(spec Spec, fields map[string]string) (*Mark, error) {
	look, err := spec.Style.look()
	if err != nil {
		return nil, err
	}
	isolated, err := fillLines(spec.Template, fields)
	if err != nil {
		return nil, err
	}
	m := &Mark{look: look, lines: plain(isolated)}
	set, err := setLines(isolated)
	if err != nil {
		return nil, err
	}
	m.first = set[0]
	m.shapes[blockShape] = block(set)
	m.shapes[blockShape].Rule = rule(m.shapes[blockShape].Width)
	m.shapes[rowShape], err = row(set)
	return m, err
}

// Lines is the text of the mark.
func (m *Mark) Lines() []string { return m.lines }

// Shapes are the outlines that the mark's uses refer to, by index.
func (m *Mark) Shapes() []Shape { return m.shapes[:] }

// setLines sets lines that may have isolates, but for those that show nothing.
func setLines(texts []string) ([]*line, error) {
	lang := typeface.Language(texts)
	out := make([]*line, 0, maxLines)
	for _, text := range texts {
		l, err := setLine(text, lang)
		if err != nil {
			return nil, err
		}
		if len(l.glyphs) > 0 {
			out = append(out, l)
		}
	}
	if len(out) == 0 {
		return nil, empty()
	}
	return out, nil
}

// block is the shape of lines one below the other, centred, the ones after the first a little smaller.
func block(lines []*line) Shape {
	var width, rise, drop, below int32 // the widest line; of the first line and the last; baselines
	var glyphs int
	baselines := make([]int32, len(lines)) // below the first
	for i, l := range lines {
		w, up, down := l.measure(i > 0)
		if i == 0 {
			rise = up
		} else {
			below += drop + gap + up
		}
		baselines[i] = below
		width, drop = max(width, w), down
		glyphs += len(l.glyphs)
	}
	s := Shape{Width: width, Height: rise + below + drop, Glyphs: make([]Glyph, 0, glyphs)}
	for i, l := range lines {
		w, _, _ := l.measure(i > 0)
		s.put(l, (width-w)/2, drop+below-baselines[i], i > 0)
	}
	return s
}

// row is the shape of lines one beside the other, in the direction in which the first one is read.
func row(lines []*line) (Shape, error) {
	between, err := setLine("\u00b7", typeface.Language(nil))
	if err != nil {
		return Shape{}, err
	}
	const space = em * 3 / 10
	var s Shape
	var drop int32
	var glyphs int
	for _, l := range lines {
		_, up, down := l.measure(false)
		s.Height, drop = max(s.Height, up), max(drop, down)
		glyphs += len(l.glyphs) + 1
	}
	s.Height += drop
	s.Glyphs = make([]Glyph, 0, glyphs)
	put := func(l *line) {
		if s.Width > 0 {
			s.put(between, s.Width+space, drop, false)
			s.Width += between.width + 2*space
		}
		w, _, _ := l.measure(false)
		s.put(l, s.Width, drop, false)
		s.Width += w
	}
	if lines[0].leftward {
		for _, l := range slices.Backward(lines) {
			put(l)
		}
		return s, nil
	}
	for _, l := range lines {
		put(l)
	}
	return s, nil
}

// measure is what a line takes: its width, and how far it reaches above its baseline and below.
func (l *line) measure(small bool) (width, rise, drop int32) {
	width = max(l.width, l.ink.right) - min(0, l.ink.left)
	rise, drop = min(tallest, max(ascent, l.ink.high)), min(tallest, max(descent, -l.ink.low))
	if small {
		return shrunk(width) + 1, shrunk(rise) + 1, shrunk(drop) + 1
	}
	return width, rise, drop
}

// put adds a line's glyphs with the left end of what it takes at x and its baseline at y.
func (s *Shape) put(l *line, x, y int32, small bool) {
	s.Overlaps = s.Overlaps || l.overlaps
	left := min(0, l.ink.left)
	for _, g := range l.glyphs {
		if small {
			s.Glyphs = append(s.Glyphs, Glyph{Outline: g.Outline.shrunk(), X: x + shrunk(g.X-left), Y: y + shrunk(g.Y)})
		} else {
			s.Glyphs = append(s.Glyphs, Glyph{Outline: g.Outline, X: x + g.X - left, Y: y + g.Y})
		}
	}
}
