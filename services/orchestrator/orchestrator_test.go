package orchestrator_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	pushv1 "github.com/filigreehq/filigree/proto/gen/filigree/push/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// testBundle is an orchestrator on a real Redis, with functions whose behaviour a test chooses.
type testBundle struct {
	t             testing.TB
	redis         *redistest.Server
	distributions distributionv1.DistributionServiceClient
	tasks         taskv1.TaskServiceClient
	schedules     schedulev1.ScheduleServiceClient
	control       controlv1.ControlServiceClient
	credentials   *credentials
	stop          func()

	prepare func(context.Context, *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error)
	stamp   func(context.Context, *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error)
	send    func(context.Context, *emailv1.SendRequest) (*emailv1.SendResponse, error)
	render  func(*thumbnailv1.RenderRequest)

	mu      sync.Mutex
	sent    map[string][]*emailv1.SendRequest // by address
	links   map[string]*linkv1.CreateRequest  // by link
	revoked []string
	pushed  atomic.Int64
}

// linkService records what is revoked.
type linkService struct {
	linkv1.UnimplementedLinkServiceServer
	b *testBundle
}

func (l linkService) Revoke(_ context.Context, r *linkv1.RevokeRequest) (*linkv1.RevokeResponse, error) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.revoked = append(l.b.revoked, r.GetLinks()...)
	if len(r.GetLinks()) == 0 {
		l.b.revoked = append(l.b.revoked, "all of "+r.GetDistribution())
	}
	return &linkv1.RevokeResponse{Revoked: int32(len(l.b.links))}, nil
}

// GetLinks knows every link, and that nobody has used it.
func (linkService) GetLinks(_ context.Context, r *linkv1.GetLinksRequest) (*linkv1.GetLinksResponse, error) {
	resp := &linkv1.GetLinksResponse{}
	for _, l := range r.GetLinks() {
		resp.Links = append(resp.Links, &linkv1.LinkState{Link: l, Access: "active"})
	}
	return resp, nil
}

// directory knows every production and every file. The production "open" takes restricted files.
type directory struct {
	directoryv1.UnimplementedDirectoryServiceServer
	filev1.UnimplementedFileServiceServer
}

func (directory) GetProduction(_ context.Context, r *directoryv1.GetProductionRequest) (*directoryv1.GetProductionResponse, error) {
	return &directoryv1.GetProductionResponse{Production: &directoryv1.Production{Id: r.GetProduction(), Name: "The Lamplighters", OpenRestricted: r.GetProduction() == "open"}}, nil
}

func (directory) GetFile(_ context.Context, r *filev1.GetFileRequest) (*filev1.GetFileResponse, error) {
	f := &filev1.File{Sha256: r.GetFile(), Name: r.GetFile()[:4] + ".pdf", Size: 1 << 20}
	if strings.HasPrefix(f.GetSha256(), "ee") {
		f.Size = 4 << 20 // two are more than a mail takes
	}
	return &filev1.GetFileResponse{File: f}, nil
}

func setup(t testing.TB) *testBundle {
	t.Helper()
	b := &testBundle{t: t, redis: redistest.Start(t), sent: map[string][]*emailv1.SendRequest{}, links: map[string]*linkv1.CreateRequest{}, credentials: &credentials{secrets: map[string]string{}}}
	b.prepare = func(context.Context, *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
		return &watermarkv1.PrepareResponse{Pages: 3}, nil
	}
	b.stamp = func(_ context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		return &watermarkv1.StampResponse{Artifact: &watermarkv1.Artifact{Key: "art/default/" + r.GetItem(),
			Sha256: strings.Repeat("a", 64), Size: 12345, MediaType: "application/pdf"}}, nil
	}
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		err := worker.Checkpoint(ctx, "dot")
		if err != nil {
			return nil, err
		}
		b.record(r)
		return &emailv1.SendResponse{MessageId: "<" + r.GetDelivery() + ">", Reply: "250 ok"}, nil
	}
	b.render = func(*thumbnailv1.RenderRequest) {}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *testBundle) record(r *emailv1.SendRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent[r.GetTo().GetEmail()] = append(b.sent[r.GetTo().GetEmail()], r)
}

