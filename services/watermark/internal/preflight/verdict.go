package preflight

import (
	"fmt"
	"math"
	"strings"

	"github.com/filigreehq/filigree/pkg/mark"
)

// MaxLevel is the strongest level of a mark.
const MaxLevel = 2

const (
	// enoughShown is the share of the ink that must be seen. Half: a mark has a light part and a dark one, a little aside,
	// of which one may do nothing on a given ground (the light is about a fifth of it, on white); and of a text half of
	// whose letters' area is seen, the rest can be told.
	enoughShown = 0.5
	// lostText is the share of the text under the ink that may be lost where edges of both meet and the renderer's
	// antialiasing decides.
	lostText = 0.1
	// lostShare of a page, or lostArea in square points on small pages, but no more than lostMost of them, may be lost in
	// any case: it is what a line or two of small print take, which is meant to cover what it stands on, if that should be
	// text. A large opaque mark loses 1.3 % to 4 % of a page full of text, and 0.4 % of one of dialogue.
	lostShare = 0.003
	lostArea  = 1000
	lostMost  = 0.012
	// wovenShare of a page's free pixels or, on small pages, wovenArea in square points, but no more than wovenMost of them,
	// may change away from the visible mark: there the small woven marks are. They take some 650 square points, and twice
	// that where they cross lines or stand in a long name's letters.
	wovenShare = 0.004
	wovenArea  = 1800
	wovenMost  = 0.25
)

// Outcome is what a page's verdict comes down to.
type Outcome int

const (
	// Passed: the mark shows, text under it stays legible, and nothing else on the page changed.
	Passed Outcome = iota + 1
	// Blank: nothing renders this page, marked or not; there is nothing to show the mark on, which is not its fault.
	Blank
	// Faint: too little of the mark is seen. It may be more at a higher level.
	Faint
	// Obscured: text under the mark is not legible any more.
	Obscured
	// Disturbed: something far from the mark changed, or the page's size.
	Disturbed
	// Unrenderable: the page can be rendered without the mark and not with it, or the other way round.
	Unrenderable
	// TooComplex: rendering takes more time or memory than it may.
	TooComplex
)

