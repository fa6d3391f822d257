package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
)

// Seen is what was read of one distribution.
type Seen struct {
	event.Distribution
	// Body is all of it, as the caller wants it back.
	Body []byte
	// Recipients are those that are new or may have changed.
	Recipients []event.Recipient
	// Events follow those that were taken in before, in order.
	Events []event.Event
}

// Mark is where reading a stream of changes goes on.
type Mark struct{ Stream, Position string }

// Kinds of docs.
const (
	ofDistribution = iota
	ofFile
	ofRecipient
	ofError
)

const (
	docBits    = 20
	numberBits = 18
	// epoch is when n begins to count: 2020-01-01, in seconds since 1970.
	epoch = 1577836800
	// mostErrors is how many different sentences of one distribution are kept.
	mostErrors = 200
)

func docOf(n int64, kind, number int) int64 {
	return n<<docBits | int64(kind)<<numberBits | int64(min(number, 1<<numberBits-1))
}

func undoc(doc int64) (n int64, kind, number int) {
	return doc >> docBits, int(doc >> numberBits & 3), int(doc & (1<<numberBits - 1))
}

func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// Take takes in what was read, all of it or none, together with how far that was. ErrReplaced: the index knows nothing any
// more, and everything is to be read again.
func (x *Index) Take(ctx context.Context, seen []Seen, marks []Mark) error {
	err := x.writing(ctx, func(w *tx) error {
		t := taking{tx: w, full: x.full}
		for i := range seen {
			err := t.take(&seen[i])
			if err != nil {
				return fmt.Errorf("%s: %w", seen[i].ID, err)
			}
		}
		return t.marks(marks)
	})
	if err != nil && !errors.Is(err, ErrReplaced) {
		return fmt.Errorf("take into the index: %w", err)
	}
	return err
}

// taking is one transaction that takes in.
type taking struct {
	*tx
	// full is how many docs a slice has.
	full int
	// n is what is written of now, p its production, slice and signs where it stands in words, and said how many docs are more.
	n, p, slice int64
	signs       string
	said        int
}

