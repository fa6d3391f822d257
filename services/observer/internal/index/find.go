package index

import (
	"context"
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

// source is a filter that is indexed by itself: where the distributions that meet it are listed, as docs, newest first, and
// how it is asked of one.
type source struct{ list, ask condition }

// Find returns distributions and runs that f chooses, newest first. A page may be short and yet have a next one.
func (x *Index) Find(ctx context.Context, f Filter) (found []Found, next string, err error) {
	n := int64(1) << 42
	if f.From != "" {
		n, err = strconv.ParseInt(f.From, 10, 64)
		if err != nil || n < 0 {
			return nil, "", ErrToken
		}
	}
	if !f.Scope.All && len(f.Scope.Productions) == 0 {
		return nil, "", nil
	}
	err = x.looking(ctx, func(t *tx) error {
		address := ""
		if strings.Contains(f.Person, "@") {
			// One that there is means whoever has it, and is found at once.
			address = Fold(f.Person)
			var doc int64
			there, err := t.one("SELECT doc FROM recipients WHERE address = ? LIMIT 1", []any{address}, &doc)
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
		conditions := f.conditions()
		if len(sources) == 0 {
			found, next, err = t.scan(&f, n, conditions)
			return err
		}
		for _, s := range sources[1:] {
			conditions = append(conditions, s.ask)
		}
		found, next, err = t.listed(&f, n, sources[0].list, conditions)
		return err
	})
	return found, next, err
}

func (f *Filter) conditions() []condition {
	var all []condition
	if !f.Scope.All {
		all = append(all, among("d.production", f.Scope.Productions))
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

func among(column string, values []string) condition {
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
			list: condition{"SELECT n << 20 AS doc FROM workers WHERE worker = ? AND n < ? >> 20 ORDER BY n DESC", []any{f.Worker}},
			ask:  condition{"EXISTS (SELECT 1 FROM workers WHERE worker = ? AND n = d.n)", []any{f.Worker}},
		})
	}
	person := f.Person
	if address != "" {
		person = ""
		all = append(all, source{
			list: condition{"SELECT doc FROM recipients WHERE address = ? AND doc < ? ORDER BY doc DESC", []any{address}},
			ask:  condition{"EXISTS (SELECT 1 FROM recipients WHERE address = ? AND doc BETWEEN d.n << 20 AND (d.n << 20) + 1048575)", []any{address}},
		})
	}
	texts := [][2]string{{"error", f.Error}, {"file", f.File}, {"person", person}, {"title", f.Title}}
	if len(f.File) == 64 && isHex(f.File) {
		sha := strings.ToLower(f.File)
		all = append(all, source{
			list: condition{"SELECT doc FROM files WHERE sha256 = ? AND doc < ? ORDER BY doc DESC", []any{sha}},
			ask:  condition{"EXISTS (SELECT 1 FROM files WHERE sha256 = ? AND doc BETWEEN d.n << 20 AND (d.n << 20) + 1048575)", []any{sha}},
		})
		texts = slices.Delete(texts, 1, 2)
	}
	for _, t := range texts {
		if t[1] == "" {
			continue
		}
		match := anywhere(t[0], t[1])
		if match == "" {
			return nil, false // nothing but spaces
		}
		all = append(all, source{
			list: condition{"SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC", []any{match}},
			ask:  condition{"EXISTS (SELECT 1 FROM words WHERE words MATCH ? AND rowid BETWEEN d.n << 20 AND (d.n << 20) + 1048575)", []any{match}},
		})
	}
	return all, true
}

const selected = "SELECT d.n, d.run, d.production, d.id, d.body FROM distributions d WHERE "

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

// scan goes through all distributions below n.
func (t *tx) scan(f *Filter, n int64, conditions []condition) ([]Found, string, error) {
	clause, args := where(append([]condition{{"d.n < ?", []any{n}}}, conditions...))
	rows, err := t.query(selected+clause+" ORDER BY d.n DESC LIMIT ?", append(args, f.Most+1)...)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	var found []Found
	for rows.Next() {
		if len(found) == f.Most {
			return found, strconv.FormatInt(n, 10), nil
		}
		var d Found
		err = rows.Scan(&n, &d.Run, &d.Production, &d.ID, &d.Body)
		if err != nil {
			return nil, "", err
		}
		found = append(found, d)
	}
	return found, "", rows.Err()
}

// listed goes through the distributions below n that list lists.
func (t *tx) listed(f *Filter, n int64, list condition, conditions []condition) ([]Found, string, error) {
	clause, args := where(append([]condition{{"d.n = ?", []any{n}}}, conditions...))
	rows, err := t.query(list.sql, append(slices.Clone(list.args), n<<docBits)...)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	var found []Found
	last, began := n, time.Now()
	for looked := 0; rows.Next(); looked++ {
		var doc int64
		err = rows.Scan(&doc)
		if err != nil {
			return nil, "", err
		}
		if doc>>docBits == last {
			continue
		}
		if len(found) == f.Most || enough(looked, began) {
			return found, strconv.FormatInt(last, 10), nil
		}
		last = doc >> docBits
		args[0] = last
		var d Found
		var same int64
		there, err := t.one(selected+clause, args, &same, &d.Run, &d.Production, &d.ID, &d.Body)
		if err != nil {
			return nil, "", err
		}
		if there {
			found = append(found, d)
		}
	}
	return found, "", rows.Err()
}
