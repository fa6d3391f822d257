// Package engine measures the orchestrator alone: steps that do nothing, through everything that real ones go through. A
// redis-server and an orchestrator in processes of their own, the tasks' protocol over loopback TCP with its
// interceptors, and workers of pkg/worker in this process; nothing is switched off.
//
// Beside it, on the same machine and in turns with it, the same steps through asynq.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/filigreehq/filigree/loadtest/internal/rig"
	"github.com/filigreehq/filigree/loadtest/internal/stat"
)

// Options say what to measure.
type Options struct {
	Items, Steps   int
	Definition     string        // "chain", or "send-documents" with functions that do nothing
	Fsync          string        // of the redis-server that is started: always or everysec
	Workers, Slots int           // how many, and how many tasks each runs at once
	Redis          string        // URL of one to use instead of starting one
	Rounds         int           // each on a new redis-server and orchestrator
	Paced          time.Duration // how long to run at half of the measured rate
	Asynq          bool
	Profile        string // folder for processor profiles of the first round; empty: none
}

// Figures is what was measured: the medians of all rounds.
type Figures struct {
	StepsPerSecond float64 `json:"steps_per_second"`
	Items          int     `json:"items"`
	Steps          int     `json:"steps"`
	Definition     string  `json:"definition"`
	Fsync          string  `json:"fsync"`
	Workers        int     `json:"workers"`
	Slots          int     `json:"slots"`
	Rounds         int     `json:"rounds"`
	Seconds        float64 `json:"seconds"`
	// At half of that rate: from the end of a step to the start of the item's next.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// From the end of the last item to the start of the step that waits for all of them.
	Join              float64 `json:"join_ms"`
	RedisBytesPerItem float64 `json:"redis_bytes_per_item"`
	// Processor time of the rate's measurement.
	RedisCPU        float64 `json:"redis_cpu_seconds"`
	OrchestratorCPU float64 `json:"orchestrator_cpu_seconds"`
	WorkersCPU      float64 `json:"workers_cpu_seconds"`
	// The same for each step, and how many objects each of ours put on its heap for it.
	PerStep Cost `json:"per_step"`
	// All rounds' rates.
	Rates []float64 `json:"rates"`
	Asynq *Rival    `json:"asynq,omitempty"`
	// Ratio is our rate to asynq's.
	Ratio float64 `json:"ratio,omitempty"`
}

// Cost is what one step cost each process.
type Cost struct {
	RedisCPU           float64 `json:"redis_cpu_us"`
	OrchestratorCPU    float64 `json:"orchestrator_cpu_us"`
	WorkersCPU         float64 `json:"workers_cpu_us"`
	OrchestratorAllocs float64 `json:"orchestrator_allocs"`
	WorkersAllocs      float64 `json:"workers_allocs"`
}

// Rival is what the same steps took elsewhere.
type Rival struct {
	StepsPerSecond float64   `json:"steps_per_second"`
	Seconds        float64   `json:"seconds"`
	CPU            float64   `json:"cpu_seconds"`
	RedisCPU       float64   `json:"redis_cpu_seconds"`
	Rates          []float64 `json:"rates"`
}

// Measure runs all rounds, ours and asynq's in turns. progress hears of each.
func Measure(ctx context.Context, o Options, log *slog.Logger, progress func(string)) (Figures, error) {
	// The workers are in this process: they collect as seldom as the orchestrator does, since what is thrown away is small.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	var ours []round
	var theirs []rival
	for i := range o.Rounds {
		r, err := o.round(ctx, i == 0, log)
		if err != nil {
			return Figures{}, err
		}
		ours = append(ours, r)
		progress(fmt.Sprintf("round %d: %.0f steps/s", i+1, r.rate))
		if !o.Asynq {
			continue
		}
		a, err := o.rival(ctx)
		if err != nil {
			return Figures{}, err
		}
		theirs = append(theirs, a)
		progress(fmt.Sprintf("round %d: asynq %.0f steps/s", i+1, a.rate))
	}
	f := o.figures(ours)
	if o.Asynq {
		f.Asynq = figuresOf(theirs)
		f.Ratio = f.StepsPerSecond / f.Asynq.StepsPerSecond
	}
	return f, nil
}

// round is one round's figures.
type round struct {
	rate           float64
	took           time.Duration
	p50, p99, join time.Duration
	bytesPerItem   float64
	steps          int
	redis          time.Duration // processor time
	orchestrator   time.Duration
	workers        time.Duration
	// Objects that were put on the heap.
	orchestratorAllocs, workersAllocs float64
}

func (o Options) workload(p *probe) workload {
	if o.Definition == "send-documents" {
		return builtIn(p)
	}
	return chained(o.Steps, p)
}

