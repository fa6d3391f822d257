package orchestrator

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// beatEvery is how often an orchestrator says that it is there.
const beatEvery = time.Second

// beat says that this replica is there, and how much room workers said they have.
func (s *Server) beat(ctx context.Context) error {
	return errors.Join(s.store.Beat(ctx, s.deps.Name), s.store.SetRoom(ctx, s.room.take()))
}

// room is how many slots workers have, as far as their calls tell: a worker asks for what it has free, so the most that it
// has asked for.
type room struct {
	mu    sync.Mutex
	most  map[string]int
	asked map[string]time.Time
	fresh map[string]bool // asked since it was written down
}

// roomFor is how long it is remembered how much a worker asked for.
const roomFor = time.Minute

func (r *room) note(worker string, slots int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.most == nil {
		r.most, r.asked, r.fresh = map[string]int{}, map[string]time.Time{}, map[string]bool{}
	}
	r.most[worker], r.asked[worker], r.fresh[worker] = max(r.most[worker], slots), time.Now(), true
}

// take returns what is to be written down.
func (r *room) take() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int{}
	for worker := range r.fresh {
		out[worker] = r.most[worker]
	}
	clear(r.fresh)
	for worker, at := range r.asked {
		if time.Since(at) > roomFor {
			delete(r.asked, worker)
			delete(r.most, worker)
		}
	}
	return out
}

// RecordsVersion is the version of the records that this release writes and reads.
const RecordsVersion = store.Schema

// A Reader reads what orchestrators have recorded, and never writes. It is what package readside is made of; others use that.
type Reader struct{ *Server }

// OpenReader opens records for reading; Redis may be a replica. Of deps it takes Redis, Directory, Links and Log. A Redis on
// which no orchestrator has run, or which does not answer, is a fault that repeating can help; RECORDS_VERSION is one that
// it cannot.
func OpenReader(ctx context.Context, deps Deps) (*Reader, error) {
	st, err := store.OpenReader(ctx, deps.Redis)
	switch {
	case errors.Is(err, store.ErrEmpty):
		return nil, fault.New(fault.Unavailable, "RECORDS_MISSING", "no orchestrator has run on this Redis yet; start one, or look whether --redis is the one that it uses")
	case errors.Is(err, store.ErrSchema):
		return nil, fault.New(fault.Conflict, "RECORDS_VERSION", "the records in Redis are of a version that this release does not read: it reads version %d; run the same release as the orchestrator", RecordsVersion).Because(err)
	case err != nil:
		return nil, unavailable(err)
	}
	defs, err := readDefinitions(ctx, st)
	if err != nil {
		return nil, unavailable(err)
	}
	return &Reader{newServer(Config{}, deps, st, defs)}, nil
}

// Follow passes word of changes on to WatchDistribution until ctx ends.
func (r *Reader) Follow(ctx context.Context) { r.follow(ctx) }

// Beats returns Redis's time, and when each orchestrator was there last.
func (r *Reader) Beats(ctx context.Context) (now time.Time, seen map[string]time.Time, err error) {
	now, seen, err = r.store.Beats(ctx)
	if err != nil {
		return now, nil, unavailable(err)
	}
	return now, seen, nil
}

// Changed is store.Changed.
func (r *Reader) Changed(ctx context.Context, after string, n int, wait time.Duration) ([]store.Change, string, bool, error) {
	all, next, gap, err := r.store.Changed(ctx, after, n, wait)
	if err != nil {
		return nil, after, false, unavailable(err)
	}
	return all, next, gap, nil
}
