package orchestrator_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/services/orchestrator"
)

// A production that queues a great many items keeps neither another one's small distribution waiting nor its own.
//
// The promise is 1.5 times what it takes alone and 250 ms, by p95; with FILIGREE_FLOOD=20000 that is what is wanted.
// The small size, which runs beside other tests on busy machines, wants three times and a second.
func TestSmallOnesBesideAFlood(t *testing.T) {
	items := size(t, "FILIGREE_FLOOD", 2000)
	count, factor, more := 10, 3.0, time.Second
	if items >= 20_000 {
		count, factor, more = 50, 1.5, 250*time.Millisecond
	} else {
		t.Parallel()
	}
	s := newStudio(t, 2, orchestrator.Config{})
	s.define(step("flood", ""))
	for w := range 2 {
		s.work(fmt.Sprint("worker", string(rune('a'+w)), "x"[:w]), 2, map[string]handler{"test.Work": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
			spend(ctx, 8*time.Millisecond)
			return &structpb.Struct{}, nil
		}})
	}
	big := ""
	flood := func() {
		if big == "" || ended(s.get("flooding", big)) {
			big = s.create("flooding", "flood", items/200, 200)
			s.await("a start of the flood", func() bool { return s.get("flooding", big).GetItems().GetDone() > 0 })
		}
	}
	small := func(production string, before func()) time.Duration {
		var took []time.Duration
		for range count {
			before()
			begin := time.Now()
			s.ended(production, s.create(production, "flood", 1, 5))
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		return took[(len(took)*95+99)/100-1]
	}
	alone := small("other", func() {})
	own, other := small("flooding", flood), small("other", flood)
	allowed := time.Duration(factor*float64(alone)) + more
	t.Logf("p95 of %d: %s alone; beside %d items %s in the production that queued them, %s in another; %s allowed", count, alone, items, own, other, allowed)
	if own > allowed || other > allowed {
		t.Errorf("want at most %s", allowed)
	}
}
