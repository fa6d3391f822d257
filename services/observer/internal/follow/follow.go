// Package follow keeps the index as the records are: it hears who changed, reads what is new of them, and takes that in.
//
// Nothing is missed. How far it has come is kept with what was taken in; after a stop it goes on from there, and when words of
// changes were thrown away meanwhile it looks through all that has not ended, and all that ended since. What cannot be read
// now is read later; what cannot be read at all is left out, and said once.
package follow

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/index"
)

// Ref names a distribution.
type Ref struct{ Production, Distribution string }

// Change is the word that one changed.
type Change struct {
	Ref
	Time time.Time
}

var (
	// ErrGone: there is no such distribution any more.
	ErrGone = errors.New("it is gone")
	// ErrUnavailable: nothing can be read now.
	ErrUnavailable = errors.New("not to be read now")
)

// Source is where records are read. An error that is none of the above is about the one distribution only.
type Source interface {
	// Changes returns words that came after a position, and the position after them: "$" is now, "" the oldest. gap: some between
	// were lost. It waits so long for the first.
	Changes(ctx context.Context, after string, wait time.Duration) (all []Change, next string, gap bool, err error)
	// Since calls each with all that have not ended, and with those that ended after a moment.
	Since(ctx context.Context, after time.Time, each func(Ref)) error
	// Distribution returns one as a whole, and as it is to be kept. ErrGone.
	Distribution(ctx context.Context, r Ref) (event.Distribution, []byte, error)
	// Recipients returns at most n of them, from the from-th on, which is counted from 1.
	Recipients(ctx context.Context, r Ref, from, n int) ([]event.Recipient, error)
	// Events returns at most n that come after one ("" for the first).
	Events(ctx context.Context, r Ref, after string, n int) ([]event.Event, error)
}

// Index is what it keeps up to date; index.Index is one.
type Index interface {
	Positions(ctx context.Context) (map[string]string, error)
	Known(ctx context.Context, ids []string) (map[string]index.Known, error)
	Open(ctx context.Context) ([][2]string, error)
	Take(ctx context.Context, seen []index.Seen, marks []index.Mark) error
}

const (
	stream = "changed"
	// pace is the least time between two rounds: what happens within it is read in one go.
	pace = 500 * time.Millisecond
	// wait is how long a look for changes lasts.
	wait = time.Second
	// batch is how many distributions, and rows how many events and recipients, go into one transaction at most.
	batch = 100
	rows  = 5000
	page  = 1000
	// mostKnown bounds how many distributions are kept in mind.
	mostKnown = 10_000
	// margin is how much earlier than the last word it looks, when words were lost.
	margin = time.Minute
)

// Follower keeps an index up to date while Run runs.
type Follower struct {
	source Source
	index  Index
	log    *slog.Logger

	at      string // the position of all that was taken in
	started bool   // at was read
	known   map[string]index.Known
	refused map[Ref]bool // said already

	mu      sync.Mutex
	pending map[Ref]time.Time // what is to be read, by when it changed
	heard   time.Time         // when it was last up to date
}

// New returns a follower. It is not safe for concurrent use, Lag apart.
func New(s Source, x Index, log *slog.Logger) *Follower {
	return &Follower{source: s, index: x, log: log, known: map[string]index.Known{}, refused: map[Ref]bool{}, pending: map[Ref]time.Time{}}
}

