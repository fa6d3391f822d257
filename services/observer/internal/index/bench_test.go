package index_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/index"
	"github.com/filigreehq/filigree/services/observer/internal/index/sample"
)

// most is how many distributions big has; every other one has 20 recipients, so it has half of that times 20.
func most() int {
	n, err := strconv.Atoi(os.Getenv("FILIGREE_INDEX_SIZE"))
	if err != nil {
		return 100_000
	}
	return n
}

type sampled struct {
	*sample.Sample
	x    *index.Index
	took time.Duration
}

var big = sync.OnceValues(func() (*sampled, error) {
	dir, err := os.MkdirTemp("", "filigree-index-") // of the machine's own, and gone with it: benchmarks share it
	if err != nil {
		return nil, err
	}
	from := time.Now()
	x, err := index.Open(filepath.Join(dir, "index.db"), false)
	if err != nil {
		return nil, err
	}
	s := sample.New(most())
	err = s.Fill(context.Background(), x)
	return &sampled{s, x, time.Since(from)}, err
})

// BenchmarkSearch looks for all kinds of things in 100,000 distributions with a million recipients, and says how long the
// slowest hundredth took.
func BenchmarkSearch(b *testing.B) {
	s, err := big()
	if err != nil {
		b.Fatal(err)
	}
	some := index.Scope{Productions: []string{"production-3"}}
	pick := func(from []string, i int) string { return from[i*7919%len(from)] }
	for _, c := range []struct {
		name string
		text func(i int) string
		in   index.Scope
	}{
		{"id", func(i int) string { return pick(s.IDs, i) }, all},
		{"item", func(i int) string { return pick(s.IDs, i*2) + ".1.7" }, all},
		{"message", func(i int) string { return "<" + pick(s.Messages, i) + ">" }, all},
		{"sha256", func(i int) string { return fmt.Sprintf("%064x", i%most()) }, all},
		{"code", func(int) string { return "MAIL_REFUSED" }, all},
		{"name", func(i int) string { return pick(s.Names, i) }, all},
		{"address", func(i int) string { return pick(s.Mails, i) }, all},
		{"address, not there", func(i int) string { return "x" + pick(s.Mails, i) }, all},
		{"first name", func(i int) string { return pick(sample.First, i) }, all},
		{"part of a name", func(i int) string { return pick(sample.Last, i)[1:5] }, all},
		{"two parts", func(i int) string { return pick(sample.Last, i)[1:5] + " " + pick(sample.First, i+3)[:3] }, all},
		{"what all have", func(int) string { return "example.com" }, all},
		{"number in a title", func(i int) string { return strconv.Itoa(i * 7919 % most()) }, all},
		{"nothing", func(i int) string { return "zzyzx" + strconv.Itoa(i) }, all},
		{"common letters, nothing", func(i int) string { return "lacehop" }, all},
		{"name, one production", func(i int) string { return pick(s.Names, i) }, some},
		{"nothing, one production", func(int) string { return "unit2.example.com" }, index.Scope{Productions: []string{"none"}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			hits := 0
			for i := 0; b.Loop(); i++ {
				from := time.Now()
				got, _, err := s.x.Search(b.Context(), index.Query{Text: c.text(i), Scope: c.in, Most: 20})
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(from))
				hits += len(got)
			}
			report(b, took, hits)
		})
	}
	for name, f := range map[string]index.Filter{
		"find person":            {Person: "lovelace"},
		"find state":             {States: []string{"failed"}},
		"find state, production": {States: []string{"failed"}, Scope: some},
		"find error":             {Error: "no such user"},
		"find person, failed":    {Person: "hopper", States: []string{"failed"}},
		"find late":              {Late: true, Now: begun},
		"find all":               {},
	} {
		b.Run(name, func(b *testing.B) {
			f.Most = 100
			if f.Scope.Productions == nil {
				f.Scope = all
			}
			var took []time.Duration
			hits := 0
			for b.Loop() {
				from := time.Now()
				got, _, err := s.x.Find(b.Context(), f)
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(from))
				hits += len(got)
			}
			report(b, took, hits)
		})
	}
	b.Logf("%d distributions were taken in within %v", len(s.IDs), s.took.Round(time.Second))
}

func report(b *testing.B, took []time.Duration, hits int) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(hits)/float64(len(took)), "hits")
}

// BenchmarkTake takes in a distribution of 10 files to 1,000 people as it happens: half a second's events at a time.
func BenchmarkTake(b *testing.B) {
	const files, people, atOnce = 10, 1000, 350
	events, cpu := 0, time.Duration(0)
	for round := 0; b.Loop(); round++ {
		x := open(b)
		d := dist(round%100, "Ten to a thousand")
		d.Body = make([]byte, 1500)
		d.Distribution.Recipients = people
		for p := range people {
			d.Recipients = append(d.Recipients, event.Recipient{Number: p + 1, Name: fmt.Sprint("Person Number ", p+1), Email: fmt.Sprintf("person%d@unit.example.com", p+1), State: "queued"})
		}
		var story []event.Event
		add := func(unit, step string) {
			story = append(story, event.Event{ID: fmt.Sprintf("%d-0", len(story)+1), Time: begun, Kind: "attempt", Unit: unit, Step: step, Attempt: 1, Worker: step + "-1", State: "done"})
		}
		for p := range people {
			for f := range files {
				add(fmt.Sprintf("i%d.%d", f+1, p+1), "watermark")
				add(fmt.Sprintf("i%d.%d", f+1, p+1), "thumbnail")
			}
			add(fmt.Sprintf("r%d", p+1), "email")
			add(fmt.Sprintf("r%d", p+1), "push")
		}
		from := used()
		take(b, x, d)
		whole := d.Recipients
		for at := 0; at < len(story); at += atOnce {
			d.Events = story[at:min(at+atOnce, len(story))]
			d.Recipients = nil
			for p := at / 22; p < min((at+atOnce)/22, people); p++ {
				r := whole[p]
				r.State, r.MessageID, r.SentAt = "sent", fmt.Sprintf("r%d@mail.example", p+1), begun
				d.Recipients = append(d.Recipients, r)
			}
			take(b, x, d)
		}
		cpu += used() - from
		events += len(story)
	}
	b.ReportMetric(float64(cpu.Microseconds())/float64(events), "µs-cpu/event")
	b.ReportMetric(float64(events)/cpu.Seconds(), "events/cpu-s")
}

// used is the processor time of this process.
func used() time.Duration {
	runtime.Gosched()
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	if err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
