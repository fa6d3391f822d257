package preflight_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
)

func TestNext(t *testing.T) {
	p := func(number, level int, o preflight.Outcome) preflight.Verdict {
		return preflight.Verdict{Number: number, Level: level, Outcome: o}
	}
	for _, c := range []struct {
		name     string
		verdicts []preflight.Verdict
		raise    []int
		reason   string
		says     string
	}{
		{name: "nothing to look at"},
		{name: "all well", verdicts: []preflight.Verdict{p(1, 0, preflight.Passed), p(2, 2, preflight.Passed), p(3, 0, preflight.Blank)}},
		{name: "some faint", verdicts: []preflight.Verdict{p(1, 0, preflight.Faint), p(2, 0, preflight.Passed), p(5, 1, preflight.Faint)}, raise: []int{1, 5}},
		{name: "faint at the strongest", verdicts: []preflight.Verdict{p(1, 0, preflight.Faint), p(2, 2, preflight.Faint)}, reason: "PDF_MARK_HIDDEN", says: "page 2 hides"},
		{name: "obscured", verdicts: []preflight.Verdict{p(1, 0, preflight.Obscured), p(2, 0, preflight.Obscured), p(4, 0, preflight.Obscured)}, reason: "MARK_OBSCURES_TEXT", says: "pages 1-2, 4 have"},
		{name: "faint, then obscured", verdicts: []preflight.Verdict{p(3, 1, preflight.Obscured)}, reason: "PDF_MARK_HIDDEN", says: "page 3 hides"},
		{name: "disturbed", verdicts: []preflight.Verdict{p(3, 0, preflight.Disturbed)}, reason: "PDF_MARK_DISTURBS", says: "page 3 looks"},
		{name: "unrenderable", verdicts: []preflight.Verdict{p(3, 0, preflight.Unrenderable), p(4, 0, preflight.Faint)}, reason: "PDF_UNRENDERABLE", says: "page 3 renders"},
		{name: "too complex goes first", verdicts: []preflight.Verdict{p(3, 2, preflight.Faint), p(4, 0, preflight.TooComplex), p(5, 0, preflight.TooComplex)}, reason: "PDF_TOO_COMPLEX", says: "pages 4-5 take"},
	} {
		t.Run(c.name, func(t *testing.T) {
			raise, err := preflight.Next(c.verdicts)
			if !slices.Equal(raise, c.raise) {
				t.Errorf("raise: got %v, want %v", raise, c.raise)
			}
			var refusal *preflight.Error
			if errors.As(err, &refusal) != (c.reason != "") {
				t.Fatalf("got %v, want %q", err, c.reason)
			}
			if refusal != nil && (refusal.Reason != c.reason || !strings.Contains(refusal.Message, c.says)) {
				t.Errorf("got %s: %s, want %s saying %q", refusal.Reason, refusal.Message, c.reason, c.says)
			}
		})
	}
}

func TestNextNamesPagesInFewWords(t *testing.T) {
	var verdicts []preflight.Verdict
	for i := 1; i <= 99; i += 2 {
		verdicts = append(verdicts, preflight.Verdict{Number: i, Level: 2, Outcome: preflight.Faint})
	}
	_, err := preflight.Next(verdicts)
	var refusal *preflight.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want a refusal", err)
	}
	want := "pages 1, 3, 5, 7, 9, 11, 13, 15 and 42 more hide the mark"
	if !strings.HasPrefix(refusal.Message, want) || len(refusal.Pages) != 50 {
		t.Errorf("got %q and %d pages, want it to begin with %q", refusal.Message, len(refusal.Pages), want)
	}
}
