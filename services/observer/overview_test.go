package observer_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

func TestWithoutTroubleAllIsWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.work("worker-1")
	d := w.ended("default", w.create("default", 2, 3))
	if d.GetState() != "completed" || d.GetItems().GetDone() != 6 {
		t.Errorf("got %v", d)
	}
	var o *observerv1.GetOverviewResponse
	w.until(func() bool { o = w.overview(t.Context()); return o.GetWell() && len(o.GetDistributions()) == 0 }, func() any { return o })
	if o.GetSentence() != "All is well, and nothing is under way." || !o.GetFreshness().GetOrchestratorAlive() || o.GetFreshness().GetNote() != "" {
		t.Errorf("got %v", o)
	}
}

func TestAFunctionThatNobodyServesIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create("default", 1, 3)
	c := w.cause(t.Context(), "no_worker")
	if c.GetSubject() != "watermark.Prepare" || !strings.HasPrefix(c.GetSentence(), "No worker serves watermark.Prepare: 1 step of 1 distribution waits for it since ") ||
		c.GetRecipients() != 3 || c.GetDistributions() != 1 || c.GetSince() == nil {
		t.Errorf("got %v", c)
	}
	// Who may not act there hears nothing of it.
	o := w.overview(w.as(accessv1.Role_ROLE_COORDINATOR, "other"))
	if !o.GetWell() || len(o.GetCauses()) != 0 || len(o.GetDistributions()) != 0 {
		t.Errorf("a coordinator of another production got %v", o)
	}
	_, err := w.observer.GetOverview(w.as(accessv1.Role_ROLE_COORDINATOR, "other"), &observerv1.GetOverviewRequest{Production: "default"})
	if f := fault.From(err); f == nil || f.Reason != "PRODUCTION_UNKNOWN" {
		t.Errorf("got %v, want PRODUCTION_UNKNOWN", err)
	}
	top := w.top()
	if f := w.function("watermark.Prepare"); f.GetReady() != 1 || f.GetWorkers() != 0 || len(top.GetProductions()) != 1 || top.GetProductions()[0].GetOpen() != 1 {
		t.Errorf("got %v", top)
	}
}

func TestAFullLimitIsNamedAndSoIsAPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	hold := make(chan struct{})
	w.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return &watermarkv1.StampResponse{}, ctx.Err()
	}
	defer close(hold)
	w.until(func() bool { return w.redis.Client.Exists(t.Context(), "{obs}:known").Val() == 1 }, func() any { return "it looks at nothing" })
	_, err := w.control.SetLimit(t.Context(), &controlv1.SetLimitRequest{Production: "default", Name: "watermark.Stamp", Limit: &controlv1.Limit{Name: "watermark.Stamp", Concurrency: 2}})
	if err != nil {
		t.Fatal(err)
	}
	w.work("worker-1")
	w.create("default", 1, 10)
	c := w.cause(t.Context(), "waits_limit")
	w.until(func() bool {
		c = w.cause(t.Context(), "waits_limit")
		return strings.HasPrefix(c.GetSentence(), "The limit watermark.Stamp is full: 2 of 2 places are taken, and 8 steps wait.")
	}, func() any { return c })
	if c.GetRemedy() != "To let more through: filigree limit set watermark.Stamp --concurrency N." || c.GetSince() == nil {
		t.Errorf("got %v", c)
	}
	var top *observerv1.GetTopResponse
	w.until(func() bool {
		top = w.top()
		f := w.function("watermark.Stamp")
		return f.GetAtLimit() == 8 && f.GetReady() == 8 && f.GetRunning() == 2
	}, func() any { return top })
	if len(top.GetLimits()) != 1 || top.GetLimits()[0].GetWaiting() != 8 || top.GetLimits()[0].GetTaken() != 2 {
		t.Errorf("limits: %v", top.GetLimits())
	}
	w.until(func() bool {
		v := w.worker("worker-1")
		return v.GetRunning() == 2 && v.GetFree() == 6
	}, func() any { return w.top() })
	_, err = w.control.PauseFunction(t.Context(), &controlv1.PauseFunctionRequest{Function: "watermark.Prepare"})
	if err != nil {
		t.Fatal(err)
	}
	w.create("default", 1, 1)
	c = w.cause(t.Context(), "paused")
	if c.GetSentence() != "The function watermark.Prepare is paused, and 1 step waits." || c.GetRemedy() != "To go on: filigree resume --function watermark.Prepare." {
		t.Errorf("got %v", c)
	}
	// All that was done is among what changed.
	var changes []string
	w.until(func() bool {
		changes = nil
		for _, ch := range w.overview(t.Context()).GetChanges() {
			changes = append(changes, ch.GetKind()+": "+ch.GetSentence())
		}
		return slices.Contains(changes, "limit: Limit watermark.Stamp was set to 2 at once.") &&
			slices.Contains(changes, "pause: Function watermark.Prepare was paused.") &&
			slices.ContainsFunc(changes, func(s string) bool { return strings.HasPrefix(s, "worker: Worker worker-1 came, for ") })
	}, func() any { return changes })
}

func TestLateOnesAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	resp, err := w.distributions.CreateDistribution(t.Context(), &distributionv1.CreateDistributionRequest{Production: "default", Title: "Call sheet",
		IdempotencyKey: "late", Deadline: timestamppb.New(time.Now().Add(300 * time.Millisecond)),
		Files:      []*distributionv1.FileRef{{Sha256: strings.Repeat("0", 63) + "1"}},
		Recipients: []*distributionv1.RecipientInput{{Name: "Ann", Email: "ann@example.com"}}})
	if err != nil {
		t.Fatal(err)
	}
	c := w.cause(t.Context(), "late")
	if !strings.HasPrefix(c.GetSentence(), "1 distribution is past the deadline, the worst by ") || c.GetRemedy() != "Ask what holds it up: filigree why "+resp.GetDistribution().GetId()+"." {
		t.Errorf("got %v", c)
	}
	o := w.overview(t.Context())
	if len(o.GetLate()) != 1 || o.GetLate()[0].GetName() != "Call sheet" {
		t.Errorf("late: %v", o.GetLate())
	}
}

func TestWithoutOrchestratorsItGoesOnAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	stop := w.work("worker-1")
	id := w.create("default", 2, 5)
	w.ended("default", id)
	stop()
	w.stopOrchestrator()
	var o *observerv1.GetOverviewResponse
	w.until(func() bool { o = w.overview(t.Context()); return !o.GetWell() }, func() any { return o })
	c := o.GetCauses()[0]
	since := o.GetFreshness().GetOrchestratorSeenAt().AsTime().Local().Format("15:04:05")
	want := "no orchestrator answers since " + since + "; nothing moves on until one does"
	if c.GetKind() != "orchestrator_down" || c.GetSentence() != want+"." || o.GetFreshness().GetNote() != want {
		t.Errorf("got %v\nwant %q", o, want)
	}
	var header metadata.MD
	w.until(func() bool {
		d, err := w.seen.GetDistribution(t.Context(), &distributionv1.GetDistributionRequest{Production: "default", Distribution: id}, grpc.Header(&header))
		if err != nil || d.GetDistribution().GetItems().GetDone() != 10 {
			t.Fatalf("got %v %v", d, err)
		}
		return slices.Equal(header.Get("filigree-note"), []string{want})
	}, func() any { return header })
	items, err := w.seen.ListItems(t.Context(), &distributionv1.ListItemsRequest{Production: "default", Distribution: id})
	if err != nil || len(items.GetItems()) != 10 {
		t.Errorf("got %d items, %v", len(items.GetItems()), err)
	}
	events, err := w.seen.ListEvents(t.Context(), &distributionv1.ListEventsRequest{Production: "default", Distribution: id})
	if err != nil || len(events.GetEvents()) < 10 {
		t.Errorf("got %d events, %v", len(events.GetEvents()), err)
	}
	list, err := w.seen.ListDistributions(t.Context(), &distributionv1.ListDistributionsRequest{Production: "default"})
	if err != nil || len(list.GetDistributions()) != 1 {
		t.Errorf("got %v, %v", list, err)
	}
	// Another one comes, and all is well.
	w.startOrchestrator()
	w.until(func() bool { o = w.overview(t.Context()); return o.GetWell() }, func() any { return o })
}

func TestWithoutRedisItSaysSinceWhen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.work("worker-1")
	w.create("default", 1, 1)
	w.until(func() bool { return w.worker("worker-1") != nil }, func() any { return w.top() })
	w.redis.Kill()
	c := w.cause(t.Context(), "redis_down")
	if !strings.HasPrefix(c.GetSentence(), "Redis is not reached since ") || c.GetSince() == nil {
		t.Errorf("got %v", c)
	}
	if top := w.top(); w.worker("worker-1") == nil || !strings.HasPrefix(top.GetFreshness().GetNote(), "Redis is not reached since ") {
		t.Errorf("got %v, want what was seen last", top)
	}
	w.redis.Restart()
	var o *observerv1.GetOverviewResponse
	w.until(func() bool { o = w.overview(t.Context()); return o.GetWell() }, func() any { return o })
}

func TestWithoutAnObserverDistributionsGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	// It has seen who is there.
	w.until(func() bool { return w.redis.Client.Exists(t.Context(), "{obs}:known").Val() == 1 }, func() any { return "it looks at nothing" })
	w.stopObserver()
	w.work("worker-1")
	id := w.create("default", 3, 20)
	w.until(func() bool {
		d, err := w.distributions.GetDistribution(t.Context(), &distributionv1.GetDistributionRequest{Production: "default", Distribution: id})
		if err != nil {
			t.Fatal(err)
		}
		return d.GetDistribution().GetState() == "completed"
	}, func() any { return "it does not complete" })
	w.startObserver(nil)
	d := w.get("default", id)
	if d.GetState() != "completed" || d.GetItems().GetDone() != 60 || d.GetRecipients().GetSent() != 20 {
		t.Errorf("the observer says %v", d)
	}
	// What changed while it was gone is told as well.
	var o *observerv1.GetOverviewResponse
	w.until(func() bool {
		o = w.overview(t.Context())
		return slices.ContainsFunc(o.GetChanges(), func(c *observerv1.Change) bool { return strings.HasPrefix(c.GetSentence(), "Worker worker-1 came") })
	}, func() any { return o })
}