// start starts an orchestrator and a worker for all functions.
func (b *testBundle) start() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(b.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	srv := rpc.NewServer(log)
	directoryv1.RegisterDirectoryServiceServer(srv, directory{})
	filev1.RegisterFileServiceServer(srv, directory{})
	linkv1.RegisterLinkServiceServer(srv, linkService{b: b})
	credentialv1.RegisterCredentialServiceServer(srv, b.credentials)
	connect, stopServer := rpc.InProcess(srv)
	conn := b.connect(connect)
	server, err := orchestrator.New(ctx, orchestrator.Config{Shards: 2, Sweep: time.Second, Tick: 20 * time.Millisecond},
		orchestrator.Deps{Redis: b.redis.Client, Directory: directoryv1.NewDirectoryServiceClient(conn),
			Files: filev1.NewFileServiceClient(conn), Credentials: credentialv1.NewCredentialServiceClient(conn), Links: linkv1.NewLinkServiceClient(conn), Log: log})
	if err != nil {
		b.t.Fatal(err)
	}
	api := rpc.NewServer(log)
	server.Register(api)
	connectAPI, stopAPI := rpc.InProcess(api)
	apiConn := b.connect(connectAPI)
	b.distributions = distributionv1.NewDistributionServiceClient(apiConn)
	b.tasks = taskv1.NewTaskServiceClient(apiConn)
	b.control = controlv1.NewControlServiceClient(apiConn)
	b.schedules = schedulev1.NewScheduleServiceClient(apiConn)
	var running sync.WaitGroup
	running.Go(func() { _ = server.Run(ctx) })
	w := worker.New(worker.Config{Name: "worker-1", Slots: 8, Renew: time.Second, Grace: 100 * time.Millisecond}, b.tasks, log,
		worker.Func("watermark.Prepare", func(ctx context.Context, r *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
			return b.prepare(ctx, r)
		}),
		worker.Func("watermark.Stamp", func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
			return b.stamp(ctx, r)
		}),
		worker.Func("thumbnail.Render", func(_ context.Context, r *thumbnailv1.RenderRequest) (*thumbnailv1.RenderResponse, error) {
			b.render(r)
			return &thumbnailv1.RenderResponse{Artifact: &watermarkv1.Artifact{Key: "art/default/thumb" + r.GetItem(), Sha256: strings.Repeat("b", 64)}}, nil
		}),
		worker.Func("link.Create", func(_ context.Context, r *linkv1.CreateRequest) (*linkv1.CreateResponse, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.links[r.GetLink()] = r
			return &linkv1.CreateResponse{Link: r.GetLink(), Generation: 1}, nil
		}),
		worker.Func("push.Send", func(_ context.Context, r *pushv1.SendRequest) (*pushv1.SendResponse, error) {
			b.pushed.Add(1)
			return &pushv1.SendResponse{}, nil
		}),
		worker.Func("email.Send", func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
			return b.send(ctx, r)
		}))
	working, stopWorker := context.WithCancel(context.Background())
	workerDone := make(chan struct{})
	go func() {
		defer close(workerDone)
		_ = w.Run(working)
	}()
	b.stop = sync.OnceFunc(func() {
		stopWorker()
		<-workerDone
		cancel()
		running.Wait()
		stopAPI()
		stopServer()
	})
}

func (b *testBundle) connect(connect func(string) (*grpc.ClientConn, error)) *grpc.ClientConn {
	b.t.Helper()
	conn, err := connect("test")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

var keys atomic.Int64

// request asks for f files to r recipients.
func request(f, r int) *distributionv1.CreateDistributionRequest {
	req := &distributionv1.CreateDistributionRequest{Production: "default", IdempotencyKey: fmt.Sprint("key", keys.Add(1))}
	for i := range f {
		req.Files = append(req.Files, &distributionv1.FileRef{Sha256: fmt.Sprintf("%064x", i+1)})
	}
	for i := range r {
		req.Recipients = append(req.Recipients, &distributionv1.RecipientInput{
			Name: fmt.Sprint("Person ", i+1), Email: fmt.Sprintf("p%d@example.com", i+1)})
	}
	return req
}

func (b *testBundle) create(req *distributionv1.CreateDistributionRequest) string {
	b.t.Helper()
	resp, err := b.distributions.CreateDistribution(b.t.Context(), req)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.GetDistribution().GetId()
}

func (b *testBundle) get(id string) *distributionv1.Distribution {
	b.t.Helper()
	return b.getIn("default", id)
}

func (b *testBundle) getIn(production, id string) *distributionv1.Distribution {
	b.t.Helper()
	resp, err := b.distributions.GetDistribution(b.t.Context(), &distributionv1.GetDistributionRequest{Production: production, Distribution: id})
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.GetDistribution()
}

// until polls the distribution until ok, or fails the test.
func (b *testBundle) until(id string, ok func(*distributionv1.Distribution) bool) *distributionv1.Distribution {
	b.t.Helper()
	return b.untilIn("default", id, ok)
}

func (b *testBundle) untilIn(production, id string, ok func(*distributionv1.Distribution) bool) *distributionv1.Distribution {
	b.t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		d := b.getIn(production, id)
		if ok(d) {
			return d
		}
		select {
		case <-deadline.C:
			b.t.Fatalf("it did not come to that: %v", d)
		case <-tick.C:
		}
	}
}

