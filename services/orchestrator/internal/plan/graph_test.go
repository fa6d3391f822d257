package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// diamond has all that a drawing shows: two ways that meet, an optional step, conditions of both kinds, joins.
var diamond = plan.Definition{Name: "diamond", Version: 4, Steps: []plan.Step{
	{Name: "prepare", Scope: plan.ScopeFile, Function: "watermark.Prepare"},
	{Name: "stamp", Scope: plan.ScopeItem, Function: "watermark.Stamp@2", Needs: []string{"prepare"}},
	{Name: "review", Scope: plan.ScopeItem, Function: "somebody.Review", Needs: []string{"stamp"}, Conditional: true},
	{Name: "thumb-nail", Scope: plan.ScopeItem, Function: "thumbnail.Render", Needs: []string{"stamp"}, Optional: true},
	{Name: "end", Scope: plan.ScopeRecipient, Function: "email.Send", Needs: []string{"review", "thumb-nail"}, Delivers: "email"},
	{Name: "report", Scope: plan.ScopeDistribution, Function: "distribution.Start", Needs: []string{"end", "prepare"}, Optional: true, Starts: true, Conditional: true},
}}

var diamondLegend = plan.Legend{
	Conditions: map[string]string{"review": "steps.stamp.output.pages > 3 &&\n   steps.stamp.output.note != \"a\\\\b\" && file.name != \"call sheet.pdf\""},
	Counts: map[string]map[plan.State]int{
		"prepare":    {plan.Done: 2},
		"stamp":      {plan.Done: 10, plan.Running: 3, plan.Ready: 7},
		"review":     {plan.Skipped: 4, plan.Done: 5, plan.Failed: 1, plan.Pending: 10},
		"thumb-nail": {plan.Done: 1, plan.Pending: 19},
		"report":     {plan.Cancelled: 1},
	},
}

func TestGraphs(t *testing.T) {
	source, err := os.ReadFile("../../definitions/send-documents.yaml")
	if err != nil {
		t.Fatal(err)
	}
	builtin, err := define.Parse(string(source))
	if err != nil {
		t.Fatal(err)
	}
	said := plan.Legend{Conditions: builtin.Conditions}
	for name, got := range map[string]string{
		"send-documents.mmd":    builtin.Mermaid(said),
		"send-documents.dot":    builtin.DOT(said),
		"diamond.mmd":           diamond.Mermaid(plan.Legend{}),
		"diamond.dot":           diamond.DOT(plan.Legend{}),
		"diamond-execution.mmd": diamond.Mermaid(diamondLegend),
		"diamond-execution.dot": diamond.DOT(diamondLegend),
	} {
		path := filepath.Join("testdata", name)
		if *update {
			err = os.WriteFile(path, []byte(got), 0o644)
			if err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("%s differs; look at it, then run this test with -update (-want +got):\n%s", name, diff)
		}
	}
}
