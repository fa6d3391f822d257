package cli

import (
	"context"
	"strconv"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

type eventsCmd struct {
	serverFlags
	productionFlag
	ID   string `arg:"" help:"The distribution."`
	JSON bool   `name:"json" help:"Print one JSON document: {\"events\":[…]}."`
}

func (c *eventsCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	list, raws, err := client.Events(ctx, c.Production, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("events", raws)
	}
	b := newTable("TIME", "EVENT", "STEP", "OF", "TRY", "STATE", "TOOK", "BY", "WHY")
	b.state = 5
	for _, e := range list {
		try, took := "", ""
		if e.GetAttempt() > 0 {
			try = strconv.Itoa(int(e.GetAttempt()))
		}
		if e.GetStartedAt() != nil && e.GetTime() != nil {
			took = span(e.GetTime().AsTime().Sub(e.GetStartedAt().AsTime()))
		}
		when := "-"
		if e.GetTime() != nil {
			when = e.GetTime().AsTime().Local().Format("2006-01-02 15:04:05.000 MST")
		}
		b.add(when, e.GetKind(), e.GetStep(), e.GetUnit(), try, e.GetState(), took, e.GetWorker(), whyEvent(e))
	}
	b.write(t, "")
	return nil
}

// whyEvent is what was asked for, or what went wrong.
func whyEvent(e *distributionv1.Event) string {
	if e.GetText() != "" {
		return e.GetText()
	}
	return why(e.GetError())
}

// why is an error in one line; empty for none.
func why(e *distributionv1.Error) string {
	switch {
	case e.GetCode() == "":
		return e.GetMessage()
	case e.GetMessage() == "":
		return e.GetCode()
	}
	return e.GetMessage() + " (" + e.GetCode() + ")"
}