func (t *taking) marks(all []Mark) error {
	for _, m := range all {
		err := t.exec("INSERT INTO positions VALUES (?, ?) ON CONFLICT DO UPDATE SET position = excluded.position", m.Stream, m.Position)
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *taking) take(s *Seen) error {
	err := t.takeIn(s)
	if err != nil {
		return err
	}
	return t.counted()
}

func (t *taking) takeIn(s *Seen) error {
	n, position, failing, err := t.row(s)
	if err != nil {
		return err
	}
	for i := range s.Recipients {
		err = t.recipient(n, &s.Recipients[i])
		if err != nil {
			return fmt.Errorf("recipient %d: %w", s.Recipients[i].Number, err)
		}
	}
	f := facts(s.Events, position)
	for _, w := range f.workers {
		err = t.exec("INSERT INTO workers VALUES (?, ?, ?) ON CONFLICT DO NOTHING", w, n, t.p)
		if err != nil {
			return err
		}
	}
	if f.ended && failing > 0 {
		err = t.exec("UPDATE failures SET state = 'failed' WHERE n = ? AND state = 'retrying'", n)
		if err != nil {
			return err
		}
	}
	touched := false
	for i := range f.steps {
		changed, err := t.step(n, &f.steps[i], failing > 0 || touched)
		if err != nil {
			return err
		}
		touched = touched || changed
	}
	err = t.sentences(n, f.errors)
	if err != nil {
		return err
	}
	if touched {
		code := ""
		_, err = t.one("SELECT code, sum(count(*)) OVER () FROM failures WHERE n = ? AND state <> 'resolved' GROUP BY code ORDER BY count(*) DESC, code LIMIT 1",
			[]any{n}, &code, &failing)
		if err != nil {
			return err
		}
		if code == "" {
			failing = 0
		}
		err = t.exec("UPDATE distributions SET code = ?, failing = ? WHERE n = ?", code, failing, n)
		if err != nil {
			return err
		}
	}
	if f.stopped != "" {
		err = t.exec("UPDATE distributions SET stopped = ? WHERE n = ?", f.stopped, n)
		if err != nil {
			return err
		}
	}
	if f.position != position {
		return t.exec("UPDATE distributions SET position = ? WHERE n = ?", f.position, n)
	}
	return nil
}

// row writes the distribution's own row and, the first time, what never changes of it.
func (t *taking) row(s *Seen) (n int64, position string, failing int, err error) {
	known, err := t.one("SELECT n, p, position, failing FROM distributions WHERE id = ? AND run = 0", []any{s.ID}, &n, &t.p, &position, &failing)
	if err != nil {
		return 0, "", 0, err
	}
	t.n, t.signs = n, ""
	body := s.Body
	if body == nil {
		body = []byte{}
	}
	if known {
		return n, position, failing, t.exec(`UPDATE distributions SET title = ?, state = ?, started = ?, ended = ?, deadline = ?, items = ?, items_done = ?,
			items_failed = ?, recipients = ?, body = ? WHERE n = ?`,
			s.Title, s.State, ms(s.Started), ms(s.Ended), ms(s.Deadline), s.Items, s.ItemsDone, s.ItemsFailed, s.Distribution.Recipients, body, n)
	}
	n, err = t.begin(s.Production, s.Created)
	if err != nil {
		return 0, "", 0, err
	}
	err = t.exec(`INSERT INTO distributions (n, p, run, production, id, title, state, mode, definition, version, created, started, ended, deadline,
		items, items_done, items_failed, recipients, parent, code, stopped, failing, position, body)
		VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', 0, '', ?)`,
		n, t.p, s.Production, s.ID, s.Title, s.State, s.Mode, s.Definition, s.Version, ms(s.Created), ms(s.Started), ms(s.Ended), ms(s.Deadline),
		s.Items, s.ItemsDone, s.ItemsFailed, s.Distribution.Recipients, s.Parent, body)
	if err != nil {
		return 0, "", 0, err
	}
	err = t.say(docOf(n, ofDistribution, 0), "title", s.Title)
	if err != nil {
		return 0, "", 0, err
	}
	for i, f := range s.Files {
		doc := docOf(n, ofFile, i+1)
		err = t.exec("INSERT INTO files VALUES (?, ?, ?, ?)", doc, t.p, f.SHA256, f.Name)
		if err != nil {
			return 0, "", 0, err
		}
		err = t.say(doc, "file", f.Name)
		if err != nil {
			return 0, "", 0, err
		}
	}
	return n, "", 0, nil
}

// room finds an n for what was created then: the next free one of its second, or of a later one when it is full.
func (t *taking) room(created time.Time) (int64, error) {
	first := max(created.Unix()-epoch, 0) << 10
	for {
		var last sql.NullInt64
		_, err := t.one("SELECT max(n) FROM distributions WHERE n BETWEEN ? AND ?", []any{first, first | 1023}, &last)
		if err != nil {
			return 0, err
		}
		if !last.Valid {
			return first, nil
		}
		if last.Int64 < first|1023 {
			return last.Int64 + 1, nil
		}
		first += 1 << 10
	}
}

func (t *taking) recipient(n int64, r *event.Recipient) error {
	doc := docOf(n, ofRecipient, r.Number)
	var name, email, state, message, code, why string
	var sent int64
	known, err := t.one("SELECT name, email, state, message_id, code, message, sent FROM recipients WHERE doc = ?", []any{doc},
		&name, &email, &state, &message, &code, &why, &sent)
	if err != nil {
		return err
	}
	if known && name == r.Name && email == r.Email && state == r.State && message == r.MessageID && code == r.Code && why == r.Message && sent == ms(r.SentAt) {
		return nil
	}
	err = t.exec(`INSERT INTO recipients VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name, email = excluded.email,
		state = excluded.state, message_id = excluded.message_id, code = excluded.code, message = excluded.message, sent = excluded.sent, address = excluded.address`,
		doc, t.p, r.Name, r.Email, r.State, r.MessageID, r.Code, r.Message, ms(r.SentAt), Fold(r.Email))
	if err != nil {
		return err
	}
	if r.MessageID != "" && r.MessageID != message {
		err = t.exec("INSERT INTO messages VALUES (?, ?) ON CONFLICT DO NOTHING", bareMessageID(r.MessageID), doc)
		if err != nil {
			return err
		}
	}
	if known && name == r.Name && email == r.Email {
		return nil
	}
	if known {
		err = t.exec("DELETE FROM words WHERE rowid = ?", doc)
		if err != nil {
			return err
		}
	}
	return t.say(doc, "person", r.Name, r.Email)
}

// say makes texts findable in a column.
func (t *taking) say(doc int64, column string, texts ...string) error {
	for _, s := range texts {
		err := t.exec("INSERT INTO wholes VALUES (?, ?, ?) ON CONFLICT DO NOTHING", Fold(s), doc, t.p)
		if err != nil {
			return err
		}
	}
	return t.write(doc, column, texts...)
}

func bareMessageID(s string) string { return strings.Trim(strings.TrimSpace(s), "<>") }

// step writes what became of a step; failing says that any of the distribution may have failed before.
func (t *taking) step(n int64, s *stepFacts, failing bool) (touched bool, err error) {
	if !failing && len(s.failures) == 0 {
		return false, nil
	}
	if failing {
		// What comes now is the last that is known of it.
		err = t.exec("UPDATE failures SET state = 'resolved' WHERE n = ? AND unit = ? AND step = ? AND state <> 'resolved'", n, s.unit, s.step)
		if err != nil {
			return false, err
		}
	}
	for _, f := range s.failures {
		err = t.exec(`INSERT INTO failures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET message = excluded.message, worker = excluded.worker,
			attempts = attempts + excluded.attempts, last = excluded.last, state = excluded.state`,
			n, t.p, s.unit, s.step, f.code, f.message, f.worker, recipientOf(s.unit), f.attempts, ms(f.first), ms(f.last), f.state)
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// sentences makes errors searchable.
func (t *taking) sentences(n int64, all []sentence) error {
	if len(all) == 0 {
		return nil
	}
	rows, err := t.query("SELECT code, message FROM errors WHERE doc BETWEEN ? AND ?", docOf(n, ofError, 0), docOf(n, ofError, 1<<numberBits-1))
	if err != nil {
		return err
	}
	had := map[sentence]bool{}
	for rows.Next() {
		var s sentence
		err = rows.Scan(&s.code, &s.message)
		if err != nil {
			return errors.Join(err, rows.Close())
		}
		had[s] = true
	}
	err = errors.Join(rows.Err(), rows.Close())
	if err != nil {
		return err
	}
	for _, s := range all {
		if had[s] || len(had) >= mostErrors {
			continue
		}
		had[s] = true
		doc := docOf(n, ofError, len(had))
		err = t.exec("INSERT INTO errors VALUES (?, ?, ?)", doc, s.code, s.message)
		if err != nil {
			return err
		}
		err = t.write(doc, "error", s.code, s.message)
		if err != nil {
			return err
		}
	}
	return nil
}

func recipientOf(unit string) int {
	if unit == "" || unit[0] == 'd' || unit[0] == 'f' {
		return 0
	}
	_, r, item := strings.Cut(unit[1:], ".")
	if !item {
		r = unit[1:]
	}
	n, _ := strconv.Atoi(r) // what is no number is nobody's
	return n
}
