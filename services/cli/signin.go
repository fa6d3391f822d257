package cli

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
)

type signInCmd struct {
	serverFlags
	Role       string   `enum:"coordinator,oncall,admin" default:"coordinator" placeholder:"ROLE" help:"coordinator, oncall or admin (default: ${default})."`
	Production []string `short:"p" default:"*" placeholder:"ID" help:"Production that whoever signs in may act in (repeatable); '*', the default, is all."`
	Note       string   `placeholder:"TEXT" help:"Whom it is for, for the audit."`
	JSON       bool     `name:"json" help:"Print one JSON document: {\"url\":…,\"expires_at\":…}."`
}

func (c *signInCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	made, err := client.CreateSignIn(ctx, &sessionv1.CreateSignInRequest{Role: c.Role, Productions: c.Production, Note: c.Note})
	if err != nil {
		return err
	}
	// Behind the # it reaches no server's log and no Referer.
	url := strings.TrimRight(client.Base(), "/") + "/sign-in#" + made.GetCode()
	if c.JSON {
		raw, err := json.Marshal(map[string]string{"url": url, "expires_at": made.GetExpiresAt().AsTime().Format(time.RFC3339)})
		if err != nil {
			return err
		}
		return t.document(raw)
	}
	t.print("%s", url)
	t.say("it signs one browser in as %s, once, until %s", made.GetRole(), at(made.GetExpiresAt()))
	return nil
}
