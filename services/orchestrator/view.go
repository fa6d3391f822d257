package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

const defaultPage = 100

// GetDistribution implements distributionv1.DistributionServiceServer.
func (s *Server) GetDistribution(ctx context.Context, req *distributionv1.GetDistributionRequest) (*distributionv1.GetDistributionResponse, error) {
	d, err := s.view(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	return &distributionv1.GetDistributionResponse{Distribution: d}, nil
}

// ListDistributions implements distributionv1.DistributionServiceServer.
func (s *Server) ListDistributions(ctx context.Context, req *distributionv1.ListDistributionsRequest) (*distributionv1.ListDistributionsResponse, error) {
	sums, next, err := s.store.List(ctx, req.GetProduction(), req.GetPageToken(), page(req.GetPageSize()))
	if errors.Is(err, store.ErrNotFound) {
		return nil, badCursor(req.GetPageToken())
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if len(sums) == 0 {
		// A production that nobody made must not look like one without distributions.
		_, err = s.deps.Directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: req.GetProduction()})
		if err != nil {
			return nil, err
		}
	}
	resp := &distributionv1.ListDistributionsResponse{NextPageToken: next}
	for _, sum := range sums {
		d, err := s.load(ctx, sum.Production, sum.ID)
		if err != nil {
			return nil, unavailable(err)
		}
		resp.Distributions = append(resp.Distributions, view(sum, d))
	}
	return resp, nil
}

// CancelDistribution implements distributionv1.DistributionServiceServer.
func (s *Server) CancelDistribution(ctx context.Context, req *distributionv1.CancelDistributionRequest) (*distributionv1.CancelDistributionResponse, error) {
	err := s.store.Cancel(ctx, req.GetProduction(), req.GetDistribution(), who(ctx))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, unknown(req.GetDistribution())
	case errors.Is(err, store.ErrEnded):
		return nil, fault.New(fault.Conflict, "DISTRIBUTION_ENDED", "distribution %s has ended already; what was sent cannot be called back", req.GetDistribution())
	case err != nil:
		return nil, unavailable(err)
	}
	s.kickChores()
	s.deps.Log.InfoContext(ctx, "cancel requested", "distribution", req.GetDistribution(), "production", req.GetProduction())
	d, err := s.view(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	return &distributionv1.CancelDistributionResponse{Distribution: d}, nil
}

