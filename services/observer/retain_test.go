package observer_test

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/former"
	"github.com/filigreehq/filigree/pkg/worker"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer"
)

var logOf = regexp.MustCompile(`,"log":\[[^\]]*\]`)

// stored says which blobs under a prefix there are.
func stored(t *testing.T, b *blob.Bucket, prefix string) []string {
	t.Helper()
	keys, err := b.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// What was kept for as long as its production says is gone: log lines, then copies, then all but the figures by week. Of
// productions for which nothing is said all stays.
func TestRetention(t *testing.T) {
	t.Parallel()
	b := blobs(t)
	w := newWorld(t, nil)
	w.stopObserver()
	at := func(later time.Duration) func(*observer.Deps) {
		return func(d *observer.Deps) { d.Blobs, d.Now = b, func() time.Time { return time.Now().Add(later) } }
	}
	w.keep = observer.Config{
		KeepLogs:     map[string]time.Duration{"default": time.Hour},
		KeepCopies:   map[string]time.Duration{"*": 3 * time.Hour, "other": 0},
		KeepArchives: map[string]time.Duration{"default": 5 * time.Hour},
	}
	w.startObserver(at(0))
	w.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		worker.Log(ctx).InfoContext(ctx, "handed over to the relay", "to", r.GetTo().GetEmail())
		return &emailv1.SendResponse{MessageId: "<" + r.GetDelivery() + ">", Reply: "250 ok"}, nil
	}
	w.work("w1")
	id, other := w.create("default", 2, 2), w.create("other", 1, 1)
	copies := map[string]string{}
	for _, item := range []string{".1.1", ".1.2", ".2.1", ".2.2"} {
		copies[item] = "art/default/" + id + item
	}
	for _, key := range append(slices.Collect(maps.Values(copies)), "art/default/t"+id+".1.1", "art/default/"+other+".1.1") {
		_, _, err := b.Create(t.Context(), key, "application/pdf", strings.NewReader("%PDF"))
		if err != nil {
			t.Fatal(err)
		}
	}
	w.ended("default", id)
	w.ended("other", other)
	w.archived(b, "default", 1, id)
	w.archived(b, "other", 1, other)
	before, beforeOther := w.reading("default", id, 100), w.reading("other", other, 100)
	if !strings.Contains(before, "handed over to the relay") || !logOf.MatchString(before) {
		t.Fatalf("no line of a log in\n%s", before)
	}

	w.stopObserver()
	w.startObserver(at(2 * time.Hour))
	w.until(func() bool { return !strings.Contains(w.reading("default", id, 100), "handed over") }, func() any { return w.reading("default", id, 100) })
	if after := w.reading("default", id, 100); after != logOf.ReplaceAllString(before, "") {
		t.Errorf("without log lines it reads\n%s\nand read before\n%s", after, before)
	}
	if n := len(stored(t, b, "art/default/"+id)); n != len(copies) {
		t.Errorf("%d copies are there of %d that are to be kept for another hour", n, len(copies))
	}

	// The records have it still, so it stays, whatever its time.
	w.stopObserver()
	w.startObserver(at(6 * time.Hour))
	w.until(func() bool { return !slices.Contains(stored(t, b, "art/default/"+id), copies[".2.2"]) }, func() any { return stored(t, b, "art/") })
	want := []string{"art/default/" + other + ".1.1"}
	for _, key := range copies {
		want = append(want, key+".gone")
	}
	slices.Sort(want)
	if got := stored(t, b, "art/default/"); !slices.Equal(got, want) {
		t.Errorf("copies that are there: %v, want that of the production for which nothing is said, and of others whose they were: %v", got, want)
	}
	whose, err := former.Read(t.Context(), b, copies[".2.1"])
	if err != nil || whose.Item != id+".2.1" || whose.Name != "Person 1" || whose.Email != "p1@example.com" || whose.Distribution != id {
		t.Errorf("it is told of a copy that it was %v, %v", whose, err)
	}
	if after := w.reading("default", id, 100); after != logOf.ReplaceAllString(before, "") {
		t.Errorf("what the records have was forgotten:\n%s", after)
	}
	if len(segments(t, b, "default", id)) != 1 {
		t.Errorf("archived: %v", segments(t, b, "default", id))
	}

	w.forget("default", id)
	w.until(func() bool { return len(segments(t, b, "default", id)) == 0 }, func() any { return segments(t, b, "default", id) })
	w.until(func() bool { return len(w.listed("default", 100)) == 0 }, func() any { return w.listed("default", 100) })
	_, err = w.seen.GetDistribution(t.Context(), &distributionv1.GetDistributionRequest{Production: "default", Distribution: id})
	if fault.From(err).Reason != "DISTRIBUTION_UNKNOWN" {
		t.Errorf("what is kept no longer reads as %v", err)
	}
	for _, query := range []string{"Person 2", "p2@example.com", id, "Pages"} {
		found, err := w.observer.Search(t.Context(), &observerv1.SearchRequest{Query: query, Production: "default"})
		if err != nil || len(found.GetHits()) != 0 {
			t.Errorf("%q finds %v, %v", query, found.GetHits(), err)
		}
	}
	weeks, err := w.observer.GetHistory(t.Context(), &observerv1.GetHistoryRequest{Production: "default"})
	if err != nil || len(weeks.GetWeeks()) != 1 || weeks.GetWeeks()[0].GetItems() != 4 {
		t.Errorf("figures by week: %v, %v", weeks, err)
	}
	if after := w.reading("other", other, 100); after != beforeOther {
		t.Errorf("the other production's reads\n%s\nand read before\n%s", after, beforeOther)
	}
}

