package observer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/fingerprint"
	"github.com/filigreehq/filigree/services/observer/internal/story"
	"github.com/filigreehq/filigree/services/observer/internal/why"
)

// mostOthers is how many other meanings of a question are named.
const mostOthers = 10

// Why implements observerv1.ObserverServiceServer.
func (s *Server) Why(ctx context.Context, req *observerv1.WhyRequest) (*observerv1.WhyResponse, error) {
	if req.GetProduction() != "" && !rpc.MayActIn(ctx, req.GetProduction()) {
		return nil, rpc.UnknownProduction(req.GetProduction())
	}
	l := s.glance(ctx)
	hits, err := s.meant(ctx, l, req)
	if err != nil {
		return nil, err
	}
	if len(hits) == 0 {
		return nil, fault.New(fault.NotFound, "NOTHING_FOUND",
			"nothing is known of %q: give a recipient's name or address, a file's name, or the id of a distribution, item or mail", req.GetQuery())
	}
	slices.SortStableFunc(hits, func(a, b *observerv1.Hit) int { return cmp.Compare(worse(a), worse(b)) })
	resp := &observerv1.WhyResponse{Subject: hits[0], Freshness: s.freshness(l)}
	resp.Others = hits[1:min(len(hits), mostOthers+1)]
	return resp, s.explain(ctx, l, resp)
}

// probeTimeout is how long Redis may take to say that it is there, before an answer is made without it.
const probeTimeout = 2 * time.Second

// glance is seen, but for when Redis does not answer right now: then it is what was seen last, at once.
func (s *Server) glance(ctx context.Context) *look {
	probe, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	st := s.records.State(probe)
	if st.RedisDown.IsZero() {
		return s.seen(ctx)
	}
	s.looking.mu.Lock()
	defer s.looking.mu.Unlock()
	l := look{pauses: &controlv1.GetPausesResponse{}, at: st.Now}
	if s.looking.last != nil {
		l = *s.looking.last
	}
	l.state, l.whole = st, false
	return &l
}

// worse orders what a question may be about, the worst trouble first.
func worse(h *observerv1.Hit) int {
	switch h.GetState() {
	case "failed", "bounced", "blocked", "complained", "uncertain", "completed_with_failures":
		return 0
	case "deferred", "paused":
		return 1
	case "queued", "sending", "running", "accepted", "pending":
		return 2
	}
	return 3
}

// explain answers for the subject of resp.
func (s *Server) explain(ctx context.Context, l *look, resp *observerv1.WhyResponse) error {
	h := resp.GetSubject()
	if h.GetKind() == "run" {
		return s.explainRun(ctx, resp)
	}
	f := &why.Facts{Now: l.now(), World: s.world(ctx, l)}
	if l.blind() {
		s.explainBlind(ctx, f, resp)
		return nil
	}
	sc, err := s.scene(ctx, h.GetProduction(), h.GetDistribution())
	if err != nil && fault.From(err).Kind == fault.Unavailable {
		// Redis does not answer. Who it is about is known, and that is why.
		s.explainBlind(ctx, f, resp)
		return nil
	}
	if err != nil {
		return err
	}
	unit := cmp.Or(h.GetUnit(), "d")
	err = sc.has(unit)
	if err != nil {
		return err
	}
	f.Distribution = sc.about()
	f.Groups, err = s.around(ctx, l, sc)
	if err != nil {
		return err
	}
	f.Usual = usual(sc)
	_, n := story.Numbers(unit)
	var outputs map[string]string
	if n > 0 {
		f.Person, err = s.person(ctx, sc, n)
		if err != nil {
			return err
		}
		h.Name, h.Detail, h.State = f.Person.Name, f.Person.Email, f.Person.State
	}
	if unit[0] == 'i' || unit[0] == 'f' {
		f.File = sc.file(unit)
	}
	f.Way, outputs, err = s.way(ctx, sc, story.Units(unit, len(sc.d.Files)), f.Now)
	if err != nil {
		return err
	}
	own := slices.Clone(f.Way)
	if n == 0 {
		all, err := s.examples(ctx, l, sc, f, unit)
		if err != nil {
			return err
		}
		f.Way = append(f.Way, all...)
	}
	leases(l, sc, f)
	causes := why.Causes(f)
	resp.Answer = why.Answer(f, causes)
	for i := range causes {
		resp.Causes = append(resp.Causes, causeView(&causes[i]))
	}
	resp.Story, err = s.tell(ctx, sc, unit, own, outputs, f.Person, f.Now)
	if err != nil {
		return err
	}
	s.addOutlook(ctx, resp)
	return nil
}

