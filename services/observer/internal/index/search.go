package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// Scope is which productions somebody may see.
type Scope struct {
	All         bool
	Productions []string
}

// Query is a search.
type Query struct {
	Text string
	// Kind is distribution, recipient, item, file, message, trace or run, or empty for all.
	Kind string
	// Scope is where it looks.
	Scope Scope
	// Most is how many hits there may be.
	Most int
	// After is the Next of the page before.
	After string
}

// Hit is one thing that was found.
type Hit struct {
	Kind, Production, Distribution, Unit string
	// Name is what people call it, Detail what tells it from its like.
	Name, Detail string
	// State is that of a distribution or run, or of a recipient's delivery; of an item it is left to who knows.
	State, Code string
	Time        time.Time
	// Recipient is of whom an item, a message or a trace is; 0: nobody's.
	Recipient int
}

// ErrToken: After is none that a search gave.
var ErrToken = errors.New("not a token of this search")

// Search finds what q asks for: by an id the very thing, else what is called so, then what has a word that begins so, then what
// has all words somewhere in it; within each the newest first. A page may be short and yet have a next one.
func (x *Index) Search(ctx context.Context, q Query) (hits []Hit, next string, err error) {
	err = x.looking(ctx, func(t *tx) error {
		in, ok, err := t.place(q.Scope)
		if err != nil || !ok {
			return err
		}
		s := &searching{walk: walk{tx: t, place: in, from: time.Now(), every: 64, hurry: x.hurry}, q: q, productions: map[int64]*about{}}
		hits, next, err = s.search()
		return err
	})
	return hits, next, err
}

type searching struct {
	walk
	q           Query
	productions map[int64]*about
}

// about is the distribution's part of a hit.
type about struct {
	production, id, title, state, code string
	run                                bool
	created                            int64
}

func (s *searching) search() ([]Hit, string, error) {
	word := strings.TrimSpace(s.q.Text)
	if len(word) == 64 && isHex(word) {
		hits, next, _, err := s.bySHA(strings.ToLower(word))
		return hits, next, err
	}
	if s.q.After == "" {
		hits, sure, err := s.straight(word)
		if err != nil || sure {
			return hits, "", err
		}
	}
	for kind, by := range s.sure(word) {
		if s.q.After != "" && !strings.HasPrefix(s.q.After, kind) {
			continue
		}
		hits, next, found, err := by(word)
		if err != nil || found {
			return hits, next, err
		}
		s.q.After = ""
	}
	return s.byText(word)
}

// sure yields ways to find what word says that need no look at texts when they find something, each with how its tokens begin.
func (s *searching) sure(word string) iter.Seq2[string, func(string) ([]Hit, string, bool, error)] {
	return func(yield func(string, func(string) ([]Hit, string, bool, error)) bool) {
		if codeForm.MatchString(word) && !yield(byCode, s.byCode) {
			return
		}
		if strings.Contains(word, "@") && s.wants("recipient") {
			yield(byAddress, s.byAddress)
		}
	}
}

// wants reports whether hits of kind are asked for.
func (s *searching) wants(kind string) bool { return s.q.Kind == "" || s.q.Kind == kind }

// columns are where texts of the kinds that are asked for stand; empty: they have none.
func (s *searching) columns() string {
	switch s.q.Kind {
	case "":
		return "{title file person}"
	case "distribution", "run":
		return "title"
	case "file":
		return "file"
	case "recipient":
		return "person"
	}
	return ""
}

