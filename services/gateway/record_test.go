package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/gateway"
)

// auditor keeps lines by batch, as the observer does; its first answers are lost.
type auditor struct {
	observerv1.UnimplementedObserverServiceServer

	mu      sync.Mutex
	lost    int
	batches map[string]bool
	lines   []string
	asked   string // the page of what is shared
}

func (a *auditor) RecordAccess(_ context.Context, req *observerv1.RecordAccessRequest) (*observerv1.RecordAccessResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.batches[req.GetBatch()] {
		a.batches[req.GetBatch()] = true
		for _, l := range req.GetLines() {
			a.lines = append(a.lines, fmt.Sprintln(l.GetProduction(), l.GetSubject(), l.GetAction(), l.GetObject(), l.GetDetail()))
		}
	}
	if a.lost > 0 {
		a.lost--
		return nil, fault.New(fault.Unavailable, "GONE", "the answer is lost")
	}
	return &observerv1.RecordAccessResponse{}, nil
}

func (a *auditor) conn(t *testing.T) grpc.ClientConnInterface {
	t.Helper()
	srv := rpc.NewServer(slog.New(slog.DiscardHandler))
	observerv1.RegisterObserverServiceServer(srv, a)
	connect, stop := rpc.InProcess(srv)
	conn, err := connect("gateway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); stop() })
	return conn
}

func TestEachWriteAndEachLookAtADocumentIsInTheAuditOnce(t *testing.T) {
	t.Parallel()
	a := &auditor{lost: 3, batches: map[string]bool{}}
	conn := a.conn(t)
	w := newWorld(t, func(_ *gateway.Config, d *gateway.Deps) { d.Observer = conn })
	var want []string
	for range 20 {
		w.call(http.MethodPost, "/v1/productions/red/distributions/D1:cancel", coordinator, "{}")
		w.call(http.MethodPost, "/v1/productions/blue/distributions/D1:cancel", coordinator, "{}") // not theirs
		w.call(http.MethodPost, "/v1/tokens", coordinator, `{"role":"ROLE_ADMIN","productions":["*"]}`)
		w.call(http.MethodPost, "/v1/tokens", admin, `{"role":"ROLE_ADMIN","productions":["*"]}`)
		w.call(http.MethodGet, "/v1/productions/red/distributions/D1", coordinator, "")
		w.call(http.MethodGet, "/v1/productions/red/distributions/D1/items/D1.2.7/copy", coordinator, "")
		w.call(http.MethodGet, "/v1/productions/red/distributions/D1/report.csv", coordinator, "")
		w.call(http.MethodPost, "/v1/productions/red/distributions/D1:cancel", "nobody", "{}")
		w.call(http.MethodPost, "/v1/productions/red/distributions/D1/failures/0123456789abcdef:act", coordinator, `{"action":"skip"}`)
		w.call(http.MethodGet, "/v1/hooks/red/dailies", "", "")    // anybody can
		w.call(http.MethodPost, "/v1/hooks/red/dailies", "", "{}") // it is not signed
		w.hook("/v1/hooks/red/dailies", "{}", nil)
		want = append(want, "red t1 on_failures.act D1", "red t1 distribution.cancel D1", "blue t1 distribution.cancel D1", " t1 token.create ", " t1 token.create t9", "red t1 copy.download D1.2.7", "red t1 report.download D1",
			"red webhook:dailies hook.fire d1 200")
	}
	w.stop() // it tells what is left
	for err := range w.stopped {
		if err != nil {
			t.Error(err)
		}
	}
	got := map[string]int{}
	for _, line := range a.lines {
		got[line]++
	}
	if len(a.lines) != len(want) || len(got) != 8 {
		t.Errorf("%d lines, want %d: %v", len(a.lines), len(want), got)
	}
	for line, n := range got {
		if n != 20 {
			t.Errorf("%d of %q", n, line)
		}
		if strings.Contains(line, "failures.act") && !strings.HasSuffix(line, " skip\n") {
			t.Errorf("it does not say what was asked for: %q", line)
		}
		if !slices.ContainsFunc(want, func(s string) bool { return strings.HasPrefix(line, s) }) {
			t.Errorf("nobody did %q", line)
		}
	}
}
