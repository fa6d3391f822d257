package index

import (
	"context"
	"fmt"
	"time"
)

// Run is something that a program did itself, elsewhere.
type Run struct {
	Production, ID, Name, State string
	Started, Ended, Deadline    time.Time
	Code, Message               string
	Total, Done                 int
	Body                        []byte
}

// PutRuns takes in what was told of runs, in place of what was told before, together with how far that was read.
func (x *Index) PutRuns(ctx context.Context, runs []Run, marks []Mark) error {
	err := x.writing(ctx, func(w *tx) error {
		t := taking{tx: w, full: x.full}
		for i := range runs {
			err := t.run(&runs[i])
			if err != nil {
				return fmt.Errorf("%s: %w", runs[i].ID, err)
			}
		}
		return t.marks(marks)
	})
	if err != nil {
		return fmt.Errorf("take runs into the index: %w", err)
	}
	return nil
}

func (t *taking) run(r *Run) error {
	var n int64
	var body []byte
	known, err := t.one("SELECT n, p, body FROM distributions WHERE id = ? AND run = 1 AND production = ?", []any{r.ID, r.Production}, &n, &t.p, &body)
	if err != nil {
		return err
	}
	if r.Body == nil {
		r.Body = []byte{}
	}
	if known && string(body) == string(r.Body) {
		return nil // told twice
	}
	created := r.Started
	if created.IsZero() {
		created = time.Now()
	}
	if !known {
		n, err = t.begin(r.Production, created)
		if err != nil {
			return err
		}
		err = t.exec(`INSERT INTO distributions (n, p, run, production, id, title, state, mode, definition, version, created, started, ended, deadline,
			items, items_done, items_failed, recipients, parent, code, stopped, failing, position, body)
			VALUES (?, ?, 1, ?, ?, '', '', '', '', 0, ?, 0, 0, 0, 0, 0, 0, 0, '', '', '', 0, '', '')`, n, t.p, r.Production, r.ID, ms(created))
		if err != nil {
			return err
		}
	} else {
		t.n, t.signs = n, ""
		err = t.exec("DELETE FROM words WHERE rowid = ?", docOf(n, ofDistribution, 0))
		if err != nil {
			return err
		}
	}
	err = t.say(docOf(n, ofDistribution, 0), "title", r.Name, r.ID)
	if err != nil {
		return err
	}
	if r.Code != "" {
		err = t.sentences(n, []sentence{{r.Code, r.Message}})
		if err != nil {
			return err
		}
	}
	err = t.counted()
	if err != nil {
		return err
	}
	return t.exec(`UPDATE distributions SET title = ?, definition = ?, state = ?, started = ?, ended = ?, deadline = ?, items = ?, items_done = ?, code = ?, body = ?
		WHERE n = ?`, r.Name, r.Name, r.State, ms(r.Started), ms(r.Ended), ms(r.Deadline), r.Total, r.Done, r.Code, r.Body, n)
}

// GetRun returns what PutRuns was last given as Body. False: there is none.
func (x *Index) GetRun(ctx context.Context, production, id string) (body []byte, found bool, err error) {
	err = x.looking(ctx, func(t *tx) error {
		found, err = t.one("SELECT body FROM distributions WHERE id = ? AND run = 1 AND production = ?", []any{id, production}, &body)
		return err
	})
	return body, found, err
}
