package observer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/observer"
)

// blobs opens a bucket that stays when the observer goes.
func blobs(t *testing.T) *blob.Bucket {
	t.Helper()
	b, err := blob.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// reading is everything that can be read of a distribution, as JSON, in pages of size.
func (w *world) reading(production, id string, size int32) string {
	w.t.Helper()
	var out strings.Builder
	ctx := w.t.Context()
	put := func(m proto.Message, err error) {
		if err != nil {
			w.t.Fatalf("%s: %v", id, err)
		}
		raw, err := protojson.Marshal(m)
		if err != nil {
			w.t.Fatal(err)
		}
		out.WriteString(strings.ReplaceAll(string(raw), ": ", ":") + "\n") // protojson varies its spaces
	}
	put(w.seen.GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: production, Distribution: id}))
	put(w.seen.GetDistributionGraph(ctx, &distributionv1.GetDistributionGraphRequest{Production: production, Distribution: id}))
	put(w.seen.GetDistributionGraph(ctx, &distributionv1.GetDistributionGraphRequest{Production: production, Distribution: id, Format: "dot"}))
	for _, state := range []string{"", "failed", "done"} {
		for token, more := "", true; more; more = token != "" {
			r, err := w.seen.ListItems(ctx, &distributionv1.ListItemsRequest{Production: production, Distribution: id, State: state, PageSize: size, PageToken: token})
			put(r, err)
			token = r.GetNextPageToken()
		}
	}
	for token, more := "", true; more; more = token != "" {
		r, err := w.seen.ListRecipients(ctx, &distributionv1.ListRecipientsRequest{Production: production, Distribution: id, PageSize: size, PageToken: token})
		put(r, err)
		token = r.GetNextPageToken()
	}
	for token, more := "", true; more; more = token != "" {
		r, err := w.seen.ListEvents(ctx, &distributionv1.ListEventsRequest{Production: production, Distribution: id, PageSize: size, PageToken: token})
		put(r, err)
		token = r.GetNextPageToken()
	}
	return out.String()
}

// listed is the list of a production's distributions, in pages of size.
func (w *world) listed(production string, size int32) (out []string) {
	w.t.Helper()
	for token, more := "", true; more; more = token != "" {
		r, err := w.seen.ListDistributions(w.t.Context(), &distributionv1.ListDistributionsRequest{Production: production, PageSize: size, PageToken: token})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, d := range r.GetDistributions() {
			raw, err := protojson.Marshal(d)
			if err != nil {
				w.t.Fatal(err)
			}
			out = append(out, strings.ReplaceAll(string(raw), ": ", ":"))
		}
		token = r.GetNextPageToken()
	}
	return out
}

// segments lists what is archived of distributions.
func segments(t *testing.T, b *blob.Bucket, production string, ids ...string) (out []string) {
	t.Helper()
	for _, id := range ids {
		keys, err := b.List(t.Context(), "arc/"+production+"/"+id+"/")
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, keys...)
	}
	return out
}

// archived waits until there are n segments of distributions.
func (w *world) archived(b *blob.Bucket, production string, n int, ids ...string) {
	w.t.Helper()
	t, _ := w.t.(*testing.T)
	var got []string
	w.until(func() bool { got = segments(t, b, production, ids...); return len(got) >= n }, func() any { return got })
	if len(got) != n {
		t.Errorf("archived %v, want %d segments", got, n)
	}
}

// forget has the orchestrator forget what has ended.
func (w *world) forget(production string, ids ...string) {
	w.t.Helper()
	w.stopOrchestrator()
	w.retention = time.Millisecond
	w.startOrchestrator()
	for _, id := range ids {
		w.until(func() bool {
			_, err := w.distributions.GetDistribution(w.t.Context(), &distributionv1.GetDistributionRequest{Production: production, Distribution: id})
			return err != nil && fault.From(err).Reason == "DISTRIBUTION_UNKNOWN"
		}, func() any { return id + " is still there" })
	}
}

func TestWhatIsForgottenReadsAsBeforeFromTheArchive(t *testing.T) {
	t.Parallel()
	b := blobs(t)
	w := newWorld(t, func(d *observer.Deps) { d.Blobs = b })
	w.stamp = failing("i2.3")
	w.work("w1")
	var ids []string
	for i := range 5 {
		ids = append(ids, w.create("default", 1+i, 7))
	}
	before := map[string]string{}
	for _, id := range ids {
		w.ended("default", id)
	}
	for i, id := range ids {
		before[id] = w.reading("default", id, int32(3+i))
	}
	list := w.listed("default", 2)
	w.archived(b, "default", len(ids), ids...)
	w.forget("default", ids...)
	for i, id := range ids {
		after := w.reading("default", id, int32(3+i))
		if after != before[id] {
			t.Errorf("%s reads\n%s\nand read before\n%s", id, after, before[id])
		}
	}
	// The list has them when the archives that were written have been read, and one that runs now.
	w.until(func() bool { return len(w.listed("default", 3)) == len(ids) }, func() any { return w.listed("default", 3) })
	w.retention = 0
	w.stopOrchestrator()
	w.startOrchestrator()
	w.create("default", 1, 1)
	for size := int32(1); size < 8; size++ {
		got := w.listed("default", size)
		if len(got) != len(ids)+1 || !slices.Equal(got[1:], list) {
			t.Errorf("in pages of %d: listed\n%s\nand before\n%s", size, strings.Join(got, "\n"), strings.Join(list, "\n"))
		}
	}
	_, err := w.seen.GetDistribution(t.Context(), &distributionv1.GetDistributionRequest{Production: "other", Distribution: ids[0]})
	if fault.From(err).Reason != "DISTRIBUTION_UNKNOWN" {
		t.Errorf("in another production: %v", err)
	}
}

