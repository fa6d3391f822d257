package readside

import (
	"context"
	"fmt"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// State says how far what is read can be trusted to be of now, and who is there.
type State struct {
	// Now is Redis's time; ours when it does not answer.
	Now time.Time
	// Orchestrators are those heard of in the last day, by name.
	Orchestrators map[string]time.Time
	// SeenAt is when one was last heard of; zero when none ever was, or when nothing tells.
	SeenAt time.Time
	// Alive says that one was heard of in the last 5 s.
	Alive bool
	// RedisDown is since when the primary does not answer; zero while it does.
	RedisDown time.Time
	// Replica says that a replica answered.
	Replica bool
}

// Note is what is to be known beside an answer, in one sentence or two; empty when nothing is.
func (s State) Note() string {
	switch {
	case !s.RedisDown.IsZero() && s.Replica:
		return fmt.Sprintf("Redis is not reached since %s; this is from a replica.", clock(s.RedisDown))
	case !s.RedisDown.IsZero():
		return fmt.Sprintf("Redis is not reached since %s; nothing moves on until it is.", clock(s.RedisDown))
	case s.Alive:
		return ""
	case s.SeenAt.IsZero():
		return "no orchestrator answers; nothing moves on until one does"
	}
	return fmt.Sprintf("no orchestrator answers since %s; nothing moves on until one does", clock(s.SeenAt))
}

// clock is a moment as people say it: without the day when it is of the last 18 hours.
func clock(t time.Time) string {
	if time.Since(t) < 18*time.Hour {
		return t.Local().Format("15:04:05")
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// State never fails: what does not answer is part of what it says. It takes at most 3 s.
func (r *Records) State(ctx context.Context) State {
	type beats struct {
		now  time.Time
		seen map[string]time.Time
	}
	ask := func(reader *orchestrator.Reader, ctx context.Context, _ struct{}) (beats, error) {
		now, seen, err := reader.Beats(ctx)
		return beats{now, seen}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	// The primary's word is the fresher one.
	only := &Records{primary: r.primary, log: r.log}
	got, err := call(ctx, only, struct{}{}, ask)
	st := State{Now: got.now, Orchestrators: got.seen}
	if err != nil {
		st.Now = time.Now()
		r.primary.mu.Lock()
		if r.primary.downSince.IsZero() && fault.From(err).Reason != "RECORDS_MISSING" && fault.From(err).Reason != "RECORDS_VERSION" {
			r.primary.downSince = st.Now // it took too long
		}
		st.RedisDown = r.primary.downSince
		r.primary.mu.Unlock()
		if r.replica != nil {
			rest, cancelReplica := context.WithTimeout(context.WithoutCancel(ctx), replicaTimeout)
			defer cancelReplica()
			got, err = call(rest, &Records{primary: r.replica, log: r.log}, struct{}{}, ask)
			st.Replica, st.Orchestrators = err == nil, got.seen
		}
	}
	for _, at := range st.Orchestrators {
		if at.After(st.SeenAt) {
			st.SeenAt = at
		}
	}
	st.Alive = !st.SeenAt.IsZero() && st.Now.Sub(st.SeenAt) < aliveFor
	return st
}

// Change is one word that a distribution changed. There may be several words of one change, and one of several.
type Change struct {
	Production, Distribution string
	Time                     time.Time
}

// Changes returns words of who changed that came after a position, and the position after them: "" is the oldest that are
// kept (10,000 of each shard), "$" is now. gap says that some between were thrown away before they were read: then whoever
// must know all looks through all. While there is none it waits so long, less when ctx ends.
func (r *Records) Changes(ctx context.Context, after string, n int, wait time.Duration) (all []Change, next string, gap bool, err error) {
	reader, err := r.primary.open(ctx)
	if err != nil {
		r.primary.noted(ctx, err)
		return nil, after, false, err
	}
	got, next, gap, err := reader.Changed(ctx, after, n, wait)
	r.primary.noted(ctx, err)
	if err != nil {
		return nil, after, false, err
	}
	for _, c := range got {
		all = append(all, Change(c))
	}
	return all, next, gap, nil
}

// Brief is what is known of a distribution without reading much.
type Brief = orchestrator.Brief

// Unended lists distributions of all productions that have not ended; at most n.
func (r *Records) Unended(ctx context.Context, n int) ([]Brief, error) {
	return call(ctx, r, n, (*orchestrator.Reader).Unended)
}

// UnendedAfter lists about n distributions of all productions that have not ended and come after a place, and the place after them:
// "" is before the first, and after the last. What is accepted meanwhile may be left to the next time around.
func (r *Records) UnendedAfter(ctx context.Context, place string, n int) (all []Brief, next string, err error) {
	type page struct {
		all  []Brief
		next string
	}
	got, err := call(ctx, r, place, func(reader *orchestrator.Reader, ctx context.Context, place string) (page, error) {
		all, next, err := reader.UnendedAfter(ctx, place, n)
		return page{all, next}, err
	})
	return got.all, got.next, err
}

// Ended lists distributions of all productions that ended after a moment, the first first; at most n of each shard.
func (r *Records) Ended(ctx context.Context, after time.Time, n int) ([]Brief, error) {
	return call(ctx, r, n, func(reader *orchestrator.Reader, ctx context.Context, n int) ([]Brief, error) {
		return reader.Ended(ctx, after, n)
	})
}

// Hold is a step that a worker has.
type Hold = orchestrator.Hold

// Held lists steps that workers have, of each worker those whose lease ends first; at most n of each.
func (r *Records) Held(ctx context.Context, n int) ([]Hold, error) {
	return call(ctx, r, n, (*orchestrator.Reader).Held)
}

// Aside says how many steps of a function wait at a limit.
type Aside = orchestrator.Aside

// Aside counts the steps that wait at limits of productions, and at those that productions share; of each limit it looks at
// 1,000.
func (r *Records) Aside(ctx context.Context, productions []string) ([]Aside, error) {
	return call(ctx, r, productions, (*orchestrator.Reader).Aside)
}

// Room returns how many slots workers have, as far as they asked for any in the last minute.
func (r *Records) Room(ctx context.Context) (map[string]int, error) {
	return call(ctx, r, struct{}{}, func(reader *orchestrator.Reader, ctx context.Context, _ struct{}) (map[string]int, error) {
		return reader.Room(ctx)
	})
}

// Last says what happened to a distribution last.
type Last = orchestrator.Last

// LastEvent is what happened to a distribution last, be it in the records or archived.
func (r *Records) LastEvent(ctx context.Context, production, id string) (Last, error) {
	return call(ctx, r, id, func(reader *orchestrator.Reader, ctx context.Context, id string) (Last, error) {
		return reader.LastEvent(ctx, production, id)
	})
}

// Change is a number that grows with each change of a distribution: WatchDistribution's cursor.
func (r *Records) Change(ctx context.Context, production, id string) (int, error) {
	return call(ctx, r, id, func(reader *orchestrator.Reader, ctx context.Context, id string) (int, error) {
		return reader.Change(ctx, production, id)
	})
}

// Kept lists ended distributions of which there are events in the records: those that nobody archived, or to which something
// happened since. It looks at those that ended after a moment, at n of each shard, and says after which to go on; zero: that was
// all.
func (r *Records) Kept(ctx context.Context, after time.Time, n int) ([]Brief, time.Time, error) {
	type kept struct {
		briefs []Brief
		next   time.Time
	}
	got, err := call(ctx, r, n, func(reader *orchestrator.Reader, ctx context.Context, n int) (kept, error) {
		briefs, next, err := reader.Kept(ctx, after, n)
		return kept{briefs, next}, err
	})
	return got.briefs, got.next, err
}
