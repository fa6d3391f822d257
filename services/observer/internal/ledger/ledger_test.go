package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/ledger"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// at is ms after noon.
func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

func distribution(files, recipients int) event.Distribution {
	d := event.Distribution{Production: "p", ID: "d", Created: noon, Recipients: recipients, Items: files * recipients, Steps: []event.Step{
		{Name: "prepare", Scope: "file"},
		{Name: "stamp", Scope: "item", Needs: []string{"prepare"}},
		{Name: "email", Scope: "recipient", Needs: []string{"stamp"}, Delivers: true},
	}}
	for i := range files {
		d.Files = append(d.Files, event.File{Name: fmt.Sprint(i)})
	}
	return d
}

func try(step, unit string, from, until int, state string) event.Event {
	return event.Event{Kind: "attempt", Step: step, Unit: unit, Worker: "w", Started: at(from), Time: at(until), State: state}
}

func life(kind string, ms int) event.Event { return event.Event{Kind: kind, Time: at(ms)} }

func told(l ledger.Ledger) []string {
	var out []string
	for _, p := range l.Parts {
		text := fmt.Sprint(p.From.Sub(noon).Milliseconds(), " to ", p.Until.Sub(noon).Milliseconds(), " ", p.Kind)
		for _, s := range []string{p.Step, p.Unit, p.Subject} {
			if s != "" {
				text += " " + s
			}
		}
		out = append(out, text)
	}
	return out
}

func TestWhereTheTimeWent(t *testing.T) {
	t.Parallel()
	limited := try("email", "r1", 900, 1000, "done")
	limited.Limit, limited.LimitWait = "smtp", 300*time.Millisecond
	failed := try("email", "r1", 400, 500, "retrying")
	failed.RetryAt = at(800)
	held := distribution(1, 1)
	held.HeldUntil = at(700)
	running := try("email", "r1", 400, 0, "running")
	running.Time = time.Time{}
	ready := event.Event{Kind: "attempt", Step: "email", Unit: "r1", State: "ready", Limit: "smtp", LimitWait: 500 * time.Millisecond}
	begin := []event.Event{life("accepted", 0), life("planned", 20), try("prepare", "f1", 50, 100, "done"), try("stamp", "i1.1", 150, 350, "done")}
	opening := []string{"0 to 20 waiting being laid out", "20 to 50 slot prepare f1", "50 to 100 service prepare f1 w", "100 to 150 slot stamp i1.1", "150 to 350 service stamp i1.1 w"}
	for name, tc := range map[string]struct {
		d      event.Distribution
		events []event.Event
		pauses []ledger.Span
		until  int
		want   []string
	}{
		"nothing held it up": {distribution(1, 1), []event.Event{try("email", "r1", 400, 500, "done"), life("ended", 500)}, nil, 500,
			[]string{"350 to 400 slot email r1", "400 to 500 service email r1 w"}},
		"a limit": {distribution(1, 1), []event.Event{limited}, nil, 1000,
			[]string{"350 to 600 slot email r1", "600 to 900 limit email r1 smtp", "900 to 1000 service email r1 w"}},
		"a back-off, and then no worker": {distribution(1, 1), []event.Event{failed, try("email", "r1", 850, 900, "done")}, nil, 900,
			[]string{"350 to 400 slot email r1", "400 to 500 service email r1 w", "500 to 800 backoff email r1", "800 to 850 slot email r1", "850 to 900 service email r1 w"}},
		"it backs off": {distribution(1, 1), []event.Event{failed}, nil, 700,
			[]string{"350 to 400 slot email r1", "400 to 500 service email r1 w", "500 to 700 backoff email r1"}},
		"the undo window": {held, []event.Event{try("email", "r1", 720, 800, "done")}, nil, 800,
			[]string{"350 to 700 waiting email r1 the undo window", "700 to 720 slot email r1", "720 to 800 service email r1 w"}},
		"a pause": {distribution(1, 1), []event.Event{life("paused", 360), life("resumed", 560), try("email", "r1", 600, 700, "done")}, nil, 700,
			[]string{"350 to 360 slot email r1", "360 to 560 waiting email r1 paused", "560 to 600 slot email r1", "600 to 700 service email r1 w"}},
		"the production's pause": {distribution(1, 1), nil, []ledger.Span{{From: at(400), What: "production paused"}}, 900,
			[]string{"350 to 400 slot", "400 to 900 waiting production paused"}},
		"it runs":             {distribution(1, 1), []event.Event{running}, nil, 900, []string{"350 to 400 slot email r1", "400 to 900 service email r1 w"}},
		"it waits at a limit": {distribution(1, 1), []event.Event{ready}, nil, 900, []string{"350 to 400 slot email r1", "400 to 900 limit email r1 smtp"}},
		"a worker was lost": {distribution(1, 1), []event.Event{try("email", "r1", 400, 1400, "ready"), try("email", "r1", 1450, 1500, "done")}, nil, 1500,
			[]string{"350 to 400 slot email r1", "400 to 1400 service email r1 w", "1400 to 1450 slot email r1", "1450 to 1500 service email r1 w"}},
		"it was asked for again": {distribution(1, 1), []event.Event{try("email", "r1", 400, 500, "failed"), life("ended", 500), {Kind: "retry", Unit: "r1", Time: at(5000)},
			try("email", "r1", 5010, 5100, "done"), life("ended", 5100)}, nil, 5100,
			[]string{"350 to 400 slot email r1", "400 to 500 service email r1 w", "500 to 5000 waiting email r1 somebody to ask for it again", "5000 to 5010 slot email r1", "5010 to 5100 service email r1 w"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := ledger.Of(tc.d, slices.Concat(begin, tc.events), tc.pauses, at(tc.until))
			if got, want := told(l), slices.Concat(opening, tc.want); !slices.Equal(got, want) {
				t.Errorf("got\n%q\nwant\n%q", got, want)
			}
		})
	}
}

