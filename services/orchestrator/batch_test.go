package orchestrator_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
)

func (b *testBundle) batch(operation string, f *distributionv1.BatchFilter) *distributionv1.Batch {
	b.t.Helper()
	resp, err := b.distributions.CreateBatch(b.t.Context(), &distributionv1.CreateBatchRequest{
		Production: "default", Operation: operation, Filter: f, IdempotencyKey: fmt.Sprint("batch", keys.Add(1))})
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.GetBatch()
}

func (b *testBundle) untilBatch(id string, ok func(*distributionv1.Batch) bool) *distributionv1.Batch {
	b.t.Helper()
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := b.distributions.GetBatch(b.t.Context(), &distributionv1.GetBatchRequest{Production: "default", Batch: id})
		if err != nil {
			b.t.Fatal(err)
		}
		if ok(resp.GetBatch()) {
			return resp.GetBatch()
		}
		select {
		case <-deadline.C:
			b.t.Fatalf("it did not come to that: %v", resp.GetBatch())
		case <-tick.C:
		}
	}
}

func batchDone(b *distributionv1.Batch) bool { return b.GetState() == "done" }

// held is a distribution that waits in its undo window.
func held(title string) *distributionv1.CreateDistributionRequest {
	req := request(1, 1)
	req.Title, req.HoldFor = title, durationpb.New(time.Hour)
	return req
}

func TestABatchOutlivesItsOrchestratorAndCountsExactly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 120
	var ids []string
	for i := range n {
		ids = append(ids, b.create(held([]string{"Callsheet", "Script"}[i%3/2])))
	}
	for i := range 10 { // of those found
		_, err := b.distributions.CancelDistribution(t.Context(), &distributionv1.CancelDistributionRequest{Production: "default", Distribution: ids[3*i]})
		if err != nil {
			t.Fatal(err)
		}
	}
	batch := b.batch("cancel", &distributionv1.BatchFilter{Title: "SHEET"})
	broken := 0
	for _, seen := range []int32{20, 50, 80} {
		at := b.untilBatch(batch.GetId(), func(v *distributionv1.Batch) bool { return v.GetSeen() >= seen })
		if !batchDone(at) {
			broken++
		}
		b.stop()
		b.start()
	}
	if broken == 0 {
		t.Error("it was never stopped in the middle")
	}
	got := b.untilBatch(batch.GetId(), batchDone)
	if got.GetTotal() != n || got.GetSeen() != n || got.GetFound() != 80 || got.GetChanged() != 70 || got.GetUnchanged() != 10 || got.GetFailed() != 0 || got.GetEndedAt() == nil {
		t.Errorf("got %v", got)
	}
	for i, id := range ids {
		if d := b.get(id); d.GetCancelRequested() != (i%3 != 2) {
			t.Errorf("distribution %d: %v", i, d)
		}
	}
}

func TestABatchIsPausedAndGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 100
	for range n {
		b.create(held("Script"))
	}
	batch := b.batch("pause", nil)
	ctx := t.Context()
	b.untilBatch(batch.GetId(), func(v *distributionv1.Batch) bool { return v.GetSeen() >= 5 })
	halted, err := b.distributions.PauseBatch(ctx, &distributionv1.PauseBatchRequest{Production: "default", Batch: batch.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	if halted.GetBatch().GetState() != "paused" || halted.GetBatch().GetSeen() >= n {
		t.Fatalf("got %v", halted.GetBatch())
	}
	// Another one of the same production comes to its end meanwhile: so would this one have.
	other := b.untilBatch(b.batch("resume", &distributionv1.BatchFilter{Title: "nothing is called so"}).GetId(), batchDone)
	if other.GetSeen() != n || other.GetFound() != 0 {
		t.Errorf("the other one: %v", other)
	}
	still := b.untilBatch(batch.GetId(), func(*distributionv1.Batch) bool { return true })
	if still.GetState() != "paused" || still.GetSeen() > halted.GetBatch().GetSeen()+1 {
		t.Errorf("it went on: %v, was %v", still, halted.GetBatch())
	}
	for range 2 {
		_, err = b.distributions.ResumeBatch(ctx, &distributionv1.ResumeBatchRequest{Production: "default", Batch: batch.GetId()})
		if err != nil && fault.From(err).Reason != "BATCH_ENDED" {
			t.Fatal(err)
		}
	}
	got := b.untilBatch(batch.GetId(), batchDone)
	if got.GetSeen() != n || got.GetChanged() != n {
		t.Errorf("got %v", got)
	}
	_, err = b.distributions.PauseBatch(ctx, &distributionv1.PauseBatchRequest{Production: "default", Batch: batch.GetId()})
	if fault.From(err).Reason != "BATCH_ENDED" {
		t.Errorf("pausing what is done: %v", err)
	}
	_, err = b.distributions.GetBatch(ctx, &distributionv1.GetBatchRequest{Production: "other", Batch: batch.GetId()})
	if fault.From(err).Reason != "BATCH_UNKNOWN" {
		t.Errorf("another production's: %v", err)
	}
	var listed []string
	for cursor := ""; ; {
		list, err := b.distributions.ListBatches(ctx, &distributionv1.ListBatchesRequest{Production: "default", PageSize: 1, PageToken: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list.GetBatches() {
			listed = append(listed, v.GetId())
		}
		cursor = list.GetNextPageToken()
		if cursor == "" {
			break
		}
	}
	if len(listed) != 2 || listed[1] != batch.GetId() {
		t.Errorf("listed %v", listed)
	}
}

func TestABatchFindsWhatItsFilterSays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	send := b.send
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		if r.GetSubject() == "Refused" {
			return nil, fault.New(fault.Invalid, "MAIL_REFUSED", "no such user")
		}
		return send(ctx, r)
	}
	fine, refused := request(1, 1), request(1, 2)
	fine.Title, refused.Title = "Fine", "Refused"
	first := b.until(b.create(fine), ended)
	failed := b.until(b.create(refused), ended)
	waits := b.create(held("Waits"))
	b.until(waits, func(d *distributionv1.Distribution) bool { return d.GetState() == "running" })
	after := timestamppb.New(first.GetCreatedAt().AsTime())
	for name, tc := range map[string]struct {
		filter           *distributionv1.BatchFilter
		found, unchanged int32
	}{
		"everything":         {nil, 3, 3},
		"a state":            {&distributionv1.BatchFilter{States: []string{"completed", "failed"}}, 2, 2},
		"part of a title":    {&distributionv1.BatchFilter{Title: "aIt"}, 1, 1},
		"a code":             {&distributionv1.BatchFilter{Code: "MAIL_REFUSED"}, 1, 1},
		"another code":       {&distributionv1.BatchFilter{Code: "PDF_BROKEN"}, 0, 0},
		"since":              {&distributionv1.BatchFilter{CreatedAfter: after}, 2, 2},
		"before":             {&distributionv1.BatchFilter{CreatedBefore: after}, 0, 0},
		"a definition":       {&distributionv1.BatchFilter{Definition: "send-documents"}, 3, 3},
		"another definition": {&distributionv1.BatchFilter{Definition: "send"}, 0, 0},
		"all at once":        {&distributionv1.BatchFilter{Code: "MAIL_REFUSED", Title: "fine"}, 0, 0},
	} {
		// None of them is paused, so there is nothing to change.
		got := b.untilBatch(b.batch("resume", tc.filter).GetId(), batchDone)
		if got.GetSeen() != 3 || got.GetFound() != tc.found || got.GetUnchanged() != tc.unchanged {
			t.Errorf("%s: found %d of %d, want %d: %v", name, got.GetFound(), got.GetSeen(), tc.found, got)
		}
	}
	got := b.untilBatch(b.batch("retry", nil).GetId(), batchDone)
	if got.GetFound() != 3 || got.GetChanged() != 1 || got.GetUnchanged() != 2 {
		t.Errorf("retry: %v", got)
	}
	if d := b.until(failed.GetId(), ended); len(b.events(d.GetId(), "retry_requested")) != 1 {
		t.Errorf("what failed was not retried: %v", d)
	}
	req := &distributionv1.CreateBatchRequest{Production: "default", Operation: "resume", IdempotencyKey: "one"}
	one, err := b.distributions.CreateBatch(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.distributions.CreateBatch(t.Context(), req)
	if err != nil || again.GetBatch().GetId() != one.GetBatch().GetId() {
		t.Errorf("the same again: %v, %v", again, err)
	}
	req.Operation = "pause"
	_, err = b.distributions.CreateBatch(t.Context(), req)
	if fault.From(err).Reason != "IDEMPOTENCY_CONFLICT" {
		t.Errorf("another by the same key: %v", err)
	}
	req.IdempotencyKey, req.Filter = "two", &distributionv1.BatchFilter{States: []string{"broken"}}
	_, err = b.distributions.CreateBatch(t.Context(), req)
	if fault.From(err).Reason != "BATCH_FILTER_INVALID" {
		t.Errorf("no such state: %v", err)
	}
}
