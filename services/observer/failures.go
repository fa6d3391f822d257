package observer

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/fingerprint"
	"github.com/filigreehq/filigree/services/observer/internal/index"
)

const (
	// sinceAtLeast is how far back failures are looked for, of all distributions, when nobody says since when.
	sinceAtLeast = 24 * time.Hour
	// mostFailing bounds how many distributions one call looks into, those that began last first.
	mostFailing = 200
)

// ListFailures implements observerv1.ObserverServiceServer.
func (s *Server) ListFailures(ctx context.Context, req *observerv1.ListFailuresRequest) (*observerv1.ListFailuresResponse, error) {
	if req.GetProduction() != "" && !rpc.MayActIn(ctx, req.GetProduction()) {
		return nil, rpc.UnknownProduction(req.GetProduction())
	}
	from := 0
	if req.GetPageToken() != "" {
		var err error
		from, err = strconv.Atoi(req.GetPageToken())
		if err != nil || from < 0 {
			return nil, fault.New(fault.Invalid, "PAGE_TOKEN_INVALID", "page_token %q is not one that this list has given", req.GetPageToken())
		}
	}
	l := s.seen(ctx)
	groups, err := s.groups(ctx, l, req, nil)
	if err != nil {
		return nil, err
	}
	if !req.GetResolved() {
		groups = slices.DeleteFunc(groups, func(g *fingerprint.Group) bool { return g.Open == 0 })
	}
	resp := &observerv1.ListFailuresResponse{Freshness: s.freshness(l)}
	size := int(req.GetPageSize())
	if size == 0 {
		size = 100
	}
	for i := from; i < min(from+size, len(groups)); i++ {
		resp.Groups = append(resp.Groups, groupView(groups[i]))
	}
	if from+size < len(groups) {
		resp.NextPageToken = strconv.Itoa(from + size)
	}
	return resp, nil
}

// groups are the failures of a distribution, or of all in a production, or of all that the caller may see, since a moment. Of
// distributions in also, by id and production, they are too, whatever counters say of them.
func (s *Server) groups(ctx context.Context, l *look, req *observerv1.ListFailuresRequest, also [][2]string) ([]*fingerprint.Group, error) {
	production, distribution, since := req.GetProduction(), req.GetDistribution(), moment(req.GetSince())
	var attempts []fingerprint.Attempt
	var err error
	switch {
	case distribution != "" && production == "":
		return nil, fault.New(fault.Invalid, "INVALID_ARGUMENT", "name the production of distribution %s, too", distribution)
	case distribution != "":
		attempts, err = s.attemptsOf(ctx, production, distribution)
	default:
		attempts, err = s.attemptsSince(ctx, l, production, since, req.GetResolved(), also)
	}
	if err != nil {
		return nil, err
	}
	if !since.IsZero() {
		attempts = slices.DeleteFunc(slices.Clone(attempts), func(a fingerprint.Attempt) bool { return a.At.Before(since) })
	}
	return fingerprint.Groups(attempts, s.changesBefore(ctx)), nil
}

// attemptsOf are those of one distribution.
func (s *Server) attemptsOf(ctx context.Context, production, distribution string) ([]fingerprint.Attempt, error) {
	// Rules ask every few seconds, and most of the time nothing is new.
	events, err := s.eventsOf(ctx, production, distribution)
	if err != nil {
		return nil, err
	}
	p := s.remembered.past(production, distribution)
	p.mu.Lock()
	had, upTo := p.attempts, p.upTo
	p.mu.Unlock()
	if had != nil && upTo == len(events) {
		return had, nil
	}
	sc, err := s.scene(ctx, production, distribution)
	if err != nil {
		return nil, err
	}
	people, err := s.people(ctx, production, distribution)
	if err != nil {
		return nil, err
	}
	now := sc.attempts(people)
	p.mu.Lock()
	defer p.mu.Unlock()
	s.remembered.grew(p, len(now)-len(p.attempts))
	p.attempts, p.upTo = now, len(sc.events)
	return now, nil
}

// attemptsSince are those of distributions of which something fails, or failed and ended since then; with resolved also of
// those of which something failed since then and does no more.
func (s *Server) attemptsSince(ctx context.Context, l *look, production string, since time.Time, resolved bool, also [][2]string) ([]fingerprint.Attempt, error) {
	if since.IsZero() {
		since = l.now().Add(-sinceAtLeast)
	}
	ended, err := s.records.Ended(ctx, since, mostFailing*10)
	if err != nil {
		return nil, err
	}
	var all [][2]string // id, production
	for _, d := range also {
		if rpc.MayActIn(ctx, d[1]) {
			all = append(all, d)
		}
	}
	for _, b := range slices.Concat(l.open, ended) {
		if rpc.MayActIn(ctx, b.Production) && (production == "" || b.Production == production) && (b.Failed > 0 || b.Retrying > 0) {
			all = append(all, [2]string{b.ID, b.Production})
		}
	}
	// What is tried again fails in no counter for a while, and is not over; the index knows it a moment later.
	where, err := searched(ctx, production)
	if err != nil {
		return nil, err
	}
	known, err := s.index.Failures(ctx, index.FailureFilter{Scope: where, Since: since, Resolved: resolved, Most: mostFailing * 10})
	if err != nil && resolved { // else counters and alerts tell of nearly all, and rules go on
		return nil, indexError(ctx, err, "")
	}
	for _, f := range known {
		all = append(all, [2]string{f.Distribution, f.Production})
	}
	// Ids are in the order of time.
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(b[0], a[0]) })
	all = slices.Compact(all)
	var out []fingerprint.Attempt
	for _, d := range all[:min(len(all), mostFailing)] {
		attempts, err := s.attemptsOf(ctx, d[1], d[0])
		if err != nil && fault.From(err).Kind == fault.NotFound {
			continue // it is gone
		}
		if err != nil {
			return nil, err
		}
		out = append(out, attempts...)
		if len(out) > mostEvents {
			break
		}
	}
	return out, nil
}