func (o Outcome) String() string {
	switch o {
	case Passed:
		return "passed"
	case Blank:
		return "blank"
	case Faint:
		return "faint"
	case Obscured:
		return "obscured"
	case Disturbed:
		return "disturbed"
	case Unrenderable:
		return "unrenderable"
	case TooComplex:
		return "too complex"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// Verdict is what was found on a page.
type Verdict struct {
	// Number of the page, counted from 1, and the mark's level there.
	Number, Level int
	Outcome       Outcome
	// Score is that of a page that was rendered.
	Score Score
	// Note says more, for logs: why nothing could be rendered, or what is particular.
	Note string
}

// Error says why a document cannot have the mark, for people.
type Error struct {
	// Reason is one of PDF_MARK_HIDDEN, MARK_OBSCURES_TEXT, PDF_MARK_DISTURBS, PDF_UNRENDERABLE, PDF_TOO_COMPLEX.
	Reason  string
	Message string
	// Pages are the pages concerned, in order, counted from 1.
	Pages []int
	// Detail is for logs.
	Detail string
}

func (e *Error) Error() string { return e.Message }

// judge makes a verdict of a page's score. box is the page, pixels the size of its picture.
func judge(s Score, page mark.Page, pixels int) Outcome {
	switch {
	case s.Shown < enoughShown:
		return Faint
	case float64(s.Lost) > max(lostText*float64(s.Text), smallPrint(page)*float64(pixels)):
		return Obscured
	case float64(s.Strange) > allowance(s, page, pixels):
		return Disturbed
	}
	return Passed
}

// smallPrint is the share of a page that may be lost in any case.
func smallPrint(page mark.Page) float64 {
	return max(lostShare, min(lostArea/area(page), lostMost))
}

// allowance is how many pixels the woven marks may change.
func allowance(s Score, page mark.Page, pixels int) float64 {
	return max(wovenShare*float64(s.Free), min(wovenMost, wovenArea/area(page))*float64(pixels))
}

// area of a page in square points; infinite if its box is none.
func area(page mark.Page) float64 {
	unit := page.Unit
	if unit <= 0 {
		unit = 1
	}
	a := (page.Box[2] - page.Box[0]) * (page.Box[3] - page.Box[1]) * unit * unit
	if !(a > 0) {
		return math.Inf(1)
	}
	return a
}

// Next says what follows from verdicts, at whatever levels they were made: the numbers of the pages whose mark must be
// one level stronger and then be looked at again, in order; none if all pages are well. The error is an *Error when that
// cannot help some page.
func Next(verdicts []Verdict) (raise []int, err error) {
	bad := map[Outcome][]Verdict{}
	for _, v := range verdicts {
		switch {
		case v.Outcome == Passed || v.Outcome == Blank:
		case v.Outcome == Faint && v.Level < MaxLevel:
			raise = append(raise, v.Number)
		case v.Outcome == Obscured && v.Level > 0:
			// The weaker one was not seen: what stands in the way is the page's tone, and no opacity helps.
			bad[Faint] = append(bad[Faint], v)
		default:
			bad[v.Outcome] = append(bad[v.Outcome], v)
		}
	}
	for _, r := range refusals {
		if len(bad[r.outcome]) > 0 {
			return nil, r.refuse(bad[r.outcome])
		}
	}
	return raise, nil
}

// refusals are tried in this order, of which the first that applies says the most.
var refusals = []refusal{
	{TooComplex, "PDF_TOO_COMPLEX", "%s %s more time or memory to render than it may, so that nobody can tell whether the mark shows there: simplify the drawing there, or flatten it to a picture"},
	{Unrenderable, "PDF_UNRENDERABLE", "%s %s with the mark otherwise than without it, or not at all: print the document to a new PDF and use that"},
	{Faint, "PDF_MARK_HIDDEN", "%s %s the mark: something is painted over it, such as an opaque comment, stamp or form field, or the page has tones on which no mark shows that would leave its text legible. Flatten the document, or choose another colour or layout"},
	{Obscured, "MARK_OBSCURES_TEXT", "%s %s text under the mark that can no longer be read: choose a lower opacity, or another layout"},
	{Disturbed, "PDF_MARK_DISTURBS", "%s %s otherwise with the mark than without it, in places where there is no mark: print the document to a new PDF and use that"},
}

type refusal struct {
	outcome         Outcome
	reason, message string
}

// verbs are what one page and more pages do, by outcome.
var verbs = map[Outcome][2]string{
	TooComplex:   {"takes", "take"},
	Unrenderable: {"renders", "render"},
	Faint:        {"hides", "hide"},
	Obscured:     {"has", "have"},
	Disturbed:    {"looks", "look"},
}

func (r refusal) refuse(verdicts []Verdict) *Error {
	e := &Error{Reason: r.reason}
	var notes []string
	for _, v := range verdicts {
		e.Pages = append(e.Pages, v.Number)
		if len(notes) < 3 {
			notes = append(notes, fmt.Sprintf("page %d at level %d: shown %.2f, still %.2f of %.0f, lost %d of %d, strange %d of %d; %s",
				v.Number, v.Level, v.Score.Shown, v.Score.Still, v.Score.Ink, v.Score.Lost, v.Score.Text, v.Score.Strange, v.Score.Free, v.Note))
		}
	}
	e.Detail = strings.Join(notes, "\n")
	verb := verbs[r.outcome][0]
	if len(verdicts) > 1 {
		verb = verbs[r.outcome][1]
	}
	e.Message = fmt.Sprintf(r.message, named(e.Pages), verb)
	return e
}

// named lists pages for people: "page 4", "pages 1, 3-7, 9 and 40 more".
func named(pages []int) string {
	if len(pages) == 1 {
		return fmt.Sprintf("page %d", pages[0])
	}
	const most = 8 // ranges
	var parts []string
	for i := 0; i < len(pages); {
		j := i + 1
		for j < len(pages) && pages[j] == pages[j-1]+1 {
			j++
		}
		if len(parts) == most {
			return fmt.Sprintf("pages %s and %d more", strings.Join(parts, ", "), len(pages)-i)
		}
		if j-i == 1 {
			parts = append(parts, fmt.Sprint(pages[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", pages[i], pages[j-1]))
		}
		i = j
	}
	return "pages " + strings.Join(parts, ", ")
}