func ended(d *distributionv1.Distribution) bool { return d.GetEndedAt() != nil }

func (b *testBundle) items(id, state string) []*distributionv1.Item {
	b.t.Helper()
	var all []*distributionv1.Item
	for cursor := ""; ; {
		resp, err := b.distributions.ListItems(b.t.Context(), &distributionv1.ListItemsRequest{
			Production: "default", Distribution: id, State: state, PageToken: cursor, PageSize: 7})
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, resp.GetItems()...)
		cursor = resp.GetNextPageToken()
		if cursor == "" {
			return all
		}
	}
}

func (b *testBundle) recipients(id string) []*distributionv1.Recipient {
	b.t.Helper()
	resp, err := b.distributions.ListRecipients(b.t.Context(), &distributionv1.ListRecipientsRequest{Production: "default", Distribution: id, PageSize: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.GetRecipients()
}

func TestEveryoneGetsOneMailWithTheirCopies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(request(3, 150)) // more units than one slice has
	d := b.until(id, ended)
	if d.GetState() != "completed" || d.GetItems().GetDone() != 450 || d.GetRecipients().GetSent() != 150 {
		t.Errorf("got %v", d)
	}
	if len(b.sent) != 150 {
		t.Errorf("%d people were sent something, want 150", len(b.sent))
	}
	for address, mails := range b.sent {
		if len(mails) != 1 || len(mails[0].GetAttachments()) != 3 {
			t.Fatalf("%s got %d mails: %v", address, len(mails), mails)
		}
		number := strings.TrimSuffix(strings.TrimPrefix(address, "p"), "@example.com")
		for f, a := range mails[0].GetAttachments() {
			if want := fmt.Sprintf("art/default/%s.%d.%s", id, f+1, number); a.GetKey() != want {
				t.Errorf("%s got %s, want %s", address, a.GetKey(), want)
			}
		}
	}
	items := b.items(id, "")
	if len(items) != 450 || items[0].GetId() != id+".1.1" || len(items[0].GetSteps()) != 5 || items[0].GetSize() != 12345 {
		t.Errorf("%d items, the first %v", len(items), items[0])
	}
	if n := len(b.items(id, "failed")); n != 0 {
		t.Errorf("%d items failed", n)
	}
	for _, r := range b.recipients(id) {
		if r.GetDelivery().GetState() != "sent" || r.GetDelivery().GetMessageId() == "" || r.GetItems().GetDone() != 3 {
			t.Fatalf("recipient: %v", r)
		}
	}
}

func TestARefusedFileFailsItsItemsOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.prepare = func(_ context.Context, r *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
		if r.GetFile().GetName() == "0000.pdf" && strings.HasSuffix(r.GetFile().GetSha256(), "2") {
			return nil, fault.New(fault.Invalid, "PDF_ENCRYPTED", "the file needs a password")
		}
		return &watermarkv1.PrepareResponse{Pages: 1}, nil
	}
	for policy, want := range map[string]struct {
		state, delivery string
		done, failed    int32
		mails           int
	}{
		"send_available": {"completed_with_failures", "sent", 4, 4, 4},
		"hold":           {"failed", "failed", 0, 8, 0},
	} {
		b.mu.Lock()
		clear(b.sent)
		b.mu.Unlock()
		req := request(2, 4)
		req.Policy = &distributionv1.Policy{OnFailure: policy}
		id := b.create(req)
		d := b.until(id, ended)
		if d.GetState() != want.state || d.GetItems().GetDone() != want.done || d.GetItems().GetFailed() != want.failed {
			t.Errorf("%s: got %v", policy, d)
		}
		if len(b.sent) != want.mails {
			t.Errorf("%s: %d mails, want %d", policy, len(b.sent), want.mails)
		}
		for _, m := range b.sent {
			if len(m[0].GetAttachments()) != 1 || len(m[0].GetMissing()) != 1 {
				t.Errorf("%s: mail %v", policy, m[0])
			}
		}
		failed := b.items(id, "failed")
		if len(failed) != int(want.failed) || failed[len(failed)-1].GetError().GetCode() != "PDF_ENCRYPTED" ||
			failed[len(failed)-1].GetError().GetMessage() != "the file needs a password" {
			t.Errorf("%s: failed items %v", policy, failed)
		}
		for _, r := range b.recipients(id) {
			if r.GetDelivery().GetState() != want.delivery {
				t.Errorf("%s: recipient %v", policy, r)
			}
		}
	}
}

