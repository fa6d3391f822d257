package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// A fate is what a mail server does to one recipient, and what must be known of it in the end.
type fate struct {
	name  string
	turns []turn
	want  known
	// held is what is known under the policy hold, where that is something else.
	held *known
}

type known struct {
	delivery string // its state
	code     string // of its error
	words    string // in its sentence: the mail server's own, where it had any
	attempts int
	mails    int // in the ledger
	flagged  bool
}

var fates = []fate{
	{name: "all well", want: known{delivery: "sent", attempts: 1, mails: 1}},
	{name: "later at RCPT, then well", turns: []turn{{rcpt: "451 4.7.1 greylisted, come back"}, {}},
		want: known{delivery: "sent", attempts: 2, mails: 1}},
	{name: "later at the dot, then well", turns: []turn{{dot: "452 4.3.1 disk full"}, {}},
		want: known{delivery: "sent", attempts: 2, mails: 1}},
	{name: "421 at RCPT, then well", turns: []turn{{rcpt: "421 4.3.2 shutting down"}, {}},
		want: known{delivery: "sent", attempts: 2, mails: 1}},
	{name: "421 at the dot, then well", turns: []turn{{dot: "421 4.3.2 shutting down"}, {}},
		want: known{delivery: "sent", attempts: 2, mails: 1}},
	{name: "no such person", turns: []turn{{rcpt: "550 5.1.1 no such person here"}},
		want: known{delivery: "bounced", code: "EMAIL_REJECTED", words: "no such person here", attempts: 1}},
	{name: "blocked", turns: []turn{{rcpt: "550 5.7.1 not from you"}},
		want: known{delivery: "blocked", code: "EMAIL_REJECTED", words: "not from you", attempts: 1}},
	{name: "refused at the dot", turns: []turn{{dot: "554 5.6.0 we do not like PDFs"}},
		want: known{delivery: "bounced", code: "EMAIL_REJECTED", words: "we do not like PDFs", attempts: 1}},
	{name: "silent after the dot, then well", turns: []turn{{silent: true}, {}},
		want: known{delivery: "sent", attempts: 2, mails: 2, flagged: true},
		held: &known{delivery: "uncertain", code: "EMAIL_UNCERTAIN", attempts: 1, mails: 1, flagged: true}},
	{name: "broken after the dot, then well", turns: []turn{{broken: true}, {}},
		want: known{delivery: "sent", attempts: 2, mails: 2, flagged: true},
		held: &known{delivery: "uncertain", code: "EMAIL_UNCERTAIN", attempts: 1, mails: 1, flagged: true}},
	{name: "broken after the dot and lost, then well", turns: []turn{{lost: true}, {}},
		want: known{delivery: "sent", attempts: 2, mails: 1, flagged: true},
		held: &known{delivery: "uncertain", code: "EMAIL_UNCERTAIN", attempts: 1, flagged: true}},
	{name: "broken after the dot, then refused", turns: []turn{{broken: true}, {rcpt: "550 5.1.1 gone"}},
		want: known{delivery: "bounced", code: "EMAIL_REJECTED", attempts: 2, mails: 1, flagged: true},
		held: &known{delivery: "uncertain", code: "EMAIL_UNCERTAIN", attempts: 1, mails: 1, flagged: true}},
}

// A mail server that defers, refuses, hangs, or breaks off after the final dot: what it did is in the states, nobody's
// mail is lost, and nobody has it twice without a flag; under the policy hold nobody has it twice at all.
func TestMailFaults(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"resend", "hold"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			mailFaults(t, policy)
		})
	}
}

func mailFaults(t *testing.T, policy string) {
	script := map[string][]turn{}
	people := crowd(len(fates))
	for i, f := range fates {
		script[people[i].GetEmail()] = f.turns
	}
	// The very first connection meets a server that is just leaving.
	server := serveMail(t, script, "421 4.3.2 mail.test is shutting down")
	s := start(t, "--smtp", server.url(), "--from", "office@example.com", "--retry-after", "1s", "--dot-timeout", "2s").system()
	s.box = server.box
	docs, _ := sampleDocuments(t)
	req, id := order(t, s.api("coordinator"), docs[1:2], &distributionv1.CreateDistributionRequest{
		Recipients: people, Policy: &distributionv1.Policy{OnUncertain: policy},
	})
	a := judged(t, s, req, id, 2*time.Minute)
	if a.Distribution.GetState() != "completed_with_failures" {
		t.Errorf("it ended %s, want completed_with_failures", a.Distribution.GetState())
	}
	mails := map[string]int{}
	for _, m := range a.Mails {
		mails[m.To]++
	}
	for i, r := range a.Recipients {
		t.Run(fates[i].name, func(t *testing.T) {
			want := fates[i].want
			if policy == "hold" && fates[i].held != nil {
				want = *fates[i].held
			}
			d := r.GetDelivery()
			got := known{d.GetState(), d.GetError().GetCode(), "", server.attempts(r.GetEmail()), mails[r.GetEmail()], d.GetMaybeDuplicate()}
			words := want.words
			want.words = ""
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if !strings.Contains(d.GetError().GetMessage(), words) {
				t.Errorf("got the sentence %q, want the mail server's words %q in it", d.GetError().GetMessage(), words)
			}
			// The refused greeting was an attempt, too, for whoever met it.
			if n := int(d.GetAttempts()); n < want.attempts || n > want.attempts+1 {
				t.Errorf("the API says %d attempts, the mail server saw %d", n, want.attempts)
			}
			item := a.Items[i]
			state := map[bool]string{true: "done", false: "failed"}[want.delivery == "sent"]
			if item.GetState() != state || item.GetError().GetCode() != want.code {
				t.Errorf("the item is %s with error %q, want %s with %q", item.GetState(), item.GetError().GetCode(), state, want.code)
			}
		})
	}
}

