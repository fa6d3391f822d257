package observer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/expect"
	"github.com/filigreehq/filigree/services/observer/internal/ledger"
)

const (
	// forecastEvery is how often open distributions are forecast, for what that teaches.
	forecastEvery = 5 * time.Second
	// mostForecast bounds how many are in one round, the next so many in the next; and mostLearnt how many that ended are learnt from in one round.
	mostForecast = 500
	mostLearnt   = 200
	// firstLearn is how far back a new observer learns.
	firstLearn = 30 * 24 * time.Hour
)

// outlook knows how long distributions take. It is kept in a file; without one it learns anew.
type outlook struct {
	mu    sync.Mutex
	model *expect.Model
	since time.Time // all that ended before was learnt from
	last  string    // which was forecast last; learn's alone
	// forecasts of each open distribution, one of each stage, whichever.
	forecasts map[string]*[4]forecasted
	pauses    []paused
}

type forecasted struct {
	expect.Forecast
	at    time.Time
	tries int
}

// paused is a stretch in which a production, or all of them, stood still.
type paused struct {
	production string // empty: all
	ledger.Span
}

func newOutlook() *outlook {
	return &outlook{model: expect.NewModel(), forecasts: map[string]*[4]forecasted{}}
}

// learn forecasts what is open, and learns from what has ended.
func (s *Server) learn(ctx context.Context) error {
	ctx = itself(ctx)
	o := s.outlook
	l := s.seen(ctx)
	if !l.whole {
		return nil
	}
	s.notePauses(l)
	open, err := s.lately(ctx)
	if err != nil {
		return err
	}
	open = slices.DeleteFunc(slices.Clone(open), func(d view) bool { return d.GetEndedAt() != nil })
	for _, d := range o.turn(open) {
		state, err := s.stateOf(ctx, d.Distribution, l.now())
		if err != nil {
			continue // the next one
		}
		o.note(d.GetId(), state, l.now())
	}
	o.mu.Lock()
	since := o.since
	o.mu.Unlock()
	if since.IsZero() {
		since = l.now().Add(-firstLearn)
	}
	ended, err := s.records.Ended(ctx, since, mostLearnt)
	if err != nil {
		return err
	}
	for _, b := range ended {
		err = s.learnFrom(ctx, b.Production, b.ID)
		if err != nil {
			s.deps.Log.DebugContext(ctx, "nothing is learnt from a distribution", "distribution", b.ID, "err", err)
		}
		o.mu.Lock()
		if b.Ended.After(o.since) {
			o.since = b.Ended
		}
		delete(o.forecasts, b.ID)
		o.mu.Unlock()
	}
	if len(ended) == 0 {
		return nil
	}
	return s.keepOutlook()
}

// turn are those that are forecast now: so many, after those of the last time.
func (o *outlook) turn(open []view) []view {
	from := sort.Search(len(open), func(i int) bool { return open[i].GetId() > o.last })
	if from == len(open) {
		from = 0
	}
	now := open[from:min(len(open), from+mostForecast)]
	if len(now) > 0 {
		o.last = now[len(now)-1].GetId()
	}
	return now
}

// note keeps a forecast, of each stage one, each as likely as the other.
func (o *outlook) note(id string, state expect.State, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f, ok := o.model.Forecast(state)
	if !ok {
		return
	}
	all := o.forecasts[id]
	if all == nil {
		if len(o.forecasts) >= 2*mostForecast {
			return
		}
		all = &[4]forecasted{}
		o.forecasts[id] = all
	}
	slot := &all[expect.Stage(f.Progress)]
	slot.tries++
	if rand.IntN(slot.tries) == 0 {
		slot.Forecast, slot.at = f, now
	}
}

