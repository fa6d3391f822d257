package observer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

func TestAProgramReportsARunByGRPC(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	run := func(id string) *observerv1.Run {
		got, err := w.observer.GetRun(t.Context(), &observerv1.GetRunRequest{Production: "default", Id: id})
		if err != nil {
			return nil
		}
		return got.GetRun()
	}
	o := worker.Observed{Production: "default", Name: "nightly-import", Total: 3, Conn: w.observing, Log: w.log, Every: 10 * time.Millisecond,
		Labels: map[string]string{"host": "nas"}}
	o.ID = "good"
	err := worker.Observe(t.Context(), o, func(_ context.Context, r *worker.Run) error {
		r.Progress(2)
		w.until(func() bool { return run("good").GetDone() == 2 && run("good").GetState() == "running" }, func() any { return run("good") })
		r.Progress(3)
		r.Bytes(100, 50)
		r.Metric("rows", 7, "table", "people")
		r.Logf("info", "that was %d", 3)
		return nil
	})
	got := run("good")
	if err != nil || got.GetState() != "completed" || got.GetDone() != 3 || got.GetBytesIn() != 100 || got.GetMetrics()[0].GetValue() != 7 ||
		got.GetLog()[0].GetText() != "that was 3" || got.GetLabels()["host"] != "nas" || got.GetEndedAt() == nil {
		t.Errorf("got %v, %v", got, err)
	}
	o.ID = "bad"
	wrong := fault.New(fault.Unavailable, "DISK_FULL", "there is no room on nas")
	err = worker.Observe(t.Context(), o, func(context.Context, *worker.Run) error { return wrong })
	got = run("bad")
	if !errors.Is(err, wrong) || got.GetState() != "failed" || got.GetError().GetCode() != "DISK_FULL" || !got.GetError().GetRetryable() {
		t.Errorf("got %v, %v", got, err)
	}
	// What is refused is said, and the work was done all the same.
	o.ID, o.Production = "nowhere", "nowhere"
	did := false
	err = worker.Observe(t.Context(), o, func(context.Context, *worker.Run) error { did = true; return nil })
	if !did || !errors.Is(err, worker.ErrUnreported) {
		t.Errorf("did %v, got %v, want ErrUnreported", did, err)
	}
}
