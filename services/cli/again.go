package cli

import (
	"context"
	"errors"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type retryCmd struct {
	serverFlags
	productionFlag
	ID        string   `arg:"" help:"The distribution."`
	Recipient []string `placeholder:"WHO" sep:"none" help:"Only what is this recipient's (repeatable): number, such as r7, id, or e-mail address."`
	Code      string   `placeholder:"CODE" help:"Only recipients of whom something failed with this code, such as EMAIL_AUTH."`
	Redo      bool     `help:"Run what is done again, too, mails included."`
	Mark      string   `placeholder:"TEMPLATE" help:"Another text for the mark from now on: copies that are done are made again, and whoever had theirs gets the new ones. Default: the mark there is."`
	styleFlags
	Wait waitFlag `help:"Wait for the end, at most 10m or --wait=TIME, and exit 2 if not everybody got theirs."`
	JSON bool     `name:"json" help:"Print the distribution as one JSON document."`
}

func (c *retryCmd) Run(ctx context.Context, t *term) error {
	_, err := c.style()
	if err != nil {
		return err
	}
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	ids, err := recipientIDs(ctx, client, c.Production, c.ID, c.Recipient)
	if err != nil {
		return err
	}
	req := &distributionv1.RetryDistributionRequest{
		Production: c.Production, Distribution: c.ID, Recipients: ids, Code: c.Code, Mark: template(c.Mark), MarkStyle: c.message(),
	}
	if c.Redo {
		req.Done = "redo"
	}
	d, raw, err := client.Retry(ctx, req)
	if err != nil {
		return unsure(err, c.what(), "filigree status "+c.ID+c.hint())
	}
	switch {
	case c.Wait.limit > 0:
		return follower{c.productionFlag, c.Wait.limit, c.JSON}.follow(ctx, t, client, d, raw)
	case c.JSON:
		return t.document(raw)
	}
	t.print("%s %s: %s; items %s; recipients %s", d.GetId(), word(d), c.what(), counts(d.GetItems()), counts(d.GetRecipients()))
	t.say("follow it with: filigree status %s%s", d.GetId(), c.hint())
	return nil
}

// what says what happens again.
func (c *retryCmd) what() string {
	switch {
	case c.Redo:
		return "what is done runs again, too, mails included"
	case c.Mark != "" || c.styleFlags != styleFlags{}:
		return "copies get the new mark, and what failed runs again"
	}
	return "what failed runs again"
}

type resendCmd struct {
	serverFlags
	productionFlag
	ID        string `arg:"" help:"The distribution."`
	Recipient string `arg:"" help:"The recipient: number, such as r7, id, or e-mail address."`
	Email     string `placeholder:"ADDRESS" help:"The right address, from now on. Default: the one there is."`
	Name      string `placeholder:"NAME" help:"The right name, from now on; copies that show another one are made anew. Default: the one there is."`
	JSON      bool   `name:"json" help:"Print the recipient as one JSON document."`
}

func (c *resendCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	ids, err := recipientIDs(ctx, client, c.Production, c.ID, []string{c.Recipient})
	if err != nil {
		return err
	}
	r, raw, err := client.Resend(ctx, c.Production, c.ID, ids[0], c.Email, c.Name)
	if err != nil {
		return unsure(err, "they are sent to again", "filigree recipients "+c.ID+c.hint())
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("%s: sending to %s <%s> again", r.GetId(), r.GetName(), r.GetEmail())
	t.say("see how it went with: filigree recipients %s%s", c.ID, c.hint())
	return nil
}

// unsure says of a request that is not repeated, and whose answer did not come, how to find out what became of it.
func unsure(err error, what, look string) error {
	var gone *api.UnreachableError
	if !errors.As(err, &gone) || gone.Refused {
		return err
	}
	r := refuse("OUTCOME_UNKNOWN", "it is not known whether %s (%v): look with %s before you ask again", what, err, look)
	r.exit = exitUnreachable
	return r
}
