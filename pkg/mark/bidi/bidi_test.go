package bidi_test

import (
	"math/rand/v2"
	"testing"

	judge "github.com/go-text/typesetting/bidi"
	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/mark/bidi"
)

// visual is what a reader sees of text from left to right, without what isolates.
func visual(text string) string {
	runes := []rune(text)
	levels, _ := bidi.Levels(runes)
	var out []rune
	for _, i := range bidi.Order(levels) {
		if runes[i] != bidi.Auto && runes[i] != bidi.LeftToRight && runes[i] != bidi.End {
			out = append(out, runes[i])
		}
	}
	return string(out)
}

// Capitals stand for Arabic letters; what is between < and > is isolated.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"left to right", "car (red)", "car (red)"},
		{"right to left", "ABC DEF", "FED CBA"},
		{"a word within", "the ABC DEF car", "the FED CBA car"},
		{"a number in Arabic", "ABC 123 DEF", "FED 123 CBA"},
		{"a number in Arabic in a left to right line", "car ABC 123 DEF car", "car FED 123 CBA car"},
		{"an address torn apart for want of an isolate", "car ABC 12x@y.z", "car 12 CBAx@y.z"},
		{"an address", "car ABC <12x@y.z>", "car CBA 12x@y.z"},
		{"a date", "ABC <2026-11-26>", "2026-11-26 CBA"},
		{"a name in brackets", "ABC (car) DEF", "FED )car( CBA"}, // whose brackets are drawn mirrored
		{"a name within a sentence", "for <ABC 1>, please", "for 1 CBA, please"},
		{"two names", "<ABC>, <DEF>", "FED ,CBA"},
		{"an address before a name", "<x@y> <ABC>", "x@y CBA"},
	} {
		var text, want []rune
		for _, r := range c.text {
			text = append(text, letter(r))
		}
		for _, r := range c.want {
			want = append(want, letter(r))
		}
		if diff := cmp.Diff(string(want), visual(string(text))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
}

func letter(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return []rune("ابتثجحخدذرزسشصضطظعغفقكلمنهو")[r-'A']
	case r == '<':
		return bidi.Auto
	case r == '>':
		return bidi.End
	}
	return r
}

// Another implementation of the algorithm finds the same directions.
func TestAgainstAnotherImplementation(t *testing.T) {
	t.Parallel()
	alphabet := []rune("ab\u05d0\u05d1\u0639\u0645\u06f5\u066112+-,.%$()[]\u300c\u300d @/\u0301\u064b\u200d\u200e\u200f\u061c\u2068\u2066\u2069")
	const joiner = '\u200d'
	random := rand.New(rand.NewPCG(1, 2))
	for range 30_000 {
		text := make([]rune, 1+random.IntN(14))
		// A letter first, so that both agree on what the line's own direction is.
		text[0] = []rune("a\u05d0\u0639")[random.IntN(3)]
		for i := 1; i < len(text); i++ {
			text[i] = alphabet[random.IntN(len(alphabet))]
		}
		levels, _ := bidi.Levels(text)
		got := make([]bool, len(text))
		for i, l := range levels {
			got[i] = l%2 == 1 && text[i] != joiner
		}
		want := make([]bool, len(text))
		var p judge.Paragraph
		runs := p.Segment(text, judge.Neutral)
		for i := range runs.NumRuns() {
			run := runs.Run(i)
			for k := run.Start; k < run.End; k++ {
				want[k] = !run.IsLeftToRight() && text[k] != joiner // which cannot be seen
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%+q: levels %v (-want +got)\n%s", text, levels, diff)
		}
	}
}

func TestNeeded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"Zoë (1)": false, "张伟": false, "ไทย": false, "نور": true, "a שלום": true, "ހަސަން": true, "ߊߋ": true} {
		if bidi.Needed([]rune(text)) != want {
			t.Errorf("%s: want %t", text, want)
		}
	}
}

func FuzzLevels(f *testing.F) {
	f.Add("a\u2068\u05d0(\u2069)")
	f.Fuzz(func(t *testing.T, text string) {
		runes := []rune(text)
		levels, base := bidi.Levels(runes)
		if len(levels) != len(runes) || base > 1 {
			t.Fatalf("%d levels of %d characters, base %d", len(levels), len(runes), base)
		}
		seen := make([]bool, len(runes))
		for _, i := range bidi.Order(levels) {
			if seen[i] {
				t.Fatalf("character %d stands twice", i)
			}
			seen[i] = true
		}
	})
}
