package standalone_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	pushv1 "github.com/filigreehq/filigree/proto/gen/filigree/push/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	directoryservice "github.com/filigreehq/filigree/services/directory"
	"github.com/filigreehq/filigree/services/link"
	"github.com/filigreehq/filigree/services/observer"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// descriptors are all services there are.
var descriptors = []grpc.ServiceDesc{
	controlv1.ControlService_ServiceDesc, credentialv1.CredentialService_ServiceDesc, definitionv1.DefinitionService_ServiceDesc,
	directoryv1.DirectoryService_ServiceDesc, distributionv1.DistributionService_ServiceDesc, emailv1.EmailService_ServiceDesc,
	filev1.FileService_ServiceDesc, linkv1.LinkService_ServiceDesc, observerv1.AlertService_ServiceDesc, observerv1.ObserverService_ServiceDesc,
	pushv1.PushService_ServiceDesc, schedulev1.ScheduleService_ServiceDesc, sessionv1.SessionService_ServiceDesc,
	taskv1.TaskService_ServiceDesc, thumbnailv1.ThumbnailService_ServiceDesc, watermarkv1.WatermarkService_ServiceDesc,
}

// NewStream has the same faults as Invoke: the stream is refused, or all is carried out and the answer goes nowhere.
func (f *faulty) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	n := f.draw(method)
	if n == 0 {
		return nil, fault.From(status.Error(codes.Unavailable, "connection refused, by the test"))
	}
	stream, err := f.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	if n == 1 && err == nil {
		return unanswered{stream}, nil
	}
	return stream, err
}

type unanswered struct{ grpc.ClientStream }

func (u unanswered) RecvMsg(m any) error {
	err := u.ClientStream.RecvMsg(m)
	if err != nil {
		return err
	}
	return fault.From(status.Error(codes.DeadlineExceeded, "timeout, by the test"))
}

// stamper finds every document well.
type stamper struct {
	watermarkv1.WatermarkServiceClient
}

func (stamper) Prepare(context.Context, *watermarkv1.PrepareRequest, ...grpc.CallOption) (*watermarkv1.PrepareResponse, error) {
	return &watermarkv1.PrepareResponse{Pages: 1}, nil
}

// suite is orchestrator, directory, link and observer, which ask each other, and are asked by the test, over unsteady connections.
type suite struct {
	t      *testing.T
	steady grpc.ClientConnInterface
	now    grpc.ClientConnInterface // which of the two calls go over
	conn   *faulty
	round  int
	file   *distributionv1.FileRef
	mails  effects

	control       controlv1.ControlServiceClient
	credentials   credentialv1.CredentialServiceClient
	definitions   definitionv1.DefinitionServiceClient
	directory     directoryv1.DirectoryServiceClient
	distributions distributionv1.DistributionServiceClient
	files         filev1.FileServiceClient
	links         linkv1.LinkServiceClient
	schedules     schedulev1.ScheduleServiceClient
	sessions      sessionv1.SessionServiceClient
	observer      observerv1.ObserverServiceClient
	alerts        observerv1.AlertServiceClient
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &suite{t: t, mails: effects{done: map[string]int{}}}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	server := redistest.Start(t)
	blobs, err := blob.Open(t.Context(), filepath.Join(t.TempDir(), "blobs"))
	must(err)
	t.Cleanup(func() { _ = blobs.Close() })
	keys, err := keyring.LoadOrCreate(filepath.Join(t.TempDir(), "keys.json"))
	must(err)
	srv := rpc.NewServer(log)
	connect, stop := rpc.InProcess(srv)
	steady, err := connect("test")
	must(err)
	s.steady, s.conn = steady, newFaulty(steady, 1)
	between := newFaulty(steady, 2)
	d, err := directoryservice.New(directoryservice.Config{MaxFileBytes: 1 << 20, UploadIdle: time.Minute, InspectTimeout: time.Minute, Inspections: 2, SignIns: directoryservice.DefaultSignIns()}, directoryservice.Deps{Redis: server.Client, Blobs: blobs, Keys: keys, Watermark: stamper{}, Log: log, Now: time.Now})
	must(err)
	d.Register(srv)
	l, err := link.New(link.Config{URL: "http://links.example.com"}, link.Deps{Redis: server.Client, Blobs: blobs, Keys: keys, Log: log})
	must(err)
	linkv1.RegisterLinkServiceServer(srv, l)
	o, err := orchestrator.New(t.Context(), orchestrator.Config{Shards: 2, Sweep: time.Second, Tick: 20 * time.Millisecond}, orchestrator.Deps{
		Redis: server.Client, Directory: directoryv1.NewDirectoryServiceClient(between), Files: filev1.NewFileServiceClient(between),
		Credentials: credentialv1.NewCredentialServiceClient(between), Links: linkv1.NewLinkServiceClient(between), Log: log})
	must(err)
	o.Register(srv)
	obs, err := observer.New(observer.Config{}, observer.Deps{Redis: server.Client, Blobs: blobs, Keys: keys, Dir: t.TempDir(),
		Distributions: distributionv1.NewDistributionServiceClient(between), Control: controlv1.NewControlServiceClient(between),
		Directory: directoryv1.NewDirectoryServiceClient(between), Credentials: credentialv1.NewCredentialServiceClient(between), Log: log})
	must(err)
	observerv1.RegisterObserverServiceServer(srv, obs)
	observerv1.RegisterAlertServiceServer(srv, obs)
	s.clients(s.conn)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = o.Run(ctx) })
	w := worker.New(worker.Config{Name: "w", Slots: 8, Renew: time.Second, Grace: 5 * time.Second}, taskv1.NewTaskServiceClient(steady), log,
		worker.Func("test.Send", func(_ context.Context, r *structpb.Struct) (*structpb.Struct, error) {
			s.mails.did(r.GetFields()["key"].GetStringValue())
			return &structpb.Struct{}, nil
		}),
		worker.Func("test.Fail", func(context.Context, *structpb.Struct) (*structpb.Struct, error) {
			return nil, fault.New(fault.Invalid, "NO", "no")
		}))
	running.Go(func() { _ = w.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = steady.Close()
		stop()
	})
	s.prepare()
	return s
}

