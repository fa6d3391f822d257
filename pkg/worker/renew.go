package worker

import (
	"context"
	"slices"
	"time"

	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

// maxRenew is how many tasks one call may name.
const maxRenew = 1000

// renew prolongs the leases of all tasks held, and tells handlers that lost theirs, until work ends. From leaving on it
// also says so, at once and each time: what this worker was handed and never heard of goes to others.
func (w *Worker) renew(work context.Context, leaving <-chan struct{}) {
	next := time.NewTimer(w.cfg.Renew)
	defer next.Stop()
	left := false
	for {
		select {
		case <-work.Done():
			return
		case <-leaving:
			left, leaving = true, nil
		case <-next.C:
		}
		err := w.prolong(work, left)
		if err != nil && work.Err() == nil {
			w.log.WarnContext(work, "renewing leases failed, trying again", "err", err)
			next.Reset(w.cfg.Renew / 6) // there are a few tries in a lease
			continue
		}
		next.Reset(w.cfg.Renew)
	}
}

// prolong prolongs all leases once.
func (w *Worker) prolong(work context.Context, leaving bool) error {
	ids := w.holding()
	if len(ids) == 0 && !leaving && !w.inDoubt() {
		return nil
	}
	// Who leaves keeps what the call names and nothing else: one that names a part says nothing of leaving.
	leaving = leaving && len(ids) <= maxRenew
	calls := slices.Collect(slices.Chunk(ids, maxRenew))
	if len(ids) == 0 {
		calls = [][]string{nil}
	}
	for _, ids := range calls {
		call, cancel := context.WithTimeout(work, w.cfg.Renew*2/3)
		resp, err := w.tasks.Renew(call, &taskv1.RenewRequest{Worker: w.cfg.Name, Tasks: ids, Leaving: leaving})
		cancel()
		if err != nil {
			return err
		}
		w.cancel(resp.GetLost(), ErrFenced)
		w.cancel(resp.GetCancelled(), ErrCancelled)
	}
	return nil
}

// doubt is for how long after a Pull failed a worker that holds nothing says so all the same: the call may have been carried
// out, and what it handed out is missed only by whoever renews. Longer than a lease, after which it is lost in any case.
const doubt = 12 * time.Second

func (w *Worker) inDoubt() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.failed) < doubt
}

// leave says, when all is reported, that nothing is held any more.
func (w *Worker) leave(ctx context.Context) {
	var again backoff
	var err error
	for range 3 {
		err = w.prolong(ctx, true)
		if err == nil {
			return
		}
		again.pause(ctx)
	}
	w.log.WarnContext(ctx, "left without an answer; what was handed out unseen waits for its lease", "err", err)
}
