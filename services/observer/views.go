package observer

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

const (
	// viewsFor is how long views are good: rules and forecasts ask for them again and again.
	viewsFor = 5 * time.Second
	// endedFor is how long those that have ended are among them.
	endedFor = time.Hour
)

// view is a distribution as it was read a while ago.
type view struct {
	*distributionv1.Distribution
	// idle is how long nothing had happened to it then.
	idle time.Duration
	pass int
}

// views are all distributions that are open or ended in the last hour. One round reads no more than mostLooked of those that are
// open, and goes on where the last one stopped; those that ended are read once.
type views struct {
	mu   sync.Mutex
	all  map[string]view
	list []view
	at   time.Time
	// place is where the next round goes on among those that are open, and pass how often it has come around.
	place string
	pass  int
	// since is when the last ended that was read.
	since time.Time
}

// lately are the distributions that are open or ended in the last hour, by id. Where more are open than one round reads, what is
// said of one is as of when its turn was.
func (s *Server) lately(ctx context.Context) ([]view, error) {
	v := &s.views
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Since(v.at) < viewsFor {
		return v.list, nil
	}
	err := v.round(itself(ctx), s.records, s.deps.Now(), mostLooked)
	if err != nil {
		return nil, err
	}
	v.at = time.Now()
	return v.list, nil
}

// viewed is where distributions are read.
type viewed interface {
	// UnendedAfter lists about n that are open after a place, and the place after them: "" is before the first, and after the last.
	UnendedAfter(ctx context.Context, place string, n int) ([]readside.Brief, string, error)
	// Ended lists those that ended after a moment, of each shard the first n.
	Ended(ctx context.Context, after time.Time, n int) ([]readside.Brief, error)
	GetDistribution(context.Context, *distributionv1.GetDistributionRequest) (*distributionv1.GetDistributionResponse, error)
	LastEvent(ctx context.Context, production, id string) (readside.Last, error)
}

// round reads no more than atMost of those that are open, and a quarter of that of those that have ended of each shard.
func (v *views) round(ctx context.Context, from viewed, now time.Time, atMost int) error {
	if v.all == nil {
		v.all = map[string]view{}
	}
	if v.since.Before(now.Add(-endedFor)) {
		v.since = now.Add(-endedFor)
	}
	most := max(1, atMost/4)
	ended, err := from.Ended(ctx, v.since, most)
	if err != nil {
		return err
	}
	open, next, err := from.UnendedAfter(ctx, v.place, atMost)
	if err != nil {
		return err
	}
	for _, b := range slices.Concat(open, ended) {
		err = v.look(ctx, from, now, b.Production, b.ID)
		if err != nil {
			return err
		}
	}
	if len(ended) > 0 {
		// Of each shard it is the first so many: up to the most-th of all nothing is missing.
		slices.SortFunc(ended, func(a, b readside.Brief) int { return a.Ended.Compare(b.Ended) })
		last := ended[min(len(ended), most)-1].Ended
		if before := last.Add(-time.Millisecond); before.After(v.since) {
			last = before // others may have ended in the same moment
		}
		v.since = last
	}
	for id, d := range v.all {
		switch {
		case d.GetEndedAt() != nil && d.GetEndedAt().AsTime().Before(now.Add(-endedFor)),
			d.GetEndedAt() == nil && next == "" && d.pass != v.pass: // not met in all the time since: it is gone
			delete(v.all, id)
		}
	}
	v.place = next
	if next == "" {
		v.pass++
	}
	v.list = v.list[:0:0]
	for _, d := range v.all {
		v.list = append(v.list, d)
	}
	slices.SortFunc(v.list, func(a, b view) int { return strings.Compare(a.GetId(), b.GetId()) })
	return nil
}

// look reads one again. One that cannot be read is gone meanwhile, or nobody can read it: what can be is looked at. That Redis
// does not answer says nothing of it.
func (v *views) look(ctx context.Context, from viewed, now time.Time, production, id string) error {
	got, err := from.GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: production, Distribution: id})
	if err != nil && fault.From(err).Kind == fault.Unavailable {
		return err
	}
	if err != nil {
		delete(v.all, id)
		return nil
	}
	d := view{Distribution: got.GetDistribution(), pass: v.pass}
	if d.GetEndedAt() == nil && since(now, moment(d.GetCreatedAt())) > time.Minute { // of a younger one nobody asks
		last, err := from.LastEvent(ctx, production, id)
		if err == nil {
			d.idle = since(now, last.Time)
			if held := d.GetHeldUntil(); held != nil { // what waits for its undo window to end is not idle
				d.idle = min(d.idle, since(now, held.AsTime()))
			}
		}
	}
	v.all[id] = d
	return nil
}
