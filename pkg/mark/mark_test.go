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

func TestFill(t *testing.T) {
	fields := map[string]string{"name": "Zoë Müller", "email": "zoe@example.com", "Agent": "CAA", "nickname": ""}
	for _, c := range []struct {
		template string
		want     []string
	}{
		{"", []string{"Zoë Müller", "zoe@example.com"}},
		{"{name} / {email}", []string{"Zoë Müller / zoe@example.com"}},
		{"{NAME} { agent }", []string{"Zoë Müller CAA"}},
		{"{company}\n\n{nickname}\nfor {name}\r\n", []string{"for Zoë Müller"}},
		{"{{name} is {name}", []string{"{name} is Zoë Müller"}},
		{"a\tb  c", []string{"a b c"}},
	} {
		got, err := mark.Fill(c.template, fields)
		if err != nil {
			t.Errorf("%q: %v", c.template, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", c.template, diff)
		}
	}
}

func TestAFieldIsTextWhateverItHolds(t *testing.T) {
	got, err := mark.Fill("{name}", map[string]string{"name": "a\n{email}\u202e) Tj\x00\u00ad e\u0301"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a {email}) Tj é"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWhatCannotBeDrawnIsRefused(t *testing.T) {
	for _, c := range []struct{ template, value, reason, says string }{
		{"{agent}", "x", "MARK_FIELD_UNKNOWN", "{name}"},
		{"{name", "x", "MARK_TEMPLATE_BROKEN", "{{"},
		{"{name}", "", "MARK_EMPTY", "empty"},
		{"{name}", strings.Repeat("x", 161), "MARK_TOO_LONG", "161"},
		{strings.Repeat("x\n", 7), "", "MARK_TOO_LONG", "7 lines"},
		{"{name}", "张", "MARK_GLYPH_MISSING", "U+5F20"},
		{"{name}", "a 🎬", "MARK_GLYPH_MISSING", "🎬"},
		{"{name}", "a\xffb", "MARK_GLYPH_MISSING", "U+FFFD"},
	} {
		_, err := mark.Compose(c.template, map[string]string{"name": c.value})
		var e *mark.Error
		if !errors.As(err, &e) || e.Reason != c.reason || !strings.Contains(e.Message, c.says) {
			t.Errorf("%q with %q: got %v, want %s that says %q", c.template, c.value, err, c.reason, c.says)
		}
	}
}

func TestValidate(t *testing.T) {
	err := mark.Validate("{name} {agent}", "Agent")
	if err != nil {
		t.Error(err)
	}
	err = mark.Validate("{name} {agent}")
	if err == nil {
		t.Error("an unknown field is accepted")
	}
}

func TestScriptsTheFontCovers(t *testing.T) {
	for _, name := range []string{"Łukasz Żółć", "Αλέξανδρος", "Ёлка Ґалаґан", "Søren Ångström", "O’Brien–Smith", "İpek Çağlar", "Nguyen & Sons (2)"} {
		_, err := mark.Compose("{name}", map[string]string{"name": name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// However a page is boxed, turned and scaled: looked at upright, the mark lies within what is seen, in the middle, and
// reads from lower left to upper right.
func TestTheMarkFitsWhatIsSeen(t *testing.T) {
	for _, text := range []string{"X", "Zoë Müller\nzoe@example.com", strings.Repeat("Long ", 30)} {
		m, err := mark.Compose(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, box := range [][4]float64{{0, 0, 612, 792}, {-100, 2000, 900, 2100}, {5, 5, 45, 35}, {0, 0, 14400, 14400}, {1e5, 1e5, 1e5 + 10, 1e5 + 3000}} {
			for _, rotate := range []int{0, 90, 180, 270, -90, 450} {
				for _, unit := range []float64{0, 1, 2.5, 1000} {
					p := mark.Page{Box: box, Rotate: rotate, Unit: unit}
					fits(t, fmt.Sprintf("%.20q on %v", text, p), m, p)
				}
			}
		}
	}
}

func fits(t *testing.T, name string, m *mark.Mark, p mark.Page) {
	t.Helper()
	for i, u := range m.On(p) {
		s := m.Shapes()[u.Shape]
		w, h := float64(s.Width)/mark.PerEm, float64(s.Height)/mark.PerEm
		width, height := p.Box[2]-p.Box[0], p.Box[3]-p.Box[1]
		at := func(x, y float64) (float64, float64) {
			var n [6]float64
			for i, v := range u.Matrix {
				n[i] = float64(v) / 1e6
			}
			return n[0]*x + n[2]*y + n[4], n[1]*x + n[3]*y + n[5]
		}
		for _, corner := range [][2]float64{{0, 0}, {w, 0}, {0, h}, {w, h}} {
			x, y := at(corner[0], corner[1])
			slack := 0.02 * max(width, height)
			if x < p.Box[0]-slack || x > p.Box[2]+slack || y < p.Box[1]-slack || y > p.Box[3]+slack {
				t.Errorf("%s: use %d reaches (%.2f, %.2f), out of the page", name, i, x, y)
			}
		}
		if u.Shape != 0 {
			continue
		}
		x, y := at(w/2, h/2)
		if math.Abs(x-(p.Box[0]+p.Box[2])/2) > width*0.03 || math.Abs(y-(p.Box[1]+p.Box[3])/2) > height*0.03 {
			t.Errorf("%s: use %d has its middle at (%.2f, %.2f)", name, i, x, y)
		}
		// The direction of reading, turned as the page is for display.
		dx, dy := float64(u.Matrix[0]), float64(u.Matrix[1])
		for range (p.Rotate%360 + 360) % 360 / 90 {
			dx, dy = dy, -dx
		}
		if dx <= 0 || dy <= 0 {
			t.Errorf("%s: use %d reads towards (%.0f, %.0f)", name, i, dx, dy)
		}
	}
}

func TestTheSameMarkHasTheSameBytes(t *testing.T) {
	draw := func() string {
		m, err := mark.Compose("{name}", map[string]string{"name": "AVATAR fi Ωж"})
		if err != nil {
			t.Fatal(err)
		}
		out := string(m.Shapes()[0].Path) + string(m.Shapes()[1].Path)
		for _, u := range m.On(mark.Page{Box: [4]float64{0, 0, 595.276, 841.89}, Rotate: 90}) {
			out += string(mark.AppendMatrix(nil, u.Matrix)) + "\n"
		}
		return out
	}
	if draw() != draw() {
		t.Error("two runs differ")
	}
}

func TestAppendMatrix(t *testing.T) {
	got := string(mark.AppendMatrix(nil, [6]int64{1_000_000, -500_000, 0, 1, -1, 123_456_789}))
	if want := "1 -0.5 0 0.000001 -0.000001 123.456789"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("{name}", "Zoë")
	f.Add("{{{name}", "\u202e)")
	f.Fuzz(func(t *testing.T, template, name string) {
		m, err := mark.Compose(template, map[string]string{"name": name})
		var e *mark.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("no refusal: %v", err)
		}
		if err == nil && len(m.Lines()) == 0 {
			t.Error("a mark without text")
		}
	})
}

func BenchmarkCompose(b *testing.B) {
	for b.Loop() {
		_, err := mark.Compose("{name}\n{email}", map[string]string{"name": "Zoë Müller-Ångström", "email": "zoe.mueller@example.com"})
		if err != nil {
			b.Fatal(err)
		}
	}
}
