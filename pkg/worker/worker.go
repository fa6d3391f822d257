// Package worker makes an ordinary handler, func(ctx, *Req) (*Resp, error), a function of Filigree: it pulls tasks from
// any orchestrator, renews their leases, reports their ends in batches, and stops in order.
//
// What it promises a handler: it runs once per attempt; its context ends when the attempt's time is up, the lease is
// lost or the distribution is cancelled; Checkpoint says durably what is about to happen and whether it may; Occupy takes
// slots of a named limit around any part of it; an answer of Pending ends the attempt until it is time to ask again, and
// costs nothing meanwhile; what it logs (Log) and notes (Bytes, Metric) is kept with the attempt. What it asks: before acting
// on the outside, return unless Checkpoint answered nil, and derive the effect's key from the request, never from the attempt.
//
// Any answer of an orchestrator may be lost after it did what was asked. So each call is made such that repeating it is
// harmless, and a task that this process never heard of goes to others when its lease ends, or at once when it leaves.
package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

var (
	// ErrFenced: the task is no longer this worker's. Touch nothing outside; what was done is dropped.
	ErrFenced = errors.New("task is no longer ours")
	// ErrCancelled: the distribution was cancelled. Stop before the next outside effect.
	ErrCancelled = errors.New("distribution was cancelled")

	errStopping = errors.New("worker is stopping")
)

// Config sets a Worker up.
type Config struct {
	// Name is unique per process: host/pid/random; at most 64 bytes.
	Name string
	// Slots is how many tasks run at once.
	Slots int
	// Renew is how often leases are prolonged; 0 means 3 s, a third of a lease.
	Renew time.Duration
	// Grace is how long running tasks may take to finish when the worker stops, before they are handed back; 0 means 8 s.
	Grace time.Duration
}

// lastWords is how long a stopping worker tries to report what its handlers did.
const lastWords = 20 * time.Second

// Worker pulls and runs tasks. Make it with New and call Run once.
type Worker struct {
	cfg       Config
	tasks     taskv1.TaskServiceClient
	log       *slog.Logger
	functions map[string]Function
	names     []string

	results  chan *taskv1.Result
	vacating sync.WaitGroup // calls of Vacate under way

	mu     sync.Mutex
	freed  *sync.Cond      // on mu: there are more free slots, fewer Pulls, or no more work
	free   int             // slots that neither run a task nor are on offer
	failed time.Time       // when a Pull failed last: it may have been carried out
	pulls  int             // Pulls under way, until all they brought is started
	burst  time.Time       // when the last one came back, if it brought tasks for half of all slots
	held   map[string]*run // tasks that are ours: running, or ended and not yet reported

	came   *sync.Cond // on mu: there is a task to run, or there will be none any more
	queue  []*run     // tasks that no goroutine runs yet, oldest first
	idle   int        // goroutines that wait for one
	waking bool       // one of them was told
	last   bool       // nothing comes any more
}

// New makes a worker that serves functions.
func New(cfg Config, tasks taskv1.TaskServiceClient, log *slog.Logger, functions ...Function) *Worker {
	cfg.Slots = max(cfg.Slots, 1)
	cfg.Renew = cmp.Or(cfg.Renew, 3*time.Second)
	cfg.Grace = cmp.Or(cfg.Grace, 8*time.Second)
	w := &Worker{
		cfg: cfg, tasks: tasks, log: slog.New(LogHandler(log.Handler())).With("worker", cfg.Name),
		functions: map[string]Function{},
		// A handler that ends while this is full keeps its slot: what is not reported stays bounded.
		results: make(chan *taskv1.Result, 2*cfg.Slots),
		free:    cfg.Slots,
		held:    map[string]*run{},
	}
	w.freed, w.came = sync.NewCond(&w.mu), sync.NewCond(&w.mu)
	for _, f := range functions {
		w.functions[f.name] = f
		w.names = append(w.names, f.name)
	}
	return w
}

// Over is New over a connection to the orchestrators.
func Over(cfg Config, conn grpc.ClientConnInterface, log *slog.Logger, functions ...Function) *Worker {
	return New(cfg, taskv1.NewTaskServiceClient(conn), log, functions...)
}

// Run works until ctx ends, then takes nothing new, lets running tasks finish for the grace period, hands the rest
// back, reports everything, gives up what it was handed and never heard of, and returns nil. Nothing it started goes on
// after it returned.
func (w *Worker) Run(ctx context.Context) error {
	// Handlers, renewals and reports outlive ctx by the grace period.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	leaving := make(chan struct{})
	var handlers, reports, renewals sync.WaitGroup
	renewals.Go(func() { w.renew(work, leaving) })
	reports.Go(func() { w.report(work) })
	for range w.cfg.Slots {
		handlers.Go(func() {
			for r := w.next(false); r != nil; r = w.next(true) {
				w.attempt(r)
			}
		})
	}
	w.pull(ctx, work)

	w.noMore()
	close(leaving)
	grace := time.AfterFunc(w.cfg.Grace, func() { w.cancelAll(errStopping) })
	handlers.Wait()
	grace.Stop()
	close(w.results)
	giveUp := time.AfterFunc(lastWords, stopWork)
	reports.Wait()
	w.vacating.Wait()
	giveUp.Stop()
	stopWork()
	renewals.Wait()
	w.leave(context.WithoutCancel(ctx))
	return nil
}

// start makes tasks ours and has them run, but for those that are ours already, and says how many that were.
func (w *Worker) start(tasks []*run) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	started := 0
	for _, r := range tasks {
		if w.held[r.task.ID] == nil {
			w.held[r.task.ID] = r
			w.queue = append(w.queue, r)
			started++
		}
	}
	w.wake()
	return started
}

// next is the next task to run, whose goroutine has run one before or not; it waits for it. nil: there will be none.
func (w *Worker) next(again bool) *run {
	w.mu.Lock()
	defer w.mu.Unlock()
	if again {
		w.slotFreed()
	}
	for len(w.queue) == 0 {
		if w.last {
			return nil
		}
		w.idle++
		w.came.Wait()
		w.idle--
		w.waking = false
	}
	r := w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	w.wake()
	return r
}

// wake has an idle goroutine look for a task when there is one. Each that finds one wakes the next: tasks that wait for
// something are all begun at once, and of those that end at once one goroutine runs many. mu is held.
func (w *Worker) wake() {
	if len(w.queue) > 0 && w.idle > 0 && !w.waking {
		w.waking = true
		w.came.Signal()
	}
}

// noMore ends the goroutines when all that was started has ended.
func (w *Worker) noMore() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = true
	w.came.Broadcast()
}

func (w *Worker) release(results ...*taskv1.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range results {
		delete(w.held, r.GetTask())
	}
}

func (w *Worker) holding() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make([]string, 0, len(w.held))
	for id := range w.held {
		ids = append(ids, id)
	}
	return ids
}

func (w *Worker) holds(r *run) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held[r.task.ID] == r
}

// cancel ends those of the tasks that are ours, because of cause.
func (w *Worker) cancel(ids []string, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if w.held[id] != nil {
			w.held[id].cancel(cause)
		}
	}
}

func (w *Worker) cancelAll(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.held {
		r.cancel(cause)
	}
}

// backoff is how long to wait before trying again: longer each time, until a success resets it.
type backoff time.Duration

func (b *backoff) reset() { *b = 0 }

// pause waits, or until ctx ends.
func (b *backoff) pause(ctx context.Context) {
	*b = min(max(2**b, backoff(50*time.Millisecond)), backoff(2*time.Second))
	t := time.NewTimer(time.Duration(*b))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
