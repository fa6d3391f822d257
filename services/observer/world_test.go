package observer_test

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

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	pushv1 "github.com/filigreehq/filigree/proto/gen/filigree/push/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/observer"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// world is an observer beside an orchestrator on a real Redis, with functions whose behaviour a test chooses. Directory and
// credentials are fakes; between all are the interceptors that real ones have.
type world struct {
	t     testing.TB
	redis *redistest.Server
	look  time.Duration   // how often the observer looks
	keep  observer.Config // how long it keeps what
	blobs string          // the folder of all observers' blobs: events that are archived are nowhere else
	// Of the orchestrator, and of the observer's reads.
	distributions, seen distributionv1.DistributionServiceClient
	control             controlv1.ControlServiceClient
	definitions         definitionv1.DefinitionServiceClient
	observer            observerv1.ObserverServiceClient
	alerts              observerv1.AlertServiceClient

	connect          func(string) (*grpc.ClientConn, error) // to the orchestrator
	observing        *grpc.ClientConn                       // to the observer
	log              *slog.Logger
	retention        time.Duration // of the orchestrator; 0: its default
	stopOrchestrator func()
	stopObserver     func()

	stamp func(context.Context, *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error)
	send  func(context.Context, *emailv1.SendRequest) (*emailv1.SendResponse, error)
}

// directory knows the productions default and other, and every file.
type directory struct {
	directoryv1.UnimplementedDirectoryServiceServer
	filev1.UnimplementedFileServiceServer
	credentialv1.UnimplementedCredentialServiceServer
}

func (directory) GetProduction(_ context.Context, r *directoryv1.GetProductionRequest) (*directoryv1.GetProductionResponse, error) {
	if r.GetProduction() != "default" && r.GetProduction() != "other" {
		return nil, rpc.UnknownProduction(r.GetProduction())
	}
	return &directoryv1.GetProductionResponse{Production: &directoryv1.Production{Id: r.GetProduction(), Name: "The Lamplighters"}}, nil
}

func (directory) ListProductions(context.Context, *directoryv1.ListProductionsRequest) (*directoryv1.ListProductionsResponse, error) {
	return &directoryv1.ListProductionsResponse{Productions: []*directoryv1.Production{{Id: "default"}, {Id: "other"}}}, nil
}

func (directory) GetFile(_ context.Context, r *filev1.GetFileRequest) (*filev1.GetFileResponse, error) {
	return &filev1.GetFileResponse{File: &filev1.File{Sha256: r.GetFile(), Name: r.GetFile()[60:] + ".pdf"}}, nil
}

func newWorld(t testing.TB, change func(*observer.Deps)) *world {
	t.Helper()
	return newWorldOn(t, redistest.Start(t), func(*world) func(*observer.Deps) { return change })
}

// newWorldOn makes a world on a Redis; prepare is called when an orchestrator runs, and says what is special of the observer.
func newWorldOn(t testing.TB, on *redistest.Server, prepare func(*world) func(*observer.Deps)) *world {
	t.Helper()
	w := &world{t: t, redis: on, look: 100 * time.Millisecond, blobs: t.TempDir(), log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	w.stamp = func(_ context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		return &watermarkv1.StampResponse{Artifact: &watermarkv1.Artifact{Key: "art/default/" + r.GetItem(),
			Sha256: strings.Repeat("a", 64), Size: 12345, MediaType: "application/pdf"}}, nil
	}
	w.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		err := worker.Checkpoint(ctx, "dot")
		if err != nil {
			return nil, err
		}
		return &emailv1.SendResponse{MessageId: "<" + r.GetDelivery() + ">", Reply: "250 ok"}, nil
	}
	w.startOrchestrator()
	w.startObserver(prepare(w))
	t.Cleanup(func() { w.stopObserver(); w.stopOrchestrator() })
	return w
}

