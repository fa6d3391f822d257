package cli

import (
	"context"
	"encoding/json"
	"fmt"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

// pauseFlags name what is paused or resumed: a distribution, a function (in one production or all), or a production.
type pauseFlags struct {
	serverFlags
	ID         string `arg:"" optional:"" help:"The distribution."`
	Function   string `placeholder:"NAME" help:"Instead of a distribution: a function, such as email.Send, in all productions or in the one that --production names."`
	Production string `short:"p" placeholder:"ID" help:"Production of the distribution (default: default). Without a distribution: all of this production, or what --function names of it."`
	JSON       bool   `name:"json" help:"Print the server's answer as one JSON document."`
}

type pauseCmd struct{ pauseFlags }

type resumeCmd struct{ pauseFlags }

func (c *pauseCmd) Run(ctx context.Context, t *term) error {
	return c.run(ctx, t, pauseVerb{
		word: "pause", distribution: (*api.Client).Pause, function: (*api.Client).PauseFunction, production: (*api.Client).PauseProduction,
		say: func(what string) string { return what + " is paused: nothing of it starts; what runs comes to its end" },
	})
}

func (c *resumeCmd) Run(ctx context.Context, t *term) error {
	return c.run(ctx, t, pauseVerb{
		word: "resume", distribution: (*api.Client).Resume, function: (*api.Client).ResumeFunction, production: (*api.Client).ResumeProduction,
		say: func(what string) string { return what + " goes on" },
	})
}

// pauseVerb is what pausing and resuming differ in.
type pauseVerb struct {
	word         string
	distribution func(c *api.Client, ctx context.Context, production, id string) (*distributionv1.Distribution, json.RawMessage, error)
	function     func(c *api.Client, ctx context.Context, function, production string) (json.RawMessage, error)
	production   func(c *api.Client, ctx context.Context, production string) (json.RawMessage, error)
	say          func(what string) string
}

func (c *pauseFlags) run(ctx context.Context, t *term, verb pauseVerb) error {
	var raw json.RawMessage
	var err error
	var client *api.Client
	switch {
	case c.ID != "" && c.Function != "":
		return refuse("USAGE", "name either a distribution or --function: a distribution is paused with all its functions")
	case c.ID != "":
		return c.distribution(ctx, t, verb)
	case c.Function != "":
		client, err = c.client(oncall)
		if err == nil {
			raw, err = verb.function(client, ctx, c.Function, c.Production)
		}
	case c.Production != "":
		client, err = c.client(coordinator)
		if err == nil {
			raw, err = verb.production(client, ctx, c.Production)
		}
	default:
		return refuse("USAGE", "say what to %s: a distribution's id, --function NAME, or --production ID", verb.word)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	what, args := paused(c.Function, c.Production)
	t.print("%s", verb.say(what))
	if verb.word == "pause" {
		t.say("to go on: filigree resume %s", args)
	}
	return nil
}

// paused says what a pause without a distribution is about, and with which flags it is named.
func paused(function, production string) (what, args string) {
	switch {
	case function == "":
		return "the production " + production, "--production " + production
	case production == "":
		return "the function " + function + " in all productions", "--function " + function
	}
	return "the function " + function + " in the production " + production, "--function " + function + " --production " + production
}

func (c *pauseFlags) distribution(ctx context.Context, t *term, verb pauseVerb) error {
	p := productionFlag{Production: c.Production}
	if p.Production == "" {
		p.Production = "default"
	}
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	d, raw, err := verb.distribution(client, ctx, p.Production, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	if verb.word == "pause" {
		t.print("%s %s: no step of it starts; what runs comes to its end; items %s", d.GetId(), word(d), counts(d.GetItems()))
		t.say("to go on: filigree resume %s%s", d.GetId(), p.hint())
		return nil
	}
	t.print("%s %s: items %s; recipients %s", d.GetId(), word(d), counts(d.GetItems()), counts(d.GetRecipients()))
	return nil
}

type pausesCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print one JSON document: {\"pauses\":[…],\"weights\":[…]}."`
}

func (c *pausesCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	answer, raw, err := client.Pauses(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	if len(answer.GetPauses()) == 0 {
		t.say("no function and no production is paused; for distributions see filigree list")
	} else {
		b := newTable("PAUSED FUNCTION", "PRODUCTION")
		for _, p := range answer.GetPauses() {
			b.add(orAll(p.GetFunction()), orAll(p.GetProduction()))
		}
		b.write(t, "")
	}
	if len(answer.GetWeights()) == 0 {
		return nil
	}
	if len(answer.GetPauses()) > 0 {
		fmt.Fprintln(t.out)
	}
	b := newTable("PRODUCTION", "WEIGHT")
	b.right = map[int]bool{1: true}
	for _, w := range answer.GetWeights() {
		b.add(w.GetProduction(), fmt.Sprint(w.GetWeight()))
	}
	b.write(t, "")
	return nil
}

// orAll is a name, or all of them.
func orAll(name string) string {
	if name == "" {
		return "all"
	}
	return name
}
