package cli

import "context"

type cancelCmd struct {
	serverFlags
	productionFlag
	ID   string `arg:"" help:"The distribution."`
	JSON bool   `name:"json" help:"Print the distribution as one JSON document."`
}

func (c *cancelCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	d, raw, err := client.Cancel(ctx, c.Production, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	out := reached(d.GetRecipients())
	t.print("%s %s: no new mail starts; %s", d.GetId(), word(d), gone(int(out)))
	return nil
}

func gone(n int) string {
	if n == 0 {
		return "none had gone out"
	}
	return plural(n, "person has theirs already", "people have theirs already")
}
