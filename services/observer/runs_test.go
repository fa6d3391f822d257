package observer_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

func TestARunIsKeptAsItIsToldUntilItHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	report := func(run *observerv1.Run) (*observerv1.Run, error) {
		resp, err := w.observer.ReportRun(t.Context(), &observerv1.ReportRunRequest{Production: "default", Id: "import-7", Run: run})
		return resp.GetRun(), err
	}
	first, err := report(&observerv1.Run{Name: "nightly-import", State: "running", Total: 100, Done: 10, Labels: map[string]string{"host": "nas"}})
	if err != nil {
		t.Fatal(err)
	}
	if first.GetStartedAt() == nil || first.GetId() != "import-7" || first.GetProduction() != "default" {
		t.Errorf("got %v", first)
	}
	_, err = report(&observerv1.Run{Name: "nightly-import", State: "running", Total: 100, Done: 70})
	if err != nil {
		t.Fatal(err)
	}
	failed := &observerv1.Run{Name: "nightly-import", State: "failed", Total: 100, Done: 70, Error: &distributionv1.Error{Code: "DISK_FULL", Message: "no room"}}
	last, err := report(failed)
	if err != nil || last.GetEndedAt() == nil || !last.GetStartedAt().AsTime().Equal(first.GetStartedAt().AsTime()) {
		t.Errorf("got %v, %v; want it to have ended and to have begun as it did", last, err)
	}
	again, err := report(failed)
	if err != nil || !again.GetEndedAt().AsTime().Equal(last.GetEndedAt().AsTime()) {
		t.Errorf("the same again: got %v, %v", again, err)
	}
	_, err = report(&observerv1.Run{Name: "nightly-import", State: "running"})
	if f := fault.From(err); f == nil || f.Reason != "RUN_ENDED" {
		t.Errorf("got %v, want RUN_ENDED", err)
	}
	got, err := w.observer.GetRun(w.as(accessv1.Role_ROLE_ONCALL, "*"), &observerv1.GetRunRequest{Production: "default", Id: "import-7"})
	if err != nil || got.GetRun().GetState() != "failed" || got.GetRun().GetError().GetCode() != "DISK_FULL" || got.GetRun().GetDone() != 70 {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = w.observer.GetRun(w.as(accessv1.Role_ROLE_ONCALL, "*"), &observerv1.GetRunRequest{Production: "other", Id: "import-7"})
	if f := fault.From(err); f == nil || f.Reason != "RUN_UNKNOWN" {
		t.Errorf("in another production: got %v, want RUN_UNKNOWN", err)
	}
}

func TestARunThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, run := range map[string]*observerv1.Run{
		"it runs and has ended":      {Name: "x", State: "running", EndedAt: timestamppb.Now()},
		"more is done than there is": {Name: "x", State: "running", Total: 1, Done: 2},
		"it ended before it began":   {Name: "x", State: "completed", StartedAt: &timestamppb.Timestamp{Seconds: 2000}, EndedAt: &timestamppb.Timestamp{Seconds: 1000}},
		"done, and wrong":            {Name: "x", State: "completed", Error: &distributionv1.Error{Code: "NO"}},
	} {
		_, err := w.observer.ReportRun(t.Context(), &observerv1.ReportRunRequest{Production: "default", Id: "x", Run: run})
		if f := fault.From(err); f == nil || f.Reason != "RUN_INVALID" {
			t.Errorf("%s: got %v, want RUN_INVALID", name, err)
		}
	}
	_, err := w.observer.ReportRun(t.Context(), &observerv1.ReportRunRequest{Production: "nowhere", Id: "x", Run: &observerv1.Run{Name: "x", State: "running"}})
	if f := fault.From(err); f == nil || f.Reason != "PRODUCTION_UNKNOWN" {
		t.Errorf("got %v, want PRODUCTION_UNKNOWN", err)
	}
	_, err = w.observer.ReportRun(w.as(accessv1.Role_ROLE_COORDINATOR, "other"), &observerv1.ReportRunRequest{Production: "default", Id: "x", Run: &observerv1.Run{Name: "x", State: "running"}})
	if f := fault.From(err); f == nil || f.Reason != "PRODUCTION_UNKNOWN" {
		t.Errorf("got %v, want PRODUCTION_UNKNOWN", err)
	}
}

func TestARunIsFoundBesideDistributions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create("default", 1, 1)
	_, err := w.observer.ReportRun(t.Context(), &observerv1.ReportRunRequest{Production: "default", Id: "import-7",
		Run: &observerv1.Run{Name: "nightly-import", State: "failed", Error: &distributionv1.Error{Code: "DISK_FULL", Message: "no room"}}})
	if err != nil {
		t.Fatal(err)
	}
	var found *observerv1.FindDistributionsResponse
	w.until(func() bool {
		found, err = w.observer.FindDistributions(t.Context(), &observerv1.FindDistributionsRequest{Production: "default"})
		if err != nil {
			t.Fatal(err)
		}
		return len(found.GetDistributions()) == 1 && len(found.GetRuns()) == 1 && found.GetRuns()[0].GetId() == "import-7"
	}, func() any { return found })
	hits, err := w.observer.Search(t.Context(), &observerv1.SearchRequest{Query: "import-7"})
	if err != nil || len(hits.GetHits()) == 0 || hits.GetHits()[0].GetKind() != "run" {
		t.Errorf("got %v, %v", hits, err)
	}
	hits, err = w.observer.Search(w.as(accessv1.Role_ROLE_COORDINATOR, "other"), &observerv1.SearchRequest{Query: "import-7"})
	if err != nil || len(hits.GetHits()) != 0 {
		t.Errorf("a coordinator of another production got %v, %v", hits, err)
	}
}