// ListRecipients implements distributionv1.DistributionServiceServer.
func (s *Server) ListRecipients(ctx context.Context, req *distributionv1.ListRecipientsRequest) (*distributionv1.ListRecipientsResponse, error) {
	d, err := s.find(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	from, err := position(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &distributionv1.ListRecipientsResponse{}
	n := min(page(req.GetPageSize()), max(0, d.size.Recipients-from))
	units := make([]plan.Unit, n)
	numbers := make([]int, n)
	for i := range n {
		numbers[i] = from + i + 1
		units[i] = plan.Unit{Recipient: numbers[i]}
	}
	records, err := s.store.Units(ctx, d.production, d.id, units)
	if err != nil {
		return nil, unavailable(err)
	}
	people, err := s.store.Recipients(ctx, d.production, d.id, numbers)
	if err != nil {
		return nil, unavailable(err)
	}
	for i, rec := range records {
		resp.Recipients = append(resp.Recipients, d.recipientView(rec, people[i]))
	}
	s.addAccess(ctx, d, resp.GetRecipients(), people)
	if from+n < d.size.Recipients {
		resp.NextPageToken = strconv.Itoa(from + n)
	}
	return resp, nil
}

func (d *distribution) recipientView(rec store.UnitRecord, r store.Recipient) *distributionv1.Recipient {
	v := &distributionv1.Recipient{
		Id: recipientID(d.id, rec.Recipient), Name: r.Name, Email: r.Email, Fields: r.Fields,
		Items: &distributionv1.ItemCounts{Total: int32(d.size.Files)},
	}
	counts := map[plan.ItemState]int{}
	for phase, n := range rec.Phases {
		counts[plan.Item(phase, rec.Delivery)] += n
	}
	if len(rec.Phases) == 0 {
		counts[plan.ItemPending] = d.size.Files // not laid out yet
	}
	itemCounts(v.Items, counts)
	step, ok := d.steps.Delivering()
	if !ok {
		return v
	}
	st := rec.Steps[step.Name]
	v.Delivery = &distributionv1.Delivery{Channel: step.Delivers, State: string(rec.Delivery), Attempts: int32(st.Attempts),
		MaybeDuplicate: st.MaybeDuplicate}
	if rec.Delivery == "" {
		v.Delivery.State = string(plan.Queued)
	}
	sv := d.stepView(step, st, rec)
	v.Delivery.RetryAt, v.Delivery.Error = sv.GetRetryAt(), sv.GetError()
	if st.State == plan.Done {
		v.Delivery.SentAt = stamp(st.Ended)
		var out struct {
			MessageID string `json:"message_id"`
			Reply     string `json:"reply"`
		}
		if st.Output != "" {
			_ = json.Unmarshal([]byte(st.Output), &out) // somebody's own function may answer something else
		}
		v.Delivery.MessageId, v.Delivery.Reply = out.MessageID, out.Reply
	}
	return v
}

// addAccess says of each recipient what became of their link. When the link service does not answer the rest is shown
// all the same.
func (s *Server) addAccess(ctx context.Context, d *distribution, recipients []*distributionv1.Recipient, people []store.Recipient) {
	if d.spec.Mode == "attachment" || s.deps.Links == nil || len(recipients) == 0 {
		return
	}
	req := &linkv1.GetLinksRequest{Production: d.production}
	for i, r := range recipients {
		n, err := d.number(r.GetId())
		if err != nil {
			return // they are ours: it cannot be
		}
		req.Links = append(req.Links, deliveryID(d.id, n, people[i].Revision))
	}
	got, err := s.deps.Links.GetLinks(ctx, req)
	if err != nil || len(got.GetLinks()) != len(recipients) {
		s.deps.Log.WarnContext(ctx, "states of links are not known now", "distribution", d.id, "err", err)
		return
	}
	for i, l := range got.GetLinks() {
		v := recipients[i].GetDelivery()
		if v != nil {
			v.Access, v.ViewedAt, v.DownloadedAt = l.GetAccess(), l.GetFirstViewedAt(), l.GetFirstDownloadedAt()
		}
	}
}

// ListEvents implements distributionv1.DistributionServiceServer.
func (s *Server) ListEvents(ctx context.Context, req *distributionv1.ListEventsRequest) (*distributionv1.ListEventsResponse, error) {
	_, err := s.find(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	if strings.Trim(req.GetPageToken(), "0123456789-") != "" {
		return nil, badCursor(req.GetPageToken())
	}
	events, next, err := s.store.Events(ctx, req.GetProduction(), req.GetDistribution(), req.GetPageToken(), page(req.GetPageSize()))
	if err != nil {
		return nil, unavailable(err)
	}
	resp := &distributionv1.ListEventsResponse{NextPageToken: next}
	for _, e := range events {
		v := &distributionv1.Event{
			Id: e.ID, Time: stamp(e.Time()), Kind: e.Kind, Step: e.Step, Unit: e.Unit, Attempt: int32(e.Attempt),
			Worker: e.Worker, StartedAt: stamp(e.Started), State: e.State,
		}
		if e.Code != "" {
			v.Error = &distributionv1.Error{Code: e.Code, Message: e.Message, Retryable: !plan.State(e.State).Final()}
		}
		resp.Events = append(resp.Events, v)
	}
	return resp, nil
}

// find loads a distribution that a caller named.
func (s *Server) find(ctx context.Context, production, id string) (*distribution, error) {
	d, err := s.load(ctx, production, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknown(id)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return d, nil
}

func (s *Server) view(ctx context.Context, production, id string) (*distributionv1.Distribution, error) {
	sum, err := s.store.Get(ctx, production, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknown(id)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	d, err := s.find(ctx, production, id)
	if err != nil {
		return nil, err
	}
	return view(sum, d), nil
}

func view(sum *store.Summary, d *distribution) *distributionv1.Distribution {
	v := &distributionv1.Distribution{
		Id: sum.ID, Production: sum.Production, Title: d.spec.Title, State: string(sum.State), Mode: d.spec.Mode,
		Definition: &distributionv1.Definition{Name: sum.Definition, Version: int32(sum.Version)},
		CreatedAt:  stamp(sum.Created), StartedAt: stamp(sum.Started), EndedAt: stamp(sum.Ended), Deadline: stamp(sum.Deadline),
		CancelRequested: sum.CancelRequested,
		HeldUntil:       stamp(sum.HeldUntil),
		Items:           &distributionv1.ItemCounts{Total: int32(sum.Size.Items())},
		Recipients:      deliveryCounts(sum),
	}
	itemCounts(v.Items, sum.Items)
	for i := range d.steps.Steps {
		name := d.steps.Steps[i].Name
		c := sum.Steps[name]
		v.Steps = append(v.Steps, &distributionv1.StepCounts{
			Name: name, Pending: int32(c[plan.Pending]), Ready: int32(c[plan.Ready]), Running: int32(c[plan.Running]),
			Retrying: int32(c[plan.Retrying]), Done: int32(c[plan.Done]), Failed: int32(c[plan.Failed]),
			Skipped: int32(c[plan.Skipped]), Cancelled: int32(c[plan.Cancelled]),
		})
	}
	for _, f := range d.spec.Files {
		v.Files = append(v.Files, &distributionv1.FileRef{Sha256: f.SHA256, Name: f.Name})
	}
	return v
}

func itemCounts(v *distributionv1.ItemCounts, c map[plan.ItemState]int) {
	v.Pending, v.Running, v.Done = int32(c[plan.ItemPending]), int32(c[plan.ItemRunning]), int32(c[plan.ItemDone])
	v.Failed, v.Skipped, v.Cancelled = int32(c[plan.ItemFailed]), int32(c[plan.ItemSkipped]), int32(c[plan.ItemCancelled])
}

func deliveryCounts(sum *store.Summary) *distributionv1.DeliveryCounts {
	c := sum.Deliveries
	return &distributionv1.DeliveryCounts{
		Total: int32(sum.Size.Recipients), Queued: int32(c[plan.Queued]), Sending: int32(c[plan.Sending]), Sent: int32(c[plan.Sent]),
		Uncertain: int32(c[plan.Uncertain]), Delivered: int32(c[plan.Delivered]), Deferred: int32(c[plan.Deferred]),
		Bounced: int32(c[plan.Bounced]), Blocked: int32(c[plan.Blocked]), Complained: int32(c[plan.Complained]),
		Failed: int32(c[plan.NotSent]), Cancelled: int32(c[plan.Withdrawn]),
	}
}

func unknown(id string) error {
	return fault.New(fault.NotFound, "DISTRIBUTION_UNKNOWN", "there is no distribution %q in this production", id)
}

func badCursor(cursor string) error {
	return fault.New(fault.Invalid, "PAGE_TOKEN_INVALID", "page_token %q is not one that this list has given", cursor)
}

func page(size int32) int {
	if size == 0 {
		return defaultPage
	}
	return int(size)
}

func position(cursor string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(cursor)
	if err != nil || n < 0 {
		return 0, badCursor(cursor)
	}
	return n, nil
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
