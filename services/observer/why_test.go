package observer_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

// why asks until the answer has a first cause of a kind, or none for "", and returns it.
func (w *world) why(query, kind string) *observerv1.WhyResponse {
	w.t.Helper()
	var resp *observerv1.WhyResponse
	var err error
	w.until(func() bool {
		resp, err = w.observer.Why(w.t.Context(), &observerv1.WhyRequest{Query: query})
		first := ""
		if len(resp.GetCauses()) > 0 {
			first = resp.GetCauses()[0].GetKind()
		}
		return err == nil && first == kind
	}, func() any { return fmt.Sprint(resp, err) })
	return resp
}

// refuse has the mail to people whose number is in odd refused for good, each with another sentence, until it is closed.
func refuse(odd func(address string) bool, mended <-chan struct{}) func(context.Context, *emailv1.SendRequest) (*emailv1.SendResponse, error) {
	return func(_ context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		select {
		case <-mended:
		default:
			if odd(r.GetTo().GetEmail()) {
				f := fault.New(fault.Invalid, "EMAIL_REJECTED", "the mail server refuses this recipient: 550 5.1.1 <%s> is nobody since %d s", r.GetTo().GetEmail(), time.Now().UnixNano()%1000)
				f.Delivery = "bounced"
				return nil, f
			}
		}
		return &emailv1.SendResponse{MessageId: "m." + r.GetDelivery(), Reply: "250 ok"}, nil
	}
}

// Failures that are alike are one group, whose retry mends it; who is hurt is told why, and nobody else.
func TestAGroupOfFailuresIsRetriedAsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	mended := make(chan struct{})
	w.send = refuse(func(address string) bool {
		return strings.HasPrefix(address, "p2@") || strings.HasPrefix(address, "p4@")
	}, mended)
	w.work("worker-1")
	id := w.create("default", 2, 5)
	w.ended("default", id)
	got := w.why("Person 2", "refused")
	if a := got.GetAnswer(); !strings.HasPrefix(a, `Person 2 has not got "Pages": the mail to p2@example.com was refused for good`) ||
		!strings.Contains(a, "1 other person is hurt by the same. Nothing tries it again by itself.") {
		t.Errorf("answer %s", a)
	}
	if got.GetSubject().GetUnit() != "r2" || got.GetStory().GetState() != "bounced" {
		t.Errorf("it is about %v", got.GetSubject())
	}
	list := func(ctx context.Context, resolved bool) []*observerv1.FailureGroup {
		resp, err := w.observer.ListFailures(ctx, &observerv1.ListFailuresRequest{Resolved: resolved})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetGroups()
	}
	groups := list(t.Context(), false)
	if len(groups) != 1 || groups[0].GetCount() != 2 || groups[0].GetRecipients() != 2 || groups[0].GetOpen() != 2 || groups[0].GetDistribution() != id ||
		groups[0].GetSignature() != "the mail server refuses this recipient: 550 5.1.1 <address> is nobody since <n> s" {
		t.Fatalf("groups %v", groups)
	}
	if others := list(w.as(accessv1.Role_ROLE_COORDINATOR, "other"), true); len(others) != 0 {
		t.Errorf("a coordinator of another production sees %v", others)
	}
	act := &observerv1.ActOnFailuresRequest{Production: "default", Distribution: id, Fingerprint: groups[0].GetFingerprint(), Action: "retry"}
	_, err := w.observer.ActOnFailures(w.as(accessv1.Role_ROLE_COORDINATOR, "other"), act)
	if f := fault.From(err); err == nil || f.Reason != "PRODUCTION_UNKNOWN" {
		t.Errorf("a coordinator of another production acts: %v", err)
	}
	close(mended)
	done, err := w.observer.ActOnFailures(w.as(accessv1.Role_ROLE_ONCALL, "*"), act)
	if err != nil || done.GetRecipients() != 2 {
		t.Fatalf("retry: %v, %v", done, err)
	}
	w.until(func() bool { return len(list(t.Context(), false)) == 0 }, func() any { return list(t.Context(), false) })
	w.ended("default", id)
	// What is over is found by the index, which follows.
	w.until(func() bool {
		groups = list(t.Context(), true)
		return len(groups) == 1 && groups[0].GetOpen() == 0
	}, func() any { return groups })
	_, err = w.observer.ActOnFailures(t.Context(), act)
	if err == nil || fault.From(err).Reason != "FAILURE_RESOLVED" {
		t.Errorf("acting on what is over: %v", err)
	}
	asked := 0
	events, err := w.seen.ListEvents(t.Context(), &distributionv1.ListEventsRequest{Production: "default", Distribution: id, PageSize: 1000})
	for _, e := range events.GetEvents() {
		if e.GetKind() == "retry_requested" && e.GetWorker() == "token:1" {
			asked++
		}
	}
	if err != nil || asked != 1 {
		t.Errorf("%d retries in the name of whoever asked, want 1 (%v)", asked, err)
	}
	w.why("Person 2", "")
}

