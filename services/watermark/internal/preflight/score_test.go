package preflight_test

import (
	"image"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
)

const side = 100

// canvas is a grey picture of side by side pixels.
type canvas [side * side]byte

func ground(grey byte) *canvas {
	var c canvas
	for i := range c {
		c[i] = grey
	}
	return &c
}

// stripes are dark lines two pixels wide every six.
func (c *canvas) stripes(dark byte) *canvas {
	out := *c
	for i := range out {
		if i/side%6 < 2 {
			out[i] = dark
		}
	}
	return &out
}

// in changes the pixels of r.
func (c *canvas) in(r image.Rectangle, change func(grey int) int) *canvas {
	out := *c
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			out[y*side+x] = byte(change(int(out[y*side+x])))
		}
	}
	return &out
}

// veil paints tone over, at a percentage.
func veil(tone, opacity int) func(int) int {
	return func(grey int) int { return (grey*(100-opacity) + tone*opacity + 50) / 100 }
}

func inkOf(alpha byte, rects ...image.Rectangle) *image.Alpha {
	a := image.NewAlpha(image.Rect(0, 0, side, side))
	for _, r := range rects {
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				a.Pix[a.PixOffset(x, y)] = alpha
			}
		}
	}
	return a
}

var (
	bar    = image.Rect(10, 20, 90, 40)
	small  = image.Rect(20, 60, 34, 62)
	thinly = image.Rect(10, 60, 90, 61)
)

func TestScore(t *testing.T) {
	type want struct {
		outcome      preflight.Outcome
		shown, still float64
	}
	all := want{preflight.Passed, 1, 0}
	none := want{preflight.Faint, 0, 1}
	near := func(a, b float64) bool { return a-b < .03 && b-a < .03 }
	white, black := ground(255), ground(0)
	for _, c := range []struct {
		name          string
		plain, marked *canvas
		ink           *image.Alpha
		want          want
	}{
		{"dark on white", white, white.in(bar, veil(102, 24)), inkOf(255, bar), all},
		{"light on black", black, black.in(bar, veil(255, 18)), inkOf(255, bar), all},
		{"no mark", white, white, inkOf(255, bar), none},
		{"no mark on text", white.stripes(0), white.stripes(0), inkOf(255, bar), none},
		{"nearly the ground's tone", white, white.in(bar, veil(245, 80)), inkOf(255, bar), want{preflight.Faint, 0, 0}},
		{"exactly the ground's tone", ground(102), ground(102).in(bar, veil(102, 24)), inkOf(255, bar), none},
		{"a third covered", white, white.in(image.Rect(10, 20, 63, 40), veil(102, 24)), inkOf(255, bar), want{preflight.Passed, .66, .34}},
		{"two thirds covered", white, white.in(image.Rect(10, 20, 37, 40), veil(102, 24)), inkOf(255, bar), want{preflight.Faint, .34, .66}},
		{"somewhere else", white, white.in(bar.Add(image.Pt(0, 40)), veil(102, 24)), inkOf(255, bar), none},
		{"the whole page veiled", white, white.in(image.Rect(0, 0, side, side), veil(102, 24)), inkOf(255, bar), want{preflight.Disturbed, 1, 0}},
		{"a stroke of a third of a pixel", white, white.in(thinly, veil(102, 25)), inkOf(85, thinly), all},
		{"a thin stroke, a pixel aside", white, white.in(thinly.Add(image.Pt(0, 1)), veil(102, 25)), inkOf(85, thinly), all},
		{"a thin stroke, four pixels aside", white, white.in(thinly.Add(image.Pt(0, 4)), veil(102, 25)), inkOf(85, thinly), none},
		{"text below a veil", white.stripes(0), white.stripes(0).in(bar, veil(102, 40)), inkOf(255, bar), all},
		{"white text below a veil", black.stripes(255), black.stripes(255).in(bar, veil(200, 40)), inkOf(255, bar), all},
		{"text below an opaque mark", white.stripes(0), white.stripes(0).in(bar, veil(102, 100)), inkOf(255, bar), want{preflight.Obscured, 1, 0}},
		{"text below a mark of 55 %", white.stripes(0), white.stripes(0).in(bar, veil(102, 55)), inkOf(255, bar), all},
		{"text below a mark of 65 %", white.stripes(0), white.stripes(0).in(bar, veil(102, 65)), inkOf(255, bar), want{preflight.Obscured, 1, 0}},
		{"faint text below a mark of 65 %", white.stripes(160), white.stripes(160).in(bar, veil(0, 65)), inkOf(255, bar), want{preflight.Obscured, 1, 0}},
		{"text turned inside out", white.stripes(0), white.stripes(0).in(bar, func(g int) int { return 240 - g*9/10 }), inkOf(255, bar), want{preflight.Obscured, 1, 0}},
		{"text below opaque small print", white.stripes(0), white.stripes(0).in(small, veil(102, 100)), inkOf(255, small), all},
		{"an opaque mark beside text", white.in(image.Rect(0, 50, side, side), veil(0, 90)), white.in(image.Rect(0, 50, side, side), veil(0, 90)).in(bar, veil(102, 100)), inkOf(255, bar), all},
		{"no ink expected", white, white, inkOf(0), want{preflight.Passed, 1, 0}},
		{"no ink expected, some there", white, white.in(bar, veil(102, 24)), inkOf(0), want{preflight.Disturbed, 1, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := preflight.ScorePictures(c.plain[:], c.marked[:], c.ink)
			got := preflight.Judge(s, mark.Page{Box: letter}, side*side)
			if got != c.want.outcome || !near(s.Shown, c.want.shown) || !near(s.Still, c.want.still) {
				t.Errorf("got %v, %+v, want %+v", got, s, c.want)
			}
			// Without the mark, a page that is to have one never passes.
			without := preflight.Judge(preflight.ScorePictures(c.plain[:], c.plain[:], c.ink), mark.Page{Box: letter}, side*side)
			if s.Ink > 0 && without != preflight.Faint {
				t.Errorf("without the mark: got %v, want it faint", without)
			}
		})
	}
}

