package observer_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer"
	"github.com/filigreehq/filigree/services/observer/internal/follow"
	"github.com/filigreehq/filigree/services/observer/internal/index"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// BenchmarkFollow reads a real distribution of 10 files to 200 people into a new index, Redis's reading included but for
// Redis's own time, and says what an event costs. Nothing else is done meanwhile but an idle orchestrator's looking about.
func BenchmarkFollow(b *testing.B) {
	w := newWorld(b, nil)
	stop := w.work("worker-1")
	id := w.create("default", 10, 200)
	w.endedAt("default", id)
	stop()
	w.stopObserver()
	w.stopOrchestrator()
	records := readside.New(readside.Deps{Redis: w.redis.Client, Log: w.log})
	source := observer.NewSource(records)
	events := 0
	for token := ""; ; {
		got, err := records.ListEvents(b.Context(), &distributionv1.ListEventsRequest{Production: "default", Distribution: id, PageSize: 1000, PageToken: token})
		if err != nil {
			b.Fatal(err)
		}
		events += len(got.GetEvents())
		token = got.GetNextPageToken()
		if token == "" {
			break
		}
	}
	var cpu time.Duration
	rounds := 0
	for b.Loop() {
		x, err := index.Open(filepath.Join(b.TempDir(), "index.db"), false)
		if err != nil {
			b.Fatal(err)
		}
		f := follow.New(source, x, w.log)
		from := used()
		err = f.Round(b.Context(), 0)
		if err != nil {
			b.Fatal(err)
		}
		cpu += used() - from
		rounds++
		found, _, err := x.Find(b.Context(), index.Filter{Scope: index.Scope{All: true}, Most: 10})
		if err != nil || len(found) != 1 {
			b.Fatalf("the index has %d distributions, %v", len(found), err)
		}
		err = x.Close()
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu.Microseconds())/float64(rounds*events), "µs-cpu/event")
	b.ReportMetric(float64(rounds*events)/cpu.Seconds(), "events/cpu-s")
}

// used is the processor time of this process.
func used() time.Duration {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	if err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
