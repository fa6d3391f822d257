package orchestrator_test

import (
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// keptFor is how long an idempotency key is promised to be kept.
const keptFor = 24 * time.Hour

// A key is kept for longer than is promised, by Redis's clock alone: its record ends by itself, a repeat does not prolong it,
// and until the moment when it ends the key finds what it made; after it, it makes another.
func TestAKeyIsKeptByRedissClock(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 2, orchestrator.Config{})
	s.define(step("quota", ""))
	first, err := s.tryCreate(0, "one", "k", 1)
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.redis.Keys(t.Context(), "{*}:idem:one:*").Result()
	if err != nil || len(records) != 1 {
		t.Fatalf("records of keys: %v, %v; want one", records, err)
	}
	left := func() time.Duration {
		t.Helper()
		d, err := s.redis.PTTL(t.Context(), records[0]).Result()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if left() < keptFor {
		t.Fatalf("the key is kept for %s, want %s at least", left(), keptFor)
	}
	// A day and more have passed: it is a few seconds from its end. A repeat finds the first and changes nothing of that.
	ends := time.Now().Add(5 * time.Second)
	ok, err := s.redis.PExpireAt(t.Context(), records[0], ends).Result()
	if err != nil || !ok {
		t.Fatalf("to put the record near its end: %v, %v", ok, err)
	}
	again, err := s.tryCreate(1, "one", "k", 1)
	if time.Now().Before(ends.Add(-time.Second)) {
		if err != nil || again != first {
			t.Errorf("a second before its end the key finds %s, %v; want %s", again, err, first)
		}
		if left() > 6*time.Second {
			t.Errorf("a repeat prolonged the key to %s", left())
		}
	}
	// A second after it.
	s.within(time.Minute, "the end of the key", func() bool { return left() < 0 })
	late, err := s.tryCreate(0, "one", "k", 1)
	if err != nil || late == first {
		t.Errorf("after its end the key finds %s, %v; want another than %s", late, err, first)
	}
	// What it made anew is kept as long again, and another request by it is refused.
	if left() < keptFor {
		t.Errorf("the key is kept for %s, want %s at least", left(), keptFor)
	}
	_, err = s.tryCreate(0, "one", "k", 2)
	if fault.From(err) == nil || fault.From(err).Reason != "IDEMPOTENCY_CONFLICT" {
		t.Errorf("another request by the key: %v, want a refusal", err)
	}
	// A batch's likewise.
	_, err = s.distributions[0].CreateBatch(t.Context(), &distributionv1.CreateBatchRequest{Production: "two", Operation: "pause", IdempotencyKey: "k",
		Filter: &distributionv1.BatchFilter{Title: "none"}})
	if err != nil {
		t.Fatal(err)
	}
	records, err = s.redis.Keys(t.Context(), "{*}:idem:two:*").Result()
	if err != nil || len(records) != 1 {
		t.Fatalf("records of keys: %v, %v; want one", records, err)
	}
	if left() < keptFor {
		t.Errorf("a batch's key is kept for %s, want %s at least", left(), keptFor)
	}
	t.Logf("kept for %s", left().Round(time.Minute))
}
