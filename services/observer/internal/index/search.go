package index

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Scope is which productions somebody may see.
type Scope struct {
	All         bool
	Productions []string
}

func (s Scope) has(production string) bool {
	return s.All || slices.Contains(s.Productions, production)
}

// Query is a search.
type Query struct {
	Text string
	// Kind is one of Kinds, or empty for all.
	Kind string
	// Scope is where it looks.
	Scope Scope
	// Most is how many hits there may be.
	Most int
	// After is the Next of the page before.
	After string
}

// Kinds are what can be found.
var Kinds = []string{"distribution", "recipient", "item", "file", "message", "trace", "run"}

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

// looks is how many rows one call looks at before it gives what it has, and patience how long, so that no search is long.
const (
	looks    = 20_000
	patience = 40 * time.Millisecond
)

// enough reports whether a call that began at from and has looked at so many rows should give what it has. It looks at some in
// any case, so that all calls together come to the end.
func enough(looked int, from time.Time) bool {
	return looked >= looks || looked%64 == 63 && time.Since(from) > patience
}

// Search finds what q asks for: by an id the very thing, else what is called so, then what has a word that begins so, then what
// has all words somewhere in it; within each the newest first. A page may be short and yet have a next one.
func (x *Index) Search(ctx context.Context, q Query) (hits []Hit, next string, err error) {
	err = x.looking(ctx, func(t *tx) error {
		s := &searching{tx: t, q: q, productions: map[int64]*about{}, from: time.Now()}
		hits, next, err = s.search()
		return err
	})
	return hits, next, err
}

type searching struct {
	*tx
	q           Query
	productions map[int64]*about
	looked      int
	from        time.Time
}

// about is the distribution's part of a hit.
type about struct {
	production, id, title, state, code string
	run                                bool
	created                            int64
}

func (s *searching) search() ([]Hit, string, error) {
	word := strings.TrimSpace(s.q.Text)
	if s.q.After == "" {
		hits, sure, err := s.straight(word)
		if err != nil || sure {
			return hits, "", err
		}
	}
	if codeForm.MatchString(word) {
		hits, next, err := s.byCode(word)
		if err != nil || len(hits) > 0 || next != "" {
			return hits, next, err
		}
	}
	hits, next, err := s.byAddress(Fold(word))
	if err != nil || len(hits) > 0 || next != "" {
		return hits, next, err
	}
	return s.byText(word)
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
		a, b, ok := strings.Cut(s.q.After, ".")
		n, err1 := strconv.Atoi(a)
		d, err2 := strconv.ParseInt(b, 10, 64)
		c = class(n)
		if !ok || err1 != nil || err2 != nil || c < whole || c >= classes {
			return nil, "", ErrToken
		}
		doc = d
	}
	var hits []Hit
	for ; c < classes; c++ {
		match := Fold(word)
		if c != whole {
			match = c.match(columns, word)
		}
		if match != "" {
			last, full, err := s.matching(match, doc, c, &hits)
			if err != nil {
				return nil, "", err
			}
			if full {
				return hits, fmt.Sprintf("%d.%d", c, last), nil
			}
		}
		doc = 1 << 62
	}
	return hits, "", nil
}

// matching appends hits of docs below doc that fit as well as c; full: there may be more, below last.
func (s *searching) matching(match string, doc int64, c class, hits *[]Hit) (last int64, full bool, err error) {
	list := "SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC"
	if c == whole {
		list = "SELECT doc FROM wholes WHERE text = ? AND doc < ? ORDER BY doc DESC"
	}
	rows, err := s.query(list, match, doc)
	if err != nil {
		return 0, false, fmt.Errorf("search for %s: %w", match, err)
	}
	defer rows.Close()
	last = doc
	for rows.Next() {
		if len(*hits) == s.q.Most || enough(s.looked, s.from) {
			return last, true, nil
		}
		s.looked++
		err = rows.Scan(&last)
		if err != nil {
			return 0, false, err
		}
		hit, err := s.hit(last)
		if err != nil {
			return 0, false, err
		}
		if hit != nil && s.wants(hit.Kind) && c.fits(text(said(hit)...), s.q.Text) {
			*hits = append(*hits, *hit)
		}
	}
	return last, false, rows.Err()
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
	there, err := s.one("SELECT run, production, id, title, state, created, code, stopped FROM distributions WHERE n = ?", []any{n},
		&d.run, &d.production, &d.id, &d.title, &d.state, &d.created, &d.code, &stopped)
	if err != nil {
		return nil, err
	}
	if stopped != "" {
		d.code = stopped
	}
	if !there || !s.q.Scope.has(d.production) {
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
