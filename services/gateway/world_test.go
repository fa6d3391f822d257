package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	"github.com/filigreehq/filigree/services/gateway"
)

// Tokens that the directory of a world knows, by what they may.
const (
	coordinator = "token-of-a-coordinator-of-red"
	oncall      = "token-of-somebody-on-call"
	admin       = "token-of-an-admin"
	usurper     = "token-that-claims-to-be-a-service"
)

// world is a gateway on a real port before services in memory, behind the interceptors that real ones have.
type world struct {
	t             *testing.T
	url, addr     string
	directory     *directory
	files         *files
	distributions *distributions
	thumbnails    *thumbnails
	schedules     *schedules
	sessions      *sessions
	blobs         *blob.Bucket
	log           *safeBuffer
	stop          context.CancelFunc
	stopped       <-chan error
	client        *http.Client
}

func newWorld(t *testing.T, change func(*gateway.Config, *gateway.Deps)) *world {
	t.Helper()
	w := &world{t: t, log: &safeBuffer{}, client: &http.Client{Transport: &http.Transport{}}}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.directory = newDirectory()
	w.files = &files{ended: make(chan error, 100)}
	w.distributions = &distributions{}
	w.thumbnails = &thumbnails{}
	w.schedules = &schedules{}
	w.sessions = newSessions()
	quiet := slog.New(slog.DiscardHandler)
	srv := rpc.NewServer(quiet)
	directoryv1.RegisterDirectoryServiceServer(srv, w.directory)
	filev1.RegisterFileServiceServer(srv, w.files)
	credentialv1.RegisterCredentialServiceServer(srv, credentialv1.UnimplementedCredentialServiceServer{})
	distributionv1.RegisterDistributionServiceServer(srv, w.distributions)
	definitionv1.RegisterDefinitionServiceServer(srv, definitionv1.UnimplementedDefinitionServiceServer{})
	controlv1.RegisterControlServiceServer(srv, controlv1.UnimplementedControlServiceServer{})
	schedulev1.RegisterScheduleServiceServer(srv, w.schedules)
	sessionv1.RegisterSessionServiceServer(srv, w.sessions)
	thumbnailv1.RegisterThumbnailServiceServer(srv, w.thumbnails)
	connect, stopServices := rpc.InProcess(srv)
	conn, err := connect("gateway")
	if err != nil {
		t.Fatal(err)
	}
	// An observer that knows nothing yet: what is asked of it first is asked of the others then.
	observing := rpc.NewServer(quiet)
	observerv1.RegisterObserverServiceServer(observing, observerv1.UnimplementedObserverServiceServer{})
	observerv1.RegisterAlertServiceServer(observing, observerv1.UnimplementedAlertServiceServer{})
	observe, stopObserver := rpc.InProcess(observing)
	observer, err := observe("gateway")
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	w.blobs = blobs
	cfg := gateway.DefaultConfig()
	deps := gateway.Deps{
		Directory:     directoryv1.NewDirectoryServiceClient(conn),
		Files:         filev1.NewFileServiceClient(conn),
		Credentials:   credentialv1.NewCredentialServiceClient(conn),
		Distributions: distributionv1.NewDistributionServiceClient(conn),
		Definitions:   definitionv1.NewDefinitionServiceClient(conn),
		Control:       controlv1.NewControlServiceClient(conn),
		Schedules:     schedulev1.NewScheduleServiceClient(conn),
		Sessions:      sessionv1.NewSessionServiceClient(conn),
		Observer:      observer,
		Thumbnails:    thumbnailv1.NewThumbnailServiceClient(conn),
		Blobs:         blobs,
		Log:           log,
	}
	if change != nil {
		change(&cfg, &deps)
	}
	g, err := gateway.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- g.Serve(ctx, lis); close(stopped) }()
	w.addr, w.url, w.stop, w.stopped = lis.Addr().String(), "http://"+lis.Addr().String(), cancel, stopped
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		cancel()
		for range stopped {
		}
		_, _ = conn.Close(), observer.Close()
		stopServices()
		stopObserver()
	})
	return w
}