// addOutlook adds where the time goes and when it will be over, as far as that is known.
func (s *Server) addOutlook(ctx context.Context, resp *observerv1.WhyResponse) {
	h := resp.GetSubject()
	expected, err := s.GetExpectation(ctx, &observerv1.GetExpectationRequest{Production: h.GetProduction(), Distribution: h.GetDistribution()})
	if err == nil {
		resp.Expectation = expected.GetExpectation()
	}
	if h.GetUnit() != "d" && h.GetUnit() != "" {
		return
	}
	ledger, err := s.GetLedger(ctx, &observerv1.GetLedgerRequest{Production: h.GetProduction(), Distribution: h.GetDistribution()})
	if err == nil {
		resp.Ledger = ledger.GetLedger()
	}
}

// explainBlind answers from what is left when no record can be read.
func (s *Server) explainBlind(ctx context.Context, f *why.Facts, resp *observerv1.WhyResponse) {
	h := resp.GetSubject()
	f.Distribution = why.Distribution{Distribution: event.Distribution{Production: h.GetProduction(), ID: h.GetDistribution(), Title: h.GetDetail(), State: "running"}, Waiting: 1}
	if h.GetKind() == "recipient" || h.GetKind() == "item" || h.GetKind() == "message" {
		f.Person = &event.Recipient{Name: h.GetName(), State: h.GetState()}
	}
	d := s.kept(ctx, h.GetProduction(), h.GetDistribution())
	if d != nil {
		f.Distribution.Distribution = distributionOf(d, nil)
		f.Distribution.State = "running"
		f.Distribution.Waiting = f.Recipients
		if d.GetEndedAt() != nil {
			f.Distribution.State = d.GetState()
		}
	}
	if f.World.Redis == "" {
		f.World.Redis = "it does not answer"
	}
	causes := why.Causes(f)
	resp.Answer = why.Answer(f, causes)
	for i := range causes {
		resp.Causes = append(resp.Causes, causeView(&causes[i]))
	}
}

// explainRun answers for something that a program did itself.
func (s *Server) explainRun(ctx context.Context, resp *observerv1.WhyResponse) error {
	h := resp.GetSubject()
	got, err := s.GetRun(ctx, &observerv1.GetRunRequest{Production: h.GetProduction(), Id: h.GetDistribution()})
	if err != nil {
		return err
	}
	run := got.GetRun()
	name := fmt.Sprintf("the run %s of %s", run.GetId(), run.GetName())
	switch run.GetState() {
	case "failed":
		resp.Answer = why.Sentence(fmt.Sprintf("%s failed at %s: %s", name, clock(moment(run.GetEndedAt())), strings.TrimSpace(run.GetError().GetMessage()+" ("+run.GetError().GetCode()+")")))
		resp.Causes = append(resp.Causes, &observerv1.Cause{Kind: "failed", Sentence: resp.GetAnswer(), Since: run.GetEndedAt(), Subject: run.GetError().GetCode(),
			Remedy: "It is the program's own; its last lines: filigree status " + run.GetId()})
	case "running":
		resp.Answer = why.Sentence(fmt.Sprintf("%s goes on since %s: %d of %d done", name, clock(moment(run.GetStartedAt())), run.GetDone(), run.GetTotal()))
	default:
		resp.Answer = why.Sentence(fmt.Sprintf("%s was completed at %s", name, clock(moment(run.GetEndedAt()))))
	}
	return nil
}

