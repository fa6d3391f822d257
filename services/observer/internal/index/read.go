package index

import (
	"context"
	"time"
)

// Get returns what Take was last given as a distribution's Body, with what a production's scope may see. False: there is none.
func (x *Index) Get(ctx context.Context, production, id string) (body []byte, found bool, err error) {
	err = x.looking(ctx, func(t *tx) error {
		found, err = t.one("SELECT body FROM distributions WHERE id = ? AND run = 0 AND production = ?", []any{id, production}, &body)
		return err
	})
	return body, found, err
}

// Positions are the marks that were taken in last, by stream.
func (x *Index) Positions(ctx context.Context) (all map[string]string, err error) {
	all = map[string]string{}
	err = x.looking(ctx, func(t *tx) error {
		rows, err := t.query("SELECT stream, position FROM positions")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var m Mark
			err = rows.Scan(&m.Stream, &m.Position)
			if err != nil {
				return err
			}
			all[m.Stream] = m.Position
		}
		return rows.Err()
	})
	return all, err
}

// Known is how far a distribution was read.
type Known struct {
	// Position is the last event that was taken in; empty: nothing is known.
	Position string
	// Recipients is how many are known.
	Recipients int
	Ended      bool
}

// Known says how far distributions were read, by id.
func (x *Index) Known(ctx context.Context, ids []string) (all map[string]Known, err error) {
	all = map[string]Known{}
	err = x.looking(ctx, func(t *tx) error {
		for _, id := range ids {
			var n, ended int64
			var k Known
			there, err := t.one("SELECT n, position, ended FROM distributions WHERE id = ? AND run = 0", []any{id}, &n, &k.Position, &ended)
			if err != nil {
				return err
			}
			if !there {
				continue
			}
			k.Ended = ended > 0
			_, err = t.one("SELECT count(*) FROM recipients WHERE doc BETWEEN ? AND ?", []any{docOf(n, ofRecipient, 0), docOf(n, ofError, 0) - 1}, &k.Recipients)
			if err != nil {
				return err
			}
			all[id] = k
		}
		return nil
	})
	return all, err
}

// Open lists distributions that had not ended when they were read last, as production and id.
func (x *Index) Open(ctx context.Context) (all [][2]string, err error) {
	err = x.looking(ctx, func(t *tx) error {
		rows, err := t.query("SELECT production, id FROM distributions WHERE ended = 0 AND run = 0 AND state IN ('accepted', 'running', 'paused')")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var d [2]string
			err = rows.Scan(&d[0], &d[1])
			if err != nil {
				return err
			}
			all = append(all, d)
		}
		return rows.Err()
	})
	return all, err
}

// Failure is what went wrong at one step with one code.
type Failure struct {
	Production, Distribution, Title string
	Unit, Step, Code, Message       string
	Worker                          string
	Recipient                       int
	Attempts                        int
	First, Last                     time.Time
	// State is retrying, failed or resolved.
	State string
	// Name and Email are the recipient's.
	Name, Email string
}

// FailureFilter chooses failures; all that is not zero must hold.
type FailureFilter struct {
	Scope        Scope
	Distribution string
	Code         string
	// Since: the last attempt was then, or later.
	Since time.Time
	// Resolved: also those that are over.
	Resolved bool
	Most     int
}

// Failures lists failures, those that happened last first.
func (x *Index) Failures(ctx context.Context, f FailureFilter) (all []Failure, err error) {
	var conditions []condition
	if f.Distribution != "" {
		conditions = append(conditions, condition{"f.n = (SELECT n FROM distributions WHERE id = ? AND run = 0)", []any{f.Distribution}})
	}
	if f.Code != "" {
		conditions = append(conditions, condition{"f.code = ?", []any{f.Code}})
	}
	if !f.Resolved {
		conditions = append(conditions, condition{"f.state <> 'resolved'", nil})
	}
	conditions = append(conditions, condition{"f.last >= ?", []any{ms(f.Since)}})
	err = x.looking(ctx, func(t *tx) error {
		in, ok, err := t.place(f.Scope)
		if err != nil || !ok {
			return err
		}
		if !in.all {
			conditions = append(conditions, among("f.p", in.numbers))
		}
		clause, args := where(conditions)
		rows, err := t.query(`SELECT d.production, d.id, d.title, f.unit, f.step, f.code, f.message, f.worker, f.recipient, f.attempts, f.first, f.last, f.state,
			coalesce(r.name, ''), coalesce(r.email, '') FROM failures f JOIN distributions d ON d.n = f.n
			LEFT JOIN recipients r ON f.recipient > 0 AND r.doc = (f.n << 20) + (2 << 18) + f.recipient
			WHERE `+clause+" ORDER BY f.last DESC, f.n, f.unit, f.step LIMIT ?", append(args, f.Most)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v Failure
			var first, last int64
			err = rows.Scan(&v.Production, &v.Distribution, &v.Title, &v.Unit, &v.Step, &v.Code, &v.Message, &v.Worker, &v.Recipient, &v.Attempts,
				&first, &last, &v.State, &v.Name, &v.Email)
			if err != nil {
				return err
			}
			v.First, v.Last = at(first), at(last)
			all = append(all, v)
		}
		return rows.Err()
	})
	return all, err
}
