package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type listCmd struct {
	serverFlags
	productionFlag
	AllProductions bool     `short:"A" help:"In all productions that the token is for."`
	State          []string `placeholder:"STATE" help:"Only in these states: accepted, running, paused, completed, completed_with_failures, failed or cancelled."`
	Person         string   `placeholder:"TEXT" help:"Only to people with this in their name or address."`
	File           string   `placeholder:"TEXT" help:"Only with files that have this in their name, or this SHA-256."`
	Title          string   `placeholder:"TEXT" help:"Only with this in the title."`
	Error          string   `placeholder:"TEXT" help:"Only where something failed with this code, or with this in its sentence."`
	Worker         string   `placeholder:"NAME" help:"Only those that this worker had a part in."`
	Definition     string   `placeholder:"NAME" help:"Only those that run this definition, or runs that are called so."`
	Since          moment   `placeholder:"WHEN" help:"Only created since then: 30m, 12h or 14d ago, or a time."`
	Until          moment   `placeholder:"WHEN" help:"Only created before then."`
	Late           bool     `help:"Only those past their deadline."`
	Limit          int      `default:"100" placeholder:"N" help:"With any of these, how many to show at most (default: ${default})."`
	JSON           bool     `name:"json" help:"Print one JSON document: {\"distributions\":[…]}, with any filter {\"distributions\":[…],\"runs\":[…]}."`
}

func (c *listCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	filter := c.filter(t.now())
	if len(filter) > 0 || c.AllProductions {
		return c.find(ctx, t, client, filter)
	}
	list, raws, err := client.Distributions(ctx, c.Production)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("distributions", raws)
	}
	if len(list) == 0 {
		t.say("nothing was sent in the production %s yet", c.Production)
		return nil
	}
	b := newTable("ID", "STATE", "ITEMS DONE", "PEOPLE REACHED", "CREATED", "TITLE")
	b.state = 1
	for _, d := range list {
		b.add(row(d)...)
	}
	b.write(t, "")
	return nil
}

func row(d *distributionv1.Distribution) []string {
	return []string{d.GetId(), d.GetState(),
		fmt.Sprintf("%d of %d", d.GetItems().GetDone(), d.GetItems().GetTotal()),
		fmt.Sprintf("%d of %d", reached(d.GetRecipients()), d.GetRecipients().GetTotal()),
		at(d.GetCreatedAt()), d.GetTitle()}
}

// filter is what was asked for beside the production, as the request calls it; empty when nothing was.
func (c *listCmd) filter(now time.Time) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"person": c.Person, "file": c.File, "title": c.Title, "error": c.Error, "worker": c.Worker, "definition": c.Definition} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(c.State) > 0 {
		q["states"] = c.State
	}
	if c.Since.set {
		q.Set("created_after", c.Since.before(now).UTC().Format(time.RFC3339Nano))
	}
	if c.Until.set {
		q.Set("created_before", c.Until.before(now).UTC().Format(time.RFC3339Nano))
	}
	if c.Late {
		q.Set("late", "true")
	}
	return q
}

// find lists what a filter chooses, distributions and runs by the same order of time.
func (c *listCmd) find(ctx context.Context, t *term, client *api.Client, filter url.Values) error {
	if !c.AllProductions {
		filter.Set("production", c.Production)
	}
	found, distributions, runs, err := client.FindDistributions(ctx, filter, max(c.Limit, 1))
	if err != nil {
		return err
	}
	if c.JSON {
		raw, err := json.Marshal(map[string][]json.RawMessage{"distributions": distributions, "runs": runs})
		if err != nil {
			return err
		}
		return t.document(raw)
	}
	if len(distributions)+len(runs) == 0 {
		t.say("nothing that was sent is so")
		return nil
	}
	type line struct {
		at         time.Time
		production string
		cells      []string
	}
	var lines []line
	for _, d := range found.Distributions {
		lines = append(lines, line{d.GetCreatedAt().AsTime(), d.GetProduction(), row(d)})
	}
	for _, r := range found.Runs {
		done := "-"
		if r.GetTotal() > 0 {
			done = fmt.Sprintf("%d of %d", r.GetDone(), r.GetTotal())
		}
		lines = append(lines, line{r.GetStartedAt().AsTime(), r.GetProduction(), []string{r.GetId(), r.GetState(), done, "-", at(r.GetStartedAt()), r.GetName()}})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return b.at.Compare(a.at) })
	head := []string{"ID", "STATE", "ITEMS DONE", "PEOPLE REACHED", "CREATED", "TITLE"}
	if c.AllProductions {
		head = slices.Insert(head, 1, "PRODUCTION")
	}
	b := newTable(head...)
	b.state = len(head) - 5
	for _, l := range lines {
		if c.AllProductions {
			l.cells = slices.Insert(l.cells, 1, l.production)
		}
		b.add(l.cells...)
	}
	b.write(t, "")
	if found.More {
		t.say("there are more; ask for them with --limit")
	}
	return nil
}

// reached counts the recipients whose mail was taken by their mail server and has not come back.
func reached(c *distributionv1.DeliveryCounts) int32 {
	return c.GetSent() + c.GetDelivered() + c.GetComplained()
}

// hasMail tells the same of one delivery's state.
func hasMail(state string) bool {
	return state == "sent" || state == "delivered" || state == "complained"
}
