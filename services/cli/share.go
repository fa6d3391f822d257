package cli

import (
	"context"
	"encoding/json"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

type shareCmd struct {
	serverFlags
	productionFlag
	ID      string `arg:"" help:"The distribution."`
	Expires period `default:"7d" placeholder:"TIME" help:"How long the address works, at most 90d. Default: 7d."`
	Mask    bool   `help:"Show initials and domains in place of names and addresses."`
	JSON    bool   `name:"json" help:"Print one JSON document: {\"url\":…,\"expires_at\":…}."`
}

func (c *shareCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	made, err := client.Share(ctx, &observerv1.ShareDistributionRequest{Production: c.Production, Distribution: c.ID,
		ExpiresIn: durationpb.New(time.Duration(c.Expires)), MaskNames: c.Mask})
	if err != nil {
		return err
	}
	if c.JSON {
		raw, err := json.Marshal(map[string]string{"url": made.GetUrl(), "expires_at": made.GetExpiresAt().AsTime().Format(time.RFC3339)})
		if err != nil {
			return err
		}
		return t.document(raw)
	}
	t.print("%s", made.GetUrl())
	t.say("it works until %s, for whoever has it, and is shown only now; filigree unshare %s%s ends it", at(made.GetExpiresAt()), c.ID, c.hint())
	return nil
}

type unshareCmd struct {
	serverFlags
	productionFlag
	ID string `arg:"" help:"The distribution."`
}

func (c *unshareCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	err = client.Unshare(ctx, c.Production, c.ID)
	if err != nil {
		return err
	}
	t.print("addresses by which %s was shared do not work any more", c.ID)
	return nil
}