// While the mail server is away nothing fails, and when it is back everybody gets their mail once.
func TestMailServerAway(t *testing.T) {
	t.Parallel()
	greet := make([]string, 6)
	for i := range greet {
		greet[i] = "421 4.3.2 mail.test is down for repair"
	}
	server := serveMail(t, nil, greet...)
	s := start(t, "--smtp", server.url(), "--from", "office@example.com", "--retry-after", "1s").system()
	s.box = server.box
	docs, _ := sampleDocuments(t)
	req, id := order(t, s.api("coordinator"), docs[1:2], &distributionv1.CreateDistributionRequest{Recipients: crowd(4)})
	deferred := false
	await(t, time.Minute, "a deferred delivery", func() (bool, error) {
		list, err := s.api("coordinator").recipients(id, 100)
		for _, r := range list {
			d := r.GetDelivery()
			if d.GetState() == "deferred" {
				deferred = true
				if d.GetError().GetCode() == "" || d.GetError().GetMessage() == "" || !d.GetError().GetRetryable() || d.GetRetryAt() == nil {
					return false, fmt.Errorf("%s is deferred without saying why and until when: %v", r.GetEmail(), d)
				}
			}
		}
		return deferred, err
	})
	a := judged(t, s, req, id, 2*time.Minute)
	if len(a.Mails) != 4 || a.Distribution.GetState() != "completed" {
		t.Errorf("%d mails and %s, want 4 and completed", len(a.Mails), a.Distribution.GetState())
	}
}

// A distribution cancelled in flight: after the answer no mail goes out any more, not even those whose text is on its
// way already, and who has got theirs keeps the state sent.
func TestCancelInFlight(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	people := crowd(20)
	script := map[string][]turn{}
	for _, p := range people[5:] {
		script[p.GetEmail()] = []turn{{gate: gate}}
	}
	server := serveMail(t, script)
	s := start(t, "--smtp", server.url(), "--from", "office@example.com", "--connections", "2").system()
	s.box = server.box
	docs, _ := sampleDocuments(t)
	req, id := order(t, s.api("coordinator"), docs, &distributionv1.CreateDistributionRequest{Recipients: people})
	await(t, time.Minute, "mails that wait at the server", func() (bool, error) { return server.held() == 2, nil })
	before, err := server.box.Mails()
	if err != nil {
		t.Fatal(err)
	}
	got := s.cli(t, "cancel", id)
	if got.code != 0 {
		t.Fatalf("filigree cancel exits %d: %s", got.code, got.stderr)
	}
	close(gate)
	d, err := s.api("coordinator").cancel(id)
	if err != nil && !strings.Contains(err.Error(), "DISTRIBUTION_ENDED") {
		t.Errorf("cancelling again: got %v (%v), want nothing or DISTRIBUTION_ENDED", err, d)
	}
	a := judged(t, s, req, id, time.Minute)
	if a.Distribution.GetState() != "cancelled" || !a.Distribution.GetCancelRequested() {
		t.Errorf("it ended %s, want cancelled", a.Distribution.GetState())
	}
	if len(a.Mails) != len(before) {
		t.Errorf("%d mails went out after the cancellation had answered", len(a.Mails)-len(before))
	}
	if n := int(a.Distribution.GetRecipients().GetCancelled()); n != 20-len(before) {
		t.Errorf("%d deliveries are cancelled, want the %d that had not gone out", n, 20-len(before))
	}
	requests := 0
	for _, e := range a.Events {
		if e.GetKind() == "cancel_requested" {
			requests++
		}
	}
	if requests != 1 {
		t.Errorf("the log has %d requests to cancel, want the first one only", requests)
	}
}
