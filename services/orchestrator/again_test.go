package orchestrator_test

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

func (b *testBundle) retry(id string) error {
	_, err := b.distributions.RetryDistribution(b.t.Context(), &distributionv1.RetryDistributionRequest{Production: "default", Distribution: id})
	return err
}

func TestRetryDoesWhatFailedAndNothingElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var broken atomic.Bool
	broken.Store(true)
	var stamps atomic.Int64
	b.prepare = func(_ context.Context, r *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
		if broken.Load() && strings.HasSuffix(r.GetFile().GetSha256(), "2") {
			return nil, fault.New(fault.Invalid, "PDF_BROKEN", "broken")
		}
		return &watermarkv1.PrepareResponse{Pages: 1}, nil
	}
	stamp := b.stamp
	b.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		stamps.Add(1)
		if broken.Load() && strings.HasSuffix(r.GetItem(), ".1.3") {
			return nil, fault.New(fault.Invalid, "MARK_GLYPH_MISSING", "no glyph")
		}
		return stamp(ctx, r)
	}
	send := b.send
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		if broken.Load() && r.GetTo().GetEmail() == "p4@example.com" {
			return nil, fault.New(fault.Invalid, "EMAIL_REJECTED", "no such user")
		}
		return send(ctx, r)
	}
	// File 2 fails for all; person 3 gets nothing at all; person 4's mail is refused.
	id := b.create(request(2, 5))
	d := b.until(id, ended)
	if d.GetState() != "completed_with_failures" || d.GetItems().GetDone() != 3 || d.GetItems().GetFailed() != 7 {
		t.Fatalf("before: %v", d)
	}
	// As long as nothing new comes of it, nobody who has their mail gets another.
	mails := len(b.sent["p1@example.com"])
	err := b.retry(id)
	if err != nil {
		t.Fatal(err)
	}
	d = b.until(id, ended)
	if len(b.sent["p1@example.com"]) != mails || d.GetItems().GetDone() != 3 || d.GetRecipients().GetSent() != 3 {
		t.Errorf("a retry in vain: %d mails to one person, was %d; %v", len(b.sent["p1@example.com"]), mails, d)
	}
	broken.Store(false)
	stamped := stamps.Load()
	err = b.retry(id)
	if err != nil {
		t.Fatal(err)
	}
	d = b.until(id, ended)
	if d.GetState() != "completed" || d.GetItems().GetDone() != 10 || d.GetRecipients().GetSent() != 5 {
		t.Errorf("after: %v", d)
	}
	if n := stamps.Load() - stamped; n != 6 {
		t.Errorf("%d copies were made by the retry, want the 6 that had failed", n)
	}
	for _, r := range b.recipients(id) {
		mails := b.sent[r.GetEmail()]
		if len(mails) == 2 && mails[0].GetDelivery() == mails[1].GetDelivery() {
			t.Errorf("%s got two different mails under one identity", r.GetEmail())
		}
		if len(mails) == 0 || len(mails) > 2 || len(mails[len(mails)-1].GetAttachments()) != 2 || r.GetItems().GetDone() != 2 {
			t.Errorf("%s: %d mails, %v", r.GetEmail(), len(mails), r)
		}
	}
	err = b.retry(id)
	if fault.From(err).Reason != "NOTHING_TO_RETRY" {
		t.Errorf("retrying what is done: %v", err)
	}
}

func TestResendToACorrectedAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req := request(2, 3)
	req.Mode = "link"
	id := b.create(req)
	b.until(id, ended)
	resp, err := b.distributions.ResendRecipient(t.Context(), &distributionv1.ResendRecipientRequest{
		Production: "default", Distribution: id, Recipient: id + ".r2", Email: "right@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if resp.GetRecipient().GetEmail() != "right@example.com" {
		t.Errorf("answer: %v", resp)
	}
	d := b.until(id, ended)
	mails := b.sent["right@example.com"]
	if d.GetState() != "completed" || len(mails) != 1 || mails[0].GetDelivery() != id+".r2.1" || mails[0].GetLink() != id+".r2.1" {
		t.Errorf("%v; the mail: %v", d, mails)
	}
	if b.links[id+".r2.1"].GetEmail() != "right@example.com" || len(b.revoked) != 1 || b.revoked[0] != id+".r2" {
		t.Errorf("links %v, revoked %v", b.links, b.revoked)
	}
	if len(b.sent["p2@example.com"]) != 1 || len(b.sent["p1@example.com"]) != 1 {
		t.Errorf("somebody else was sent something again")
	}
	for _, bad := range []*distributionv1.ResendRecipientRequest{
		{Production: "default", Distribution: id, Recipient: id + ".r9"},
		{Production: "default", Distribution: id, Recipient: id + ".r1", Email: "nobody"},
	} {
		_, err = b.distributions.ResendRecipient(t.Context(), bad)
		if code := fault.From(err).Reason; code != "RECIPIENT_UNKNOWN" && code != "RECIPIENT_INVALID" {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestTheUndoWindowHoldsMailsAndNothingElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req := request(1, 3)
	req.HoldFor = durationpb.New(2 * time.Second)
	start := time.Now()
	id := b.create(req)
	d := b.until(id, func(d *distributionv1.Distribution) bool {
		return d.GetSteps()[2].GetRetrying()+d.GetSteps()[2].GetDone() == 3 || d.GetSteps()[1].GetDone() == 3
	})
	if d.GetHeldUntil() == nil || len(b.sent) != 0 {
		t.Errorf("copies are made and %d mails are out: %v", len(b.sent), d)
	}
	if got := d.GetDeadline().AsTime().Sub(d.GetHeldUntil().AsTime()); got != 5150*time.Millisecond {
		t.Errorf("it should be over %s after the window's end, want 5 s and 50 ms for each of 3 copies", got)
	}
	d = b.until(id, ended)
	if took := time.Since(start); d.GetState() != "completed" || took < 2*time.Second || b.pushed.Load() != 3 {
		t.Errorf("after %s: %v, %d pushes", took, d, b.pushed.Load())
	}
	b.mu.Lock()
	clear(b.sent)
	b.mu.Unlock()
	undone := request(1, 3)
	undone.HoldFor = durationpb.New(time.Hour)
	id = b.create(undone)
	_, err := b.distributions.RevokeDistribution(t.Context(), &distributionv1.RevokeDistributionRequest{Production: "default", Distribution: id})
	if err != nil {
		t.Fatal(err)
	}
	d = b.until(id, ended)
	if d.GetState() != "cancelled" || len(b.sent) != 0 {
		t.Errorf("undone: %v, %d mails", d, len(b.sent))
	}
	err = b.retry(id)
	if fault.From(err).Reason != "DISTRIBUTION_CANCELLED" {
		t.Errorf("retrying what was cancelled: %v", err)
	}
}

func TestLinksCarryWhatWasMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stamp := b.stamp
	b.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		if strings.HasSuffix(r.GetItem(), ".2.1") {
			return nil, fault.New(fault.Invalid, "PDF_BROKEN", "broken")
		}
		return stamp(ctx, r)
	}
	req := request(2, 2)
	req.Mode = "link"
	id := b.create(req)
	d := b.until(id, ended)
	one, two := b.links[id+".r1"], b.links[id+".r2"]
	if len(one.GetDocuments()) != 1 || len(one.GetMissing()) != 1 || len(two.GetDocuments()) != 2 || two.GetDocuments()[0].GetThumbnail() == "" {
		t.Errorf("%v\n%v\n%v", d, one, two)
	}
	for _, m := range b.sent {
		if len(m[0].GetAttachments()) != 0 || m[0].GetLink() == "" {
			t.Errorf("mail %v", m[0])
		}
	}
	resp, err := b.distributions.RevokeDistribution(t.Context(), &distributionv1.RevokeDistributionRequest{Production: "default", Distribution: id})
	if err != nil || resp.GetLinksRevoked() != 2 || resp.GetBeyondRecall() != 0 {
		t.Errorf("revoke: %v, %v", resp, err)
	}
}

func TestWatchSendsEachChangeAndEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gate := make(chan struct{})
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		<-gate
		return &emailv1.SendResponse{}, worker.Checkpoint(ctx, "dot")
	}
	id := b.create(request(1, 5))
	watch, err := b.distributions.WatchDistribution(t.Context(), &distributionv1.WatchDistributionRequest{Production: "default", Distribution: id})
	if err != nil {
		t.Fatal(err)
	}
	var last *distributionv1.WatchDistributionResponse
	opened := false
	messages := 0
	for {
		m, err := watch.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && m.GetCursor() == last.GetCursor() {
			t.Errorf("the same twice: %v", m)
		}
		last = m
		messages++
		if m.GetDistribution().GetSteps()[1].GetDone() == 5 && !opened {
			opened = true
			close(gate)
		}
	}
	if messages < 2 || last.GetDistribution().GetState() != "completed" {
		t.Errorf("%d messages, the last %v", messages, last)
	}
	again, err := b.distributions.WatchDistribution(t.Context(), &distributionv1.WatchDistributionRequest{Production: "default", Distribution: id, After: last.GetCursor()})
	if err != nil {
		t.Fatal(err)
	}
	m, err := again.Recv()
	if err != io.EOF {
		t.Errorf("after the last word there is another: %v, %v", m, err)
	}
}
