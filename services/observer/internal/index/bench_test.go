package index_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/index"
)

var (
	first = strings.Fields("Ada Grace Alan Edsger Barbara Donald Margaret Katherine Dorothy Mary Annie Hedy Radia Frances Jean Betty Kathleen Marlyn Ruth Adele")
	last  = strings.Fields("Lovelace Hopper Turing Dijkstra Liskov Knuth Hamilton Johnson Vaughan Jackson Easley Lamarr Perlman Allen Bartik Holberton Antonelli Meltzer Teitelbaum Goldstine")
	words = strings.Fields("Rehearsal Shooting Callsheet Script Lamplighters Harbour Winter Night Morning Studio Location Wardrobe Camera Second Unit Pickup Final Draft Revision Blue")
)

// most is how many distributions big has; with every other one it has 20 recipients, so half of that times 20.
func most() int {
	n, err := strconv.Atoi(os.Getenv("FILIGREE_INDEX_SIZE"))
	if err != nil {
		return 100_000
	}
	return n
}

type sample struct {
	x       *index.Index
	ids     []string
	names   []string
	mails   []string
	message []string
	size    int64
	took    time.Duration
}

var big = sync.OnceValues(func() (*sample, error) {
	dir, err := os.MkdirTemp("", "filigree-index-") // of the machine's own, and gone with it: benchmarks share it
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "index.db")
	x, err := index.Open(path, false)
	if err != nil {
		return nil, err
	}
	s := &sample{x: x}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	from := time.Now()
	var batch []index.Seen
	n := most()
	for i := range n {
		created := begun.Add(time.Duration(i) * 90 * time.Second)
		d := index.Seen{Distribution: event.Distribution{
			Production: fmt.Sprint("production-", i%7), ID: ulid.MustNew(ulid.Timestamp(created), rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(i >> 16)})).String(),
			Title: pick(words) + " " + pick(words) + " " + strconv.Itoa(i), State: "completed", Definition: "send-documents", Version: 3,
			Created: created, Ended: created.Add(time.Minute), Deadline: created.Add(time.Hour), Items: 20, ItemsDone: 20,
			Files: []event.File{{SHA256: fmt.Sprintf("%064x", i), Name: fmt.Sprintf("%s %s v%d.pdf", pick(words), pick(words), i%50)}},
		}, Body: make([]byte, 500)}
		if i%100 == 98 {
			d.State = "failed"
			d.Events = []event.Event{{ID: "1-0", Time: created, Kind: "attempt", Unit: "r1", Step: "email", State: "failed", Code: "MAIL_REFUSED",
				Message: "550 no such user " + strconv.Itoa(i), Worker: "email-1"}}
		}
		if i%2 == 0 {
			for p := range 20 {
				name := pick(first) + " " + pick(last)
				mail := fmt.Sprintf("%s%d@unit%d.example.com", strings.ToLower(strings.ReplaceAll(name, " ", ".")), r.IntN(5000), i%40)
				message := fmt.Sprintf("%d.%d@mail.example", i, p)
				d.Recipients = append(d.Recipients, event.Recipient{Number: p + 1, Name: name, Email: mail, State: "sent", MessageID: message, SentAt: created})
				if p == 0 {
					s.names, s.mails, s.message = append(s.names, name), append(s.mails, mail), append(s.message, message)
				}
			}
			d.Distribution.Recipients = 20
		}
		s.ids = append(s.ids, d.ID)
		batch = append(batch, d)
		if len(batch) == 200 || i == n-1 {
			err = x.Take(context.Background(), batch, nil)
			if err != nil {
				return nil, err
			}
			batch = batch[:0]
		}
	}
	s.took = time.Since(from)
	info, err := os.Stat(path)
	if err == nil {
		s.size = info.Size()
	}
	return s, err
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
		{"id", func(i int) string { return pick(s.ids, i) }, all},
		{"item", func(i int) string { return pick(s.ids, i*2) + ".1.7" }, all},
		{"message", func(i int) string { return "<" + pick(s.message, i) + ">" }, all},
		{"sha256", func(i int) string { return fmt.Sprintf("%064x", i%most()) }, all},
		{"code", func(int) string { return "MAIL_REFUSED" }, all},
		{"name", func(i int) string { return pick(s.names, i) }, all},
		{"address", func(i int) string { return pick(s.mails, i) }, all},
		{"address, not there", func(i int) string { return "x" + pick(s.mails, i) }, all},
		{"first name", func(i int) string { return pick(first, i) }, all},
		{"part of a name", func(i int) string { return pick(last, i)[1:5] }, all},
		{"two parts", func(i int) string { return pick(last, i)[1:5] + " " + pick(first, i+3)[:3] }, all},
		{"what all have", func(int) string { return "example.com" }, all},
		{"number in a title", func(i int) string { return strconv.Itoa(i * 7919 % most()) }, all},
		{"nothing", func(i int) string { return "zzyzx" + strconv.Itoa(i) }, all},
		{"common letters, nothing", func(i int) string { return "lacehop" }, all},
		{"name, one production", func(i int) string { return pick(s.names, i) }, some},
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
	b.Logf("%d distributions were taken in within %v; the file is %d MB", len(s.ids), s.took.Round(time.Second), s.size>>20)
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
