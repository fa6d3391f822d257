// Package worker makes an ordinary handler, func(ctx, *Req) (*Resp, error), a function of Filigree: it pulls tasks from
// any orchestrator, renews their leases, reports their ends in batches, and stops in order.
//
// What it promises a handler: it runs once per attempt; its context ends when the attempt's time is up, the lease is
// lost or the distribution is cancelled; Checkpoint says durably what is about to happen and whether it may. What it
// asks: before acting on the outside, return unless Checkpoint answered nil, and derive the effect's key from the
// request, never from the attempt.
package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

var (
	// ErrFenced: the task is no longer this worker's. Touch nothing outside; what was done is dropped.
	ErrFenced = errors.New("task is no longer ours")
	// ErrCancelled: the distribution was cancelled. Stop before the next outside effect.
	ErrCancelled = errors.New("distribution was cancelled")

	errStopping = errors.New("worker is stopping")
)

// Function is a handler under the name that definitions call it by.
type Function struct {
	name string
	call func(ctx context.Context, requestJSON string) (outputJSON string, err error)
}

// Func makes handler a function named name ("watermark.Stamp").
func Func[Req, Resp any, PReq interface {
	*Req
	proto.Message
}, PResp interface {
	*Resp
	proto.Message
}](name string, handler func(context.Context, PReq) (PResp, error)) Function {
	return Function{name: name, call: func(ctx context.Context, requestJSON string) (string, error) {
		req := PReq(new(Req))
		// Unknown fields are dropped, so that an orchestrator may run ahead of its workers.
		err := protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal([]byte(requestJSON), req)
		if err != nil {
			return "", fault.New(fault.Invalid, "TASK_INVALID", "the definition made a request that %s cannot read: %v", name, err)
		}
		err = protovalidate.Validate(req)
		if err != nil {
			return "", fault.New(fault.Invalid, "TASK_INVALID", "the definition made a request that %s refuses: %v", name, err)
		}
		resp, err := handler(ctx, req)
		if err != nil {
			return "", err
		}
		out, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(resp)
		return string(out), err
	}}
}

// Task is the attempt that a handler is running.
type Task struct {
	ID      string
	Attempt int
	// Checkpoint is what the last attempt recorded before it ended without a definite result; empty if nothing.
	Checkpoint string
}

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

// Worker pulls and runs tasks. Make it with New and call Run once.
type Worker struct {
	cfg       Config
	tasks     taskv1.TaskServiceClient
	log       *slog.Logger
	functions map[string]Function
	names     []string

	results chan *taskv1.Result
	freed   chan struct{}

	mu   sync.Mutex
	held map[string]context.CancelCauseFunc // tasks that are ours: running, or ended and not yet reported
	busy int
}

// New makes a worker that serves functions.
func New(cfg Config, tasks taskv1.TaskServiceClient, log *slog.Logger, functions ...Function) *Worker {
	cfg.Slots = max(cfg.Slots, 1)
	cfg.Renew = cmp.Or(cfg.Renew, 3*time.Second)
	cfg.Grace = cmp.Or(cfg.Grace, 8*time.Second)
	w := &Worker{
		cfg: cfg, tasks: tasks, log: log.With("worker", cfg.Name),
		functions: map[string]Function{},
		results:   make(chan *taskv1.Result, cfg.Slots),
		freed:     make(chan struct{}, 1),
		held:      map[string]context.CancelCauseFunc{},
	}
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
// back, reports everything and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	// Handlers and reports outlive ctx by the grace period.
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(nil)
	var handlers, loops sync.WaitGroup
	reported := make(chan struct{})
	loops.Go(func() { w.renew(work) })
	go func() {
		defer close(reported)
		w.report(work)
	}()
	w.pull(ctx, work, &handlers)

	grace := time.AfterFunc(w.cfg.Grace, func() { w.cancelAll(errStopping) })
	handlers.Wait()
	grace.Stop()
	close(w.results)
	<-reported
	stopWork(nil)
	loops.Wait()
	return nil
}

// pull hands free slots to the orchestrator and starts what comes back, until ctx ends.
func (w *Worker) pull(ctx, work context.Context, handlers *sync.WaitGroup) {
	backoff := 50 * time.Millisecond
	for ctx.Err() == nil {
		free := w.free()
		if free == 0 {
			select {
			case <-ctx.Done():
			case <-w.freed:
			}
			continue
		}
		call, cancel := context.WithTimeout(ctx, 25*time.Second)
		resp, err := w.tasks.Pull(call, &taskv1.PullRequest{
			Worker: w.cfg.Name, Functions: w.names, Slots: int32(free), Wait: durationpb.New(w.pullWait(free)),
		})
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				w.log.WarnContext(ctx, "pull failed, trying again", "err", err)
				pause(ctx, backoff)
				backoff = min(2*backoff, 2*time.Second)
			}
			continue
		}
		backoff = 50 * time.Millisecond
		w.stopCancelled(resp.GetCancelled())
		for _, t := range resp.GetTasks() {
			w.start(work, t, handlers)
		}
	}
}

// pullWait is long when nothing runs. While tasks run it is short, so that slots they free are offered soon.
func (w *Worker) pullWait(free int) time.Duration {
	if free == w.cfg.Slots {
		return 20 * time.Second
	}
	return 200 * time.Millisecond
}

func (w *Worker) free() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cfg.Slots - w.busy
}

