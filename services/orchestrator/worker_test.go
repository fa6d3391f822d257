package orchestrator_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/fault"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

func (b *testBundle) worker(name string) *controlv1.Worker {
	b.t.Helper()
	resp, err := b.control.ListWorkers(b.t.Context(), &controlv1.ListWorkersRequest{})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, w := range resp.GetWorkers() {
		if w.GetName() == name {
			return w
		}
	}
	return nil
}

func (b *testBundle) pull(worker string) *taskv1.PullResponse {
	b.t.Helper()
	resp, err := b.tasks.Pull(b.t.Context(), &taskv1.PullRequest{Worker: worker, Functions: []string{"other.Do@2"}, Slots: 3, Wait: durationpb.New(0)})
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

func TestADrainedWorkerEndsWhatItHasAndTakesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gate, entered := make(chan struct{}), make(chan struct{}, 10)
	send := b.send
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		entered <- struct{}{}
		<-gate
		return send(ctx, r)
	}
	first := b.create(request(1, 1))
	<-entered // the worker has a task
	w := b.worker("worker-1")
	if w.GetDraining() || w.GetRunning() < 1 || w.GetSeenAt() == nil || !slices.Contains(w.GetFunctions(), "email.Send") ||
		!slices.ContainsFunc(w.GetTasks(), func(k *controlv1.WorkerTask) bool {
			return k.GetDistribution() == first && k.GetUnit() == "r1" && k.GetStep() == "email" && k.GetFunction() == "email.Send" && k.GetProduction() == "default" && k.GetSince() != nil
		}) {
		t.Errorf("before: %v", w)
	}
	for range 2 { // again is harmless
		resp, err := b.control.DrainWorker(t.Context(), &controlv1.DrainWorkerRequest{Worker: "worker-1"})
		if err != nil || !resp.GetWorker().GetDraining() {
			t.Fatalf("drain: %v, %v", resp, err)
		}
	}
	second := b.create(request(1, 1))
	b.until(second, func(d *distributionv1.Distribution) bool { return d.GetSteps()[0].GetReady() == 1 })
	close(gate)
	d := b.until(first, func(d *distributionv1.Distribution) bool { return d.GetRecipients().GetSent() == 1 })
	if !b.worker("worker-1").GetDraining() {
		t.Errorf("it is not drained any more: %v", d)
	}
	functions, err := b.control.ListFunctions(t.Context(), &controlv1.ListFunctionsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range functions.GetFunctions() {
		if f.GetName() == "watermark.Prepare" && (f.GetReady() != 1 || f.GetBlocked() != "NO_WORKER" || !f.GetWorkers()[0].GetDraining()) {
			t.Errorf("a function that only a drained worker serves: %v", f)
		}
	}
	if d := b.get(second); d.GetSteps()[0].GetReady() != 1 {
		t.Errorf("it took something: %v", d)
	}
	_, err = b.control.UndrainWorker(t.Context(), &controlv1.UndrainWorkerRequest{Worker: "worker-1"})
	if err != nil {
		t.Fatal(err)
	}
	d = b.until(second, ended)
	if d.GetState() != "completed" || b.worker("worker-1").GetDraining() {
		t.Errorf("afterwards: %v", d)
	}
	_, err = b.control.DrainWorker(t.Context(), &controlv1.DrainWorkerRequest{Worker: "nobody"})
	if fault.From(err).Reason != "WORKER_UNKNOWN" {
		t.Errorf("draining nobody: %v", err)
	}
}

func TestAWorkerIsToldThatItIsDrainedAndForgottenWhenItLeaves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const name = "other@host/1/abcd"
	if b.pull(name).GetDraining() {
		t.Error("it is drained before anybody said so")
	}
	if w := b.worker(name); w.GetDraining() || !slices.Equal(w.GetFunctions(), []string{"other.Do@2"}) {
		t.Errorf("it is %v", w)
	}
	_, err := b.control.DrainWorker(t.Context(), &controlv1.DrainWorkerRequest{Worker: name})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if !b.pull(name).GetDraining() {
			t.Error("it is not told")
		}
	}
	keys, err := b.redis.Client.Keys(t.Context(), "*:drain:*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("%v, %v", keys, err)
	}
	for _, k := range keys {
		ttl := b.redis.Client.TTL(t.Context(), k).Val()
		if ttl <= 0 {
			t.Errorf("%s stays for ever", k)
		}
	}
	_, err = b.tasks.Renew(t.Context(), &taskv1.RenewRequest{Worker: name, Leaving: true})
	if err != nil {
		t.Fatal(err)
	}
	if b.worker(name) != nil || b.pull(name).GetDraining() {
		t.Error("it left, and is still known")
	}
}

func TestRevokingOneRecipientEndsTheirLinksOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req := request(1, 3)
	req.Mode = "link"
	id := b.create(req)
	b.until(id, ended)
	_, err := b.distributions.ResendRecipient(t.Context(), &distributionv1.ResendRecipientRequest{Production: "default", Distribution: id, Recipient: id + ".r2"})
	if err != nil {
		t.Fatal(err)
	}
	b.until(id, ended)
	b.mu.Lock()
	b.revoked = nil
	b.mu.Unlock()
	revoke := &distributionv1.RevokeRecipientRequest{Production: "default", Distribution: id, Recipient: id + ".r2"}
	resp, err := b.distributions.RevokeRecipient(t.Context(), revoke)
	if err != nil || resp.GetLinksRevoked() == 0 || resp.GetBeyondRecall() != 0 || resp.GetRecipient().GetId() != id+".r2" {
		t.Errorf("%v, %v", resp, err)
	}
	if !slices.Equal(b.revoked, []string{id + ".r2", id + ".r2.1"}) {
		t.Errorf("revoked %v", b.revoked)
	}
	revoke.Recipient = id + ".r9"
	_, err = b.distributions.RevokeRecipient(t.Context(), revoke)
	if fault.From(err).Reason != "RECIPIENT_UNKNOWN" {
		t.Errorf("nobody: %v", err)
	}
	attached := b.create(request(1, 1))
	b.until(attached, ended)
	for range 2 { // again is harmless
		resp, err = b.distributions.RevokeRecipient(t.Context(), &distributionv1.RevokeRecipientRequest{Production: "default", Distribution: attached, Recipient: attached + ".r1"})
		if err != nil || resp.GetLinksRevoked() != 0 || resp.GetBeyondRecall() != 1 {
			t.Errorf("attached: %v, %v", resp, err)
		}
	}
}