// answer is what came back, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	resp, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (w *world) request(method, path, token, body string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func (w *world) call(method, path, token, body string) answer {
	w.t.Helper()
	return w.do(w.request(method, path, token, body))
}

// refused checks that a is a failure in the one form that failures have.
func refused(t *testing.T, a answer, status int, code string) string {
	t.Helper()
	var got struct {
		Error *struct {
			Code      string
			Message   string
			Retryable *bool
		}
	}
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.DisallowUnknownFields()
	err := dec.Decode(&got)
	if err != nil || got.Error == nil || got.Error.Message == "" || got.Error.Retryable == nil {
		t.Fatalf("got %d %q (%v), want a failure", a.status, a.body, err)
	}
	if a.status != status || got.Error.Code != code {
		t.Errorf("got %d %s (%s), want %d %s", a.status, got.Error.Code, got.Error.Message, status, code)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("got a failure as %q, want application/json", ct)
	}
	return got.Error.Message
}

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type directory struct {
	directoryv1.UnimplementedDirectoryServiceServer

	mu      sync.Mutex
	tokens  map[string]*accessv1.Principal
	asked   int
	askedBy *accessv1.Principal
	updated *directoryv1.UpdateProductionRequest
	fail    error
}

func newDirectory() *directory {
	d := &directory{tokens: map[string]*accessv1.Principal{}}
	d.give(coordinator, accessv1.Role_ROLE_COORDINATOR, "red")
	d.give(oncall, accessv1.Role_ROLE_ONCALL, "*")
	d.give(admin, accessv1.Role_ROLE_ADMIN, "*")
	d.give(usurper, accessv1.Role_ROLE_SERVICE, "*")
	return d
}

func (d *directory) give(token string, role accessv1.Role, productions ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens[hashOf(token)] = &accessv1.Principal{Subject: "t1", Role: role, Productions: productions}
}

func (d *directory) take(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tokens, hashOf(token))
}

