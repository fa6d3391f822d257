package cli

import (
	"context"
	"strings"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

type recipientsCmd struct {
	serverFlags
	productionFlag
	ID   string `arg:"" help:"The distribution."`
	JSON bool   `name:"json" help:"Print one JSON document: {\"recipients\":[…]}."`
}

func (c *recipientsCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	list, raws, err := client.Recipients(ctx, c.Production, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("recipients", raws)
	}
	recipientTable(c.ID, list).write(t, "")
	return nil
}

// recipientTable has the columns about links and marks only if somebody has one of their own, and the one about duplicates
// only if there may be any.
func recipientTable(distribution string, list []*distributionv1.Recipient) *table {
	linked, doubtful, marked := false, false, false
	for _, r := range list {
		linked = linked || r.GetDelivery().GetAccess() != ""
		marked = marked || ownMark(r) != ""
		doubtful = doubtful || r.GetDelivery().GetMaybeDuplicate()
	}
	head := []string{"NO", "NAME", "E-MAIL", "STATE"}
	if linked {
		head = append(head, "ACCESS", "VIEWED", "DOWNLOADED")
	}
	if marked {
		head = append(head, "OWN MARK")
	}
	if doubtful {
		head = append(head, "TWICE?")
	}
	b := newTable(append(head, "THE MAIL SERVER'S WORD")...)
	b.state = 3
	for _, r := range list {
		v := r.GetDelivery()
		row := []string{strings.TrimPrefix(r.GetId(), distribution+"."), r.GetName(), r.GetEmail(), v.GetState()}
		if linked {
			row = append(row, v.GetAccess(), happened(v.GetViewedAt()), happened(v.GetDownloadedAt()))
		}
		if marked {
			row = append(row, ownMark(r))
		}
		if doubtful {
			twice := ""
			if v.GetMaybeDuplicate() {
				twice = "maybe"
			}
			row = append(row, twice)
		}
		said := whyDelivery(v)
		if v.GetRetryAt() != nil {
			said = strings.TrimSuffix("next try "+at(v.GetRetryAt())+": "+said, ": ")
		}
		b.add(append(row, said)...)
	}
	return b
}

// ownMark is the text of a recipient's own mark, or that it looks different; empty if theirs is the distribution's.
func ownMark(r *distributionv1.Recipient) string {
	if r.GetMark() == "" && r.GetMarkStyle() != nil {
		return "another look"
	}
	return r.GetMark()
}

// happened shows when something did; empty if it has not.
func happened(ts *timestamppb.Timestamp) string {
	if ts == nil {
		return ""
	}
	return at(ts)
}
