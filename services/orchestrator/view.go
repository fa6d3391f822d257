package orchestrator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
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
	err := s.family(ctx, req.GetProduction(), req.GetDistribution(), func(id string) error {
		return s.store.Cancel(ctx, req.GetProduction(), id, who(ctx))
	})
	if errors.Is(err, store.ErrEnded) {
		return nil, fault.New(fault.Conflict, "DISTRIBUTION_ENDED", "distribution %s has ended already; what was sent cannot be called back", req.GetDistribution())
	}
	if err != nil {
		return nil, s.changeError(req.GetDistribution(), err)
	}
	s.kickChores()
	s.deps.Log.InfoContext(ctx, "cancel requested", "distribution", req.GetDistribution(), "production", req.GetProduction())
	d, err := s.view(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	return &distributionv1.CancelDistributionResponse{Distribution: d}, nil
}

// PauseDistribution implements distributionv1.DistributionServiceServer.
func (s *Server) PauseDistribution(ctx context.Context, req *distributionv1.PauseDistributionRequest) (*distributionv1.PauseDistributionResponse, error) {
	d, err := s.setPaused(ctx, req.GetProduction(), req.GetDistribution(), true)
	if err != nil {
		return nil, err
	}
	return &distributionv1.PauseDistributionResponse{Distribution: d}, nil
}

// ResumeDistribution implements distributionv1.DistributionServiceServer.
func (s *Server) ResumeDistribution(ctx context.Context, req *distributionv1.ResumeDistributionRequest) (*distributionv1.ResumeDistributionResponse, error) {
	d, err := s.setPaused(ctx, req.GetProduction(), req.GetDistribution(), false)
	if err != nil {
		return nil, err
	}
	return &distributionv1.ResumeDistributionResponse{Distribution: d}, nil
}

func (s *Server) setPaused(ctx context.Context, production, id string, on bool) (*distributionv1.Distribution, error) {
	err := s.family(ctx, production, id, func(id string) error {
		return s.store.Pause(ctx, production, id, who(ctx), on)
	})
	if errors.Is(err, store.ErrEnded) {
		return nil, fault.New(fault.Conflict, "DISTRIBUTION_ENDED", "distribution %s has ended already; there is nothing to pause or to resume", id)
	}
	if err != nil {
		return nil, s.changeError(id, err)
	}
	s.kickChores()
	return s.view(ctx, production, id)
}

// family does something to a distribution and to all that it started and that have not ended.
func (s *Server) family(ctx context.Context, production, id string, do func(id string) error) error {
	err := do(id)
	if err != nil {
		return err
	}
	children, err := s.store.Children(ctx, production, id)
	if err != nil {
		return err
	}
	for _, child := range children {
		err = s.family(ctx, production, child, do)
		if err != nil && !errors.Is(err, store.ErrEnded) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

func (s *Server) changeError(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return unknown(id)
	}
	return unavailable(err)
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
	if r.Look != nil {
		v.Mark, v.MarkStyle = r.Look.Template, look(*r.Look).message()
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
	if errors.Is(err, store.ErrArchived) {
		return nil, fault.New(fault.Unavailable, "EVENTS_ARCHIVED", "the events of distribution %s are in the archive, which an observer reads, and none answers; try again when one does", req.GetDistribution())
	}
	if err != nil {
		return nil, unavailable(err)
	}
	resp := &distributionv1.ListEventsResponse{NextPageToken: next}
	for _, e := range events {
		v := &distributionv1.Event{
			Id: e.ID, Time: stamp(e.Time()), Kind: e.Kind, Step: e.Step, Unit: e.Unit, Attempt: int32(e.Attempt),
			Worker: e.Worker, StartedAt: stamp(e.Started), State: e.State, Text: e.Text,
		}
		if e.Code != "" {
			v.Error = &distributionv1.Error{Code: e.Code, Message: e.Message, Retryable: !plan.State(e.State).Final()}
		}
		given(v, e)
		resp.Events = append(resp.Events, v)
	}
	return resp, nil
}

// given adds to an attempt's event what held it up, what its function gave beside its answer, and when it is tried again.
func given(v *distributionv1.Event, e store.Event) {
	v.RetryAt, v.Limit = stamp(e.RetryAt), e.Limit
	if e.Limit != "" {
		v.LimitWait = durationpb.New(e.LimitWait)
	}
	v.BytesIn, v.BytesOut = e.Figures.In, e.Figures.Out
	v.Delivery, v.Again = e.Delivery, e.Again
	for _, m := range e.Figures.Metrics {
		v.Metrics = append(v.Metrics, &taskv1.Metric{Name: m.Name, Value: m.Value, Labels: m.Labels})
	}
	for _, l := range e.Figures.Lines {
		v.Log = append(v.Log, &taskv1.LogLine{Time: stamp(time.UnixMilli(l.Time)), Level: l.Level, Text: l.Text})
	}
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
	v := view(sum, d)
	if slices.ContainsFunc(d.steps.Steps, func(st plan.Step) bool { return st.Starts }) {
		v.Children, err = s.store.Children(ctx, production, id)
		if err != nil {
			return nil, unavailable(err)
		}
	}
	return v, nil
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
		Mark:            d.spec.look().Template,
		MarkStyle:       d.spec.look().message(),
		Priority:        int32(sum.Priority),
		LateBy:          lateness(sum),
		Policy:          d.spec.policy(),
	}
	parent := strings.Split(sum.Parent, "/") // distribution, unit, step
	if len(parent) == 3 {
		v.Parent, v.ParentStep = parent[0], parent[2]
	}
	if sum.StoppedBy == plan.ByFailures {
		v.Error = &distributionv1.Error{Code: "TOO_MANY_FAILURES", Retryable: false,
			Message: "more items failed than this distribution's policy tolerates, so the rest was cancelled; mend what failed and send those as a new one"}
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

// policy is what the distribution decides by itself.
func (s *spec) policy() *distributionv1.Policy {
	p := &distributionv1.Policy{OnFailure: cmp.Or(s.OnFailure, "send_available"), OnUncertain: cmp.Or(s.OnUncertain, string(plan.Resend))}
	if s.Tolerate != nil {
		p.Tolerate = &distributionv1.Tolerance{Items: new(int32(*s.Tolerate))}
	}
	return p
}

// lateness is how far past its deadline a distribution ended, or is; nil when it is not.
func lateness(sum *store.Summary) *durationpb.Duration {
	end := sum.Ended
	if end.IsZero() {
		end = time.Now()
	}
	late := end.Sub(sum.Deadline)
	if sum.Deadline.IsZero() || late <= 0 {
		return nil
	}
	return durationpb.New(late)
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
