package preflight_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
)

var cases = []struct {
	name  string
	sheet sheet
	want  preflight.Outcome
}{
	{"a white page", sheet{}, preflight.Passed},
	{"text on white", sheet{under: text("0 g")}, preflight.Passed},
	{"a black page", sheet{under: full("0 g", letter)}, preflight.Passed},
	{"white text on black", sheet{under: full("0 g", letter) + text("1 g")}, preflight.Passed},
	{"light grey", sheet{under: full(".85 g", letter) + text("0 g")}, preflight.Passed},
	{"blue", sheet{under: full("0 0 1 rg", letter)}, preflight.Passed},
	{"a grey on which the mark does next to nothing", sheet{under: full(".62 g", letter)}, preflight.Faint},
	{"a scan", sheet{under: "612 0 0 792 0 0 cm /Scan Do"}, preflight.Passed},
	{"a white box over the page, below the mark", sheet{under: text("0 g") + full("1 g", letter)}, preflight.Passed},
	{"a white box painted after the mark", sheet{over: full("1 g", letter)}, preflight.Faint},
	{"a scan painted after the mark", sheet{over: "q 612 0 0 792 0 0 cm /Scan Do Q"}, preflight.Faint},
	{"an opaque annotation over everything", sheet{annot: full("1 g", letter)}, preflight.Faint},
	{"an opaque annotation over three quarters", sheet{annot: full("1 g", [4]float64{0, 0, 612, 594})}, preflight.Faint},
	{"an opaque annotation over a corner", sheet{annot: full("1 g", [4]float64{0, 0, 200, 200})}, preflight.Passed},
	{"a translucent annotation", sheet{annot: "/O20 gs " + full("1 1 0 rg", letter)}, preflight.Passed},
	{"a transparency group", sheet{under: text("0 g"), entries: "/Group<</S/Transparency/CS/DeviceRGB/I true/K true>>"}, preflight.Passed},
	{"turned by a quarter", sheet{under: text("0 g"), rotate: 90}, preflight.Passed},
	{"turned by half", sheet{under: text("0 g"), rotate: 180}, preflight.Passed},
	{"turned by three quarters", sheet{under: text("0 g"), rotate: 270}, preflight.Passed},
	{"cropped, with an odd origin", sheet{media: [4]float64{-100.5, -33.25, 700, 900}, crop: [4]float64{-17.3, 41.7, 400.2, 600.9}, under: text("0 g")}, preflight.Passed},
	{"cropped and turned", sheet{media: [4]float64{-100.5, -33.25, 700, 900}, crop: [4]float64{-17.3, 41.7, 400.2, 600.9}, rotate: 90}, preflight.Passed},
	{"with a user unit", sheet{media: [4]float64{0, 0, 200, 300}, unit: 4}, preflight.Passed},
	{"a huge page", sheet{media: [4]float64{0, 0, 14400, 9600}}, preflight.Passed},
	{"a small label", sheet{media: [4]float64{0, 0, 144, 72}}, preflight.Passed},
	{"a banner", sheet{media: [4]float64{0, 0, 3000, 200}}, preflight.Passed},
	{"a slide", sheet{media: [4]float64{0, 0, 960, 540}}, preflight.Passed},
}

func sheets() []sheet {
	var out []sheet
	for _, c := range cases {
		out = append(out, c.sheet)
	}
	return out
}

