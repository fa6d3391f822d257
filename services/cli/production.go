package cli

import "context"

type productionCmd struct {
	Create productionCreateCmd `cmd:"" help:"Create a production."`
	List   productionListCmd   `cmd:"" help:"List productions."`
}

type productionCreateCmd struct {
	serverFlags
	Name string `arg:"" help:"As people know it."`
	ID   string `name:"id" placeholder:"ID" help:"Lower-case letters, digits and dashes. Default: made from the name."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

func (c *productionCreateCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	p, raw, err := client.CreateProduction(ctx, c.ID, c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("%s", p.GetId())
	t.say("created; send in it with --production %s", p.GetId())
	return nil
}

type productionListCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print one JSON document."`
}

func (c *productionListCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	list, raws, err := client.Productions(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("productions", raws)
	}
	b := newTable("ID", "NAME", "CREATED")
	for _, p := range list {
		b.add(p.GetId(), p.GetName(), at(p.GetCreatedAt()))
	}
	b.write(t, "")
	return nil
}
