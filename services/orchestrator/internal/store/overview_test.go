package store_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// Pages of open distributions together are all of them, each once, whatever their size and the number of shards, also where many
// were accepted in one moment.
func TestUnendedByPages(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := redistest.New(t)
	for _, shards := range []int{1, 3} {
		err := client.FlushAll(ctx).Err()
		if err != nil {
			t.Fatal(err)
		}
		st, err := store.Open(ctx, client, shards)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			id := fmt.Sprintf("D%02d", i)
			_, err := st.Create(ctx, store.New{ID: id, Production: fmt.Sprint("production-", i%7), Key: id, Hash: "h", Definition: &definition,
				Size: plan.Size{Files: 1, Recipients: 1}, Spec: []byte("{}"), Recipients: []store.Recipient{{Name: "a", Email: "a@example.com"}}})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, most := range []int{1, 2, 7, 39, 40, 100} {
			var got []string
			for place, page := "", 0; ; page++ {
				all, next, err := st.UnendedAfter(ctx, place, most)
				if err != nil {
					t.Fatal(err)
				}
				if len(all) > most || page > 100 {
					t.Fatalf("page %d has %d, want at most %d", page, len(all), most)
				}
				for _, d := range all {
					got = append(got, d.ID)
				}
				place = next
				if place == "" {
					break
				}
			}
			slices.Sort(got)
			if len(got) != 40 || len(slices.Compact(got)) != 40 {
				t.Errorf("%d shards by pages of %d: got %v, want each of 40 once", shards, most, got)
			}
		}
		_, _, err = st.UnendedAfter(ctx, "nonsense", 1)
		if err == nil {
			t.Error("a place that is none is taken")
		}
	}
}
