package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/loadtest/internal/verdict"
)

// Ten documents to 20 people, and where the time goes; read it with -v. TestCopies prints the same of its run.
func TestTimes(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while, and TestCopies prints the same table")
	}
	docs := strangers(t, 10)
	s := installation(t)
	_, people := sampleDocuments(t)
	for _, mode := range []string{"attachment", "link"} {
		begin := time.Now()
		req, id := order(t, s.api("coordinator"), docs, &distributionv1.CreateDistributionRequest{Recipients: readPeople(t, people), Mode: mode})
		fmt.Printf("%s: %d uploads and the request took %.2f s\n", mode, len(docs), time.Since(begin).Seconds())
		if mode == "attachment" {
			printTimes(t, judged(t, s, req, id, 5*time.Minute))
			continue
		}
		d := s.api("coordinator").ended(t, id, 5*time.Minute)
		if d.GetState() != "completed" || int(d.GetRecipients().GetSent()) != len(req.GetRecipients()) {
			t.Errorf("by link: %v", d)
		}
		printTimes(t, account(t, s.api("coordinator"), s.box, req, id))
	}
}

// printTimes prints where a distribution's time went, by the log of events: how long attempts of each step ran, and how
// long they waited for a worker once what they needed was there.
func printTimes(t *testing.T, a verdict.Account) {
	t.Helper()
	var bytes int64
	for _, i := range a.Items {
		bytes += i.GetSize()
	}
	d := a.Distribution
	took := d.GetEndedAt().AsTime().Sub(d.GetCreatedAt().AsTime())
	fmt.Printf("%d files to %d people: %d items, %.1f MB of copies, %d events; acceptance to end %.2f s, %.1f items/s\n",
		len(a.Files), len(a.People), len(a.Items), float64(bytes)/1e6, len(a.Events), took.Seconds(), float64(len(a.Items))/took.Seconds())
	ran, waited := spans(a.Events)
	fmt.Printf("%-10s %8s %10s %10s %10s %10s | %12s %12s\n", "step", "attempts", "run sum s", "median s", "p95 s", "longest s", "wait median s", "longest s")
	for _, s := range d.GetSteps() {
		r, w := ran[s.GetName()], waited[s.GetName()]
		if len(r) == 0 || len(w) == 0 {
			continue
		}
		fmt.Printf("%-10s %8d %10.2f %10.3f %10.3f %10.3f | %12.3f %12.3f\n", s.GetName(), len(r), total(r), at(r, 50), at(r, 95), at(r, 100), at(w, 50), at(w, 100))
	}
}

// spans reads running and waiting times in seconds, sorted, by step. What retried waited on purpose, so only first
// attempts count as waiting.
func spans(events []*distributionv1.Event) (ran, waited map[string][]float64) {
	ran, waited = map[string][]float64{}, map[string][]float64{}
	var accepted time.Time
	ready := map[string]time.Time{} // by unit: when the last thing ended that it needs
	later := func(unit string, at time.Time) {
		if at.After(ready[unit]) {
			ready[unit] = at
		}
	}
	for _, e := range events {
		if e.GetKind() == "accepted" {
			accepted = e.GetTime().AsTime()
		}
		if e.GetKind() != "attempt" {
			continue
		}
		begin, end := e.GetStartedAt().AsTime(), e.GetTime().AsTime()
		ran[e.GetStep()] = append(ran[e.GetStep()], end.Sub(begin).Seconds())
		file, recipient, _ := strings.Cut(strings.TrimPrefix(e.GetUnit(), "i"), ".")
		from := accepted
		switch e.GetStep() {
		case "prepare":
			later(e.GetUnit(), end)
		case "watermark":
			from = ready["f"+file]
			later("r"+recipient, end)
		case "email":
			from = ready[e.GetUnit()]
		}
		if e.GetAttempt() == 1 && !from.IsZero() {
			waited[e.GetStep()] = append(waited[e.GetStep()], max(0, begin.Sub(from).Seconds()))
		}
	}
	for _, m := range []map[string][]float64{ran, waited} {
		for _, list := range m {
			slices.Sort(list)
		}
	}
	return ran, waited
}

func total(list []float64) float64 {
	sum := 0.0
	for _, x := range list {
		sum += x
	}
	return sum
}

// at is the p-th percentile of a sorted list.
func at(list []float64, p int) float64 { return list[(len(list)-1)*p/100] }
