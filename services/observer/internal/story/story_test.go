package story_test

import (
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/story"
	"github.com/filigreehq/filigree/services/observer/internal/why"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

var two = event.Distribution{ID: "01D", Recipients: 9, Files: []event.File{{Name: "a.pdf"}, {Name: "b.pdf"}}, Steps: []event.Step{
	{Name: "prepare", Function: "watermark.Prepare", Scope: "file"},
	{Name: "watermark", Function: "watermark.Stamp", Scope: "item", Needs: []string{"prepare"}},
	{Name: "email", Function: "email.Send", Scope: "recipient", Needs: []string{"watermark"}, Delivers: true},
}}

func attempt(step, unit, worker, state string, n int, from, until float64) event.Event {
	return event.Event{Kind: "attempt", Step: step, Unit: unit, Worker: worker, State: state, Attempt: n, Started: at(from), Time: at(until)}
}

func TestStory(t *testing.T) {
	t.Parallel()
	limited := attempt("watermark", "i1.7", "mark-1", "done", 1, 5, 6)
	limited.Limit, limited.LimitWait = "cpu", 3*time.Second
	refused := attempt("email", "r7", "mail-1", "retrying", 1, 11, 12)
	refused.Code, refused.Message, refused.RetryAt = "EMAIL_DEFERRED", "451 not now", at(20)
	chapters, left := story.Of(story.Input{Distribution: two, Unit: "r7", Email: "ada@example.com", Now: at(40), Events: []event.Event{
		{Kind: "accepted", Time: at(0)}, {Kind: "planned", Time: at(0.01)}, {Kind: "started", Time: at(0.05)},
		attempt("prepare", "f1", "mark-1", "done", 1, 0.05, 1), attempt("prepare", "f2", "mark-2", "done", 1, 0.05, 4),
		attempt("watermark", "i1.8", "mark-1", "done", 1, 1, 2), // another's
		limited, attempt("watermark", "i2.7", "mark-2", "done", 1, 4, 11),
		{Kind: "resend", Unit: "r8", Worker: "olga", Time: at(11.5)}, // another's
		refused,
	}, Way: []why.Step{{Name: "email", Function: "email.Send", Unit: "r7", State: "running", Worker: "mail-2", Attempts: 2, Started: at(21)}}})
	if left != 0 {
		t.Errorf("%d chapters are left out, want none", left)
	}
	var got []string
	for _, c := range chapters {
		got = append(got, c.Kind+" "+c.State+": "+c.Sentence)
	}
	want := []string{
		"life : The distribution was accepted.",
		"life : Its first step began.",
		"attempt done: mark-1 read a.pdf in 950ms.",
		"attempt done: mark-2 read b.pdf in 3.95s.",
		"wait slot: The copy of a.pdf was ready without a worker for 1s.",
		"wait limit: The copy of a.pdf waited at the limit cpu for 3s.",
		"attempt done: mark-2 made the copy of b.pdf in 7s.",
		"attempt done: mark-1 made the copy of a.pdf in 1s.",
		"wait waiting: The mail waited for the copy of b.pdf for 5s.",
		"attempt retrying: The mail failed on mail-1 after 1s: 451 not now (EMAIL_DEFERRED); to be tried again at 12:00:20 UTC.",
		"attempt running: mail-2 works on the mail, for 19s so far.",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, c := range chapters[1:] {
		if c.From.Before(chapters[i].From) {
			t.Errorf("chapter %d begins before the one before it", i+1)
		}
	}
}

// A second attempt waits out its back-off, and then for a worker.
func TestBackoff(t *testing.T) {
	t.Parallel()
	first := attempt("email", "r7", "mail-1", "retrying", 1, 1, 2)
	first.RetryAt = at(10)
	chapters, _ := story.Of(story.Input{Distribution: two, Unit: "r7", Now: at(40), Events: []event.Event{
		{Kind: "planned", Time: at(1)}, first, attempt("email", "r7", "mail-1", "done", 2, 12, 13)}})
	var got []string
	for _, c := range chapters {
		got = append(got, c.State)
	}
	if strings.Join(got, " ") != "retrying backoff slot done" {
		t.Errorf("got %v", got)
	}
}

// A long story keeps its beginning and its end.
func TestLong(t *testing.T) {
	t.Parallel()
	var events []event.Event
	for i := range 2000 {
		events = append(events, attempt("email", "r7", "mail-1", "retrying", i+1, float64(i), float64(i)+0.99))
	}
	chapters, left := story.Of(story.Input{Distribution: two, Unit: "r7", Events: events, Now: at(3000)})
	if len(chapters) != 500 || left != 1500 || chapters[0].Attempt != 1 || chapters[499].Attempt != 2000 {
		t.Errorf("%d chapters and %d left out", len(chapters), left)
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for unit, want := range map[string]string{"d": "d", "f2": "f2", "i2.7": "f2 i2.7 r7", "r7": "f1 f2 i1.7 i2.7 r7"} {
		if got := strings.Join(story.Units(unit, 2), " "); got != want {
			t.Errorf("units of %s are %s, want %s", unit, got, want)
		}
	}
}
