package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

type runCtx struct{}

// run is one attempt under way.
type run struct {
	worker *Worker
	task   Task
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
	call, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	resp, err := r.worker.tasks.Checkpoint(call, &taskv1.CheckpointRequest{Worker: r.worker.cfg.Name, Task: r.task.ID, State: state})
	if err != nil {
		return fault.New(fault.Unavailable, "CHECKPOINT_UNAVAILABLE", "the orchestrator did not answer, so nothing was done; it will be tried again").Because(err)
	}
	switch resp.GetVerdict() {
	case taskv1.Verdict_VERDICT_OK:
		return nil
	case taskv1.Verdict_VERDICT_CANCELLED:
		return ErrCancelled
	case taskv1.Verdict_VERDICT_FENCED:
		return ErrFenced
	}
	return fmt.Errorf("checkpoint %q: verdict %v is unknown to this worker: %w", state, resp.GetVerdict(), ErrFenced)
}
