package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

// trouble is one reason for which things fail or are tried again, and whom it hurts.
type trouble struct {
	what   string // "email retrying"
	reason string
	whom   []string
	since  time.Time // zero when not known
	retry  time.Time // the next try; zero if there is none
}

// examples is how many of those hurt by one trouble are named.
const examples = 3

// troubles collects by what and why, in the order of first sight.
type troubles struct {
	list  []*trouble
	index map[string]*trouble
}

func (ts *troubles) add(what, reason, whom string, since, retry *timestamppb.Timestamp) {
	if ts.index == nil {
		ts.index = map[string]*trouble{}
	}
	key := what + "\x00" + reason
	tr := ts.index[key]
	if tr == nil {
		tr = &trouble{what: what, reason: reason}
		ts.index[key] = tr
		ts.list = append(ts.list, tr)
	}
	tr.whom = append(tr.whom, whom)
	if since != nil && (tr.since.IsZero() || since.AsTime().Before(tr.since)) {
		tr.since = since.AsTime()
	}
	if retry != nil && (tr.retry.IsZero() || retry.AsTime().Before(tr.retry)) {
		tr.retry = retry.AsTime()
	}
}

// findTroubles asks only for items that the counts say are there: of a healthy distribution of 10,000 items, none.
// recipients are there if d is hurt.
func findTroubles(ctx context.Context, client *api.Client, d *distributionv1.Distribution, recipients []*distributionv1.Recipient) ([]*trouble, error) {
	var ts troubles
	retrying := retries(d)
	deliveries := map[string]*distributionv1.Delivery{} // by recipient
	for _, r := range recipients {
		deliveries[r.GetId()] = r.GetDelivery()
	}
	follows := map[string]bool{} // recipients whose delivery failed only because an item of theirs did
	states := map[string]bool{
		"failed":  d.GetItems().GetFailed() > 0,
		"running": retrying && d.GetItems().GetRunning() > 0,
		"pending": retrying && d.GetItems().GetPending() > 0,
	}
	for _, state := range []string{"failed", "running", "pending"} {
		if !states[state] {
			continue
		}
		items, _, err := client.Items(ctx, d.GetProduction(), d.GetId(), state)
		if err != nil {
			return nil, err
		}
		for _, i := range items {
			id := i.GetRecipient().GetId()
			ts.item(i, whyDelivery(deliveries[id]))
			follows[id] = follows[id] || caused(i.GetError(), deliveries[id].GetError())
		}
	}
	for _, r := range recipients {
		if !follows[r.GetId()] {
			ts.recipient(r)
		}
	}
	return ts.list, nil
}

// caused reports whether a delivery's error only passes an item's on: it has the item's code, and a sentence of its own.
func caused(item, delivery *distributionv1.Error) bool {
	return item.GetCode() != "" && item.GetCode() == delivery.GetCode() && item.GetMessage() != delivery.GetMessage()
}

// hurt reports whether recipients have to be asked for to say what is wrong: a step is being tried again, or a delivery
// is in a state that somebody should know the reason of.
func hurt(d *distributionv1.Distribution) bool {
	c := d.GetRecipients()
	return retries(d) || c.GetUncertain()+c.GetDeferred()+c.GetBounced()+c.GetBlocked()+c.GetComplained()+c.GetFailed() > 0
}

func retries(d *distributionv1.Distribution) bool {
	for _, s := range d.GetSteps() {
		if s.GetRetrying() > 0 {
			return true
		}
	}
	return false
}

// item adds what is wrong with an item, unless it is only that its recipient's delivery failed, which is told.
func (ts *troubles) item(i *distributionv1.Item, told string) {
	whom := fileName(i.GetFile()) + " for " + i.GetRecipient().GetName()
	found := false
	for _, s := range i.GetSteps() {
		if told != "" && why(s.GetError()) == told {
			found = true
			continue
		}
		switch {
		case asksAgain(s):
		case s.GetState() == "failed":
			found = true
			ts.add(s.GetName()+" failed", why(s.GetError()), whom, s.GetEndedAt(), nil)
		case s.GetState() == "retrying":
			found = true
			ts.add(s.GetName()+" retrying", why(s.GetError()), whom, s.GetEndedAt(), s.GetRetryAt())
		}
	}
	if !found && i.GetError() != nil && why(i.GetError()) != told {
		ts.add("item "+i.GetState(), why(i.GetError()), whom, nil, nil)
	}
}

func (ts *troubles) recipient(r *distributionv1.Recipient) {
	v := r.GetDelivery()
	whom := r.GetName() + " <" + r.GetEmail() + ">"
	switch v.GetState() {
	case "uncertain", "deferred", "bounced", "blocked", "complained", "failed":
	default:
		if v.GetError() == nil || v.GetRetryAt() == nil {
			return
		}
	}
	ts.add(v.GetChannel()+" "+v.GetState(), whyDelivery(v), whom, nil, v.GetRetryAt())
}

// whyDelivery is why a delivery is where it is: our sentence, else the mail server's.
func whyDelivery(v *distributionv1.Delivery) string {
	if v.GetError() != nil {
		return why(v.GetError())
	}
	return v.GetReply()
}

func showTroubles(t *term, list []*trouble) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(t.out, "\nWhat is wrong")
	for _, tr := range list {
		line := tr.what
		if n := len(tr.whom); n > 1 {
			line = fmt.Sprintf("%s, %d times", line, n)
		}
		if !tr.since.IsZero() {
			line += ", since " + at(timestamppb.New(tr.since))
		}
		if !tr.retry.IsZero() {
			line += ", next try " + at(timestamppb.New(tr.retry))
		}
		if tr.reason != "" {
			line += ": " + tr.reason
		}
		t.print("  %s", line)
		whom := strings.Join(tr.whom[:min(examples, len(tr.whom))], "; ")
		if more := len(tr.whom) - examples; more > 0 {
			whom += fmt.Sprintf("; and %d more", more)
		}
		t.print("      %s", whom)
	}
}
