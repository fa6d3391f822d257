package store_test

import (
	"fmt"
	"testing"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// Whatever the number of shards, one claim looks at all of them.
func TestEveryShardIsServed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := redistest.New(t)
	for shards := 1; shards <= 4; shards++ {
		err := client.FlushAll(ctx).Err()
		if err != nil {
			t.Fatal(err)
		}
		st, err := store.Open(ctx, client, shards)
		if err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			const productions = 12
			for p := range productions {
				id := fmt.Sprintf("D%d.%d", round, p)
				create(t, st, store.New{ID: id, Production: fmt.Sprintf("production-%d", p), Key: id, Hash: "h", Definition: &definition,
					Size: plan.Size{Files: 1, Recipients: 1}, Spec: []byte("{}"), Recipients: []store.Recipient{{Name: "a", Email: "a@example.com"}}})
			}
			got, err := st.Claim(ctx, "w", functions, 100)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != productions {
				t.Errorf("with %d shards %d of %d ready steps were handed out", shards, len(got), productions)
			}
		}
	}
}

// create stores a distribution and lays it out.
func create(t *testing.T, st *store.Store, n store.New) {
	t.Helper()
	_, err := st.Create(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	g, err := store.NewGraph(n.Definition, n.ID, store.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	chores, err := st.Chores(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chores {
		for c.Distribution == n.ID {
			next, err := st.Layout(t.Context(), c, g, n.Size, nil)
			if err != nil {
				t.Fatal(err)
			}
			if next == "" {
				break
			}
			c.Cursor = next
		}
	}
}
