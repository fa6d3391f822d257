package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

var copies = plan.Definition{Name: "copies", Version: 1, Steps: []plan.Step{
	{Name: "prepare", Scope: plan.ScopeFile},
	{Name: "watermark", Scope: plan.ScopeItem, Needs: []string{"prepare"}},
	{Name: "thumbnail", Scope: plan.ScopeItem, Needs: []string{"watermark"}, Optional: true},
	{Name: "register", Scope: plan.ScopeItem, Needs: []string{"prepare"}},
	{Name: "email", Scope: plan.ScopeRecipient, Needs: []string{"watermark"}, Delivers: "email"},
	{Name: "push", Scope: plan.ScopeRecipient, Needs: []string{"email"}, Optional: true},
}}

// What becomes of steps that are done, wait, or are with a worker, by what was asked for: two items of one recipient.
func TestRevive(t *testing.T) {
	changed := func(step *plan.Step) bool { return step.Name == "watermark" || step.Name == "thumbnail" }
	for name, tc := range map[string]struct {
		redo plan.Redo
		// watermark, thumbnail and register of both items, then email and push; done where there is none.
		states string
		want   string // the steps revived, by unit, with how they wait
		busy   bool
		idle   int
	}{
		"all is well": {},
		"a failure, and what was given up for it": {
			states: "failed cancelled done, , cancelled cancelled",
			want:   "i1.1/watermark ready, i1.1/thumbnail pending 1, r1/email pending 1, r1/push pending 1",
		},
		"a failure, and the mail with the rest is out": {
			states: "failed cancelled done",
			want:   "i1.1/watermark ready, i1.1/thumbnail pending 1, r1/email pending 1, r1/push pending 1",
		},
		"an optional failure": {states: "done failed done", want: "i1.1/thumbnail ready"},
		"a failure beside what is being made": {
			states: "failed cancelled done, running pending done, pending pending",
			want:   "i1.1/watermark ready, i1.1/thumbnail pending 1, r1/email pending 2, r1/push pending 1",
		},
		"a failure while the mail waits for its time": {
			states: "failed cancelled done, , retrying pending",
			want:   "i1.1/watermark ready, i1.1/thumbnail pending 1, r1/email pending 1, r1/push pending 1",
		},
		"a failure while the mail is being sent": {
			states: "failed cancelled done, , running pending",
			busy:   true,
		},
		"all again": {
			redo: plan.Redo{Copies: true, Delivery: true},
			want: "i1.1/watermark ready, i1.1/thumbnail pending 1, i1.1/register ready, i2.1/watermark ready, i2.1/thumbnail pending 1, " +
				"i2.1/register ready, r1/email pending 2, r1/push pending 1",
		},
		"the mail again": {redo: plan.Redo{Delivery: true}, want: "r1/email ready, r1/push pending 1"},
		"something else to show": {
			redo: plan.Redo{Changed: changed},
			want: "i1.1/watermark ready, i1.1/thumbnail pending 1, i2.1/watermark ready, i2.1/thumbnail pending 1, r1/email pending 2, r1/push pending 1",
		},
		"something else to show while it is being made": {
			redo: plan.Redo{Changed: changed}, states: "running pending done, ready pending done, pending pending",
			busy: true, idle: 3,
		},
		"something else to show while nothing is made": {
			redo: plan.Redo{Changed: changed}, states: "pending pending pending, ready pending ready, pending pending",
			idle: 4,
		},
		"something else to show while an attempt waits for the next": {
			redo: plan.Redo{Changed: changed}, states: "retrying pending done, ready pending done, pending pending",
			want: "i1.1/watermark ready, i1.1/thumbnail pending 1, r1/email pending 2, r1/push pending 1", idle: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			groups := append(strings.Split(tc.states, ","), "", "", "")
			unit := func(u plan.Unit, group string, steps ...string) plan.UnitState {
				words := strings.Fields(group)
				out := plan.UnitState{Unit: u, Steps: map[string]plan.State{}}
				for i, s := range steps {
					out.Steps[s] = plan.Done
					if i < len(words) {
						out.Steps[s] = plan.State(words[i])
					}
				}
				return out
			}
			files := []plan.UnitState{unit(plan.Unit{File: 1}, "", "prepare"), unit(plan.Unit{File: 2}, "", "prepare")}
			items := []plan.UnitState{unit(plan.Unit{File: 1, Recipient: 1}, groups[0], "watermark", "thumbnail", "register"),
				unit(plan.Unit{File: 2, Recipient: 1}, groups[1], "watermark", "thumbnail", "register")}
			got := plan.Revive(&copies, plan.JoinAvailable, tc.redo, files, items, unit(plan.Unit{Recipient: 1}, groups[2], "email", "push"))
			var words []string
			for _, r := range got.Revivals {
				text := r.Unit.String() + "/" + r.Step.Name + " " + string(r.To)
				if r.Waits > 0 {
					text += " " + string(rune('0'+r.Waits))
				}
				words = append(words, text)
				err := plan.CheckRevival(r.From, r.To)
				if err != nil {
					t.Error(err)
				}
			}
			if got.Busy != tc.busy || len(got.Idle) != tc.idle {
				t.Errorf("busy %v, %d idle: %v", got.Busy, len(got.Idle), got.Idle)
			}
			if diff := cmp.Diff(tc.want, strings.Join(words, ", ")); diff != "" && !tc.busy {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
