package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// A production that comes back into a function's turns has neither saved up turns nor lost those that it took: after a sweep
// and after a pause as after any step that becomes ready.
func TestTurnsOutliveSweepAndPause(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := redistest.New(t)
	st, err := store.Open(ctx, client, 1)
	if err != nil {
		t.Fatal(err)
	}
	d := plan.Definition{Name: "one", Version: 1, Steps: []plan.Step{
		{Name: "make", Scope: plan.ScopeItem, Function: "f.Make", Retry: plan.Retry{Attempts: 1}},
	}}
	size := plan.Size{Files: 1, Recipients: 20}
	g, err := store.NewGraph(&d, "D1", store.Rules{Join: plan.JoinAll})
	if err != nil {
		t.Fatal(err)
	}
	n := store.New{ID: "D1", Production: "p", Key: "k", Hash: "h", Definition: &d, Size: size, Spec: []byte("{}")}
	for i := range size.Recipients {
		n.Recipients = append(n.Recipients, store.Recipient{Name: fmt.Sprint(i), Email: fmt.Sprintf("%d@example.com", i)})
	}
	_, err = st.Create(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	chores, err := st.Chores(ctx) // none if it was laid out with the rest
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chores {
		_, err = st.Layout(ctx, c, g, size, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	claim := func(want int) {
		t.Helper()
		got, err := st.Claim(ctx, "w", []string{"f.Make"}, 5)
		if err != nil || len(got) != want {
			t.Fatalf("%d steps were handed out, %v, want %d", len(got), err, want)
		}
	}
	taken := func(after string, want float64) {
		t.Helper()
		got, err := client.ZScore(ctx, "{0}:f:f.Make", "p").Result()
		if err != nil || got != want {
			t.Errorf("after %s the production stands at %v, %v, want %v", after, got, err, want)
		}
	}
	claim(5)
	taken("five steps", 5)

	err = st.Hold(ctx, "p", "f.Make", true)
	if err != nil {
		t.Fatal(err)
	}
	claim(0)
	err = st.Hold(ctx, "p", "f.Make", false)
	if err != nil {
		t.Fatal(err)
	}
	taken("a pause", 5)

	claim(5)
	claim(5)
	claim(5)
	claim(0) // which finds the queue empty, and keeps what the production took
	err = client.Del(ctx, "{0}:w:w").Err()
	if err != nil {
		t.Fatal(err)
	}
	// One record says that its step is ready, and no queue has it.
	err = client.HSet(ctx, "{0}:u:D1:i1.1", "make", "ready").Err()
	if err != nil {
		t.Fatal(err)
	}
	put, err := st.Sweep(ctx, func(context.Context, string, string) (*store.Graph, plan.Size, error) { return g, size, nil })
	if err != nil || put == 0 {
		t.Fatalf("the sweep put back %d, %v", put, err)
	}
	taken("a sweep", 20)
}
