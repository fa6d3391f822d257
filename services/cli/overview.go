package cli

import (
	"context"
	"fmt"
)

type overviewCmd struct {
	serverFlags
	Production string `short:"p" placeholder:"ID" help:"Only this production's. Default: of all that the token may act in."`
	JSON       bool   `name:"json" help:"Print the overview as one JSON document."`
}

func (c *overviewCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	o, raw, err := client.Overview(ctx, c.Production)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	showOverview(t, o)
	if len(o.GetLate()) > 0 {
		t.print("")
		b := newTable("LATE", "STATE", "WAS TO BE OVER", "TITLE")
		b.state = 1
		for _, h := range o.GetLate() {
			b.add(h.GetDistribution(), h.GetState(), at(h.GetTime()), h.GetName())
		}
		b.write(t, "")
	}
	if len(o.GetChanges()) > 0 {
		t.print("")
		t.print("what changed lately")
		for _, ch := range o.GetChanges() {
			by := ""
			if ch.GetBy() != "" {
				by = fmt.Sprintf(" (by %s)", ch.GetBy())
			}
			t.print("  %s  %s%s", at(ch.GetTime()), ch.GetSentence(), by)
		}
	}
	return nil
}