// Lag is how long something has been known to have changed that is not in the index yet. False: that is not known, since
// changes have not been heard of since it began.
func (f *Follower) Lag(now time.Time) (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.heard.IsZero() {
		return 0, false
	}
	oldest := now
	if now.Sub(f.heard) > 2*(pace+wait) {
		oldest = f.heard
	}
	for _, t := range f.pending {
		if t.Before(oldest) {
			oldest = t
		}
	}
	return now.Sub(oldest), true
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		from := time.Now()
		err := f.Round(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			f.log.WarnContext(ctx, "the index is not kept up to date", "err", err)
		}
		if err == nil && failing {
			f.log.InfoContext(ctx, "the index is kept up to date again")
		}
		failing = err != nil
		rest := pace - time.Since(from)
		if err != nil {
			rest = max(rest, time.Second)
		}
		sleep(ctx, rest)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Round takes in what has changed since the last one, if that was not done yet waiting so long for the first change.
func (f *Follower) Round(ctx context.Context, wait time.Duration) error {
	err := f.round(ctx, wait)
	if errors.Is(err, index.ErrReplaced) {
		f.log.WarnContext(ctx, "the index was broken and is made anew")
		f.started, f.known = false, map[string]index.Known{}
		return nil
	}
	return err
}

func (f *Follower) round(ctx context.Context, wait time.Duration) error {
	if !f.started {
		positions, err := f.index.Positions(ctx)
		if err != nil {
			return err
		}
		f.at, f.started = positions[stream], true
	}
	if f.at == "" {
		// Everything is new. What changes while it is read is heard of after this.
		_, now, _, err := f.source.Changes(ctx, "$", 0)
		if err != nil {
			return err
		}
		return f.all(ctx, time.Time{}, now)
	}
	changes, next, gap, err := f.source.Changes(ctx, f.at, wait)
	if err != nil {
		return err
	}
	if gap {
		f.log.InfoContext(ctx, "words of changes were lost; all that has not ended is looked through", "after", f.at)
		f.pend(changes)
		return f.all(ctx, moment(f.at), next)
	}
	f.pend(changes)
	return f.take(ctx, next)
}

// moment is the time of a position, of the oldest of several, and somewhat before.
func moment(position string) time.Time {
	oldest := int64(0)
	for i, at := range strings.Split(position, ",") {
		ms, _, _ := strings.Cut(at, "-")
		n, err := strconv.ParseInt(ms, 10, 64)
		if err != nil {
			return time.Time{}
		}
		if i == 0 || n < oldest {
			oldest = n
		}
	}
	if oldest == 0 {
		return time.Time{}
	}
	return time.UnixMilli(oldest).Add(-margin)
}

func (f *Follower) pend(changes []Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range changes {
		was, ok := f.pending[c.Ref]
		if !ok || c.Time.Before(was) {
			f.pending[c.Ref] = c.Time
		}
	}
}

// all takes in all that has not ended, that ended after a moment, or that the index takes for not ended.
func (f *Follower) all(ctx context.Context, after time.Time, next string) error {
	now := time.Now()
	add := func(r Ref) { f.pend([]Change{{r, now}}) }
	err := f.source.Since(ctx, after, add)
	if err != nil {
		return err
	}
	open, err := f.index.Open(ctx)
	if err != nil {
		return err
	}
	for _, o := range open {
		add(Ref{o[0], o[1]})
	}
	return f.take(ctx, next)
}

// take takes in all that is pending, and with the last of it that all up to next is.
func (f *Follower) take(ctx context.Context, next string) error {
	f.mu.Lock()
	todo := make([]Ref, 0, len(f.pending))
	for r := range f.pending {
		todo = append(todo, r)
	}
	f.mu.Unlock()
	// ULIDs are by time: places in the index are given in the order of creation.
	slices.SortFunc(todo, func(a, b Ref) int { return strings.Compare(a.Distribution, b.Distribution) })
	for len(todo) > 0 {
		n, err := f.some(ctx, todo)
		if err != nil {
			return err
		}
		todo = todo[n:]
	}
	if next != f.at {
		err := f.index.Take(ctx, nil, []index.Mark{{Stream: stream, Position: next}})
		if err != nil {
			return err
		}
		f.at = next
	}
	f.mu.Lock()
	f.heard = time.Now()
	f.mu.Unlock()
	return nil
}

// some takes in the first of todo in one transaction, and returns how many it is done with.
func (f *Follower) some(ctx context.Context, todo []Ref) (int, error) {
	todo = todo[:min(len(todo), batch)]
	err := f.remember(ctx, todo)
	if err != nil {
		return 0, err
	}
	var seen []index.Seen
	var done []Ref
	size := 0
	for _, r := range todo {
		s, whole, err := f.read(ctx, r)
		switch {
		case errors.Is(err, ErrUnavailable), ctx.Err() != nil:
			return 0, err
		case errors.Is(err, ErrGone):
			done = append(done, r)
			continue
		case err != nil:
			if !f.refused[r] {
				f.refused[r] = true
				f.log.ErrorContext(ctx, "a distribution cannot be read and is not in the index as it is", "distribution", r.Distribution, "production", r.Production, "err", err)
			}
			done = append(done, r)
			continue
		}
		seen = append(seen, s)
		size += len(s.Events) + len(s.Recipients)
		if !whole {
			break // more of it next time
		}
		done = append(done, r)
		if size >= rows {
			break
		}
	}
	if len(seen) > 0 {
		err = f.index.Take(ctx, seen, nil)
		if err != nil {
			return 0, err
		}
	}
	for i := range seen {
		s := &seen[i]
		k := f.known[s.ID]
		if len(s.Events) > 0 {
			k.Position = s.Events[len(s.Events)-1].ID
		}
		k.Recipients = max(k.Recipients, len(s.Recipients))
		k.Ended = !s.Ended.IsZero()
		f.known[s.ID] = k
	}
	f.mu.Lock()
	for _, r := range done {
		delete(f.pending, r)
	}
	f.mu.Unlock()
	return len(done), nil
}

// remember finds out how far distributions were read.
func (f *Follower) remember(ctx context.Context, refs []Ref) error {
	var ids []string
	for _, r := range refs {
		_, ok := f.known[r.Distribution]
		if !ok {
			ids = append(ids, r.Distribution)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if len(f.known) > mostKnown {
		clear(f.known)
		return f.remember(ctx, refs)
	}
	known, err := f.index.Known(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		f.known[id] = known[id]
	}
	return nil
}

// read reads what is new of one; whole: there is no more.
func (f *Follower) read(ctx context.Context, r Ref) (s index.Seen, whole bool, err error) {
	known := f.known[r.Distribution]
	// The record first: what events tell beyond it changed it again, and is heard of.
	s.Distribution, s.Body, err = f.source.Distribution(ctx, r)
	if err != nil {
		return s, false, err
	}
	after := known.Position
	for len(s.Events) < rows {
		events, err := f.source.Events(ctx, r, after, page)
		if err != nil {
			return s, false, err
		}
		s.Events = append(s.Events, events...)
		if len(events) < page {
			whole = true
			break
		}
		after = events[len(events)-1].ID
	}
	if !whole {
		// It is not told as ended before all of it is known.
		s.Ended = time.Time{}
	}
	everybody := known.Recipients < s.Distribution.Recipients || !s.Ended.IsZero()
	spans := [][2]int{{1, s.Distribution.Recipients}}
	if !everybody {
		spans = touched(s.Events, s.Distribution.Recipients)
	}
	for _, span := range spans {
		for from := span[0]; from <= span[1]; from += page {
			people, err := f.source.Recipients(ctx, r, from, min(page, span[1]-from+1))
			if err != nil {
				return s, false, err
			}
			s.Recipients = append(s.Recipients, people...)
		}
	}
	return s, whole, nil
}

// apart is how many recipients between two that are to be read are read with them: that is less than another call.
const apart = 20

// touched are the recipients, of all, whose deliveries events may have changed, as spans from the first to the last.
func touched(events []event.Event, all int) [][2]int {
	var numbers []int
	for i := range events {
		e := &events[i]
		switch e.Kind {
		case "attempt", "resend", "retry", "skip", "skipped", "cancelled":
		default:
			continue
		}
		if e.Unit == "" {
			continue
		}
		switch e.Unit[0] {
		case 'f':
			if e.State == "failed" {
				return [][2]int{{1, all}}
			}
		case 'r':
			n, err := strconv.Atoi(e.Unit[1:])
			if err == nil {
				numbers = append(numbers, n)
			}
		case 'i':
			_, r, _ := strings.Cut(e.Unit, ".")
			n, err := strconv.Atoi(r)
			if err == nil && (e.Kind != "attempt" || e.State == "failed") {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	var spans [][2]int
	for _, n := range numbers {
		last := len(spans) - 1
		if last >= 0 && n-spans[last][1] <= apart {
			spans[last][1] = n
			continue
		}
		spans = append(spans, [2]int{n, n})
	}
	return spans
}