// startOrchestrator starts an orchestrator, without workers.
func (w *world) startOrchestrator() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	peers := rpc.NewServer(w.log)
	directoryv1.RegisterDirectoryServiceServer(peers, directory{})
	filev1.RegisterFileServiceServer(peers, directory{})
	credentialv1.RegisterCredentialServiceServer(peers, directory{})
	toPeers, stopPeers := rpc.InProcess(peers)
	conn := w.dial(toPeers, "orchestrator")
	server, err := orchestrator.New(ctx, orchestrator.Config{Shards: 2, Sweep: time.Second, Tick: 20 * time.Millisecond, Retention: w.retention},
		orchestrator.Deps{Redis: w.redis.Client, Directory: directoryv1.NewDirectoryServiceClient(conn),
			Files: filev1.NewFileServiceClient(conn), Credentials: credentialv1.NewCredentialServiceClient(conn), Log: w.log, Stopping: ctx.Done()})
	if err != nil {
		w.t.Fatal(err)
	}
	srv := rpc.NewServer(w.log)
	server.Register(srv)
	connect, stopServer := rpc.InProcess(srv)
	w.connect = connect
	conn = w.dial(connect, "test")
	w.distributions = distributionv1.NewDistributionServiceClient(conn)
	w.control = controlv1.NewControlServiceClient(conn)
	w.definitions = definitionv1.NewDefinitionServiceClient(conn)
	var running sync.WaitGroup
	running.Go(func() { _ = server.Run(ctx) })
	w.stopOrchestrator = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		stopServer()
		stopPeers()
	})
}

// startObserver starts an observer.
func (w *world) startObserver(change func(*observer.Deps)) {
	w.t.Helper()
	peers := rpc.NewServer(w.log)
	directoryv1.RegisterDirectoryServiceServer(peers, directory{})
	credentialv1.RegisterCredentialServiceServer(peers, directory{})
	toPeers, stopPeers := rpc.InProcess(peers)
	conn, orch := w.dial(toPeers, "observer"), w.dial(w.connect, "observer")
	dir := w.t.TempDir()
	blobs, err := blob.Open(w.t.Context(), w.blobs)
	if err != nil {
		w.t.Fatal(err)
	}
	keys, err := keyring.LoadOrCreate(dir + "/keys.json")
	if err != nil {
		w.t.Fatal(err)
	}
	deps := observer.Deps{
		Redis: w.redis.Client, Blobs: blobs, Keys: keys, Dir: dir,
		Distributions: distributionv1.NewDistributionServiceClient(orch), Control: controlv1.NewControlServiceClient(orch),
		Directory: directoryv1.NewDirectoryServiceClient(conn), Credentials: credentialv1.NewCredentialServiceClient(conn), Log: w.log,
	}
	if change != nil {
		change(&deps)
	}
	cfg := w.keep
	cfg.Look = w.look
	s, err := observer.New(cfg, deps)
	if err != nil {
		w.t.Fatal(err)
	}
	srv := rpc.NewServer(w.log)
	s.Register(srv)
	connect, stopServer := rpc.InProcess(srv)
	conn = w.dial(connect, "test")
	w.observing = conn
	w.observer, w.alerts = observerv1.NewObserverServiceClient(conn), observerv1.NewAlertServiceClient(conn)
	w.seen = distributionv1.NewDistributionServiceClient(conn)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	w.stopObserver = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		stopServer()
		stopPeers()
		err := s.Close()
		if err != nil {
			w.t.Error(err)
		}
		_ = blobs.Close()
	})
}

