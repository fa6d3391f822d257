package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
	"github.com/filigreehq/filigree/services/directory/internal/vault"
)

const (
	// sweepEvery is how often leftovers of broken uploads are looked for.
	sweepEvery = 10 * time.Minute
	// leftoverAge is how old one must be: longer than any upload that is still under way.
	leftoverAge = time.Hour
)

// Deps is what directory needs. All of it stays the caller's to close.
type Deps struct {
	Redis     redis.UniversalClient
	Blobs     *blob.Bucket
	Keys      *keyring.Ring
	Watermark watermarkv1.WatermarkServiceClient
	Log       *slog.Logger
	Now       func() time.Time
}

// Server is directory's services. It is safe for concurrent use.
type Server struct {
	directoryv1.UnimplementedDirectoryServiceServer
	filev1.UnimplementedFileServiceServer
	credentialv1.UnimplementedCredentialServiceServer
	sessionv1.UnimplementedSessionServiceServer

	cfg       Config
	store     *store.Store
	blobs     *blob.Bucket
	keys      *keyring.Ring
	vault     vault.Vault
	inspector *inspector
	log       *slog.Logger
	now       func() time.Time
}

// New returns a server; nothing is started.
func New(cfg Config, d Deps) (*Server, error) {
	err := cfg.Validate()
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	if d.Redis == nil || d.Blobs == nil || d.Keys == nil || d.Watermark == nil || d.Log == nil || d.Now == nil {
		return nil, errors.New("directory: a dependency is missing")
	}
	return &Server{
		cfg:       cfg,
		store:     store.New(d.Redis),
		blobs:     d.Blobs,
		keys:      d.Keys,
		vault:     vault.New(d.Keys),
		inspector: newInspector(cfg, d.Watermark, d.Log),
		log:       d.Log,
		now:       d.Now,
	}, nil
}

// Register adds the services to r.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	directoryv1.RegisterDirectoryServiceServer(r, s)
	filev1.RegisterFileServiceServer(r, s)
	credentialv1.RegisterCredentialServiceServer(r, s)
	sessionv1.RegisterSessionServiceServer(r, s)
}

// Run inspects uploaded documents and removes what broken uploads left, until ctx ends. Without it uploads work and
// their verdict stays unknown.
func (s *Server) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.inspector.run(ctx)
	}()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.sweep(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	<-done
	return nil
}

func (s *Server) sweep(ctx context.Context) {
	removed, err := s.blobs.Sweep(ctx, uploadPrefix, s.now().Add(-leftoverAge))
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "leftovers of uploads not removed", "err", err)
	}
	if removed > 0 {
		s.log.InfoContext(ctx, "leftovers of uploads removed", "count", removed)
	}
}

// tenant returns the production for the caller of ctx, as the store sees what they may.
func (s *Server) tenant(ctx context.Context, production string) (store.Tenant, store.Production, error) {
	t, p, err := s.store.In(ctx, grantOf(rpc.PrincipalFrom(ctx)), production)
	return t, p, answer(err, production)
}

func grantOf(p *accessv1.Principal) store.Grant {
	return store.Grant{All: rpc.Admits(p, "*"), Productions: p.GetProductions()}
}

// answer makes the store's errors about a production what callers are told.
func answer(err error, production string) error {
	if errors.Is(err, store.ErrNoProduction) {
		return rpc.UnknownProduction(production)
	}
	return err
}

func errPageToken() error {
	return fault.New(fault.Invalid, "PAGE_TOKEN_INVALID", "the page token is not one of this list; leave it out to start at the beginning")
}

const defaultPage = 100

func pageSize(n int32) int {
	if n == 0 {
		return defaultPage
	}
	return int(n)
}
