package observer

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/rpc"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

// GetTop implements observerv1.ObserverServiceServer.
func (s *Server) GetTop(ctx context.Context, _ *observerv1.GetTopRequest) (*observerv1.GetTopResponse, error) {
	l := s.seen(ctx)
	mine := func(production string) bool { return rpc.MayActIn(ctx, production) }
	return &observerv1.GetTopResponse{
		Productions: l.topProductions(mine), Functions: l.topFunctions(), Workers: l.topWorkers(), Limits: l.topLimits(mine),
		Freshness: s.freshness(l),
	}, nil
}

// freshness is how far a look can be trusted to be of now.
func (s *Server) freshness(l *look) *observerv1.Freshness {
	f := s.freshOf(l.state)
	f.AsOf = timestamppb.New(l.at)
	return f
}

// topProductions has those in which something is open or paused, the busiest first.
func (l *look) topProductions(mine func(string) bool) []*observerv1.TopProduction {
	by := map[string]*observerv1.TopProduction{}
	of := func(p string) *observerv1.TopProduction {
		if by[p] == nil {
			by[p] = &observerv1.TopProduction{Production: p, Weight: 1}
		}
		return by[p]
	}
	for _, d := range l.open {
		if !mine(d.Production) {
			continue
		}
		p := of(d.Production)
		p.Open++
		p.Running += int32(d.Running)
		p.Ready += int32(d.Ready)
		if d.Failed > 0 || d.Retrying > 0 {
			p.Failing++
		}
	}
	for _, h := range l.pauses.GetPauses() {
		if h.GetProduction() != "" && h.GetFunction() == "" && mine(h.GetProduction()) {
			of(h.GetProduction()).Paused = true
		}
	}
	for _, w := range l.pauses.GetWeights() {
		if p := by[w.GetProduction()]; p != nil {
			p.Weight = w.GetWeight()
		}
	}
	return slices.SortedFunc(maps.Values(by), func(a, b *observerv1.TopProduction) int {
		return cmp.Or(cmp.Compare(b.GetRunning()+b.GetReady(), a.GetRunning()+a.GetReady()), cmp.Compare(a.GetProduction(), b.GetProduction()))
	})
}

// topFunctions has all that a worker serves or something waits for, what waits longest first.
func (l *look) topFunctions() []*observerv1.TopFunction {
	atLimit := map[string]int{}
	for _, a := range l.aside {
		atLimit[a.Function] += a.Steps
	}
	paused := map[string]bool{}
	for _, h := range l.pauses.GetPauses() {
		if h.GetProduction() == "" {
			paused[h.GetFunction()] = true
		}
	}
	var out []*observerv1.TopFunction
	for _, f := range l.functions {
		v := &observerv1.TopFunction{
			Function: f.GetName(), Workers: int32(len(f.GetWorkers())), Running: f.GetRunning(),
			Ready: f.GetReady() + int32(atLimit[f.GetName()]), AtLimit: int32(atLimit[f.GetName()]), Paused: paused[f.GetName()],
		}
		if f.GetReady() > 0 {
			v.Oldest = f.GetOldest()
		}
		if v.GetWorkers() > 0 || v.GetReady() > 0 || v.GetPaused() {
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b *observerv1.TopFunction) int {
		return cmp.Or(cmp.Compare(b.GetReady(), a.GetReady()), cmp.Compare(b.GetRunning(), a.GetRunning()), cmp.Compare(a.GetFunction(), b.GetFunction()))
	})
	return out
}

// topWorkers has all that called in the last 30 s, the busiest first.
func (l *look) topWorkers() []*observerv1.TopWorker {
	by := map[string]*observerv1.TopWorker{}
	for _, f := range l.functions {
		for _, w := range f.GetWorkers() {
			v := by[w.GetName()]
			if v == nil {
				v = &observerv1.TopWorker{Worker: w.GetName(), Draining: w.GetDraining()}
				by[w.GetName()] = v
			}
			v.Functions = append(v.Functions, f.GetName())
			v.Running += w.GetRunning()
			if w.GetSeenAt().AsTime().After(v.GetSeenAt().AsTime()) {
				v.SeenAt = w.GetSeenAt()
			}
		}
	}
	for name, v := range by {
		v.Free = max(0, int32(l.room[name])-v.GetRunning())
	}
	return slices.SortedFunc(maps.Values(by), func(a, b *observerv1.TopWorker) int {
		return cmp.Or(cmp.Compare(b.GetRunning(), a.GetRunning()), cmp.Compare(a.GetWorker(), b.GetWorker()))
	})
}

// topLimits has limits and resources, those that something waits at first.
func (l *look) topLimits(mine func(string) bool) []*observerv1.TopLimit {
	var out []*observerv1.TopLimit
	for _, g := range l.limits {
		if g.production != "" && !mine(g.production) {
			continue
		}
		v := &observerv1.TopLimit{Production: g.production, Name: g.called(), Concurrency: g.GetConcurrency(), Rate: g.GetRate(),
			Taken: g.GetTaken(), Waiting: g.GetWaiting()}
		if g.resource != nil {
			v.BlockedUntil, v.Breaker = g.resource.GetBlockedUntil(), g.resource.GetBreaker()
		}
		out = append(out, v)
	}
	slices.SortStableFunc(out, func(a, b *observerv1.TopLimit) int {
		return cmp.Or(cmp.Compare(b.GetWaiting(), a.GetWaiting()), cmp.Compare(a.GetProduction(), b.GetProduction()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out
}
