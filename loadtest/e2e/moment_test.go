package e2e_test

import (
	"strings"
	"testing"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// The two sides of the final dot, hit exactly: killed before it, a mail goes out once and nobody is told otherwise;
// killed after it, with no answer yet, nobody can know, and the policy decides.
func TestKilledAroundTheDot(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string][2]known{
		"resend": {{delivery: "sent", mails: 1}, {delivery: "sent", mails: 2, flagged: true}},
		"hold":   {{delivery: "sent", mails: 1}, {delivery: "uncertain", code: "DELIVERY_UNCERTAIN", mails: 1, flagged: true}},
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			killedAroundTheDot(t, policy, want)
		})
	}
}

func killedAroundTheDot(t *testing.T, policy string, want [2]known) {
	gate := make(chan struct{})
	people := crowd(2)
	server := serveMail(t, map[string][]turn{
		people[0].GetEmail(): {{gate: gate}, {}},
		people[1].GetEmail(): {{silent: true}, {}},
	})
	t.Cleanup(func() { close(gate) })
	site := start(t, "--smtp", server.url(), "--from", "office@example.com")
	s := site.system()
	docs, _ := sampleDocuments(t)
	req, id := order(t, s.api("coordinator"), docs[1:2], &distributionv1.CreateDistributionRequest{
		Recipients: people, Policy: &distributionv1.Policy{OnUncertain: policy},
	})
	await(t, time.Minute, "one mail before the dot and one after it", func() (bool, error) {
		mails, err := server.box.Mails()
		return server.held() == 1 && len(mails) == 1, err
	})
	site.kill()
	site.up()
	s = site.system()
	s.box = server.box
	a := judged(t, s, req, id, time.Minute)
	mails := map[string]int{}
	for _, m := range a.Mails {
		mails[m.To]++
	}
	for i, r := range a.Recipients {
		d := r.GetDelivery()
		got := known{delivery: d.GetState(), code: d.GetError().GetCode(), mails: mails[r.GetEmail()], flagged: d.GetMaybeDuplicate()}
		if got != want[i] {
			t.Errorf("%s: got %+v, want %+v", r.GetEmail(), got, want[i])
		}
	}
}

// A process that is asked to stop in the middle ends soon, and the next one goes on: a restart for an update costs
// nobody a second mail, and no step an attempt.
func TestStoppedInFlight(t *testing.T) {
	t.Parallel()
	site := start(t)
	docs, _ := sampleDocuments(t)
	req, id := order(t, site.system().api("coordinator"), docs, &distributionv1.CreateDistributionRequest{Recipients: crowd(20)})
	for _, after := range []int32{10, 45} {
		if reach(t, site, id, blow{after: after}) {
			t.Fatal("the distribution ended before it could be stopped")
		}
		begin := time.Now()
		site.stop()
		took := time.Since(begin)
		if took > 30*time.Second { // 2 s on a machine of its own
			t.Errorf("stopping took %s, want at most 30s", took)
		}
		if pid := site.redis(); pid != 0 {
			t.Errorf("redis-server %d goes on after a clean stop", pid)
		}
		site.up()
	}
	a := judged(t, site.system(), req, id, time.Minute)
	if a.Distribution.GetState() != "completed" || len(a.Mails) != 20 {
		t.Errorf("it ended %s with %d mails, want completed and 20", a.Distribution.GetState(), len(a.Mails))
	}
	for _, r := range a.Recipients {
		if r.GetDelivery().GetMaybeDuplicate() {
			t.Errorf("%s is flagged as perhaps having theirs twice after a clean stop", r.GetEmail())
		}
	}
	for _, e := range a.Events {
		if e.GetKind() == "attempt" && e.GetState() != "done" {
			t.Errorf("%s of %s: attempt %d was %s by %s; a clean stop is no failure", e.GetStep(), e.GetUnit(), e.GetAttempt(), e.GetState(), e.GetError().GetCode())
		}
	}
}

// One data folder has one server.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	site := start(t)
	got := command(t, nil, "up", "--data", site.dir, "--addr", "127.0.0.1:0")
	if got.code != 1 || strings.Contains(got.stdout, "ready") || !strings.Contains(got.stderr, site.dir) {
		t.Errorf("a second one on the folder exits %d, want 1 and the folder named; it said:\n%s%s", got.code, got.stdout, got.stderr)
	}
	_, err := site.system().api("coordinator").distributions(1)
	if err != nil {
		t.Errorf("the first one does not answer any more: %v", err)
	}
}