func (w *Worker) start(work context.Context, t *taskv1.Task, handlers *sync.WaitGroup) {
	ctx, cancel := context.WithCancelCause(work)
	w.mu.Lock()
	w.held[t.GetId()] = cancel
	w.busy++
	w.mu.Unlock()
	handlers.Go(func() {
		started := time.Now()
		run := &run{worker: w, task: Task{ID: t.GetId(), Attempt: int(t.GetAttempt()), Checkpoint: t.GetCheckpoint()}}
		ctx, stop := context.WithTimeout(context.WithValue(ctx, runCtx{}, run), cmp.Or(t.GetTimeout().AsDuration(), time.Minute))
		output, err := w.call(ctx, t)
		cause := context.Cause(ctx)
		stop()
		cancel(nil)
		w.mu.Lock()
		w.busy--
		w.mu.Unlock()
		select {
		case w.freed <- struct{}{}:
		default:
		}
		result := result(t, output, err, cause)
		if result == nil {
			w.release(t.GetId())
			return
		}
		result.StartedAt, result.EndedAt = timestamppb.New(started), timestamppb.Now()
		w.results <- result
	})
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

// result says how an attempt ended; nil when there is nothing to say because the task is not ours any more.
func result(t *taskv1.Task, output string, err error, cause error) *taskv1.Result {
	r := &taskv1.Result{Task: t.GetId()}
	switch f := fault.From(err); {
	case err == nil:
		r.Outcome = &taskv1.Result_OutputJson{OutputJson: output}
	case f.Uncertain:
		// Whatever ended the attempt, that the effect may have happened is what counts.
		r.Outcome = &taskv1.Result_Failure{Failure: failure(f)}
	case errors.Is(err, ErrFenced) || errors.Is(cause, ErrFenced):
		return nil
	case errors.Is(err, ErrCancelled) || errors.Is(cause, ErrCancelled) || errors.Is(cause, errStopping):
		r.Outcome = &taskv1.Result_HandBack{HandBack: &taskv1.HandBack{}}
	default:
		r.Outcome = &taskv1.Result_Failure{Failure: failure(f)}
	}
	return r
}

func failure(f *fault.Error) *taskv1.Failure {
	out := &taskv1.Failure{
		Class: taskv1.FailureClass_FAILURE_CLASS_PERMANENT, Code: f.Reason, Delivery: f.Delivery,
		Message: clip(f.Message, 900),
	}
	switch {
	case f.Uncertain:
		out.Class = taskv1.FailureClass_FAILURE_CLASS_UNCERTAIN
	case f.Kind == fault.Exhausted:
		out.Class = taskv1.FailureClass_FAILURE_CLASS_THROTTLED
	case f.Transient():
		out.Class = taskv1.FailureClass_FAILURE_CLASS_TRANSIENT
	}
	if f.RetryAfter > 0 {
		out.RetryAfter = durationpb.New(f.RetryAfter)
	}
	return out
}

// clip cuts s to at most n bytes at a rune's boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// report sends ends of attempts in batches of whatever has come together, until results is closed and empty.
func (w *Worker) report(ctx context.Context) {
	for first := range w.results {
		batch := []*taskv1.Result{first}
	collect:
		for len(batch) < 100 {
			select {
			case r, ok := <-w.results:
				if !ok {
					break collect
				}
				batch = append(batch, r)
			default:
				break collect
			}
		}
		w.deliver(ctx, batch)
	}
}

// deliver repeats a report until it is answered, or until the leases would long have passed to others.
func (w *Worker) deliver(ctx context.Context, batch []*taskv1.Result) {
	backoff := 50 * time.Millisecond
	for giveUp := time.Now().Add(2 * time.Minute); ; {
		call, cancel := context.WithTimeout(ctx, 10*time.Second)
		_, err := w.tasks.Report(call, &taskv1.ReportRequest{Worker: w.cfg.Name, Results: batch})
		cancel()
		if err == nil || !fault.Transient(err) || time.Now().After(giveUp) {
			if err != nil {
				w.log.ErrorContext(ctx, "report lost; the tasks will run again", "tasks", len(batch), "err", err)
			}
			for _, r := range batch {
				w.release(r.GetTask())
			}
			return
		}
		w.log.WarnContext(ctx, "report failed, trying again", "err", err)
		pause(ctx, backoff)
		backoff = min(2*backoff, 2*time.Second)
	}
}

// renew prolongs the leases of all tasks held, and tells handlers that lost theirs.
func (w *Worker) renew(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Renew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ids := w.holding()
		if len(ids) == 0 {
			continue
		}
		call, cancel := context.WithTimeout(ctx, w.cfg.Renew)
		resp, err := w.tasks.Renew(call, &taskv1.RenewRequest{Worker: w.cfg.Name, Tasks: ids})
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				w.log.WarnContext(ctx, "renewing leases failed", "err", err)
			}
			continue
		}
		for _, id := range resp.GetLost() {
			w.cancelOne(id, ErrFenced)
		}
		w.stopCancelled(resp.GetCancelled())
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

func (w *Worker) release(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, id)
}

func (w *Worker) stopCancelled(ids []string) {
	for _, id := range ids {
		w.cancelOne(id, ErrCancelled)
	}
}

func (w *Worker) cancelOne(id string, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	cancel, ok := w.held[id]
	if ok {
		cancel(cause)
	}
}

func (w *Worker) cancelAll(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cancel := range w.held {
		cancel(cause)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
