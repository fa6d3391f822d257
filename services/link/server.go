package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/audit"
	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/limit"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/link/internal/drive"
	"github.com/filigreehq/filigree/services/link/internal/store"
)

// DriveFolder and DriveFile are a link's copies as they lie in Google Drive.
type (
	DriveFolder = drive.Folder
	DriveFile   = drive.File
)

// Drive is Google Drive, as far as links need it. Its errors are faults: transient when repeating can help, with
// RetryAfter where Google asks for patience.
type Drive interface {
	// IDs returns n fresh ids under which this production's account may make files. It makes nothing.
	IDs(ctx context.Context, production string, n int) ([]string, error)
	// Put makes the folder and its files under their ids and lets the one person read them. What is there under an id
	// is done, not an error. It looks at who may read before it shares, shares with nobody else and never with "anyone",
	// and returns the address of the folder when all is there and all of that is so. Repeating it, also after a call
	// whose outcome nobody knows, makes nothing twice.
	Put(ctx context.Context, f DriveFolder) (url string, err error)
	// Revoke takes the person's permission away from the files and folders with these ids. What is not there, or not
	// shared, is done.
	Revoke(ctx context.Context, production string, ids []string) error
}

// Deps is what a Server works with.
type Deps struct {
	// Redis is where links live; the caller closes it.
	Redis redis.UniversalClient
	// Blobs is where copies and their thumbnails are; the caller closes it.
	Blobs *blob.Bucket
	// Keys is what tokens are derived from.
	Keys *keyring.Ring
	// Drive is for links of mode drive; nil refuses them.
	Drive Drive
	// Observer keeps the audit: who opened a link and fetched what. nil: nobody does.
	Observer grpc.ClientConnInterface
	Log      *slog.Logger
	// Now is the clock of pages' buttons and of limits; nil is time.Now. Links and sessions end by Redis's.
	Now func() time.Time
}

// Server makes links and serves recipients. It is safe for concurrent use.
type Server struct {
	linkv1.UnimplementedLinkServiceServer

	cfg     Config
	base    *url.URL
	proxies limit.Proxies
	store   *store.Store
	blobs   *blob.Bucket
	keys    *keyring.Ring
	drive   Drive
	log     *slog.Logger
	now     func() time.Time
	audit   *audit.Recorder // nil without an observer

	formKey []byte
	misses  *limit.Misses
	pages   pages
	readers *readers
}

var _ linkv1.LinkServiceServer = (*Server)(nil)

// New makes a server; nothing is started and nobody is called.
func New(cfg Config, deps Deps) (*Server, error) {
	err := errors.Join(cfg.Validate(), deps.validate())
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	cfg = cfg.withDefaults()
	if deps.Now == nil {
		deps.Now = time.Now
	}
	base, err := cfg.base()
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	proxies, err := limit.ParseProxies(cfg.Proxies)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	// Two parts of context: no production's key, which has one, can be this one.
	formKey, err := deps.Keys.Derive(0, keyring.Link, "form", "1")
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	var recorder *audit.Recorder
	if deps.Observer != nil {
		recorder = audit.New(observerv1.NewObserverServiceClient(deps.Observer), deps.Log)
	}
	return &Server{
		audit: recorder, cfg: cfg, base: base, proxies: proxies,
		store: store.New(deps.Redis), blobs: deps.Blobs, keys: deps.Keys, drive: deps.Drive, log: deps.Log, now: deps.Now,
		formKey: formKey, misses: limit.New(cfg.Misses, deps.Now), pages: newPages(), readers: newReaders(),
	}, nil
}

func (d Deps) validate() error {
	var errs []error
	if d.Redis == nil {
		errs = append(errs, errors.New("no Redis"))
	}
	if d.Blobs == nil {
		errs = append(errs, errors.New("no bucket"))
	}
	if d.Keys == nil {
		errs = append(errs, errors.New("no key ring"))
	}
	if d.Log == nil {
		errs = append(errs, errors.New("no logger"))
	}
	return errors.Join(errs...)
}

// Register makes the service reachable at r.
func (s *Server) Register(r grpc.ServiceRegistrar) { linkv1.RegisterLinkServiceServer(r, s) }

// Health reports whether links can be made and served.
func (s *Server) Health(ctx context.Context) error {
	err := s.store.Ping(ctx)
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}