func (w *world) dial(connect func(string) (*grpc.ClientConn, error), name string) *grpc.ClientConn {
	w.t.Helper()
	conn, err := connect(name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// work starts a worker for functions; without any, for all that send-documents needs. stop ends it.
func (w *world) work(name string, functions ...worker.Function) (stop func()) {
	w.t.Helper()
	if len(functions) == 0 {
		functions = []worker.Function{
			worker.Func("watermark.Prepare", func(context.Context, *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
				return &watermarkv1.PrepareResponse{Pages: 3}, nil
			}),
			worker.Func("watermark.Stamp", func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
				return w.stamp(ctx, r)
			}),
			worker.Func("thumbnail.Render", func(_ context.Context, r *thumbnailv1.RenderRequest) (*thumbnailv1.RenderResponse, error) {
				return &thumbnailv1.RenderResponse{Artifact: &watermarkv1.Artifact{Key: "art/default/t" + r.GetItem(), Sha256: strings.Repeat("b", 64)}}, nil
			}),
			worker.Func("push.Send", func(context.Context, *pushv1.SendRequest) (*pushv1.SendResponse, error) {
				return &pushv1.SendResponse{}, nil
			}),
			worker.Func("email.Send", func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
				return w.send(ctx, r)
			}),
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	conn := w.dial(w.connect, "worker")
	run := worker.New(worker.Config{Name: name, Slots: 8, Renew: time.Second, Grace: 100 * time.Millisecond}, taskv1.NewTaskServiceClient(conn), w.log, functions...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = run.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(stop)
	return stop
}

var keys atomic.Int64

// create makes a distribution of f files to r recipients.
func (w *world) create(production string, f, r int) string {
	w.t.Helper()
	req := &distributionv1.CreateDistributionRequest{Production: production, Title: "Pages", IdempotencyKey: fmt.Sprint("key", keys.Add(1))}
	for i := range f {
		req.Files = append(req.Files, &distributionv1.FileRef{Sha256: fmt.Sprintf("%064x", i+1)})
	}
	for i := range r {
		req.Recipients = append(req.Recipients, &distributionv1.RecipientInput{
			Name: fmt.Sprint("Person ", i+1), Email: fmt.Sprintf("p%d@example.com", i+1)})
	}
	resp, err := w.distributions.CreateDistribution(w.t.Context(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetDistribution().GetId()
}

// get asks the observer for a distribution.
func (w *world) get(production, id string) *distributionv1.Distribution {
	w.t.Helper()
	resp, err := w.seen.GetDistribution(w.t.Context(), &distributionv1.GetDistributionRequest{Production: production, Distribution: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetDistribution()
}

func (w *world) overview(ctx context.Context) *observerv1.GetOverviewResponse {
	w.t.Helper()
	resp, err := w.observer.GetOverview(ctx, &observerv1.GetOverviewRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

func (w *world) top() *observerv1.GetTopResponse {
	w.t.Helper()
	resp, err := w.observer.GetTop(w.t.Context(), &observerv1.GetTopRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

// worker is what a top says of a worker; nil when it names none of that name.
func (w *world) worker(name string) *observerv1.TopWorker {
	w.t.Helper()
	for _, v := range w.top().GetWorkers() {
		if v.GetWorker() == name {
			return v
		}
	}
	return nil
}

// function is what a top says of a function.
func (w *world) function(name string) *observerv1.TopFunction {
	w.t.Helper()
	for _, f := range w.top().GetFunctions() {
		if f.GetFunction() == name {
			return f
		}
	}
	return nil
}

// until waits until ok, or fails the test with what says tells.
func (w *world) until(ok func() bool, says func() any) {
	w.t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			w.t.Fatalf("it did not come to that: %v", says())
		case <-tick.C:
		}
	}
}

// ended waits until a distribution has ended, as the observer sees it.
func (w *world) ended(production, id string) *distributionv1.Distribution {
	w.t.Helper()
	var d *distributionv1.Distribution
	w.until(func() bool { d = w.get(production, id); return d.GetEndedAt() != nil }, func() any { return d })
	return d
}

// cause waits until an overview has a cause of a kind, and returns it.
func (w *world) cause(ctx context.Context, kind string) *observerv1.Cause {
	w.t.Helper()
	var found *observerv1.Cause
	var last *observerv1.GetOverviewResponse
	w.until(func() bool {
		last = w.overview(ctx)
		for _, c := range last.GetCauses() {
			if c.GetKind() == kind {
				found = c
				return true
			}
		}
		return false
	}, func() any { return last })
	return found
}

// as returns a context whose calls are made on behalf of somebody of role who may act in productions.
func (w *world) as(role accessv1.Role, productions ...string) context.Context {
	w.t.Helper()
	ctx, err := rpc.As(w.t.Context(), &accessv1.Principal{Subject: "token:1", Role: role, Productions: productions})
	if err != nil {
		w.t.Fatal(err)
	}
	return ctx
}
