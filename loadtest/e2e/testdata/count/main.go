// Command count is a function of somebody's own in two builds: version 1 announces example.Count, version 2 beside it
// example.Count@2, which counts otherwise.
package main

import (
	"context"
	"time"

	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/pkg/worker"
)

// version is set by the linker.
var version = "1"

type count struct {
	run.Flags
	Orchestrator string `required:"" help:"Where tasks are fetched."`
}

func main() { run.Main("count", &count{}) }

func (c *count) Build(_ context.Context, h *run.Host) error {
	functions := []worker.Function{worker.JSON("example.Count", by(1))}
	if version == "2" {
		functions = append(functions, worker.JSON("example.Count@2", by(1000)))
	}
	return h.Work(c.Orchestrator, 4, functions...)
}

func by(factor int) func(context.Context, struct{ Pages int }) (map[string]int, error) {
	return func(ctx context.Context, of struct{ Pages int }) (map[string]int, error) {
		slow := time.NewTimer(100 * time.Millisecond)
		defer slow.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-slow.C:
			return map[string]int{"pages": of.Pages * factor}, nil
		}
	}
}
