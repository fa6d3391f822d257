package orchestrator_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

func (b *testBundle) choose(req *distributionv1.RetryDistributionRequest) error {
	req.Production = "default"
	_, err := b.distributions.RetryDistribution(b.t.Context(), req)
	return err
}

// mails counts what each address was sent.
func (b *testBundle) mails() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]int{}
	for address, all := range b.sent {
		out[address] = len(all)
	}
	return out
}

func (b *testBundle) events(id, kind string) []*distributionv1.Event {
	b.t.Helper()
	var all []*distributionv1.Event
	for cursor := ""; ; {
		resp, err := b.distributions.ListEvents(b.t.Context(), &distributionv1.ListEventsRequest{Production: "default", Distribution: id, PageSize: 1000, PageToken: cursor})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, e := range resp.GetEvents() {
			if e.GetKind() == kind {
				all = append(all, e)
			}
		}
		cursor = resp.GetNextPageToken()
		if cursor == "" {
			return all
		}
	}
}

func TestARetryByCodeTouchesExactlyThose(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var broken atomic.Bool
	broken.Store(true)
	var tries sync.Map // by address
	send := b.send
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		address := r.GetTo().GetEmail()
		n, _ := tries.LoadOrStore(address, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		var number int
		_, err := fmt.Sscanf(address, "p%d@", &number)
		if err != nil {
			return nil, err
		}
		switch {
		case broken.Load() && number%50 == 7: // 20 of 1,000
			return nil, fault.New(fault.Invalid, "MAIL_REFUSED", "no such user")
		case broken.Load() && number%50 == 8 && number < 850: // 17
			return nil, fault.New(fault.Invalid, "MAILBOX_FULL", "full")
		}
		return send(ctx, r)
	}
	id := b.create(request(1, 1000))
	d := b.until(id, ended)
	if d.GetRecipients().GetFailed() != 37 || d.GetRecipients().GetSent() != 963 {
		t.Fatalf("before: %v", d)
	}
	broken.Store(false)
	err := b.choose(&distributionv1.RetryDistributionRequest{Distribution: id, Code: "MAIL_REFUSED"})
	if err != nil {
		t.Fatal(err)
	}
	d = b.until(id, ended)
	if d.GetRecipients().GetFailed() != 17 || d.GetRecipients().GetSent() != 983 || d.GetItems().GetDone() != 983 || d.GetItems().GetFailed() != 17 {
		t.Errorf("after: %v", d)
	}
	for n := 1; n <= 1000; n++ {
		want := int64(1)
		if n%50 == 7 {
			want = 2
		}
		got, _ := tries.Load(fmt.Sprintf("p%d@example.com", n))
		if got.(*atomic.Int64).Load() != want {
			t.Errorf("%d tries to send to recipient %d, want %d", got.(*atomic.Int64).Load(), n, want)
		}
	}
	if n := len(b.events(id, "retry")); n != 20 {
		t.Errorf("%d recipients were retried, want 20", n)
	}
	asked := b.events(id, "retry_requested")
	if len(asked) != 1 || !strings.Contains(asked[0].GetText(), "MAIL_REFUSED") {
		t.Errorf("asked: %v", asked)
	}
	for code, want := range map[string]string{"MAIL_REFUSED": "NOTHING_TO_RETRY", "MAILBOX_FULL": ""} {
		numbers := []string{id + ".r7", id + ".r8", id + ".r57"}
		err = b.choose(&distributionv1.RetryDistributionRequest{Distribution: id, Code: code, Recipients: numbers})
		if (err == nil) != (want == "") || err != nil && fault.From(err).Reason != want {
			t.Errorf("%s of three recipients: %v", code, err)
		}
	}
	d = b.until(id, ended)
	if d.GetRecipients().GetFailed() != 16 {
		t.Errorf("one of them had failed so: %v", d)
	}
}

