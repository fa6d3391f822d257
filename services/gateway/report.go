package gateway

import (
	"context"
	"encoding/csv"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// reportPath is who got what, as a table for people: a line for each item. Protos have no HTTP rule for it, as it is no
// message.
const reportPath = "/v1/productions/{production}/distributions/{distribution}/report.csv"

// reportPage is how many items or recipients are in memory at once.
const reportPage = 1000

var reportHead = []string{"name", "email", "file", "state", "mail", "sent_at", "viewed_at", "downloaded_at", "access", "code", "reason"}

// report sends the table as it reads it, page by page, and so is not of one moment. What fails before the first line is
// answered like any other failure; later the connection is cut, since half a table must not look like a whole one.
func (s *Server) report(w http.ResponseWriter, r *http.Request, params map[string]string) {
	ctx := metadata.NewOutgoingContext(r.Context(), callFrom(r.Context()).outgoing)
	items := s.reportItems(params["production"], params["distribution"])
	page, next, err := items(ctx, "")
	if err != nil {
		s.fail(w, r, err)
		return
	}
	people := &roster{list: s.reportRecipients(params["production"], params["distribution"])}
	if len(page) > 0 {
		err = people.turn(ctx)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": "report-" + params["distribution"] + ".csv"}))
	if note := callFrom(ctx).note; note != "" {
		h.Set(headerNote, note)
	}
	const mark = "\ufeff" // without it a spreadsheet takes the text for that of another age
	_, err = w.Write([]byte(mark))
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err == nil {
		err = out.Write(reportHead)
	}
	for err == nil {
		err = people.lines(ctx, page, out)
		out.Flush()
		if err == nil {
			err = out.Error()
		}
		if err != nil || next == "" {
			break
		}
		page, next, err = items(ctx, next)
	}
	if err != nil {
		s.deps.Log.WarnContext(ctx, "report cut", "production", params["production"], "distribution", params["distribution"], "err", err)
		panic(http.ErrAbortHandler)
	}
}

// pager reads the page at token, and says where the next one is; "" is the end.
type pager[T any] func(ctx context.Context, token string) (page []T, next string, err error)

func (s *Server) reportItems(production, distribution string) pager[*distributionv1.Item] {
	return func(ctx context.Context, token string) ([]*distributionv1.Item, string, error) {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.CallTimeout)
		defer cancel()
		resp, err := s.deps.Distributions.ListItems(ctx, &distributionv1.ListItemsRequest{
			Production: production, Distribution: distribution, PageSize: reportPage, PageToken: token,
		})
		return resp.GetItems(), resp.GetNextPageToken(), err
	}
}

func (s *Server) reportRecipients(production, distribution string) pager[*distributionv1.Recipient] {
	return func(ctx context.Context, token string) ([]*distributionv1.Recipient, string, error) {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.CallTimeout)
		defer cancel()
		resp, err := s.deps.Distributions.ListRecipients(ctx, &distributionv1.ListRecipientsRequest{
			Production: production, Distribution: distribution, PageSize: reportPage, PageToken: token,
		})
		return resp.GetRecipients(), resp.GetNextPageToken(), err
	}
}

// roster is a page of a distribution's recipients, by id. Items come file by file and, of each file, in the recipients' own
// order: turning the page at each recipient who is not on it, and beginning again after the last, finds all.
type roster struct {
	list   pager[*distributionv1.Recipient]
	page   map[string]*distributionv1.Recipient
	next   string
	single bool // there is but one page
}

func (p *roster) turn(ctx context.Context) error {
	list, next, err := p.list(ctx, p.next)
	if err != nil {
		return err
	}
	p.single = p.next == "" && next == ""
	p.next, p.page = next, make(map[string]*distributionv1.Recipient, len(list))
	for _, r := range list {
		p.page[r.GetId()] = r
	}
	return nil
}

// of finds a recipient; of one who is on no page, nothing is known.
func (p *roster) of(ctx context.Context, id string) (*distributionv1.Recipient, error) {
	begun := 0 // how often it went over the first page
	for p.page[id] == nil && !p.single && begun < 2 {
		if p.next == "" {
			begun++
		}
		err := p.turn(ctx)
		if err != nil {
			return nil, err
		}
	}
	return p.page[id], nil
}

// lines writes a line for each item.
func (p *roster) lines(ctx context.Context, items []*distributionv1.Item, out *csv.Writer) error {
	for _, i := range items {
		r, err := p.of(ctx, i.GetRecipient().GetId())
		if err != nil {
			return err
		}
		d := r.GetDelivery()
		e := whyNot(i, d)
		line := []string{
			i.GetRecipient().GetName(), i.GetRecipient().GetEmail(), fileCalled(i.GetFile()), i.GetState(), d.GetState(),
			moment(d.GetSentAt()), moment(d.GetViewedAt()), moment(d.GetDownloadedAt()), d.GetAccess(), e.GetCode(), e.GetMessage(),
		}
		for n, cell := range line {
			line[n] = harmless(cell)
		}
		err = out.Write(line)
		if err != nil {
			return fmt.Errorf("send a line of a report: %w", err)
		}
	}
	return nil
}

// whyNot is what went wrong with an item, is being tried again, or went wrong with the mail it is in; nil if nothing.
func whyNot(i *distributionv1.Item, d *distributionv1.Delivery) *distributionv1.Error {
	if i.GetError() != nil {
		return i.GetError()
	}
	for _, step := range i.GetSteps() {
		if step.GetError() != nil && (step.GetState() == "failed" || step.GetState() == "retrying") {
			return step.GetError()
		}
	}
	return d.GetError()
}

func fileCalled(f *distributionv1.FileRef) string {
	if f.GetName() != "" {
		return f.GetName()
	}
	return f.GetSha256()
}

// moment is a time as spreadsheets and programs read it alike; empty if it never came.
func moment(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

// harmless keeps a spreadsheet from taking a cell for a formula: names and files' names are what others typed.
func harmless(cell string) string {
	if strings.IndexAny(cell, "=+-@\t\r") == 0 {
		return "'" + cell
	}
	return cell
}
