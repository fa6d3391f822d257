package verdict_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/loadtest/internal/ledger"
	"github.com/filigreehq/filigree/loadtest/internal/verdict"
)

// flawless is the account of two files sent to three people, one of whom could not be reached, without any fault.
func flawless() verdict.Account {
	a := verdict.Account{Files: []string{"f1", "f2"}}
	now := timestamppb.New(time.Unix(1_800_000_000, 0))
	event := func(kind, step, unit string, attempt int32, state string) {
		a.Events = append(a.Events, &distributionv1.Event{
			Id: fmt.Sprint(len(a.Events) + 1), Time: now, Kind: kind, Step: step, Unit: unit, Attempt: attempt, State: state,
		})
	}
	done := func(name string) *distributionv1.StepView { return &distributionv1.StepView{Name: name, State: "done"} }
	event("accepted", "", "", 0, "")
	for f := range 2 {
		event("attempt", "prepare", fmt.Sprintf("f%d", f+1), 1, "done")
	}
	for f := range 2 {
		for p := range 3 {
			a.Items = append(a.Items, &distributionv1.Item{
				Id: fmt.Sprintf("D.%d.%d", f+1, p+1), State: "done", File: &distributionv1.FileRef{Sha256: fmt.Sprintf("f%d", f+1)},
				Recipient: &distributionv1.RecipientRef{Email: address(p)}, Sha256: digest(f, p),
				Steps: []*distributionv1.StepView{done("prepare"), done("watermark"), done("email")},
			})
			event("attempt", "watermark", fmt.Sprintf("i%d.%d", f+1, p+1), 1, "done")
		}
	}
	for p := range 3 {
		a.People = append(a.People, verdict.Person{Name: fmt.Sprintf("P%d", p), Email: address(p)})
		a.Recipients = append(a.Recipients, &distributionv1.Recipient{
			Email: address(p), Name: fmt.Sprintf("P%d", p),
			Delivery: &distributionv1.Delivery{State: "sent", MessageId: fmt.Sprintf("m%d", p), SentAt: now, Attempts: 1},
			Items:    &distributionv1.ItemCounts{Total: 2, Done: 2},
		})
		if p < 2 {
			a.Mails = append(a.Mails, mailTo(p))
			event("attempt", "email", fmt.Sprintf("r%d", p+1), 1, "done")
		}
	}
	event("attempt", "email", "r3", 1, "retrying")
	event("attempt", "email", "r3", 2, "failed")
	event("ended", "", "", 0, "completed_with_failures")
	a.Recipients[2].Delivery = &distributionv1.Delivery{State: "bounced", Attempts: 2}
	a.Recipients[2].Items = &distributionv1.ItemCounts{Total: 2, Failed: 2}
	for _, i := range []int{2, 5} {
		a.Items[i].State, a.Items[i].Error = "failed", &distributionv1.Error{Code: "EMAIL_REJECTED"}
		a.Items[i].Steps[2].State = "failed"
	}
	a.Distribution = &distributionv1.Distribution{
		State: "completed_with_failures", EndedAt: now,
		Items:      &distributionv1.ItemCounts{Total: 6, Done: 4, Failed: 2},
		Recipients: &distributionv1.DeliveryCounts{Total: 3, Sent: 2, Bounced: 1},
		Steps: []*distributionv1.StepCounts{
			{Name: "prepare", Done: 2}, {Name: "watermark", Done: 6}, {Name: "email", Done: 2, Failed: 1},
		},
	}
	return a
}

func address(p int) string   { return fmt.Sprintf("p%d@example.com", p) }
func digest(f, p int) string { return fmt.Sprintf("copy%d.%d", f, p) }

func mailTo(p int) ledger.Mail {
	return ledger.Mail{
		Where: fmt.Sprintf("m%d.eml", p), MessageID: fmt.Sprintf("m%d", p), To: address(p),
		Attachments: []ledger.Attachment{{SHA256: digest(1, p)}, {SHA256: digest(0, p)}},
	}
}

func repeated(p int) ledger.Mail {
	m := mailTo(p)
	m.Where, m.Attempt = "again.eml", 2
	return m
}

func TestFlawless(t *testing.T) {
	t.Parallel()
	v := verdict.Judge(flawless())
	if len(v.Problems) > 0 {
		t.Error(v)
	}
	if v.Mails != 2 || v.Twice != 0 || v.Items["done"] != 4 || v.Items["failed"] != 2 {
		t.Errorf("got figures %+v", v)
	}
}

func TestFlaggedRepeat(t *testing.T) {
	t.Parallel()
	a := flawless()
	a.Mails = append(a.Mails, repeated(0))
	a.Recipients[0].Delivery.MaybeDuplicate = true
	v := verdict.Judge(a)
	if len(v.Problems) > 0 || v.Twice != 1 || v.Flagged != 1 {
		t.Errorf("got %s, want a repeat that is no problem", v)
	}
}