func TestTransientFailuresAreRetriedAndPermanentOnesAreNot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var tries sync.Map
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		n, _ := tries.LoadOrStore(r.GetTo().GetEmail(), new(atomic.Int64))
		switch attempt := n.(*atomic.Int64).Add(1); {
		case r.GetTo().GetEmail() == "p1@example.com" && attempt == 1:
			return nil, fault.New(fault.Unavailable, "EMAIL_DEFERRED", "come back later")
		case r.GetTo().GetEmail() == "p2@example.com":
			bounced := fault.New(fault.Invalid, "EMAIL_REJECTED", "550 no such user")
			bounced.Delivery = "bounced"
			return nil, bounced
		}
		b.record(r)
		return &emailv1.SendResponse{}, nil
	}
	id := b.create(request(1, 3))
	b.until(id, func(d *distributionv1.Distribution) bool { return d.GetRecipients().GetDeferred() == 1 })
	d := b.until(id, ended)
	if d.GetState() != "completed_with_failures" || d.GetItems().GetDone() != 2 || d.GetItems().GetFailed() != 1 {
		t.Errorf("got %v", d)
	}
	rs := b.recipients(id)
	if rs[0].GetDelivery().GetAttempts() != 2 || rs[0].GetDelivery().GetState() != "sent" {
		t.Errorf("deferred recipient: %v", rs[0])
	}
	if rs[1].GetDelivery().GetState() != "bounced" || rs[1].GetDelivery().GetError().GetCode() != "EMAIL_REJECTED" || rs[1].GetDelivery().GetAttempts() != 1 {
		t.Errorf("bounced recipient: %v", rs[1])
	}
}

func TestAnUncertainSendFollowsThePolicy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var duplicates atomic.Int64
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		task, _ := worker.TaskFrom(ctx)
		if task.Checkpoint == "dot" {
			duplicates.Add(1)
			b.record(r)
			return &emailv1.SendResponse{MaybeDuplicate: true}, nil
		}
		err := worker.Checkpoint(ctx, "dot")
		if err != nil {
			return nil, err
		}
		b.record(r)
		lost := fault.New(fault.Unavailable, "EMAIL_UNCERTAIN", "the connection broke after the final dot")
		lost.Uncertain = true
		return nil, lost
	}
	hold := request(1, 1)
	hold.Policy = &distributionv1.Policy{OnUncertain: "hold"}
	id := b.create(hold)
	d := b.until(id, ended)
	if d.GetState() != "failed" || d.GetRecipients().GetUncertain() != 1 || len(b.sent["p1@example.com"]) != 1 {
		t.Errorf("hold: %v, sent %d times", d, len(b.sent["p1@example.com"]))
	}
	id = b.create(request(1, 1))
	d = b.until(id, ended)
	r := b.recipients(id)[0]
	if d.GetState() != "completed" || !r.GetDelivery().GetMaybeDuplicate() || duplicates.Load() != 1 {
		t.Errorf("resend: %v, recipient %v", d, r)
	}
}

