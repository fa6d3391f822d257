package cli

import (
	"context"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Create an API token; its secret is shown once."`
	Revoke tokenRevokeCmd `cmd:"" help:"Revoke an API token."`
}

type tokenCreateCmd struct {
	serverFlags
	Role       string   `required:"" enum:"coordinator,oncall,admin" placeholder:"ROLE" help:"coordinator, oncall or admin."`
	Production []string `short:"p" required:"" placeholder:"ID" help:"Production it may act in (repeatable); '*' is all."`
	Note       string   `placeholder:"TEXT" help:"Whose it is, for the audit."`
	JSON       bool     `name:"json" help:"Print one JSON document: id, token, role, productions."`
}

func (c *tokenCreateCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	made, raw, err := client.CreateToken(ctx, &directoryv1.CreateTokenRequest{Role: c.Role, Productions: c.Production, Note: c.Note})
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("%s", made.GetToken())
	t.say("keep it: it is not shown again. Its id, to revoke it: %s", made.GetId())
	return nil
}

type tokenRevokeCmd struct {
	serverFlags
	ID string `arg:"" help:"The token's id."`
}

func (c *tokenRevokeCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	err = client.RevokeToken(ctx, c.ID)
	if err != nil {
		return err
	}
	t.say("revoked %s", c.ID)
	return nil
}
