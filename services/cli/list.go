package cli

import (
	"context"
	"fmt"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

type listCmd struct {
	serverFlags
	productionFlag
	JSON bool `name:"json" help:"Print one JSON document: {\"distributions\":[…]}."`
}

func (c *listCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
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
		b.add(d.GetId(), d.GetState(),
			fmt.Sprintf("%d of %d", d.GetItems().GetDone(), d.GetItems().GetTotal()),
			fmt.Sprintf("%d of %d", reached(d.GetRecipients()), d.GetRecipients().GetTotal()),
			at(d.GetCreatedAt()), d.GetTitle())
	}
	b.write(t, "")
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
