package orchestrator

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

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
		made := ArtifactOf(st.Output)
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

// Artifact is what a step made, as far as its output says; without a key, nothing.
type Artifact struct {
	Key       string `json:"key"`
	SHA256    string `json:"sha256"`
	Size      int64  `json:"size,string"`
	MediaType string `json:"media_type"`
}

// ArtifactOf reads what a step made out of its output.
func ArtifactOf(output string) Artifact {
	var out struct {
		Artifact Artifact `json:"artifact"`
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
		made := ArtifactOf(records[0].Steps[step.Name].Output)
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
	switch code {
	case plan.CodeCancelled:
		return "it was cancelled before this was done"
	case plan.CodeSkipped:
		return "it failed, and a person had it left out"
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