// learnFrom takes in a distribution that has ended. One that a person cancelled, or had done again, took as long as people.
// Of its events the first 1,000 say how long its functions take.
func (s *Server) learnFrom(ctx context.Context, production, id string) error {
	got, err := s.records.GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: production, Distribution: id})
	if err != nil {
		return err
	}
	d := got.GetDistribution()
	if d.GetEndedAt() == nil || d.GetState() == "cancelled" || d.GetState() == "failed" {
		return nil
	}
	plan, err := s.records.Plan(ctx, production, id)
	if err != nil {
		return err
	}
	functions := map[string]string{}
	for _, p := range plan {
		functions[p.Name] = p.Function
	}
	events, err := s.listEvents(ctx, &distributionv1.ListEventsRequest{Production: production, Distribution: id, PageSize: 1000})
	if err != nil {
		return err
	}
	ended := moment(d.GetEndedAt())
	e := expect.Ended{Definition: d.GetDefinition().GetName(), Items: int(d.GetItems().GetTotal()), Duration: ended.Sub(moment(d.GetCreatedAt())), Service: map[string]time.Duration{}}
	sum, n := map[string]time.Duration{}, map[string]time.Duration{}
	for _, ev := range events.GetEvents() {
		switch ev.GetKind() {
		case "retry_requested", "retry", "resend", "paused", "skip_requested", "end_requested":
			return nil
		case "attempt":
			if f := functions[ev.GetStep()]; ev.GetState() == "done" && ev.GetStartedAt() != nil && f != "" {
				sum[f] += moment(ev.GetTime()).Sub(moment(ev.GetStartedAt()))
				n[f]++
			}
		}
	}
	for f := range sum {
		e.Service[f] = sum[f] / n[f]
	}
	o := s.outlook
	o.mu.Lock()
	defer o.mu.Unlock()
	o.model.Learn(e)
	if all := o.forecasts[id]; all != nil {
		for _, f := range all {
			if f.tries > 0 {
				o.model.Check(expect.Sample{Forecast: f.Forecast, Actual: ended.Sub(f.at)})
			}
		}
	}
	return nil
}

// stateOf is what a forecast looks at.
func (s *Server) stateOf(ctx context.Context, d *distributionv1.Distribution, now time.Time) (expect.State, error) {
	plan, err := s.records.Plan(ctx, d.GetProduction(), d.GetId())
	if err != nil {
		return expect.State{}, err
	}
	st := expect.State{Definition: d.GetDefinition().GetName(), Items: int(d.GetItems().GetTotal()), Elapsed: now.Sub(moment(d.GetCreatedAt()))}
	functions := map[string]string{}
	for _, p := range plan {
		functions[p.Name] = p.Function
	}
	for _, c := range d.GetSteps() {
		over := c.GetDone() + c.GetFailed() + c.GetSkipped() + c.GetCancelled()
		st.Steps = append(st.Steps, expect.Step{Function: functions[c.GetName()], Done: int(over),
			Total: int(over + c.GetPending() + c.GetReady() + c.GetRunning() + c.GetRetrying())})
	}
	return st, nil
}

// GetExpectation implements observerv1.ObserverServiceServer.
func (s *Server) GetExpectation(ctx context.Context, req *observerv1.GetExpectationRequest) (*observerv1.GetExpectationResponse, error) {
	l := s.seen(ctx)
	got, err := s.reads().GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: req.GetProduction(), Distribution: req.GetDistribution()})
	if err != nil {
		return nil, err
	}
	d, now := got.GetDistribution(), l.now()
	e := &observerv1.Expectation{Deadline: d.GetDeadline()}
	if total := d.GetItems().GetTotal(); total > 0 {
		e.Completeness = float64(total-d.GetItems().GetPending()-d.GetItems().GetRunning()) / float64(total)
	}
	resp := &observerv1.GetExpectationResponse{Expectation: e, Freshness: s.freshness(l)}
	if d.GetEndedAt() != nil {
		e.ExpectedCompleteness, e.Reason = 1, "it has ended"
		return resp, nil
	}
	state, err := s.stateOf(ctx, d, now)
	if err != nil {
		return nil, err
	}
	s.outlook.mu.Lock()
	f, ok := s.outlook.model.Forecast(state)
	usual, known := s.outlook.model.Usual(state)
	s.outlook.mu.Unlock()
	if known && usual > 0 {
		e.ExpectedCompleteness = min(1, state.Elapsed.Seconds()/usual.Seconds())
	}
	e.Missing = l.missing(d, now)
	if held := moment(d.GetHeldUntil()); held.After(now) {
		f.P50, f.P90 = max(f.P50, held.Sub(now)), max(f.P90, held.Sub(now))
	}
	switch {
	case d.GetState() == "paused":
		e.Reason = "it is paused: it ends some time after it is resumed"
	case !l.state.Alive:
		e.Reason = "no orchestrator answers: nothing moves on until one does"
	case len(e.GetMissing()) > 0 && e.GetMissing()[0].GetStep() != "":
		e.Reason = "it waits for what should have happened by now: " + e.GetMissing()[0].GetWhat()
	case !ok:
		e.Reason = "nothing of it is done, and none of its kind has ended yet"
	default:
		e.EtaP50, e.EtaP90 = timestamppb.New(now.Add(f.P50)), timestamppb.New(now.Add(f.P90))
		e.Reason = fmt.Sprintf("it goes by its own pace and by %d earlier forecasts", f.Samples)
	}
	return resp, nil
}

