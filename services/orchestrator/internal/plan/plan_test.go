package plan_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestFinalStatesAreFinal(t *testing.T) {
	for _, from := range plan.States {
		for _, to := range plan.States {
			err := plan.Check(from, to)
			if from.Final() && err == nil {
				t.Errorf("%s is final and yet may become %s", from, to)
			}
			if from == to && err == nil {
				t.Errorf("%s may follow itself", from)
			}
		}
	}
}

// Every pair of a phase and a delivery gives one of the item's states, and an item is done only when it was made and
// its recipient's delivery was reached.
func TestItem(t *testing.T) {
	reached := map[plan.Delivery]bool{}
	for _, d := range plan.Reached {
		reached[d] = true
	}
	known := map[plan.ItemState]bool{}
	for _, s := range plan.ItemStates {
		known[s] = true
	}
	for _, p := range plan.Phases {
		for _, d := range append([]plan.Delivery{plan.NoDelivery}, plan.Deliveries...) {
			got := plan.Item(p, d)
			if !known[got] {
				t.Errorf("Item(%s, %s) is %q, which is no state", p, d, got)
			}
			if want := p == plan.PhaseMade && reached[d]; want != (got == plan.ItemDone) {
				t.Errorf("Item(%s, %s) is %s", p, d, got)
			}
		}
	}
}

func TestEnding(t *testing.T) {
	for _, tc := range []struct {
		stop      plan.Stop
		good, bad bool
		want      plan.DistributionState
	}{
		{plan.NotStopped, true, false, plan.Completed},
		{plan.NotStopped, true, true, plan.CompletedWithFailures},
		{plan.NotStopped, false, true, plan.AllFailed},
		{plan.ByPerson, true, false, plan.Completed}, // the cancellation came too late to stop anything
		{plan.ByPerson, true, true, plan.Stopped},
		{plan.ByPerson, false, true, plan.Stopped},
		{plan.ByFailures, true, true, plan.AllFailed},
	} {
		got := plan.Ending(tc.stop, tc.good, tc.bad)
		if got != tc.want || !got.Final() {
			t.Errorf("Ending(%q, %v, %v) = %s, want %s", tc.stop, tc.good, tc.bad, got, tc.want)
		}
	}
}

var (
	stamping = plan.Step{Name: "watermark", Scope: plan.ScopeItem, Retry: plan.Retry{Attempts: 3, Backoff: []time.Duration{time.Second, 10 * time.Second}}}
	mailing  = plan.Step{Name: "email", Scope: plan.ScopeRecipient, Delivers: "email", Retry: stamping.Retry}
)

