package orchestrator_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

func (b *testBundle) giveUp(req *distributionv1.EndFailingRequest) error {
	req.Production = "default"
	_, err := b.distributions.EndFailing(b.t.Context(), req)
	return err
}

func (b *testBundle) refused(err error, reason string) {
	b.t.Helper()
	if err == nil || fault.From(err).Reason != reason {
		b.t.Errorf("got %v, want %s", err, reason)
	}
}

// attached are the names in each mail that an address was sent: attached, and missing.
func (b *testBundle) attached(address string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, r := range b.sent[address] {
		var names []string
		for _, a := range r.GetAttachments() {
			names = append(names, a.GetName())
		}
		out = append(out, strings.Join(names, ",")+" without "+strings.Join(r.GetMissing(), ","))
	}
	return out
}

// Who holds everything back for a copy that fails gets the rest when that is skipped, once; who has nothing left gets nothing.
func TestSkippingACopySendsTheRest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stamp := b.stamp
	var broken atomic.Bool
	broken.Store(true)
	b.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		_, item, _ := strings.Cut(r.GetItem(), ".")
		if broken.Load() && (item == "1.2" || item == "1.3" || item == "2.3") {
			return nil, fault.New(fault.Invalid, "MARK_HIDDEN", "the mark would be hidden")
		}
		return stamp(ctx, r)
	}
	req := request(2, 4)
	req.Policy = &distributionv1.Policy{OnFailure: "hold"}
	id := b.create(req)
	d := b.until(id, ended)
	if d.GetRecipients().GetSent() != 2 || d.GetItems().GetFailed() != 4 {
		t.Fatalf("before: %v", d)
	}
	b.refused(b.giveUp(&distributionv1.EndFailingRequest{Distribution: id, Action: "skip", Code: "NOBODY"}), "NOTHING_TO_SKIP")
	b.refused(b.giveUp(&distributionv1.EndFailingRequest{Distribution: id, Action: "skip", Step: "nothing"}), "STEP_UNKNOWN")
	b.refused(b.giveUp(&distributionv1.EndFailingRequest{Distribution: id, Action: "cancel"}), "NOTHING_TO_CANCEL")
	if err := b.giveUp(&distributionv1.EndFailingRequest{Distribution: id, Action: "skip", Step: "watermark", Code: "MARK_HIDDEN"}); err != nil {
		t.Fatal(err)
	}
	d = b.until(id, ended)
	if d.GetState() != "completed_with_failures" || d.GetItems().GetSkipped() != 3 || d.GetItems().GetFailed() != 0 || d.GetItems().GetDone() != 5 ||
		d.GetRecipients().GetSent() != 3 || d.GetRecipients().GetCancelled() != 1 {
		t.Errorf("after: %v", d)
	}
	for address, want := range map[string]string{
		"p1@example.com": "[0000.pdf,0000.pdf without ]",
		"p2@example.com": "[0000.pdf without 0000.pdf]",
		"p3@example.com": "[]",
	} {
		if got := fmt.Sprint(b.attached(address)); got != want {
			t.Errorf("%s has %s, want %s", address, got, want)
		}
	}
	asked, skipped := b.events(id, "skip_requested"), b.events(id, "skipped")
	if len(asked) != 1 || !strings.Contains(asked[0].GetText(), "MARK_HIDDEN") || len(skipped) != 8 { // a copy and its thumbnail each; their mail and push of one
		t.Errorf("asked %v, skipped %v", asked, skipped)
	}
	b.refused(b.giveUp(&distributionv1.EndFailingRequest{Distribution: id, Action: "skip"}), "NOTHING_TO_SKIP")
	b.refused(b.choose(&distributionv1.RetryDistributionRequest{Distribution: id}), "NOTHING_TO_RETRY")
	// Asked for expressly all is made, and who had one mail gets another.
	broken.Store(false)
	if err := b.choose(&distributionv1.RetryDistributionRequest{Distribution: id, Done: "redo"}); err != nil {
		t.Fatal(err)
	}
	if d = b.until(id, ended); d.GetState() != "completed" || d.GetItems().GetDone() != 8 {
		t.Errorf("done again: %v", d)
	}
}

// A file that cannot be prepared is left out for everybody; what nobody can get any more is not sent.
func TestSkippingAFileLeavesItOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.prepare = func(_ context.Context, r *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
		if strings.HasSuffix(r.GetFile().GetSha256(), "1") {
			return nil, fault.New(fault.Unavailable, "STORE_FULL", "the disk is full")
		}
		return &watermarkv1.PrepareResponse{Pages: 3}, nil
	}
	id := b.create(request(2, 130)) // items are told of a file in slices
	b.until(id, func(d *distributionv1.Distribution) bool {
		return d.GetSteps()[0].GetRetrying() == 1 && d.GetSteps()[1].GetDone() == 130
	})
	if err := b.giveUp(&distributionv1.EndFailingRequest{Distribution: id, Action: "skip", Step: "prepare", Code: "STORE_FULL"}); err != nil {
		t.Fatal(err)
	}
	d := b.until(id, ended)
	if d.GetState() != "completed_with_failures" || d.GetItems().GetSkipped() != 130 || d.GetItems().GetDone() != 130 || d.GetSteps()[0].GetSkipped() != 1 {
		t.Errorf("got %v", d)
	}
	for address, n := range b.mails() {
		if n != 1 {
			t.Errorf("%s has %d mails", address, n)
		}
	}
	alone := b.create(request(1, 3))
	b.until(alone, func(d *distributionv1.Distribution) bool { return d.GetSteps()[0].GetRetrying() == 1 })
	if err := b.giveUp(&distributionv1.EndFailingRequest{Distribution: alone, Action: "skip"}); err != nil {
		t.Fatal(err)
	}
	if d := b.until(alone, ended); d.GetState() != "failed" || d.GetItems().GetSkipped() != 3 || d.GetRecipients().GetCancelled() != 3 {
		t.Errorf("alone: %v", d)
	}
}

