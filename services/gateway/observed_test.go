package gateway_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/gateway"
)

// seeing is an observer that knows one distribution, or does not answer.
type seeing struct {
	distributionv1.UnimplementedDistributionServiceServer
	controlv1.UnimplementedControlServiceServer
	observerv1.UnimplementedObserverServiceServer
	observerv1.UnimplementedAlertServiceServer
	gone atomic.Bool
	runs []*observerv1.ReportRunRequest
}

func (s *seeing) GetDistribution(ctx context.Context, r *distributionv1.GetDistributionRequest) (*distributionv1.GetDistributionResponse, error) {
	if s.gone.Load() {
		return nil, fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the state store did not answer; try again")
	}
	if r.GetDistribution() != "d1" {
		return nil, fault.New(fault.NotFound, "DISTRIBUTION_UNKNOWN", "there is none")
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("filigree-note", "no orchestrator answers since 14:03:07; nothing moves on until one does"))
	return &distributionv1.GetDistributionResponse{Distribution: &distributionv1.Distribution{Id: "d1", Title: "As the observer knows it"}}, nil
}

// WatchDistribution sends what is archived once.
func (s *seeing) WatchDistribution(r *distributionv1.WatchDistributionRequest, out grpc.ServerStreamingServer[distributionv1.WatchDistributionResponse]) error {
	if r.GetDistribution() != "forgotten" {
		return fault.New(fault.NotFound, "DISTRIBUTION_UNKNOWN", "there is none")
	}
	if r.GetAfter() == "7" {
		return nil
	}
	return out.Send(&distributionv1.WatchDistributionResponse{Cursor: "7", Distribution: &distributionv1.Distribution{Id: "forgotten", Title: "As it was archived"}})
}

func (s *seeing) ListFunctions(context.Context, *controlv1.ListFunctionsRequest) (*controlv1.ListFunctionsResponse, error) {
	return &controlv1.ListFunctionsResponse{Functions: []*controlv1.Function{{Name: "as.Observed"}}}, nil
}

func (s *seeing) ReportRun(_ context.Context, r *observerv1.ReportRunRequest) (*observerv1.ReportRunResponse, error) {
	s.runs = append(s.runs, r)
	return &observerv1.ReportRunResponse{Run: r.GetRun()}, nil
}

func newSeeing(t *testing.T) (*world, *seeing) {
	t.Helper()
	s := &seeing{}
	srv := rpc.NewServer(slog.New(slog.DiscardHandler))
	distributionv1.RegisterDistributionServiceServer(srv, s)
	controlv1.RegisterControlServiceServer(srv, s)
	observerv1.RegisterObserverServiceServer(srv, s)
	observerv1.RegisterAlertServiceServer(srv, s)
	connect, stop := rpc.InProcess(srv)
	conn, err := connect("gateway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); stop() })
	return newWorld(t, func(_ *gateway.Config, d *gateway.Deps) { d.Observer = conn }), s
}

func TestTheObserverIsAskedFirst(t *testing.T) {
	w, s := newSeeing(t)
	path := "/v1/productions/red/distributions/d1"
	a := w.call(http.MethodGet, path, coordinator, "")
	if a.status != http.StatusOK || !strings.Contains(a.body, "As the observer knows it") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if got := a.header.Get("Filigree-Note"); got != "no orchestrator answers since 14:03:07; nothing moves on until one does" {
		t.Errorf("note: got %q", got)
	}
	// What it does not know is not asked of the orchestrator, which knows less.
	refused(t, w.call(http.MethodGet, "/v1/productions/red/distributions/none", coordinator, ""), http.StatusNotFound, "DISTRIBUTION_UNKNOWN")
	s.gone.Store(true)
	a = w.call(http.MethodGet, path, coordinator, "")
	if a.status != http.StatusOK || strings.Contains(a.body, "As the observer knows it") || a.header.Get("Filigree-Note") != "" {
		t.Errorf("without the observer: got %d %s", a.status, a.body)
	}
	// What is steered is read from the orchestrator, and from the observer when it does not know.
	a = w.call(http.MethodGet, "/v1/functions", oncall, "")
	if a.status != http.StatusOK || !strings.Contains(a.body, "as.Observed") {
		t.Errorf("functions: got %d %s", a.status, a.body)
	}
}

// What the orchestrator has forgotten is watched as what it has not.
func TestAWatcherOfWhatIsForgottenIsSentTheArchive(t *testing.T) {
	w, _ := newSeeing(t)
	const path = "/v1/productions/red/distributions/forgotten/watch"
	all := w.call("GET", path, coordinator, "")
	if all.status != 200 || !strings.HasPrefix(all.body, "id: 7\nevent: distribution\n") || !strings.Contains(all.body, "As it was archived") ||
		!strings.HasSuffix(all.body, "event: end\ndata: {}\n\n") {
		t.Errorf("got %d %s", all.status, all.body)
	}
	r := w.request("GET", path, coordinator, "")
	r.Header.Set("Last-Event-ID", "7")
	if seen := w.do(r); seen.status != 204 {
		t.Errorf("after the last: %d %q", seen.status, seen.body)
	}
	refused(t, w.call("GET", "/v1/productions/red/distributions/none/watch", coordinator, ""), http.StatusNotFound, "DISTRIBUTION_UNKNOWN")
	known := w.call("GET", "/v1/productions/red/distributions/D1/watch", coordinator, "")
	if known.status != 200 || strings.Count(known.body, "event: distribution\n") != 3 {
		t.Errorf("of the orchestrator's: %d %s", known.status, known.body)
	}
}

func TestABodyThatIsOneFieldOfTheRequest(t *testing.T) {
	w, s := newSeeing(t)
	path := "/v1/productions/red/runs/import-7"
	a := w.call(http.MethodPut, path, coordinator, `{"name":"import","state":"running","total":"3"}`)
	if a.status != http.StatusOK || !strings.Contains(a.body, `"name":"import"`) || strings.Contains(a.body, `"run":`) {
		t.Errorf("got %d %s, want the run itself", a.status, a.body)
	}
	if len(s.runs) != 1 || s.runs[0].GetId() != "import-7" || s.runs[0].GetProduction() != "red" || s.runs[0].GetRun().GetTotal() != 3 {
		t.Errorf("got %v", s.runs)
	}
	refused(t, w.call(http.MethodPut, path, coordinator, `{"nom":"import"}`), http.StatusBadRequest, "INVALID")
	refused(t, w.call(http.MethodPut, path+"?name=import", coordinator, `{"name":"import","state":"running"}`), http.StatusBadRequest, "INVALID")
	refused(t, w.call(http.MethodPut, path, coordinator, ``), http.StatusBadRequest, "INVALID")
}

func TestWithoutAnObserverItsCallsSaySo(t *testing.T) {
	w := newWorld(t, func(_ *gateway.Config, d *gateway.Deps) { d.Observer = nil })
	message := refused(t, w.call(http.MethodGet, "/v1/overview", coordinator, ""), http.StatusServiceUnavailable, "OBSERVER_MISSING")
	if !strings.Contains(message, "--observer") {
		t.Errorf("got %q", message)
	}
	a := w.call(http.MethodGet, "/v1/productions/red/distributions/d1", coordinator, "")
	if a.status != http.StatusOK {
		t.Errorf("got %d %s", a.status, a.body)
	}
}