// A copy is found when the orchestrator has forgotten its distribution, the one that was made last.
func TestCopiesAreFoundThroughTheArchive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.work("w1")
	id := w.create("default", 2, 1)
	w.ended("default", id)
	get := func(item string, thumbnail bool, from distributionv1.DistributionServiceClient) (string, error) {
		got, err := from.GetArtifact(t.Context(), &distributionv1.GetArtifactRequest{Production: "default", Distribution: id, Item: item, Thumbnail: thumbnail})
		raw, _ := json.Marshal(got) // of a message of plain fields
		return string(raw), err
	}
	want := map[bool]string{}
	for _, thumbnail := range []bool{false, true} {
		got, err := get(id+".2.1", thumbnail, w.distributions)
		if err != nil {
			t.Fatal(err)
		}
		want[thumbnail] = got
	}
	w.until(func() bool { _, err := get(id+".2.1", false, w.seen); return err == nil }, func() any { _, err := get(id+".2.1", false, w.seen); return err })
	w.forget("default", id)
	for _, thumbnail := range []bool{false, true} {
		got, err := get(id+".2.1", thumbnail, w.seen)
		if err != nil || got != want[thumbnail] {
			t.Errorf("thumbnail %t: %s, %v; want %s", thumbnail, got, err, want[thumbnail])
		}
	}
	for item, reason := range map[string]string{id + ".3.1": "ARTIFACT_MISSING", "nonsense": "ITEM_UNKNOWN"} {
		_, err := get(item, false, w.seen)
		if fault.From(err).Reason != reason {
			t.Errorf("%s: %v, want %s", item, err, reason)
		}
	}
}

func TestKeepingForTooShortATimeIsRefused(t *testing.T) {
	t.Parallel()
	for _, cfg := range []observer.Config{
		{KeepLogs: map[string]time.Duration{"default": time.Minute}},
		{KeepCopies: map[string]time.Duration{"*": -time.Hour}},
		{KeepArchives: map[string]time.Duration{"a": time.Second}},
	} {
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), "want at least 1h, or 0 for ever") {
			t.Errorf("%v: %v", cfg, err)
		}
	}
	err := observer.Config{KeepLogs: map[string]time.Duration{"default": 0, "*": time.Hour}}.Validate()
	if err != nil {
		t.Error(err)
	}
}

// What runs again needs its copies, however long ago it ended; when it has ended anew its time is over.
func TestWhatRunsAgainKeepsItsCopies(t *testing.T) {
	t.Parallel()
	b := blobs(t)
	w := newWorld(t, nil)
	w.stopObserver()
	w.keep = observer.Config{KeepCopies: map[string]time.Duration{"*": time.Hour}}
	at := func(later time.Duration) func(*observer.Deps) {
		return func(d *observer.Deps) { d.Blobs, d.Now = b, func() time.Time { return time.Now().Add(later) } }
	}
	w.startObserver(at(0))
	w.stamp = failing(".1.2")
	stop := w.work("w1")
	end := func(people int) (id, key string) {
		id = w.create("default", 1, people)
		key = "art/default/" + id + ".1.1"
		_, _, err := b.Create(t.Context(), key, "application/pdf", strings.NewReader("%PDF"))
		if err != nil {
			t.Fatal(err)
		}
		w.ended("default", id)
		w.archived(b, "default", 1, id)
		return id, key
	}
	again, needed := end(2) // the first to end is looked at first
	_, other := end(1)
	stop()
	_, err := w.distributions.RetryDistribution(t.Context(), &distributionv1.RetryDistributionRequest{Production: "default", Distribution: again})
	if err != nil {
		t.Fatal(err)
	}
	there := func(key string) bool {
		ok, err := b.Exists(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	w.stopObserver()
	w.startObserver(at(2 * time.Hour))
	w.until(func() bool { return !there(other) }, func() any { return stored(t, b, "art/default/") })
	if !there(needed) {
		t.Error("a copy of what runs again is gone")
	}
	w.stamp = failing()
	w.work("w2")
	w.until(func() bool { return !there(needed) }, func() any { return w.get("default", again) })
}
