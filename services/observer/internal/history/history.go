// Package history keeps a line of every distribution that was archived, in a SQLite file of its own: what a list shows of it,
// and what it took; and one of every run that was reported and has ended. From these come figures by week, which outlive the
// distributions, their archives and the runs.
//
// Of distributions the file is a copy: it is filled from archives, and filled again when it was lost or is broken. Of runs it has
// more than anything else once they are forgotten. Taking in the same again changes nothing.
package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	_ "modernc.org/sqlite" // the driver
)

const schema = `
CREATE TABLE archived (
	kind TEXT NOT NULL, production TEXT NOT NULL, id TEXT NOT NULL, definition TEXT NOT NULL, state TEXT NOT NULL,
	created INTEGER NOT NULL, ended INTEGER NOT NULL, took INTEGER NOT NULL, late INTEGER NOT NULL,
	items INTEGER NOT NULL, items_failed INTEGER NOT NULL, recipients INTEGER NOT NULL,
	bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, bytes_known INTEGER NOT NULL, body BLOB NOT NULL,
	PRIMARY KEY (kind, production, id)
) WITHOUT ROWID;
CREATE INDEX by_created ON archived (kind, production, created DESC, id DESC);
CREATE INDEX by_ended ON archived (ended);
CREATE TABLE position (of TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 2;
`

// kept says what was seen to of which distributions, as they ended last; a file of before that has none yet.
const kept = "CREATE TABLE IF NOT EXISTS kept (what TEXT, production TEXT, id TEXT, ended INTEGER NOT NULL, PRIMARY KEY (what, production, id)) WITHOUT ROWID"

// Kinds of lines, and what there are positions of.
const (
	Distributions = "distribution"
	Runs          = "run"
)

// Line is what is kept of a distribution or run.
type Line struct {
	Kind string // Distributions or Runs
	// Definition is a run's name.
	Production, ID, Definition, State string
	Created, Ended                    time.Time
	// Took is from when it could begin to its end.
	Took                           time.Duration
	Late                           bool
	Items, ItemsFailed, Recipients int64
	BytesIn, BytesOut              int64
	// BytesKnown says that anything was told of bytes.
	BytesKnown bool
	Body       []byte // what a list shows
}

// Week sums up the distributions of one production and definition, or the runs of one name, that ended in one week, from Monday
// 00:00 UTC.
type Week struct {
	From                                              time.Time
	Kind, Production, Definition                      string
	BytesUnknown                                      int // of so many nothing was told of bytes
	Distributions, Failed, Late                       int
	Items, ItemsFailed, Recipients, BytesIn, BytesOut int64
	Half, Most                                        time.Duration // p50 and p90 of how long they took
	took                                              []time.Duration
}

// File is open until Close. It is safe for concurrent use.
type File struct{ db *sql.DB }

// Open opens the file at path. There is a new one when there was none or it could not be used; what could not is kept beside it
// as path.old, in the place of a former one, as nobody else has the runs in it.
func Open(path string) (*File, error) {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	_, err = os.Stat(path)
	if err == nil {
		f, version, err := connect(path)
		if err == nil && version == 2 {
			_, _, err = f.Get(context.Background(), "", "")
			if err == nil {
				_, err = f.db.Exec(kept)
			}
			if err == nil {
				return f, nil
			}
		}
		if f != nil {
			_ = f.Close() // it is put away
		}
		err = putAway(path)
		if err != nil {
			return nil, fmt.Errorf("open history: %w", err)
		}
	}
	f, _, err := connect(path)
	if err == nil {
		_, err = f.db.Exec(schema + kept)
	}
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	return f, nil
}

