package cli_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func (f *fake) create(r *http.Request, body []byte) (any, *problem) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return nil, &problem{400, "IDEMPOTENCY_KEY_MISSING", "send one"}
	}
	if before, ok := f.keys[key]; ok {
		if before.body != string(body) {
			return nil, &problem{409, "IDEMPOTENCY_CONFLICT", "this key was used for another request"}
		}
		return f.find(before.id), nil
	}
	req := &distributionv1.CreateDistributionRequest{}
	err := protojson.Unmarshal(body, req)
	if err != nil {
		return nil, &problem{400, "INVALID", err.Error()}
	}
	if strings.Contains(req.GetMark(), "{nonsense}") {
		return nil, &problem{400, "MARK_FIELD_UNKNOWN", "the mark names {nonsense}, and no recipient has it"}
	}
	for _, ref := range req.GetFiles() {
		if f.files[ref.GetSha256()] == nil {
			return nil, &problem{404, "FILE_UNKNOWN", "there is no file " + ref.GetSha256()}
		}
	}
	d := &distributionv1.Distribution{
		Id: fmt.Sprintf("D%d", len(f.dists)+1), Production: req.GetProduction(), Title: req.GetTitle(), State: "accepted",
		Mode: req.GetMode(), CreatedAt: timestamppb.New(epoch), Files: req.GetFiles(),
	}
	if req.GetHoldFor() != nil {
		d.HeldUntil = timestamppb.New(time.Now().Add(req.GetHoldFor().AsDuration()))
	}
	if m := req.GetMarkStyle(); m != nil {
		d.Title = fmt.Sprintf("%s %s %d%% %dpt on %s", m.GetLayout(), m.GetColor(), m.GetOpacity(), m.GetSize(), m.GetPages())
	}
	if req.GetLinkLifetime() != nil {
		d.Title = "links for " + req.GetLinkLifetime().AsDuration().String()
	}
	if d.Title == "" {
		d.Title = req.GetFiles()[0].GetName()
	}
	d.Definition, d.Priority, d.Deadline = &distributionv1.Definition{Name: req.GetDefinition(), Version: req.GetDefinitionVersion()}, req.GetPriority(), req.GetDeadline()
	f.asked = req
	if d.Title == "One of many" {
		d.Parent, d.ParentStep, d.Children = "D1", "announce", []string{"D5", "D6", "D7", "D8"}
		d.Deadline, d.LateBy = timestamppb.New(epoch.Add(2*time.Second)), durationpb.New(90*time.Second)
		d.Error = &distributionv1.Error{Code: "TOO_MANY_FAILURES", Message: "too many items failed: 4 of 20, and 3 are tolerated"}
	}
	f.people[d.Id] = req.GetRecipients()
	f.dists = append(f.dists, d)
	f.keys[key] = created{body: string(body), id: d.Id}
	f.count(d)
	return d, nil
}

func (f *fake) find(id string) *distributionv1.Distribution {
	for _, d := range f.dists {
		if d.Id == id {
			return d
		}
	}
	return nil
}

// failing is the outcome with failures: the second recipient's mail is refused; the third's first file fails and the
// others are sent; a fourth's first file fails, too, and so nothing is sent.
const failing = "completed_with_failures"

// count sets the counts of d by its state.
func (f *fake) count(d *distributionv1.Distribution) {
	people, files := int32(len(f.people[d.Id])), int32(len(d.Files))
	items := &distributionv1.ItemCounts{Total: people * files}
	recipients := &distributionv1.DeliveryCounts{Total: people}
	mark := &distributionv1.StepCounts{Name: "watermark"}
	mail := &distributionv1.StepCounts{Name: "email"}
	switch d.State {
	case "completed":
		items.Done, recipients.Sent, mark.Done, mail.Done = people*files, people, people*files, people
	case failing:
		items.Failed, recipients.Sent, recipients.Blocked = files+1, people-1, 1
		items.Done = people*files - items.Failed
		mark.Done, mark.Failed, mail.Done, mail.Failed = people*files-1, 1, people-1, 1
	case "cancelled":
		items.Cancelled, recipients.Cancelled, mark.Cancelled, mail.Cancelled = people*files, people, people*files, people
	default:
		items.Running, recipients.Queued, mark.Running, mail.Pending = people*files, people, people*files, people
		if d.Title == "Slow" {
			mark.Running, mark.Retrying = 0, people*files
		}
		if d.Title == "Stuck" {
			mark.Running, mark.Done, mail.Pending, mail.Ready = 0, people*files, 0, people
		}
	}
	d.Items, d.Recipients, d.Steps = items, recipients, []*distributionv1.StepCounts{mark, mail}
}

