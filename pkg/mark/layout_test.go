package mark_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/mark"
)

var layouts = []mark.Layout{mark.Diagonal, mark.Tiled, mark.Header, mark.Footer, mark.Corners}

// However a page is boxed, turned and scaled, whatever the layout, size and script: looked at upright, the mark lies
// within what is seen and reads from left to right, not downwards.
func TestTheMarkFitsWhatIsSeen(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"X", "Zoë Müller\nzoe@example.com", "བཀྲ་ཤིས\nمحمد", strings.Repeat("Long ", 30), strings.Repeat("i\n", 6)} {
		for _, layout := range layouts {
			for _, size := range []int{0, 1, mark.MaxSize} {
				m, err := mark.Compose(mark.Spec{Template: text, Style: mark.Style{Layout: layout, Size: size}}, nil)
				if err != nil {
					t.Fatal(err)
				}
				everywhere(t, fmt.Sprintf("%.20q, %s, %d points", text, layout, size), m)
			}
		}
	}
}

func everywhere(t *testing.T, name string, m *mark.Mark) {
	t.Helper()
	for _, box := range [][4]float64{{0, 0, 612, 792}, {-100, 2000, 900, 2100}, {5, 5, 45, 35}, {0, 0, 3, 3}, {0, 0, 14400, 14400}, {1e5, 1e5, 1e5 + 10, 1e5 + 3000}} {
		for _, rotate := range []int{0, 90, 180, 270, -90, 450} {
			for _, unit := range []float64{0, 1, 2.5, 1000} {
				p := mark.Page{Box: box, Rotate: rotate, Unit: unit}
				fits(t, fmt.Sprintf("%s on %v", name, p), m, p)
			}
		}
	}
}

func fits(t *testing.T, name string, m *mark.Mark, p mark.Page) {
	t.Helper()
	uses := m.On(p, 1)
	if len(uses) == 0 || len(uses) > mark.MaxUses {
		t.Errorf("%s: %d uses", name, len(uses))
	}
	for i, u := range uses {
		s := m.Shapes()[u.Shape]
		// What is drawn aside may reach out by 1/50 of its em, rounding by a thousandth of a unit.
		em := math.Hypot(float64(u.Matrix[0]), float64(u.Matrix[1])) / 1e6
		slack := em/50 + 0.001
		for _, corner := range [][2]float64{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
			x, y := at(u, corner[0]*float64(s.Width)/mark.PerEm, corner[1]*float64(s.Height)/mark.PerEm)
			if x < p.Box[0]-slack || x > p.Box[2]+slack || y < p.Box[1]-slack || y > p.Box[3]+slack {
				t.Errorf("%s: use %d reaches (%.3f, %.3f), out of the page", name, i, x, y)
				return
			}
		}
		// The direction of reading, turned as the page is for display.
		dx, dy := float64(u.Matrix[0]), float64(u.Matrix[1])
		for range (p.Rotate%360 + 360) % 360 / 90 {
			dx, dy = dy, -dx
		}
		if dx <= 0 || dy < 0 {
			t.Errorf("%s: use %d reads towards (%.0f, %.0f)", name, i, dx, dy)
		}
	}
}

// at is where a point of a shape, in ems, comes to.
func at(u mark.Use, x, y float64) (float64, float64) {
	var n [6]float64
	for i, v := range u.Matrix {
		n[i] = float64(v) / 1e6
	}
	return n[0]*x + n[2]*y + n[4], n[1]*x + n[3]*y + n[5]
}

// All that is drawn lies within the shapes' boxes.
func TestBoxesHoldTheInk(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		m, err := mark.Compose(mark.Spec{Template: "{name}\n{name}\nfgj {name} Å"}, map[string]string{"name": s.text})
		if err != nil {
			t.Fatal(err)
		}
		for i, shape := range m.Shapes() {
			for _, g := range shape.Glyphs {
				for _, p := range points(t, g.Outline.Path) {
					x, y := g.X+p[0], g.Y+p[1]
					if x < -1 || x > shape.Width+1 || y < -1 || y > shape.Height+1 { // rounded where lines are smaller
						t.Errorf("%s: shape %d, %d by %d, has a point at (%d, %d)", s.script, i, shape.Width, shape.Height, x, y)
					}
				}
			}
		}
	}
}

