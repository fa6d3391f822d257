package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"

	"github.com/filigreehq/filigree/pkg/people"
	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type peopleCmd struct {
	List   peopleListCmd   `cmd:"" help:"List the people of a production, or find some."`
	Import peopleImportCmd `cmd:"" help:"Add and change people by a CSV file."`
	Remove peopleRemoveCmd `cmd:"" help:"Remove people, from all lists, too."`
}

type peopleListCmd struct {
	serverFlags
	productionFlag
	Find string `arg:"" optional:"" help:"What the name, a later word of it, or the address begins with. Default: everybody."`
	JSON bool   `name:"json" help:"Print one JSON document: {\"people\":[…]}."`
}

func (c *peopleListCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	list, raws, err := client.People(ctx, c.Production, c.Find)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("people", raws)
	}
	if len(list) == 0 {
		t.say("nobody is there; add people with: filigree people import people.csv%s", c.hint())
		return nil
	}
	personTable(list).write(t, "")
	return nil
}

func personTable(list []*directoryv1.Person) *table {
	b := newTable("NAME", "E-MAIL", "ID", "FIELDS")
	for _, p := range list {
		var fields []string
		for _, name := range slices.Sorted(maps.Keys(p.GetFields())) {
			fields = append(fields, name+": "+p.GetFields()[name])
		}
		b.add(p.GetName(), p.GetEmail(), p.GetId(), strings.Join(fields, ", "))
	}
	return b
}

type peopleImportCmd struct {
	serverFlags
	productionFlag
	File string `arg:"" placeholder:"CSV" help:"CSV whose header has name and email; other columns become fields of the mark. Whoever has the address already is changed."`
	List string `placeholder:"LIST" help:"Put all of them into this list, too, by its name or id."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

func (c *peopleImportCmd) Run(ctx context.Context, t *term) error {
	data, err := os.ReadFile(c.File)
	if err != nil {
		return refuse("PEOPLE_UNREADABLE", "the list of people cannot be read: %v", err)
	}
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	req := &directoryv1.ImportPeopleRequest{Production: c.Production, Csv: string(data)}
	if c.List != "" {
		req.List, err = listID(ctx, client, c.Production, c.List)
		if err != nil {
			return err
		}
	}
	resp, raw, err := client.ImportPeople(ctx, req)
	if err != nil {
		return err
	}
	if c.JSON {
		err = t.document(raw)
		if err != nil {
			return err
		}
	} else {
		t.print("%d added, %d changed, %d unchanged, %d refused", resp.GetAdded(), resp.GetChanged(), resp.GetUnchanged(), resp.GetRefused())
	}
	if resp.GetRefused() == 0 {
		return nil
	}
	r := refuse("PEOPLE_REFUSED", "%s of %s could not be taken; the others are in", plural(int(resp.GetRefused()), "line", "lines"), c.File)
	for _, p := range resp.GetProblems() {
		r.Details = append(r.Details, fmt.Sprintf("line %d: %s", p.GetLine(), p.GetMessage()))
	}
	return r
}

type peopleRemoveCmd struct {
	serverFlags
	productionFlag
	Who []string `arg:"" help:"Whom: address, or id."`
}

func (c *peopleRemoveCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	ids, err := personIDs(ctx, client, c.Production, c.Who)
	if err != nil {
		return err
	}
	for _, id := range ids {
		err = client.DeletePerson(ctx, c.Production, id)
		if err != nil {
			return err
		}
	}
	t.say("%s removed; what was sent to them stays as it was", plural(len(ids), "person is", "people are"))
	return nil
}

// personIDs finds the ids of people who are named by id or address.
func personIDs(ctx context.Context, client *api.Client, production string, who []string) ([]string, error) {
	var ids, unknown []string
	for _, w := range who {
		if !strings.Contains(w, "@") {
			ids = append(ids, w)
			continue
		}
		found, _, err := client.People(ctx, production, w)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(found, func(p *directoryv1.Person) bool { return people.Key(p.GetEmail()) == people.Key(w) })
		if i < 0 {
			unknown = append(unknown, w)
			continue
		}
		ids = append(ids, found[i].GetId())
	}
	if len(unknown) > 0 {
		return nil, refuse("PERSON_UNKNOWN", "nobody in the production %s has the address %s; nothing was changed", production, strings.Join(unknown, ", "))
	}
	return ids, nil
}

// listID finds the id of a list that is named by id or name.
func listID(ctx context.Context, client *api.Client, production, named string) (string, error) {
	l, err := findList(ctx, client, production, named)
	return l.GetId(), err
}

// findList finds a list by its id, or else by its name: one may be called what is the id of another.
func findList(ctx context.Context, client *api.Client, production, named string) (*directoryv1.List, error) {
	all, _, err := client.Lists(ctx, production)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(l *directoryv1.List) bool { return l.GetId() == named })
	if i < 0 {
		i = slices.IndexFunc(all, func(l *directoryv1.List) bool { return strings.EqualFold(l.GetName(), named) })
	}
	if i < 0 {
		return nil, refuse("LIST_UNKNOWN", "there is no list %q in the production %s: see filigree lists list", named, production)
	}
	return all[i], nil
}