// missing is what should have happened to an open distribution by now and has not.
func (l *look) missing(d *distributionv1.Distribution, now time.Time) []*observerv1.Missing {
	var out []*observerv1.Missing
	served := map[string]bool{}
	for _, f := range l.functions {
		served[f.GetName()] = len(f.GetWorkers()) > 0
	}
	paused := map[string]bool{}
	for _, p := range l.pauses.GetPauses() {
		switch {
		case p.GetProduction() != "" && p.GetProduction() != d.GetProduction():
		case p.GetFunction() == "":
			out = append(out, &observerv1.Missing{What: "somebody to resume the production", Step: "production"})
		default:
			paused[p.GetFunction()] = true
		}
	}
	for _, b := range l.open {
		if b.ID != d.GetId() {
			continue
		}
		for function, n := range b.Waiting {
			if n > 0 && paused[function] {
				out = append(out, &observerv1.Missing{What: fmt.Sprintf("somebody to resume the function %s: %s for it", function, count(n, "step waits", "steps wait")), Step: function})
			}
			if n > 0 && !served[function] {
				out = append(out, &observerv1.Missing{What: fmt.Sprintf("a worker that serves %s: %s for one", function, count(n, "step waits", "steps wait")), Step: function})
			}
		}
	}
	for _, h := range l.held {
		if h.Distribution == d.GetId() && h.Timeout > 0 && now.Sub(h.Since) > h.Timeout {
			by := h.Since.Add(h.Timeout)
			out = append(out, &observerv1.Missing{What: fmt.Sprintf("an answer of worker %s to %s of %s", h.Worker, h.Step, h.Unit), Step: h.Step, Unit: h.Unit, ExpectedBy: timestamppb.New(by)})
		}
	}
	if by := moment(d.GetDeadline()); !by.IsZero() && now.After(by) {
		out = append(out, &observerv1.Missing{What: "its end", ExpectedBy: d.GetDeadline()})
	}
	return out
}

// notePauses keeps from when to when productions stood still, as far as it was seen.
func (s *Server) notePauses(l *look) {
	o := s.outlook
	o.mu.Lock()
	defer o.mu.Unlock()
	now := map[string]bool{}
	for _, p := range l.pauses.GetPauses() {
		if p.GetFunction() == "" {
			now[p.GetProduction()] = true
		}
	}
	for i := range o.pauses {
		p := &o.pauses[i]
		switch {
		case !p.Until.IsZero():
		case now[p.production]:
			delete(now, p.production)
		default:
			p.Until = l.at
		}
	}
	for production := range now {
		o.pauses = append(o.pauses, paused{production, ledger.Span{From: l.at, What: "the production's pause"}})
	}
	o.pauses = o.pauses[max(0, len(o.pauses)-1000):]
}

// pausesOf are the stretches in which a production stood still.
func (s *Server) pausesOf(production string) []ledger.Span {
	o := s.outlook
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []ledger.Span
	for _, p := range o.pauses {
		if p.production == production || p.production == "" {
			out = append(out, p.Span)
		}
	}
	return out
}

func (s *Server) outlookPath() string { return filepath.Join(s.deps.Dir, "outlook.json") }

// learnt is an outlook as it is kept.
type learnt struct {
	Model expect.Kept
	Since time.Time
}

func (s *Server) keepOutlook() error {
	o := s.outlook
	o.mu.Lock()
	raw, err := json.Marshal(learnt{o.model.Keep(), o.since})
	o.mu.Unlock()
	if err != nil {
		return fmt.Errorf("keep outlook: %w", err)
	}
	return writeFile(s.outlookPath(), raw)
}

// restoreOutlook begins with what was learnt before; what cannot be read is learnt anew.
func (s *Server) restoreOutlook() error {
	raw, err := os.ReadFile(s.outlookPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var k learnt
	if err == nil {
		err = json.Unmarshal(raw, &k)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be read; it is made anew: %w", s.outlookPath(), err)
	}
	s.outlook.model, s.outlook.since = expect.Restore(k.Model), k.Since
	return nil
}
