package cli

import (
	"context"
	"strconv"
	"strings"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
)

type listsCmd struct {
	List   listsListCmd   `cmd:"" help:"List the lists of people of a production."`
	Create listsCreateCmd `cmd:"" help:"Make a list."`
	Set    listsSetCmd    `cmd:"" help:"Set a list's policy: how distributions to it go out."`
	People listsPeopleCmd `cmd:"" help:"List who is in a list."`
	Add    listsAddCmd    `cmd:"" help:"Put people into a list."`
	Remove listsRemoveCmd `cmd:"" help:"Take people out of a list."`
	Delete listsDeleteCmd `cmd:"" help:"Delete a list; its people stay."`
}

// policyFlags are a list's policy.
type policyFlags struct {
	Mode     string `enum:",attachment,link,drive" default:"" placeholder:"MODE" help:"How copies reach its people unless a distribution says so itself: attachment, link or drive."`
	Mark     string `placeholder:"TEMPLATE" help:"Text of the mark unless a distribution has its own."`
	Password string `enum:",none,generate" default:"" placeholder:"HOW" help:"none or generate, unless a distribution says so itself."`
}

func (f policyFlags) message() *directoryv1.ListPolicy {
	if f == (policyFlags{}) {
		return nil
	}
	return &directoryv1.ListPolicy{Mode: f.Mode, Mark: template(f.Mark), Password: f.Password}
}

type listsListCmd struct {
	serverFlags
	productionFlag
	JSON bool `name:"json" help:"Print one JSON document: {\"lists\":[…]}."`
}

func (c *listsListCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	all, raws, err := client.Lists(ctx, c.Production)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("lists", raws)
	}
	if len(all) == 0 {
		t.say("the production %s has no lists; make one with: filigree lists create NAME%s", c.Production, c.hint())
		return nil
	}
	b := newTable("ID", "NAME", "PEOPLE", "POLICY")
	for _, l := range all {
		b.add(l.GetId(), l.GetName(), strconv.Itoa(int(l.GetPeople())), policyWords(l.GetPolicy()))
	}
	b.write(t, "")
	return nil
}

func policyWords(p *directoryv1.ListPolicy) string {
	var words []string
	for _, w := range [][2]string{{"mode", p.GetMode()}, {"mark", p.GetMark()}, {"password", p.GetPassword()}} {
		if w[1] != "" {
			words = append(words, w[0]+" "+strings.ReplaceAll(w[1], "\n", `\n`))
		}
	}
	return strings.Join(words, ", ")
}

type listsCreateCmd struct {
	serverFlags
	productionFlag
	policyFlags
	Name string `arg:"" help:"As people know it."`
	ID   string `name:"id" placeholder:"ID" help:"Lower-case letters, digits and dashes. Default: made from the name."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

func (c *listsCreateCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	l, raw, err := client.CreateList(ctx, &directoryv1.CreateListRequest{Production: c.Production, Id: c.ID, Name: c.Name, Policy: c.message()})
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("%s", l.GetId())
	t.say("send to it with: filigree send --list %s --file FILE%s", l.GetId(), c.hint())
	return nil
}

// listFlags name one list.
type listFlags struct {
	serverFlags
	productionFlag
	List string `arg:"" help:"The list: name or id."`
}

type listsSetCmd struct {
	listFlags
	policyFlags
	Name string `placeholder:"NAME" help:"Another name. Default: the one there is."`
}

func (c *listsSetCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	l, err := findList(ctx, client, c.Production, c.List)
	if err != nil {
		return err
	}
	req := &directoryv1.UpdateListRequest{Production: c.Production, List: l.GetId(), Name: l.GetName(), Policy: c.message(), Revision: l.GetRevision()}
	if c.Name != "" {
		req.Name = c.Name
		if req.GetPolicy() == nil {
			req.Policy = l.GetPolicy() // it is only called otherwise
		}
	}
	_, _, err = client.UpdateList(ctx, req)
	if err != nil {
		return err
	}
	words := policyWords(req.GetPolicy())
	if words == "" {
		words = "no policy"
	}
	t.say("%s has %s from now on", l.GetId(), words)
	return nil
}

type listsPeopleCmd struct {
	listFlags
	JSON bool `name:"json" help:"Print one JSON document: {\"people\":[…]}."`
}

func (c *listsPeopleCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	id, err := listID(ctx, client, c.Production, c.List)
	if err != nil {
		return err
	}
	list, raws, err := client.ListPeople(ctx, c.Production, id)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("people", raws)
	}
	if len(list) == 0 {
		t.say("nobody is in the list %s; put people into it with: filigree lists add %s WHO%s", id, id, c.hint())
		return nil
	}
	personTable(list).write(t, "")
	return nil
}

type listsAddCmd struct {
	listFlags
	Who []string `arg:"" help:"Whom: address, or id."`
}

func (c *listsAddCmd) Run(ctx context.Context, t *term) error { return c.change(ctx, t, c.Who, true) }

type listsRemoveCmd struct {
	listFlags
	Who []string `arg:"" help:"Whom: address, or id."`
}

func (c *listsRemoveCmd) Run(ctx context.Context, t *term) error {
	return c.change(ctx, t, c.Who, false)
}

func (f listFlags) change(ctx context.Context, t *term, who []string, add bool) error {
	const slice = 100
	client, err := f.client(coordinator)
	if err != nil {
		return err
	}
	id, err := listID(ctx, client, f.Production, f.List)
	if err != nil {
		return err
	}
	ids, err := personIDs(ctx, client, f.Production, who)
	if err != nil {
		return err
	}
	changed, now := int32(0), int32(0)
	for ; len(ids) > 0; ids = ids[min(len(ids), slice):] {
		some := ids[:min(len(ids), slice)]
		if add {
			resp, _, err := client.AddListPeople(ctx, &directoryv1.AddListPeopleRequest{Production: f.Production, List: id, People: some})
			if err != nil {
				return err
			}
			changed, now = changed+resp.GetAdded(), resp.GetPeople()
			continue
		}
		resp, _, err := client.RemoveListPeople(ctx, &directoryv1.RemoveListPeopleRequest{Production: f.Production, List: id, People: some})
		if err != nil {
			return err
		}
		changed, now = changed+resp.GetRemoved(), resp.GetPeople()
	}
	word := "taken out of"
	if add {
		word = "put into"
	}
	t.say("%s %s the list %s; %s in it", plural(int(changed), "person was", "people were"), word, id, plural(int(now), "person is", "people are"))
	return nil
}

type listsDeleteCmd struct{ listFlags }

func (c *listsDeleteCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	id, err := listID(ctx, client, c.Production, c.List)
	if err != nil {
		return err
	}
	err = client.DeleteList(ctx, c.Production, id)
	if err != nil {
		return err
	}
	t.say("there is no list %s any more; its people stay", id)
	return nil
}