func (f *fake) status(r *http.Request, _ []byte) (any, *problem) {
	d := f.find(r.PathValue("id"))
	if d == nil || d.Production != r.PathValue("production") {
		return nil, unknownDistribution(r)
	}
	return f.look(d), nil
}

// look shows d to somebody, who by looking brings it on.
func (f *fake) look(d *distributionv1.Distribution) []byte {
	f.looks[d.Id]++
	if d.EndedAt == nil && f.looks[d.Id] >= 2 && f.outcome != "" && d.State != "paused" {
		d.State, d.EndedAt = f.outcome, timestamppb.New(epoch.Add(3500*time.Millisecond))
	} else if d.EndedAt == nil && d.State != "paused" {
		d.State, d.StartedAt = "running", timestamppb.New(epoch.Add(time.Second))
	}
	f.count(d)
	data := encode(d)
	// A newer server says more than this client knows.
	return bytes.Replace(data, []byte("{"), []byte(`{"from_the_future":{"x":1},`), 1)
}

func unknownDistribution(r *http.Request) *problem {
	return &problem{404, "DISTRIBUTION_UNKNOWN", fmt.Sprintf("there is no distribution %q in the production %s", r.PathValue("id"), r.PathValue("production"))}
}

func (f *fake) list(r *http.Request, _ []byte) (any, *problem) {
	var all []*distributionv1.Distribution
	for _, d := range f.dists {
		if d.Production == r.PathValue("production") {
			all = append(all, d)
		}
	}
	slices.Reverse(all)
	part, next := page(r, all)
	return &distributionv1.ListDistributionsResponse{Distributions: part, NextPageToken: next}, nil
}

var (
	unmarkable = &distributionv1.Error{Code: "MARK_NO_GLYPH", Message: "no font has the letter U+F8FF"}
	refusedTo  = &distributionv1.Error{Code: "SMTP_REFUSED", Message: "the mail server refused the address: 550 no such user"}
)

func (f *fake) items(r *http.Request, _ []byte) (any, *problem) {
	d := f.find(r.PathValue("id"))
	if d == nil {
		return nil, unknownDistribution(r)
	}
	var all []*distributionv1.Item
	for fi, file := range d.Files {
		for ri, p := range f.people[d.Id] {
			i := &distributionv1.Item{
				Id: fmt.Sprintf("%s.%d.%d", d.Id, fi+1, ri+1), File: file, State: "done",
				Recipient: &distributionv1.RecipientRef{Id: fmt.Sprintf("%s.r%d", d.Id, ri+1), Name: p.Name, Email: p.Email},
			}
			switch {
			case d.State == failing && ri == 1:
				i.State, i.Error = "failed", refusedTo
				i.Steps = []*distributionv1.StepView{{Name: "watermark", State: "done"}, {Name: "email", State: "failed", Error: refusedTo}}
			case d.State == failing && ri >= 2 && fi == 0:
				i.State, i.Error = "failed", unmarkable
				i.Steps = []*distributionv1.StepView{{Name: "watermark", State: "failed", EndedAt: timestamppb.New(epoch), Error: unmarkable}}
			case d.Title == "Slow":
				i.State = "running"
				i.Steps = []*distributionv1.StepView{{Name: "watermark", State: "retrying", Attempts: 1, RetryAt: timestamppb.New(epoch.Add(time.Hour))}}
			case d.EndedAt == nil:
				i.State = "running"
			}
			if i.State == "done" {
				i.Sha256 = fmt.Sprintf("%x", sha256.Sum256(copyOf(i.Id)))
			}
			if want := r.FormValue("state"); want == "" || want == i.State {
				all = append(all, i)
			}
		}
	}
	part, next := page(r, all)
	return &distributionv1.ListItemsResponse{Items: part, NextPageToken: next}, nil
}