// putAway renames a file to path.old, with what SQLite keeps beside it.
func putAway(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err := os.Remove(path + ".old" + suffix)
		if err == nil || errors.Is(err, os.ErrNotExist) {
			err = os.Rename(path+suffix, path+".old"+suffix)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func connect(path string) (*File, int, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=mmap_size(0)&_txlock=immediate")
	if err != nil {
		return nil, 0, err
	}
	db.SetMaxOpenConns(4)
	version := 0
	err = db.QueryRow("PRAGMA user_version").Scan(&version)
	return &File{db}, version, err
}

// Close ends all use.
func (f *File) Close() error { return f.db.Close() }

// Position is what SetPosition was last given of a kind. False: it never was, and all of it is to be read.
func (f *File) Position(ctx context.Context, of string) (at int64, known bool, err error) {
	err = f.db.QueryRowContext(ctx, "SELECT at FROM position WHERE of = ?", of).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read history: %w", err)
	}
	return at, true, nil
}

// SetPosition keeps how far a kind was taken in.
func (f *File) SetPosition(ctx context.Context, of string, at int64) error {
	_, err := f.db.ExecContext(ctx, "INSERT OR REPLACE INTO position VALUES (?, ?)", of, at)
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// Take takes in lines, each in the place of what was known of its distribution.
func (f *File) Take(ctx context.Context, lines []Line) error {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	for _, l := range lines {
		if err == nil {
			_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO archived VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
				l.Kind, l.Production, l.ID, l.Definition, l.State, l.Created.UnixMilli(), l.Ended.UnixMilli(), l.Took.Milliseconds(), l.Late,
				l.Items, l.ItemsFailed, l.Recipients, l.BytesIn, l.BytesOut, l.BytesKnown, l.Body)
		}
	}
	if err != nil {
		return fmt.Errorf("write history: %w", errors.Join(err, tx.Rollback()))
	}
	err = tx.Commit()
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// Due lists a production's distributions that ended before a moment and of which Done was not told what; at most n.
func (f *File) Due(ctx context.Context, what, production string, before time.Time, n int) ([]Line, error) {
	return read(ctx, f, func(rows *sql.Rows) (Line, error) {
		l, ended := Line{Kind: Distributions, Production: production}, int64(0)
		err := rows.Scan(&l.ID, &ended)
		l.Ended = time.UnixMilli(ended)
		return l, err
	}, `SELECT id, ended FROM archived a WHERE kind = 'distribution' AND production = ?1 AND ended < ?2 AND length(body) > 0
		AND NOT EXISTS (SELECT 1 FROM kept k WHERE k.what = ?3 AND k.production = ?1 AND k.id = a.id AND k.ended = a.ended) ORDER BY ended LIMIT ?4`,
		production, before.UnixMilli(), what, n)
}

// Done notes that what is not due of a distribution any more, unless it ends anew.
func (f *File) Done(ctx context.Context, what string, l Line) error {
	_, err := f.db.ExecContext(ctx, "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", what, l.Production, l.ID, l.Ended.UnixMilli())
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// Forget leaves of a distribution only what counts for figures: no list shows it.
func (f *File) Forget(ctx context.Context, l Line) error {
	_, err := f.db.ExecContext(ctx, "UPDATE archived SET body = x'' WHERE kind = 'distribution' AND production = ? AND id = ?", l.Production, l.ID)
	if err == nil {
		_, err = f.db.ExecContext(ctx, "DELETE FROM kept WHERE production = ? AND id = ?", l.Production, l.ID)
	}
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// Productions lists those of which there is anything.
func (f *File) Productions(ctx context.Context) ([]string, error) {
	return read(ctx, f, func(rows *sql.Rows) (p string, err error) {
		err = rows.Scan(&p)
		return p, err
	}, "SELECT DISTINCT production FROM archived WHERE kind = 'distribution'")
}

// Get returns what a list shows of a distribution, and when it was created. False: it is not known.
func (f *File) Get(ctx context.Context, production, id string) (l Line, found bool, err error) {
	lines, err := f.list(ctx, "SELECT id, created, body FROM archived WHERE kind = 'distribution' AND production = ? AND id = ? AND length(body) > 0", production, id)
	if err != nil || len(lines) == 0 {
		return l, false, err
	}
	return lines[0], true, nil
}

// List lists a production's, newest first, after the one with id that was created then; at most n. A zero created begins.
func (f *File) List(ctx context.Context, production string, created time.Time, id string, n int) ([]Line, error) {
	before := int64(1 << 62)
	if !created.IsZero() {
		before = created.UnixMilli()
	}
	return f.list(ctx, "SELECT id, created, body FROM archived WHERE kind = 'distribution' AND production = ? AND length(body) > 0 AND (created, id) < (?, ?) ORDER BY created DESC, id DESC LIMIT ?",
		production, before, id, n)
}

func (f *File) list(ctx context.Context, query string, args ...any) ([]Line, error) {
	return read(ctx, f, func(rows *sql.Rows) (l Line, err error) {
		var created int64
		err = rows.Scan(&l.ID, &created, &l.Body)
		l.Created = time.UnixMilli(created)
		return l, err
	}, query, args...)
}

// read makes of each row of an answer what scan says.
func read[T any](ctx context.Context, f *File, scan func(*sql.Rows) (T, error), query string, args ...any) (out []T, err error) {
	rows, err := f.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	for rows.Next() {
		v, errScan := scan(rows)
		if errScan != nil {
			err = errScan
			break
		}
		out = append(out, v)
	}
	err = errors.Join(err, rows.Err(), rows.Close())
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return out, nil
}

// Monday is when the week of t began.
func Monday(t time.Time) time.Time {
	t = t.UTC()
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
}

// Weeks sums up by week what ended since a moment, the newest week first; of production and definition when they are not
// empty. may says of which productions.
func (f *File) Weeks(ctx context.Context, production, definition string, since time.Time, may func(production string) bool) ([]*Week, error) {
	rows, err := f.db.QueryContext(ctx, `SELECT kind, production, definition, state, ended, took, late, items, items_failed, recipients, bytes_in, bytes_out, bytes_known FROM archived
		WHERE ended >= ?1 AND (?2 = '' OR production = ?2) AND (?3 = '' OR definition = ?3)`, since.UnixMilli(), production, definition)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	type of struct {
		from                         int64
		kind, production, definition string
	}
	weeks := map[of]*Week{}
	for rows.Next() {
		var l Line
		var ended, took int64
		err = rows.Scan(&l.Kind, &l.Production, &l.Definition, &l.State, &ended, &took, &l.Late, &l.Items, &l.ItemsFailed, &l.Recipients, &l.BytesIn, &l.BytesOut, &l.BytesKnown)
		if err != nil {
			break
		}
		if !may(l.Production) {
			continue
		}
		from := Monday(time.UnixMilli(ended))
		k := of{from.Unix(), l.Kind, l.Production, l.Definition}
		if weeks[k] == nil {
			weeks[k] = &Week{From: from, Kind: l.Kind, Production: l.Production, Definition: l.Definition}
		}
		weeks[k].add(&l, time.Duration(took)*time.Millisecond)
	}
	err = errors.Join(err, rows.Err(), rows.Close())
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	var out []*Week
	for _, w := range weeks {
		slices.Sort(w.took)
		w.Half, w.Most = share(w.took, 50), share(w.took, 90)
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b *Week) int {
		return slices.Compare([]string{b.From.Format(time.DateOnly), a.Production, a.Kind, a.Definition}, []string{a.From.Format(time.DateOnly), b.Production, b.Kind, b.Definition})
	})
	return out, nil
}

func (w *Week) add(l *Line, took time.Duration) {
	w.Distributions++
	if l.State == "failed" || l.State == "completed_with_failures" {
		w.Failed++
	}
	if l.Late {
		w.Late++
	}
	w.Items += l.Items
	w.ItemsFailed += l.ItemsFailed
	w.Recipients += l.Recipients
	if !l.BytesKnown {
		w.BytesUnknown++
	}
	w.BytesIn += l.BytesIn
	w.BytesOut += l.BytesOut
	w.took = append(w.took, took)
}

// share is the value that so many of a hundred do not exceed; of sorted ones.
func share(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)*percent+99)/100-1]
}