// Cancelling a group ends what is open of those it hurts and nobody else's; a retry brings it back.
func TestCancellingAGroupLeavesTheOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	send := b.send
	var mended atomic.Bool
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		if !mended.Load() && r.GetTo().GetEmail() != "p1@example.com" {
			return nil, fault.New(fault.Unavailable, "EMAIL_DEFERRED", "not now")
		}
		return send(ctx, r)
	}
	id := b.create(request(1, 4))
	b.until(id, func(d *distributionv1.Distribution) bool {
		return d.GetRecipients().GetSent() == 1 && d.GetRecipients().GetDeferred() == 3
	})
	two := []string{id + ".r2", id + ".r3"}
	if err := b.giveUp(&distributionv1.EndFailingRequest{Distribution: id, Action: "cancel", Recipients: two}); err != nil {
		t.Fatal(err)
	}
	d := b.until(id, func(d *distributionv1.Distribution) bool { return d.GetRecipients().GetCancelled() == 2 })
	if d.GetEndedAt() != nil || d.GetItems().GetCancelled() != 2 || d.GetItems().GetDone() != 1 {
		t.Errorf("got %v", d)
	}
	mended.Store(true)
	// The last is tried again by itself; the two are not.
	d = b.until(id, ended)
	if d.GetState() != "completed_with_failures" || d.GetRecipients().GetSent() != 2 || d.GetRecipients().GetCancelled() != 2 {
		t.Errorf("ended: %v", d)
	}
	if n := len(b.events(id, "end_requested")); n != 1 {
		t.Errorf("it was asked for %d times", n)
	}
	if err := b.choose(&distributionv1.RetryDistributionRequest{Distribution: id}); err != nil {
		t.Fatal(err)
	}
	if d = b.until(id, ended); d.GetState() != "completed" || d.GetRecipients().GetSent() != 4 {
		t.Errorf("retried: %v", d)
	}
	for address, n := range b.mails() {
		if n != 1 {
			t.Errorf("%s has %d mails", address, n)
		}
	}
}

// Who is chosen by what fails of theirs gets nothing more, also of what a worker had then and would try again.
func TestCancellingWhatFailsCancelsWhatRunsBeside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		if strings.HasSuffix(r.GetItem(), ".1.1") {
			return nil, fault.New(fault.Unavailable, "DISK_FULL", "the disk is full")
		}
		once.Do(func() { close(running) })
		select {
		case <-free:
		case <-ctx.Done():
		}
		return nil, fault.New(fault.Unavailable, "AWAY", "it is away")
	}
	id := b.create(request(2, 1))
	<-running
	b.until(id, func(d *distributionv1.Distribution) bool { return d.GetSteps()[1].GetRetrying() == 1 })
	if err := b.giveUp(&distributionv1.EndFailingRequest{Distribution: id, Action: "cancel", Code: "DISK_FULL"}); err != nil {
		t.Fatal(err)
	}
	b.until(id, func(d *distributionv1.Distribution) bool { return d.GetRecipients().GetCancelled() == 1 })
	close(free)
	if d := b.until(id, ended); d.GetItems().GetCancelled() != 2 {
		t.Errorf("got %v", d)
	}
}

// A report at the end that fails is left out with what needs it, and the distribution ends.
func TestSkippingAStepOfTheWhole(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("reporting", "  - name: report\n    scope: distribution\n    function: test.Report\n    needs: [work]\n    retry: {attempts: 9, backoff: [1h]}\n"+
		"  - name: file\n    scope: distribution\n    function: test.File\n    needs: [report]\n"))
	var r record
	var kind atomic.Int64
	s.work("w", 8, map[string]handler{
		"test.Work": r.says("work", nil),
		"test.Report": r.says("report", func(context.Context, int) error {
			return fault.New(fault.Kind(kind.Load()), "NO_PAPER", "there is no paper; put some in")
		}),
		"test.File": r.says("file", nil)})
	for name, k := range map[string]fault.Kind{"failed for good": fault.Invalid, "to be tried again": fault.Unavailable} {
		kind.Store(int64(k))
		id := s.create("one", "reporting", 1, 2)
		s.await(name, func() bool { c := s.counts(id, "report"); return c.GetFailed()+c.GetRetrying() == 1 })
		_, err := s.distributions[0].EndFailing(t.Context(), &distributionv1.EndFailingRequest{Production: "one", Distribution: id, Action: "skip", Step: "report"})
		if err != nil {
			t.Fatal(name, err)
		}
		d := s.ended("one", id)
		s.await(name+", skipped", func() bool {
			d = s.ended("one", id)
			return s.counts(id, "report").GetSkipped() == 1 && s.counts(id, "file").GetSkipped() == 1
		})
		if d.GetState() != "completed" || r.count("file") != 0 {
			t.Errorf("%s: it ended %s with %d files: %v", name, d.GetState(), r.count("file"), d.GetSteps())
		}
	}
}
