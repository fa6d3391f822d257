package cli

import (
	"context"
	"fmt"
	"strings"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
)

type functionsCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print one JSON document: {\"functions\":[…]}."`
}

func (c *functionsCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	list, raws, err := client.Functions(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("functions", raws)
	}
	if len(list) == 0 {
		t.say("no function has work or a worker")
		return nil
	}
	b := newTable("FUNCTION", "READY", "AT LIMIT", "RUNNING", "OLDEST", "BLOCKED", "WORKERS")
	b.right = map[int]bool{1: true, 2: true, 3: true, 4: true}
	for _, f := range list {
		oldest := ""
		if f.GetReady() > 0 && f.GetOldest() != nil {
			oldest = span(f.GetOldest().AsDuration())
		}
		b.add(f.GetName(), fmt.Sprint(f.GetReady()), fmt.Sprint(f.GetAtLimit()), fmt.Sprint(f.GetRunning()), oldest, f.GetBlocked(), workers(f.GetWorkers()))
	}
	b.write(t, "")
	return nil
}

// workers counts a function's workers and names some: "4: mail-1, mail-2, mail-3 and 1 more".
func workers(list []*controlv1.FunctionWorker) string {
	var names []string
	for _, w := range list[:min(examples, len(list))] {
		names = append(names, w.GetName())
	}
	text := strings.TrimSuffix(fmt.Sprintf("%d: %s", len(list), strings.Join(names, ", ")), ": ")
	if more := len(list) - examples; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