func TestFailing(t *testing.T) {
	transient := plan.Failure{Class: plan.Transient, Code: "BUSY", Message: "busy"}
	for name, tc := range map[string]struct {
		step   plan.Step
		tally  plan.Tally
		f      plan.Failure
		policy plan.OnUncertain
		want   plan.Outcome
	}{
		"a transient failure is tried again after half to all of the back-off": {stamping, plan.Tally{}, transient, plan.Resend,
			plan.Outcome{To: plan.Retrying, Wait: 750 * time.Millisecond, Tally: plan.Tally{Errors: 1}}},
		"the last back-off repeats": {plan.Step{Retry: plan.Retry{Attempts: 9, Backoff: stamping.Retry.Backoff}}, plan.Tally{Errors: 6}, transient, plan.Resend,
			plan.Outcome{To: plan.Retrying, Wait: 7500 * time.Millisecond, Tally: plan.Tally{Errors: 7}}},
		"the last error allowed is final": {stamping, plan.Tally{Errors: 2, Crashes: 1, Throttles: 40}, transient, plan.Resend,
			plan.Outcome{To: plan.Failed, Tally: plan.Tally{Errors: 3, Crashes: 1, Throttles: 40}}},
		"a throttle uses up no attempt": {stamping, plan.Tally{Errors: 2, Throttles: 50}, plan.Failure{Class: plan.Throttled, Code: "BUSY", Message: "busy", RetryAfter: time.Minute}, plan.Resend,
			plan.Outcome{To: plan.Retrying, Wait: time.Minute, Throttled: true, Tally: plan.Tally{Errors: 2, Throttles: 51}}},
		"a permanent failure is final at once": {stamping, plan.Tally{}, plan.Failure{Class: plan.Permanent, Code: "BUSY", Message: "busy"}, plan.Resend,
			plan.Outcome{To: plan.Failed, Tally: plan.Tally{Errors: 1}}},
		"a permanent failure to deliver ends the delivery as the function says": {mailing, plan.Tally{}, plan.Failure{Class: plan.Permanent, Code: "BUSY", Message: "busy", Delivery: plan.Bounced}, plan.Resend,
			plan.Outcome{To: plan.Failed, Tally: plan.Tally{Errors: 1}, Delivery: plan.Bounced}},
		"a deferred delivery": {mailing, plan.Tally{}, transient, plan.Resend,
			plan.Outcome{To: plan.Retrying, Wait: 750 * time.Millisecond, Tally: plan.Tally{Errors: 1}, Delivery: plan.Deferred}},
		"what may have been sent is sent again, flagged": {mailing, plan.Tally{}, plan.Failure{Class: plan.Unsure, Code: "BUSY", Message: "busy"}, plan.Resend,
			plan.Outcome{To: plan.Retrying, Wait: 750 * time.Millisecond, Tally: plan.Tally{Errors: 1}, Delivery: plan.Deferred, MaybeSent: true, KeepCheckpoint: true}},
		"what may have been sent is held": {mailing, plan.Tally{}, plan.Failure{Class: plan.Unsure, Code: "BUSY", Message: "busy"}, plan.Hold,
			plan.Outcome{To: plan.Failed, Tally: plan.Tally{Errors: 1}, Delivery: plan.Uncertain, MaybeSent: true, KeepCheckpoint: true}},
		"resending has an end, too": {mailing, plan.Tally{Errors: 2}, plan.Failure{Class: plan.Unsure, Code: "BUSY", Message: "busy"}, plan.Resend,
			plan.Outcome{To: plan.Failed, Tally: plan.Tally{Errors: 3}, Delivery: plan.Uncertain, MaybeSent: true, KeepCheckpoint: true}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.want.Code, tc.want.Message, tc.want.Event = "BUSY", "busy", true
			got := plan.Failing(&tc.step, tc.tally, tc.f, tc.policy, 0.5)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("outcome differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLost(t *testing.T) {
	for name, tc := range map[string]struct {
		step       plan.Step
		crashes    int
		checkpoint string
		policy     plan.OnUncertain
		to         plan.State
		delivery   plan.Delivery
		flagged    bool
	}{
		"a lost stamp is made again":                {stamping, 0, "", plan.Resend, plan.Ready, "", false},
		"a checkpoint of a stamp is no delivery":    {stamping, 0, "half", plan.Resend, plan.Ready, "", false},
		"the third crash is the last":               {stamping, 2, "", plan.Resend, plan.Failed, "", false},
		"a mail lost before the dot is sent":        {mailing, 0, "", plan.Hold, plan.Ready, plan.Queued, false},
		"a mail lost after the dot is sent, marked": {mailing, 0, "dot", plan.Resend, plan.Retrying, plan.Deferred, true},
		"a mail lost after the dot is held":         {mailing, 0, "dot", plan.Hold, plan.Failed, plan.Uncertain, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := plan.Lost(&tc.step, plan.Tally{Crashes: tc.crashes}, tc.checkpoint, tc.policy)
			if got.To != tc.to || got.Delivery != tc.delivery || got.MaybeSent != tc.flagged || got.Tally.Crashes != tc.crashes+1 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// Whatever is decided about a running step is a transition the table has.
func TestOutcomesAreLegal(t *testing.T) {
	for _, step := range []plan.Step{stamping, mailing} {
		outcomes := []plan.Outcome{plan.Succeeded(&step, plan.Tally{}), plan.HandedBack(&step, plan.Tally{})}
		for _, policy := range []plan.OnUncertain{plan.Resend, plan.Hold} {
			for errors := range 5 {
				tally := plan.Tally{Errors: errors, Crashes: errors}
				for _, class := range []plan.Class{plan.Permanent, plan.Transient, plan.Throttled, plan.Unsure} {
					outcomes = append(outcomes, plan.Failing(&step, tally, plan.Failure{Class: class}, policy, 0))
				}
				outcomes = append(outcomes, plan.Lost(&step, tally, "dot", policy), plan.Lost(&step, tally, "", policy))
			}
		}
		for _, o := range outcomes {
			err := plan.Check(plan.Running, o.To)
			if err != nil {
				t.Errorf("%+v: %v", o, err)
			}
			if step.Delivers != "" {
				err = plan.CheckDelivery(plan.Sending, o.Delivery)
				if err != nil {
					t.Errorf("%+v: %v", o, err)
				}
			}
		}
	}
}

func TestUnitsAreLaidOutOnceEach(t *testing.T) {
	size := plan.Size{Files: 3, Recipients: 7}
	seen := map[plan.Unit]bool{}
	for n := range size.Units() {
		u := size.UnitAt(n)
		if seen[u] {
			t.Errorf("%s comes twice", u)
		}
		seen[u] = true
		back, err := plan.ParseUnit(u.String())
		if err != nil || back != u {
			t.Errorf("%s reads back as %v, %v", u, back, err)
		}
	}
	if len(seen) != 1+3+7+21 || size.UnitAt(size.Units()-1).Scope() != plan.ScopeFile {
		t.Errorf("%d units, the last %s", len(seen), size.UnitAt(size.Units()-1))
	}
	for _, bad := range []string{"", "x", "i1", "i1.", "f", "f01", "i1.2.3", "r-1", "f0"} {
		_, err := plan.ParseUnit(bad)
		if err == nil {
			t.Errorf("%q was read as a unit", bad)
		}
	}
}

// docs/states.md is drawn from the tables.
func TestStatesDocument(t *testing.T) {
	const path = "../../../../docs/states.md"
	got := document()
	if *update {
		err := os.WriteFile(path, []byte(got), 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/states.md is not what the tables say; run this test with -update (-want +got):\n%s", diff)
	}
}

func document() string {
	var b strings.Builder
	b.WriteString("# States\n\nDrawn from the tables in `services/orchestrator/internal/plan` by its tests; a test fails when the two differ.\n")
	section(&b, "Step", plan.States, func(from, to plan.State) bool { return plan.Check(from, to) == nil })
	b.WriteString("\nOut of a final state leads only a person's asking for it again: from `done`, `failed`, `skipped` and `cancelled` to `pending` or `ready`. What has not run and waits for such a step goes back to `pending` with it. A person who skips what fails leads from `ready` and `retrying` to `skipped`, and from `failed` there by way of `pending`.\n")
	section(&b, "Delivery", plan.Deliveries, func(from, to plan.Delivery) bool { return plan.CheckDelivery(from, to) == nil })
	section(&b, "Distribution", plan.DistributionStates, func(from, to plan.DistributionState) bool { return plan.CheckDistribution(from, to) == nil })
	b.WriteString("\n## Item\n\nDerived from how far its own steps are (rows) and its recipient's required delivery (columns).\n\n| |")
	columns := append([]plan.Delivery{plan.NoDelivery}, plan.Deliveries...)
	for _, d := range columns {
		if d == plan.NoDelivery {
			d = "none"
		}
		fmt.Fprintf(&b, " %s |", d)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, p := range plan.Phases {
		fmt.Fprintf(&b, "| **%s** |", p)
		for _, d := range columns {
			fmt.Fprintf(&b, " %s |", plan.Item(p, d))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func section[S ~string](b *strings.Builder, name string, states []S, may func(from, to S) bool) {
	fmt.Fprintf(b, "\n## %s\n\n```mermaid\nstateDiagram-v2\n", name)
	fmt.Fprintf(b, "    [*] --> %s\n", states[0])
	for _, from := range states {
		final := true
		for _, to := range states {
			if may(from, to) {
				final = false
				fmt.Fprintf(b, "    %s --> %s\n", from, to)
			}
		}
		if final {
			fmt.Fprintf(b, "    %s --> [*]\n", from)
		}
	}
	b.WriteString("```\n")
}

func TestErrorsThatADefinitionCallsPermanent(t *testing.T) {
	step := &plan.Step{Retry: plan.Retry{Attempts: 3, Permanent: []string{"DISK_FULL"}}}
	for code, want := range map[string]plan.State{"DISK_FULL": plan.Failed, "BUSY": plan.Retrying} {
		got := plan.Failing(step, plan.Tally{}, plan.Failure{Class: plan.Transient, Code: code}, plan.Resend, 0)
		if got.To != want {
			t.Errorf("%s: got %s, want %s", code, got.To, want)
		}
	}
	got := plan.Failing(step, plan.Tally{}, plan.Failure{Class: plan.Throttled, Code: "DISK_FULL"}, plan.Resend, 0)
	if got.To != plan.Retrying {
		t.Errorf("a throttle became %s, want that it is tried again", got.To)
	}
}
