package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
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

// ListItems implements distributionv1.DistributionServiceServer. With a state asked for it looks through at most 1,000
// items a call, so a page can be short, or empty, and yet have a next one.
func (s *Server) ListItems(ctx context.Context, req *distributionv1.ListItemsRequest) (*distributionv1.ListItemsResponse, error) {
	d, err := s.find(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	from, err := position(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	most := page(req.GetPageSize())
	resp := &distributionv1.ListItemsResponse{}
	for looked := 0; from < d.size.Items() && len(resp.GetItems()) < most && looked < 1000; {
		n := min(most-len(resp.GetItems()), d.size.Items()-from)
		if req.GetState() != "" {
			n = min(100, d.size.Items()-from)
		}
		items, err := s.itemViews(ctx, d, from, n)
		if err != nil {
			return nil, unavailable(err)
		}
		for _, item := range items {
			if len(resp.GetItems()) == most {
				break
			}
			from++
			looked++
			if req.GetState() == "" || item.GetState() == req.GetState() {
				resp.Items = append(resp.Items, item)
			}
		}
	}
	if from < d.size.Items() {
		resp.NextPageToken = strconv.Itoa(from)
	}
	return resp, nil
}

// itemViews makes the views of n items from the from-th on, in the order file, recipient.
func (s *Server) itemViews(ctx context.Context, d *distribution, from, n int) ([]*distributionv1.Item, error) {
	units := make([]plan.Unit, n)
	var numbers []int
	var others []plan.Unit // recipients and files whose records say more about the items
	seen := map[plan.Unit]bool{}
	for i := range units {
		u := d.size.UnitAt(1 + d.size.Recipients + from + i)
		units[i] = u
		for _, o := range []plan.Unit{{Recipient: u.Recipient}, {File: u.File}} {
			if !seen[o] {
				seen[o] = true
				others = append(others, o)
				if o.Recipient > 0 {
					numbers = append(numbers, o.Recipient)
				}
			}
		}
	}
	records, err := s.store.Units(ctx, d.production, d.id, slices.Concat(units, others))
	if err != nil {
		return nil, err
	}
	people, err := s.store.Recipients(ctx, d.production, d.id, numbers)
	if err != nil {
		return nil, err
	}
	person := map[int]store.Recipient{}
	for i, number := range numbers {
		person[number] = people[i]
	}
	about := map[plan.Unit]store.UnitRecord{}
	for _, rec := range records[n:] {
		about[rec.Unit] = rec
	}
	out := make([]*distributionv1.Item, n)
	for i, rec := range records[:n] {
		out[i] = d.itemView(rec, person[rec.Recipient], about[plan.Unit{Recipient: rec.Recipient}], about[plan.Unit{File: rec.File}])
	}
	return out, nil
}

func (d *distribution) itemView(rec store.UnitRecord, r store.Recipient, recipient, file store.UnitRecord) *distributionv1.Item {
	f := d.spec.Files[rec.File-1]
	phase := rec.Phase
	if phase == "" {
		phase = plan.PhasePending // not laid out yet
	}
	item := &distributionv1.Item{
		Id:        itemID(d.id, rec.Unit),
		File:      &distributionv1.FileRef{Sha256: f.SHA256, Name: f.Name},
		Recipient: &distributionv1.RecipientRef{Id: recipientID(d.id, rec.Recipient), Name: r.Name, Email: r.Email},
		State:     string(plan.Item(phase, recipient.Delivery)),
	}
	// In the definition's order, from whichever record a step is in: the whole way of the item, in one look.
	for i := range d.steps.Steps {
		step := &d.steps.Steps[i]
		from := rec
		switch step.Scope {
		case plan.ScopeFile:
			from = file
		case plan.ScopeRecipient:
			from = recipient
		case plan.ScopeDistribution:
			continue
		}
		st, ok := from.Steps[step.Name]
		if !ok {
			continue
		}
		v := d.stepView(step, st, file, recipient)
		item.Steps = append(item.Steps, v)
		if item.GetState() == string(plan.ItemFailed) && v.GetError() != nil && !step.Optional && item.GetError() == nil &&
			(st.State == plan.Failed || st.State == plan.Cancelled) {
			item.Error = v.GetError()
		}
		if step.Scope != plan.ScopeItem {
			continue
		}
		made := artifactOf(st.Output)
		switch {
		case made.SHA256 == "":
		case step.Optional:
			item.Thumbnail = "/v1/productions/" + d.production + "/distributions/" + d.id + "/items/" + item.GetId() + "/thumbnail"
		case item.GetSha256() == "":
			item.Sha256, item.Size = made.SHA256, made.Size
		}
	}
	return item
}

// artifact is what an item's step made, as far as its output says.
type artifact struct {
	Key       string `json:"key"`
	SHA256    string `json:"sha256"`
	Size      int64  `json:"size,string"`
	MediaType string `json:"media_type"`
}

func artifactOf(output string) artifact {
	var out struct {
		Artifact artifact `json:"artifact"`
	}
	if output != "" {
		_ = json.Unmarshal([]byte(output), &out) // somebody's own function may answer something else
	}
	return out.Artifact
}

// GetArtifact implements distributionv1.DistributionServiceServer.
func (s *Server) GetArtifact(ctx context.Context, req *distributionv1.GetArtifactRequest) (*distributionv1.GetArtifactResponse, error) {
	d, err := s.find(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	text, ok := strings.CutPrefix(req.GetItem(), d.id+".")
	u, err := plan.ParseUnit("i" + text)
	if !ok || err != nil || u.File > d.size.Files || u.Recipient > d.size.Recipients || u.Scope() != plan.ScopeItem {
		return nil, fault.New(fault.NotFound, "ITEM_UNKNOWN", "there is no item %q in distribution %s", req.GetItem(), d.id)
	}
	records, err := s.store.Units(ctx, d.production, d.id, []plan.Unit{u})
	if err != nil {
		return nil, unavailable(err)
	}
	for _, step := range d.steps.Steps {
		made := artifactOf(records[0].Steps[step.Name].Output)
		if step.Scope == plan.ScopeItem && step.Optional == req.GetThumbnail() && made.Key != "" {
			return &distributionv1.GetArtifactResponse{Key: made.Key, Sha256: made.SHA256, Size: made.Size, MediaType: made.MediaType,
				Name: d.spec.Files[u.File-1].Name}, nil
		}
	}
	return nil, fault.New(fault.NotFound, "ARTIFACT_MISSING", "this has not been made for item %s, or not yet", req.GetItem())
}

func (d *distribution) stepView(step *plan.Step, st store.StepRecord, needs ...store.UnitRecord) *distributionv1.StepView {
	v := &distributionv1.StepView{
		Name: step.Name, State: string(st.State), Attempts: int32(st.Attempts), Worker: st.Worker,
		StartedAt: stamp(st.Started), EndedAt: stamp(st.Ended),
	}
	if st.State == plan.Retrying {
		v.RetryAt = stamp(st.RetryAt)
	}
	if st.Code != "" && st.State != plan.Done {
		v.Error = &distributionv1.Error{Code: st.Code, Message: st.Message, Retryable: st.State == plan.Retrying || st.State == plan.Ready}
		if st.Message == "" {
			v.Error.Message = d.because(step, st.Code, needs)
		}
	}
	return v
}

// because says why a step was ended that never ran: what it needed has failed, and there the sentence is.
func (d *distribution) because(step *plan.Step, code string, needs []store.UnitRecord) string {
	if code == "CANCELLED" {
		return "the distribution was cancelled before this was done"
	}
	for _, name := range step.Needs {
		for _, rec := range needs {
			need, ok := rec.Steps[name]
			if ok && need.Code == code && need.Message != "" {
				return need.Message
			}
		}
	}
	if step.Delivers != "" && d.spec.OnFailure == "hold" {
		return "held back: not all documents of this recipient could be made, and the policy is to send all or nothing"
	}
	return "not done, because what it needs has failed"
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
