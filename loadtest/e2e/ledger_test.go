package e2e_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

const slowly = `name: slowly
version: 1
steps:
  - name: open
    scope: file
    function: example.Open
    with: {n: file.sha256}
  - name: linger
    scope: item
    function: example.Linger
    needs: [open]
    limits: [desk]
    with: {n: item.id}
`

// Delays that were put in are found in the ledger, each where it is, within 5 %, and the parts are the whole.
func TestDelaysAreFoundInTheLedger(t *testing.T) { // alone: what others do beside it is a delay, too
	s := start(t, "--worker-addr", "127.0.0.1:0")
	sys := s.system()
	admin, oncall := sys.api("admin"), sys.api("oncall")
	source, err := json.Marshal(map[string]string{"source": slowly})
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.do(http.MethodPost, "/v1/definitions", source, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = oncall.do(http.MethodPut, "/v1/productions/default/limits/desk", []byte(`{"limit":{"name":"desk","concurrency":1}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := rpc.Dial(s.workerAddr(), "worker", "orchestrator", rpc.TLS{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	const service = 3 * time.Second
	type words struct {
		N string `json:"n"`
	}
	w := worker.Over(worker.Config{Name: "lingerer", Slots: 4}, conn, slog.New(slog.DiscardHandler),
		worker.JSON("example.Open", func(_ context.Context, in words) (words, error) { return in, nil }),
		worker.JSON("example.Linger", func(ctx context.Context, in words) (words, error) {
			pause := time.NewTimer(service)
			defer pause.Stop()
			select {
			case <-ctx.Done():
				return in, ctx.Err()
			case <-pause.C:
			}
			return in, worker.Checkpoint(ctx, "done")
		}))
	ctx, stop := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = w.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-gone })

	docs, _ := sampleDocuments(t)
	c := sys.api("coordinator")
	_, id := order(t, c, docs[:1], &distributionv1.CreateDistributionRequest{Recipients: crowd(3), Definition: "slowly"})
	d := c.ended(t, id, 2*time.Minute)
	if d.GetState() != "completed" {
		t.Fatalf("it is %s", d.GetState())
	}
	resp := &observerv1.GetLedgerResponse{}
	err = oncall.get("/distributions/"+id+"/ledger", resp)
	if err != nil {
		t.Fatal(err)
	}
	l := resp.GetLedger()
	whole := d.GetEndedAt().AsTime().Sub(d.GetCreatedAt().AsTime())
	at, sum := d.GetCreatedAt().AsTime(), time.Duration(0)
	got := map[string]time.Duration{}
	for _, p := range l.GetParts() {
		if !p.GetFrom().AsTime().Equal(at) {
			t.Errorf("a part begins at %v, and the one before ended at %v", p.GetFrom().AsTime(), at)
		}
		at = p.GetUntil().AsTime()
		took := at.Sub(p.GetFrom().AsTime())
		sum += took
		got[p.GetStep()+" "+p.GetKind()] += took
	}
	if sum != whole {
		t.Errorf("the parts are %v, the whole is %v", sum, whole)
	}
	// The one that came last stood at the desk while two others had it.
	for what, want := range map[string]time.Duration{"linger service": service, "linger limit": 2 * service} {
		if d := got[what]; d < want*95/100 || d > want*105/100+300*time.Millisecond {
			t.Errorf("%s is %v, want %v; %v", what, d, want, got)
		}
	}
	if l.GetSentence() == "" || len(l.GetSums()) == 0 {
		t.Errorf("it says nothing: %v", l)
	}
	t.Logf("%s\n%v", l.GetSentence(), got)
}