func copyOf(item string) []byte { return []byte("copy of " + item) }

// copy sends the copies of all but the third recipient.
func (f *fake) copy(r *http.Request, _ []byte) (any, *problem) {
	item := r.PathValue("item")
	if strings.HasSuffix(item, ".3") {
		return nil, &problem{404, "ARTIFACT_MISSING", "this has not been made for item " + item + ", or not yet"}
	}
	return copyOf(item), nil
}

func (f *fake) report(r *http.Request, _ []byte) (any, *problem) {
	if f.find(r.PathValue("id")) == nil {
		return nil, unknownDistribution(r)
	}
	return []byte("name,email\r\nAda,ada@example.com\r\n"), nil
}

func (f *fake) recipients(r *http.Request, _ []byte) (any, *problem) {
	d := f.find(r.PathValue("id"))
	if d == nil {
		return nil, unknownDistribution(r)
	}
	var all []*distributionv1.Recipient
	files := int32(len(d.Files))
	for i, p := range f.people[d.Id] {
		v := &distributionv1.Recipient{
			Id: fmt.Sprintf("%s.r%d", d.Id, i+1), Name: p.Name, Email: p.Email,
			Items:    &distributionv1.ItemCounts{Total: files, Done: files},
			Mark:     f.marks[fmt.Sprintf("%s.r%d", d.Id, i+1)],
			Delivery: &distributionv1.Delivery{Channel: "email", State: "sent", Reply: "250 2.0.0 ok"},
		}
		switch {
		case d.State == failing && i == 1:
			v.Delivery.State, v.Delivery.Error = "blocked", refusedTo
			v.Items = &distributionv1.ItemCounts{Total: files, Failed: files}
		case d.State == failing && i == 2:
			v.Items = &distributionv1.ItemCounts{Total: files, Done: files - 1, Failed: 1}
		case d.State == failing && i == 3:
			v.Delivery.State = "failed"
			v.Delivery.Error = &distributionv1.Error{Code: unmarkable.Code, Message: "not done, because what it needs has failed"}
			v.Items = &distributionv1.ItemCounts{Total: files, Failed: files}
		}
		if d.Mode != "attachment" && d.State == "completed" {
			v.Delivery.Access = "active"
			if f.revoked[d.Id] {
				v.Delivery.Access = "revoked"
			}
			if i == 0 {
				v.Delivery.ViewedAt, v.Delivery.DownloadedAt = timestamppb.New(epoch), timestamppb.New(epoch.Add(time.Minute))
			}
		}
		if again := f.again[v.Id]; again != nil {
			v.Delivery = again
		}
		all = append(all, v)
	}
	part, next := page(r, all)
	return &distributionv1.ListRecipientsResponse{Recipients: part, NextPageToken: next}, nil
}

func (f *fake) events(r *http.Request, _ []byte) (any, *problem) {
	d := f.find(r.PathValue("id"))
	if d == nil {
		return nil, unknownDistribution(r)
	}
	part, next := page(r, []*distributionv1.Event{
		{Id: "1-0", Time: timestamppb.New(epoch), Kind: "accepted"},
		{Id: "2-0", Time: timestamppb.New(epoch.Add(time.Second)), Kind: "planned"},
		{Id: "2-1", Time: timestamppb.New(epoch.Add(time.Second)), Kind: "retry_requested", Worker: "tok1", Text: "all recipients; what failed with BUSY"},
		{
			Id: "3-0", Time: timestamppb.New(epoch.Add(1250 * time.Millisecond)), StartedAt: timestamppb.New(epoch.Add(time.Second)),
			Kind: "attempt", Step: "watermark", Unit: "i1.1", Attempt: 1, Worker: "w1", State: "retrying",
			Error: &distributionv1.Error{Code: "BUSY", Message: "out of memory"},
		},
	})
	return &distributionv1.ListEventsResponse{Events: part, NextPageToken: next}, nil
}