// Each doctored account must be found out, and for the right reason.
func TestDoctored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		doctor func(*verdict.Account)
		want   string
	}{
		"a mail is lost":               {func(a *verdict.Account) { a.Mails = a.Mails[1:] }, "lost"},
		"a mail came twice, unflagged": {func(a *verdict.Account) { a.Mails = append(a.Mails, repeated(0)) }, "is not flagged"},
		"a repeat does not say so": {func(a *verdict.Account) {
			a.Mails = append(a.Mails, mailTo(0))
			a.Recipients[0].Delivery.MaybeDuplicate = true
		}, "does not say so"},
		"a repeat has another id": {func(a *verdict.Account) {
			m := repeated(0)
			m.MessageID = "x"
			a.Mails = append(a.Mails, m)
			a.Recipients[0].Delivery.MaybeDuplicate = true
		}, "differ in Message-ID"},
		"a mail went to a stranger": {func(a *verdict.Account) { a.Mails[0].To = "stranger@example.com" }, "nobody ordered"},
		"a mail went to two":        {func(a *verdict.Account) { a.Mails[0].To = address(0) + ", " + address(1) }, "nobody ordered"},
		"mails were exchanged":      {func(a *verdict.Account) { a.Mails[0].To, a.Mails[1].To = a.Mails[1].To, a.Mails[0].To }, "not exactly"},
		"a copy of somebody else":   {func(a *verdict.Account) { a.Mails[0].Attachments[0] = a.Mails[1].Attachments[0] }, "not exactly"},
		"a copy too many": {func(a *verdict.Account) {
			a.Mails[0].Attachments = append(a.Mails[0].Attachments, a.Mails[1].Attachments[0])
		}, "not exactly"},
		"a copy is missing":            {func(a *verdict.Account) { a.Mails[0].Attachments = a.Mails[0].Attachments[:1] }, "not exactly"},
		"the same copy for two":        {func(a *verdict.Account) { a.Items[1].Sha256 = a.Items[0].Sha256 }, "one and the same copy"},
		"a bounced one has mail":       {func(a *verdict.Account) { a.Mails = append(a.Mails, mailTo(2)) }, "are in the ledger"},
		"two share a Message-ID":       {func(a *verdict.Account) { a.Mails[1].MessageID = "m0" }, "share the Message-ID"},
		"an item is not over":          {func(a *verdict.Account) { a.Items[0].State = "running" }, "not final"},
		"an item is not there":         {func(a *verdict.Account) { a.Items = a.Items[1:] }, "want one item"},
		"an item is there twice":       {func(a *verdict.Account) { a.Items = append(a.Items, proto.CloneOf(a.Items[0])) }, "want one item"},
		"a failure without reason":     {func(a *verdict.Account) { a.Items[2].Error = nil }, "without saying why"},
		"a delivery is not over":       {func(a *verdict.Account) { a.Recipients[0].Delivery.State = "deferred" }, "not final"},
		"uncertain and not flagged":    {func(a *verdict.Account) { a.Recipients[2].Delivery.State = "uncertain" }, "uncertain and not flagged"},
		"a recipient is missing":       {func(a *verdict.Account) { a.Recipients = a.Recipients[1:] }, "recipients are listed"},
		"another name":                 {func(a *verdict.Account) { a.Recipients[0].Name = "Mallory" }, "recipient 1 is"},
		"a counter is off":             {func(a *verdict.Account) { a.Distribution.Items.Done++ }, "the counter says"},
		"a recipient's counter is off": {func(a *verdict.Account) { a.Recipients[0].Items.Done-- }, "the counter says"},
		"a delivery counter is off":    {func(a *verdict.Account) { a.Distribution.Recipients.Sent-- }, "the counter says"},
		"a step's counter is off":      {func(a *verdict.Account) { a.Distribution.Steps[1].Running++ }, "the counter says"},
		"the log has another state":    {func(a *verdict.Account) { a.Events[3].State = "failed" }, "the log says"},
		"the log lacks an attempt":     {func(a *verdict.Account) { a.Events = append(a.Events[:3:3], a.Events[4:]...) }, "the log says \"\""},
		"a step ended twice": {func(a *verdict.Account) {
			e := proto.CloneOf(a.Events[3])
			e.Id, e.Attempt = "3a", 2
			a.Events = append(a.Events[:4:4], append([]*distributionv1.Event{e}, a.Events[4:]...)...)
		}, "has a successor"},
		"an attempt is counted twice": {func(a *verdict.Account) { a.Events[len(a.Events)-2].Attempt = 1 }, "is logged after attempt"},
		"an event is listed twice":    {func(a *verdict.Account) { a.Events[4].Id = a.Events[3].Id }, "listed twice"},
		"the end is missing":          {func(a *verdict.Account) { a.Events = a.Events[:len(a.Events)-1] }, "0 ends"},
		"two ends": {func(a *verdict.Account) {
			e := proto.CloneOf(a.Events[len(a.Events)-1])
			e.Id = "z"
			a.Events = append(a.Events, e)
		}, "2 ends"},
		"the end is another": {func(a *verdict.Account) { a.Distribution.State = "completed" }, "the API"},
		"something after the end": {func(a *verdict.Account) {
			a.Events = append(a.Events, &distributionv1.Event{Id: "z", Kind: "attempt", Step: "email", Unit: "r1", Attempt: 2, State: "done"})
		}, "follow"},
		"sent, and nothing of it done":  {func(a *verdict.Account) { a.Recipients[0].Items = &distributionv1.ItemCounts{Total: 2, Failed: 2} }, "none of their items is done"},
		"a done item without a digest":  {func(a *verdict.Account) { a.Items[0].Sha256 = "" }, "has no digest"},
		"sent without a Message-ID":     {func(a *verdict.Account) { a.Recipients[0].Delivery.MessageId = "" }, "without Message-ID"},
		"the API has another MessageID": {func(a *verdict.Account) { a.Recipients[0].Delivery.MessageId = "other" }, "the API says"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := flawless()
			c.doctor(&a)
			v := verdict.Judge(a)
			if !strings.Contains(strings.Join(v.Problems, "\n"), c.want) {
				t.Errorf("got %s, want a problem with %q", v, c.want)
			}
		})
	}
}
