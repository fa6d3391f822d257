package observer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer"
)

// events is all events of a distribution in pages of size, each with what its page's token was.
func events(t *testing.T, from distributionv1.DistributionServiceClient, id string, size int32) (out []string) {
	t.Helper()
	for token, more := "", true; more; more = token != "" {
		r, err := from.ListEvents(t.Context(), &distributionv1.ListEventsRequest{Production: "default", Distribution: id, PageSize: size, PageToken: token})
		if err != nil {
			t.Fatalf("%s after %q: %v", id, token, err)
		}
		if r.GetNextPageToken() != "" && len(r.GetEvents()) != int(size) {
			t.Fatalf("a page of %d has %d events, and others come", size, len(r.GetEvents()))
		}
		for _, e := range r.GetEvents() {
			raw, err := protojson.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, strings.ReplaceAll(string(raw), ": ", ":"))
		}
		token = r.GetNextPageToken()
		out = append(out, "page "+token)
	}
	return out
}

// stream is the key of a distribution's events.
func (w *world) stream(id string) string {
	w.t.Helper()
	keys, err := w.redis.Client.Keys(w.t.Context(), "*:ev:"+id).Result()
	if err != nil || len(keys) != 1 {
		w.t.Fatalf("streams of %s: %v, %v", id, keys, err)
	}
	return keys[0]
}

// trimmed waits until the records have none of the events.
func (w *world) trimmed(id string) {
	w.t.Helper()
	key := w.stream(id)
	n := int64(0)
	w.until(func() bool { n = w.redis.Client.XLen(w.t.Context(), key).Val(); return n == 0 }, func() any { return fmt.Sprint(n, " events are left") })
}

// unseen waits until a distribution has ended, as the orchestrator sees it.
func (w *world) unseen(id string) {
	w.t.Helper()
	w.until(func() bool {
		r, err := w.distributions.GetDistribution(w.t.Context(), &distributionv1.GetDistributionRequest{Production: "default", Distribution: id})
		return err == nil && r.GetDistribution().GetEndedAt() != nil
	}, func() any { return id })
}