func (d *directory) questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *directory) answerWith(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func (d *directory) Authenticate(ctx context.Context, req *directoryv1.AuthenticateRequest) (*directoryv1.AuthenticateResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	d.askedBy = rpc.PrincipalFrom(ctx)
	if d.fail != nil {
		return nil, d.fail
	}
	p := d.tokens[req.GetTokenSha256()]
	if p == nil {
		return nil, fault.New(fault.Unauthenticated, "TOKEN_UNKNOWN", "no such token")
	}
	return &directoryv1.AuthenticateResponse{Principal: p}, nil
}

func (d *directory) GetProduction(_ context.Context, req *directoryv1.GetProductionRequest) (*directoryv1.GetProductionResponse, error) {
	if req.GetProduction() != "red" && req.GetProduction() != "blue" {
		return nil, rpc.UnknownProduction(req.GetProduction())
	}
	return &directoryv1.GetProductionResponse{Production: &directoryv1.Production{Id: req.GetProduction(), Name: "A film", OpenRestricted: req.GetProduction() == "red"}}, nil
}

func (d *directory) UpdateProduction(_ context.Context, req *directoryv1.UpdateProductionRequest) (*directoryv1.UpdateProductionResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.updated = req
	return &directoryv1.UpdateProductionResponse{Production: &directoryv1.Production{Id: req.GetProduction(), OpenRestricted: req.GetOpenRestricted()}}, nil
}

func (d *directory) CreateToken(_ context.Context, req *directoryv1.CreateTokenRequest) (*directoryv1.CreateTokenResponse, error) {
	return &directoryv1.CreateTokenResponse{Id: "t9", Token: "secret", Role: req.GetRole()}, nil
}

func (d *directory) RevokeToken(context.Context, *directoryv1.RevokeTokenRequest) (*directoryv1.RevokeTokenResponse, error) {
	d.take(coordinator)
	return &directoryv1.RevokeTokenResponse{}, nil
}

// distributions answers with what the test wants and keeps what came in.
type distributions struct {
	distributionv1.UnimplementedDistributionServiceServer

	mu        sync.Mutex
	created   *distributionv1.CreateDistributionRequest
	listed    *distributionv1.ListItemsRequest
	metadata  metadata.MD
	principal *accessv1.Principal
	fail      error
	entered   chan struct{}
	leave     chan struct{}
}

func (d *distributions) note(ctx context.Context) {
	d.metadata, _ = metadata.FromIncomingContext(ctx)
	d.principal = rpc.PrincipalFrom(ctx)
}

func (d *distributions) answerWith(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

func (d *distributions) CreateDistribution(ctx context.Context, req *distributionv1.CreateDistributionRequest) (*distributionv1.CreateDistributionResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note(ctx)
	d.created = req
	return &distributionv1.CreateDistributionResponse{Distribution: &distributionv1.Distribution{
		Id: "d1", Production: req.GetProduction(), Title: req.GetTitle(), State: "accepted",
	}}, nil
}

func (d *distributions) GetDistribution(ctx context.Context, req *distributionv1.GetDistributionRequest) (*distributionv1.GetDistributionResponse, error) {
	d.mu.Lock()
	d.note(ctx)
	fail, entered, leave := d.fail, d.entered, d.leave
	d.mu.Unlock()
	if entered != nil {
		close(entered)
		<-leave
	}
	if fail != nil {
		return nil, fail
	}
	// d1 belongs to red, d2 to blue.
	if owner := map[string]string{"d1": "red", "d2": "blue"}[req.GetDistribution()]; owner != req.GetProduction() {
		return nil, fault.New(fault.NotFound, "DISTRIBUTION_UNKNOWN", "there is no distribution %q here", req.GetDistribution())
	}
	return &distributionv1.GetDistributionResponse{Distribution: &distributionv1.Distribution{Id: req.GetDistribution(), State: "running"}}, nil
}

func (d *distributions) ListItems(ctx context.Context, req *distributionv1.ListItemsRequest) (*distributionv1.ListItemsResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note(ctx)
	d.listed = req
	return &distributionv1.ListItemsResponse{Items: []*distributionv1.Item{{Id: "d1.1.1", Size: 1 << 40}}}, nil
}

func (d *distributions) ListDistributions(context.Context, *distributionv1.ListDistributionsRequest) (*distributionv1.ListDistributionsResponse, error) {
	panic("a defect")
}

func (d *distributions) CancelDistribution(_ context.Context, req *distributionv1.CancelDistributionRequest) (*distributionv1.CancelDistributionResponse, error) {
	return &distributionv1.CancelDistributionResponse{Distribution: &distributionv1.Distribution{Id: req.GetDistribution(), CancelRequested: true}}, nil
}

// files keeps what is uploaded to it.
type files struct {
	filev1.UnimplementedFileServiceServer

	mu        sync.Mutex
	name      string
	data      []byte
	largest   int
	metadata  metadata.MD
	principal *accessv1.Principal
	limit     int
	ended     chan error // how each upload ended; nil is well
}

func (f *files) Upload(stream grpc.ClientStreamingServer[filev1.UploadRequest, filev1.UploadResponse]) (err error) {
	defer func() { f.ended <- err }()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if len(first.GetData()) > 0 {
		return errors.New("the header came with data")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.name, f.data, f.largest = first.GetName(), nil, 0
	f.metadata, _ = metadata.FromIncomingContext(stream.Context())
	f.principal = rpc.PrincipalFrom(stream.Context())
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if m.GetProduction() != "" || m.GetName() != "" {
			return errors.New("a later message names the production or the file")
		}
		f.largest = max(f.largest, len(m.GetData()))
		f.data = append(f.data, m.GetData()...)
		if f.limit > 0 && len(f.data) > f.limit {
			return fault.New(fault.Invalid, "FILE_TOO_LARGE", "the file is larger than %d bytes", f.limit)
		}
	}
	return stream.SendAndClose(&filev1.UploadResponse{File: &filev1.File{
		Sha256: fmt.Sprintf("%x", sha256.Sum256(f.data)), Name: f.name, Size: int64(len(f.data)), Verdict: "unknown",
	}})
}

// within fails the test when ch brings nothing for long.
func within[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("waited 20 s for %s", what)
		panic("unreachable")
	}
}
