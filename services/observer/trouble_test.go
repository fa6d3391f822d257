package observer_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

// start starts a distribution of one step for two people.
func (w *world) start(name, step string) string {
	w.t.Helper()
	_, err := w.definitions.PutDefinition(w.t.Context(), &definitionv1.PutDefinitionRequest{Source: "name: " + name + "\nversion: 1\nsteps:\n  - name: do\n    scope: item\n" + step})
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.distributions.CreateDistribution(w.t.Context(), &distributionv1.CreateDistributionRequest{Production: "default", Title: name,
		IdempotencyKey: name, Definition: name,
		Files:      []*distributionv1.FileRef{{Sha256: strings.Repeat("0", 63) + "1"}},
		Recipients: []*distributionv1.RecipientInput{{Name: "Ann", Email: "ann@example.com"}, {Name: "Bob", Email: "bob@example.com"}}})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetDistribution().GetId()
}

func TestAWorkerOfAnotherVersionIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.work("old-1", worker.JSON("example.Do", func(context.Context, map[string]any) (map[string]string, error) { return map[string]string{}, nil }))
	w.start("two", "    function: example.Do@2\n")
	c := w.cause(t.Context(), "old_worker")
	w.until(func() bool {
		c = w.cause(t.Context(), "old_worker")
		return strings.Contains(c.GetSentence(), "2 steps of 1 distribution wait")
	}, func() any { return c })
	if !strings.HasPrefix(c.GetSentence(), "No worker serves example.Do@2, only another version of it: example.Do by old-1; ") || c.GetRecipients() != 2 {
		t.Errorf("got %v", c)
	}
}

func TestAResourceThatIsShutOffIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	_, err := w.control.PutResource(t.Context(), &controlv1.PutResourceRequest{Production: "default", Name: "relay", Resource: &controlv1.Resource{
		Limit: &controlv1.Limit{Name: "relay", Concurrency: 1}, Kind: "smtp", BreakerFailures: 1, BreakerOpen: durationpb.New(600e9)}})
	if err != nil {
		t.Fatal(err)
	}
	w.work("worker-1", worker.JSON("example.Do", func(context.Context, map[string]any) (map[string]string, error) {
		return nil, fault.New(fault.Unavailable, "SMTP_UNREACHABLE", "relay.example.com does not answer")
	}))
	w.start("relayed", "    function: example.Do\n    resources: [relay]\n    retry: {attempts: 5, backoff: [10ms]}\n")
	c := w.cause(t.Context(), "breaker_open")
	if !strings.HasPrefix(c.GetSentence(), "The resource relay is shut off until ") ||
		!strings.Contains(c.GetSentence(), "since it failed 1 time in a row: SMTP_UNREACHABLE relay.example.com does not answer. ") ||
		c.GetRemedy() != "Mend it, then: filigree resource reset relay." {
		t.Errorf("got %v", c)
	}
	w.until(func() bool {
		for _, l := range w.top().GetLimits() {
			if l.GetName() == "relay" && l.GetBreaker() == "open" && l.GetBlockedUntil() != nil && l.GetWaiting() > 0 {
				return true
			}
		}
		return false
	}, func() any { return w.top().GetLimits() })
}

func TestWhatAWorkerLostAndNobodyTookBackIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	busy, hold := make(chan struct{}, 2), make(chan struct{})
	w.work("worker-1", worker.JSON("example.Do", func(ctx context.Context, _ map[string]any) (map[string]string, error) {
		busy <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return map[string]string{}, nil
	}))
	t.Cleanup(func() { close(hold) })
	w.start("lost", "    function: example.Do\n")
	<-busy
	w.stopOrchestrator() // nobody renews leases, and nobody looks after them
	c := w.cause(t.Context(), "stuck_lease")
	if !strings.HasPrefix(c.GetSentence(), "Worker worker-1 went silent at ") || c.GetSince() == nil {
		t.Errorf("got %v", c)
	}
	var o *observerv1.GetOverviewResponse
	w.until(func() bool { o = w.overview(t.Context()); return o.GetCauses()[0].GetKind() == "orchestrator_down" }, func() any { return o })
}
