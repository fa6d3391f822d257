package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/audit"
	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/limit"
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
	"github.com/filigreehq/filigree/services/gateway/internal/oidc"
)

// maxHeaderBytes bounds a request's header.
const maxHeaderBytes = 64 << 10

// Deps is what a gateway works with.
type Deps struct {
	// The clients must be made by pkg/rpc: calls without a principal are made as the gateway, all others on behalf of
	// the caller.
	Directory     directoryv1.DirectoryServiceClient
	Files         filev1.FileServiceClient
	Credentials   credentialv1.CredentialServiceClient
	Distributions distributionv1.DistributionServiceClient
	Definitions   definitionv1.DefinitionServiceClient
	Control       controlv1.ControlServiceClient
	Schedules     schedulev1.ScheduleServiceClient
	Sessions      sessionv1.SessionServiceClient
	// Observer is a connection to the observer: what was there is asked of it first, and what only it knows. nil is a gateway
	// without one.
	Observer grpc.ClientConnInterface
	// Thumbnails makes previews; nil is a gateway that has none.
	Thumbnails thumbnailv1.ThumbnailServiceClient
	// Blobs is where copies and pictures are fetched from.
	Blobs *blob.Bucket
	// Console holds the console's built files, index.html at its root; nil serves a page that says what this is.
	Console fs.FS
	// Log takes one line for each request at Debug, and what a human must look at.
	Log *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

func (d Deps) validate() error {
	var errs []error
	for _, client := range []struct {
		service string
		missing bool
	}{
		{"directory", d.Directory == nil},
		{"file service", d.Files == nil},
		{"credential service", d.Credentials == nil},
		{"distribution service", d.Distributions == nil},
		{"definition service", d.Definitions == nil},
		{"control service", d.Control == nil},
		{"schedule service", d.Schedules == nil},
		{"session service", d.Sessions == nil},
	} {
		if client.missing {
			errs = append(errs, fmt.Errorf("no client of the %s", client.service))
		}
	}
	if d.Blobs == nil {
		errs = append(errs, errors.New("no blobs"))
	}
	if d.Log == nil {
		errs = append(errs, errors.New("no logger"))
	}
	return errors.Join(errs...)
}

// Server is a gateway. It is safe for concurrent use.
type Server struct {
	cfg      Config
	deps     Deps
	tokens   *tokens
	sessions *tokens
	site     site
	oidc     *oidc.Provider // nil without one
	misses   *limit.Misses  // calls of webhooks that were not signed rightly
	guesses  *limit.Misses  // sign-ins with a code that there is not
	strays   *limit.Misses  // looks at shared addresses that there are not
	proxies  limit.Proxies
	routes   routes
	api      http.Handler
	pages    http.Handler
	ready    readiness
	audit    *audit.Recorder // nil without an observer
	draining atomic.Bool
	stopping chan struct{} // closed when draining begins, for whoever would wait longer than that
}

// New makes a gateway; nothing is started and nobody is called.
func New(cfg Config, deps Deps) (*Server, error) {
	err := errors.Join(cfg.Validate(), deps.validate())
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	var recorder *audit.Recorder
	if deps.Observer != nil {
		recorder = audit.New(observerv1.NewObserverServiceClient(deps.Observer), deps.Log)
	}
	deps = deps.observed()
	s := &Server{cfg: cfg, deps: deps, audit: recorder, stopping: make(chan struct{})}
	s.misses = limit.New(cfg.Misses, deps.Now)
	s.strays = limit.New(cfg.Misses, deps.Now)
	s.guesses = limit.New(cfg.Misses, deps.Now)
	s.proxies, err = limit.ParseProxies(cfg.Proxies)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	s.tokens = newTokens(deps.Directory, cfg.TokenCache, deps.Now)
	s.sessions = newSessions(deps.Sessions, cfg.TokenCache, deps.Now)
	s.site, err = siteOf(cfg.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	s.oidc, err = cfg.OIDC.provider(s.site, deps.Now)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	s.routes, err = declaredRoutes()
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	s.api, err = s.newAPI()
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	s.pages = s.newPages()
	return s, nil
}

// Handler returns all that the gateway serves, for a listener of somebody else's. Limits that need the connection
// (stalled bodies, slow readers) hold there as far as its ResponseWriter can set deadlines.
func (s *Server) Handler() http.Handler {
	return s.observe(http.HandlerFunc(s.route))
}

// route sends a request where it belongs. It is not an http.ServeMux, because that one answers odd paths with
// redirects and pages of its own.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, hooksPath):
		s.hook(w, r)
	case strings.HasPrefix(path, sharedPath):
		s.shared(w, r)
	case strings.HasPrefix(path, sharePagePath):
		s.sharePage(w, r)
	case path == sessionPath || strings.HasPrefix(path, sessionPath+"/"):
		s.session(w, r)
	case path == "/v1" || strings.HasPrefix(path, "/v1/"):
		s.authenticate(w, r)
	case path == "/healthz":
		s.serveFixed(w, r, path, s.serveHealth)
	case path == "/readyz":
		s.serveFixed(w, r, path, s.serveReady)
	case path == "/openapi.json":
		s.serveFixed(w, r, path, s.serveOpenAPI)
	default:
		s.serveFixed(w, r, "/", s.pages.ServeHTTP)
	}
}

// serveFixed serves what can only be read.
func (s *Server) serveFixed(w http.ResponseWriter, r *http.Request, route string, serve http.HandlerFunc) {
	callFrom(r.Context()).route = route
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.fail(w, r, methodUnknown(r.Method))
		return
	}
	serve(w, r)
}

// Serve serves on lis, which it closes, until ctx ends; then it takes no new connection, lets requests under way end
// for up to Config.DrainTimeout and cuts the rest. It returns nil when none had to be cut.
func (s *Server) Serve(ctx context.Context, lis net.Listener) error {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.cfg.ReadHeaderTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.deps.Log.Handler(), slog.LevelWarn),
	}
	// What requests that end now have to tell is told after them.
	recording, recorded := context.WithCancel(context.WithoutCancel(ctx))
	var telling sync.WaitGroup
	telling.Go(func() { _ = s.audit.Run(recording) }) // nil when recording ends
	defer telling.Wait()
	defer recorded()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	s.deps.Log.InfoContext(ctx, "gateway serves", "addr", lis.Addr().String())
	select {
	case err := <-served:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	close(s.stopping)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	err := srv.Shutdown(drain)
	<-served // always http.ErrServerClosed after Shutdown
	if err != nil {
		_ = srv.Close() // what it could say is that a connection was already gone
		return fmt.Errorf("requests were cut that did not end within %s: %w", s.cfg.DrainTimeout, err)
	}
	s.deps.Log.InfoContext(ctx, "gateway stopped")
	return nil
}

func methodUnknown(method string) error {
	return fault.New(fault.Invalid, codeMethod, "%s is not a method of this address", clip(method))
}
