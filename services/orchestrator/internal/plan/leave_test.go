package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// What is left out takes along what cannot do without it, and nothing else; what joins many goes on with what there is.
func TestLeave(t *testing.T) {
	t.Parallel()
	d := &plan.Definition{Name: "d", Steps: []plan.Step{
		{Name: "prepare", Scope: plan.ScopeFile},
		{Name: "mark", Scope: plan.ScopeItem, Needs: []string{"prepare"}},
		{Name: "thumb", Scope: plan.ScopeItem, Needs: []string{"mark"}, Optional: true},
		{Name: "link", Scope: plan.ScopeRecipient, Needs: []string{"mark", "thumb"}},
		{Name: "mail", Scope: plan.ScopeRecipient, Needs: []string{"mark", "link"}, Delivers: "email"},
		{Name: "push", Scope: plan.ScopeRecipient, Needs: []string{"mail"}, Optional: true},
	}}
	// unit reads "mark=failed:BROKEN thumb=cancelled:BROKEN".
	unit := func(u plan.Unit, text string) plan.UnitState {
		s := plan.UnitState{Unit: u, Steps: map[string]plan.State{}, Codes: map[string]string{}}
		for _, word := range strings.Fields(text) {
			name, is, _ := strings.Cut(word, "=")
			state, code, _ := strings.Cut(is, ":")
			s.Steps[name], s.Codes[name] = plan.State(state), code
		}
		return s
	}
	for name, row := range map[string]struct {
		join          plan.Join
		file          string
		items         [2]string
		own           string
		step, code    string
		revived, ends string
		busy          bool
	}{
		"a copy that failed, the mail held back": {
			items: [2]string{"mark=failed:X thumb=cancelled:X", "mark=done thumb=done"}, own: "link=cancelled:X mail=cancelled:X push=cancelled:X",
			revived: "i1.1/mark! i1.1/thumb! r1/link2 r1/mail2 r1/push1", ends: "i1.1/mark i1.1/thumb",
		},
		"a copy that failed, the mail gone without it": {
			join: plan.JoinAvailable, items: [2]string{"mark=failed:X thumb=cancelled:X", "mark=done thumb=done"}, own: "link=done mail=done push=done",
			revived: "i1.1/mark! i1.1/thumb!", ends: "i1.1/mark i1.1/thumb",
		},
		"a copy that is to be tried again": {
			items: [2]string{"mark=retrying:X thumb=pending", "mark=done thumb=done"}, own: "link=pending mail=pending push=pending",
			revived: "i1.1/thumb! r1/link2 r1/mail2 r1/push1", ends: "i1.1/mark i1.1/thumb",
		},
		"the only copies": {
			items: [2]string{"mark=failed:X thumb=cancelled:X", "mark=failed:X thumb=cancelled:X"}, own: "link=cancelled:X mail=cancelled:X push=cancelled:X",
			revived: "i1.1/mark! i1.1/thumb! i2.1/mark! i2.1/thumb! r1/link! r1/mail! r1/push!",
			ends:    "r1/link r1/mail r1/push i1.1/mark i1.1/thumb i2.1/mark i2.1/thumb",
		},
		"the other has failed of something else": {
			code: "X", items: [2]string{"mark=failed:X thumb=cancelled:X", "mark=failed:Y thumb=cancelled:Y"}, own: "link=cancelled:X mail=cancelled:X push=cancelled:X",
			revived: "i1.1/mark! i1.1/thumb!", ends: "i1.1/mark i1.1/thumb",
		},
		"a preview that is optional": {
			step: "thumb", items: [2]string{"mark=done thumb=retrying:X", "mark=done thumb=done"}, own: "link=pending mail=pending push=pending",
			revived: "r1/link1 r1/mail1 r1/push1", ends: "i1.1/thumb",
		},
		"a mail that was refused": {
			items: [2]string{"mark=done thumb=done", "mark=done thumb=done"}, own: "link=done mail=failed:X push=cancelled:X",
			revived: "r1/mail! r1/push!", ends: "r1/mail r1/push",
		},
		"a file": {
			step: "prepare", file: "prepare=failed:X", items: [2]string{"mark=cancelled:X thumb=cancelled:X", "mark=done thumb=done"},
			own:     "link=cancelled:X mail=cancelled:X push=cancelled:X",
			revived: "i1.1/mark! i1.1/thumb! r1/link2 r1/mail2 r1/push1", ends: "i1.1/mark i1.1/thumb",
		},
		"with a worker": {
			items: [2]string{"mark=running:X thumb=pending", "mark=done thumb=done"}, own: "link=pending mail=pending push=pending", busy: true,
			revived: "i1.1/thumb! r1/link2 r1/mail2 r1/push1", ends: "i1.1/thumb",
		},
		"half done by one who died": {
			items: [2]string{"mark=pending:SKIPPED thumb=pending:SKIPPED", "mark=done thumb=done"}, own: "link=pending mail=pending push=pending",
			revived: "i1.1/thumb! r1/link2 r1/mail2 r1/push1", ends: "i1.1/mark i1.1/thumb",
		},
		"what was cancelled by a person stays so": {
			items: [2]string{"mark=failed:X thumb=cancelled:X", "mark=done thumb=done"}, own: "link=cancelled:CANCELLED mail=cancelled:CANCELLED push=cancelled:CANCELLED",
			revived: "i1.1/mark! i1.1/thumb!", ends: "i1.1/mark i1.1/thumb",
		},
		"nothing fails": {
			items: [2]string{"mark=done thumb=done", "mark=retrying thumb=pending"}, own: "link=pending mail=pending push=pending",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.file == "" {
				row.file = "prepare=done"
			}
			files := []plan.UnitState{unit(plan.Unit{File: 1}, row.file), unit(plan.Unit{File: 2}, "prepare=done")}
			items := []plan.UnitState{unit(plan.Unit{File: 1, Recipient: 1}, row.items[0]), unit(plan.Unit{File: 2, Recipient: 1}, row.items[1])}
			choose := func(u plan.UnitState, step *plan.Step) bool {
				return (row.step == "" || row.step == step.Name) && u.Failing(step.Name, row.code)
			}
			got := plan.Leave(d, row.join, choose, files, items, unit(plan.Unit{Recipient: 1}, row.own))
			var revived, ends []string
			for _, r := range got.Revivals {
				waits := fmt.Sprint(r.Waits)
				if r.Code == plan.CodeSkipped {
					waits = "!"
				}
				revived = append(revived, fmt.Sprint(r.Unit, "/", r.Step.Name, waits))
				if err := plan.CheckRevival(r.From, r.To); err != nil {
					t.Error(err)
				}
			}
			for _, e := range got.Ends {
				ends = append(ends, fmt.Sprint(e.Unit, "/", e.Step))
			}
			if diff := cmp.Diff([]any{row.revived, row.ends, row.busy}, []any{strings.Join(revived, " "), strings.Join(ends, " "), got.Busy}); diff != "" {
				t.Error(diff)
			}
		})
	}
}
