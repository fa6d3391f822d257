package cli

import (
	"context"
	"fmt"
	"strconv"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
)

type quotaCmd struct {
	serverFlags
	Production string `arg:"" help:"The production."`
	OpenItems  string `placeholder:"N" help:"How many items it may have open; any: any number; default: what holds for all productions."`
	PerMinute  string `placeholder:"N" help:"How many distributions it may create in a minute; any, default: likewise."`
	JSON       bool   `name:"json" help:"Print the quota as one JSON document."`
}

func (c *quotaCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	q, raw, err := client.Quota(ctx, c.Production)
	if err != nil {
		return err
	}
	if c.OpenItems != "" || c.PerMinute != "" {
		want := &controlv1.Quota{OpenItems: q.OpenItems, PerMinute: q.PerMinute} // what is not named stays as it is
		for _, f := range []struct {
			flag, text string
			into       **int32
		}{{"open-items", c.OpenItems, &want.OpenItems}, {"per-minute", c.PerMinute, &want.PerMinute}} {
			err = quotaOf(f.flag, f.text, f.into)
			if err != nil {
				return err
			}
		}
		q, raw, err = client.SetQuota(ctx, c.Production, want)
		if err != nil {
			return err
		}
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("%s may have %s items open%s, and has %d", c.Production, anyOr(q.GetMostOpenItems()), asAll(q.OpenItems), q.GetItemsOpen())
	t.print("it may create %s distributions a minute%s; in the last one it created %d", anyOr(q.GetMostPerMinute()), asAll(q.PerMinute), q.GetLastMinute())
	return nil
}

// quotaOf reads what a flag sets: a number from 1 on, any, or default. An empty text sets nothing.
func quotaOf(flag, text string, into **int32) error {
	switch text {
	case "":
		return nil
	case "any":
		*into = new(int32(0))
		return nil
	case "default":
		*into = nil
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return refuse("USAGE", "--%s is a number from 1 on, any, or default, and not %q; to stop a production: filigree pause --production P", flag, text)
	}
	*into = new(int32(n))
	return nil
}

func anyOr(n int32) string {
	if n == 0 {
		return "any number of"
	}
	return fmt.Sprint(n)
}

// asAll says that a value is that of all productions.
func asAll(own *int32) string {
	if own == nil {
		return " (as all productions)"
	}
	return ""
}
