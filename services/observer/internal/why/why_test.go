package why_test

import (
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/fingerprint"
	"github.com/filigreehq/filigree/services/observer/internal/why"
)

var now = time.Date(2026, 11, 26, 14, 10, 0, 0, time.UTC)

func at(clock string) time.Time {
	t, err := time.Parse("15:04:05", clock)
	if err != nil {
		panic(err)
	}
	return time.Date(2026, 11, 26, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// facts are of a distribution that is well but for its mail to Ada, which is what stood says.
func facts(stood why.Step) *why.Facts {
	stood.Name, stood.Function, stood.Unit, stood.Delivers = "email", or(stood.Function, "email.Send"), "r7", true
	return &why.Facts{
		Now: now,
		Distribution: why.Distribution{Distribution: event.Distribution{Production: "default", ID: "01D", Title: "Call sheet 12", State: "running",
			Definition: "send-documents", Version: 3, Recipients: 20, Created: at("14:00:00")}, Waiting: 12},
		Person: &event.Recipient{Number: 7, Name: "Ada Lovelace", Email: "ada@example.com", State: "queued"},
		Way: []why.Step{
			{Name: "prepare", Function: "watermark.Prepare", Unit: "f1", File: "sheet.pdf", State: "done"},
			{Name: "watermark", Function: "watermark.Stamp", Unit: "i1.7", File: "sheet.pdf", State: "done"}, stood},
		World: why.World{Alive: true, Functions: []why.Function{{Name: "email.Send", Workers: []why.Worker{{Name: "mail-1", Seen: now}}}},
			Open: []why.Open{{Production: "default", ID: "01D", Waiting: 12, Left: map[string]int{"email.Send": 12}, Limits: []string{"smtp"}},
				{Production: "other", ID: "02D", Waiting: 5, Left: map[string]int{"email.Send": 5}}}},
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	ready := why.Step{State: "ready", Since: at("14:03:07")}
	for _, c := range []struct {
		name, kind string
		facts      func() *why.Facts
		answer     string
		remedy     string
	}{
		{"all well", "", func() *why.Facts {
			f := facts(why.Step{State: "done"})
			f.Person.State, f.Person.SentAt = "sent", at("14:03:07")
			return f
		}, `Ada Lovelace has got "Call sheet 12": the mail server took it at 14:03:07 UTC.`, ""},
		{"on its way", "", func() *why.Facts {
			f := facts(why.Step{State: "pending"})
			f.Way[1].State, f.Way[1].Worker, f.Way[1].Started = "running", "mark-1", at("14:09:59")
			return f
		}, `Ada Lovelace has not got "Call sheet 12" yet, and nothing is wrong: it is on its way; mark-1 works on the copy of sheet.pdf since 14:09:59 UTC.`, ""},
		{"refused", "refused", func() *why.Facts {
			f := facts(why.Step{State: "failed", Ended: at("14:03:07"), Attempts: 1, Code: "EMAIL_REJECTED", Message: "the mail server refuses this recipient: 550 5.1.1 no such person"})
			f.Person.State = "bounced"
			return f
		}, `Ada Lovelace has not got "Call sheet 12": the mail to ada@example.com was refused for good at 14:03:07 UTC: the mail server refuses this recipient: 550 5.1.1 no such person (EMAIL_REJECTED). Nobody else is hurt by it. Nothing tries it again by itself.`,
			"filigree resend 01D r7 --email ADDRESS"},
		{"one domain defers", "backing_off", func() *why.Facts {
			const said = "the mail server asks to try later: 451 4.7.1 not now"
			f := facts(why.Step{State: "retrying", Since: at("14:03:07"), RetryAt: at("14:20:00"), Attempts: 3, Code: "EMAIL_DEFERRED", Message: said})
			f.Person.State = "deferred"
			f.Groups = []*fingerprint.Group{{ID: fingerprint.ID("email.Send", "EMAIL_DEFERRED", fingerprint.Signature(said)), Recipients: 13, Distributions: 3, Spread: []string{"on all 2 workers", "only at example.com"}}}
			return f
		}, `Ada Lovelace has not got "Call sheet 12": the mail has failed 3 times since 14:03:07 UTC: the mail server asks to try later: 451 4.7.1 not now (EMAIL_DEFERRED), on all 2 workers, only at example.com. 12 other people in 3 distributions wait for the same. It is tried again at 14:20:00 UTC.`,
			"filigree failures 01D"},
		{"no worker", "no_worker", func() *why.Facts {
			f := facts(ready)
			f.World.Functions[0].Workers = nil
			return f
		}, `Ada Lovelace has not got "Call sheet 12": no worker serves the function email.Send since 14:03:07 UTC. 16 other people in 2 distributions wait for the same.`,
			"filigree functions"},
		{"an old worker", "old_worker", func() *why.Facts {
			f := facts(why.Step{State: "ready", Since: at("14:03:07"), Function: "email.Send@2"})
			f.World.Open[0].Left["email.Send@2"] = 12
			return f
		}, `Ada Lovelace has not got "Call sheet 12": the definition send-documents@3 asks for email.Send@2, which no worker serves since 14:03:07 UTC: mail-1 announces email.Send. 11 other people wait for the same.`,
			"announces email.Send@2"},
		{"a paused production", "paused", func() *why.Facts {
			f := facts(ready)
			f.World.Pauses = []why.Pause{{Production: "default"}, {Production: "other"}}
			return f
		}, `Ada Lovelace has not got "Call sheet 12": the production default is paused, so that the mail does not start; it could have at 14:03:07 UTC. 11 other people wait for the same.`,
			"filigree resume --production default"},
		{"a paused distribution", "paused", func() *why.Facts {
			f := facts(ready)
			f.State, f.Paused, f.PausedBy = "paused", at("14:02:00"), "olga"
			return f
		}, `Ada Lovelace has not got "Call sheet 12": olga paused the distribution at 14:02:00 UTC. 11 other people wait for the same.`,
			"filigree resume 01D"},
		{"a limit", "waits_limit", func() *why.Facts {
			f := facts(why.Step{State: "ready", Since: at("14:03:07"), Limit: "smtp", Limits: []string{"smtp"}})
			f.World.Limits = []why.Limit{{Production: "default", Name: "smtp", Concurrency: 1, Taken: 1, Waiting: 11}}
			return f
		}, `Ada Lovelace has not got "Call sheet 12": the mail waits at the limit smtp since 14:03:07 UTC: it lets 1 at once, and 1 is taken, while 11 steps wait. 11 other people wait for the same.`,
			"filigree limit set smtp --concurrency 2"},
		{"a breaker", "breaker_open", func() *why.Facts {
			f := facts(why.Step{State: "ready", Since: at("14:03:07"), Limit: "smtp", Limits: []string{"smtp"}})
			f.World.Limits = []why.Limit{{Production: "default", Name: "smtp", Kind: "relay", Breaker: "open", BlockedUntil: at("14:10:30"), Code: "EMAIL_UNREACHABLE", Message: "nobody answers"}}
			return f
		}, `Ada Lovelace has not got "Call sheet 12": the circuit breaker of the resource smtp is open: nobody answers (EMAIL_UNREACHABLE). 11 other people wait for the same. It is tried again at 14:10:30 UTC.`,
			"filigree resource reset smtp"},
		{"an expired credential", "credential", func() *why.Facts {
			f := facts(why.Step{State: "ready", Since: at("14:03:07"), Limit: "smtp", Limits: []string{"smtp"}})
			f.World.Limits = []why.Limit{{Production: "default", Name: "smtp", Kind: "relay", Credential: "relay-key", Breaker: "open", BlockedUntil: at("14:10:30"), Code: "EMAIL_AUTH", Message: "535 5.7.8 expired"}}
			return f
		}, `Ada Lovelace has not got "Call sheet 12": the credential relay-key of the resource smtp is not accepted: 535 5.7.8 expired (EMAIL_AUTH). 11 other people wait for the same. It is tried again at 14:10:30 UTC.`,
			"filigree credential set relay-key"},
		{"the undo window", "held", func() *why.Facts {
			f := facts(why.Step{State: "retrying", RetryAt: at("14:11:00")})
			f.HeldUntil = at("14:11:00")
			return f
		}, `Ada Lovelace has not got "Call sheet 12": the undo window is open until 14:11:00 UTC, and nothing goes out before. 11 other people wait for the same. It is tried again at 14:11:00 UTC.`,
			"filigree cancel 01D"},
		{"a stuck lease", "stuck_lease", func() *why.Facts {
			f := facts(why.Step{State: "running", Worker: "mail-1", Started: at("14:03:07")})
			f.World.Functions[0].Workers[0].Seen = at("14:03:09")
			return f
		}, `Ada Lovelace has not got "Call sheet 12": the worker mail-1 has had the mail since 14:03:07 UTC and has not been heard of since 14:03:09 UTC, so its lease is over. 16 other people in 2 distributions wait for the same.`,
			"Restart mail-1"},
		{"a slow blob store", "slow", func() *why.Facts {
			f := facts(why.Step{State: "pending"})
			f.Way[1].State, f.Way[1].Worker, f.Way[1].Started = "running", "mark-1", at("14:09:00")
			f.World.Functions = append(f.World.Functions, why.Function{Name: "watermark.Stamp", Workers: []why.Worker{{Name: "mark-1", Seen: now}}})
			f.Usual = map[string]time.Duration{"watermark.Stamp": 200 * time.Millisecond}
			return f
		}, `Ada Lovelace has not got "Call sheet 12": the copy of sheet.pdf is being worked on by mark-1 for 1m0s, where 200ms is usual; it reads and writes documents, so the blob store may be slow.`,
			"filigree top"},
		{"a poison file", "quarantined", func() *why.Facts {
			f := facts(why.Step{State: "cancelled", Code: "WORKER_CRASHED", Message: "not done, because what it needs has failed"})
			f.Way[1].State, f.Way[1].Code, f.Way[1].Message, f.Way[1].Ended, f.Way[1].Attempts = "failed", "WORKER_CRASHED", "three workers in a row were lost at this step", at("14:03:07"), 3
			f.Person.State = "failed"
			return f
		}, `Ada Lovelace has not got "Call sheet 12": sheet.pdf kills workers, so it was given up at 14:03:07 UTC after 3 attempts: three workers in a row were lost at this step (WORKER_CRASHED). Nobody else is hurt by it. Nothing tries it again by itself.`,
			"filigree retry 01D"},
		{"a full disk", "disk_full", func() *why.Facts {
			f := facts(why.Step{State: "pending"})
			f.Way[1].State, f.Way[1].Code, f.Way[1].Message, f.Way[1].Since, f.Way[1].Attempts, f.Way[1].RetryAt = "retrying", "STORE_UNAVAILABLE", "write the copy: no space left on device", at("14:03:07"), 2, at("14:10:05")
			return f
		}, `Ada Lovelace has not got "Call sheet 12": the copy of sheet.pdf has failed twice since 14:03:07 UTC: write the copy: no space left on device (STORE_UNAVAILABLE). Nobody else is hurt by it. It is tried again at 14:10:05 UTC.`,
			"Free space"},
		{"Redis is away", "redis_down", func() *why.Facts {
			f := facts(ready)
			f.World.Redis, f.World.RedisSince, f.World.Alive = "connection refused", at("14:09:00"), false
			return f
		}, `Ada Lovelace has not got "Call sheet 12": Redis is not reached since 14:09:00 UTC, so that nothing moves on: connection refused. 16 other people in 2 distributions wait for the same.`,
			"Start Redis"},
		{"no orchestrator", "orchestrator_down", func() *why.Facts {
			f := facts(why.Step{State: "running", Worker: "mail-1", Started: now.Add(-time.Second)})
			f.World.Alive, f.World.Orchestrator = false, at("14:09:00")
			return f
		}, `Ada Lovelace has not got "Call sheet 12": no orchestrator is there since 14:09:00 UTC, so that nothing moves on. 16 other people in 2 distributions wait for the same.`,
			"Start an orchestrator"},
		{"somebody cancelled", "cancelled", func() *why.Facts {
			f := facts(why.Step{State: "cancelled", Code: "CANCELLED"})
			f.State, f.Cancelled, f.CancelledBy, f.Person.State = "cancelled", at("14:05:00"), "olga", "cancelled"
			return f
		}, `Ada Lovelace has not got "Call sheet 12": olga cancelled the distribution at 14:05:00 UTC. 11 other people are hurt by the same. Nothing tries it again by itself.`,
			"new distribution"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := c.facts()
			causes := why.Causes(f)
			if got := why.Answer(f, causes); got != c.answer {
				t.Errorf("answer\n got %s\nwant %s", got, c.answer)
			}
			if c.kind == "" {
				if len(causes) > 0 {
					t.Errorf("causes of what is well: %+v", causes)
				}
				return
			}
			if len(causes) == 0 || causes[0].Kind != c.kind {
				t.Fatalf("causes %+v, want %s first", causes, c.kind)
			}
			if !strings.Contains(causes[0].Remedy, c.remedy) {
				t.Errorf("remedy %q, want it to say %q", causes[0].Remedy, c.remedy)
			}
		})
	}
}

// What is optional is told after all that is not, and does not say that somebody has not got theirs.
func TestOptional(t *testing.T) {
	t.Parallel()
	f := facts(why.Step{State: "done"})
	f.Person.State, f.Person.SentAt = "sent", at("14:03:07")
	f.Way = append(f.Way, why.Step{Name: "thumbnail", Function: "thumbnail.Render", Unit: "i1.7", File: "sheet.pdf", Optional: true, State: "failed", Ended: at("14:02:00"), Code: "PICTURE_UNSUPPORTED", Message: "no picture"})
	causes := why.Causes(f)
	want := `Ada Lovelace has got "Call sheet 12": the mail server took it at 14:03:07 UTC. Besides, the picture of sheet.pdf failed for good at 14:02:00 UTC: no picture (PICTURE_UNSUPPORTED).`
	if got := why.Answer(f, causes); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Late comes last, and is told of whoever has not got theirs.
func TestLate(t *testing.T) {
	t.Parallel()
	f := facts(why.Step{State: "ready", Since: at("14:03:07")})
	f.Deadline, f.World.Functions[0].Workers = at("14:05:00"), nil
	causes := why.Causes(f)
	if len(causes) != 2 || causes[0].Kind != "no_worker" || causes[1].Kind != "late" {
		t.Errorf("got %+v", causes)
	}
}

// What has ended is over, whatever failed of it.
func TestOverButNotWell(t *testing.T) {
	t.Parallel()
	f := facts(why.Step{State: "done"})
	f.Person, f.Waiting, f.State, f.Ended = nil, 0, "completed_with_failures", at("14:08:00")
	f.Way = append(f.Way, why.Step{Name: "push", Function: "push.Send", Unit: "r7", Optional: true, State: "failed", Code: "PUSH_GONE", Message: "the device is gone", Ended: at("14:05:00")})
	got := why.Answer(f, why.Causes(f))
	if !strings.HasPrefix(got, `"Call sheet 12" is over, and not all of it is well: `) {
		t.Error(got)
	}
}
