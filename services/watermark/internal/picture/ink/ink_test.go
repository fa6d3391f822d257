package ink

import (
	"bytes"
	"math"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/mark/paint"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

func compose(tb testing.TB, spec mark.Spec) *mark.Mark {
	tb.Helper()
	m, err := mark.Compose(spec, map[string]string{"name": "Zoë Müller-Ångström", "email": "zoe@example.com"})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// shares are what a polygon, in 1/256 pixel, covers of 8 by 8 pixels.
func shares(points ...[2]int64) [8][8]int {
	c := newCells(8, 8)
	last := points[len(points)-1]
	for _, p := range points {
		c.line(last[0], last[1], p[0], p[1])
		last = p
	}
	var out [8][8]int
	for y, row := range c.spans() {
		for _, s := range row {
			for x := s.x0; x < s.x1; x++ {
				out[y][x] = int(s.share)
			}
		}
	}
	return out
}

func TestSharesAreAreas(t *testing.T) {
	t.Parallel()
	const px = sub
	rect := shares([2]int64{px, px}, [2]int64{3*px + px/2, px}, [2]int64{3*px + px/2, 2*px + px/4}, [2]int64{px, 2*px + px/4})
	for at, want := range map[[2]int]int{{1, 1}: 255, {2, 1}: 255, {3, 1}: 128, {4, 1}: 0, {1, 2}: 64, {3, 2}: 32, {0, 1}: 0, {1, 0}: 0, {1, 3}: 0} {
		if got := rect[at[1]][at[0]]; got != want {
			t.Errorf("pixel %v: got %d, want %d", at, got, want)
		}
	}
	// Where it is cut off, and whatever way around it goes, a triangle covers half of its box.
	for name, c := range map[string][][2]int64{
		"inside":    {{0, 0}, {8 * px, 0}, {0, 8 * px}},
		"backwards": {{0, 8 * px}, {8 * px, 0}, {0, 0}},
		"left":      {{-8 * px, -8 * px}, {8 * px, 8 * px}, {-8 * px, 8 * px}},
		"right":     {{0, 0}, {16 * px, 16 * px}, {16 * px, 0}},
	} {
		sum := 0
		for _, row := range shares(c...) {
			for _, s := range row {
				sum += s
			}
		}
		if d := float64(sum)/255 - 32; math.Abs(d) > 0.2 {
			t.Errorf("%s: %.2f pixels too much of 32", name, d)
		}
	}
	twice := shares([2]int64{0, 0}, [2]int64{4 * px, 0}, [2]int64{4 * px, 4 * px}, [2]int64{0, 4 * px}, [2]int64{0, 0}, [2]int64{4 * px, 0}, [2]int64{4 * px, 4 * px}, [2]int64{0, 4 * px})
	if twice[1][1] != 255 {
		t.Errorf("what is covered twice is covered by %d", twice[1][1])
	}
}

// Pictures and thumbnails show the same mark: package paint and this one differ by rounding, and by what the rasterizer of
// the former drifts along lines of hundreds of pixels: a fifth of one.
func TestAsPaint(t *testing.T) {
	t.Parallel()
	const w, h = 640, 480
	for _, layout := range []mark.Layout{"diagonal", "tiled", "header", "corners"} {
		for level := range 3 {
			m := compose(t, mark.Spec{Style: mark.Style{Layout: layout}})
			layer, err := New(m, w, h, 1, level)
			if err != nil {
				t.Fatal(err)
			}
			page := source.Page(w, h)
			page.Level = level
			c := paint.Canvas{Pix: bytes.Repeat([]byte{200}, w*h), Width: w, Height: h, Stride: w, Depth: 1}
			c.Draw(m, page, 1)
			s := layer.NewStrip(h)
			s.Draw(0, func(int, int, int) {})
			far, sum := 0, 0
			for i, want := range c.Pix {
				d := int(Over(200, s.Pix[4*i], s.Pix[4*i+3])) - int(want)
				if d = max(d, -d); d > 40 {
					far++
				}
				sum += d
			}
			if far > 0 || float64(sum)/(w*h) > 0.1 {
				t.Errorf("%s, level %d: %d of %d pixels differ by more than 40, all by %.3f", layout, level, far, w*h, float64(sum)/(w*h))
			}
		}
	}
}

// A strip shows what the whole shows there.
func TestStrips(t *testing.T) {
	t.Parallel()
	const w, h = 300, 217
	layer, err := New(compose(t, mark.Spec{}), w, h, 6, 0)
	if err != nil {
		t.Fatal(err)
	}
	whole, strip := layer.NewStrip(h), layer.NewStrip(16)
	whole.Draw(0, func(int, int, int) {})
	for first := 0; first < h; first += 16 {
		inked := map[[2]int]bool{}
		any := strip.Draw(first, func(y, x0, x1 int) {
			for x := x0; x < x1; x++ {
				inked[[2]int{x, y}] = true
			}
		})
		if any != (len(inked) > 0) {
			t.Errorf("rows from %d: ink is %t, and there are %d pixels of it", first, any, len(inked))
		}
		for y := range 16 {
			want := make([]byte, 4*w)
			if first+y < h {
				want = whole.Row(first + y)
			}
			if !bytes.Equal(strip.Row(y), want) {
				t.Fatalf("row %d differs", first+y)
			}
			for x := range w {
				if want[4*x+3] != 0 && !inked[[2]int{x, y}] {
					t.Fatalf("(%d, %d) has ink that was not told", x, first+y)
				}
			}
		}
	}
}

func BenchmarkLayer(b *testing.B) {
	m := compose(b, mark.Spec{})
	for b.Loop() {
		_, err := New(m, 4000, 3000, 1, 0)
		if err != nil {
			b.Fatal(err)
		}
	}
}
