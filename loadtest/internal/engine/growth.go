package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/filigreehq/filigree/loadtest/internal/rig"
	"github.com/filigreehq/filigree/loadtest/internal/stat"
)

// Point is what a distribution of so many items took: the median of all rounds.
type Point struct {
	Items          int     `json:"items"`
	Seconds        float64 `json:"seconds"`
	StepsPerSecond float64 `json:"steps_per_second"`
	Join           float64 `json:"join_ms"`
}

// Grow runs distributions of each of sizes, o.Rounds times in turns, all on one redis-server and orchestrator, so that
// what is there already weighs as it does in earnest.
func Grow(ctx context.Context, o Options, sizes []int, log *slog.Logger, progress func(string)) (_ []Point, err error) {
	r, err := rig.New()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	p := newProbe()
	b, err := open(ctx, r, o, o.workload(p), log)
	if err != nil {
		return nil, err
	}
	_, _, err = b.run(ctx, production, 1)
	if err != nil {
		return nil, err
	}
	seconds, joins := make([][]float64, len(sizes)), make([][]float64, len(sizes))
	for i := range o.Rounds {
		for n, items := range sizes {
			p.take()
			o.Items = items
			got, err := b.throughput(ctx, o, p)
			if err != nil {
				return nil, err
			}
			seconds[n] = append(seconds[n], got.took.Seconds())
			joins[n] = append(joins[n], stat.Milliseconds(got.join))
			progress(fmt.Sprintf("round %d: %d items in %.3f s", i+1, items, got.took.Seconds()))
		}
	}
	var points []Point
	for n, items := range sizes {
		took := stat.Median(seconds[n])
		points = append(points, Point{Items: items, Seconds: took, StepsPerSecond: float64(b.load.steps(items)) / took, Join: stat.Median(joins[n])})
	}
	return points, nil
}
