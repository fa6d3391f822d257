package e2e_test

import (
	"fmt"
	mathrand "math/rand/v2"
	"syscall"
	"testing"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// Mail workers that stand still for longer than their leases, at any moment, and go on as if nothing had been: what they
// say of tasks that others have by now is not heard, and they complete no mail once somebody else has. With the policy
// hold nobody has two mails; with resend only who is flagged.
func TestStoppedPastTheLease(t *testing.T) {
	t.Parallel()
	const atOnce = 10
	all := size(t, "FILIGREE_ZOMBIES", 2)
	for run := 0; run*atOnce < all; run++ {
		t.Run(fmt.Sprintf("run %d", run+1), func(t *testing.T) {
			stoppedPastTheLease(t, min(atOnce, all-run*atOnce), uint64(run+1))
		})
	}
}

func stoppedPastTheLease(t *testing.T, zombies int, seed uint64) {
	r := mathrand.New(mathrand.NewPCG(seed, 26))
	policy := []string{"resend", "hold"}[seed%2]
	f := startFleetOf(t, false, false, map[string]int{"link": 1, "watermark": 1, "directory": 1, "thumbnail": 1, "push": 1, "email": zombies + 1})
	f.mail.slowly(150 * time.Millisecond)
	s := f.system()
	docs, _ := sampleDocuments(t)
	people := 40 * (zombies + 1)
	req, id := order(t, s.api("coordinator"), docs[1:2], &distributionv1.CreateDistributionRequest{
		Recipients: crowd(people), Policy: &distributionv1.Policy{OnUncertain: policy},
	})
	moment(t, f.mail, 4*zombies, r, people/3)
	zombie := map[string]bool{}
	for i := range zombies {
		f.signal(fmt.Sprint("email-", i), syscall.SIGSTOP)
		zombie[helloOf("email", i)] = true
	}
	stopped := time.Now()
	<-time.After(12500 * time.Millisecond) // a lease is 10 s, and the loop that looks for its end comes by in time
	for i := range zombies {
		f.signal(fmt.Sprint("email-", i), syscall.SIGCONT)
	}
	woken := time.Now()
	a := judged(t, s, req, id, 3*time.Minute)

	caught := 0
	all := f.mail.sendings()
	for _, m := range all {
		if !zombie[m.by] || m.data.After(stopped) || (!m.dot.IsZero() && m.dot.Before(stopped)) {
			continue
		}
		caught++
		for _, other := range all {
			if other.to == m.to && other.by != m.by && !other.dot.IsZero() && other.dot.Before(m.dot) {
				t.Errorf("%s completed a mail to %s that it had begun before it stood still, %s after it went on and %s after %s had sent one",
					m.by, m.to, m.dot.Sub(woken), m.dot.Sub(other.dot), other.by)
			}
		}
	}
	lost := 0
	for _, e := range a.Events {
		if e.GetKind() == "attempt" && e.GetStep() == "email" && e.GetState() != "done" {
			lost++
		}
	}
	state := a.Distribution.GetState()
	t.Logf("%d workers stood still, %d mails of theirs between DATA and dot; %d attempts were given up; %s, %v", zombies, caught, lost, state, a.Distribution.GetRecipients())
	if lost == 0 {
		t.Errorf("no attempt was given up: nothing was shown")
	}
	twice := len(a.Mails) - people
	if policy == "hold" && len(a.Mails) > people {
		t.Errorf("%d mails for %d people, and the policy is to hold", len(a.Mails), people)
	}
	if twice > lost {
		t.Errorf("%d mails came twice and %d attempts were given up", twice, lost)
	}
}