// points are those of a path, which must be as Outline says.
func points(t *testing.T, path []byte) [][2]int32 {
	t.Helper()
	var out [][2]int32
	open := false
	for line := range strings.Lines(string(path)) {
		fields := strings.Fields(line)
		op := fields[len(fields)-1]
		want, known := map[string]int{"m": 2, "l": 2, "c": 6, "h": 0}[op]
		if !known || len(fields) != want+1 || open == (op == "m") {
			t.Fatalf("%q is no line of an outline, or not here", line)
		}
		open = op != "h"
		for i := 0; i < want; i += 2 {
			var p [2]int32
			_, err := fmt.Sscan(fields[i]+" "+fields[i+1], &p[0], &p[1])
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, p)
		}
	}
	if open {
		t.Fatalf("an outline is left open")
	}
	return out
}

// Where the parts of each layout stand on a page: the middles of dark parts, in tenths of its width and height.
func TestLayouts(t *testing.T) {
	t.Parallel()
	want := map[mark.Layout]string{
		mark.Diagonal: "large 5,5; small 5,0",
		mark.Tiled:    "large 1,1 5,1 8,1 2,3 5,3 9,3 1,5 5,5 8,5 2,7 5,7 9,7 1,9 5,9 8,9; small 5,0",
		mark.Header:   "large 5,10; small 5,0",
		mark.Footer:   "large 5,0; small",
		mark.Corners:  "large 1,10 9,10 1,0 9,0; small",
	}
	page := mark.Page{Box: [4]float64{0, 0, 612, 792}}
	for _, layout := range layouts {
		m, err := mark.Compose(mark.Spec{Style: mark.Style{Layout: layout, Pages: "2"}}, map[string]string{"name": "Zoë Müller", "email": "z@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[layout], middles(m, page, 2)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", layout, diff)
		}
		if diff := cmp.Diff("large; small 5,0", middles(m, page, 1)); diff != "" {
			t.Errorf("%s, a page that is not to carry it (-want +got)\n%s", layout, diff)
		}
	}
}

func middles(m *mark.Mark, p mark.Page, number int) string {
	parts := [2]string{"large", "small"}
	seen := map[[2]int]bool{}
	for _, u := range m.On(p, number) {
		s := m.Shapes()[u.Shape]
		x, y := at(u, float64(s.Width)/mark.PerEm/2, float64(s.Height)/mark.PerEm/2)
		place := [2]int{int(math.Round(10 * x / p.Box[2])), int(math.Round(10 * y / p.Box[3]))}
		if u.Shape == 0 && seen[place] { // once more, aside
			continue
		}
		seen[place] = true
		parts[u.Shape] += fmt.Sprintf(" %d,%d", place[0], place[1])
	}
	return parts[0] + "; " + parts[1]
}

