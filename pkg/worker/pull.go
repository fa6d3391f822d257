package worker

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

const (
	// pullWait is how long an orchestrator keeps a Pull that it has nothing for.
	pullWait = 20 * time.Second
	// maxPull is how many slots one Pull may offer.
	maxPull = 1000
	// gather is how long after a Pull that brought much the next is put off while few slots are free: more of it may end at
	// once, and a Pull costs all sides as much as some twenty tasks.
	gather = 2 * time.Millisecond
)

// pull keeps free slots on offer until ctx ends and each Pull has come back.
//
// A Pull comes back with the first task there is, so one of them, however few slots it offers, learns of work at once,
// and what has become free meanwhile is offered by the next. Only when half of all slots are free and on no offer is a
// second one made beside it: a burst finds them all. There are never more than two, and an idle worker makes one in 20 s.
// Right after one that filled half of all slots or more, the next waits a moment for more to become free.
func (w *Worker) pull(ctx, work context.Context) {
	defer context.AfterFunc(ctx, w.look)()
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			var again backoff
			for {
				slots := w.offer(ctx)
				if slots == 0 {
					return
				}
				w.pulled(slots, w.pullOnce(ctx, work, slots, &again))
			}
		})
	}
	both.Wait()
}

// offer waits until a Pull is worth making, and says how many slots it has to offer; 0 when ctx has ended.
func (w *Worker) offer(ctx context.Context) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ctx.Err() == nil {
		early := gather - time.Since(w.burst)
		if 2*w.free >= w.cfg.Slots || w.free > 0 && w.pulls == 0 && early <= 0 {
			n := min(w.free, maxPull)
			w.free -= n
			w.pulls++
			return n
		}
		if w.free > 0 && w.pulls == 0 {
			late := time.AfterFunc(early, w.look)
			w.freed.Wait()
			late.Stop()
			continue
		}
		w.freed.Wait()
	}
	return 0
}

// look has it looked whether a Pull is worth making.
func (w *Worker) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.freed.Broadcast()
}

// pulled ends a Pull that offered slots, of which some were used.
func (w *Worker) pulled(slots, used int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pulls--
	w.free += slots - used
	w.burst = time.Time{}
	if used > 1 && 2*used >= w.cfg.Slots {
		w.burst = time.Now()
	}
	w.freed.Broadcast()
}

// slotFreed puts a slot back. mu is held.
func (w *Worker) slotFreed() {
	w.free++
	if w.pulls == 0 && w.free == 1 || 2*w.free >= w.cfg.Slots {
		w.freed.Signal()
	}
}

// pullOnce offers slots, starts what comes back, and says how many that were.
func (w *Worker) pullOnce(ctx, work context.Context, slots int, again *backoff) int {
	call, cancel := context.WithTimeout(ctx, pullWait+5*time.Second)
	defer cancel()
	began := time.Now()
	resp, err := w.tasks.Pull(call, &taskv1.PullRequest{
		Worker: w.cfg.Name, Functions: w.names, Slots: int32(slots), Wait: durationpb.New(pullWait),
	})
	if err != nil {
		w.mu.Lock()
		w.failed = time.Now()
		w.mu.Unlock()
		if ctx.Err() == nil {
			w.log.WarnContext(ctx, "pull failed, trying again", "err", err)
			again.pause(ctx)
		}
		return 0
	}
	w.cancel(resp.GetCancelled(), ErrCancelled)
	tasks := make([]*run, len(resp.GetTasks()))
	for i, t := range resp.GetTasks() {
		tasks[i] = newRun(w, work, t)
	}
	started := w.start(tasks)
	if len(resp.GetTasks()) == 0 && time.Since(began) < pullWait/2 {
		again.pause(ctx) // an orchestrator that is stopping has nothing and does not wait
	} else {
		again.reset()
	}
	return started
}

// attempt runs a task's handler and says how it ended.
func (w *Worker) attempt(r *run) {
	defer r.end()
	started := time.Now()
	r.begin(started)
	ctx, span := r.traced()
	output, err := w.call(ctx, r.message)
	r.vacateAll()
	result := r.words.result(r.task.ID, output, err, r.why())
	if span != nil {
		if result.GetFailure() != nil {
			span.Fail(result.GetFailure().GetCode())
		}
		span.End()
	}
	if result == nil {
		w.release(&taskv1.Result{Task: r.task.ID})
		return
	}
	r.figures(result)
	set(&r.words.started, started)
	set(&r.words.ended, time.Now())
	result.StartedAt, result.EndedAt = &r.words.started, &r.words.ended
	w.results <- result
}

func set(t *timestamppb.Timestamp, to time.Time) {
	t.Seconds, t.Nanos = to.Unix(), int32(to.Nanosecond())
}

func (w *Worker) call(ctx context.Context, t *taskv1.Task) (output string, err error) {
	defer func() {
		p := recover()
		if p != nil {
			w.log.ErrorContext(ctx, "panic in a function", "function", t.GetFunction(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "WORKER_PANIC", "%s met a defect of ours; it was logged", t.GetFunction())
		}
	}()
	f, ok := w.functions[t.GetFunction()]
	if !ok {
		return "", fault.New(fault.Unavailable, "FUNCTION_UNKNOWN", "this worker does not serve %s", t.GetFunction())
	}
	return f.call(ctx, t.GetRequestJson())
}