func (o Options) round(ctx context.Context, first bool, log *slog.Logger) (_ round, err error) {
	r, err := rig.New()
	if err != nil {
		return round{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	p := newProbe()
	b, err := open(ctx, r, o, o.workload(p), log)
	if err != nil {
		return round{}, err
	}
	// What is only done once, such as connecting, is no part of the rate.
	_, _, err = b.run(ctx, production, 1)
	if err != nil {
		return round{}, err
	}
	p.take()
	profiled := func() error { return nil }
	if first && o.Profile != "" {
		profiled, err = b.profile(ctx, o.Profile)
		if err != nil {
			return round{}, err
		}
	}
	got, err := b.throughput(ctx, o, p)
	err = errors.Join(err, profiled())
	if err != nil || o.Paced == 0 {
		return got, err
	}
	got.p50, got.p99, err = b.paced(ctx, o, got.rate/2, p)
	return got, err
}

// throughput runs all items as fast as it goes.
func (b *bed) throughput(ctx context.Context, o Options, p *probe) (round, error) {
	before, err := b.redis.Usage(ctx)
	if err != nil {
		return round{}, err
	}
	made, err := b.orchestrator.Allocations(ctx)
	if err != nil {
		return round{}, err
	}
	ownMade := rig.Allocations()
	orchestrator, own := b.orchestrator.CPU(), rig.CPU()
	id, took, err := b.runAll(ctx, production, o.Items)
	if err != nil {
		return round{}, err
	}
	got := round{took: took, orchestrator: b.orchestrator.CPU() - orchestrator, workers: rig.CPU() - own}
	got.workersAllocs = rig.Allocations() - ownMade
	madeNow, err := b.orchestrator.Allocations(ctx)
	if err != nil {
		return round{}, err
	}
	got.orchestratorAllocs = madeNow - made
	after, err := b.redis.Usage(ctx)
	if err != nil {
		return round{}, err
	}
	got.redis = after.CPU - before.CPU
	got.bytesPerItem = float64(after.Memory-before.Memory) / float64(o.Items)
	saw := p.take()
	got.join = saw.joins[id]
	got.steps = b.load.steps(o.Items)
	if saw.steps < got.steps {
		return round{}, fmt.Errorf("distribution %s has completed, and %d of its %d steps ran", id, saw.steps, got.steps)
	}
	got.rate = float64(got.steps) / took.Seconds()
	return got, nil
}

// pacedItems is how many items each distribution of the paced run has.
const pacedItems = 20

// paced starts small distributions so that rate steps a second are to be done, and tells what items wait between steps.
func (b *bed) paced(ctx context.Context, o Options, rate float64, p *probe) (p50, p99 time.Duration, err error) {
	p.pace()
	every := time.Duration(float64(b.load.steps(pacedItems)) / rate * float64(time.Second))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var creating sync.WaitGroup
	var mu sync.Mutex
	var ids []string
	tick := time.NewTicker(every)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < o.Paced && ctx.Err() == nil; {
		creating.Go(func() {
			resp, err := b.distributions.CreateDistribution(ctx, b.order(production, pacedItems))
			if err != nil {
				cancel(fmt.Errorf("create a distribution: %w", err))
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids = append(ids, resp.GetDistribution().GetId())
		})
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	creating.Wait()
	if ctx.Err() != nil {
		return 0, 0, context.Cause(ctx)
	}
	// They are not looked at while they run: that would be load, too.
	for _, id := range ids {
		err = b.ended(ctx, production, id)
		if err != nil {
			return 0, 0, err
		}
	}
	waits := p.take().waits
	return stat.Percentile(waits, 50), stat.Percentile(waits, 99), nil
}

// figures are the medians of rounds.
func (o Options) figures(rounds []round) Figures {
	of := func(value func(round) float64) float64 {
		var all []float64
		for _, r := range rounds {
			all = append(all, value(r))
		}
		return stat.Median(all)
	}
	f := Figures{Items: o.Items, Steps: o.Steps, Definition: o.Definition, Fsync: o.Fsync, Workers: o.Workers, Slots: o.Slots, Rounds: o.Rounds,
		StepsPerSecond:    of(func(r round) float64 { return r.rate }),
		Seconds:           of(func(r round) float64 { return r.took.Seconds() }),
		P50:               of(func(r round) float64 { return stat.Milliseconds(r.p50) }),
		P99:               of(func(r round) float64 { return stat.Milliseconds(r.p99) }),
		Join:              of(func(r round) float64 { return stat.Milliseconds(r.join) }),
		RedisBytesPerItem: of(func(r round) float64 { return r.bytesPerItem }),
		RedisCPU:          of(func(r round) float64 { return r.redis.Seconds() }),
		OrchestratorCPU:   of(func(r round) float64 { return r.orchestrator.Seconds() }),
		WorkersCPU:        of(func(r round) float64 { return r.workers.Seconds() }),
	}
	each := func(value func(round) float64) float64 {
		return of(func(r round) float64 { return value(r) / float64(r.steps) })
	}
	f.PerStep = Cost{
		RedisCPU:           each(func(r round) float64 { return float64(r.redis.Microseconds()) }),
		OrchestratorCPU:    each(func(r round) float64 { return float64(r.orchestrator.Microseconds()) }),
		WorkersCPU:         each(func(r round) float64 { return float64(r.workers.Microseconds()) }),
		OrchestratorAllocs: each(func(r round) float64 { return r.orchestratorAllocs }),
		WorkersAllocs:      each(func(r round) float64 { return r.workersAllocs }),
	}
	if o.Redis != "" {
		f.Fsync = "as " + o.Redis + " has it"
	}
	for _, r := range rounds {
		f.Rates = append(f.Rates, r.rate)
	}
	return f
}
