package index

import "time"

// begin finds the place of what was created then in a production, and goes on with that.
func (t *taking) begin(production string, created time.Time) (n int64, err error) {
	there, err := t.one("SELECT p FROM productions WHERE name = ?", []any{production}, &t.p)
	if err != nil {
		return 0, err
	}
	if !there {
		_, err = t.one("INSERT INTO productions (name) VALUES (?) RETURNING p", []any{production}, &t.p)
		if err != nil {
			return 0, err
		}
	}
	n, err = t.room(created)
	t.n, t.signs = n, ""
	return n, err
}

// write writes texts down in words, after the signs of where they stand.
func (t *taking) write(doc int64, column string, texts ...string) error {
	if t.signs == "" {
		err := t.stand()
		if err != nil {
			return err
		}
	}
	t.said++
	return t.exec("INSERT INTO words (rowid, "+column+") VALUES (?, ?)", doc, t.signs+text(texts...))
}

// stand finds the slice of what is written of now, and begins one for it when that is full.
func (t *taking) stand() error {
	var number, last int64
	var docs int
	there, err := t.one("SELECT number, last, docs FROM slices WHERE first <= ? ORDER BY first DESC LIMIT 1", []any{t.n}, &number, &last, &docs)
	if err != nil {
		return err
	}
	first := int64(0)
	if there && docs >= t.full && t.n > last {
		there, first = false, t.n
	}
	if !there {
		_, err = t.one("INSERT INTO slices (first, last, docs) VALUES (?, ?, 0) RETURNING number", []any{first, t.n}, &number)
		if err != nil {
			return err
		}
	}
	t.slice = number
	t.signs = sign(ofProduction, t.p) + sign(ofSlice, number)
	return nil
}

// counted notes what was written of this one.
func (t *taking) counted() error {
	said := t.said
	t.said = 0
	if said == 0 {
		return nil
	}
	return t.exec("UPDATE slices SET docs = docs + ?, last = max(last, ?) WHERE number = ?", said, t.n, t.slice)
}
