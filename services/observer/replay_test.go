package observer_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	pushv1 "github.com/filigreehq/filigree/proto/gen/filigree/push/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/replay"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// replayed holds what the events of an ended distribution make of it against what is stored: all steps, items, deliveries.
func (w *world) replayed(id string) {
	w.t.Helper()
	ctx := w.as(accessv1.Role_ROLE_SERVICE)
	d := w.endedAt("default", id)
	records := readside.New(readside.Deps{Redis: w.redis.Client, Log: w.log})
	steps, err := records.Plan(ctx, "default", id)
	if err != nil {
		w.t.Fatal(err)
	}
	plan := replay.Plan{Files: len(d.GetFiles()), Recipients: int(d.GetRecipients().GetTotal()), Hold: d.GetPolicy().GetOnFailure() == "hold"}
	for _, s := range steps {
		plan.Steps = append(plan.Steps, replay.Step{Name: s.Name, Scope: s.Scope, Needs: s.Needs, Optional: s.Optional, Delivers: s.Delivers})
	}
	var events []event.Event
	for token := ""; ; {
		got, err := w.seen.ListEvents(ctx, &distributionv1.ListEventsRequest{Production: "default", Distribution: id, PageToken: token, PageSize: 1000})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range got.GetEvents() {
			events = append(events, event.Event{ID: e.GetId(), Kind: e.GetKind(), Step: e.GetStep(), Unit: e.GetUnit(), State: e.GetState(),
				Code: e.GetError().GetCode(), Delivery: e.GetDelivery(), Again: e.GetAgain()})
		}
		token = got.GetNextPageToken()
		if token == "" {
			break
		}
	}
	is, err := replay.Replay(plan, events)
	if err != nil {
		w.t.Fatal(err)
	}
	was := replay.States{Steps: map[string]string{}, Items: map[string]string{}, Distribution: d.GetState()}
	units := []string{"d"}
	for f := range plan.Files {
		units = append(units, fmt.Sprint("f", f+1))
		for r := range plan.Recipients {
			units = append(units, fmt.Sprintf("i%d.%d", f+1, r+1))
		}
	}
	for r := range plan.Recipients {
		units = append(units, fmt.Sprint("r", r+1))
	}
	for len(units) > 0 {
		part := units[:min(1000, len(units))]
		units = units[len(part):]
		standing, err := records.Standing(ctx, "default", id, part)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, s := range standing {
			was.Steps[s.Unit+"/"+s.Step] = s.State
		}
	}
	for token := ""; ; {
		got, err := w.distributions.ListItems(ctx, &distributionv1.ListItemsRequest{Production: "default", Distribution: id, PageToken: token, PageSize: 1000})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, item := range got.GetItems() {
			was.Items[strings.TrimPrefix(item.GetId(), id+".")] = item.GetState()
		}
		token = got.GetNextPageToken()
		if token == "" {
			break
		}
	}
	if is.Deliveries != nil {
		was.Deliveries = map[int]string{}
	}
	got, err := w.distributions.ListRecipients(ctx, &distributionv1.ListRecipientsRequest{Production: "default", Distribution: id, PageSize: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	for i, r := range got.GetRecipients() {
		if r.GetDelivery() != nil {
			was.Deliveries[i+1] = r.GetDelivery().GetState()
		}
	}
	if diff := cmp.Diff(was, is); diff != "" {
		var text []string
		for _, e := range events {
			text = append(text, fmt.Sprintf("%s %s %s %s %s %s %v", e.ID, e.Kind, e.Unit, e.Step, e.State, e.Code, e.Again))
		}
		w.t.Errorf("%s: events make other states than are stored: -stored +replayed\n%s\n%s", d.GetTitle(), diff, strings.Join(text, "\n"))
	}
}

const own = `name: own
version: 1
steps:
  - {name: make, scope: item, function: test.Make, with: {what: "'made ' + recipient.name"}}
  - {name: check, scope: item, function: test.Make, needs: [make], optional: true, with: {what: "'check'"}}
  - {name: report, scope: distribution, function: test.Make, needs: [check], with: {what: "'report'"}}
  - {name: file-away, scope: distribution, function: test.Make, needs: [report], with: {what: "'filed'"}}
`

// From the events alone every state follows, of all steps, items and deliveries, whatever went wrong and whatever people did.
func TestEventsTellEveryState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var mu sync.Mutex
	fails := map[string]error{} // by item's end or address; once: it is taken out
	lasting := map[string]bool{}
	fail := func(what string) error {
		mu.Lock()
		defer mu.Unlock()
		err := fails[what]
		if !lasting[what] {
			delete(fails, what)
		}
		return err
	}
	set := func(what string, err error, lasts bool) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			delete(fails, what)
			return
		}
		fails[what], lasting[what] = err, lasts
	}
	stamp, send := w.stamp, w.send
	hold := make(chan struct{})
	w.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		_, item, _ := strings.Cut(r.GetItem(), ".")
		err := fail(item)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(item, "9.") {
			select {
			case <-hold:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return stamp(ctx, r)
	}
	w.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		address, _, _ := strings.Cut(r.GetTo().GetEmail(), "@")
		err := fail(address)
		if err != nil {
			return nil, err
		}
		return send(ctx, r)
	}
	w.work("worker-1",
		worker.Func("watermark.Prepare", func(_ context.Context, r *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
			return &watermarkv1.PrepareResponse{Pages: 3}, fail("f" + strings.TrimLeft(r.GetFile().GetSha256(), "0"))
		}),
		worker.Func("watermark.Stamp", func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
			return w.stamp(ctx, r)
		}),
		worker.Func("thumbnail.Render", func(_ context.Context, r *thumbnailv1.RenderRequest) (*thumbnailv1.RenderResponse, error) {
			_, item, _ := strings.Cut(r.GetItem(), ".")
			return &thumbnailv1.RenderResponse{}, fail("t" + item)
		}),
		worker.Func("push.Send", func(context.Context, *pushv1.SendRequest) (*pushv1.SendResponse, error) {
			return &pushv1.SendResponse{}, nil
		}),
		worker.Func("test.Make", func(_ context.Context, r *structpb.Struct) (*structpb.Struct, error) {
			return &structpb.Struct{}, fail(r.GetFields()["what"].GetStringValue())
		}),
		worker.Func("email.Send", func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
			return w.send(ctx, r)
		}))
	broken := fault.New(fault.Invalid, "MARK_HIDDEN", "the mark would be hidden")
	refused := fault.New(fault.Invalid, "MAIL_REFUSED", "no such user")
	deferred := fault.New(fault.Unavailable, "MAIL_DEFERRED", "come back later")
	make := func(title string, files, people int, change func(*distributionv1.CreateDistributionRequest)) string {
		t.Helper()
		req := &distributionv1.CreateDistributionRequest{Production: "default", Title: title, IdempotencyKey: fmt.Sprint("replay", keys.Add(1))}
		for i := range files {
			req.Files = append(req.Files, &distributionv1.FileRef{Sha256: fmt.Sprintf("%064x", i+1)})
		}
		for i := range people {
			req.Recipients = append(req.Recipients, &distributionv1.RecipientInput{Name: fmt.Sprint("Person ", i+1), Email: fmt.Sprintf("p%d@example.com", i+1)})
		}
		if change != nil {
			change(req)
		}
		resp, err := w.distributions.CreateDistribution(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetDistribution().GetId()
	}
	retry := func(id string, change func(*distributionv1.RetryDistributionRequest)) {
		t.Helper()
		req := &distributionv1.RetryDistributionRequest{Production: "default", Distribution: id}
		if change != nil {
			change(req)
		}
		_, err := w.distributions.RetryDistribution(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
	}
	cancel := func(id string) {
		t.Helper()
		_, err := w.distributions.CancelDistribution(t.Context(), &distributionv1.CancelDistributionRequest{Production: "default", Distribution: id})
		if err != nil {
			t.Fatal(err)
		}
	}

	giveUp := func(id, action, step, code string, who ...string) {
		t.Helper()
		req := &distributionv1.EndFailingRequest{Production: "default", Distribution: id, Action: action, Step: step, Code: code}
		for _, r := range who {
			req.Recipients = append(req.Recipients, id+"."+r)
		}
		_, err := w.distributions.EndFailing(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
	}

	w.replayed(make("all well", 3, 40, nil))

	// What fails is given up: copies, one by one and all of somebody's, mails, a file; of some people everything.
	for _, policy := range []string{"hold", "available"} {
		for _, what := range []string{"1.2", "1.3", "2.3", "2.5"} {
			set(what, broken, true)
		}
		set("p4", refused, true)
		id := make("given up, "+policy, 2, 6, func(r *distributionv1.CreateDistributionRequest) {
			if policy == "hold" {
				r.Policy = &distributionv1.Policy{OnFailure: policy}
			}
		})
		w.replayed(id)
		giveUp(id, "skip", "watermark", "MARK_HIDDEN", "r2", "r3")
		w.replayed(id)
		giveUp(id, "skip", "", "")
		w.replayed(id)
		for _, what := range []string{"1.2", "1.3", "2.3", "2.5", "p4"} {
			set(what, nil, false)
		}
		retry(id, func(r *distributionv1.RetryDistributionRequest) { r.Done = "redo" })
		w.replayed(id)
	}
	set("f2", broken, true)
	given := make("a file left out", 2, 5, nil)
	w.replayed(given)
	giveUp(given, "skip", "prepare", "MARK_HIDDEN")
	w.replayed(given)
	set("f2", nil, false)
	for _, address := range []string{"p2", "p3"} {
		set(address, deferred, true)
	}
	given = make("cancelled for some", 2, 4, nil)
	w.until(func() bool { return w.get("default", given).GetRecipients().GetDeferred() == 2 }, func() any { return w.get("default", given) })
	giveUp(given, "cancel", "email", "MAIL_DEFERRED")
	w.replayed(given)
	set("p2", nil, false)
	set("p3", nil, false)
	retry(given, nil)
	w.replayed(given)

	set("1.2", broken, true)
	set("2.2", broken, true)
	set("1.5", broken, false)
	set("p3", deferred, false)
	set("p4", refused, true)
	id := make("failures", 2, 6, nil)
	w.replayed(id)
	set("1.2", nil, false)
	retry(id, nil)
	w.replayed(id)
	set("p4", nil, false)
	set("2.2", nil, false)
	retry(id, func(r *distributionv1.RetryDistributionRequest) { r.Recipients = []string{id + ".r4"} })
	w.replayed(id)
	set("1.6", broken, false)
	retry(id, func(r *distributionv1.RetryDistributionRequest) { r.Done = "redo" })
	w.replayed(id)
	_, err := w.distributions.ResendRecipient(t.Context(), &distributionv1.ResendRecipientRequest{Production: "default", Distribution: id, Recipient: id + ".r1", Name: "Another"})
	if err != nil {
		t.Fatal(err)
	}
	w.replayed(id)

	set("f2", broken, true)
	set("t1.1", broken, false)
	id = make("a broken file", 2, 5, nil)
	w.replayed(id)
	set("f2", nil, false)
	retry(id, func(r *distributionv1.RetryDistributionRequest) { r.Recipients = []string{id + ".r2", id + ".r4"} })
	w.replayed(id) // of the others it stays as it was
	retry(id, nil)
	w.replayed(id)

	lost := fault.New(fault.Unavailable, "EMAIL_UNCERTAIN", "the connection broke after the final dot")
	lost.Uncertain = true
	for _, policy := range []string{"hold", "resend"} {
		set("p2", lost, false)
		w.replayed(make("uncertain, "+policy, 1, 3, func(r *distributionv1.CreateDistributionRequest) {
			r.Policy = &distributionv1.Policy{OnUncertain: policy}
		}))
	}

	set("1.2", broken, false)
	set("2.3", broken, false)
	w.replayed(make("all or nothing", 2, 4, func(r *distributionv1.CreateDistributionRequest) {
		r.Policy = &distributionv1.Policy{OnFailure: "hold"}
	}))

	// One that nobody is sent anything by, with steps of the whole at its end.
	_, err = w.definitions.PutDefinition(w.as(accessv1.Role_ROLE_ADMIN, "*"), &definitionv1.PutDefinitionRequest{Source: own})
	if err != nil {
		t.Fatal(err)
	}
	set("made Person 2", broken, false)
	set("report", broken, false)
	id = make("own", 2, 3, func(r *distributionv1.CreateDistributionRequest) { r.Definition = "own" })
	w.replayed(id)
	if d := w.endedAt("default", id); d.GetItems().GetFailed() != 1 {
		t.Errorf("got %v, want one item failed", d)
	}
	set("report", broken, false)
	retry(id, nil)
	w.replayed(id)
	retry(id, nil)
	w.replayed(id)
	set("made Person 1", broken, true)
	set("report", broken, true)
	id = make("own, given up", 2, 2, func(r *distributionv1.CreateDistributionRequest) { r.Definition = "own" })
	w.replayed(id)
	set("report", nil, false)
	giveUp(id, "skip", "make", "")
	w.replayed(id)
	set("report", broken, true)
	id = make("own, without a report", 2, 2, func(r *distributionv1.CreateDistributionRequest) { r.Definition = "own" })
	w.replayed(id)
	giveUp(id, "skip", "", "")
	w.replayed(id)
	set("made Person 1", nil, false)
	set("report", nil, false)

	set("1.1", broken, false)
	set("1.2", broken, false)
	w.replayed(make("too many failures", 1, 30, func(r *distributionv1.CreateDistributionRequest) {
		r.Policy = &distributionv1.Policy{Tolerate: &distributionv1.Tolerance{Items: new(int32(1))}}
	}))

	id = make("called back", 2, 5, func(r *distributionv1.CreateDistributionRequest) { r.HoldFor = durationpb.New(60_000_000_000) })
	w.until(func() bool { return w.get("default", id).GetSteps()[1].GetDone() == 10 }, func() any { return w.get("default", id) })
	cancel(id)
	w.replayed(id)

	id = make("cancelled under way", 9, 8, nil)
	w.until(func() bool {
		return w.get("default", id).GetSteps()[1].GetRunning() > 0 && w.get("default", id).GetSteps()[1].GetDone() > 20
	}, func() any { return w.get("default", id) })
	cancel(id)
	close(hold)
	w.replayed(id)

}
