package cli

import (
	"context"
	"strings"

	"github.com/mattn/go-isatty"
)

type credentialCmd struct {
	Set    credentialSetCmd    `cmd:"" help:"Seal a secret under a name; it is read from a file or standard input, and never shown again."`
	List   credentialListCmd   `cmd:"" help:"List the names of sealed secrets."`
	Delete credentialDeleteCmd `cmd:"" help:"Delete a sealed secret."`
}

type credentialSetCmd struct {
	serverFlags
	scopeFlags
	Name slug   `arg:"" help:"Lower-case letters, digits and dashes."`
	File string `default:"-" placeholder:"FILE" help:"The file that holds the secret; a line end at its end is not part of it. Default: standard input."`
	JSON bool   `name:"json" help:"Print the credential, without its secret, as one JSON document."`
}

func (c *credentialSetCmd) Run(ctx context.Context, t *term) error {
	production, err := c.production()
	if err != nil {
		return err
	}
	if c.File == "-" && isatty.IsTerminal(t.in.Fd()) {
		// What is typed would stay on the screen.
		return refuse("USAGE", "the secret is read from a file or a pipe: filigree credential set %s < FILE", c.Name)
	}
	text, err := readText(t, c.File)
	if err != nil {
		return err
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if secret == "" {
		return refuse("SECRET_EMPTY", "there is no secret in it: nothing was changed")
	}
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	made, raw, err := client.PutCredential(ctx, production, string(c.Name), secret)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	t.say("%s is sealed for %s: services can open it, people cannot", made.GetName(), whose(production))
	return nil
}

type credentialListCmd struct {
	serverFlags
	scopeFlags
	JSON bool `name:"json" help:"Print one JSON document: {\"credentials\":[…]}."`
}

func (c *credentialListCmd) Run(ctx context.Context, t *term) error {
	production, err := c.production()
	if err != nil {
		return err
	}
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	list, raws, err := client.Credentials(ctx, production)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("credentials", raws)
	}
	if len(list) == 0 {
		t.say("no credential is kept for %s%s", whose(production), others(production, "credential list"))
		return nil
	}
	b := newTable("CREDENTIAL", "CHANGED", "BY")
	for _, k := range list {
		b.add(k.GetName(), at(k.GetChangedAt()), k.GetChangedBy())
	}
	b.write(t, "")
	return nil
}

type credentialDeleteCmd struct {
	serverFlags
	scopeFlags
	Name string `arg:"" help:"The credential."`
}

func (c *credentialDeleteCmd) Run(ctx context.Context, t *term) error {
	production, err := c.production()
	if err != nil {
		return err
	}
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	err = client.DeleteCredential(ctx, production, c.Name)
	if err != nil {
		return err
	}
	t.say("there is no credential %s any more", c.Name)
	return nil
}
