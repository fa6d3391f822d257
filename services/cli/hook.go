package cli

import (
	"context"
	"errors"
	"fmt"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"

	"github.com/filigreehq/filigree/pkg/people"
	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type hookCmd struct {
	Set    hookSetCmd    `cmd:"" help:"Let another system send by a signed webhook: make its address, or change what it starts."`
	List   hookListCmd   `cmd:"" help:"List inbound webhooks."`
	Rotate hookRotateCmd `cmd:"" help:"Give a webhook a new secret; the one before works for a day longer."`
	Delete hookDeleteCmd `cmd:"" help:"Delete a webhook; what it started goes on."`
}

type hookSetCmd struct {
	serverFlags
	productionFlag
	orderFlags
	Name slug     `arg:"" help:"Lower-case letters, digits and dashes."`
	File []string `placeholder:"FILE" sep:"none" help:"Document or picture to send when a call names none (repeatable)."`
	To   string   `placeholder:"CSV" help:"People to send to when a call names none: CSV whose header has name and email."`
	JSON bool     `name:"json" help:"Print one JSON document: {\"hook\":…,\"secret\":…}."`
}

func (c *hookSetCmd) Run(ctx context.Context, t *term) error {
	err := c.check()
	if err != nil {
		return err
	}
	var list []people.Person
	if c.To != "" {
		list, err = readPeople(c.To)
		if err != nil {
			return err
		}
	}
	err = checkFiles(c.File)
	if err != nil {
		return err
	}
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	_, err = client.Production(ctx, c.Production)
	if err != nil {
		return err
	}
	var files []*distributionv1.FileRef
	if len(c.File) > 0 {
		files, err = upload(ctx, t, client, c.Production, c.File, c.ownMark())
		if err != nil {
			return err
		}
	}
	return c.put(ctx, t, client, &schedulev1.Hook{Name: string(c.Name), Start: c.request(c.Production, files, whom{people: list})}, false, c.JSON)
}

// put makes h or changes it, and shows its secret if that is new.
func (p productionFlag) put(ctx context.Context, t *term, client *api.Client, h *schedulev1.Hook, rotate, json bool) error {
	answer, raw, err := client.PutHook(ctx, p.Production, h, rotate)
	var gone *api.UnreachableError
	if errors.As(err, &gone) && !gone.Refused {
		r := refuse("OUTCOME_UNKNOWN", "it is not known whether it was done (%v), and a new secret would be lost: "+
			"once the server answers, get one with filigree hook rotate %s%s", err, h.GetName(), p.hint())
		r.exit = exitUnreachable
		return r
	}
	if err != nil {
		return err
	}
	if json {
		return t.document(raw)
	}
	address := client.Base() + answer.GetHook().GetPath()
	if answer.GetSecret() == "" {
		t.say("changed; its address is still %s, and its secret the same", address)
		return nil
	}
	t.print("%s", answer.GetSecret())
	t.say("keep it: it is not shown again. Calls go to %s, signed with it as Standard Webhooks says", address)
	return nil
}

type hookRotateCmd struct {
	serverFlags
	productionFlag
	Name string `arg:"" help:"The webhook."`
	JSON bool   `name:"json" help:"Print one JSON document: {\"hook\":…,\"secret\":…}."`
}

func (c *hookRotateCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	list, _, err := client.Hooks(ctx, c.Production)
	if err != nil {
		return err
	}
	for _, h := range list {
		if h.GetName() == c.Name {
			return c.put(ctx, t, client, &schedulev1.Hook{Name: h.GetName(), Start: h.GetStart()}, true, c.JSON)
		}
	}
	return refuse("HOOK_UNKNOWN", "there is no webhook %q in the production %s: see filigree hook list%s", c.Name, c.Production, c.hint())
}

type hookListCmd struct {
	serverFlags
	productionFlag
	JSON bool `name:"json" help:"Print one JSON document: {\"hooks\":[…]}."`
}

func (c *hookListCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	list, raws, err := client.Hooks(ctx, c.Production)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("hooks", raws)
	}
	if len(list) == 0 {
		t.say("the production %s has no webhooks", c.Production)
		return nil
	}
	b := newTable("HOOK", "SENDS", "LAST CALL", "STARTED", "ADDRESS")
	for _, h := range list {
		b.add(h.GetName(), sends(h.GetStart()), at(h.GetLastAt()), h.GetLastDistribution(), client.Base()+h.GetPath())
	}
	b.write(t, "")
	return nil
}

// sends says what a call starts when it names nothing itself.
func sends(start *distributionv1.CreateDistributionRequest) string {
	files, people := len(start.GetFiles()), len(start.GetRecipients())
	switch {
	case files == 0 && people == 0:
		return "what the call says"
	case files == 0:
		return "the call's files to " + plural(people, "person", "people")
	case people == 0:
		return plural(files, "file", "files") + " to the call's people"
	}
	return fmt.Sprintf("%s to %s", plural(files, "file", "files"), plural(people, "person", "people"))
}

type hookDeleteCmd struct {
	serverFlags
	productionFlag
	Name string `arg:"" help:"The webhook."`
}

func (c *hookDeleteCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	err = client.DeleteHook(ctx, c.Production, c.Name)
	if err != nil {
		return err
	}
	t.say("there is no webhook %s any more; what it started goes on", c.Name)
	return nil
}
