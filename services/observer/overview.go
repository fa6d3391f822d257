package observer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/rpc"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// How much of each an overview shows.
const (
	mostGroups  = 10
	mostChanges = 30
	mostLate    = 20
	mostAlerts  = 20
)

// GetOverview implements observerv1.ObserverServiceServer.
func (s *Server) GetOverview(ctx context.Context, req *observerv1.GetOverviewRequest) (*observerv1.GetOverviewResponse, error) {
	if req.GetProduction() != "" && !rpc.MayActIn(ctx, req.GetProduction()) {
		return nil, rpc.UnknownProduction(req.GetProduction())
	}
	mine := func(production string) bool {
		return rpc.MayActIn(ctx, production) && (req.GetProduction() == "" || production == req.GetProduction())
	}
	l := s.seen(ctx)
	resp := &observerv1.GetOverviewResponse{Distributions: map[string]int32{}, Freshness: s.freshness(l)}
	for _, t := range l.troubles(mine) {
		since, ok := s.sinceWhen(t)
		if ok && t.since.IsZero() {
			t.since = since
		}
		resp.Causes = append(resp.Causes, t.cause())
	}
	var open, late []readside.Brief
	for _, d := range l.open {
		if !mine(d.Production) {
			continue
		}
		open = append(open, d)
		resp.Distributions[d.State]++
		if !d.Deadline.IsZero() && l.at.After(d.Deadline) {
			late = append(late, d)
		}
	}
	s.addFailures(ctx, req.GetProduction(), resp)
	resp.Late = s.lateHits(ctx, late)
	s.addAlerts(ctx, req.GetProduction(), resp)
	resp.Changes = s.changes(ctx, mine)
	resp.Well = len(resp.GetCauses()) == 0
	resp.Sentence = overall(resp, open)
	return resp, nil
}

// addFailures adds what fails, and says of each group that is open that it is a cause.
func (s *Server) addFailures(ctx context.Context, production string, resp *observerv1.GetOverviewResponse) {
	failures, err := s.ListFailures(ctx, &observerv1.ListFailuresRequest{Production: production, PageSize: mostGroups})
	if err != nil {
		return // the rest is shown all the same
	}
	resp.Failures = failures.GetGroups()
	for _, g := range failures.GetGroups() {
		if g.GetOpen() == 0 {
			continue
		}
		text := strings.TrimSuffix(g.GetExample(), ".")
		resp.Causes = append(resp.Causes, &observerv1.Cause{
			Kind: "failed", Subject: g.GetCode(), Since: g.GetFirstAt(), Recipients: g.GetRecipients(), Distributions: g.GetDistributions(),
			Sentence: fmt.Sprintf("%s fails with %s for %s in %s: %s.", g.GetFunction(), g.GetCode(), count(int(g.GetRecipients()), "person", "people"),
				count(int(g.GetDistributions()), "distribution", "distributions"), text),
			Remedy: fmt.Sprintf("See who is hurt, and act on all of them: filigree failures %s.", g.GetFingerprint()),
		})
	}
	slices.SortStableFunc(resp.GetCauses(), func(a, b *observerv1.Cause) int { return rank(a.GetKind()) - rank(b.GetKind()) })
}

func (s *Server) addAlerts(ctx context.Context, production string, resp *observerv1.GetOverviewResponse) {
	alerts, err := s.ListAlerts(ctx, &observerv1.ListAlertsRequest{Production: production, PageSize: mostAlerts})
	if err != nil {
		return // the rest is shown all the same
	}
	for _, a := range alerts.GetAlerts() {
		if a.GetState() != "resolved" {
			resp.Alerts = append(resp.Alerts, a)
		}
	}
}

// lateHits names distributions that are past their deadline, the worst first.
func (s *Server) lateHits(ctx context.Context, late []readside.Brief) []*observerv1.Hit {
	slices.SortFunc(late, func(a, b readside.Brief) int { return a.Deadline.Compare(b.Deadline) })
	var out []*observerv1.Hit
	for _, d := range late[:min(len(late), mostLate)] {
		h := &observerv1.Hit{Kind: "distribution", Production: d.Production, Distribution: d.ID, Unit: "d", State: d.State,
			Time: timestamppb.New(d.Deadline)}
		got, err := s.records.GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: d.Production, Distribution: d.ID})
		if err == nil {
			h.Name = got.GetDistribution().GetTitle()
		}
		out = append(out, h)
	}
	return out
}

// overall says in one sentence whether anything is wrong.
func overall(resp *observerv1.GetOverviewResponse, open []readside.Brief) string {
	n := len(resp.GetCauses())
	if n == 0 {
		running := 0
		for _, d := range open {
			running += d.Running
		}
		if len(open) == 0 {
			return "All is well, and nothing is under way."
		}
		return fmt.Sprintf("All is well: %s under way, %s.", count(len(open), "distribution is", "distributions are"), count(running, "step runs", "steps run"))
	}
	sentence := resp.GetCauses()[0].GetSentence()
	sentence = strings.ToUpper(sentence[:1]) + sentence[1:]
	if n > 1 {
		return fmt.Sprintf("%s And %s wrong.", sentence, count(n-1, "other thing is", "other things are"))
	}
	return sentence
}