func TestRedoIsAnotherMailByAnotherLink(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var stamps atomic.Int64
	stamp := b.stamp
	b.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		stamps.Add(1)
		return stamp(ctx, r)
	}
	req := request(2, 3)
	req.Mode = "link"
	id := b.create(req)
	b.until(id, ended)
	one := []string{id + ".r2"}
	for _, done := range []string{"", "skip"} {
		err := b.choose(&distributionv1.RetryDistributionRequest{Distribution: id, Recipients: one, Done: done})
		if fault.From(err).Reason != "NOTHING_TO_RETRY" {
			t.Errorf("%q: %v", done, err)
		}
	}
	if d := b.get(id); d.GetState() != "completed" || len(b.events(id, "retry_requested")) != 0 {
		t.Errorf("asking in vain changed something: %v", d)
	}
	err := b.choose(&distributionv1.RetryDistributionRequest{Distribution: id, Recipients: one, Done: "redo"})
	if err != nil {
		t.Fatal(err)
	}
	d := b.until(id, ended)
	if d.GetState() != "completed" || d.GetItems().GetDone() != 6 || d.GetRecipients().GetSent() != 3 || stamps.Load() != 8 {
		t.Errorf("after %d copies: %v", stamps.Load(), d)
	}
	if diff := cmp.Diff(map[string]int{"p1@example.com": 1, "p2@example.com": 2, "p3@example.com": 1}, b.mails()); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
	second := b.sent["p2@example.com"][1]
	if second.GetDelivery() != id+".r2.1" || second.GetLink() != id+".r2.1" || len(b.links) != 4 {
		t.Errorf("the second mail: %v, links %v", second, b.links)
	}
	if diff := cmp.Diff([]string{id + ".r2"}, b.revoked); diff != "" {
		t.Errorf("links that were ended (-want +got):\n%s", diff)
	}
	if asked := b.events(id, "retry_requested"); len(asked) != 1 || asked[0].GetText() != "recipient 2; what is done again" {
		t.Errorf("asked: %v", asked)
	}
}

// marking makes copies that say which mark they have.
func (b *testBundle) marking() (stamps, renders *atomic.Int64) {
	stamps, renders = new(atomic.Int64), new(atomic.Int64)
	b.stamp = func(_ context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		stamps.Add(1)
		key := r.GetItem() + " " + r.GetMark().GetTemplate() + " " + r.GetMark().GetLayout()
		return &watermarkv1.StampResponse{Artifact: &watermarkv1.Artifact{Key: key, Sha256: strings.Repeat("a", 64)}}, nil
	}
	b.render = func(*thumbnailv1.RenderRequest) { renders.Add(1) }
	return stamps, renders
}