// The woven marks are small, and on small pages a larger share.
func TestScoreAllowsForWovenMarks(t *testing.T) {
	white := ground(255)
	ink := inkOf(255, bar)
	woven := func(r image.Rectangle) preflight.Score {
		marked := white.in(bar, veil(102, 24)).in(r, veil(0, 30))
		return preflight.ScorePictures(white[:], marked[:], ink)
	}
	small, large := image.Rect(10, 60, 18, 64), image.Rect(10, 60, 30, 70)
	for _, c := range []struct {
		name  string
		score preflight.Score
		box   [4]float64
		want  preflight.Outcome
	}{
		{"small on a large page", woven(small), letter, preflight.Passed},
		{"large on a large page", woven(large), letter, preflight.Disturbed},
		{"large on a small page", woven(large), [4]float64{0, 0, 200, 200}, preflight.Passed},
	} {
		got := preflight.Judge(c.score, mark.Page{Box: c.box}, side*side)
		if got != c.want {
			t.Errorf("%s: got %v, %+v, want %v", c.name, got, c.score, c.want)
		}
	}
}

// What small print covers may be lost: on a small page, where it is no smaller, a larger share.
func TestScoreAllowsForSmallPrint(t *testing.T) {
	text := ground(255).stripes(0)
	covered := func(height int) preflight.Score {
		r := image.Rect(10, 23, 40, 23+height)
		marked := text.in(r, veil(102, 100))
		return preflight.ScorePictures(text[:], marked[:], inkOf(255, r))
	}
	little := [4]float64{0, 0, 300, 300}
	for _, c := range []struct {
		name   string
		height int
		box    [4]float64
		want   preflight.Outcome
	}{
		{"a line on a large page", 1, letter, preflight.Passed},
		{"two lines on a large page", 2, letter, preflight.Obscured},
		{"two lines on a small page", 3, little, preflight.Passed},
		{"many lines on a small page", 8, little, preflight.Obscured},
	} {
		s := covered(c.height)
		got := preflight.Judge(s, mark.Page{Box: c.box}, side*side)
		if got != c.want {
			t.Errorf("%s: got %v, %+v, want %v", c.name, got, s, c.want)
		}
	}
}
