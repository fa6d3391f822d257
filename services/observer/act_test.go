package observer_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

// acting puts a rule about failures of a code that acts.
func (w *world) acting(name, code string, actions ...*observerv1.Action) {
	w.t.Helper()
	_, err := w.alerts.PutRule(w.as(accessv1.Role_ROLE_ONCALL, "*"), &observerv1.PutRuleRequest{Name: name, Rule: &observerv1.Rule{
		On: "failures", When: fmt.Sprintf("code == %q && open > 0", code), Sentence: "{code} at {distribution}", Actions: actions}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// done waits until an alert of a rule has had all its actions done, and returns what came of them.
func (w *world) done(name string, actions int) []*observerv1.Done {
	w.t.Helper()
	var all []*observerv1.Alert
	var last []*observerv1.Done
	w.until(func() bool {
		all = w.of(name)
		if len(all) != 1 {
			return false
		}
		last = all[0].GetDone()
		return len(last) == actions
	}, func() any { return all })
	return last
}

// of are the alerts of a rule.
func (w *world) of(name string) []*observerv1.Alert {
	w.t.Helper()
	resp, err := w.alerts.ListAlerts(w.as(accessv1.Role_ROLE_ONCALL, "*"), &observerv1.ListAlertsRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []*observerv1.Alert
	for _, a := range resp.GetAlerts() {
		if a.GetRule() == name {
			out = append(out, a)
		}
	}
	return out
}

func (w *world) events(id, kind string) int {
	w.t.Helper()
	got, err := w.seen.ListEvents(w.t.Context(), &distributionv1.ListEventsRequest{Production: "default", Distribution: id, PageSize: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for _, e := range got.GetEvents() {
		if e.GetKind() == kind {
			n++
		}
	}
	return n
}

// What a rule does is done once for each cause, by the orchestrator, and not again by an observer that was started anew.
func TestRulesActOnceForEachCause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.send = func(_ context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		if r.GetTo().GetEmail() == "p2@example.com" {
			return nil, fault.New(fault.Invalid, "EMAIL_REJECTED", "the mail server refuses this recipient: 550 5.1.1")
		}
		return &emailv1.SendResponse{MessageId: "m." + r.GetDelivery()}, nil
	}
	w.work("worker-1")
	w.acting("mend", "EMAIL_REJECTED",
		&observerv1.Action{Kind: &observerv1.Action_Retry{Retry: true}},
		&observerv1.Action{Kind: &observerv1.Action_Start{Start: &observerv1.Start{Production: "other", Definition: "send-documents",
			RequestJson: fmt.Sprintf(`{"title": "about {code} at {distribution}", "files": [{"sha256": "%064x"}], "recipients": [{"name": "On Call", "email": "oncall@example.com"}]}`, 7)}}},
		&observerv1.Action{Kind: &observerv1.Action_Pause{Pause: "production"}})
	id := w.create("default", 1, 3)
	for _, d := range w.done("mend", 3) {
		if d.GetError() != "" {
			t.Errorf("%s: %s", d.GetAction(), d.GetError())
		}
	}
	pauses, err := w.control.GetPauses(w.as(accessv1.Role_ROLE_ONCALL, "*"), &controlv1.GetPausesRequest{})
	if err != nil || len(pauses.GetPauses()) != 1 || pauses.GetPauses()[0].GetProduction() != "default" {
		t.Errorf("paused: %v, %v", pauses, err)
	}
	// While it waits to be tried again nothing fails, and the cause is not over: who looks then does not begin anew.
	_, err = w.alerts.PutRule(w.as(accessv1.Role_ROLE_ONCALL, "*"), &observerv1.PutRuleRequest{Name: "looked", Rule: &observerv1.Rule{
		On: "distribution", When: "true", Sentence: "{id}"}})
	if err != nil {
		t.Fatal(err)
	}
	w.until(func() bool { return len(w.of("looked")) > 0 }, func() any { return w.get("default", id) })
	if all := w.of("mend"); len(all) != 1 || all[0].GetResolvedAt() != nil {
		t.Errorf("what waits to be tried again was told to be over: %v", all)
	}
	_, err = w.control.ResumeProduction(w.as(accessv1.Role_ROLE_ONCALL, "*"), &controlv1.ResumeProductionRequest{Production: "default"})
	if err != nil {
		t.Fatal(err)
	}
	// It fails again, as before: the same cause.
	w.until(func() bool { return w.events(id, "ended") == 2 }, func() any { return w.get("default", id) })
	w.stopObserver()
	w.startObserver(nil)
	// A rule that comes later is looked at later: when that has acted, the other had its turn.
	w.acting("later", "EMAIL_REJECTED", &observerv1.Action{Kind: &observerv1.Action_Pause{Pause: "distribution"}})
	w.until(func() bool { all := w.of("later"); return len(all) == 1 && len(all[0].GetDone()) == 1 }, func() any { return w.of("later") })
	if n := w.events(id, "retry_requested"); n != 1 {
		t.Errorf("it was retried %d times, want once", n)
	}
	if all := w.of("mend"); len(all) != 1 || len(all[0].GetDone()) != 3 {
		t.Errorf("it was told as %v", all)
	}
	started, err := w.distributions.ListDistributions(w.as(accessv1.Role_ROLE_ONCALL, "*"), &distributionv1.ListDistributionsRequest{Production: "other", PageSize: 100})
	if err != nil || len(started.GetDistributions()) != 1 || started.GetDistributions()[0].GetTitle() != "about EMAIL_REJECTED at "+id {
		t.Errorf("started: %v, %v", started, err)
	}
	// What is over cannot be paused, and that is told in place of trying it for hours.
	if d := w.of("later")[0].GetDone()[0]; d.GetError() == "" || d.GetTries() != 1 {
		t.Errorf("a distribution that has ended was paused: %v", d)
	}
}

// Whoever may act in one production makes no rule that reaches beyond it, and hears why.
func TestRulesReachNoFurtherThanTheirOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	mine := w.as(accessv1.Role_ROLE_ONCALL, "default")
	for what, tc := range map[string]struct {
		productions []string
		action      *observerv1.Action
		code        string
	}{
		"retry in all":          {nil, &observerv1.Action{Kind: &observerv1.Action_Retry{Retry: true}}, "RULE_NOT_YOURS"},
		"retry in another":      {[]string{"other"}, &observerv1.Action{Kind: &observerv1.Action_Retry{Retry: true}}, "RULE_NOT_YOURS"},
		"retry in theirs":       {[]string{"default"}, &observerv1.Action{Kind: &observerv1.Action_Retry{Retry: true}}, ""},
		"pause another":         {[]string{"other"}, &observerv1.Action{Kind: &observerv1.Action_Pause{Pause: "production"}}, "RULE_NOT_YOURS"},
		"pause theirs":          {[]string{"default"}, &observerv1.Action{Kind: &observerv1.Action_Pause{Pause: "production"}}, ""},
		"a function everywhere": {[]string{"default"}, &observerv1.Action{Kind: &observerv1.Action_Pause{Pause: "function"}}, "RULE_NOT_YOURS"},
		"start in another": {[]string{"default"}, &observerv1.Action{Kind: &observerv1.Action_Start{Start: &observerv1.Start{Production: "other", Definition: "d"}}},
			"RULE_NOT_YOURS"},
	} {
		_, err := w.alerts.PutRule(mine, &observerv1.PutRuleRequest{Name: "r", Rule: &observerv1.Rule{On: "failures", When: "open > 0",
			Productions: tc.productions, Actions: []*observerv1.Action{tc.action}}})
		got := ""
		if err != nil {
			got = fault.From(err).Reason
		}
		if got != tc.code {
			t.Errorf("%s: %v, want %q", what, err, tc.code)
		}
	}
	// Trying one shows no more, also where one alert is of several productions.
	for _, p := range []string{"default", "other"} {
		_, err := w.observer.ReportRun(t.Context(), &observerv1.ReportRunRequest{Production: p, Id: "n", Run: &observerv1.Run{Name: "nightly", State: "running"}})
		if err != nil {
			t.Fatal(err)
		}
	}
	tried, err := w.alerts.TestRule(mine, &observerv1.TestRuleRequest{Rule: &observerv1.Rule{Name: "try", On: "run", When: "true", Group: "name", Sentence: "{production}"}})
	if err != nil || len(tried.GetAlerts()) != 1 || tried.GetAlerts()[0].GetCount() != 1 || tried.GetAlerts()[0].GetSentence() != "default" {
		t.Errorf("tried: %v, %v", tried, err)
	}
}

// Who tries a rule about failures counts their own, also while an alert is open about those of others that are alike.
func TestATriedRuleCountsNoFailuresOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.send = func(context.Context, *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		return nil, fault.New(fault.Invalid, "EMAIL_REJECTED", "the mail server refuses this recipient: 550 5.1.1")
	}
	w.work("w1")
	r := &observerv1.Rule{Name: "seen", On: "failures", When: "open > 0", Sentence: "{count}"}
	// The first of those that are alike is the one that an alert names.
	w.ended("other", w.create("other", 1, 1))
	_, err := w.alerts.PutRule(w.as(accessv1.Role_ROLE_ONCALL, "*"), &observerv1.PutRuleRequest{Name: r.GetName(), Rule: r})
	if err != nil {
		t.Fatal(err)
	}
	w.until(func() bool { return len(w.of("seen")) == 1 }, func() any { return w.of("seen") })
	w.ended("default", w.create("default", 1, 1))
	r.Productions = []string{"default"}
	tried, err := w.alerts.TestRule(w.as(accessv1.Role_ROLE_ONCALL, "default"), &observerv1.TestRuleRequest{Rule: r})
	if err != nil || len(tried.GetAlerts()) != 1 || tried.GetAlerts()[0].GetSentence() != "1" {
		t.Errorf("tried: %v, %v", tried, err)
	}
}
