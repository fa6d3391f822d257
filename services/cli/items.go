package cli

import (
	"context"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

type itemsCmd struct {
	serverFlags
	productionFlag
	ID    string `arg:"" help:"The distribution."`
	State string `placeholder:"STATE" enum:",pending,running,done,failed,skipped,cancelled" default:"" help:"Only items in this state: pending, running, done, failed, skipped or cancelled."`
	JSON  bool   `name:"json" help:"Print one JSON document: {\"items\":[…]}."`
}

func (c *itemsCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	list, raws, err := client.Items(ctx, c.Production, c.ID, c.State)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("items", raws)
	}
	if len(list) == 0 {
		t.say("no item is %s", c.State)
		return nil
	}
	b := newTable("ITEM", "FILE", "RECIPIENT", "STATE", "WHY")
	b.state = 3
	for _, i := range list {
		b.add(i.GetId(), fileName(i.GetFile()), who(i.GetRecipient()), i.GetState(), whyItem(i))
	}
	b.write(t, "")
	return nil
}

// whyItem says what went wrong with an item, or what is being tried again.
func whyItem(i *distributionv1.Item) string {
	if i.GetError() != nil {
		return why(i.GetError())
	}
	for _, s := range i.GetSteps() {
		if asksAgain(s) {
			return s.GetName() + " has begun something outside and asks for it again at " + at(s.GetRetryAt())
		}
		if s.GetState() == "retrying" || s.GetState() == "failed" {
			text := s.GetName() + " " + s.GetState()
			if s.GetRetryAt() != nil {
				text += ", next try " + at(s.GetRetryAt())
			}
			if s.GetError() != nil {
				text += ": " + why(s.GetError())
			}
			return text
		}
	}
	return ""
}

// asksAgain reports whether a step is between two looks at what it has begun outside: nothing has gone wrong.
func asksAgain(s *distributionv1.StepView) bool {
	return s.GetState() == "retrying" && s.GetError() == nil && s.GetRetryAt() != nil
}

func fileName(f *distributionv1.FileRef) string {
	if f.GetName() != "" {
		return f.GetName()
	}
	return f.GetSha256()[:min(12, len(f.GetSha256()))]
}

func who(r *distributionv1.RecipientRef) string {
	return r.GetName() + " <" + r.GetEmail() + ">"
}
