package cli

import (
	"context"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
)

type productionCmd struct {
	Create productionCreateCmd `cmd:"" help:"Create a production."`
	Set    productionSetCmd    `cmd:"" help:"Change a production's settings."`
	List   productionListCmd   `cmd:"" help:"List productions."`
}

type productionCreateCmd struct {
	serverFlags
	Name           string `arg:"" help:"As people know it."`
	ID             string `name:"id" placeholder:"ID" help:"Lower-case letters, digits and dashes. Default: made from the name."`
	OpenRestricted bool   `help:"Take documents that are encrypted but open without a password, whose author meant to restrict printing or copying. Copies carry no such restrictions."`
	JSON           bool   `name:"json" help:"Print one JSON document."`
}

func (c *productionCreateCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	p, raw, err := client.CreateProduction(ctx, &directoryv1.CreateProductionRequest{Id: c.ID, Name: c.Name, OpenRestricted: c.OpenRestricted})
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

type productionSetCmd struct {
	serverFlags
	ID             string `arg:"" help:"The production."`
	OpenRestricted *bool  `negatable:"" help:"Whether to take documents that are encrypted but open without a password, whose author meant to restrict printing or copying. Copies carry no such restrictions. It holds for what is sent from then on."`
	JSON           bool   `name:"json" help:"Print one JSON document."`
}

func (c *productionSetCmd) Run(ctx context.Context, t *term) error {
	if c.OpenRestricted == nil {
		return refuse("USAGE", "say what to change: --open-restricted or --no-open-restricted")
	}
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	p, raw, err := client.UpdateProduction(ctx, &directoryv1.UpdateProductionRequest{Production: c.ID, OpenRestricted: c.OpenRestricted})
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	word := "takes no"
	if p.GetOpenRestricted() {
		word = "takes"
	}
	t.say("%s %s documents with usage restrictions from now on", p.GetId(), word)
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
	b := newTable("ID", "NAME", "CREATED", "RESTRICTED DOCUMENTS")
	for _, p := range list {
		restricted := "refused"
		if p.GetOpenRestricted() {
			restricted = "taken"
		}
		b.add(p.GetId(), p.GetName(), at(p.GetCreatedAt()), restricted)
	}
	b.write(t, "")
	return nil
}
