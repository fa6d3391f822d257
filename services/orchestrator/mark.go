package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/mark"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// look is a distribution's mark: its template and its style.
type look struct {
	Template string `json:"template"`
	Layout   string `json:"layout,omitempty"`
	Color    string `json:"color,omitempty"`
	Opacity  int32  `json:"opacity,omitempty"`
	Size     int32  `json:"size,omitempty"`
	Pages    string `json:"pages,omitempty"`
}

func newLook(req *distributionv1.CreateDistributionRequest) look {
	l := styleOf(req.GetMarkStyle())
	l.Template = cmp.Or(req.GetMark(), mark.Default)
	return l
}

func styleOf(m *distributionv1.MarkStyle) look {
	return look{Layout: m.GetLayout(), Color: m.GetColor(), Opacity: m.GetOpacity(), Size: m.GetSize(), Pages: m.GetPages()}
}

func (l look) styled() bool { return l != look{Template: l.Template} }

// setLook stores the mark: one without style as it always was. One with a style stands elsewhere, so that an orchestrator
// which knows no styles, while they are replaced one by one, finds no mark and makes no request, instead of a plain one.
func (s *spec) setLook(l look) {
	if l.styled() {
		s.Styled = l
		return
	}
	s.Mark = l.Template
}

func (s *spec) look() look {
	if s.Styled.styled() {
		return s.Styled
	}
	return look{Template: s.Mark}
}

// view is the style, for expressions.
func (l look) view() map[string]any {
	return map[string]any{"layout": l.Layout, "color": l.Color, "opacity": l.Opacity, "size": l.Size, "pages": l.Pages}
}

// message is the style, for clients; nil where there is none.
func (l look) message() *distributionv1.MarkStyle {
	if !l.styled() {
		return nil
	}
	return &distributionv1.MarkStyle{Layout: l.Layout, Color: l.Color, Opacity: l.Opacity, Size: l.Size, Pages: l.Pages}
}

func (l look) spec() mark.Spec {
	return mark.Spec{Template: l.Template, Style: mark.Style{
		Layout: mark.Layout(l.Layout), Color: l.Color, Opacity: int(l.Opacity), Size: int(l.Size), Pages: l.Pages,
	}}
}

// of is r's mark: their own, or the distribution's.
func (s *spec) of(r store.Recipient) look {
	if r.Look != nil {
		return look(*r.Look)
	}
	return s.look()
}

// checkMark refuses a mark that could not be drawn for anybody, whoever they are.
func checkMark(l look, recipients []store.Recipient) error {
	err := l.spec().Style.Validate()
	if err != nil {
		return badMark(err)
	}
	return badMark(mark.Validate(l.Template, fieldsOf(recipients)...))
}

// addressee is a recipient with their number.
type addressee struct {
	number int
	store.Recipient
}

func numbered(recipients []store.Recipient) []addressee {
	out := make([]addressee, len(recipients))
	for i, r := range recipients {
		out[i] = addressee{i + 1, r}
	}
	return out
}

// checkMarks composes the mark l of each recipient, as their copies will have it, and names those whose mark cannot be
// drawn, and what to do about it. What lies in the distribution (its title, a file's name) is told once.
func (d *distribution) checkMarks(ctx context.Context, l look, people []addressee, remedy string) error {
	errs, err := d.marks(ctx, l, people)
	if err != nil {
		return err
	}
	return undrawable(people, errs, remedy)
}

// marks composes the mark l of each recipient and tells what is wrong with each; what lies in the distribution is the error.
func (d *distribution) marks(ctx context.Context, l look, people []addressee) ([]error, error) {
	files := d.markedFiles(l)
	known := make([]store.Recipient, len(people))
	for i, r := range people {
		known[i] = r.Recipient
	}
	sample := store.Recipient{Name: "x", Email: "x", Fields: map[string]string{}}
	for _, field := range slices.Concat(mark.Standard(), fieldsOf(known)) {
		sample.Fields[field] = "x"
	}
	for _, f := range files {
		err := d.checkCopy(l, plan.Unit{File: f, Recipient: 1}, sample)
		if err != nil {
			return nil, badMark(err)
		}
	}
	// Of a text made of both, how long it is depends on the longer file name, and whether it can be drawn on each by itself.
	longest := slices.MaxFunc(files, func(a, b int) int {
		return cmp.Compare(utf8.RuneCountInString(d.spec.Files[a-1].Name), utf8.RuneCountInString(d.spec.Files[b-1].Name))
	})
	errs := make([]error, len(people))
	var checkers sync.WaitGroup
	n := min(runtime.GOMAXPROCS(0), len(people))
	for first := range n {
		checkers.Go(func() {
			for i := first; i < len(people) && ctx.Err() == nil; i += n {
				errs[i] = d.checkCopy(l, plan.Unit{File: longest, Recipient: people[i].number}, people[i].Recipient)
			}
		})
	}
	checkers.Wait()
	return errs, ctx.Err()
}

// markedFiles are the numbers of the files among whose copies a recipient's marks differ.
func (d *distribution) markedFiles(l look) []int {
	numbers := []int{1}
	if slices.Contains(mark.Fields(l.Template), "file") {
		for f := 2; f <= len(d.spec.Files); f++ {
			numbers = append(numbers, f)
		}
	}
	return numbers
}

func (d *distribution) checkCopy(l look, u plan.Unit, r store.Recipient) error {
	fields := map[string]string{}
	for name, value := range d.fields(u, r) {
		fields[name], _ = value.(string) // as they all are
	}
	_, err := mark.Compose(l.spec(), fields)
	return err
}

// undrawable names the recipients that have an error, with the code of the first.
func undrawable(people []addressee, errs []error, remedy string) error {
	const most = 20
	var wrong []string
	var first *mark.Error
	n := 0
	for i, err := range errs {
		if err == nil {
			continue
		}
		var bad *mark.Error
		if !errors.As(err, &bad) {
			return err
		}
		if n++; n == 1 {
			first = bad
		}
		if n <= most {
			wrong = append(wrong, "recipient "+strconv.Itoa(people[i].number)+", "+people[i].Name+": "+bad.Message)
		}
	}
	if n == 0 {
		return nil
	}
	text := strings.Join(wrong, "; ")
	if n > most {
		text += "; and " + strconv.Itoa(n-most) + " more"
	}
	return fault.New(fault.Invalid, first.Reason, "%s. %s", text, remedy)
}

// badMark is an error of package mark as a fault.
func badMark(err error) error {
	var bad *mark.Error
	if errors.As(err, &bad) {
		return fault.New(fault.Invalid, bad.Reason, "%s", bad.Message)
	}
	return err
}
