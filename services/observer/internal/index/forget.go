package index

import (
	"context"
	"fmt"
)

// Forget takes distributions of a production out, with all that belongs to them. Each call reads much of the file: it is for many at
// a time.
func (x *Index) Forget(ctx context.Context, production string, ids []string) error {
	return x.writing(ctx, func(t *tx) error {
		var some []int64
		for _, id := range ids {
			var n int64
			known, err := t.one("SELECT n FROM distributions WHERE id = ? AND run = 0 AND production = ?", []any{id, production}, &n)
			if err != nil {
				return err
			}
			if known {
				some = append(some, n)
			}
		}
		if len(some) == 0 {
			return nil
		}
		number := fmt.Sprintf("doc >> %d", docBits)
		for _, table := range []string{"files", "recipients", "errors"} {
			for _, n := range some {
				// By ranges of docs, which are keys.
				first, last := docOf(n, 0, 0), docOf(n+1, 0, 0)-1
				err := t.exec("DELETE FROM words WHERE rowid IN (SELECT doc FROM "+table+" WHERE doc BETWEEN ? AND ?)", first, last)
				if err == nil {
					err = t.exec("DELETE FROM "+table+" WHERE doc BETWEEN ? AND ?", first, last)
				}
				if err != nil {
					return err
				}
			}
		}
		for _, n := range some {
			err := t.exec("DELETE FROM words WHERE rowid = ?", docOf(n, ofDistribution, 0))
			if err != nil {
				return err
			}
		}
		for table, by := range map[string]string{"messages": number, "wholes": number, "workers": "n", "failures": "n", "distributions": "n"} {
			clause, args := where([]condition{among(by, some)})
			err := t.exec("DELETE FROM "+table+" WHERE "+clause, args...)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
