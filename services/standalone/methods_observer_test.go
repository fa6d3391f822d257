package standalone_test

import (
	"context"
	"fmt"
	"slices"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

func init() {
	for _, name := range []string{"Search", "FindDistributions", "Why", "GetStory", "GetLedger", "GetExpectation", "ListFailures", "GetOverview", "GetTop",
		"GetHistory", "ListAudit", "GetShared", "GetRun"} {
		methods["ObserverService."+name] = method{safe: readsOnly}
	}
	for _, name := range []string{"ListRules", "TestRule", "ListAlerts"} {
		methods["AlertService."+name] = method{safe: readsOnly}
	}
	methods["ObserverService.ActOnFailures"] = method{safe: "it is RetryDistribution or EndFailing for some: what was asked for and goes on is not asked for twice"}
	methods["ObserverService.RecordAccess"] = method{safe: "what nobody knows to be written down is told again: rather twice than not at all"}
	methods["ObserverService.ShareDistribution"] = method{safe: "nothing is kept of an address that was made; one nobody heard of is known to nobody"}
	methods["ObserverService.UnshareDistribution"] = method{safe: "addresses that are ended are ended again"}
	methods["AlertService.AcknowledgeAlert"] = method{safe: "who has it has it"}
	methods["AlertService.PutRule"] = method{do: func(s *suite) { s.putRules(s.name(), false) }}
	methods["AlertService.ApplyRules"] = method{do: func(s *suite) { s.putRules(s.name(), true) }}
	methods["AlertService.DeleteRule"] = method{do: func(s *suite) {
		name := s.name()
		s.calm(func() { s.putRules(name, false) })
		s.again(func(ctx context.Context) error {
			_, err := s.alerts.DeleteRule(ctx, &observerv1.DeleteRuleRequest{Name: name})
			return err
		}, "RULE_UNKNOWN")
		s.want("the rule is gone", slices.Contains(s.ruleNames(), name), false)
	}}
	methods["ObserverService.ReportRun"] = method{do: func(s *suite) {
		id := s.name()
		s.again(func(ctx context.Context) error {
			_, err := s.observer.ReportRun(ctx, &observerv1.ReportRunRequest{Production: "p", Id: id, Run: &observerv1.Run{Name: "import", State: "completed", Total: 3, Done: 3}})
			return err
		})
		resp := ask(s, func(ctx context.Context) (*observerv1.GetRunResponse, error) {
			return s.observer.GetRun(ctx, &observerv1.GetRunRequest{Production: "p", Id: id})
		})
		s.want("the run", resp.GetRun().GetDone(), 3)
	}}
}

func (s *suite) putRules(name string, file bool) {
	s.again(func(ctx context.Context) error {
		if file {
			_, err := s.alerts.ApplyRules(ctx, &observerv1.ApplyRulesRequest{Source: fmt.Sprintf("- {name: %s, on: run, when: 'late > duration(\"1s\")'}\n", name)})
			return err
		}
		_, err := s.alerts.PutRule(ctx, &observerv1.PutRuleRequest{Name: name, Rule: &observerv1.Rule{On: "run", When: `late > duration("1s")`}})
		return err
	})
	s.want("the rule is there", slices.Contains(s.ruleNames(), name), true)
}

func (s *suite) ruleNames() []string {
	resp := ask(s, func(ctx context.Context) (*observerv1.ListRulesResponse, error) {
		return s.alerts.ListRules(ctx, &observerv1.ListRulesRequest{})
	})
	var out []string
	for _, r := range resp.GetRules() {
		out = append(out, r.GetName())
	}
	return out
}