func (s *searching) byText(word string) ([]Hit, string, error) {
	columns := s.columns()
	if columns == "" {
		return nil, "", nil
	}
	c, doc := whole, int64(1)<<62
	if s.q.After != "" {
		// "s": by slices, as the page before had to.
		after, sliced := strings.CutSuffix(s.q.After, ".s")
		a, b, ok := strings.Cut(after, ".")
		n, err1 := strconv.Atoi(a)
		d, err2 := strconv.ParseInt(b, 10, 64)
		c = class(n)
		if !ok || err1 != nil || err2 != nil || c < whole || c >= classes {
			return nil, "", ErrToken
		}
		doc, s.sliced = d, sliced
	}
	var hits []Hit
	for ; c < classes; c++ {
		last, more, err := s.matching(columns, word, doc, c, &hits)
		if err != nil {
			return nil, "", err
		}
		if !more {
			doc, s.sliced = 1<<62, false
			if c+1 == classes || !s.late() {
				continue
			}
			c, last = c+1, doc
		}
		next := fmt.Sprintf("%d.%d", c, last)
		if s.sliced {
			next += ".s"
		}
		return hits, next, nil
	}
	return hits, "", nil
}

// matching appends hits of docs below doc that fit as well as c; more: there may be others, below last.
func (s *searching) matching(columns, word string, doc int64, c class, hits *[]Hit) (last int64, more bool, err error) {
	each := func(doc int64) (bool, error) {
		if len(*hits) == s.q.Most {
			return false, nil
		}
		hit, err := s.hit(doc)
		if err == nil && hit != nil && s.wants(hit.Kind) && c.fits(text(said(hit)...), s.q.Text) {
			*hits = append(*hits, *hit)
		}
		return true, err
	}
	if c == whole {
		return s.list("SELECT doc, p FROM wholes WHERE text = ? AND doc < ? ORDER BY doc DESC", []any{Fold(word)}, doc, each)
	}
	e, ok := c.match(columns, word)
	if !ok {
		return 0, false, nil
	}
	return s.words(e, doc, each)
}

// said are the texts by which a hit is found.
func said(h *Hit) []string {
	switch h.Kind {
	case "recipient":
		return []string{h.Name, h.Detail}
	case "run":
		return []string{h.Name, h.Distribution}
	}
	return []string{h.Name}
}

// distribution reads the distribution's part of a hit; nil: it is not for the caller, or gone.
func (s *searching) distribution(n int64) (*about, error) {
	d, known := s.productions[n]
	if known {
		return d, nil
	}
	d = &about{}
	var stopped string
	var p int64
	there, err := s.one("SELECT p, run, production, id, title, state, created, code, stopped FROM distributions WHERE n = ?", []any{n},
		&p, &d.run, &d.production, &d.id, &d.title, &d.state, &d.created, &d.code, &stopped)
	if err != nil {
		return nil, err
	}
	if stopped != "" {
		d.code = stopped
	}
	if !there || !s.has(p) {
		d = nil
	}
	s.productions[n] = d
	return d, nil
}

// hit reads what doc is about; nil: it is not for the caller, or gone.
func (s *searching) hit(doc int64) (*Hit, error) {
	n, kind, number := undoc(doc)
	d, err := s.distribution(n)
	if err != nil || d == nil {
		return nil, err
	}
	there := true
	h := &Hit{Production: d.production, Distribution: d.id, Time: at(d.created)}
	switch kind {
	case ofDistribution:
		h.Kind, h.Unit, h.Name, h.State, h.Code = "distribution", "d", d.title, d.state, d.code
		h.Detail = d.id
		if d.run {
			h.Kind, h.Unit = "run", ""
		}
		return h, nil
	case ofFile:
		h.Kind, h.Unit, h.Detail = "file", "f"+strconv.Itoa(number), d.title
		there, err = s.one("SELECT name FROM files WHERE doc = ?", []any{doc}, &h.Name)
	case ofRecipient:
		var sent int64
		h.Kind, h.Unit, h.Recipient = "recipient", "r"+strconv.Itoa(number), number
		there, err = s.one("SELECT name, email, state, code, sent FROM recipients WHERE doc = ?", []any{doc},
			&h.Name, &h.Detail, &h.State, &h.Code, &sent)
		if sent != 0 {
			h.Time = at(sent)
		}
	default:
		return nil, nil
	}
	if err != nil || !there {
		return nil, err
	}
	return h, nil
}