func (s *suite) clients(conn grpc.ClientConnInterface) {
	s.now = conn
	s.control, s.credentials = controlv1.NewControlServiceClient(conn), credentialv1.NewCredentialServiceClient(conn)
	s.definitions, s.directory = definitionv1.NewDefinitionServiceClient(conn), directoryv1.NewDirectoryServiceClient(conn)
	s.distributions, s.files = distributionv1.NewDistributionServiceClient(conn), filev1.NewFileServiceClient(conn)
	s.links, s.schedules = linkv1.NewLinkServiceClient(conn), schedulev1.NewScheduleServiceClient(conn)
	s.sessions = sessionv1.NewSessionServiceClient(conn)
	s.observer, s.alerts = observerv1.NewObserverServiceClient(conn), observerv1.NewAlertServiceClient(conn)
}

const quick = `name: %s
version: %d
steps:
  - name: send
    scope: recipient
    function: %s
    delivers: email
    with: {key: recipient.delivery}
    retry: {attempts: 3, backoff: [10ms]}
`

// prepare makes what the rows work on, over steady connections.
func (s *suite) prepare() {
	s.clients(s.steady)
	defer s.clients(s.conn)
	_, err := s.directory.CreateProduction(s.t.Context(), &directoryv1.CreateProductionRequest{Id: "p", Name: "The Lamplighters"})
	if err != nil {
		s.t.Fatal(err)
	}
	for name, function := range map[string]string{"quick": "test.Send", "failing": "test.Fail", "never": "test.Never"} {
		_, err = s.definitions.PutDefinition(s.t.Context(), &definitionv1.PutDefinitionRequest{Source: fmt.Sprintf(quick, name, 1, function)})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	f, err := s.upload([]byte("%PDF-1.7 for all"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.file = &distributionv1.FileRef{Sha256: f.GetSha256(), Name: "a.pdf"}
}

func (s *suite) upload(data []byte) (*filev1.File, error) {
	stream, err := s.files.Upload(s.t.Context())
	if err != nil {
		return nil, err
	}
	err = stream.Send(&filev1.UploadRequest{Production: "p", Name: "a.pdf"})
	if err == nil {
		err = stream.Send(&filev1.UploadRequest{Data: data})
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the answer says why
		return nil, err
	}
	resp, err := stream.CloseAndRecv()
	return resp.GetFile(), err
}

// name is another in each round.
func (s *suite) name() string { return fmt.Sprint("x", s.round) }

// again calls until there is an answer. done are refusals which, after a call without an answer, say that it was carried out.
func (s *suite) again(call func(ctx context.Context) error, done ...string) {
	s.t.Helper()
	unanswered := false
	for range 100 {
		err := call(s.t.Context())
		switch {
		case err == nil:
			return
		case fault.Transient(err):
			unanswered = true
		case unanswered && slices.Contains(done, fault.From(err).Reason):
			return
		default:
			s.t.Fatal(err)
		}
	}
	s.t.Fatal("a hundred calls without an answer")
}

// calm does what is no part of a row's faults.
func (s *suite) calm(f func()) {
	was := s.now
	s.clients(s.steady)
	defer s.clients(was)
	f()
}

// ask reads without faults of the test's own; what those that are asked ask of others may fail.
func ask[T any](s *suite, call func(ctx context.Context) (T, error)) T {
	s.t.Helper()
	var out T
	s.calm(func() {
		s.again(func(ctx context.Context) error {
			var err error
			out, err = call(ctx)
			return err
		})
	})
	return out
}

func (s *suite) request(definition, title string) *distributionv1.CreateDistributionRequest {
	return &distributionv1.CreateDistributionRequest{Production: "p", Definition: definition, Title: title, IdempotencyKey: "key " + title,
		Files: []*distributionv1.FileRef{s.file}, Recipients: []*distributionv1.RecipientInput{{Name: "Anna", Email: "anna@example.com"}}}
}

// made is a distribution, created without faults.
func (s *suite) made(definition, title string) string {
	s.t.Helper()
	id := ""
	s.calm(func() {
		s.again(func(ctx context.Context) error { // those that are asked for it fail
			resp, err := s.distributions.CreateDistribution(ctx, s.request(definition, title))
			id = resp.GetDistribution().GetId()
			return err
		})
	})
	return id
}

func (s *suite) get(id string) *distributionv1.Distribution {
	s.t.Helper()
	return ask(s, func(ctx context.Context) (*distributionv1.GetDistributionResponse, error) {
		return s.distributions.GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: "p", Distribution: id})
	}).GetDistribution()
}

func (s *suite) await(id, state string) *distributionv1.Distribution {
	s.t.Helper()
	for late := time.Now().Add(2 * time.Minute); ; <-time.After(10 * time.Millisecond) {
		d := s.get(id)
		if d.GetState() == state {
			return d
		}
		if time.Now().After(late) {
			s.t.Fatalf("%s is %s, and does not come to be %s", id, d.GetState(), state)
		}
	}
}

// events counts a distribution's events of a kind.
func (s *suite) events(id, kind string) int {
	s.t.Helper()
	resp := ask(s, func(ctx context.Context) (*distributionv1.ListEventsResponse, error) {
		return s.distributions.ListEvents(ctx, &distributionv1.ListEventsRequest{Production: "p", Distribution: id, PageSize: 500})
	})
	n := 0
	for _, e := range resp.GetEvents() {
		if e.GetKind() == kind {
			n++
		}
	}
	return n
}

func (s *suite) want(what string, got, want any) {
	s.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("round %d: %s: %v, want %v", s.round, what, got, want)
	}
}

