package observer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/fingerprint"
	"github.com/filigreehq/filigree/services/observer/internal/rule"
)

const (
	// mostLooked bounds the open distributions that are read in one round for rules and forecasts, the next so many in the next;
	// mostRuns bounds the runs.
	mostLooked = 2000
	mostRuns   = 1000
	// mostFailures bounds the groups of failures.
	mostFailures = 200
)

// errNotSeen: Redis does not answer, which is told by itself.
var errNotSeen = errors.New("it cannot be seen now")

// rows are what rules look at, by kind, as it is now; of failures, what the caller may see. A kind that cannot be read is missing,
// and err says why.
func (s *Server) rows(ctx context.Context, rules []*rule.Compiled, events []rule.Row) (map[string][]rule.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	wanted := map[string]bool{}
	for _, r := range rules {
		wanted[r.On] = wanted[r.On] || !r.Disabled
	}
	out := map[string][]rule.Row{"event": events, "heartbeat": s.heartbeats(ctx)}
	var errs []error
	for kind, read := range map[string]func(context.Context) ([]rule.Row, error){
		"distribution": s.distributionRows, "failures": s.failureRows, "function": s.functionRows, "worker": s.workerRows,
		"resource": s.resourceRows, "limit": s.limitRows, "run": s.runRows,
	} {
		if !wanted[kind] {
			continue
		}
		got, err := read(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", kind, err))
			continue
		}
		out[kind] = got
	}
	return out, errors.Join(errs...)
}

// since is how long ago t was, 0 for never and for what is to come.
func since(now, t time.Time) time.Duration {
	if t.IsZero() || t.After(now) {
		return 0
	}
	return now.Sub(t)
}

// heartbeats say who answers: orchestrators, Redis, other observers.
func (s *Server) heartbeats(ctx context.Context) []rule.Row {
	began := time.Now()
	st := s.records.State(ctx)
	took := time.Since(began)
	row := func(what, name string, silent, slow time.Duration, alive int, message string) rule.Row {
		return rule.Row{"what": what, "name": name, "silent": silent, "slow": slow, "alive": alive, "message": message}
	}
	var out []rule.Row
	if st.RedisDown.IsZero() {
		out = append(out, row("redis", "", 0, took, 1, ""))
	} else {
		// Of the others nobody can say anything then.
		out = append(out, row("redis", "", since(time.Now(), st.RedisDown), took, 0, "not reached since "+st.RedisDown.Local().Format("15:04:05")))
		for _, what := range []string{"orchestrator", "peer"} {
			unknown := row(what, "", 0, 0, 0, "")
			unknown[rule.Blind] = true
			out = append(out, unknown)
		}
		return append(out, row("observer", s.name, 0, 0, 1, ""))
	}
	alive := 0
	for _, at := range st.Orchestrators {
		if st.Now.Sub(at) < 5*time.Second {
			alive++
		}
	}
	out = append(out, row("orchestrator", "", since(st.Now, st.SeenAt), 0, alive, ""))
	now, peers, err := s.store.Peers(ctx)
	for name, at := range peers {
		switch {
		case err != nil || name == s.name:
		case now.Sub(at) > time.Hour:
			_ = s.store.Leave(ctx, name) // it will not come back under that name; tried again next time
		default:
			out = append(out, row("peer", name, since(now, at), 0, len(peers), ""))
		}
	}
	return append(out, row("observer", s.name, 0, 0, len(peers), ""))
}

func (s *Server) distributionRows(ctx context.Context) ([]rule.Row, error) {
	now := s.deps.Now()
	views, err := s.lately(ctx)
	if err != nil {
		return nil, err
	}
	var out []rule.Row
	for _, v := range views {
		d := v.Distribution
		out = append(out, rule.Row{"id": d.GetId(), "production": d.GetProduction(), "title": d.GetTitle(), "state": d.GetState(),
			"definition": d.GetDefinition().GetName(), "mode": d.GetMode(), "items": int(d.GetItems().GetTotal()), "done": int(d.GetItems().GetDone()),
			"failed": int(d.GetItems().GetFailed()), "recipients": int(d.GetRecipients().GetTotal()), "age": since(now, moment(d.GetCreatedAt())),
			"late": lateBy(d, now).AsDuration(), "idle": v.idle})
	}
	return out, nil
}

func (s *Server) failureRows(ctx context.Context) ([]rule.Row, error) {
	now := s.deps.Now()
	groups, err := s.groups(ctx, s.seen(ctx), &observerv1.ListFailuresRequest{Since: timestamppb.New(now.Add(-24 * time.Hour))}, s.vigil.failing())
	if err != nil {
		return nil, err
	}
	groups = slices.DeleteFunc(groups, func(g *fingerprint.Group) bool { return g.Open == 0 })
	var out []rule.Row
	for _, group := range groups[:min(len(groups), mostFailures)] {
		g := groupView(group)
		out = append(out, rule.Row{"fingerprint": g.GetFingerprint(), "function": g.GetFunction(), "step": g.GetStep(), "code": g.GetCode(), "signature": g.GetSignature(),
			"production": g.GetProduction(), "distribution": g.GetDistribution(), "count": int(g.GetCount()), "open": int(g.GetOpen()), "recipients": int(g.GetRecipients()),
			"distributions": int(g.GetDistributions()), "age": since(now, moment(g.GetFirstAt())), "since": since(now, moment(g.GetLastAt())), "summary": g.GetSummary()})
	}
	return out, nil
}

