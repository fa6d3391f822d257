package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// No question takes long, whatever is asked, by whom: it ends with what was found until then, and where to go on.
const (
	// looks is how many rows one call looks at before it gives what it has, and patience how long, so that no search is long.
	looks    = 20_000
	patience = 40 * time.Millisecond
	// hurry is how long words are looked for in everything at once. That is quickest where one of them is rare. Where all are
	// common and never stand together FTS5 walks through everything without a word, and is asked for one slice after the other.
	hurry = 10 * time.Millisecond
	// sliceDocs is how many docs a slice has, at least while it is not the last; what is written of one distribution is in one.
	sliceDocs = 32768
	// atOnce is how many docs FTS5 is asked for in one go.
	atOnce = 64
	// mostSigns is of how many productions FTS5 is asked by name. Who may act in more, but not in all, has others' sorted out.
	mostSigns = 16
)

// A place is where somebody may look.
type place struct {
	all bool
	// numbers are those of their productions, and signs what texts of them have; none when there are too many.
	numbers []int64
	signs   []string
}

func (p *place) has(number int64) bool {
	if p.all {
		return true
	}
	_, ok := slices.BinarySearch(p.numbers, number)
	return ok
}

// place finds where s is; false: nothing is there.
func (t *tx) place(s Scope) (p place, ok bool, err error) {
	if s.All {
		return place{all: true}, true, nil
	}
	for _, name := range s.Productions {
		var number int64
		there, err := t.one("SELECT p FROM productions WHERE name = ?", []any{name}, &number)
		if err != nil {
			return p, false, err
		}
		if there {
			p.numbers = append(p.numbers, number)
		}
	}
	slices.Sort(p.numbers)
	p.numbers = slices.Compact(p.numbers)
	if len(p.numbers) <= mostSigns {
		for _, number := range p.numbers {
			p.signs = append(p.signs, sign(ofProduction, number))
		}
	}
	return p, len(p.numbers) > 0, nil
}

// A walk goes through docs of a place, the newest first, while it has time.
type walk struct {
	*tx
	place
	from   time.Time
	looked int
	// every is after how many docs it looks at the clock; how long one may take says how often.
	every int
	// sliced: words are looked for by slices.
	sliced bool
	hurry  time.Duration
}

// late reports whether a walk should give what it has. What asks it has done something first, so that all calls together come
// to the end.
func (w *walk) late() bool { return time.Since(w.from) > patience }

func (w *walk) over() bool {
	return w.looked >= looks || w.looked%w.every == w.every-1 && w.looked > 0 && w.late()
}

// list goes through docs below doc that query lists, newest first, each with its production's number. each reports whether
// there is room for it. more: there may be others, below last.
func (w *walk) list(query string, args []any, doc int64, each func(doc int64) (bool, error)) (last int64, more bool, err error) {
	rows, err := w.query(query, append(slices.Clone(args), doc)...)
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	last = doc
	for rows.Next() {
		if w.over() {
			return last, true, nil
		}
		w.looked++
		var of int64
		err = rows.Scan(&doc, &of)
		if err != nil {
			return 0, false, err
		}
		if w.has(of) {
			room, err := each(doc)
			if err != nil || !room {
				return last, true, err
			}
		}
		last = doc
	}
	return last, false, rows.Err()
}

// words goes through docs below doc that e finds, as list does. Who may act in many productions is given others', too.
func (w *walk) words(e expression, doc int64, each func(doc int64) (bool, error)) (last int64, more bool, err error) {
	last = doc
	// some goes through a batch of what match finds.
	some := func(match string, within time.Duration) (got int, more bool, err error) {
		docs, err := w.batch(match, last, within)
		if err != nil {
			return 0, false, fmt.Errorf("search for %s: %w", match, err)
		}
		for _, doc := range docs {
			if w.over() {
				return len(docs), true, nil
			}
			w.looked++
			room, err := each(doc)
			if err != nil || !room {
				return len(docs), true, err
			}
			last = doc
		}
		return len(docs), len(docs) == atOnce && w.late(), nil
	}
	for !w.sliced {
		got, more, err := some(e.in(nil, w.signs), w.hurry)
		if interrupted(err) && w.ctx.Err() == nil {
			w.sliced = true
			break
		}
		if err != nil || more || got < atOnce {
			return last, more, err
		}
	}
	for last > 0 {
		number, first, err := w.slice((last - 1) >> docBits)
		if err != nil || number == 0 {
			return last, false, err
		}
		for got := atOnce; got == atOnce; {
			got, more, err = some(e.in([]string{sign(ofSlice, number)}, w.signs), 0)
			if err != nil || more {
				return last, more, err
			}
		}
		last = first << docBits
		if w.late() {
			return last, last > 0, nil
		}
	}
	return last, false, nil
}

// batch is what match finds below doc, at most atOnce. It is one row, since that is what can be interrupted: after within, if
// that is not zero.
func (w *walk) batch(match string, doc int64, within time.Duration) ([]int64, error) {
	st, err := w.stmt("SELECT group_concat(rowid) FROM (SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?)")
	if err != nil {
		return nil, err
	}
	ctx := w.ctx
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, within)
		defer cancel()
	}
	var list sql.NullString
	err = st.QueryRowContext(ctx, match, doc, atOnce).Scan(&list)
	if err != nil || list.String == "" {
		return nil, err
	}
	var docs []int64
	for s := range strings.SplitSeq(list.String, ",") {
		doc, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

func interrupted(err error) bool {
	var e *sqlite.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_INTERRUPT
}

// slice is the one that n is of, and where it begins; 0: none.
func (t *tx) slice(n int64) (number, first int64, err error) {
	_, err = t.one("SELECT number, first FROM slices WHERE first <= ? ORDER BY first DESC LIMIT 1", []any{n}, &number, &first)
	return number, first, err
}