func check(tb testing.TB, pages []sheet, m *mark.Mark, k ink) []preflight.Verdict {
	tb.Helper()
	verdicts, err := preflight.Check(tb.Context(), document(tb, pages, ink{}), document(tb, pages, k), expect(m, pages), config(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return verdicts
}

func TestVerdicts(t *testing.T) {
	need.Programs(t, "pdftoppm")
	m := somebody(t, mark.Style{})
	for i, v := range check(t, sheets(), m, ink{mark: m}) {
		if v.Outcome != cases[i].want || v.Number != i+1 || v.Level != 0 {
			t.Errorf("%s: got %+v, want %v of page %d", cases[i].name, v, cases[i].want, i+1)
		}
	}
}

// What finds a mark must find none where there is none.
func TestVerdictsWithoutTheMark(t *testing.T) {
	need.Programs(t, "pdftoppm")
	m := somebody(t, mark.Style{})
	for i, v := range check(t, sheets(), m, ink{}) {
		if v.Outcome != preflight.Faint || v.Score.Still < .99 {
			t.Errorf("%s: got %v, %+v, want it faint and all still", cases[i].name, v.Outcome, v.Score)
		}
	}
}

// The mark of somebody else, or one that is somewhere else, is not the mark expected.
func TestVerdictsOnAnotherMark(t *testing.T) {
	need.Programs(t, "pdftoppm")
	m := somebody(t, mark.Style{})
	pages := []sheet{{}, {under: text("0 g")}}
	for name, other := range map[string]mark.Style{"another layout": {Layout: "header"}, "another size": {Size: 20}} {
		for _, v := range check(t, pages, m, ink{mark: somebody(t, other)}) {
			if v.Outcome == preflight.Passed {
				t.Errorf("%s: page %d passed: %+v", name, v.Number, v.Score)
			}
		}
	}
}

func TestVerdictsOnTones(t *testing.T) {
	need.Programs(t, "pdftoppm")
	m := somebody(t, mark.Style{})
	tones := func(light, veil mark.Tone) []mark.Tone {
		return []mark.Tone{light, veil, {Color: [3]uint8{102, 102, 102}, Opacity: 75}, {Opacity: 100}}
	}
	white := [3]uint8{255, 255, 255}
	for _, c := range []struct {
		name  string
		tones []mark.Tone
		under string
		want  preflight.Outcome
	}{
		{"opaque over text", tones(mark.Tone{Color: white, Opacity: 100}, mark.Tone{Color: [3]uint8{102, 102, 102}, Opacity: 100}), text("0 g"), preflight.Obscured},
		{"opaque over a scan", tones(mark.Tone{Color: white, Opacity: 100}, mark.Tone{Color: [3]uint8{102, 102, 102}, Opacity: 100}), "612 0 0 792 0 0 cm /Scan Do", preflight.Obscured},
		{"opaque over nothing", tones(mark.Tone{Color: white, Opacity: 100}, mark.Tone{Color: [3]uint8{102, 102, 102}, Opacity: 100}), "", preflight.Passed},
		{"70 % over text", tones(mark.Tone{Color: white, Opacity: 18}, mark.Tone{Color: [3]uint8{102, 102, 102}, Opacity: 70}), text("0 g"), preflight.Obscured},
		{"40 % over text", tones(mark.Tone{Color: white, Opacity: 10}, mark.Tone{Color: [3]uint8{102, 102, 102}, Opacity: 40}), text("0 g"), preflight.Passed},
		{"white on white", tones(mark.Tone{Color: white, Opacity: 90}, mark.Tone{Color: white, Opacity: 90}), "", preflight.Faint},
		{"yellow on white", tones(mark.Tone{Color: white, Opacity: 18}, mark.Tone{Color: [3]uint8{255, 255, 0}, Opacity: 24}), "", preflight.Faint},
		{"red on white", tones(mark.Tone{Color: white, Opacity: 18}, mark.Tone{Color: [3]uint8{255, 0, 0}, Opacity: 24}), "", preflight.Passed},
		{"3 % on white", tones(mark.Tone{Color: white, Opacity: 1}, mark.Tone{Opacity: 3}), "", preflight.Faint},
	} {
		for _, v := range check(t, []sheet{{under: c.under}}, m, ink{mark: m, tones: c.tones}) {
			if v.Outcome != c.want {
				t.Errorf("%s: got %v, %+v, want %v", c.name, v.Outcome, v.Score, c.want)
			}
		}
	}
}

func TestVerdictsOnLayouts(t *testing.T) {
	need.Programs(t, "pdftoppm")
	pages := []sheet{{}, {under: text("0 g")}, {under: full("0 g", letter)}, {rotate: 90}, {media: [4]float64{0, 0, 300, 144}}}
	for _, layout := range []mark.Layout{"diagonal", "tiled", "header", "footer", "corners"} {
		m := somebody(t, mark.Style{Layout: layout})
		for _, v := range check(t, pages, m, ink{mark: m}) {
			if v.Outcome != preflight.Passed {
				t.Errorf("%s: page %d: %v, %+v", layout, v.Number, v.Outcome, v.Score)
			}
		}
		for _, v := range check(t, pages, m, ink{}) {
			if v.Outcome != preflight.Faint {
				t.Errorf("%s: page %d without the mark: %v, %+v", layout, v.Number, v.Outcome, v.Score)
			}
		}
	}
}

// Whatever else a mark does to a page is noticed, down to what the woven marks take.
func TestVerdictsOnTheRestOfThePage(t *testing.T) {
	need.Programs(t, "pdftoppm")
	m := somebody(t, mark.Style{})
	for _, c := range []struct {
		name, extra string
		want        preflight.Outcome
	}{
		{"two strips of 50 by 10 points", "/O60 gs 0 g 40 600 50 10 re 500 100 50 10 re f", preflight.Passed},
		{"a veil over the page", "/O5 gs 0 g 0 0 612 792 re f", preflight.Disturbed},
		{"a box of an inch", "1 0 0 rg 40 600 72 72 re f", preflight.Disturbed},
	} {
		for _, v := range check(t, []sheet{{under: text("0 g")}}, m, ink{mark: m, extra: c.extra}) {
			if v.Outcome != c.want {
				t.Errorf("%s: got %v, %+v, want %v", c.name, v.Outcome, v.Score, c.want)
			}
		}
	}
}

// The loop of the engine: pages whose mark is faint get a stronger one until it shows or there is none.
func TestLevels(t *testing.T) {
	need.Programs(t, "pdftoppm")
	m := somebody(t, mark.Style{})
	grey := [3]uint8{102, 102, 102}
	byLevel := [][]mark.Tone{
		{{Color: grey, Opacity: 2}, {Color: grey, Opacity: 2}, {Color: grey, Opacity: 75}, {}},
		{{Color: grey, Opacity: 10}, {Color: grey, Opacity: 10}, {Color: grey, Opacity: 75}, {}},
		{{Color: grey, Opacity: 20}, {Color: grey, Opacity: 20}, {Color: grey, Opacity: 75}, {}},
	}
	// White, a light grey, one that only the strongest shows on, and the mark's own.
	pages := []sheet{{}, {under: full(".75 g", letter)}, {under: full(".5 g", letter)}, {under: full(".4 g", letter)}}
	settle := func(pages []sheet) ([]int, error) {
		levels := make([]int, len(pages))
		for {
			var verdicts []preflight.Verdict
			for level := range byLevel {
				var now []sheet
				var numbers []int
				for i := range pages {
					if levels[i] == level {
						s := pages[i]
						s.level = level
						now = append(now, s)
						numbers = append(numbers, i+1)
					}
				}
				for i, v := range check(t, now, m, ink{mark: m, tones: byLevel[level]}) {
					v.Number = numbers[i]
					verdicts = append(verdicts, v)
				}
			}
			raise, err := preflight.Next(verdicts)
			if err != nil || len(raise) == 0 {
				return levels, err
			}
			for _, n := range raise {
				levels[n-1]++
			}
		}
	}
	levels, err := settle(pages[:3])
	if diff := cmp.Diff([]int{1, 1, 2}, levels); diff != "" || err != nil {
		t.Error(err, diff)
	}
	_, err = settle(pages)
	var refusal *preflight.Error
	if !errors.As(err, &refusal) || refusal.Reason != "PDF_MARK_HIDDEN" || !slices.Equal(refusal.Pages, []int{4}) {
		t.Errorf("got %v, want page 4 refused", err)
	}
}

func TestProgress(t *testing.T) {
	need.Programs(t, "pdftoppm")
	m := somebody(t, mark.Style{})
	pages := make([]sheet, 90) // three batches
	var seen []int
	progress := func(done, total int) {
		if total != len(pages) {
			t.Errorf("total: got %d, want %d", total, len(pages))
		}
		seen = append(seen, done)
	}
	_, err := preflight.Check(t.Context(), document(t, pages, ink{}), document(t, pages, ink{mark: m}), expect(m, pages), config(), progress)
	if err != nil {
		t.Fatal(err)
	}
	for i, done := range seen {
		if done != i+1 {
			t.Fatalf("got %v, want every page once, in order", seen)
		}
	}
	if len(seen) != len(pages) {
		t.Errorf("got %d calls, want %d", len(seen), len(pages))
	}
}

func TestPagesThatNothingRenders(t *testing.T) {
	need.Programs(t, "pdftoppm")
	m := somebody(t, mark.Style{})
	// More pages are expected than there are: the renderer stops before the last two.
	four := make([]sheet, 4)
	two := four[:2]
	outcomes := func(plain, marked *os.File) []preflight.Outcome {
		verdicts, err := preflight.Check(t.Context(), plain, marked, expect(m, four), config(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var out []preflight.Outcome
		for _, v := range verdicts {
			out = append(out, v.Outcome)
		}
		return out
	}
	const passed, blank, not = preflight.Passed, preflight.Blank, preflight.Unrenderable
	for _, c := range []struct {
		name          string
		plain, marked *os.File
		want          []preflight.Outcome
	}{
		{"in both", document(t, two, ink{}), document(t, two, ink{mark: m}), []preflight.Outcome{passed, passed, blank, blank}},
		{"with the mark", document(t, four, ink{}), document(t, two, ink{mark: m}), []preflight.Outcome{passed, passed, not, not}},
		{"without the mark", document(t, two, ink{}), document(t, four, ink{mark: m}), []preflight.Outcome{passed, passed, not, not}},
		{"because it is no document with the mark", document(t, four, ink{}), file(t, []byte("rubbish")), []preflight.Outcome{not, not, not, not}},
		{"because neither is a document", file(t, nil), file(t, []byte("rubbish")), []preflight.Outcome{blank, blank, blank, blank}},
	} {
		got := outcomes(c.plain, c.marked)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestAnotherSizeIsADisturbance(t *testing.T) {
	need.Programs(t, "pdftoppm")
	m := somebody(t, mark.Style{})
	plain, marked := []sheet{{}}, []sheet{{rotate: 90}}
	verdicts, err := preflight.Check(t.Context(), document(t, plain, ink{}), document(t, marked, ink{mark: m}), expect(m, plain), config(), nil)
	if err != nil || verdicts[0].Outcome != preflight.Disturbed {
		t.Errorf("got %v, %v, want it disturbed", verdicts, err)
	}
}

// bomb has four pages, of which the second and the last take for ever: each of their forms paints the next ten times.
func bomb() []byte {
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Count 4/Kids[3 0 R 4 0 R 5 0 R 6 0 R]/MediaBox[0 0 612 792]>>",
		"<</Type/Page/Parent 2 0 R>>",
		"<</Type/Page/Parent 2 0 R/Contents 7 0 R/Resources<</XObject<</X 8 0 R>>>>>>",
		"<</Type/Page/Parent 2 0 R>>",
		"<</Type/Page/Parent 2 0 R/Contents 7 0 R/Resources<</XObject<</X 8 0 R>>>>>>",
		deflated("", []byte("/X Do")),
	}
	for i := range 10 {
		content := strings.Repeat("/X Do ", 10) + "0 0 100 100 re f"
		objects = append(objects, deflated(fmt.Sprintf("/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</XObject<</X %d 0 R>>>>", len(objects)+2), []byte(content)))
		if i == 9 {
			objects = append(objects, deflated("/Type/XObject/Subtype/Form/BBox[0 0 612 792]", []byte("0 0 100 100 re f")))
		}
	}
	return written(objects)
}

func TestPagesThatTakeForEver(t *testing.T) {
	need.Programs(t, "pdftoppm")
	if testing.Short() {
		t.Skip("takes some seconds of processor time")
	}
	m := somebody(t, mark.Style{})
	cfg := config()
	cfg.Sandbox.CPU, cfg.Sandbox.Wall = time.Second, 5*time.Minute
	pages := make([]sheet, 4)
	doc := file(t, bomb())
	verdicts, err := preflight.Check(t.Context(), doc, doc, expect(m, pages[:3]), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []preflight.Outcome
	for _, v := range verdicts {
		got = append(got, v.Outcome)
	}
	if diff := cmp.Diff([]preflight.Outcome{preflight.Faint, preflight.TooComplex, preflight.Faint}, got); diff != "" {
		t.Error(diff)
	}
	_, err = preflight.Next(verdicts)
	var refusal *preflight.Error
	if !errors.As(err, &refusal) || refusal.Reason != "PDF_TOO_COMPLEX" || !slices.Equal(refusal.Pages, []int{2}) {
		t.Errorf("got %v, want page 2 refused", err)
	}
	verdicts, err = preflight.Check(t.Context(), doc, doc, expect(m, pages), cfg, nil)
	if verdicts != nil || !errors.As(err, &refusal) || !slices.Equal(refusal.Pages, []int{2, 4}) {
		t.Errorf("got %v, %v, want the document given up after its second such page", verdicts, err)
	}
}

// A process that has used up its time on many pages is no reason to call the next one too complex.
func TestManyPagesOfOneProcess(t *testing.T) {
	need.Programs(t, "pdftoppm")
	m := somebody(t, mark.Style{})
	cfg := config()
	cfg.Sandbox.CPU, cfg.Sandbox.Wall = time.Second, 5*time.Minute
	pages := make([]sheet, 20)
	for i := range pages {
		pages[i].under = strings.Repeat("/O1 gs "+full("1 g", letter), 16)
	}
	verdicts, err := preflight.Check(t.Context(), document(t, pages, ink{}), document(t, pages, ink{mark: m}), expect(m, pages), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if v.Outcome != preflight.Passed {
			t.Errorf("page %d: %v %+v %s", v.Number, v.Outcome, v.Score, v.Note)
		}
	}
}

func TestCancelled(t *testing.T) {
	need.Programs(t, "pdftoppm")
	m := somebody(t, mark.Style{})
	pages := make([]sheet, 200)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	_, err := preflight.Check(ctx, document(t, pages, ink{}), document(t, pages, ink{mark: m}), expect(m, pages), config(), func(done, _ int) {
		if done == 5 {
			cancel(enough)
		}
	})
	if !errors.Is(err, enough) {
		t.Errorf("got %v, want %v", err, enough)
	}
}
