package observer_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/redistest"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer"
)

// TestFigures prints what docs/benchmarks.md says of reading through the observer: 10 files for 1,000 people, all of it over
// gRPC, from a real Redis. It fails where a goal of DESIGN.md is missed.
func TestFigures(t *testing.T) {
	if os.Getenv("FILIGREE_FIGURES") == "" {
		t.Skip("FILIGREE_FIGURES is not set: times are taken by make bench, on a machine that does nothing else")
	}
	w := newWorldOn(t, redistest.Start(t), func(w *world) func(*observer.Deps) {
		w.look = 2 * time.Second // as it does where nothing is said
		return nil
	})
	w.work("worker-1")
	id := w.create("default", 10, 1000)
	took := func(n int, do func(i int) error) []time.Duration {
		all := make([]time.Duration, n)
		for i := range all {
			began := time.Now()
			err := do(i)
			if err != nil {
				t.Fatal(err)
			}
			all[i] = time.Since(began)
		}
		slices.Sort(all)
		return all
	}
	status := func(int) error {
		_, err := w.seen.GetDistribution(t.Context(), &distributionv1.GetDistributionRequest{Production: "default", Distribution: id})
		return err
	}
	items := func(state string) func(int) error {
		return func(i int) error {
			_, err := w.seen.ListItems(t.Context(), &distributionv1.ListItemsRequest{Production: "default", Distribution: id, State: state,
				PageSize: 100, PageToken: fmt.Sprint(i % 100 * 100)})
			return err
		}
	}
	recipients := func(i int) error {
		_, err := w.seen.ListRecipients(t.Context(), &distributionv1.ListRecipientsRequest{Production: "default", Distribution: id,
			PageSize: 100, PageToken: fmt.Sprint(i % 10 * 100)})
		return err
	}
	tell := func(what string, all []time.Duration, goal time.Duration) {
		p50, p99 := all[len(all)/2], all[len(all)*99/100]
		t.Logf("%-40s p50 %6.2f ms, p99 %6.2f ms, most %6.2f ms", what, ms(p50), ms(p99), ms(all[len(all)-1]))
		if goal > 0 && p99 > goal {
			t.Errorf("%s: p99 is %s, and is to be at most %s", what, p99, goal)
		}
	}
	tell("status while it runs", took(300, status), 0)
	w.ended("default", id)
	tell("status while the index takes it in", took(300, status), 0)
	w.until(func() bool {
		found, err := w.observer.FindDistributions(t.Context(), &observerv1.FindDistributionsRequest{Production: "default"})
		if err != nil {
			t.Fatal(err)
		}
		return len(found.GetDistributions()) == 1 && found.GetDistributions()[0].GetEndedAt() != nil && found.GetFreshness().GetIndexLag().AsDuration() == 0
	}, func() any { return "the index does not catch up" })
	tell("status of 10,000 items", took(2000, status), 10*time.Millisecond)
	tell("a page of 100 items", took(500, items("")), 20*time.Millisecond)
	tell("a page of 100 items that are done", took(300, items("done")), 20*time.Millisecond)
	tell("a page of 100 recipients", took(300, recipients), 20*time.Millisecond)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
