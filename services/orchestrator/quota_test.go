package orchestrator_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/pkg/fault"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// quota sets one, or, with neither, that of all productions.
func (s *studio) quota(production string, items, minute *int32) {
	s.t.Helper()
	_, err := s.control.SetQuota(s.t.Context(), &controlv1.SetQuotaRequest{Production: production, Quota: &controlv1.Quota{OpenItems: items, PerMinute: minute}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// used is what a production uses of its quota.
func (s *studio) used(production string) *controlv1.Quota {
	s.t.Helper()
	resp, err := s.control.GetQuota(s.t.Context(), &controlv1.GetQuotaRequest{Production: production})
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.GetQuota()
}

// tryCreate is create that may be refused.
func (s *studio) tryCreate(n int, production, key string, recipients int) (string, error) {
	req := request(1, recipients)
	req.Production, req.Definition, req.IdempotencyKey = production, "quota", key
	resp, err := s.distributions[n%len(s.distributions)].CreateDistribution(s.t.Context(), req)
	return resp.GetDistribution().GetId(), err
}

// refusedBy checks that err is a refusal by a quota that says what, how much, and when again.
func refusedBy(t *testing.T, err error, reason string, says ...string) {
	t.Helper()
	f := fault.From(err)
	if f == nil || f.Kind != fault.Exhausted || f.Reason != reason || f.RetryAfter < time.Second || f.RetryAfter > time.Minute {
		t.Fatalf("got %v, want a refusal as %s that says when to come again", err, reason)
	}
	for _, words := range append(says, "nothing was created", "raise the quota") {
		if !strings.Contains(f.Message, words) {
			t.Errorf("%q does not say %q", f.Message, words)
		}
	}
}

// Whatever asks at once, by two orchestrators, no more is open than the quota says, and of what was refused nothing is kept.
func TestQuotaOfOpenItems(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 2, orchestrator.Config{MaxOpenItems: 9})
	s.define(step("quota", ""))
	_, err := s.tryCreate(0, "as-all", "k", 10)
	refusedBy(t, err, "QUOTA_OPEN_ITEMS", "9 items open", "has 0", "these 10", "fewer at a time")
	s.quota("one", new(int32(20)), nil)
	var mu sync.Mutex
	made := map[string]string{} // id by key
	var refusals []error
	var all sync.WaitGroup
	for n := range 100 {
		all.Go(func() {
			key := fmt.Sprint("key", n)
			id, err := s.tryCreate(n, "one", key, 2)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refusals = append(refusals, err)
			} else {
				made[key] = id
			}
		})
	}
	all.Wait()
	if len(made) != 10 || len(refusals) != 90 {
		t.Fatalf("%d were created and %d refused, want 10 and 90: 20 items of 2 each", len(made), len(refusals))
	}
	for _, err := range refusals {
		refusedBy(t, err, "QUOTA_OPEN_ITEMS", `"one" may have 20 items open and has 20`, "these 2", "Wait until some have ended")
	}
	// Many recipients are stored before the rest.
	_, err = s.tryCreate(0, "one", "many", 150)
	refusedBy(t, err, "QUOTA_OPEN_ITEMS", "these 150")
	for _, of := range []string{"d", "to", "spec", "ev", "idem"} {
		keys, err := s.redis.Keys(t.Context(), "{*}:"+of+":*").Result()
		if err != nil || len(keys) != len(made) {
			t.Errorf("there are %d keys of the kind %q, want %d, of what was created: %v", len(keys), of, len(made), err)
		}
	}
	// Who was answered is answered so again; others are not concerned.
	for key, id := range made {
		again, err := s.tryCreate(1, "one", key, 2)
		if err != nil || again != id {
			t.Errorf("the request %s again: %s, %v; want %s", key, again, err, id)
		}
	}
	_, err = s.tryCreate(1, "another", "k", 9)
	if err != nil {
		t.Errorf("another production's: %v", err)
	}
	// What ends makes room, what is asked for again takes it, even where there is none.
	s.work("hand", 8, map[string]handler{"test.Work": func(context.Context, *structpb.Struct) (*structpb.Struct, error) {
		return nil, fault.New(fault.Invalid, "NO", "no")
	}})
	again := ""
	for _, id := range made {
		again = id
		s.ended("one", id)
	}
	if got := s.used("one"); got.GetItemsOpen() != 0 || got.GetMostOpenItems() != 20 || got.GetOpenItems() != 20 || got.GetMostPerMinute() != 6000 || got.PerMinute != nil {
		t.Errorf("all have ended, and the quota is %v", got)
	}
	_, err = s.control.PauseProduction(t.Context(), &controlv1.PauseProductionRequest{Production: "one"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.tryCreate(0, "one", "whole", 20)
	if err != nil {
		t.Fatalf("all have ended: %v", err)
	}
	_, err = s.distributions[1].RetryDistribution(t.Context(), &distributionv1.RetryDistributionRequest{Production: "one", Distribution: again})
	if err != nil {
		t.Fatal(err)
	}
	s.await("a retry that counts", func() bool { return s.used("one").GetItemsOpen() == 22 })
	s.quota("one", new(int32(0)), nil)
	_, err = s.tryCreate(0, "one", "any number", 100)
	if err != nil {
		t.Errorf("0 is any number: %v", err)
	}
	s.quota("one", nil, nil)
	_, err = s.tryCreate(1, "one", "as all", 1)
	refusedBy(t, err, "QUOTA_OPEN_ITEMS", "9 items open", "has 122")
	_, err = s.control.ResumeProduction(t.Context(), &controlv1.ResumeProductionRequest{Production: "one"})
	if err != nil {
		t.Fatal(err)
	}
	s.ended("one", id)
	s.await("nothing open", func() bool { return s.used("one").GetItemsOpen() == 0 })
}

// No minute sees more distributions than the quota says, whoever asks at once, and it says when the next may come.
func TestQuotaOfAMinute(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 2, orchestrator.Config{MaxPerMinute: 7})
	s.define(step("quota", ""))
	var mu sync.Mutex
	made := 0
	var refusals []error
	var all sync.WaitGroup
	begin := time.Now()
	for n := range 50 {
		all.Go(func() {
			_, err := s.tryCreate(n, "one", fmt.Sprint("key", n), 1)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refusals = append(refusals, err)
			} else {
				made++
			}
		})
	}
	all.Wait()
	if time.Since(begin) < time.Minute && (made != 7 || len(refusals) != 43) {
		t.Fatalf("%d were created and %d refused, want 7 and 43", made, len(refusals))
	}
	for _, err := range refusals {
		refusedBy(t, err, "QUOTA_RATE", "7 distributions a minute")
	}
	if got := s.used("one"); got.GetLastMinute() != 7 || got.GetMostPerMinute() != 7 {
		t.Errorf("the quota is %v, want 7 of 7", got)
	}
	// The oldest is of more than a minute ago, by Redis's clock: one more may come, and no second.
	keys, err := s.redis.Keys(t.Context(), "{*}:p:one").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("the production's list: %v, %v", keys, err)
	}
	oldest, err := s.redis.ZRangeWithScores(t.Context(), keys[0], 0, 0).Result()
	if err != nil {
		t.Fatal(err)
	}
	err = s.redis.ZIncrBy(t.Context(), keys[0], -60_000, oldest[0].Member.(string)).Err()
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.tryCreate(0, "one", "later", 1)
	if err != nil {
		t.Errorf("a minute later: %v", err)
	}
	if time.Since(begin) < time.Minute {
		_, err = s.tryCreate(1, "one", "too early", 1)
		refusedBy(t, err, "QUOTA_RATE", "7 distributions a minute")
	}
	s.quota("one", nil, new(int32(9)))
	_, err = s.tryCreate(0, "one", "raised", 1)
	if err != nil {
		t.Errorf("after the quota was raised: %v", err)
	}
}

// A distribution that a step starts belongs to what was accepted: it counts, and waits for no quota that its parent fills.
func TestWhatStepsStartIsNotRefused(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{MaxOpenItems: 2, MaxPerMinute: 1})
	s.define(step("quota", ""))
	s.define(`name: starts
version: 1
steps:
  - name: child
    scope: distribution
    starts: true
    with: {definition: "'quota'"}
`)
	s.work("hand", 8, map[string]handler{"test.Work": func(context.Context, *structpb.Struct) (*structpb.Struct, error) { return &structpb.Struct{}, nil }})
	id := s.create("one", "starts", 1, 2)
	d := s.ended("one", id)
	if d.GetState() != "completed" {
		t.Errorf("it ended %s", d.GetState())
	}
	if got := s.used("one"); got.GetItemsOpen() != 0 || got.GetLastMinute() != 2 {
		t.Errorf("the quota is %v, want the child counted, and nothing open", got)
	}
}
