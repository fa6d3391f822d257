package worker

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/fault"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

// Task is the attempt that a handler is running.
type Task struct {
	ID      string
	Attempt int
	// Checkpoint is what the last attempt recorded before it ended without a definite result, or answered with Pending;
	// empty if nothing.
	Checkpoint string
	// Resources are the shared resources that the step names, in the definition's order.
	Resources []Resource
}

// Resource is a shared resource as a task sees it.
type Resource struct {
	// Name is the definition's: "drive", or "studio/smtp" for one that productions share.
	Name string
	// Production is whose it is; empty of one that productions share.
	Production string
	Kind       string
	// State is what its kind's create function answered, as JSON; empty when its kind has none.
	State string
	// Credential names the sealed credential, which the directory opens for services; empty without one.
	Credential string
}

func taskOf(t *taskv1.Task) Task {
	task := Task{ID: t.GetId(), Attempt: int(t.GetAttempt()), Checkpoint: t.GetCheckpoint()}
	for _, r := range t.GetResources() {
		own := Resource{Name: r.GetName(), Kind: r.GetKind(), State: r.GetStateJson(), Credential: r.GetCredential()}
		if !strings.HasPrefix(own.Name, "studio/") {
			own.Production = t.GetProduction()
		}
		task.Resources = append(task.Resources, own)
	}
	return task
}

// ResourceFrom returns the shared resource that the step of ctx's task names so; false when it names none, or when the
// handler was called as a plain RPC.
func ResourceFrom(ctx context.Context, name string) (Resource, bool) {
	task, _ := TaskFrom(ctx)
	for _, r := range task.Resources {
		if r.Name == name {
			return r, true
		}
	}
	return Resource{}, false
}

// CredentialOpener is what of the directory opens credentials: a credentialv1.CredentialServiceClient.
type CredentialOpener interface {
	OpenCredential(ctx context.Context, in *credentialv1.OpenCredentialRequest, opts ...grpc.CallOption) (*credentialv1.OpenCredentialResponse, error)
}

// Secret opens the resource's sealed credential, which the directory does for services. It is asked for each time, so that
// a new secret counts at once; the handler keeps it out of its answer, of errors and of logs.
//
// The functions that create, check and destroy a resource have its production and credential in their request instead, and
// ask the directory for it by those.
func (r Resource) Secret(ctx context.Context, directory CredentialOpener) (string, error) {
	if r.Credential == "" {
		return "", fault.New(fault.Invalid, "RESOURCE_WITHOUT_CREDENTIAL", "resource %q names no credential; put one into the resource, and try again", r.Name)
	}
	resp, err := directory.OpenCredential(ctx, &credentialv1.OpenCredentialRequest{Production: r.Production, Name: r.Credential})
	if err != nil {
		return "", fmt.Errorf("open the credential of resource %s: %w", r.Name, err)
	}
	return resp.GetSecret(), nil
}

// TaskFrom returns the task that ctx belongs to; false when the handler was called as a plain RPC.
func TaskFrom(ctx context.Context) (Task, bool) {
	r, ok := ctx.Value(runCtx{}).(*run)
	if !ok {
		return Task{}, false
	}
	return r.task, true
}

// Checkpoint records durably that the handler is about to do state ("dot"; at most 64 bytes), and returns nil only if
// the task is still this worker's and its distribution goes on. Otherwise the handler must return without acting:
// ErrFenced, ErrCancelled, or a transient fault when no orchestrator answered. Called outside of a task it returns nil.
func Checkpoint(ctx context.Context, state string) error {
	r, ok := ctx.Value(runCtx{}).(*run)
	if !ok {
		return nil
	}
	for {
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, 8*time.Second)
		resp, err := r.worker.tasks.Checkpoint(call, &taskv1.CheckpointRequest{Worker: r.worker.cfg.Name, Task: r.task.ID, State: state})
		cancel()
		if err != nil {
			return fault.New(fault.Unavailable, "CHECKPOINT_UNAVAILABLE", "the orchestrator did not answer, so nothing was done; it will be tried again").Because(err)
		}
		err = refusal(resp.GetVerdict(), "checkpoint "+state)
		if err != nil || time.Since(asked) < freshFor {
			return err
		}
		// The answer may be older than the lease that came with it: this process stood still before it read it.
		r.worker.log.WarnContext(ctx, "an answer came too late to be acted on, asking again", "task", r.task.ID, "took", time.Since(asked))
	}
}

// freshFor is for how long after it was asked for a worker acts on leave that it was given: half a lease.
const freshFor = 5 * time.Second

// refusal is why the task may not go on with what; nil if it may.
func refusal(v taskv1.Verdict, what string) error {
	switch v {
	case taskv1.Verdict_VERDICT_OK:
		return nil
	case taskv1.Verdict_VERDICT_CANCELLED:
		return ErrCancelled
	case taskv1.Verdict_VERDICT_FENCED:
		return ErrFenced
	}
	return fmt.Errorf("%s: verdict %v is unknown to this worker: %w", what, v, ErrFenced)
}

// maxPending is the longest time after which may be asked again.
const maxPending = 24 * time.Hour

// Pending is what a handler returns, as its error, when what the task stands for was submitted to somebody else and is
// not done: the attempt ends, and another, by any worker, begins after askAfter (at most a day) with checkpoint
// (1 to 1,024 bytes: the other one's job id) as its Task.Checkpoint. It is no failure and uses up no attempt. Between
// two askings nothing of it is left in this process.
//
// A plain call of the handler cannot be asked again: it fails with TASK_ONLY.
func Pending(askAfter time.Duration, checkpoint string) error {
	if checkpoint == "" || len(checkpoint) > 1024 || !utf8.ValidString(checkpoint) {
		return fault.New(fault.Invalid, "PENDING_INVALID", "a function's checkpoint has %d bytes; it must be 1 to 1,024 bytes of UTF-8", len(checkpoint))
	}
	return &pendingError{askAfter: min(max(askAfter, time.Millisecond), maxPending), checkpoint: checkpoint}
}

type pendingError struct {
	askAfter   time.Duration
	checkpoint string
}

func (e *pendingError) Error() string {
	return fmt.Sprintf("pending, ask again in %s with %q", e.askAfter, e.checkpoint)
}

// Unwrap gives the fault that a plain caller sees. Not a transient one: who repeats the call has the work done twice.
func (e *pendingError) Unwrap() error {
	return fault.New(fault.Conflict, "TASK_ONLY", "the work goes on elsewhere and a single call cannot wait for it; use it as a step of a distribution")
}
