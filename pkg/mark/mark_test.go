package mark_test

import (
	"errors"
	"fmt"
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
		{"{name}", "\u200d\u200f\u3164\ufe0f", "MARK_EMPTY", "empty"},
		{"{name}", "\U000e9999x", "MARK_GLYPH_MISSING", "U+E9999"},
		{"{name}", "a 🎬", "MARK_GLYPH_MISSING", "🎬"},
		{"{name}", "a\xffb", "MARK_GLYPH_MISSING", "U+FFFD"},
	} {
		_, err := mark.Compose(mark.Spec{Template: c.template}, map[string]string{"name": c.value})
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

func TestTheSameMarkHasTheSameBytes(t *testing.T) {
	draw := func() string {
		m, err := mark.Compose(mark.Spec{Template: "{name}"}, map[string]string{"name": "AVATAR fi Ωж"})
		if err != nil {
			t.Fatal(err)
		}
		var out string
		for _, s := range m.Shapes() {
			for _, g := range s.Glyphs {
				out += fmt.Sprintf("%d %d %s", g.X, g.Y, g.Outline.Path)
			}
		}
		for _, u := range m.On(mark.Page{Box: [4]float64{0, 0, 595.276, 841.89}, Rotate: 90}, 1) {
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
	f.Add("{name}", "Zoë", "")
	f.Add("{{{name}", "\u202e)", "1-")
	f.Add("a {name} (b)", "\u0645\u2069\u2068 12@x.y", "3")
	f.Add("{name}\n{name}", "क\u200dष\u094d\u200c", "")
	f.Add("{ NAME }", "👍\ufe0f", "")
	f.Fuzz(func(t *testing.T, template, name, pages string) {
		m, err := mark.Compose(mark.Spec{Template: template, Style: mark.Style{Pages: pages}}, map[string]string{"name": name})
		var e *mark.Error
		if err != nil {
			if !errors.As(err, &e) {
				t.Fatalf("no refusal: %v", err)
			}
			return
		}
		if len(m.Lines()) == 0 || len(m.Shapes()[0].Glyphs) == 0 {
			t.Error("a mark without text")
		}
		for _, line := range m.Lines() {
			if strings.ContainsAny(line, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffd\n\x00") {
				t.Errorf("%+q has what was to be dropped", line)
			}
		}
		if len(m.On(mark.Page{Box: [4]float64{0, 0, 612, 792}}, 2)) == 0 {
			t.Error("a page without a mark")
		}
		_ = m.Bitmap() // must not panic
	})
}

// A recipient's further files, a new recipient in letters known, and one in letters never seen.
func BenchmarkCompose(b *testing.B) {
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := mark.Compose(mark.Spec{}, map[string]string{"name": "Zoë Müller-Ångström", "email": "zoe.mueller@example.com"})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new text of 45 letters", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			_, err := mark.Compose(mark.Spec{Template: "{name}"}, map[string]string{"name": fmt.Sprintf("Zoë Müller-Ångström, copy %08d, not for sale", n%1e8)})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new name and address", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			_, err := mark.Compose(mark.Spec{}, map[string]string{"name": fmt.Sprintf("Zoë Müller-%c%d", 'A'+n%26, n), "email": fmt.Sprintf("zoe.mueller.%d@example.com", n)})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new Han characters", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n += 3
			r := rune(0x4e00 + n%20000)
			_, err := mark.Compose(mark.Spec{Template: "{name}"}, map[string]string{"name": string([]rune{r, r + 1, r + 2})})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new Arabic name", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			_, err := mark.Compose(mark.Spec{Template: "{name}"}, map[string]string{"name": fmt.Sprintf("محمد عبد الله %d", n)})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