func TestAnotherMarkIsMadeAndSentToThoseChosen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stamps, renders := b.marking()
	id := b.create(request(1, 3))
	b.until(id, ended)
	chosen := &distributionv1.RetryDistributionRequest{Distribution: id, Recipients: []string{id + ".r1", id + ".r3"}, Mark: "for {name}"}
	err := b.choose(chosen)
	if err != nil {
		t.Fatal(err)
	}
	d := b.until(id, ended)
	if d.GetState() != "completed" || d.GetItems().GetDone() != 3 || stamps.Load() != 5 || renders.Load() != 5 || d.GetMark() != "{name}\n{email}" {
		t.Errorf("%d copies, %d thumbnails: %v", stamps.Load(), renders.Load(), d)
	}
	if diff := cmp.Diff(map[string]int{"p1@example.com": 2, "p2@example.com": 1, "p3@example.com": 2}, b.mails()); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
	last := b.sent["p3@example.com"][1]
	if last.GetDelivery() != id+".r3.1" || last.GetAttachments()[0].GetKey() != id+".1.3 for {name} " {
		t.Errorf("the new mail: %v", last)
	}
	if rs := b.recipients(id); rs[0].GetMark() != "for {name}" || rs[1].GetMark() != "" || rs[0].MarkStyle != nil {
		t.Errorf("recipients: %v", rs)
	}
	// The same again changes nothing, and for all it changes the one who has not got it.
	err = b.choose(chosen)
	if fault.From(err).Reason != "NOTHING_TO_RETRY" {
		t.Errorf("the same mark again: %v", err)
	}
	chosen.Recipients = nil
	err = b.choose(chosen)
	if err != nil {
		t.Fatal(err)
	}
	b.until(id, ended)
	if diff := cmp.Diff(map[string]int{"p1@example.com": 2, "p2@example.com": 2, "p3@example.com": 2}, b.mails()); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
	// A style alone leaves everybody the text that they have.
	style := &distributionv1.MarkStyle{Layout: "tiled"}
	err = b.choose(&distributionv1.RetryDistributionRequest{Distribution: id, Recipients: []string{id + ".r3"}, MarkStyle: style})
	if err != nil {
		t.Fatal(err)
	}
	b.until(id, ended)
	r := b.recipients(id)[2]
	if diff := cmp.Diff(style, r.GetMarkStyle(), protocmp.Transform()); diff != "" || r.GetMark() != "for {name}" {
		t.Errorf("the mark %q, its style (-want +got):\n%s", r.GetMark(), diff)
	}
	if key := b.sent["p3@example.com"][2].GetAttachments()[0].GetKey(); key != id+".1.3 for {name} tiled" {
		t.Errorf("the copy with a style: %q", key)
	}
	// Sent again to another name it is their mark still.
	_, err = b.distributions.ResendRecipient(t.Context(), &distributionv1.ResendRecipientRequest{
		Production: "default", Distribution: id, Recipient: id + ".r3", Name: "Somebody Else"})
	if err != nil {
		t.Fatal(err)
	}
	b.until(id, ended)
	if key := b.sent["p3@example.com"][3].GetAttachments()[0].GetKey(); key != id+".1.3 for {name} tiled" {
		t.Errorf("the copy in another name: %q", key)
	}
	// What was the distribution's mark is no mark of one's own.
	err = b.choose(&distributionv1.RetryDistributionRequest{Distribution: id, Mark: "{name}\n{email}", MarkStyle: &distributionv1.MarkStyle{}})
	if err != nil {
		t.Fatal(err)
	}
	b.until(id, ended)
	for _, r := range b.recipients(id) {
		if r.GetMark() != "" {
			t.Errorf("recipient: %v", r)
		}
	}
}

func TestAnotherMarkThatCannotBeDrawnChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stamps, _ := b.marking()
	req := request(1, 3)
	req.Mark = "{email}"
	req.Recipients[1].Name = "Bea\ue124"
	req.Recipients[2].Fields = map[string]string{"shoe": "44"}
	send := b.send
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		if r.GetTo().GetEmail() == "p1@example.com" {
			return nil, fault.New(fault.Invalid, "MAIL_REFUSED", "no such user")
		}
		return send(ctx, r)
	}
	id := b.create(req)
	b.until(id, ended)
	for name, tc := range map[string]struct {
		req  *distributionv1.RetryDistributionRequest
		code string
		say  string
	}{
		"somebody's name": {&distributionv1.RetryDistributionRequest{Mark: "{name}"}, "MARK_GLYPH_MISSING", "recipient 2, Bea"},
		"a hole":          {&distributionv1.RetryDistributionRequest{Mark: "{name"}, "MARK_TEMPLATE_BROKEN", ""},
		"no layout":       {&distributionv1.RetryDistributionRequest{MarkStyle: &distributionv1.MarkStyle{Layout: "spiral"}}, "MARK_STYLE_BAD", "spiral"},
		"a field some lack": {&distributionv1.RetryDistributionRequest{Mark: "{shoe}", Recipients: []string{id + ".r1", id + ".r3"}},
			"MARK_FIELD_UNKNOWN", "shoe"},
		"nobody failed so": {&distributionv1.RetryDistributionRequest{Mark: "{name}", Code: "PDF_BROKEN"}, "NOTHING_TO_RETRY", ""},
		"no such one":      {&distributionv1.RetryDistributionRequest{Recipients: []string{id + ".r4"}}, "RECIPIENT_UNKNOWN", ""},
	} {
		tc.req.Distribution = id
		err := b.choose(tc.req)
		f := fault.From(err)
		if err == nil || f.Reason != tc.code || !strings.Contains(f.Message, tc.say) {
			t.Errorf("%s: got %v, want %s about %q", name, err, tc.code, tc.say)
		}
	}
	if d := b.get(id); d.GetEndedAt() == nil || stamps.Load() != 3 || len(b.events(id, "retry_requested")) != 0 {
		t.Errorf("something changed: %v", d)
	}
	// Of the recipients that a code chooses nobody has such a name.
	err := b.choose(&distributionv1.RetryDistributionRequest{Distribution: id, Mark: "{name}", Code: "MAIL_REFUSED"})
	if err != nil {
		t.Fatal(err)
	}
	b.until(id, ended)
	err = b.choose(&distributionv1.RetryDistributionRequest{Distribution: id, Mark: "{shoe}", Recipients: []string{id + ".r3"}})
	if err != nil {
		t.Fatal(err)
	}
	b.until(id, ended)
	if stamps.Load() != 5 {
		t.Errorf("%d copies, want one more of each of two", stamps.Load())
	}
}

// In the undo window everything is made and nothing is sent: with another mark it is made again, and sent once.
func TestAnotherMarkInTheUndoWindowIsSentOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stamps, _ := b.marking()
	req := request(2, 20)
	req.HoldFor = durationpb.New(10 * time.Second) // all of it is made meanwhile, also on a machine that has much to do
	id := b.create(req)
	b.until(id, func(d *distributionv1.Distribution) bool { return d.GetSteps()[1].GetDone() == 40 })
	err := b.choose(&distributionv1.RetryDistributionRequest{Distribution: id, Mark: "for {name}"})
	if err != nil {
		t.Fatal(err)
	}
	d := b.until(id, ended)
	if d.GetState() != "completed" || d.GetItems().GetDone() != 40 || d.GetRecipients().GetSent() != 20 || stamps.Load() != 80 {
		t.Errorf("%d copies: %v", stamps.Load(), d)
	}
	for address, all := range b.sent {
		if len(all) != 1 || len(all[0].GetAttachments()) != 2 || !strings.Contains(all[0].GetAttachments()[1].GetKey(), "for {name}") {
			t.Errorf("%s got %v", address, all)
		}
	}
}

// A document that is made while the others are being sent is sent after them, not forgotten.
func TestWhatIsWithAWorkerIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var broken atomic.Bool
	broken.Store(true)
	stamp := b.stamp
	b.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		if broken.Load() && strings.HasSuffix(r.GetItem(), ".2.1") {
			return nil, fault.New(fault.Invalid, "PDF_BROKEN", "broken")
		}
		return stamp(ctx, r)
	}
	sending, gate := make(chan struct{}, 1), make(chan struct{})
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		select {
		case sending <- struct{}{}:
		default:
		}
		<-gate
		err := worker.Checkpoint(ctx, "dot")
		if err != nil {
			return nil, err
		}
		b.record(r)
		return &emailv1.SendResponse{}, nil
	}
	id := b.create(request(2, 1))
	b.until(id, func(*distributionv1.Distribution) bool { return len(sending) > 0 })
	broken.Store(false)
	err := b.choose(&distributionv1.RetryDistributionRequest{Distribution: id})
	if err != nil {
		t.Fatal(err)
	}
	close(gate)
	d := b.until(id, ended)
	mails := b.sent["p1@example.com"]
	if d.GetState() != "completed" || d.GetItems().GetDone() != 2 || len(mails) != 2 || len(mails[1].GetAttachments()) != 2 {
		t.Errorf("%d mails, the last %v: %v", len(mails), mails[len(mails)-1], d)
	}
}