// failing refuses to stamp units.
func failing(units ...string) func(context.Context, *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
	return func(_ context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		for _, u := range units {
			if strings.HasSuffix(r.GetItem(), strings.TrimPrefix(u, "i")) {
				return nil, fault.New(fault.Invalid, "PDF_ENCRYPTED", "the file asks for a password")
			}
		}
		return &watermarkv1.StampResponse{Artifact: &watermarkv1.Artifact{Key: "art/default/" + r.GetItem(),
			Sha256: strings.Repeat("a", 64), Size: 12345, MediaType: "application/pdf"}}, nil
	}
}

func TestNothingIsArchivedTwiceAndNothingIsMissed(t *testing.T) {
	t.Parallel()
	b := blobs(t)
	w := newWorld(t, func(d *observer.Deps) { d.Blobs = b })
	w.stamp = failing(".2.1")
	stop := w.work("w1")
	first := w.create("default", 2, 2)
	w.ended("default", first)
	w.archived(b, "default", 1, first)

	// What ends while no observer is there is archived afterwards.
	w.stopObserver()
	var ids []string
	for range 12 {
		ids = append(ids, w.create("other", 1, 1))
	}
	for _, id := range ids {
		w.until(func() bool {
			r, err := w.distributions.GetDistribution(t.Context(), &distributionv1.GetDistributionRequest{Production: "other", Distribution: id})
			return err == nil && r.GetDistribution().GetEndedAt() != nil
		}, func() any { return id })
	}
	w.startObserver(func(d *observer.Deps) { d.Blobs = b })
	w.archived(b, "other", len(ids), ids...)

	// One that ran again gets another segment, with the events that came since.
	stop()
	w.stamp = failing()
	w.work("w2")
	_, err := w.distributions.RetryDistribution(t.Context(), &distributionv1.RetryDistributionRequest{Production: "default", Distribution: first})
	if err != nil {
		t.Fatal(err)
	}
	w.until(func() bool { return w.get("default", first).GetState() == "completed" }, func() any { return w.get("default", first) })
	w.archived(b, "default", 2, first)
	before := w.reading("default", first, 4)

	// Whatever Redis forgot of what is archived, the archive says itself.
	w.stopObserver()
	keys, err := w.redis.Client.Keys(t.Context(), "{obs}:archive*").Result()
	if err != nil || len(keys) < 3 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	err = w.redis.Client.Del(t.Context(), keys...).Err()
	if err != nil {
		t.Fatal(err)
	}
	w.startObserver(func(d *observer.Deps) { d.Blobs = b })
	w.until(func() bool {
		n, err := w.redis.Client.ZCard(t.Context(), "{obs}:archive:done").Result()
		return err == nil && n == int64(len(ids))+1
	}, func() any { return "it does not look" })
	got := segments(t, b, "other", ids...)
	if len(got) != len(ids) || len(segments(t, b, "default", first)) != 2 {
		t.Errorf("archived %v and %v", got, segments(t, b, "default", first))
	}
	w.forget("default", first)
	after := w.reading("default", first, 4)
	if after != before {
		t.Errorf("it reads\n%s\nand read before\n%s", after, before)
	}
}

func TestHistoryIsMadeAgainFromArchivesAndOutlivesThem(t *testing.T) {
	t.Parallel()
	b := blobs(t)
	w := newWorld(t, func(d *observer.Deps) { d.Blobs = b })
	w.stamp = failing(".2.1")
	w.work("w1")
	for i := range 4 {
		w.ended("default", w.create("default", 1+i%2, 3))
	}
	history := func() (out string, n int32) {
		resp, err := w.observer.GetHistory(t.Context(), &observerv1.GetHistoryRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, week := range resp.GetWeeks() {
			n += week.GetDistributions()
			out += fmt.Sprintln(week.GetFrom().AsTime(), week.GetProduction(), week.GetDefinition(), week.GetDistributions(), week.GetItems(), week.GetItemsFailed(),
				week.GetRecipients(), week.GetDistributionsFailed(), week.GetLate(), week.GetDurationP50().AsDuration(), week.GetDurationP90().AsDuration(), week.GetBytesIn(), week.GetBytesOut())
		}
		return out, n
	}
	w.until(func() bool { _, n := history(); return n == 4 }, func() any { out, _ := history(); return out })
	before, _ := history()
	if !strings.Contains(before, "default send-documents 4 18 2 12 2 ") {
		t.Errorf("history is %s", before)
	}
	w.stopObserver() // the next one has a folder of its own
	w.startObserver(func(d *observer.Deps) { d.Blobs = b })
	w.until(func() bool { _, n := history(); return n == 4 }, func() any { out, _ := history(); return out })
	after, _ := history()
	if after != before {
		t.Errorf("made again it is\n%s\nand was\n%s", after, before)
	}
	keys, err := b.List(t.Context(), "arc/default/")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		err = errors.Join(err, b.Delete(t.Context(), k+"1"))
	}
	if err != nil {
		t.Fatal(err)
	}
	after, _ = history()
	if after != before {
		t.Errorf("without archives it is\n%s\nand was\n%s", after, before)
	}
}
