package worker

import (
	"context"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/fault"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

// occupyWait is how long an orchestrator keeps an Occupy whose slots are taken.
const occupyWait = 10 * time.Second

// Occupy takes slots of a named limit ("db" of the task's production, "studio/db" across productions) around a part of
// a handler. It waits, keeping the task's own place in the worker, until they are taken or ctx ends; then its error is
// ctx's cause, which is ErrFenced or ErrCancelled when the task is lost. A limit that is not set has room for all.
//
// release gives them back; it may be called often, never waits, and is never nil. What a handler does not release goes
// back when it returns or panics, and by its lease when the process dies.
//
// Called outside of a task Occupy takes nothing and returns at once: a limit is kept among tasks only.
func Occupy(ctx context.Context, limit string, slots int) (release func(), err error) {
	if limit == "" || utf8.RuneCountInString(limit) > 64 || slots < 1 || slots > 1000 {
		return func() {}, fault.New(fault.Invalid, "OCCUPY_INVALID", "a function occupies %d slots of %.80q; it must be 1 to 1,000 of a name of 1 to 64 letters", slots, limit)
	}
	r, ok := ctx.Value(runCtx{}).(*run)
	if !ok {
		return func() {}, nil
	}
	key, err := r.occupies(limit)
	if err != nil {
		return func() {}, err
	}
	err = r.occupy(ctx, &taskv1.OccupyRequest{
		Worker: r.worker.cfg.Name, Task: r.task.ID, Limit: limit, Slots: int32(slots), Key: key, Wait: durationpb.New(occupyWait),
	})
	if err != nil {
		r.vacate(ctx, key) // the last answer may have been lost
		return func() {}, err
	}
	return func() { r.vacate(ctx, key) }, nil
}

// occupies notes that slots of limit may be taken, under the key it returns.
func (r *run) occupies(limit string) (key string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return "", ErrFenced
	}
	if r.occupied == nil {
		r.occupied = map[string]string{}
	}
	r.keys++
	key = strconv.Itoa(r.keys)
	r.occupied[key] = limit
	return key, nil
}

func (r *run) occupy(ctx context.Context, req *taskv1.OccupyRequest) error {
	var again backoff
	for {
		call, cancel := context.WithTimeout(ctx, occupyWait+5*time.Second)
		began := time.Now()
		resp, err := r.worker.tasks.Occupy(call, req)
		cancel()
		if err == nil {
			err = refusal(resp.GetVerdict(), "occupy "+req.GetLimit())
			if err != nil || resp.GetOccupied() {
				return err
			}
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !fault.Transient(err):
			return err
		case err != nil:
			r.worker.log.WarnContext(ctx, "occupy failed, trying again", "limit", req.GetLimit(), "err", err)
			again.pause(ctx)
		case time.Since(began) < occupyWait/2:
			again.pause(ctx) // an orchestrator that is stopping does not wait
		default:
			again.reset()
		}
	}
}

// vacate gives back what is taken under key, if it is still; behind the caller's back, for as long as the task is ours.
func (r *run) vacate(ctx context.Context, key string) {
	r.mu.Lock()
	limit, taken := r.occupied[key]
	delete(r.occupied, key)
	r.mu.Unlock()
	if !taken {
		return
	}
	ctx = context.WithoutCancel(ctx) // the handler's end may be why
	w := r.worker
	w.vacating.Go(func() {
		var again backoff
		for w.holds(r) {
			call, cancel := context.WithTimeout(ctx, 5*time.Second)
			_, err := w.tasks.Vacate(call, &taskv1.VacateRequest{Worker: w.cfg.Name, Task: r.task.ID, Limit: limit, Key: key})
			cancel()
			if err == nil {
				return
			}
			w.log.WarnContext(ctx, "vacate failed", "limit", limit, "err", err)
			if !fault.Transient(err) {
				return
			}
			again.pause(ctx)
		}
	})
}

// vacateAll gives back what the handler left, and lets it take no more.
func (r *run) vacateAll() {
	r.mu.Lock()
	r.ended = true
	var keys []string
	for key := range r.occupied {
		keys = append(keys, key)
	}
	r.mu.Unlock()
	for _, key := range keys {
		r.vacate(r, key)
	}
}