// A method is either called while one call of ten never arrives and another is carried out without an answer, and what it
// does is looked at, or safe for a reason.
type method struct {
	safe string
	do   func(s *suite)
}

// Every method of every service, so that a new one needs a row.
func TestEveryMethodThatFailsOrOnlySeemsTo(t *testing.T) {
	t.Parallel()
	s := newSuite(t)
	listed := map[string]bool{}
	for _, d := range descriptors {
		listed[d.ServiceName] = true
	}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for n := range f.Services().Len() {
			name := string(f.Services().Get(n).FullName())
			// The observer's are here since workers can tell it of runs; its own tests call them.
			if strings.HasPrefix(name, "filigree.") && !strings.HasPrefix(name, "filigree.observer.") && !listed[name] {
				t.Errorf("%s is not among descriptors", name)
			}
		}
		return true
	})
	known := map[string]bool{}
	for _, d := range descriptors {
		var names []string
		for _, m := range d.Methods {
			names = append(names, m.MethodName)
		}
		for _, m := range d.Streams {
			names = append(names, m.StreamName)
		}
		for _, m := range names {
			short := d.ServiceName[strings.LastIndex(d.ServiceName, ".")+1:] + "." + m
			known[short] = true
			row, ok := methods[short]
			if !ok {
				t.Errorf("%s has no row: say what becomes of it when its answer is lost", short)
				continue
			}
			if row.safe != "" {
				continue
			}
			t.Run(short, func(t *testing.T) {
				s.t = t
				for s.round = range 20 {
					row.do(s)
				}
				full := "/" + d.ServiceName + "/" + m
				if s.conn.never[full] < 2 || s.conn.lost[full] < 2 {
					t.Errorf("of %d calls %d never arrived and %d had no answer, want two of each at least", s.conn.all[full], s.conn.never[full], s.conn.lost[full])
				}
				t.Logf("%d calls, %d never arrived, %d carried out without an answer", s.conn.all[full], s.conn.never[full], s.conn.lost[full])
			})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		if !known[name] {
			t.Errorf("the row %s is of no method", name)
		}
	}
}
