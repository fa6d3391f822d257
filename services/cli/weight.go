package cli

import "context"

type weightCmd struct {
	serverFlags
	Production string `arg:"" help:"The production."`
	Weight     int32  `arg:"" help:"Its share of the workers relative to others, 1 to 100; all have 1 at first."`
	JSON       bool   `name:"json" help:"Print the server's answer as one JSON document."`
}

func (c *weightCmd) Run(ctx context.Context, t *term) error {
	if c.Weight < 1 || c.Weight > 100 {
		return refuse("USAGE", "a weight goes from 1 to 100, and %d does not lie there", c.Weight)
	}
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	raw, err := client.SetWeight(ctx, c.Production, c.Weight)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("%s has weight %d: while several productions have work, they share the workers by weight", c.Production, c.Weight)
	return nil
}
