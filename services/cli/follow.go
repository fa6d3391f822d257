package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

// follower waits for the end of a distribution and tells how it ended.
type follower struct {
	productionFlag
	limit time.Duration // how long to wait
	json  bool          // tell it as the server's document
}

// follow waits for the end of d. The exit code is in the error.
func (c follower) follow(ctx context.Context, t *term, client *api.Client, d *distributionv1.Distribution, raw json.RawMessage) error {
	if !c.json {
		t.print("%s", d.GetId())
	}
	d, raw, waitErr := watch(ctx, t, client, d, raw, c.limit)
	if c.json {
		err := t.document(raw)
		if err != nil {
			return err
		}
	}
	if waitErr != nil {
		return c.open(ctx, d, waitErr)
	}
	missing, err := missing(ctx, client, d)
	if err != nil {
		return fmt.Errorf("it is %s, and who got theirs could not be read: %w", d.GetState(), err)
	}
	if !c.json {
		t.print("%s%s: items %s; recipients %s", word(d), since(t, d), counts(d.GetItems()), counts(d.GetRecipients()))
		if d.GetError() != nil {
			t.print("stopped: %s", why(d.GetError()))
		}
		if len(missing.rows) > 0 {
			t.print("")
			missing.write(t, "")
		}
	}
	if d.GetState() == "completed" {
		return nil
	}
	r := refuse("NOT_ALL_SENT", "%s ended as %s: mail reached %d of %d people, %d of %d items are done; see filigree status %s%s", d.GetId(), d.GetState(),
		reached(d.GetRecipients()), d.GetRecipients().GetTotal(), d.GetItems().GetDone(), d.GetItems().GetTotal(), d.GetId(), c.hint())
	r.exit = exitOpen
	if c.json {
		for _, row := range missing.rows {
			r.Details = append(r.Details, strings.Join(row, "  "))
		}
	}
	return r
}

// open says what is still open when waiting ended before the distribution did.
func (c follower) open(ctx context.Context, d *distributionv1.Distribution, waitErr error) error {
	how := fmt.Sprintf("it goes on; follow it with: filigree status %s%s", d.GetId(), c.hint())
	if d.GetState() == "paused" {
		how = fmt.Sprintf("stays so until: filigree resume %s%s", d.GetId(), c.hint())
	}
	left := fmt.Sprintf("items %s; recipients %s", counts(d.GetItems()), counts(d.GetRecipients()))
	var gone *api.UnreachableError
	var answer *api.Error
	var r *refusal
	switch {
	case errors.As(waitErr, &gone):
		r = refuse("SERVER_UNREACHABLE", "no answer from %s for the rest of the wait (%v); last seen: %s, %s; what was accepted is not lost: "+
			"once the server is back see filigree status %s%s", gone.Base, gone.Unwrap(), word(d), left, d.GetId(), c.hint())
		r.exit = exitUnreachable
	case ctx.Err() != nil:
		r = refuse("INTERRUPTED", "stopped waiting; the distribution is %s (%s) and %s; to stop it: filigree cancel %s%s", word(d), left, how, d.GetId(), c.hint())
		r.exit = exitOpen
	case errors.Is(waitErr, errRanOut), errors.As(waitErr, &answer) && answer.Retryable:
		r = refuse("WAIT_RAN_OUT", "not at its end after %s: it is %s (%s) and %s", c.limit, word(d), left, how)
		r.exit = exitOpen
	default:
		return waitErr
	}
	return r
}

// errRanOut is the end of --wait.
var errRanOut = errors.New("the wait ran out")

// watch follows d until it has ended, with a bar on a terminal. A server that is gone for a while, for a restart say, is
// asked again until limit. It returns what was seen last, always, and why it stopped early: what keeps the server out of
// reach, the context's end, or errRanOut.
func watch(ctx context.Context, t *term, client *api.Client, d *distributionv1.Distribution, raw json.RawMessage, limit time.Duration) (*distributionv1.Distribution, json.RawMessage, error) {
	until, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	bar := t.bar(barCount, "sending", 1)
	defer bar.finish()
	var last error
	show := func() {
		current, total := progress(d)
		note := fmt.Sprintf("%d of %d people", reached(d.GetRecipients()), d.GetRecipients().GetTotal())
		switch {
		case last != nil:
			note = "server gone, asking again"
		case d.GetState() == "paused":
			note = "paused"
		case held(t, d):
			note = "held until " + at(d.GetHeldUntil())
		}
		bar.set(current, total, note)
	}
	show()
	seen := func(now *distributionv1.Distribution, nowRaw json.RawMessage) bool {
		d, raw, last = now, nowRaw, nil
		show()
		return ended(d)
	}
	lost := func(err error) {
		last = err
		show()
	}
	err := client.Follow(until, d.GetProduction(), d.GetId(), seen, lost)
	switch {
	case err == nil, ended(d):
		return d, raw, nil
	case ctx.Err() != nil:
		return d, raw, ctx.Err()
	case until.Err() == nil:
		return d, raw, err
	case last != nil:
		return d, raw, last
	}
	return d, raw, errRanOut
}

// progress counts the steps that have ended: they move evenly, while items end all at once.
func progress(d *distributionv1.Distribution) (current, total int64) {
	for _, s := range d.GetSteps() {
		over := s.GetDone() + s.GetFailed() + s.GetSkipped() + s.GetCancelled()
		current += int64(over)
		total += int64(over + s.GetPending() + s.GetReady() + s.GetRunning() + s.GetRetrying())
	}
	return current, max(total, 1)
}

// missing is the table of those who did not get theirs, or not all of it, and why.
func missing(ctx context.Context, client *api.Client, d *distributionv1.Distribution) (*table, error) {
	b := newTable("NAME", "ADDRESS", "MAIL", "FILES", "WHY")
	b.state = 2
	if d.GetState() == "completed" {
		return b, nil
	}
	recipients, _, err := client.Recipients(ctx, d.GetProduction(), d.GetId())
	if err != nil {
		return nil, err
	}
	first := map[string]*distributionv1.Item{} // by recipient: their first item that failed
	if d.GetItems().GetFailed() > 0 {
		items, _, err := client.Items(ctx, d.GetProduction(), d.GetId(), "failed")
		if err != nil {
			return nil, err
		}
		for _, i := range items {
			id := i.GetRecipient().GetId()
			if first[id] == nil {
				first[id] = i
			}
		}
	}
	for _, r := range recipients {
		state, files := r.GetDelivery().GetState(), r.GetItems()
		got := hasMail(state)
		if got && files.GetDone() == files.GetTotal() {
			continue
		}
		reason := whyDelivery(r.GetDelivery())
		item := first[r.GetId()]
		if item != nil && (got || reason == "" || caused(item.GetError(), r.GetDelivery().GetError())) {
			reason = fileName(item.GetFile()) + ": " + whyItem(item)
		}
		b.add(r.GetName(), r.GetEmail(), state, fmt.Sprintf("%d of %d", files.GetDone(), files.GetTotal()), reason)
	}
	return b, nil
}
