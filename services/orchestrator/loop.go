package orchestrator

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// Run does what no call does: chores, retries that are due, leases that ran out, sweeping,
// schedules that are due, resources that are to be created, checked or destroyed. It blocks until ctx ends and
// returns nil. Any number of orchestrators may run beside each other.
func (s *Server) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	loops.Go(func() { s.forward(ctx) })
	loops.Go(func() { s.follow(ctx) })
	loops.Go(func() { s.judge(ctx) })
	loops.Go(func() { s.every(ctx, beatEvery, nil, "beat", s.beat) })
	loops.Go(func() { s.every(ctx, s.cfg.Tick, nil, "tick", s.tick) })
	loops.Go(func() { s.every(ctx, 10*s.cfg.Tick, s.kick, "chores", s.chores) })
	loops.Go(func() { s.every(ctx, time.Second, s.batched, "batches", s.batches) })
	loops.Go(func() { s.every(ctx, s.cfg.Sweep, nil, "sweep", s.sweep) })
	loops.Go(func() { s.every(ctx, s.cfg.Sweep, nil, "forget", s.forget) })
	loops.Go(func() { s.every(ctx, s.cfg.Tick, nil, "gather", s.store.Gather) })
	loops.Go(func() { s.every(ctx, 5*s.cfg.Tick, s.tended, "resources", s.tend) })
	loops.Go(func() { s.starts(ctx) })
	loops.Go(func() { s.every(ctx, lookForSchedules, nil, "schedules", s.schedules) })
	loops.Wait()
	return nil
}

func (s *Server) every(ctx context.Context, interval time.Duration, kick <-chan struct{}, name string, do func(context.Context) error) {
	run.Every(ctx, s.deps.Log, interval, kick, name, do)
}

func (s *Server) kickChores() { kick(s.kick) }

func kick(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// forward passes wake-ups on to waiting pulls, and subscribes anew when the store went away.
func (s *Server) forward(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.store.Wakes(ctx, s.hub.wake)
		if err != nil {
			s.deps.Log.WarnContext(ctx, "wake-ups are lost; tasks are polled for", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// tick makes due retries ready and decides about attempts whose lease ran out.
func (s *Server) tick(ctx context.Context) error {
	due, lost, err := s.store.Due(ctx)
	if err != nil {
		return err
	}
	// One distribution that cannot be read must not keep the others waiting.
	var errs []error
	for _, group := range byDistribution(due) {
		errs = append(errs, s.promote(ctx, group))
	}
	for _, group := range byDistribution(lost) {
		errs = append(errs, s.recover(ctx, group))
	}
	return errors.Join(errs...)
}

// promote makes due retries of one distribution ready.
func (s *Server) promote(ctx context.Context, due []store.Due) error {
	d, err := s.loadRef(ctx, due[0].Ref)
	if err != nil {
		return err
	}
	return s.store.Promote(ctx, d.graph, d.production, d.id, due)
}

// recover decides about attempts of one distribution whose lease ran out.
func (s *Server) recover(ctx context.Context, lost []store.Due) error {
	d, err := s.loadRef(ctx, lost[0].Ref)
	if err != nil {
		return err
	}
	var ends []store.End
	for _, l := range lost {
		step, ok := d.steps.Step(l.Step)
		if !ok {
			continue
		}
		o := plan.Lost(step, l.Tally, l.Checkpoint, d.onUncertain())
		s.deps.Log.WarnContext(ctx, "lease ran out", "distribution", d.id, "task", l.Ref.String(), "trace_id", d.trace(l.Ref), "worker", l.Worker, "to", o.To)
		ends = append(ends, store.End{Ref: l.Ref, Worker: l.Worker, Outcome: o, Document: d.document(step, l.Unit)})
	}
	got, ended, err := s.store.Settle(ctx, d.graph, d.production, d.id, ends)
	if err != nil {
		return err
	}
	for i, v := range got {
		if v == store.OK {
			s.attempted(d, ends[i], nil)
		}
	}
	s.said(ctx, d, ended)
	s.kickChores()
	return nil
}

func byDistribution(all []store.Due) map[string][]store.Due {
	groups := map[string][]store.Due{}
	for _, d := range all {
		groups[d.Distribution] = append(groups[d.Distribution], d)
	}
	return groups
}

// loadRef loads the distribution of an attempt. Of one that is at hand the store is not asked whose it is.
func (s *Server) loadRef(ctx context.Context, r store.Ref) (*distribution, error) {
	s.mu.Lock()
	d, ok := s.known[r.Distribution]
	s.mu.Unlock()
	if ok {
		return d, nil
	}
	production, err := s.store.Production(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.load(ctx, production, r.Distribution)
}

// chores does the work that is done in slices, each distribution's on its own, and comes back while there is any.
func (s *Server) chores(ctx context.Context) error {
	for {
		chores, err := s.store.Chores(ctx)
		if err != nil || len(chores) == 0 {
			return err
		}
		var done sync.WaitGroup
		errs := make([]error, len(chores))
		for i, c := range chores {
			done.Go(func() { errs[i] = s.chore(ctx, c) })
		}
		done.Wait()
		err = errors.Join(errs...)
		if err != nil {
			return err
		}
	}
}

// chore does one chore to its end, or until somebody else goes on with it.
func (s *Server) chore(ctx context.Context, c store.Chore) error {
	d, err := s.load(ctx, c.Production, c.Distribution)
	if err != nil {
		return err
	}
	if c.Kind == "cancel" {
		// What is still being laid out would be missed; it comes back when its hold is over.
		sum, err := s.store.Get(ctx, c.Production, c.Distribution)
		if err != nil || sum.State == plan.Accepted {
			return err
		}
	}
	switch c.Kind {
	case "retry":
		return s.retrySlice(ctx, d, c)
	case "leave":
		return s.leaveSlice(ctx, d, c)
	}
	for {
		var next string
		switch c.Kind {
		case "layout":
			next, err = s.store.Layout(ctx, c, d.graph, d.size, d.keys(s))
		case "fan":
			next, err = s.store.Fan(ctx, c, d.graph, d.size)
		case "cancel":
			next, err = s.store.EndCancelled(ctx, c, d.graph, d.size)
		case "resume":
			err = s.store.Resume(ctx, c, d.graph, d.size)
		default:
			s.deps.Log.ErrorContext(ctx, "unknown chore left to newer versions", "kind", c.Kind, "distribution", c.Distribution)
			return nil
		}
		if errors.Is(err, store.ErrTaken) {
			return nil
		}
		if err != nil || next == "" {
			return err
		}
		c.Cursor = next
	}
}

func (s *Server) sweep(ctx context.Context) error {
	n, err := s.store.Sweep(ctx, func(ctx context.Context, production, id string) (*store.Graph, plan.Size, error) {
		d, err := s.load(ctx, production, id)
		if err != nil {
			return nil, plan.Size{}, err
		}
		return d.graph, d.size, nil
	})
	if n > 0 {
		s.deps.Log.WarnContext(ctx, "steps were missing from their queues and put back", "steps", n)
	}
	return err
}

// forget deletes what ended longer ago than it is kept, and goes on while there is more.
func (s *Server) forget(ctx context.Context) error {
	const most = 100
	for all := 0; ; {
		n, err := s.store.Forget(ctx, s.cfg.Retention, most)
		all += n
		if err == nil && n >= most {
			continue
		}
		if all > 0 {
			s.deps.Log.InfoContext(ctx, "distributions were kept long enough and are deleted", "distributions", all)
		}
		return err
	}
}