// about is the distribution with who stopped it.
func (sc *scene) about() why.Distribution {
	c := sc.view.GetRecipients()
	d := why.Distribution{Distribution: sc.d, TooMany: sc.view.GetError().GetCode() == "TOO_MANY_FAILURES",
		Waiting: int(c.GetTotal() - c.GetSent() - c.GetDelivered() - c.GetComplained())}
	for i := range sc.events {
		e := &sc.events[i]
		switch e.Kind {
		case "paused":
			d.Paused, d.PausedBy = e.Time, e.Worker
		case "cancel_requested", "stopped":
			d.Cancelled, d.CancelledBy = e.Time, e.Worker
		}
	}
	return d
}

// around are the groups of failures that the distribution's are in, with those of all others that the caller may see.
func (s *Server) around(ctx context.Context, l *look, sc *scene) ([]*fingerprint.Group, error) {
	if len(sc.failing) == 0 {
		return nil, nil
	}
	people, err := s.people(ctx, sc.d.Production, sc.d.ID)
	if err != nil {
		return nil, err
	}
	attempts := sc.attempts(people)
	since := sc.d.Created
	if day := l.now().Add(-sinceAtLeast); since.Before(day) {
		since = day
	}
	others, err := s.attemptsSince(ctx, l, "", since, false, nil)
	if err != nil {
		return nil, err
	}
	for _, a := range others {
		if a.Distribution != sc.d.ID {
			attempts = append(attempts, a)
		}
	}
	return fingerprint.Groups(attempts, s.changesBefore(ctx)), nil
}

// usual is how long attempts at each function took that went well: the median, of three at least.
func usual(sc *scene) map[string]time.Duration {
	took := map[string][]time.Duration{}
	for i := range sc.events {
		e := &sc.events[i]
		if e.Kind == "attempt" && e.State == "done" && !e.Started.IsZero() {
			f := sc.step(e.Step).Function
			took[f] = append(took[f], e.Time.Sub(e.Started))
		}
	}
	out := map[string]time.Duration{}
	for f, all := range took {
		if len(all) >= 3 {
			slices.Sort(all)
			out[f] = all[len(all)/2]
		}
	}
	return out
}

// mostExamples bounds how many steps stand for all of a distribution.
const mostExamples = 50

// examples are steps that stand for all of a distribution, or of one of its files: one of each kind of failure, those that
// workers have for long, and one of each kind that waits.
func (s *Server) examples(ctx context.Context, l *look, sc *scene, f *why.Facts, unit string) ([]why.Step, error) {
	file, _ := story.Numbers(unit)
	seen := map[string]bool{unit: true}
	var units []string
	take := func(u string) {
		of, _ := story.Numbers(u)
		if u != "" && !seen[u] && (file == 0 || of == file) && len(units) < mostExamples {
			seen[u] = true
			units = append(units, u)
		}
	}
	for _, g := range f.Groups {
		for _, a := range g.Hurt {
			if a.Distribution == sc.d.ID && a.Open {
				take(a.Unit)
				break
			}
		}
	}
	for _, h := range l.held {
		if h.Distribution == sc.d.ID {
			take(h.Unit)
		}
	}
	waiting, err := s.waiting(ctx, sc, file)
	if err != nil {
		return nil, err
	}
	for _, u := range waiting {
		take(u)
	}
	way, _, err := s.way(ctx, sc, units, f.Now)
	return way, err
}

// waiting are units with steps that are ready or wait for a time, one of each step as far as a look at the first few tells.
func (s *Server) waiting(ctx context.Context, sc *scene, file int) ([]string, error) {
	want := map[string]bool{}
	for _, c := range sc.view.GetSteps() {
		if c.GetReady()+c.GetRetrying() > 0 {
			want[c.GetName()] = true
		}
	}
	var out []string
	find := func(units []string) error {
		standing, err := s.records.Standing(ctx, sc.d.Production, sc.d.ID, units)
		if err != nil {
			return err
		}
		for _, st := range standing {
			if want[st.Step] && (st.State == "ready" || st.State == "retrying") {
				delete(want, st.Step)
				out = append(out, st.Unit)
			}
		}
		return nil
	}
	if len(want) == 0 {
		return nil, nil
	}
	units := []string{"d"}
	for n := range min(len(sc.d.Files), 100) {
		units = append(units, fmt.Sprint("f", n+1))
	}
	err := find(units)
	files := len(sc.d.Files)
	for from := 1; err == nil && len(want) > 0 && from <= sc.d.Recipients && from < 5*mostPeople; {
		units = units[:0]
		for ; from <= sc.d.Recipients && len(units)+files+1 <= 1000; from++ {
			units = append(units, fmt.Sprint("r", from))
			for n := range files {
				if file == 0 || file == n+1 {
					units = append(units, fmt.Sprintf("i%d.%d", n+1, from))
				}
			}
		}
		err = find(units)
	}
	return out, err
}