// A group is given up as one: skipped, what waits goes on without; cancelled, nothing more is sent to those it hurts.
func TestAGroupOfFailuresIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	stamp := w.stamp
	w.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		if strings.HasSuffix(r.GetItem(), ".1.2") || strings.HasSuffix(r.GetItem(), ".2.3") {
			return nil, fault.New(fault.Invalid, "MARK_HIDDEN", "the mark would be hidden on page 3")
		}
		return stamp(ctx, r)
	}
	w.send = func(_ context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		if strings.HasPrefix(r.GetTo().GetEmail(), "p4@") {
			return nil, fault.New(fault.Unavailable, "EMAIL_DEFERRED", "not now")
		}
		return &emailv1.SendResponse{MessageId: "m." + r.GetDelivery()}, nil
	}
	w.work("worker-1")
	id := w.create("default", 2, 5)
	group := func(code string) *observerv1.FailureGroup {
		var found *observerv1.FailureGroup
		w.until(func() bool {
			resp, err := w.observer.ListFailures(t.Context(), &observerv1.ListFailuresRequest{Production: "default", Distribution: id})
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range resp.GetGroups() {
				if g.GetCode() == code {
					found = g
				}
			}
			return found != nil
		}, func() any { return w.get("default", id) })
		return found
	}
	act := func(code, action string) {
		t.Helper()
		done, err := w.observer.ActOnFailures(w.as(accessv1.Role_ROLE_COORDINATOR, "default"),
			&observerv1.ActOnFailuresRequest{Production: "default", Distribution: id, Fingerprint: group(code).GetFingerprint(), Action: action})
		if err != nil || done.GetRecipients() == 0 {
			t.Fatalf("%s: %v, %v", action, done, err)
		}
	}
	w.until(func() bool { return w.get("default", id).GetRecipients().GetSent() == 4 }, func() any { return w.get("default", id) })
	act("MARK_HIDDEN", "skip")
	act("EMAIL_DEFERRED", "cancel")
	d := w.ended("default", id)
	if d.GetItems().GetSkipped() != 2 || d.GetItems().GetCancelled() != 2 || d.GetItems().GetDone() != 6 || d.GetRecipients().GetCancelled() != 1 {
		t.Errorf("got %v", d)
	}
	w.until(func() bool {
		resp, err := w.observer.ListFailures(t.Context(), &observerv1.ListFailuresRequest{Production: "default"})
		return err == nil && len(resp.GetGroups()) == 0
	}, func() any { return "something still fails" })
	resp, err := w.observer.GetStory(t.Context(), &observerv1.GetStoryRequest{Production: "default", Distribution: id, Unit: "i1.2"})
	if err != nil || !strings.Contains(fmt.Sprint(resp.GetStory()), "oken:1 had the copy of") {
		t.Errorf("the story does not tell who left it out: %v, %v", resp, err)
	}
}

// A story has every attempt of what it is about, once, in order, with what was asked and answered.
func TestAStoryIsWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var mu sync.Mutex
	tried := map[string]bool{}
	w.send = func(_ context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		mu.Lock()
		defer mu.Unlock()
		if !tried[r.GetDelivery()] {
			tried[r.GetDelivery()] = true
			return nil, fault.New(fault.Unavailable, "EMAIL_DEFERRED", "not now")
		}
		return &emailv1.SendResponse{MessageId: "m." + r.GetDelivery()}, nil
	}
	w.work("worker-1")
	id := w.create("default", 2, 3)
	w.ended("default", id)
	resp, err := w.observer.GetStory(t.Context(), &observerv1.GetStoryRequest{Production: "default", Distribution: id, Unit: "i2.3"})
	if err != nil {
		t.Fatal(err)
	}
	story := resp.GetStory()
	told := map[string]int{}
	for i, c := range story.GetChapters() {
		if i > 0 && c.GetFrom().AsTime().Before(story.GetChapters()[i-1].GetFrom().AsTime()) {
			t.Errorf("chapter %d is out of order", i)
		}
		if c.GetKind() == "attempt" {
			told[fmt.Sprint(c.GetUnit(), c.GetStep(), c.GetAttempt(), c.GetState())]++
		}
	}
	events, err := w.seen.ListEvents(t.Context(), &distributionv1.ListEventsRequest{Production: "default", Distribution: id, PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, e := range events.GetEvents() {
		if e.GetKind() == "attempt" && (e.GetUnit() == "f2" || e.GetUnit() == "i2.3" || e.GetUnit() == "r3") {
			want++
			if key := fmt.Sprint(e.GetUnit(), e.GetStep(), e.GetAttempt(), e.GetState()); told[key] != 1 {
				t.Errorf("the attempt %s is told %d times, want once", key, told[key])
			}
		}
	}
	if len(told) != want || want < 5 {
		t.Errorf("%d attempts are told of %d", len(told), want)
	}
	for _, c := range story.GetChapters() {
		if c.GetStep() == "email" && c.GetState() == "done" && (!strings.Contains(c.GetInputJson(), `"p3@example.com"`) || !strings.Contains(c.GetOutputJson(), "m."+id+".r3")) {
			t.Errorf("the mail was asked for with %s and answered with %s", c.GetInputJson(), c.GetOutputJson())
		}
	}
	if story.GetName() == "" || story.GetState() != "sent" || len(story.GetTraceId()) != 32 {
		t.Errorf("got %v", story)
	}
}

// While no orchestrator is there why answers, and says so.
func TestWhyWithoutOrchestrator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.create("default", 1, 2)
	w.why(id, "no_worker")
	w.stopOrchestrator()
	got := w.why(id, "orchestrator_down")
	if !strings.Contains(got.GetAnswer(), "no orchestrator is there since") || got.GetFreshness().GetOrchestratorAlive() {
		t.Errorf("got %s (%v)", got.GetAnswer(), got.GetFreshness())
	}
}