// A document that failed runs again beside one that is being made: the mail waits for both.
func TestARetryUnderWayIsWaitedForByTheMail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var broken atomic.Bool
	broken.Store(true)
	gate := make(chan struct{})
	stamp := b.stamp
	b.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		switch {
		case strings.HasSuffix(r.GetItem(), ".1.1"):
			<-gate
		case broken.Load():
			return nil, fault.New(fault.Invalid, "PDF_BROKEN", "broken")
		}
		return stamp(ctx, r)
	}
	id := b.create(request(2, 1))
	b.until(id, func(d *distributionv1.Distribution) bool { return d.GetSteps()[1].GetFailed() == 1 })
	broken.Store(false)
	err := b.choose(&distributionv1.RetryDistributionRequest{Distribution: id})
	if err != nil {
		t.Fatal(err)
	}
	b.until(id, func(d *distributionv1.Distribution) bool { return d.GetSteps()[1].GetDone() == 1 })
	close(gate)
	d := b.until(id, ended)
	mails := b.sent["p1@example.com"]
	if d.GetState() != "completed" || len(mails) != 1 || len(mails[0].GetAttachments()) != 2 {
		t.Errorf("%d mails, the first %v: %v", len(mails), mails[0], d)
	}
}

// Whoever goes on with a retry when an orchestrator stops does nobody twice.
func TestALargeRetryOutlivesItsOrchestrator(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const people = 400
	req := request(1, people)
	req.Mode = "link"
	id := b.create(req)
	b.until(id, ended)
	redo := &distributionv1.RetryDistributionRequest{Distribution: id, Done: "redo"}
	err := b.choose(redo)
	if err != nil {
		t.Fatal(err)
	}
	err = b.choose(redo) // the same, while it is under way
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, done := range []int{60, 180, 300} {
		b.until(id, func(d *distributionv1.Distribution) bool { return ended(d) || len(b.events(id, "retry")) >= done })
		if len(b.events(id, "retry")) < people {
			broken++
		}
		b.stop()
		b.start()
	}
	if broken == 0 {
		t.Error("it was never stopped in the middle")
	}
	d := b.until(id, ended)
	if d.GetState() != "completed" || d.GetItems().GetDone() != people || d.GetRecipients().GetSent() != people {
		t.Errorf("got %v", d)
	}
	if n := len(b.events(id, "retry")); n != people {
		t.Errorf("%d recipients were retried, want %d", n, people)
	}
	for address, all := range b.sent {
		if len(all) != 2 || all[1].GetDelivery() != all[0].GetDelivery()+".1" {
			t.Errorf("%s got %d mails: %v", address, len(all), all)
		}
	}
	ends := map[string]bool{}
	for _, link := range b.revoked {
		ends[link] = true
	}
	if len(b.links) != 2*people || len(ends) != people {
		t.Errorf("%d links were made, %d ended", len(b.links), len(ends))
	}
	if asked := b.events(id, "retry_requested"); len(asked) != 1 {
		t.Errorf("asked %d times: %v", len(asked), asked)
	}
}

// A retry that is cancelled stops where it is, and the distribution ends.
func TestARetryEndsWithACancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(request(1, 300))
	b.until(id, ended)
	err := b.choose(&distributionv1.RetryDistributionRequest{Distribution: id, Done: "redo"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.distributions.CancelDistribution(t.Context(), &distributionv1.CancelDistributionRequest{Production: "default", Distribution: id})
	if err != nil {
		t.Fatal(err)
	}
	d := b.until(id, ended)
	if d.GetRecipients().GetCancelled()+d.GetRecipients().GetSent() != 300 {
		t.Errorf("got %v", d)
	}
}
