package worker

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/telemetry"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

type runCtx struct{}

// run is one attempt under way, and its handler's context. It is all that is made for a task that ends at once: what a
// context needs to end before its task does is made when somebody waits for that end, or derives another from it.
type run struct {
	worker  *Worker
	task    Task
	message *taskv1.Task
	work    context.Context // what outlasts it
	words   words

	mu       sync.Mutex
	deadline time.Time         // zero before the handler is called
	whole    context.Context   // nil before somebody needs it
	stop     func()            // frees what whole holds
	cancels  func(error)       // cancels whole
	cause    error             // why it was cancelled, when that was before whole was made
	occupied map[string]string // slots that are taken or may be: limit by key
	keys     int               // how many were given out
	ended    bool              // the handler has returned
	noted    *notes            // nil before it notes something
}

// words are the room for what is said of an attempt that ended well, which most do.
type words struct {
	report         taskv1.Result
	output         taskv1.Result_OutputJson
	started, ended timestamppb.Timestamp
}

func newRun(w *Worker, work context.Context, t *taskv1.Task) *run {
	return &run{worker: w, task: taskOf(t), message: t, work: work}
}

// traced is the context with the span that the task names as the one it belongs to, if it does.
func (r *run) traced() (context.Context, *telemetry.Span) {
	t := r.message
	if t.GetTraceparent() == "" {
		return r, nil
	}
	return telemetry.Attempt{
		Production: t.GetProduction(), Distribution: t.GetDistribution(), Unit: t.GetUnit(), Step: t.GetStep(),
		Function: t.GetFunction(), Attempt: int(t.GetAttempt()),
	}.Work(r, t.GetTraceparent(), t.GetTracestate())
}

// begin starts the attempt's time.
func (r *run) begin(now time.Time) {
	timeout := r.message.GetTimeout().AsDuration()
	if timeout <= 0 {
		timeout = time.Minute
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = now.Add(timeout)
}

// cancel ends the context, because of cause; the first cause counts.
func (r *run) cancel(cause error) {
	r.mu.Lock()
	if r.cause == nil {
		r.cause = cause
	}
	cancels := r.cancels
	r.mu.Unlock()
	if cancels != nil {
		cancels(cause)
	}
}

// end frees what the context holds. Whoever still looks at it sees that it has ended.
func (r *run) end() {
	r.mu.Lock()
	if r.cause == nil {
		r.cause = context.Canceled
	}
	cancels, stop := r.cancels, r.stop
	r.mu.Unlock()
	if cancels != nil {
		cancels(nil)
		stop()
	}
}

// why is why the context has ended, nil while it has not. Of one that nobody looked at it does not tell that its time is up,
// nor that the worker ends, which change nothing any more.
func (r *run) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.whole != nil {
		return context.Cause(r.whole)
	}
	return r.cause
}

// all makes the context whole.
func (r *run) all() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.whole == nil {
		ctx, cancel := context.WithCancelCause(r.work)
		if r.cause != nil {
			cancel(r.cause)
		}
		r.whole, r.stop = context.WithDeadline(ctx, r.deadline)
		r.cancels = cancel
	}
	return r.whole
}

// Deadline implements context.Context.
func (r *run) Deadline() (time.Time, bool) { return r.all().Deadline() }

// Done implements context.Context.
func (r *run) Done() <-chan struct{} { return r.all().Done() }

// Err implements context.Context.
func (r *run) Err() error { return r.all().Err() }

// Value implements context.Context.
func (r *run) Value(key any) any {
	if key == (runCtx{}) {
		return r
	}
	return r.all().Value(key)
}
