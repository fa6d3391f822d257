package link_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/filigreehq/filigree/pkg/rpc"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/link"
)

// auditor keeps what links tell it.
type auditor struct {
	observerv1.UnimplementedObserverServiceServer

	mu    sync.Mutex
	lines []string
}

func (a *auditor) RecordAccess(_ context.Context, req *observerv1.RecordAccessRequest) (*observerv1.RecordAccessResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range req.GetLines() {
		a.lines = append(a.lines, l.GetSubject()+" "+l.GetAction()+" "+l.GetObject())
	}
	return &observerv1.RecordAccessResponse{}, nil
}

func TestEachViewAndDownloadIsInTheAuditOnce(t *testing.T) {
	t.Parallel()
	a := &auditor{}
	srv := rpc.NewServer(slog.New(slog.DiscardHandler))
	observerv1.RegisterObserverServiceServer(srv, a)
	connect, stop := rpc.InProcess(srv)
	t.Cleanup(stop)
	conn, err := connect("link")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	w := newWorld(t, func(_ *link.Config, d *link.Deps) { d.Observer = conn })
	w.create(w.request(1, []byte("%PDF-1.7 one")))
	path := w.path("d1.r1")
	for range 3 {
		s := w.openAsApp(w.a.http.URL, path)
		newBrowser(t).do("GET", s.Documents[0].URL, "", "Authorization", "Bearer "+s.Session)
		newBrowser(t).do("HEAD", s.Documents[0].URL, "", "Authorization", "Bearer "+s.Session) // it shows nothing
		newBrowser(t).do("GET", s.Documents[0].URL, "")                                        // not let in
	}
	newBrowser(t).do("GET", w.a.http.URL+path, "") // a page with a button is no view
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	w.a.TellAudit(ended)
	w.b.TellAudit(ended)
	slices.Sort(a.lines)
	want := slices.Concat(slices.Repeat([]string{"link:d1.r1 link.download d1.r1"}, 3), slices.Repeat([]string{"link:d1.r1 link.view d1.r1"}, 3))
	if !slices.Equal(a.lines, want) {
		t.Errorf("told %q, want %q", a.lines, want)
	}
}
