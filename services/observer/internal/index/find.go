package index

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Filter is what distributions and runs are chosen by; all that is not zero must hold.
type Filter struct {
	Scope         Scope
	States        []string
	After, Before time.Time // when it was created
	// Person is a part of a recipient's name or address, File one of a file's name or its SHA-256, Error a code or a part of a
	// sentence, Worker one that had a part in it, Title a part of the title.
	Person, File, Error, Worker, Title string
	Definition                         string
	// Late: its deadline has passed at Now, or had when it ended.
	Late bool
	Now  time.Time

	Most int
	// From is the Next of the page before.
	From string
}

// Found is a distribution, or a run.
type Found struct {
	Run            bool
	Production, ID string
	// Body is what Take was given.
	Body []byte
}

// condition is a part of a WHERE clause.
type condition struct {
	sql  string
	args []any
}

// source is a filter that is indexed by itself: where the distributions that meet it are listed, as docs with their production,
// newest first, or by which words they are found; and how it is asked of one.
type source struct {
	list, ask condition
	words     *expression
}

// Find returns distributions and runs that f chooses, newest first. A page may be short and yet have a next one.
func (x *Index) Find(ctx context.Context, f Filter) (found []Found, next string, err error) {
	n := int64(1) << 42
	from, sliced := strings.CutSuffix(f.From, ".s")
	if from != "" {
		n, err = strconv.ParseInt(from, 10, 64)
		if err != nil || n < 0 {
			return nil, "", ErrToken
		}
	}
	err = x.looking(ctx, func(t *tx) error {
		in, ok, err := t.place(f.Scope)
		if err != nil || !ok {
			return err
		}
		w := &walk{tx: t, place: in, from: time.Now(), every: 1, sliced: sliced, hurry: x.hurry}
		address := ""
		if strings.Contains(f.Person, "@") {
			// One that there is means whoever has it, and is found at once.
			address = Fold(f.Person)
			var doc int64
			has := []condition{{"address = ?", []any{address}}}
			if !in.all {
				has = append(has, among("p", in.numbers)) // others' change nothing
			}
			clause, args := where(has)
			there, err := t.one("SELECT doc FROM recipients WHERE "+clause+" LIMIT 1", args, &doc)
			if err != nil {
				return err
			}
			if !there {
				address = ""
			}
		}
		sources, possible := f.sources(address)
		if !possible {
			return nil
		}
		conditions := f.conditions(in)
		if len(sources) == 0 {
			found, next, err = w.scan(&f, n, conditions)
			return err
		}
		found, next, err = w.sources(&f, n, sources, conditions)
		return err
	})
	return found, next, err
}

func (f *Filter) conditions(in place) []condition {
	var all []condition
	if !in.all {
		all = append(all, among("d.p", in.numbers))
	}
	if len(f.States) > 0 {
		all = append(all, among("d.state", f.States))
	}
	if !f.After.IsZero() {
		all = append(all, condition{"d.n >= ? AND d.created > ?", []any{(f.After.Unix() - epoch) << 10, ms(f.After)}})
	}
	if !f.Before.IsZero() {
		all = append(all, condition{"d.created < ?", []any{ms(f.Before)}})
	}
	if f.Definition != "" {
		all = append(all, condition{"d.definition = ?", []any{f.Definition}})
	}
	if f.Late {
		all = append(all, condition{"d.deadline > 0 AND d.deadline < iif(d.ended > 0, d.ended, ?)", []any{ms(f.Now)}})
	}
	return all
}

func among[T any](column string, values []T) condition {
	c := condition{sql: column + " IN (?" + strings.Repeat(", ?", len(values)-1) + ")"}
	for _, v := range values {
		c.args = append(c.args, v)
	}
	return c
}

// sources are those of f's filters that have one, the most telling first; address is the person's if it is one. possible: something can meet them.
func (f *Filter) sources(address string) (all []source, possible bool) {
	if f.Worker != "" {
		all = append(all, source{
			list: condition{"SELECT n << 20, p FROM workers WHERE worker = ? AND n < ? >> 20 ORDER BY n DESC", []any{f.Worker}},
			ask:  condition{"EXISTS (SELECT 1 FROM workers WHERE worker = ? AND n = d.n)", []any{f.Worker}},
		})
	}
	person := f.Person
	if address != "" {
		person = ""
		all = append(all, source{
			list: condition{addressed, []any{address}},
			ask: condition{"EXISTS (SELECT 1 FROM wholes w CROSS JOIN recipients r ON r.doc = w.doc AND r.address = w.text " +
				"WHERE w.text = ? AND w.doc BETWEEN d.n << 20 AND (d.n << 20) + 1048575)", []any{address}},
		})
	}
	texts := [][2]string{{"error", f.Error}, {"file", f.File}, {"person", person}, {"title", f.Title}}
	if len(f.File) == 64 && isHex(f.File) {
		sha := strings.ToLower(f.File)
		all = append(all, source{
			list: condition{"SELECT doc, p FROM files WHERE sha256 = ? AND doc < ? ORDER BY doc DESC", []any{sha}},
			ask:  condition{"EXISTS (SELECT 1 FROM files WHERE sha256 = ? AND doc BETWEEN d.n << 20 AND (d.n << 20) + 1048575)", []any{sha}},
		})
		texts = slices.Delete(texts, 1, 2)
	}
	for _, t := range texts {
		if t[1] == "" {
			continue
		}
		match, ok := anywhere(t[0], t[1])
		if !ok {
			return nil, false // nothing but spaces
		}
		all = append(all, source{
			words: &match,
			ask:   condition{sql: "EXISTS (SELECT 1 FROM words WHERE words MATCH ? AND rowid BETWEEN d.n << 20 AND (d.n << 20) + 1048575)"},
		})
	}
	return all, true
}

