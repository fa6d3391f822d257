package e2e_test

import (
	"fmt"
	mathrand "math/rand/v2"
	"testing"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// settled is how long after the acknowledgement of a cancellation or a pause a mail may still begin or be completed.
const settled = time.Second

// A cancellation at any moment of a distribution ends it: a second after it was acknowledged no mail begins and none is
// completed, also of those that the mail server kept waiting meanwhile; everybody has been sent their mail or has not,
// and the counters say what the mail server has. A pause does the same until it is resumed, and costs nobody anything.
func TestCancelAndPauseInFlight(t *testing.T) {
	t.Parallel()
	for seed := range size(t, "FILIGREE_CANCEL_SEEDS", 3) {
		t.Run(fmt.Sprintf("seed %d", seed+1), func(t *testing.T) {
			t.Parallel()
			r := mathrand.New(mathrand.NewPCG(uint64(seed+1), 22))
			server := serveMail(t, nil)
			server.slowly(20 * time.Millisecond)
			site := start(t, "--smtp", server.url(), "--from", "office@example.com")
			s := site.system()
			s.box = server.box
			docs, _ := sampleDocuments(t)
			cancelInFlight(t, s, server, docs[1:2], r)
			pauseInFlight(t, s, server, docs[1:2], r)
		})
	}
}

// moment waits until so many mails more than from have begun, and a little longer.
func moment(t *testing.T, server *mailServer, from int, r *mathrand.Rand, most int) {
	t.Helper()
	n, delay := r.IntN(most), time.Duration(r.IntN(40))*time.Millisecond
	await(t, time.Minute, fmt.Sprintf("%d mails that begin", n), func() (bool, error) {
		begun := len(server.sendings()) - from
		return begun >= n, fmt.Errorf("%d have begun", begun)
	})
	<-time.After(delay)
}

// late fails the test for each mail that began or was completed after limit.
func late(t *testing.T, server *mailServer, acknowledged, until time.Time, dots bool) {
	t.Helper()
	limit := acknowledged.Add(settled)
	for _, m := range server.sendings() {
		if m.data.After(limit) && m.data.Before(until) {
			t.Errorf("a mail to %s began %s after the answer", m.to, m.data.Sub(acknowledged))
		}
		if dots && m.dot.After(limit) && m.dot.Before(until) {
			t.Errorf("a mail to %s was completed %s after the answer", m.to, m.dot.Sub(acknowledged))
		}
	}
}

func cancelInFlight(t *testing.T, s system, server *mailServer, docs []document, r *mathrand.Rand) {
	c := s.api("coordinator")
	req, id := order(t, c, docs, &distributionv1.CreateDistributionRequest{Recipients: crowd(200)})
	moment(t, server, 0, r, 120)
	server.shut()
	_, err := c.cancel(id)
	acknowledged := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(settled + 200*time.Millisecond)
	server.open()
	a := judged(t, s, req, id, time.Minute)
	late(t, server, acknowledged, time.Now(), true)
	d := a.Distribution
	people, items := d.GetRecipients(), d.GetItems()
	if d.GetState() != "cancelled" || people.GetCancelled() == 0 {
		t.Errorf("it ended %s with recipients %v, want cancelled in the middle", d.GetState(), people)
	}
	if people.GetSent() != int32(len(a.Mails)) || people.GetSent()+people.GetCancelled() != 200 {
		t.Errorf("recipients %v, want as many sent as there are mails, %d, and all others of 200 cancelled", people, len(a.Mails))
	}
	if items.GetDone() != people.GetSent() || items.GetDone()+items.GetCancelled() != 200 {
		t.Errorf("items %v beside recipients %v, want the same", items, people)
	}
	for _, p := range a.Recipients {
		if p.GetDelivery().GetMaybeDuplicate() {
			t.Errorf("%s is flagged as perhaps having theirs twice", p.GetEmail())
		}
	}
}

func pauseInFlight(t *testing.T, s system, server *mailServer, docs []document, r *mathrand.Rand) {
	c := s.api("coordinator")
	from := len(server.sendings())
	req, id := order(t, c, docs, &distributionv1.CreateDistributionRequest{Recipients: crowd(100)})
	moment(t, server, from, r, 60)
	_, err := c.tell(id, "pause")
	acknowledged := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	await(t, time.Minute, "nothing that runs", func() (bool, error) {
		d, err := c.distribution(id)
		running := int32(0)
		for _, s := range d.GetSteps() {
			running += s.GetRunning()
		}
		return err == nil && running == 0, fmt.Errorf("%d steps run; %w", running, err)
	})
	still := len(server.sendings())
	<-time.After(settled + 200*time.Millisecond)
	before, err := c.distribution(id)
	if err != nil {
		t.Fatal(err)
	}
	late(t, server, acknowledged, time.Now(), false)
	if now := len(server.sendings()); now != still {
		t.Errorf("%d mails began while it was paused and nothing ran", now-still)
	}
	if before.GetState() != "paused" || before.GetRecipients().GetQueued() == 0 {
		t.Errorf("it is %s with recipients %v, want paused in the middle", before.GetState(), before.GetRecipients())
	}
	_, err = c.tell(id, "resume")
	if err != nil {
		t.Fatal(err)
	}
	a := judged(t, s, req, id, time.Minute)
	if a.Distribution.GetState() != "completed" || a.Distribution.GetRecipients().GetSent() != 100 || len(a.Mails) != 100 {
		t.Errorf("it ended %s with %d mails, recipients %v; want all 100", a.Distribution.GetState(), len(a.Mails), a.Distribution.GetRecipients())
	}
}