func (s *Server) functionRows(ctx context.Context) ([]rule.Row, error) {
	l := s.seen(ctx)
	if !l.whole {
		return nil, errNotSeen
	}
	var out []rule.Row
	for _, f := range l.topFunctions() {
		out = append(out, rule.Row{"name": f.GetFunction(), "workers": int(f.GetWorkers()), "running": int(f.GetRunning()), "ready": int(f.GetReady()),
			"at_limit": int(f.GetAtLimit()), "oldest": f.GetOldest().AsDuration(), "paused": f.GetPaused()})
	}
	return out, nil
}

func (s *Server) workerRows(ctx context.Context) ([]rule.Row, error) {
	l := s.seen(ctx)
	if !l.whole {
		return nil, errNotSeen
	}
	var out []rule.Row
	for _, w := range l.topWorkers() {
		out = append(out, rule.Row{"name": w.GetWorker(), "functions": w.GetFunctions(), "running": int(w.GetRunning()), "free": int(w.GetFree()),
			"silent": since(l.at, moment(w.GetSeenAt()))})
	}
	return out, nil
}

func (s *Server) resourceRows(ctx context.Context) ([]rule.Row, error) {
	l := s.seen(ctx)
	if !l.whole {
		return nil, errNotSeen
	}
	var out []rule.Row
	for _, r := range l.limits {
		if r.resource == nil {
			continue
		}
		blocked := max(moment(r.resource.GetBlockedUntil()).Sub(l.at), 0)
		out = append(out, rule.Row{"production": r.production, "name": r.GetName(), "kind": r.resource.GetKind(), "state": r.resource.GetState(),
			"breaker": r.resource.GetBreaker(), "blocked": blocked, "code": r.resource.GetLastCode(), "message": r.resource.GetLastMessage(), "detail": r.resource.GetDetail()})
	}
	return out, nil
}

func (s *Server) limitRows(ctx context.Context) ([]rule.Row, error) {
	l := s.seen(ctx)
	if !l.whole {
		return nil, errNotSeen
	}
	var out []rule.Row
	for _, r := range l.limits {
		out = append(out, rule.Row{"production": r.production, "name": r.GetName(), "concurrency": int(r.GetConcurrency()), "rate": r.GetRate(),
			"taken": int(r.GetTaken()), "waiting": int(r.GetWaiting())})
	}
	return out, nil
}

func (s *Server) runRows(ctx context.Context) ([]rule.Row, error) {
	now := s.deps.Now()
	told, err := s.store.RunsLately(ctx, now.Add(-24*time.Hour), mostRuns)
	if err != nil {
		return nil, storeUnavailable(err)
	}
	slices.Reverse(told) // of several in one alert the last is the one it tells of
	var out []rule.Row
	for _, kept := range told {
		r, err := runOf(kept)
		if err != nil || r.GetEndedAt() != nil && now.Sub(r.GetEndedAt().AsTime()) > time.Hour {
			continue // one that cannot be read hides no other
		}
		end := now
		if r.GetEndedAt() != nil {
			end = r.GetEndedAt().AsTime()
		}
		metrics := map[string]float64{}
		for _, m := range r.GetMetrics() {
			metrics[m.GetName()] = m.GetValue()
		}
		labels := r.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		out = append(out, rule.Row{"production": r.GetProduction(), "id": r.GetId(), "name": r.GetName(), "state": r.GetState(), "age": since(end, moment(r.GetStartedAt())),
			"late": since(end, moment(r.GetDeadline())), "silent": since(now, kept.At), "total": int(r.GetTotal()), "done": int(r.GetDone()),
			"code": r.GetError().GetCode(), "message": r.GetError().GetMessage(), "metrics": metrics, "labels": labels})
	}
	return out, nil
}

func eventRow(e event.Event, title string) rule.Row {
	metrics := map[string]float64{}
	for _, m := range e.Metrics {
		metrics[m.Name] = m.Value
	}
	took := time.Duration(0)
	if !e.Started.IsZero() {
		took = max(e.Time.Sub(e.Started), 0)
	}
	return rule.Row{"kind": e.Kind, "production": e.Production, "distribution": e.Distribution, "title": title, "step": e.Step, "unit": e.Unit,
		"attempt": e.Attempt, "worker": e.Worker, "state": e.State, "code": e.Code, "message": e.Message, "took": took, "limit": e.Limit,
		"limited": e.LimitWait, "metrics": metrics}
}
