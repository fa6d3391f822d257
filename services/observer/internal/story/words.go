package story

import (
	"fmt"
	"strings"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/why"
)

// attempt tells of one.
func (t *telling) attempt(e *event.Event) Chapter {
	c := Chapter{Kind: "attempt", Event: *e, From: e.Started, Until: e.Time, State: e.State}
	if c.From.IsZero() {
		c.From = e.Time
	}
	took := ""
	if !e.Started.IsZero() {
		took = " after " + span(e.Time.Sub(e.Started))
	}
	by := e.Worker
	if by == "" {
		by = "nobody"
	}
	what := t.what(e.Step, e.Unit)
	switch e.State {
	case "done":
		c.Sentence = fmt.Sprintf("%s %s in %s", by, t.did(e), span(e.Time.Sub(c.From)))
	case "skipped":
		c.Sentence = what + " was not needed"
	case "cancelled":
		c.Sentence = what + " was given up" + colon(e)
	case "failed":
		c.Sentence = fmt.Sprintf("%s failed for good on %s%s%s", what, by, took, colon(e))
	case "retrying":
		c.Sentence = fmt.Sprintf("%s failed on %s%s%s", what, by, took, colon(e))
		if !e.RetryAt.IsZero() {
			c.Sentence += "; to be tried again at " + e.RetryAt.UTC().Format("15:04:05 UTC")
		}
	default:
		c.Sentence = fmt.Sprintf("%s came back from %s%s%s", what, by, took, colon(e))
	}
	c.Sentence = sentence(c.Sentence)
	return c
}

// sentence leaves alone what begins with a worker's name.
func sentence(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if strings.ContainsAny(first, "/@-0123456789") {
		return s + "."
	}
	return why.Sentence(s)
}

// did is what a worker did.
func (t *telling) did(e *event.Event) string {
	of := ""
	if f := t.file(e.Unit); f != "" {
		of = " of " + f
	}
	base, _, _ := strings.Cut(t.plan[e.Step].Function, "@")
	switch base {
	case "watermark.Prepare":
		return "read" + strings.Replace(of, " of", "", 1)
	case "watermark.Stamp":
		return "made the copy" + of
	case "thumbnail.Render":
		return "drew the picture" + of
	case "link.Create":
		return "made the link"
	case "email.Send":
		if t.in.Email != "" {
			return "sent the mail to " + t.in.Email
		}
		return "sent the mail"
	case "push.Send":
		return "sent the push message"
	}
	return "did the step " + e.Step + of
}

func colon(e *event.Event) string {
	switch {
	case e.Message == "" && e.Code == "":
		return ""
	case e.Message == "":
		return ": " + e.Code
	case e.Code == "":
		return ": " + strings.TrimSuffix(e.Message, ".")
	}
	return ": " + strings.TrimSuffix(e.Message, ".") + " (" + e.Code + ")"
}

// life is what became of the distribution as a whole.
func life(e *event.Event) string {
	by := why.Person(e.Worker)
	switch e.Kind {
	case "accepted":
		return "the distribution was accepted"
	case "started":
		return "its first step began"
	case "paused":
		return by + " paused the distribution"
	case "resumed":
		return by + " let the distribution go on"
	case "cancel_requested":
		return by + " cancelled the distribution"
	case "stopped":
		return "the distribution stopped by itself: too many items failed"
	case "retry_requested":
		text := by + " asked for a retry"
		if e.Text != "" {
			text += " of " + e.Text
		}
		return text
	case "skip_requested", "end_requested":
		text := by + " asked to skip what fails"
		if e.Kind == "end_requested" {
			text = by + " asked to cancel what has not ended"
		}
		if e.Text != "" {
			text += " of " + e.Text
		}
		return text
	case "skip":
		return by + " had what failed left out; what waited for it goes on without"
	case "retry":
		return by + " had what failed run again"
	case "resend":
		return by + " sent to the recipient again"
	case "ended":
		return "the distribution ended: " + strings.ReplaceAll(e.State, "_", " ")
	}
	text := "the distribution: " + strings.ReplaceAll(e.Kind, "_", " ")
	if e.Text != "" {
		text += ", " + e.Text
	}
	return text
}

// standing tells of a step that has not ended.
func (t *telling) standing(s *why.Step) {
	if !t.units[s.Unit] {
		return
	}
	e := event.Event{Step: s.Name, Unit: s.Unit, Attempt: s.Attempts, Worker: s.Worker, Code: s.Code, Message: s.Message, RetryAt: s.RetryAt, Limit: s.Limit}
	c := Chapter{Kind: "wait", Event: e, From: s.Since}
	what := s.What()
	switch s.State {
	case "running":
		c.Kind, c.From, c.State = "attempt", s.Started, "running"
		c.Code, c.Message = "", "" // of the attempt before
		c.Sentence = fmt.Sprintf("%s works on %s, for %s so far", s.Worker, what, span(t.in.Now.Sub(s.Started)))
	case "ready":
		c.State, c.Sentence = "slot", what+" is ready and has not begun"
		switch {
		case strings.HasPrefix(s.Limit, "k/"):
			c.State, c.Sentence = "limit", what+" waits until another step with the same key has ended"
		case s.Limit != "":
			c.State, c.Sentence = "limit", what+" waits at the limit "+s.Limit
		}
	case "retrying":
		c.State = "backoff"
		if s.Code == "" {
			c.State = "waiting"
		}
		c.Sentence = what + " waits until " + s.RetryAt.UTC().Format("15:04:05 UTC")
	default:
		return
	}
	if c.From.IsZero() {
		c.From = t.since(s)
	}
	c.Sentence = sentence(c.Sentence)
	t.add(c)
}

// since is since when a step waits: since it was tried last, or since what it needs had ended.
func (t *telling) since(s *why.Step) time.Time {
	had, ok := t.last[s.Unit+"/"+s.Name]
	if ok && had.Time.After(t.asked) {
		return had.Time
	}
	at, _ := t.ready(s.Name, s.Unit)
	return at
}
