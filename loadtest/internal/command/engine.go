package command

import (
	"context"
	"errors"
	"time"

	"github.com/filigreehq/filigree/loadtest/internal/engine"
)

// bedFlags are those of every command that starts an orchestrator alone.
type bedFlags struct {
	Fsync   string `enum:"always,everysec" default:"always" help:"When the redis-server's writes are on disk: always before they are answered (default), or everysec."`
	Workers int    `default:"2" placeholder:"N" help:"How many workers there are, each on a connection of its own. Default: 2."`
	Slots   int    `default:"100" placeholder:"N" help:"How many tasks each runs at once. Default: 100."`
	Redis   string `placeholder:"URL" help:"Redis to use (redis://host:port, unix:///path) instead of starting one; records are left in it."`
}

// Validate is called by kong.
func (f bedFlags) Validate() error {
	var errs []error
	if f.Workers < 1 || f.Workers > 1000 {
		errs = append(errs, errors.New("--workers must be between 1 and 1000"))
	}
	if f.Slots < 1 || f.Slots > 1000 {
		errs = append(errs, errors.New("--slots must be between 1 and 1000"))
	}
	return errors.Join(errs...)
}

type engineCmd struct {
	bedFlags
	Items      int           `default:"10000" placeholder:"N" help:"How many items the distribution has; beyond 100000 it is several, one after the other. Default: 10000."`
	Steps      int           `default:"4" placeholder:"N" help:"How many steps each item has, one after the other. Default: 4."`
	Definition string        `enum:"chain,send-documents" default:"chain" help:"What runs: a chain of steps and a join of all items (default), or send-documents with functions that do nothing."`
	Rounds     int           `default:"1" placeholder:"N" help:"How often it is measured, each time with processes of its own; the medians are told. Default: 1."`
	Paced      time.Duration `default:"3s" placeholder:"TIME" help:"How long to run at half of the measured rate, to tell what items wait between steps; 0s leaves it out. Default: 3s."`
	Asynq      bool          `help:"Measure asynq beside it, in turns: the same items and steps, 64 workers, one hash write a step."`
	CPUProfile string        `name:"cpuprofile" placeholder:"DIR" help:"Write processor profiles of the first round to DIR/orchestrator.pprof and DIR/workers.pprof (its first 10s), and what they allocated to …-allocs.pprof."`
	JSON       bool          `name:"json" help:"Print one JSON document."`
}

// Validate is called by kong.
func (c engineCmd) Validate() error {
	errs := []error{c.bedFlags.Validate()}
	if c.Items < 1 || c.Items > engine.MostRecipients && c.Items%engine.MostRecipients != 0 {
		errs = append(errs, errors.New("--items must be 1 or more, and a multiple of 10000 when it is more than that"))
	}
	if c.Steps < 1 || c.Steps > 20 {
		errs = append(errs, errors.New("--steps must be between 1 and 20"))
	}
	if c.Definition == "send-documents" && (c.Steps != 4 || c.Items > engine.MostRecipients) {
		errs = append(errs, errors.New("send-documents has 4 steps an item, and runs with up to 10000 items here"))
	}
	if c.Rounds < 1 {
		errs = append(errs, errors.New("--rounds must be 1 or more"))
	}
	return errors.Join(errs...)
}

func (c engineCmd) Run(ctx context.Context, t *terms) error {
	f, err := engine.Measure(ctx, engine.Options{
		Items: c.Items, Steps: c.Steps, Definition: c.Definition, Fsync: c.Fsync, Workers: c.Workers, Slots: c.Slots,
		Redis: c.Redis, Rounds: c.Rounds, Paced: c.Paced, Asynq: c.Asynq, Profile: c.CPUProfile,
	}, t.log, func(line string) { t.say("%s", line) })
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(f)
	}
	t.print("%.0f steps/s: %d items × %d steps in %.2f s (appendfsync %s)", f.StepsPerSecond, f.Items, f.Steps, f.Seconds, f.Fsync)
	if c.Paced > 0 {
		t.print("from a step's end to the next one's start, at half of that: p50 %.1f ms, p99 %.1f ms", f.P50, f.P99)
	}
	if f.Join > 0 {
		t.print("from the last item's end to the start of what waits for all: %.1f ms", f.Join)
	}
	t.print("Redis holds %.0f bytes an item", f.RedisBytesPerItem)
	t.print("processor time: redis-server %.2f s, orchestrator %.2f s, workers %.2f s", f.RedisCPU, f.OrchestratorCPU, f.WorkersCPU)
	t.print("a step: %.1f + %.1f + %.1f µs of it, and %.0f objects on the orchestrator's heap, %.0f on the workers'",
		f.PerStep.RedisCPU, f.PerStep.OrchestratorCPU, f.PerStep.WorkersCPU, f.PerStep.OrchestratorAllocs, f.PerStep.WorkersAllocs)
	if f.Asynq != nil {
		t.print("asynq: %.0f steps/s in %.2f s; processor time: redis-server %.2f s, asynq %.2f s", f.Asynq.StepsPerSecond, f.Asynq.Seconds, f.Asynq.RedisCPU, f.Asynq.CPU)
		t.print("ours to asynq's: %.1f", f.Ratio)
	}
	return nil
}