func TestEventsReadOnFromTheArchiveWithoutASeam(t *testing.T) {
	t.Parallel()
	b := blobs(t)
	keep := func(d *observer.Deps) { d.Blobs = b }
	w := newWorld(t, keep)
	w.stopObserver()
	w.stamp = failing(".2.3")
	stop := w.work("w1")
	id := w.create("default", 2, 7)
	w.unseen(id)
	sizes := []int32{1, 2, 5, 1000}
	before := map[int32][]string{}
	for _, size := range sizes {
		before[size] = events(t, w.distributions, id, size)
	}
	same := func(when string, want map[int32][]string) {
		t.Helper()
		for _, size := range sizes {
			got := events(t, w.seen, id, size)
			if !slices.Equal(got, want[size]) {
				t.Errorf("%s, in pages of %d, there are\n%s\nand were\n%s", when, size, strings.Join(got, "\n"), strings.Join(want[size], "\n"))
			}
		}
	}
	w.startObserver(keep)
	w.trimmed(id)
	same("archived", before)
	_, err := w.distributions.ListEvents(t.Context(), &distributionv1.ListEventsRequest{Production: "default", Distribution: id})
	if fault.From(err).Reason != "EVENTS_ARCHIVED" || !fault.Transient(err) {
		t.Errorf("the orchestrator answers %v", err)
	}
	size, err := w.redis.Client.MemoryUsage(t.Context(), w.stream(id)).Result()
	if err != nil || size > 512 {
		t.Errorf("the stream that is left takes %d bytes, %v", size, err)
	}

	// Something happens after that: a link's view, a bounce.
	late, err := w.redis.Client.XAdd(t.Context(), &redis.XAddArgs{Stream: w.stream(id), Values: []any{"k", "viewed", "u", "r1"}}).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range sizes {
		got := events(t, w.seen, id, size)
		if n := len(got); !strings.Contains(strings.Join(got[n-3:], ""), late) || strings.Count(strings.Join(got, ""), `"id":`) != strings.Count(strings.Join(before[size], ""), `"id":`)+1 {
			t.Errorf("in pages of %d the late event is not the last of\n%s", size, strings.Join(got, "\n"))
		}
		before[size] = got
	}
	// It is archived, too.
	w.stopObserver()
	w.startObserver(keep)
	w.trimmed(id)
	same("with what came late", before)
	if got := segments(t, b, "default", id); len(got) != 2 {
		t.Errorf("segments %v, want 2", got)
	}

	// It runs again: archived events, and then those of now.
	stop()
	w.stamp = failing()
	_, err = w.distributions.RetryDistribution(t.Context(), &distributionv1.RetryDistributionRequest{Production: "default", Distribution: id})
	if err != nil {
		t.Fatal(err)
	}
	got := events(t, w.seen, id, 1000)
	if text := strings.Join(got, ""); !strings.Contains(text, `"accepted"`) || !strings.Contains(text, `"retry_requested"`) {
		t.Errorf("while it runs again there are\n%s", strings.Join(got, "\n"))
	}
	w.work("w2")
	w.until(func() bool { return w.get("default", id).GetState() == "completed" }, func() any { return w.get("default", id) })
	w.trimmed(id)
	for _, size := range sizes {
		before[size] = events(t, w.seen, id, size)
	}
	text := strings.Join(before[1000], "")
	if strings.Count(text, `"kind":"accepted"`) != 1 || strings.Count(text, `"kind":"ended"`) != 2 || strings.Count(text, `"viewed"`) != 1 {
		t.Errorf("there are\n%s", strings.Join(before[1000], "\n"))
	}
	w.replayed(id)

	watched, cursor := w.watch(id, "")
	if len(watched) != 1 {
		t.Fatalf("who watches what has ended is sent %d messages", len(watched))
	}
	w.forget("default", id)
	same("forgotten", before)
	after, again := w.watch(id, "")
	if len(after) != 1 || again != cursor || after[0] != watched[0] {
		t.Errorf("who watches what is forgotten is sent %v after %s, and before %v after %s", after, again, watched, cursor)
	}
	after, _ = w.watch(id, cursor)
	if len(after) != 0 {
		t.Errorf("who has seen all is sent %v", after)
	}
}

// watch is what is sent to whoever watches, to its end, and the last cursor.
func (w *world) watch(id, after string) (out []string, cursor string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	stream, err := w.seen.WatchDistribution(ctx, &distributionv1.WatchDistributionRequest{Production: "default", Distribution: id, After: after})
	for err == nil {
		var m *distributionv1.WatchDistributionResponse
		m, err = stream.Recv()
		if err == nil {
			raw, errJSON := protojson.Marshal(m.GetDistribution())
			if errJSON != nil {
				w.t.Fatal(errJSON)
			}
			out, cursor = append(out, strings.ReplaceAll(string(raw), ": ", ":")), m.GetCursor()
		}
	}
	if !errors.Is(err, io.EOF) {
		w.t.Fatal(err)
	}
	return out, cursor
}

// What an archive that cannot be written or told of costs is time: the events stay meanwhile.
func TestEventsStayWhileTheOrchestratorIsAway(t *testing.T) {
	t.Parallel()
	b := blobs(t)
	w := newWorld(t, func(d *observer.Deps) { d.Blobs = b })
	w.stopObserver()
	w.work("w1")
	id := w.create("default", 1, 2)
	w.unseen(id)
	n := w.redis.Client.XLen(t.Context(), w.stream(id)).Val()
	w.stopOrchestrator()
	w.startObserver(func(d *observer.Deps) { d.Blobs = b })
	w.archived(b, "default", 1, id)
	if left := w.redis.Client.XLen(t.Context(), w.stream(id)).Val(); left != n {
		t.Errorf("%d events of %d are left", left, n)
	}
	w.stopObserver()
	w.startOrchestrator()
	w.startObserver(func(d *observer.Deps) { d.Blobs = b })
	w.trimmed(id)
	if got := segments(t, b, "default", id); len(got) != 1 {
		t.Errorf("segments %v", got)
	}
}
