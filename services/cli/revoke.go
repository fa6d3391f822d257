package cli

import (
	"context"
	"fmt"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type revokeCmd struct {
	serverFlags
	productionFlag
	ID        string `arg:"" help:"The distribution."`
	Recipient string `placeholder:"WHO" help:"Only this recipient's links: number, such as r7, id, or e-mail address. Everything else goes on."`
	JSON      bool   `name:"json" help:"Print one JSON document: {\"links_revoked\":…,\"beyond_recall\":…,\"distribution\":…}, or \"recipient\" instead."`
}

func (c *revokeCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	if c.Recipient != "" {
		return c.one(ctx, t, client)
	}
	answer, raw, err := client.Revoke(ctx, c.Production, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	d := answer.GetDistribution()
	stopped := ""
	if d.GetCancelRequested() {
		stopped = "; no new mail starts"
	}
	t.print("%s %s: %s%s", d.GetId(), word(d), endedLinks(d, int(answer.GetLinksRevoked())), stopped)
	if n := int(answer.GetBeyondRecall()); n > 0 {
		t.print("%s, which cannot be called back", plural(n, "person has their copies attached to a mail", "people have their copies attached to a mail"))
	}
	if !hasLinks(d) {
		return nil
	}
	recipients, _, err := client.Recipients(ctx, c.Production, c.ID)
	if err != nil {
		return fmt.Errorf("it is done, and who had downloaded theirs could not be read: %w", err)
	}
	downloaded := 0
	for _, r := range recipients {
		if r.GetDelivery().GetDownloadedAt() != nil {
			downloaded++
		}
	}
	if downloaded > 0 {
		t.print("%s, which cannot be called back; see filigree recipients %s%s",
			plural(downloaded, "person had downloaded theirs", "people had downloaded theirs"), c.ID, c.hint())
	}
	return nil
}

// one ends one recipient's links.
func (c *revokeCmd) one(ctx context.Context, t *term, client *api.Client) error {
	ids, err := recipientIDs(ctx, client, c.Production, c.ID, []string{c.Recipient})
	if err != nil {
		return err
	}
	answer, raw, err := client.RevokeRecipient(ctx, c.Production, c.ID, ids[0])
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	r := answer.GetRecipient()
	said := "no link was working"
	if n := int(answer.GetLinksRevoked()); n > 0 {
		said = plural(n, "link ended", "links ended")
	}
	t.print("%s <%s>: %s", r.GetName(), r.GetEmail(), said)
	if answer.GetBeyondRecall() > 0 {
		t.print("they have copies of theirs, downloaded or attached to a mail, which cannot be called back")
	}
	return nil
}

func endedLinks(d *distributionv1.Distribution, n int) string {
	switch {
	case !hasLinks(d):
		return "it has no links to end"
	case n == 0:
		return "no link was working"
	}
	return plural(n, "link ended", "links ended")
}