// changesBefore is what changed lately, which may be why something fails.
func (s *Server) changesBefore(ctx context.Context) []fingerprint.Change {
	var out []fingerprint.Change
	for _, c := range s.changes(ctx, func(production string) bool { return rpc.MayActIn(ctx, production) }) {
		out = append(out, fingerprint.Change{Time: moment(c.GetTime()), Production: c.GetProduction(), Sentence: clause(c.GetSentence())})
	}
	return out
}

func groupView(g *fingerprint.Group) *observerv1.FailureGroup {
	v := &observerv1.FailureGroup{Fingerprint: g.ID, Function: g.Function, Step: g.Step, Code: g.Code, Signature: g.Signature, Example: g.Example,
		Count: int32(g.Count), Recipients: int32(g.Recipients), Distributions: int32(g.Distributions), FirstAt: stampOf(g.First), LastAt: stampOf(g.Last),
		Summary: g.Summary, Retryable: g.Retryable, Production: g.Production, Distribution: g.Distribution, Open: int32(g.Open)}
	for _, a := range g.Hurt {
		h := &observerv1.Hit{Kind: "recipient", Production: a.Production, Distribution: a.Distribution, Unit: a.Unit, Name: a.Name, Detail: a.Email,
			State: "failed", Time: stampOf(a.At), Code: a.Code}
		switch {
		case a.Recipient == 0:
			h.Kind, h.Name, h.Detail = "file", a.FileName, ""
			if a.File == "" {
				h.Kind = "distribution"
			}
		case a.File != "":
			h.Kind, h.Detail = "item", a.FileName
		}
		if !a.Open {
			h.State = "resolved"
		}
		v.Hurt = append(v.Hurt, h)
	}
	return v
}

// ActOnFailures implements observerv1.ObserverServiceServer.
func (s *Server) ActOnFailures(ctx context.Context, req *observerv1.ActOnFailuresRequest) (*observerv1.ActOnFailuresResponse, error) {
	attempts, err := s.attemptsOf(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	groups := fingerprint.Groups(attempts, nil)
	i := slices.IndexFunc(groups, func(g *fingerprint.Group) bool { return g.ID == req.GetFingerprint() })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "FAILURE_UNKNOWN", "nothing of distribution %s has failed as %s says; see filigree failures %s",
			req.GetDistribution(), req.GetFingerprint(), req.GetDistribution())
	}
	numbers, all := groups[i].Numbers(req.GetDistribution(), true)
	if len(numbers) == 0 && !all {
		return nil, fault.New(fault.Conflict, "FAILURE_RESOLVED", "nothing of distribution %s fails so any more", req.GetDistribution())
	}
	ctx, err = rpc.As(ctx, rpc.PrincipalFrom(ctx))
	if err != nil {
		return nil, err
	}
	if all {
		numbers = nil // it is about a file: of everybody, what failed with its code
	}
	resp := &observerv1.ActOnFailuresResponse{Recipients: int32(len(numbers))}
	for first := true; first || len(numbers) > 0; first = false {
		part := numbers[:min(1000, len(numbers))]
		numbers = numbers[len(part):]
		resp.Distribution, err = s.actOn(ctx, req, groups[i].Step, groups[i].Code, part)
		if err != nil {
			return nil, err
		}
	}
	if all {
		resp.Recipients = resp.GetDistribution().GetRecipients().GetTotal()
	}
	s.deps.Log.InfoContext(ctx, "acted on failures", "distribution", req.GetDistribution(), "production", req.GetProduction(), "action", req.GetAction(),
		"fingerprint", req.GetFingerprint(), "recipients", resp.GetRecipients(), "by", rpc.PrincipalFrom(ctx).GetSubject())
	return resp, nil
}

// actOn does it to recipients; none: to all whom the code is of.
func (s *Server) actOn(ctx context.Context, req *observerv1.ActOnFailuresRequest, step, code string, numbers []int) (*distributionv1.Distribution, error) {
	ids := make([]string, len(numbers))
	for i, n := range numbers {
		ids[i] = req.GetDistribution() + ".r" + strconv.Itoa(n)
	}
	if req.GetAction() != "retry" {
		got, err := s.deps.Distributions.EndFailing(ctx, &distributionv1.EndFailingRequest{Production: req.GetProduction(),
			Distribution: req.GetDistribution(), Recipients: ids, Step: step, Code: code, Action: req.GetAction()})
		return got.GetDistribution(), err
	}
	got, err := s.deps.Distributions.RetryDistribution(ctx, &distributionv1.RetryDistributionRequest{Production: req.GetProduction(),
		Distribution: req.GetDistribution(), Recipients: ids, Code: code})
	return got.GetDistribution(), err
}