// leases puts in when the leases of running steps end.
func leases(l *look, sc *scene, f *why.Facts) {
	for _, h := range l.held {
		if h.Distribution != sc.d.ID {
			continue
		}
		for i := range f.Way {
			st := &f.Way[i]
			if st.Unit == h.Unit && st.Name == h.Step && st.State == "running" && st.Worker == h.Worker {
				st.LeaseEnds = h.LeaseEnds
			}
		}
	}
}

// world is what a look saw, as far as the caller may.
func (s *Server) world(ctx context.Context, l *look) why.World {
	w := why.World{Orchestrator: l.state.SeenAt, Alive: l.state.Alive}
	if !l.state.RedisDown.IsZero() {
		w.Redis, w.RedisSince = "it does not answer", l.state.RedisDown
	}
	for _, f := range l.functions {
		v := why.Function{Name: f.GetName(), Ready: int(f.GetReady()), Running: int(f.GetRunning()), Oldest: f.GetOldest().AsDuration(), Paused: f.GetBlocked() == "PAUSED"}
		for _, k := range f.GetWorkers() {
			v.Workers = append(v.Workers, why.Worker{Name: k.GetName(), Running: int(k.GetRunning()), Seen: moment(k.GetSeenAt())})
		}
		w.Functions = append(w.Functions, v)
	}
	for _, p := range l.pauses.GetPauses() {
		w.Pauses = append(w.Pauses, why.Pause{Production: p.GetProduction(), Function: p.GetFunction()})
	}
	for _, g := range l.limits {
		v := why.Limit{Production: g.production, Name: g.GetName(), Concurrency: int(g.GetConcurrency()), Rate: g.GetRate(), Taken: int(g.GetTaken()), Waiting: int(g.GetWaiting())}
		if r := g.resource; r != nil {
			v.Kind, v.Credential, v.State, v.Breaker = cmp.Or(r.GetKind(), "shared"), r.GetCredential(), r.GetState(), r.GetBreaker()
			v.BlockedUntil, v.Code, v.Message = moment(r.GetBlockedUntil()), r.GetLastCode(), r.GetLastMessage()
		}
		w.Limits = append(w.Limits, v)
	}
	for _, b := range l.open {
		if rpc.MayActIn(ctx, b.Production) {
			o := why.Open{Production: b.Production, ID: b.ID, Waiting: b.Unreached, Left: b.Waiting}
			for _, a := range l.aside {
				if a.Production == "" || a.Production == b.Production {
					if b.Waiting[a.Function] > 0 {
						o.Limits = append(o.Limits, cmp.Or(either(a.Production == "", "studio/"+strings.TrimPrefix(a.Limit, "studio/"), ""), a.Limit))
					}
				}
			}
			w.Open = append(w.Open, o)
		}
	}
	return w
}

func causeView(c *why.Cause) *observerv1.Cause {
	return &observerv1.Cause{Kind: c.Kind, Sentence: why.Sentence(c.Clause), Remedy: why.Sentence(c.Remedy), Since: stampOf(c.Since), Subject: c.Subject,
		Recipients: int32(c.Recipients), Distributions: int32(c.Distributions)}
}

// clause is a sentence without its capital and its full stop.
func clause(sentence string) string {
	sentence = strings.TrimSuffix(sentence, ".")
	if sentence == "" {
		return ""
	}
	return strings.ToLower(sentence[:1]) + sentence[1:]
}

// knows reports whether a distribution is there for the caller.
func (s *Server) knows(ctx context.Context, production, id string) (*distributionv1.Distribution, bool) {
	if !rpc.MayActIn(ctx, production) {
		return nil, false
	}
	got, err := s.reads().GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: production, Distribution: id})
	return got.GetDistribution(), err == nil
}
