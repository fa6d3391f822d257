package directory_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/directory"
)

// watermark is a watermark service that answers as the test says.
type watermark struct {
	watermarkv1.WatermarkServiceClient
	mu      sync.Mutex
	calls   int
	prepare func(context.Context, *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error)
}

func (w *watermark) Prepare(ctx context.Context, req *watermarkv1.PrepareRequest, _ ...grpc.CallOption) (*watermarkv1.PrepareResponse, error) {
	w.mu.Lock()
	w.calls++
	prepare := w.prepare
	w.mu.Unlock()
	if prepare == nil {
		return &watermarkv1.PrepareResponse{Pages: 3, Notes: []string{"1 signature loses its value"}}, nil
	}
	return prepare(ctx, req)
}

func (w *watermark) answer(f func(context.Context, *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.prepare = f
}

// rig is a directory behind the real interceptors, on a real Redis and a folder.
type rig struct {
	server      *directory.Server
	redis       *redistest.Server
	dir         string // the bucket
	watermark   *watermark
	logged      *safeBuffer
	directory   directoryv1.DirectoryServiceClient
	files       filev1.FileServiceClient
	credentials credentialv1.CredentialServiceClient
	sessions    sessionv1.SessionServiceClient
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func testConfig() directory.Config {
	cfg := directory.DefaultConfig()
	cfg.MaxFileBytes = 1 << 20
	cfg.InspectWait = 10 * time.Second
	return cfg
}

// start makes a rig; its Run goes on until the test ends.
func start(t *testing.T, cfg directory.Config) *rig {
	t.Helper()
	r := &rig{redis: redistest.Start(t), dir: t.TempDir(), watermark: &watermark{}, logged: &safeBuffer{}}
	bucket, err := blob.Open(t.Context(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	keys, err := keyring.LoadOrCreate(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(r.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.server, err = directory.New(cfg, directory.Deps{
		Redis: r.redis.Client, Blobs: bucket, Keys: keys, Watermark: r.watermark, Log: log, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := rpc.NewServer(log)
	r.server.Register(srv)
	connect, stop := rpc.InProcess(srv)
	t.Cleanup(stop)
	conn, err := connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r.directory, r.files = directoryv1.NewDirectoryServiceClient(conn), filev1.NewFileServiceClient(conn)
	r.credentials = credentialv1.NewCredentialServiceClient(conn)
	r.sessions = sessionv1.NewSessionServiceClient(conn)

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		err := <-done
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// production makes a production and returns a coordinator's context in it.
func (r *rig) production(t *testing.T, id string) context.Context {
	t.Helper()
	err := r.server.EnsureProduction(t.Context(), id, "The "+id)
	if err != nil {
		t.Fatal(err)
	}
	return as(t, accessv1.Role_ROLE_COORDINATOR, id)
}

// as is a context whose calls are made by somebody with role in productions.
func as(t *testing.T, role accessv1.Role, productions ...string) context.Context {
	t.Helper()
	ctx, err := rpc.As(t.Context(), &accessv1.Principal{Subject: "tok_test", Role: role, Productions: productions})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func admin(t *testing.T) context.Context { return as(t, accessv1.Role_ROLE_ADMIN, "*") }

// upload sends data in pieces, as name.
func (r *rig) upload(ctx context.Context, production, name string, data []byte) (*filev1.File, error) {
	stream, err := r.files.Upload(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&filev1.UploadRequest{Production: production, Name: name})
	for piece := 0; err == nil && piece < len(data); piece += 256 << 10 {
		err = stream.Send(&filev1.UploadRequest{Data: data[piece:min(piece+256<<10, len(data))]})
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the answer says why
		return nil, err
	}
	resp, err := stream.CloseAndRecv()
	return resp.GetFile(), err
}

// stored lists what is in the bucket.
func (r *rig) stored(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while we looked
		}
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(r.dir, path) // path is below it
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// wantFault checks that err is a fault of this reason whose sentence mentions what it must.
func wantFault(t *testing.T, err error, kind fault.Kind, reason string, mentions ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("it succeeded, want %s", reason)
	}
	f := fault.From(err)
	if f.Kind != kind || f.Reason != reason {
		t.Fatalf("got %v, want %s", f, reason)
	}
	for _, m := range mentions {
		if !strings.Contains(f.Message, m) {
			t.Errorf("%q does not mention %q", f.Message, m)
		}
	}
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("it never came about that %s", what)
		case <-tick.C:
		}
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig())
	for name, test := range map[string]func(*testing.T, *rig){
		"a production is created once":                       createProduction,
		"a production opens restricted documents by setting": openRestricted,
		"production ids come from names":                     productionIDs,
		"productions are listed":                             listProductions,
		"a token is what its secret's holder may":            tokenLife,
		"nobody makes a token that may more than theirs":     narrowTokens,
		"tokens that were handed out stay valid":             ensureToken,
		"who may do what":                                    permissions,
		"another production is like none":                    sameAsUnknown,
		"a password is told and recorded":                    revealPassword,
		"recipients that cannot be":                          revealNobody,
		"a device is registered, moved and removed":          deviceLife,
		"devices that cannot be":                             badDevices,
		"a credential is put, opened and deleted":            credentialLife,
		"a studio's credentials are for all its tokens":      studioCredentials,
		"secrets are for services only and recorded":         secretsForServices,
		"credentials that cannot be":                         badCredentials,
		"what was sealed under an old key opens":             rotatedRing,
		"people are imported and found":                      importPeople,
		"as many people as there may be are imported":        importMany,
		"people and lists are edited":                        editPeople,
		"files are listed newest first":                      listFiles,
		"page tokens of something else":                      foreignPageTokens,
	} {
		t.Run(name, func(t *testing.T) { test(t, r) })
	}
}

func TestDependenciesAndConfigAreChecked(t *testing.T) {
	t.Parallel()
	_, err := directory.New(directory.DefaultConfig(), directory.Deps{})
	if err == nil {
		t.Error("it takes no dependencies at all")
	}
	_, err = directory.New(directory.Config{InspectWait: -1}, directory.Deps{})
	for _, flag := range []string{"max-file-bytes", "upload-idle", "inspect-wait", "inspect-timeout", "inspections"} {
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("got %v, want that it names %s", err, flag)
		}
	}
}
