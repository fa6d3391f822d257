package observer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer"
)

// What Redis has forgotten is in an index that is made anew, from the archive, beside what it has not.
func TestTheIndexIsMadeAnewFromTheArchiveToo(t *testing.T) {
	t.Parallel()
	b, dir := blobs(t), t.TempDir()
	keep := func(d *observer.Deps) { d.Blobs, d.Dir = b, dir }
	w := newWorld(t, keep)
	w.stamp = failing(".1.2")
	w.work("w1")
	var ids []string
	for i := range 4 {
		id := w.create("default", 1+i%2, 3)
		w.ended("default", id)
		ids = append(ids, id)
	}
	w.archived(b, "default", len(ids), ids...)
	w.found(t.Context(), len(ids))
	search := func() (out []string) {
		for _, query := range []string{"p2@example.com", "Person 3", ids[1], ids[2] + ".1.2", "<" + ids[0] + ".r1", "01.pdf"} {
			got, err := w.observer.Search(t.Context(), &observerv1.SearchRequest{Query: query, PageSize: 100})
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range got.GetHits() {
				out = append(out, fmt.Sprint(query, ": ", h.GetKind(), " ", h.GetDistribution(), " ", h.GetUnit(), " ", h.GetName(), " ", h.GetDetail(), " ", h.GetState(), " ", h.GetCode()))
			}
		}
		slices.Sort(out)
		return out
	}
	before := search()
	if !strings.Contains(strings.Join(before, "\n"), "p2@example.com: recipient "+ids[3]) {
		t.Fatalf("found\n%s", strings.Join(before, "\n"))
	}
	w.forget("default", ids...)
	w.stopObserver()
	for _, name := range []string{"index.db", "index.db-wal", "index.db-shm", "history.db", "history.db-wal", "history.db-shm"} {
		err := os.Remove(filepath.Join(dir, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	w.startObserver(keep)
	all := w.found(t.Context(), len(ids))
	for _, d := range all {
		if !slices.Contains(ids, d.GetId()) {
			t.Errorf("found %s", d.GetId())
		}
	}
	var after []string
	w.until(func() bool { after = search(); return len(after) >= len(before) }, func() any { return strings.Join(after, "\n") })
	if !slices.Equal(after, before) {
		t.Errorf("found\n%s\nand before\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
	failed, err := w.observer.FindDistributions(t.Context(), &observerv1.FindDistributionsRequest{Error: "PDF_ENCRYPTED"})
	if err != nil || len(failed.GetDistributions()) != len(ids) {
		t.Errorf("by its error %d of %d are found, %v", len(failed.GetDistributions()), len(ids), err)
	}
	// And what happened to somebody is told.
	story, err := w.observer.GetStory(t.Context(), &observerv1.GetStoryRequest{Production: "default", Distribution: ids[0], Unit: "i1.2"})
	if err != nil || len(story.GetStory().GetChapters()) == 0 {
		t.Errorf("the story is %v, %v", story, err)
	}
}

func TestRunsAreInHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	began := time.Now().Add(-10 * time.Minute).Truncate(time.Millisecond)
	report := func(id string, run *observerv1.Run) {
		t.Helper()
		_, err := w.observer.ReportRun(t.Context(), &observerv1.ReportRunRequest{Production: "default", Id: id, Run: run})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		report(fmt.Sprint("import-", i), &observerv1.Run{Name: "nightly-import", State: "completed", Total: 10, Done: 10, BytesIn: 1000, BytesOut: 500,
			StartedAt: timestamppb.New(began), EndedAt: timestamppb.New(began.Add(time.Minute))})
	}
	report("import-3", &observerv1.Run{Name: "nightly-import", State: "failed", Total: 10, Done: 4, Deadline: timestamppb.New(began.Add(time.Minute)),
		Error: &distributionv1.Error{Code: "DISK_FULL", Message: "no room"}, StartedAt: timestamppb.New(began), EndedAt: timestamppb.New(began.Add(3 * time.Minute))})
	report("import-4", &observerv1.Run{Name: "nightly-import", State: "running", Total: 10, Done: 4})
	look := func() string {
		resp, err := w.observer.GetHistory(t.Context(), &observerv1.GetHistoryRequest{Production: "default"})
		if err != nil {
			t.Fatal(err)
		}
		out := ""
		for _, h := range resp.GetWeeks() {
			out += fmt.Sprintln(h.GetKind(), h.GetDefinition(), h.GetDistributions(), h.GetDistributionsFailed(), h.GetLate(), h.GetItems(), h.GetItemsFailed(),
				h.GetBytesIn(), h.GetBytesOut(), h.GetBytesUnknown(), h.GetDurationP50().AsDuration(), h.GetDurationP90().AsDuration())
		}
		return out
	}
	// Distributions of the tests say nothing of bytes: that is counted, and no zero is passed off as what was read.
	w.work("w1")
	w.ended("default", w.create("default", 1, 1))
	want := "distribution send-documents 1 0 0 1 0 0 0 1 "
	runs := "run nightly-import 4 1 1 40 6 3000 1500 1 1m0s 3m0s\n"
	w.until(func() bool { got := look(); return strings.Contains(got, runs) && strings.Contains(got, want) }, func() any { return look() })
	w.stopObserver()
	w.startObserver(nil)
	w.until(func() bool { return strings.Contains(look(), runs) }, func() any { return look() })
}
