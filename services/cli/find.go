package cli

import (
	"context"
	"strings"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

type findCmd struct {
	serverFlags
	Query      []string `arg:"" help:"A part of a name, an address, a file's name or a title; or the id of a distribution, item, recipient, mail, trace or run, a file's SHA-256, or an error's code."`
	Production string   `short:"p" placeholder:"ID" help:"Only in this production. Default: in all that the token is for."`
	Kind       string   `placeholder:"KIND" enum:",distribution,recipient,item,file,message,trace,run" default:"" help:"Only distributions, recipients, items, files, messages, traces or runs: the word without its s."`
	Limit      int      `default:"20" placeholder:"N" help:"How many to show at most (default: ${default})."`
	JSON       bool     `name:"json" help:"Print one JSON document: {\"hits\":[…]}."`
}

func (c *findCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	query := strings.Join(c.Query, " ")
	hits, raws, more, err := client.Search(ctx, query, c.Production, c.Kind, max(c.Limit, 1))
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("hits", raws)
	}
	if len(hits) == 0 {
		where := "in any production that this token is for"
		if c.Production != "" {
			where = "in the production " + c.Production
		}
		t.say("nothing is called %q, or has it in its name, %s", query, where)
		return nil
	}
	showHits(t, hits)
	if more {
		t.say("there are more; say it more exactly, or ask for them with --limit")
	}
	return nil
}

func showHits(t *term, hits []*observerv1.Hit) {
	b := newTable("WHAT", "NAME", "", "STATE", "WHY", "WHEN", "ID")
	b.state = 3
	for _, h := range hits {
		detail := h.GetDetail()
		if detail == h.GetDistribution() {
			detail = ""
		}
		b.add(h.GetKind(), h.GetName(), detail, h.GetState(), h.GetCode(), at(h.GetTime()), idOf(h))
	}
	b.write(t, "")
}

// idOf is the id by which other commands find the thing again.
func idOf(h *observerv1.Hit) string {
	unit := h.GetUnit()
	switch {
	case unit == "" || unit == "d":
		return h.GetDistribution()
	case unit[0] == 'i':
		return h.GetDistribution() + "." + unit[1:]
	}
	return h.GetDistribution() + "." + unit
}
