package e2e_test

import (
	"fmt"
	mathrand "math/rand/v2"
	"syscall"
	"testing"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// waits keeps mails waiting for so long that a worker that stops must hand them back, and returns when one of by waits.
func waits(t *testing.T, server *mailServer, by string) {
	t.Helper()
	from := len(server.sendings())
	server.shut()
	await(t, 20*time.Second, "mails that the mail server keeps waiting", func() (bool, error) {
		for n, m := range server.sendings() {
			if n >= from && (n+1)%3 == 0 && m.by == by && m.dot.IsZero() {
				return true, nil
			}
		}
		return false, nil
	})
}

// Every process is told to stop and started again, one after the other, while distributions go on: each is gone within
// 20 s, no mail is uncertain or comes twice, and no attempt fails, also of mails that are handed back unsent.
//
// The small size rolls through one of each kind of process.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	rounds := size(t, "FILIGREE_ROLLING", 1)
	full := rounds > 1
	f := startFleet(t, false, false)
	f.mail.slowly(50 * time.Millisecond)
	s := f.system()
	c := s.api("coordinator")
	docs, _ := sampleDocuments(t)
	r := mathrand.New(mathrand.NewPCG(23, 23))

	type ordered struct {
		req *distributionv1.CreateDistributionRequest
		id  string
	}
	var all []ordered
	people := 40
	if full {
		people = 100
	}
	// under makes sure that there is one under way whose mails have begun to go out.
	under := func() {
		t.Helper()
		if len(all) > 0 {
			var d *distributionv1.Distribution
			await(t, 10*time.Second, "an answer of the API", func() (bool, error) {
				var err error
				d, err = c.distribution(all[len(all)-1].id)
				return err == nil, err
			})
			if d.GetEndedAt() == nil && d.GetRecipients().GetSent() < int32(people*3/4) {
				return
			}
		}
		from := len(f.mail.sendings())
		req, id := order(t, c, docs[1:2], &distributionv1.CreateDistributionRequest{Recipients: crowd(people)})
		all = append(all, ordered{req, id})
		moment(t, f.mail, from, r, people/4)
	}
	slowest, stops := time.Duration(0), 0
	for range rounds {
		for _, service := range replicas {
			for i := range service.n {
				if !full && i > 0 {
					continue
				}
				under()
				name := fmt.Sprint(service.service, "-", i)
				if service.service == "email" {
					waits(t, f.mail, helloOf("email", i))
				}
				begin := time.Now()
				f.signal(name, syscall.SIGTERM)
				select {
				case <-f.gone[name]:
				case <-time.After(time.Minute):
					t.Fatalf("%s goes on a minute after it was told to stop", name)
				}
				took := time.Since(begin)
				slowest, stops = max(slowest, took), stops+1
				if code := f.running[name].ProcessState.ExitCode(); code != 0 {
					t.Errorf("%s ended with exit code %d, want 0", name, code)
				}
				f.mail.open()
				f.start(service.service, i)
				if full {
					<-time.After(time.Second) // who rolls through replicas lets each be found before the next
				}
			}
		}
	}
	attempts := 0
	for _, o := range all {
		a := judged(t, s, o.req, o.id, 2*time.Minute)
		if a.Distribution.GetState() != "completed" || len(a.Mails) != people {
			t.Errorf("%s ended %s with %d mails, want completed and %d", o.id, a.Distribution.GetState(), len(a.Mails), people)
		}
		for _, p := range a.Recipients {
			if p.GetDelivery().GetMaybeDuplicate() {
				t.Errorf("%s is flagged as perhaps having theirs twice", p.GetEmail())
			}
		}
		for _, e := range a.Events {
			if e.GetKind() != "attempt" {
				continue
			}
			attempts++
			if e.GetState() != "done" {
				t.Errorf("%s of %s: attempt %d was %s by %s (%s); a clean stop is no failure", e.GetStep(), e.GetUnit(), e.GetAttempt(), e.GetState(), e.GetError().GetCode(), e.GetError().GetMessage())
			}
		}
	}
	t.Logf("%d processes stopped and started again, the slowest gone after %s; %d distributions, %d attempts", stops, slowest.Round(10*time.Millisecond), len(all), attempts)
}
