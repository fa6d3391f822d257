package mark

import (
	"slices"
	"sync"
	"unicode"

	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/harfbuzz"
	"github.com/go-text/typesetting/language"
	"golang.org/x/text/unicode/norm"

	"github.com/filigreehq/filigree/pkg/mark/bidi"
	"github.com/filigreehq/filigree/pkg/mark/typeface"
)

// line is a line of text, set. It is immutable but for what it remembers, and safe for concurrent use.
type line struct {
	glyphs   []Glyph // those that can be seen, from the left end of the baseline
	width    int32
	ink      box
	overlaps bool
	// leftward tells that the line as a whole runs from right to left.
	leftward bool

	bitmap func() Bitmap
}

type lineKey struct {
	text string // with isolates
	lang language.Language
}

var lines = newCache[lineKey, *line](1024)

// setter sets lines of text. It is not safe for concurrent use; idle keeps some for the next mark, since their plans of
// how each font is to be shaped are costly.
type setter struct {
	buffer *harfbuzz.Buffer
	faces  map[*typeface.Typeface]*face
	runs   []run
	levels []uint8
}

// face is a font as one setter uses it.
type face struct {
	of     *typeface.Typeface
	glyphs *font.Face
	shaper *harfbuzz.Font
}

// run is a part of a line that is of one direction, script and typeface.
type run struct {
	from, to int
	level    uint8
	script   language.Script
	face     *face
}

var idle struct {
	sync.Mutex
	setters []*setter
}

const (
	maxIdle = 16

	widestSpace = em * 3 / 10
)

func takeSetter() *setter {
	idle.Lock()
	defer idle.Unlock()
	n := len(idle.setters)
	if n == 0 {
		return &setter{buffer: harfbuzz.NewBuffer(), faces: map[*typeface.Typeface]*face{}}
	}
	s := idle.setters[n-1]
	idle.setters = idle.setters[:n-1]
	return s
}

func putSetter(s *setter) {
	idle.Lock()
	defer idle.Unlock()
	if len(idle.setters) < maxIdle {
		idle.setters = append(idle.setters, s)
	}
}

// setLine returns text, which may have isolates, as a line.
func setLine(text string, lang language.Language) (*line, error) {
	key := lineKey{text, lang}
	known, ok := lines.get(key)
	if ok {
		return known, nil
	}
	s := takeSetter()
	l, err := s.set([]rune(text), lang)
	putSetter(s) // not if it panicked
	if err != nil {
		return nil, err
	}
	return lines.put(key, l), nil
}

func (s *setter) set(text []rune, lang language.Language) (*line, error) {
	l := &line{}
	s.levels = s.levels[:0]
	if bidi.Needed(text) {
		var base uint8
		text = isolateAddresses(text)
		s.levels, base = bidi.Levels(text)
		l.leftward = base == 1
	}
	text = s.dropIsolates(text)
	err := s.itemize(text)
	if err != nil {
		return nil, err
	}
	for _, r := range s.visual() {
		err = s.shape(l, text, r, lang)
		if err != nil {
			return nil, err
		}
	}
	l.bitmap = sync.OnceValue(func() Bitmap { return draw(l) })
	return l, nil
}

// dropIsolates removes what isolates from text, and its levels.
func (s *setter) dropIsolates(text []rune) []rune {
	kept := text[:0]
	for i, r := range text {
		if r == bidi.Auto || r == bidi.LeftToRight || r == bidi.End {
			continue
		}
		if len(s.levels) > 0 {
			s.levels[len(kept)] = s.levels[i]
		}
		kept = append(kept, r)
	}
	if len(s.levels) > 0 {
		s.levels = s.levels[:len(kept)]
	}
	return kept
}

// isolateAddresses isolates e-mail and web addresses, which read from left to right wherever they stand.
func isolateAddresses(text []rune) []rune {
	out := make([]rune, 0, len(text)+8)
	for i := 0; i < len(text); {
		end := i
		address := false
		for end < len(text) && text[end] > ' ' && text[end] < 0x7f {
			address = address || text[end] == '@' || text[end] == '/'
			end++
		}
		switch {
		case end == i:
			out = append(out, text[i])
			end++
		case address:
			out = append(out, bidi.LeftToRight)
			out = append(out, text[i:end]...)
			out = append(out, bidi.End)
		default:
			out = append(out, text[i:end]...)
		}
		i = end
	}
	return out
}

// visual is the runs from left to right.
func (s *setter) visual() []run {
	if len(s.runs) < 2 {
		return s.runs
	}
	levels := make([]uint8, len(s.runs))
	for i, r := range s.runs {
		levels[i] = r.level
	}
	out := make([]run, len(s.runs))
	for i, from := range bidi.Order(levels) {
		out[i] = s.runs[from]
	}
	return out
}

