package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type workersCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print one JSON document: {\"workers\":[…]}."`
}

func (c *workersCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	list, raws, err := client.Workers(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("workers", raws)
	}
	if len(list) == 0 {
		t.say("no worker is there: see filigree functions for what waits")
		return nil
	}
	b := newTable("WORKER", "RUNNING", "FREE", "SEEN", "", "SERVES")
	b.right = map[int]bool{1: true, 2: true, 3: true}
	for _, w := range list {
		b.add(w.GetName(), fmt.Sprint(w.GetRunning()), fmt.Sprint(w.GetFree()), t.ago(w.GetSeenAt()), draining(w.GetDraining()), strings.Join(w.GetFunctions(), ", "))
	}
	b.write(t, "")
	tasks := newTable("WORKER", "SINCE", "DISTRIBUTION", "OF WHAT", "STEP", "FUNCTION")
	for _, w := range list {
		for _, k := range w.GetTasks() {
			tasks.add(w.GetName(), t.ago(k.GetSince()), k.GetDistribution(), k.GetUnit(), k.GetStep(), k.GetFunction())
		}
	}
	tasks.section(t)
	return nil
}

// ago is how long something is past; empty if it never was.
func (t *term) ago(at *timestamppb.Timestamp) string {
	if at == nil {
		return ""
	}
	return span(max(0, t.now().Sub(at.AsTime()))) + " ago"
}

func draining(yes bool) string {
	if yes {
		return "draining"
	}
	return ""
}

// workerFlags name a worker.
type workerFlags struct {
	serverFlags
	Worker string `arg:"" help:"Its name, as filigree workers lists it."`
	JSON   bool   `name:"json" help:"Print the worker as one JSON document."`
}

type drainCmd struct{ workerFlags }

type undrainCmd struct{ workerFlags }

func (c *drainCmd) Run(ctx context.Context, t *term) error {
	return c.run(ctx, t, (*api.Client).DrainWorker, func(w *controlv1.Worker) string {
		return fmt.Sprintf("%s is handed nothing new; it has %s to come to an end", w.GetName(), plural(int(w.GetRunning()), "step", "steps"))
	})
}

func (c *undrainCmd) Run(ctx context.Context, t *term) error {
	return c.run(ctx, t, (*api.Client).UndrainWorker, func(w *controlv1.Worker) string { return w.GetName() + " is handed steps again" })
}

func (c *workerFlags) run(ctx context.Context, t *term, change func(*api.Client, context.Context, string) (*controlv1.Worker, json.RawMessage, error), say func(*controlv1.Worker) string) error {
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	w, raw, err := change(client, ctx, c.Worker)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("%s", say(w))
	return nil
}
