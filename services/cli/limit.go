package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
)

type limitCmd struct {
	Set    limitSetCmd    `cmd:"" help:"Set a limit, or change it: how many at once, how many a second."`
	List   limitListCmd   `cmd:"" help:"List limits: what is taken of them, and how many steps wait."`
	Delete limitDeleteCmd `cmd:"" help:"End a limit."`
}

// limitFlags are what a limit can be set to; what is not named stays as it is.
type limitFlags struct {
	Concurrency *int32   `placeholder:"N" help:"How many may run at once; 0: any number."`
	Rate        *float64 `placeholder:"N" help:"How many may start in a second, over time, such as 20 or 0.5; 0: any number."`
	Burst       *int32   `placeholder:"N" help:"How many may start at once after a pause, where there is a rate. Default: 1."`
}

// onto sets what the flags name.
func (f limitFlags) onto(l *controlv1.Limit) {
	set(&l.Concurrency, f.Concurrency)
	set(&l.Rate, f.Rate)
	set(&l.Burst, f.Burst)
}

// set sets what a flag names, if it was given.
func set[T any](field *T, flag *T) {
	if flag != nil {
		*field = *flag
	}
}

type limitSetCmd struct {
	serverFlags
	scopeFlags
	limitFlags
	Name limitName `arg:"" help:"Its name, as definitions call it; a function's name limits that function in the production."`
	JSON bool      `name:"json" help:"Print the limit as one JSON document."`
}

func (c *limitSetCmd) Run(ctx context.Context, t *term) error {
	production, err := c.production()
	if err != nil {
		return err
	}
	if c.limitFlags == (limitFlags{}) {
		return refuse("USAGE", "say what to limit: --concurrency N, --rate N, or both")
	}
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	list, _, err := client.Limits(ctx, production)
	if err != nil {
		return err
	}
	limit := &controlv1.Limit{Name: string(c.Name)}
	for _, l := range list {
		if l.GetName() == string(c.Name) {
			limit = &controlv1.Limit{Name: string(c.Name), Concurrency: l.GetConcurrency(), Rate: l.GetRate(), Burst: l.GetBurst()}
		}
	}
	c.onto(limit)
	limit, raw, err := client.SetLimit(ctx, production, limit)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("%s: %s", called(production, limit.GetName()), limitWords(limit))
	return nil
}

// limitWords is a limit in words: "5 at once, 20 a second, 10 in a burst".
func limitWords(l *controlv1.Limit) string {
	var parts []string
	if l.GetConcurrency() > 0 {
		parts = append(parts, fmt.Sprintf("%d at once", l.GetConcurrency()))
	}
	if l.GetRate() > 0 {
		parts = append(parts, number(l.GetRate())+" a second")
		if l.GetBurst() > 1 {
			parts = append(parts, fmt.Sprintf("%d in a burst", l.GetBurst()))
		}
	}
	if len(parts) == 0 {
		return "any number"
	}
	return strings.Join(parts, ", ")
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// limitCells are a limit's cells of a table, under limitHead.
func limitCells(l *controlv1.Limit) []string {
	orAny := func(text string, unlimited bool) string {
		if unlimited {
			return "any"
		}
		return text
	}
	burst := ""
	if l.GetRate() > 0 {
		burst = fmt.Sprint(max(l.GetBurst(), 1))
	}
	return []string{
		orAny(fmt.Sprint(l.GetConcurrency()), l.GetConcurrency() == 0), orAny(number(l.GetRate()), l.GetRate() == 0), burst,
		fmt.Sprint(l.GetTaken()), fmt.Sprint(l.GetWaiting()),
	}
}

var limitHead = []string{"AT ONCE", "A SECOND", "BURST", "TAKEN", "WAITING"}

type limitListCmd struct {
	serverFlags
	scopeFlags
	JSON bool `name:"json" help:"Print one JSON document: {\"limits\":[…]}."`
}

func (c *limitListCmd) Run(ctx context.Context, t *term) error {
	production, err := c.production()
	if err != nil {
		return err
	}
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	list, raws, err := client.Limits(ctx, production)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("limits", raws)
	}
	if len(list) == 0 {
		t.say("no limit is set for %s%s", whose(production), others(production, "limit list"))
		return nil
	}
	b := newTable(append([]string{"LIMIT"}, limitHead...)...)
	b.right = map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}
	for _, l := range list {
		b.add(append([]string{called(production, l.GetName())}, limitCells(l)...)...)
	}
	b.write(t, "")
	return nil
}

// others says where a production's list is not all there is.
func others(production, command string) string {
	if production == "" {
		return ""
	}
	return "; what all productions share: filigree " + command + " --studio"
}

type limitDeleteCmd struct {
	serverFlags
	scopeFlags
	Name string `arg:"" help:"The limit."`
}

func (c *limitDeleteCmd) Run(ctx context.Context, t *term) error {
	production, err := c.production()
	if err != nil {
		return err
	}
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	err = client.DeleteLimit(ctx, production, c.Name)
	if err != nil {
		return err
	}
	t.say("there is no limit %s any more", called(production, c.Name))
	return nil
}