// itemize finds the runs of text.
func (s *setter) itemize(text []rune) error {
	s.runs = s.runs[:0]
	script := firstScript(text)
	for i := 0; i < len(text); {
		end := i + 1
		for end < len(text) && extends(text[end]) {
			end++
		}
		own := language.LookupScript(text[i])
		if strong(own) {
			script = own
		}
		r := run{from: i, to: end, script: script}
		if len(s.levels) > 0 {
			r.level = s.levels[i]
		}
		var last *run
		if n := len(s.runs); n > 0 {
			last = &s.runs[n-1]
		}
		var err error
		r.face, err = s.choose(text, i, end, script, last, strong(own))
		if err != nil {
			return err
		}
		if last != nil && last.level == r.level && last.script == script && last.face == r.face {
			last.to = end
		} else {
			s.runs = append(s.runs, r)
		}
		i = end
	}
	return nil
}

func firstScript(text []rune) language.Script {
	for _, r := range text {
		script := language.LookupScript(r)
		if strong(script) {
			return script
		}
	}
	return language.Latin
}

// strong reports whether a script is one, and not what several share.
func strong(s language.Script) bool {
	return s != language.Common && s != language.Inherited && s != language.Unknown
}

// extends reports whether r is drawn with the character before it.
func extends(r rune) bool {
	return r >= 0x300 && (unicode.Is(unicode.M, r) || invisible(r))
}

// invisible reports whether r only steers how others are drawn.
func invisible(r rune) bool {
	return r == zwj || r == zwnj || r == '\u034f' || r == '\u200e' || r == '\u200f' || r == '\u061c' || unicode.Is(unicode.Variation_Selector, r) ||
		r == '\u180e'
}

// choose returns the face for the cluster of characters from from to to: the one before it for what all scripts share,
// the script's own, or one that has it.
func (s *setter) choose(text []rune, from, to int, script language.Script, last *run, own bool) (*face, error) {
	cluster := text[from:to]
	if last != nil && (!own || last.script == script) && last.face.draws(cluster) {
		return last.face, nil
	}
	candidates := [...]*typeface.Typeface{typeface.Of(script), typeface.Latin, typeface.Han}
	for _, c := range candidates {
		if c == nil {
			continue
		}
		f, err := s.open(c)
		if err != nil {
			return nil, err
		}
		if f.draws(cluster) {
			return f, nil
		}
	}
	for i, r := range cluster {
		drawn := func(c *typeface.Typeface) bool { return c != nil && s.faces[c].draws(cluster[i:i+1]) }
		if !slices.ContainsFunc(candidates[:], drawn) {
			return nil, missing(r, text)
		}
	}
	return nil, missing(cluster[len(cluster)-1], text)
}

func missing(r rune, text []rune) error {
	return refuse("MARK_GLYPH_MISSING", "the mark has the character %q (%U) in %q, which our fonts cannot draw: spell it in another way", r, r, string(text))
}

func (s *setter) open(t *typeface.Typeface) (*face, error) {
	f, ok := s.faces[t]
	if ok {
		return f, nil
	}
	parsed, err := t.Font()
	if err != nil {
		return nil, err
	}
	glyphs := font.NewFace(parsed)
	f = &face{of: t, glyphs: glyphs, shaper: harfbuzz.NewFont(glyphs)}
	s.faces[t] = f
	return f, nil
}

// draws reports whether the font has all of a cluster.
func (f *face) draws(cluster []rune) bool {
	for _, r := range cluster {
		if !f.has(r) && !invisible(r) {
			return false
		}
	}
	return true
}

func (f *face) has(r rune) bool {
	if r == unicode.ReplacementChar || unicode.Is(unicode.Co, r) { // which stand for what was not text, or for anything
		return false
	}
	_, ok := f.glyphs.NominalGlyph(r)
	if ok || r < 0xc0 {
		return ok
	}
	parts := []rune(norm.NFD.String(string(r))) // which are put together again when they are shaped
	if len(parts) < 2 {
		return false
	}
	for _, part := range parts {
		_, ok = f.glyphs.NominalGlyph(part)
		if !ok {
			return false
		}
	}
	return true
}

// shape appends a run to the line.
func (s *setter) shape(l *line, text []rune, r run, lang language.Language) error {
	b := s.buffer
	b.Clear()
	b.AddRunes(text, r.from, r.to-r.from)
	b.Props = harfbuzz.SegmentProperties{Language: lang, Script: r.script, Direction: harfbuzz.LeftToRight}
	if r.level%2 == 1 {
		b.Props.Direction = harfbuzz.RightToLeft
	}
	b.Flags = harfbuzz.RemoveDefaultIgnorables
	b.Shape(r.face.shaper, nil)
	if l.glyphs == nil {
		l.glyphs = make([]Glyph, 0, len(text))
	}
	for i, g := range b.Info {
		if g.Glyph == 0 {
			return missing(text[g.Cluster], text)
		}
		at := b.Pos[i]
		o, err := outline(outlineKey{r.face.of, g.Glyph}, r.face.glyphs)
		if err != nil {
			return err
		}
		if len(o.Path) > 0 {
			drawn := Glyph{Outline: o, X: l.width + at.XOffset, Y: at.YOffset}
			l.glyphs = append(l.glyphs, drawn)
			l.ink.add(o.ink, drawn.X, drawn.Y)
			l.overlaps = l.overlaps || r.face.of.Joining || at.XAdvance == 0 || at.YOffset != 0
		}
		if text[g.Cluster] == ' ' { // one font's is half an em
			at.XAdvance = min(at.XAdvance, widestSpace)
		}
		l.width += at.XAdvance
	}
	return nil
}