// An em is as large as asked for where there is room, whatever the page's unit is.
func TestSize(t *testing.T) {
	t.Parallel()
	for _, layout := range layouts {
		for _, unit := range []float64{1, 4} {
			m, err := mark.Compose(mark.Spec{Template: "Zoë", Style: mark.Style{Layout: layout, Size: 17}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range m.On(mark.Page{Box: [4]float64{0, 0, 612 / unit, 792 / unit}, Unit: unit}, 1) {
				got := math.Hypot(float64(u.Matrix[0]), float64(u.Matrix[1])) / 1e6 * unit
				if u.Shape == 0 && math.Abs(got-17) > 0.01 {
					t.Errorf("%s in units of %g: %g points, want 17", layout, unit, got)
				}
			}
		}
	}
}

func TestStylesAreChecked(t *testing.T) {
	t.Parallel()
	for _, s := range []mark.Style{
		{}, {Layout: "tiled", Color: "#A0b1c2", Opacity: 100, Size: 1000, Pages: "1"}, {Pages: " 1 - 3 , 7,10-"}, {Pages: "3-3"},
	} {
		err := s.Validate()
		if err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, s := range []mark.Style{
		{Layout: "Diagonal"}, {Color: "red"}, {Color: "336699"}, {Color: "#33669"}, {Color: "#-12345"}, {Color: "#+12345"}, {Opacity: -1}, {Opacity: 101}, {Size: -1},
		{Size: 1001}, {Pages: ","}, {Pages: "0"}, {Pages: "3-1"}, {Pages: "a"}, {Pages: "1-2-3"}, {Pages: "-3"}, {Pages: "-"}, {Pages: "1;2"},
		{Pages: "99999999999999999999"}, {Pages: "2000000"}, {Pages: strings.Repeat("1,", 200) + "1"},
	} {
		err := s.Validate()
		var e *mark.Error
		if !errors.As(err, &e) || e.Reason != "MARK_STYLE_BAD" {
			t.Errorf("%+v: got %v, want MARK_STYLE_BAD", s, err)
		}
		_, err = mark.Compose(mark.Spec{Style: s}, map[string]string{"name": "x"})
		if !errors.As(err, &e) || e.Reason != "MARK_STYLE_BAD" {
			t.Errorf("%+v composed: got %v, want MARK_STYLE_BAD", s, err)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"": "xxxxxxxxxxxx", "1": "x...........", "2-3,5, 10-": ".xx.x....xxx", "12,1": "x..........x",
	} {
		m, err := mark.Compose(mark.Spec{Template: "x", Style: mark.Style{Pages: list}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for number := 1; number <= 12; number++ {
			large := m.On(mark.Page{Box: [4]float64{0, 0, 612, 792}}, number)[0].Shape == 0
			if large != m.Covers(number) {
				t.Errorf("%q: page %d: Covers is wrong", list, number)
			}
			got += map[bool]string{true: "x", false: "."}[large]
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", list, got, want)
		}
	}
}

// Each level is stronger than the one before and bounded, but for what lies beneath large text, and has something light and
// something dark.
func TestTones(t *testing.T) {
	t.Parallel()
	for _, layout := range layouts {
		for _, color := range []string{"", "#000000", "#ffffff", "#cc2200", "#ffee00"} {
			for _, opacity := range []int{0, 1, 30, 80, 100} {
				m, err := mark.Compose(mark.Spec{Template: "x", Style: mark.Style{Layout: layout, Color: color, Opacity: opacity}}, nil)
				if err != nil {
					t.Fatal(err)
				}
				tones(t, fmt.Sprintf("%s %s %d %%", layout, color, opacity), m, opacity)
			}
		}
	}
}

func tones(t *testing.T, name string, m *mark.Mark, opacity int) {
	t.Helper()
	var before []mark.Tone
	for level := range 3 {
		now := m.Tones(level)
		if len(now) > mark.MaxTones || level > 0 && len(now) != len(before) {
			t.Fatalf("%s: level %d has %d tones", name, level, len(now))
		}
		for i, tone := range now {
			if tone.Opacity < 1 || tone.Opacity > 100 || level > 0 && i > 0 && tone.Opacity < before[i].Opacity || opacity == 100 && tone.Opacity != 100 {
				t.Errorf("%s: level %d has tone %d %v after %v", name, level, i, tone, before)
			}
		}
		light, dark := 0, 255
		for _, u := range m.On(mark.Page{Box: [4]float64{0, 0, 612, 792}, Level: level}, 1) {
			c := now[u.Tone].Color
			light, dark = max(light, int(c[1])), min(dark, int(c[1]))
		}
		if light-dark < 100 {
			t.Errorf("%s: level %d is of brightness %d to %d", name, level, dark, light)
		}
		before = now
	}
}
