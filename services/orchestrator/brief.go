package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// A Brief is what is known of a distribution without reading much.
type Brief struct {
	Production, ID           string
	State                    string
	Created, Ended, Deadline time.Time // zero when not
	Recipients               int
	// Unreached is how many of them have not got theirs.
	Unreached int
	// Ready, Running and Retrying count steps, Failed counts items.
	Ready, Running, Retrying, Failed int
	// Waiting counts by function the steps that are ready.
	Waiting map[string]int
}

// Unended lists distributions that have not ended; at most n.
func (r *Reader) Unended(ctx context.Context, n int) ([]Brief, error) {
	all, err := r.store.Unended(ctx, n)
	if err != nil {
		return nil, unavailable(fmt.Errorf("list distributions: %w", err))
	}
	return r.briefs(ctx, all)
}

// UnendedAfter lists about n distributions that have not ended and come after a place, and the place after them: "" is before the
// first, and after the last.
func (r *Reader) UnendedAfter(ctx context.Context, place string, n int) (all []Brief, next string, err error) {
	got, next, err := r.store.UnendedAfter(ctx, place, n)
	if err != nil {
		return nil, "", unavailable(err)
	}
	all, err = r.briefs(ctx, got)
	return all, next, err
}

// Ended lists distributions that ended after a moment, the first first; at most n of each shard.
func (r *Reader) Ended(ctx context.Context, after time.Time, n int) ([]Brief, error) {
	all, err := r.store.Ended(ctx, after, n)
	if err != nil {
		return nil, unavailable(fmt.Errorf("list distributions: %w", err))
	}
	return r.briefs(ctx, all)
}

func (r *Reader) briefs(ctx context.Context, all []*store.Summary) ([]Brief, error) {
	out := make([]Brief, len(all))
	for i, sum := range all {
		b := Brief{Production: sum.Production, ID: sum.ID, State: string(sum.State), Created: sum.Created, Ended: sum.Ended,
			Deadline: sum.Deadline, Recipients: sum.Size.Recipients, Failed: sum.Items[plan.ItemFailed], Waiting: map[string]int{}}
		b.Unreached = b.Recipients
		for _, v := range plan.Reached {
			b.Unreached -= sum.Deliveries[v]
		}
		def, err := r.definitions.get(ctx, sum.Production, sum.Definition, sum.Version)
		if err != nil && !errors.Is(err, store.ErrNoDefinition) {
			return nil, unavailable(err)
		}
		for name, states := range sum.Steps {
			b.Ready += states[plan.Ready]
			b.Running += states[plan.Running]
			b.Retrying += states[plan.Retrying]
			if def == nil || states[plan.Ready] == 0 {
				continue
			}
			step, ok := def.Step(name)
			if ok {
				b.Waiting[step.Function] += states[plan.Ready]
			}
		}
		out[i] = b
	}
	return out, nil
}

// A Hold is a step that a worker has.
type Hold struct {
	Production, Distribution, Unit, Step, Function, Worker string
	// Since is when its attempt began, LeaseEnds when its lease runs out unless it is renewed.
	Since, LeaseEnds time.Time
	Timeout          time.Duration // 0: none
}

// Held lists steps that workers have, those whose lease ends first, first; at most n of each worker.
func (r *Reader) Held(ctx context.Context, n int) ([]Hold, error) {
	leases, err := r.store.Leases(ctx, n)
	if err != nil {
		return nil, unavailable(err)
	}
	var out []Hold
	for _, l := range leases {
		d, err := r.loadRef(ctx, l.Ref)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, unavailable(err)
		}
		h := Hold{Production: d.production, Distribution: d.id, Unit: l.Ref.Unit.String(), Step: l.Ref.Step, Worker: l.Worker,
			Since: l.Since, LeaseEnds: l.Ends}
		step, ok := d.steps.Step(l.Ref.Step)
		if ok {
			h.Function, h.Timeout = step.Function, step.Timeout
		}
		out = append(out, h)
	}
	return out, nil
}

// An Aside says how many steps of a function wait at a limit.
type Aside = store.Aside

// Aside counts the steps that wait at limits of productions, and at those that productions share.
func (r *Reader) Aside(ctx context.Context, productions []string) ([]Aside, error) {
	all, err := r.store.SetAside(ctx, productions)
	if err != nil {
		return nil, unavailable(err)
	}
	return all, nil
}

// Room returns how many slots workers have, as far as they asked for any in the last minute.
func (r *Reader) Room(ctx context.Context) (map[string]int, error) {
	room, err := r.store.Room(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	return room, nil
}

// Last says what happened to a distribution last.
type Last struct {
	Event string // its id; empty: nothing did that is known
	Time  time.Time
	// Archived is the last event that is in the archive, and not in the records any more; empty: none.
	Archived string
}

// LastEvent is what happened to a distribution last, be it here or archived.
func (r *Reader) LastEvent(ctx context.Context, production, id string) (Last, error) {
	event, archived, err := r.store.LastEvent(ctx, production, id)
	if err != nil {
		return Last{}, unavailable(err)
	}
	last := Last{Event: event, Archived: archived}
	if event != "" {
		last.Time = store.Event{ID: event}.Time()
	}
	return last, nil
}

// Change is a number that grows with each change of a distribution: the cursor of those who watch it.
func (r *Reader) Change(ctx context.Context, production, id string) (int, error) {
	sum, err := r.store.Get(ctx, production, id)
	if errors.Is(err, store.ErrNotFound) {
		return 0, unknown(id)
	}
	if err != nil {
		return 0, unavailable(err)
	}
	return sum.Change, nil
}

// Kept lists ended distributions of which there are events in the records: those that nobody archived, or to which something
// happened since. It looks at n of each shard that ended after a moment, and says after which to go on; zero: at none.
func (r *Reader) Kept(ctx context.Context, after time.Time, n int) ([]Brief, time.Time, error) {
	all, next, err := r.store.Kept(ctx, after, n)
	if err != nil {
		return nil, next, unavailable(err)
	}
	briefs, err := r.briefs(ctx, all)
	return briefs, next, err
}