// Of many items the slowest decides, and nothing of the others is told.
func TestTheSlowestDecides(t *testing.T) {
	t.Parallel()
	events := []event.Event{life("planned", 10), try("prepare", "f1", 10, 20, "done"), try("prepare", "f2", 10, 400, "done")}
	for r := 1; r <= 50; r++ {
		events = append(events, try("stamp", fmt.Sprint("i1.", r), 30+r, 40+r, "done"))
	}
	for r := 1; r <= 50; r++ {
		events = append(events, try("stamp", fmt.Sprint("i2.", r), 400+10*r, 410+10*r, "done"), try("email", fmt.Sprint("r", r), 410+10*r, 420+10*r, "done"))
	}
	got := told(ledger.Of(distribution(2, 50), events, nil, at(920)))
	want := []string{"0 to 10 waiting being laid out", "10 to 400 service prepare f2 w", "400 to 900 slot stamp i2.50", "900 to 910 service stamp i2.50 w", "910 to 920 service email r50 w"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// Whatever happened, each instant belongs to one part.
func TestThePartsAreTheWhole(t *testing.T) {
	t.Parallel()
	steps := []string{"prepare", "stamp", "email"}
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		d := distribution(1+r.IntN(3), 1+r.IntN(3))
		if r.IntN(2) == 0 {
			d.HeldUntil = at(r.IntN(3000))
		}
		var events []event.Event
		for now := 0; now < 5000; now += 1 + r.IntN(400) {
			unit := []string{fmt.Sprint("f", 1+r.IntN(3)), fmt.Sprintf("i%d.%d", 1+r.IntN(3), 1+r.IntN(3)), fmt.Sprint("r", 1+r.IntN(3)), "d"}[r.IntN(4)]
			e := try(steps[r.IntN(3)], unit, now-r.IntN(500), now, []string{"done", "failed", "retrying", "ready", "skipped"}[r.IntN(5)])
			switch r.IntN(8) {
			case 0:
				e = life([]string{"planned", "paused", "resumed", "ended", "started"}[r.IntN(5)], now)
			case 1:
				e = event.Event{Kind: "retry", Unit: fmt.Sprint("r", 1+r.IntN(3)), Time: at(now)}
			case 2:
				e.Limit, e.LimitWait = "l", time.Duration(r.IntN(1000))*time.Millisecond
			case 3:
				e.RetryAt = at(now + r.IntN(500) - 50)
			case 4:
				e.Started = time.Time{}
			}
			events = append(events, e)
		}
		until := at(r.IntN(6000))
		l := ledger.Of(d, events, []ledger.Span{{From: at(r.IntN(3000)), Until: at(3000), What: "x"}}, until)
		stands := d.Created
		for _, p := range l.Parts {
			if !p.From.Equal(stands) || !p.Until.After(p.From) {
				t.Fatalf("seed %d: the part %v to %v after %v: %q", seed, p.From, p.Until, stands, told(l))
			}
			stands = p.Until
		}
		if !stands.Equal(until) {
			t.Fatalf("seed %d: the parts end at %v, the whole at %v", seed, stands, until)
		}
		var sum time.Duration
		for _, s := range l.Sums {
			sum += s.Time
		}
		if sum != until.Sub(d.Created) {
			t.Fatalf("seed %d: the sums are %v, the whole %v", seed, sum, until.Sub(d.Created))
		}
	}
}

// A distribution of 10,000 items is told of in a few ms.
func BenchmarkOf(b *testing.B) {
	d := distribution(10, 1000)
	events := []event.Event{life("planned", 10)}
	for f := 1; f <= 10; f++ {
		events = append(events, try("prepare", fmt.Sprint("f", f), 10, 20, "done"))
	}
	for i := range 10000 {
		events = append(events, try("stamp", fmt.Sprintf("i%d.%d", 1+i/1000, 1+i%1000), 20+i, 22+i, "done"))
	}
	for r := range 1000 {
		events = append(events, try("email", fmt.Sprint("r", 1+r), 10022+r, 10024+r, "done"))
	}
	for b.Loop() {
		ledger.Of(d, events, nil, at(12000))
	}
}