// where joins conditions by "and".
func where(all []condition) (string, []any) {
	var sql []string
	var args []any
	for _, c := range all {
		sql = append(sql, c.sql)
		args = append(args, c.args...)
	}
	return strings.Join(sql, " AND "), args
}

// distribution reads the one at n if it meets conditions; nil if it does not.
func (t *tx) distribution(n int64, conditions ...condition) (*Found, error) {
	clause, args := where(append([]condition{{"d.n = ?", []any{n}}}, conditions...))
	d := &Found{}
	there, err := t.one("SELECT d.run, d.production, d.id, d.body FROM distributions d WHERE "+clause, args, &d.Run, &d.Production, &d.ID, &d.Body)
	if err != nil || !there {
		return nil, err
	}
	return d, nil
}

// sources goes through the distributions below n that the first source lists, and asks the others of each.
func (w *walk) sources(f *Filter, n int64, sources []source, conditions []condition) ([]Found, string, error) {
	var found []Found
	last := n
	each := func(doc int64) (bool, error) {
		at := doc >> docBits
		if at == last {
			return true, nil
		}
		if len(found) == f.Most {
			return false, nil
		}
		all := slices.Clone(conditions)
		for _, s := range sources[1:] {
			ask := s.ask
			if s.words != nil {
				// Of its slice alone, or FTS5 would look for the first that there is.
				number, _, err := w.slice(at)
				if err != nil {
					return false, err
				}
				ask.args = []any{s.words.in([]string{sign(ofSlice, number)}, nil)}
			}
			all = append(all, ask)
		}
		d, err := w.distribution(at, all...)
		if d != nil {
			found = append(found, *d)
		}
		last = at
		return true, err
	}
	first, doc, more := sources[0], n<<docBits, false
	var err error
	if first.words != nil {
		doc, more, err = w.words(*first.words, doc, each)
	} else {
		doc, more, err = w.list(first.list.sql, first.list.args, doc, each)
	}
	if err != nil || !more {
		return found, "", err
	}
	// Docs of one distribution follow each other: it is done when one of them is.
	next := strconv.FormatInt(doc>>docBits, 10)
	if w.sliced {
		next += ".s"
	}
	return found, next, nil
}

// atATime is how many distributions are gone through before a scan looks at the clock.
const atATime = 2000

// scan goes through all distributions below n, by an index that has all they are chosen by.
func (w *walk) scan(f *Filter, n int64, conditions []condition) ([]Found, string, error) {
	by, of := "distributions_n", []condition{{"1", nil}}
	switch {
	case !w.all && len(w.numbers) <= mostSigns:
		by, of = "distributions_p", nil
		for _, p := range w.numbers {
			of = append(of, condition{"d.p = ?", []any{p}})
		}
	case len(f.States) > 0 && len(f.States) <= mostSigns:
		by, of = "distributions_state", nil
		for _, state := range f.States {
			of = append(of, condition{"d.state = ?", []any{state}})
		}
	}
	lowest := int64(0)
	if !f.After.IsZero() {
		lowest = max(0, (f.After.Unix()-epoch)<<10)
	}
	var found []Found
	for n > lowest {
		// Between from and n each of those has at most so many.
		from := int64(0)
		for _, c := range of {
			clause, args := where([]condition{c, {"d.n < ?", []any{n}}})
			var at int64
			_, err := w.one(fmt.Sprintf("SELECT d.n FROM distributions d INDEXED BY %s WHERE %s ORDER BY d.n DESC LIMIT 1 OFFSET %d", by, clause, atATime-1), args, &at)
			if err != nil {
				return nil, "", err
			}
			from = max(from, at)
		}
		numbers, err := w.numbered(by, f.Most+1-len(found), append([]condition{{"d.n < ?", []any{n}}, {"d.n >= ?", []any{from}}}, conditions...))
		if err != nil {
			return nil, "", err
		}
		for _, at := range numbers {
			if len(found) == f.Most {
				return found, strconv.FormatInt(n, 10), nil
			}
			d, err := w.distribution(at)
			if err != nil {
				return nil, "", err
			}
			if d != nil {
				found = append(found, *d)
			}
			n = at
		}
		n = from
		if n > lowest && w.late() {
			return found, strconv.FormatInt(n, 10), nil
		}
	}
	return found, "", nil
}

// numbered lists the n of distributions that meet conditions, the newest first.
func (t *tx) numbered(by string, most int, conditions []condition) (all []int64, err error) {
	clause, args := where(conditions)
	rows, err := t.query("SELECT d.n FROM distributions d INDEXED BY "+by+" WHERE "+clause+" ORDER BY d.n DESC LIMIT ?", append(args, most)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		err = rows.Scan(&n)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}