func TestCancelStopsWhatHasNotHappened(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var sending atomic.Int64
	gate := make(chan struct{})
	b.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		sending.Add(1)
		<-gate
		err := worker.Checkpoint(ctx, "dot")
		if err != nil {
			return nil, err
		}
		b.record(r)
		return &emailv1.SendResponse{}, nil
	}
	id := b.create(request(2, 60))
	b.until(id, func(d *distributionv1.Distribution) bool { return sending.Load() >= 4 })
	_, err := b.distributions.CancelDistribution(t.Context(), &distributionv1.CancelDistributionRequest{Production: "default", Distribution: id})
	if err != nil {
		t.Fatal(err)
	}
	close(gate)
	d := b.until(id, ended)
	if d.GetState() != "cancelled" || len(b.sent) != 0 || d.GetRecipients().GetCancelled() != 60 || d.GetItems().GetCancelled() != 120 {
		t.Errorf("got %v; %d mails went out after the cancel was acknowledged", d, len(b.sent))
	}
	_, err = b.distributions.CancelDistribution(t.Context(), &distributionv1.CancelDistributionRequest{Production: "default", Distribution: id})
	if err != nil {
		t.Errorf("cancelling again: %v", err)
	}
}

// Mails do not wait for thumbnails: who has theirs when it is cancelled has been served.
func TestCancelLeavesDoneWhatReachedPeople(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.until(b.create(request(1, 1)), ended) // all functions are known
	_, err := b.control.PauseFunction(t.Context(), &controlv1.PauseFunctionRequest{Function: "thumbnail.Render"})
	if err != nil {
		t.Fatal(err)
	}
	id := b.create(request(1, 5))
	b.until(id, func(d *distributionv1.Distribution) bool { return d.GetRecipients().GetSent() == 5 })
	_, err = b.distributions.CancelDistribution(t.Context(), &distributionv1.CancelDistributionRequest{Production: "default", Distribution: id})
	if err != nil {
		t.Fatal(err)
	}
	d := b.until(id, ended)
	if d.GetItems().GetDone() != 5 || d.GetRecipients().GetSent() != 5 {
		t.Errorf("it ended %s with items %v and recipients %v, want all done and all sent", d.GetState(), d.GetItems(), d.GetRecipients())
	}
}

func TestCreateIsIdempotentByKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req := request(1, 2)
	ids := make([]string, 50)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			resp, err := b.distributions.CreateDistribution(t.Context(), req)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = resp.GetDistribution().GetId()
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("one key made %s and %s", ids[0], id)
		}
	}
	other := request(1, 3)
	other.IdempotencyKey = ""
	ctx := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", req.GetIdempotencyKey())
	_, err := b.distributions.CreateDistribution(ctx, other)
	if fault.From(err).Reason != "IDEMPOTENCY_CONFLICT" {
		t.Errorf("the same key with another body: %v", err)
	}
	_, err = b.distributions.CreateDistribution(t.Context(), other)
	if fault.From(err).Reason != "IDEMPOTENCY_KEY_MISSING" {
		t.Errorf("no key: %v", err)
	}
	d := b.until(ids[0], ended)
	if d.GetState() != "completed" || len(b.sent) != 2 {
		t.Errorf("%d people were sent something: %v", len(b.sent), d)
	}
}

// A distribution whose spec is gone stays where it is; others lose neither their retries nor their queues to it.
func TestOneUnreadableDistributionKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gate := make(chan struct{})
	b.send = func(_ context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		select {
		case <-gate:
			b.record(r)
			return &emailv1.SendResponse{}, nil
		default:
			return nil, fault.New(fault.Unavailable, "EMAIL_DEFERRED", "come back later")
		}
	}
	deferred := func(d *distributionv1.Distribution) bool { return d.GetRecipients().GetDeferred() == 1 }
	bad := b.create(request(1, 1))
	b.until(bad, deferred)
	good := b.create(request(1, 1))
	b.until(good, deferred)
	b.stop() // what it has in memory is forgotten
	for shard := range 2 {
		ctx := t.Context()
		_ = b.redis.Client.Del(ctx, fmt.Sprintf("{%d}:spec:%s", shard, bad)).Err() // in one of them it is
		_ = b.redis.Client.Del(ctx, fmt.Sprintf("{%d}:later", shard)).Err()        // so only the sweep can bring it back
	}
	close(gate)
	b.start()
	d := b.until(good, ended)
	if d.GetState() != "completed" {
		t.Errorf("got %v", d)
	}
}
