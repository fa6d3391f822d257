package observer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/egress"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/run"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/follow"
	"github.com/filigreehq/filigree/services/observer/internal/index"
	"github.com/filigreehq/filigree/services/observer/internal/notify"
	"github.com/filigreehq/filigree/services/observer/internal/store"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// Deps is what an observer works with. Clients are made by pkg/rpc.
type Deps struct {
	// Redis has the records, and {obs}: of the observer's own.
	Redis redis.UniversalClient
	// Replica is a Redis that records are read from first; nil: there is none.
	Replica redis.UniversalClient
	Blobs   *blob.Bucket
	Keys    *keyring.Ring
	// Dir is a folder of this observer's own, for its index.
	Dir string
	// Distributions and Control are the orchestrator's, for what is to be done about something; reading goes by Records.
	Distributions distributionv1.DistributionServiceClient
	Control       controlv1.ControlServiceClient
	Directory     directoryv1.DirectoryServiceClient
	// Credentials keeps the secrets that webhooks are signed with.
	Credentials credentialv1.CredentialServiceClient
	// Email sends alerts by mail; nil: it cannot.
	Email emailv1.EmailServiceClient
	// Links says what became of links; nil: it is left out.
	Links linkv1.LinkServiceClient
	Log   *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Stopping, when closed, ends calls that wait.
	Stopping <-chan struct{}
}

func (d Deps) validate() error {
	var errs []error
	for _, need := range []struct {
		what    string
		missing bool
	}{
		{"Redis", d.Redis == nil},
		{"blobs", d.Blobs == nil},
		{"key ring", d.Keys == nil},
		{"folder", d.Dir == ""},
		{"client of the distribution service", d.Distributions == nil},
		{"client of the control service", d.Control == nil},
		{"client of the directory", d.Directory == nil},
		{"client of the credential service", d.Credentials == nil},
		{"logger", d.Log == nil},
	} {
		if need.missing {
			errs = append(errs, fmt.Errorf("no %s", need.what))
		}
	}
	return errors.Join(errs...)
}

// Server is an observer. Make it with New; it is up to date while Run runs.
type Server struct {
	observerv1.UnimplementedObserverServiceServer
	observerv1.UnimplementedAlertServiceServer

	cfg        Config
	deps       Deps
	records    *readside.Records
	store      *store.Store
	state      lastState
	looking    looking
	remembered remembered
	// name is this process among observers.
	name    string
	vigil   *vigil
	outlook *outlook
	caller  notify.Caller
	acting  sync.WaitGroup // actions of alerts that are being done
	views   views
	index   *index.Index
	follow  *follow.Follower
	// keeping is the archive.
	keeping *keeping
	audited audited
}

var (
	_ observerv1.ObserverServiceServer = (*Server)(nil)
	_ observerv1.AlertServiceServer    = (*Server)(nil)
)

// New makes an observer. It starts nothing, and nobody need be there yet.
func New(cfg Config, deps Deps) (*Server, error) {
	err := errors.Join(cfg.Validate(), deps.validate())
	if err != nil {
		return nil, fmt.Errorf("observer: %w", err)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Server{cfg: cfg.withDefaults(), deps: deps, store: store.New(deps.Redis)}
	s.name, err = observerName(deps.Dir)
	if err != nil {
		return nil, fmt.Errorf("observer: %w", err)
	}
	rules, err := s.cfg.rules()
	if err != nil {
		return nil, fmt.Errorf("observer: %w", err)
	}
	s.vigil, s.outlook = newVigil(rules), newOutlook()
	open, err := egress.ParseOpen(s.cfg.EgressOpen)
	if err != nil {
		return nil, fmt.Errorf("observer: %w", err)
	}
	s.caller = notify.Caller{Egress: egress.New(open), Now: deps.Now}
	err = s.restoreAlerts()
	if err != nil {
		deps.Log.Warn("alerts that were kept are lost", "err", err)
	}
	err = s.restoreOutlook()
	if err != nil {
		deps.Log.Warn("what was learnt of how long distributions take is lost", "err", err)
	}
	err = s.openKeeping()
	if err != nil {
		return nil, fmt.Errorf("observer: %w", err)
	}
	s.records = readside.New(readside.Deps{
		Redis: deps.Redis, Replica: deps.Replica, Directory: deps.Directory, Links: deps.Links, Log: deps.Log, Stopping: deps.Stopping,
	})
	// What is followed is heard of from the primary, so it is read there: a replica may not know of it yet.
	primary := readside.New(readside.Deps{Redis: deps.Redis, Directory: deps.Directory, Log: deps.Log, Stopping: deps.Stopping})
	s.index, err = index.Open(filepath.Join(deps.Dir, "index.db"), s.cfg.Rebuild)
	if err != nil {
		return nil, fmt.Errorf("observer: %w", err)
	}
	if s.index.Fresh() != "" {
		deps.Log.Info("the index is made anew", "because", s.index.Fresh())
	}
	s.follow = follow.New(source{primary, s, s.vigil.name, s.saw}, s.index, deps.Log)
	return s, nil
}

// observerName is what the observer of a folder is called, however often it is started.
func observerName(dir string) (string, error) {
	path := filepath.Join(dir, "name")
	raw, err := os.ReadFile(path)
	if name := strings.TrimSpace(string(raw)); err == nil && name != "" {
		return name, nil
	}
	name := run.WorkerName("observer")
	return name, writeFile(path, []byte(name+"\n"))
}

// Close closes the index and the history, once nothing is asked any more and Run has returned.
func (s *Server) Close() error { return errors.Join(s.index.Close(), s.keeping.history.Close()) }

// Register makes the observer's services known to r: its own, and the reads of the orchestrator's.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	observerv1.RegisterObserverServiceServer(r, s)
	observerv1.RegisterAlertServiceServer(r, s)
	distributionv1.RegisterDistributionServiceServer(r, distributionReads{Records: s.records, s: s})
	controlv1.RegisterControlServiceServer(r, controlReads{Records: s.records, s: s})
	definitionv1.RegisterDefinitionServiceServer(r, definitionReads{Records: s.records, s: s})
}

// Health returns nil: an observer answers whoever else is gone.
func (s *Server) Health(context.Context) error { return nil }

// loops is what Run runs: each blocks until its context ends, mends what it can by itself, and logs an error once while it
// lasts.
func (s *Server) loops() []func(context.Context) {
	return []func(context.Context){
		func(ctx context.Context) { _ = s.records.Run(ctx) }, // nil when ctx ends
		s.watch,
		func(ctx context.Context) { s.every(ctx, time.Hour, "forget runs", s.store.ForgetRuns) },
		func(ctx context.Context) { s.every(ctx, forecastEvery, "outlook", s.learn) },
		func(ctx context.Context) {
			s.every(ctx, s.cfg.Look, "rules", s.watchRules)
			s.acting.Wait()
		},
		s.follow.Run,
		func(ctx context.Context) { s.every(ctx, time.Second, "follow runs", s.indexRuns().follow) },
		func(ctx context.Context) { s.every(ctx, time.Second, "history of runs", s.rememberRuns().follow) },
		func(ctx context.Context) { s.every(ctx, s.cfg.Look, "archive", s.keepArchive) },
		func(ctx context.Context) { s.every(ctx, 30*s.cfg.Look, "audit's archive", s.archiveAudit) },
		func(ctx context.Context) { s.every(ctx, retainLooks*s.cfg.Look, "retention", s.retain) },
	}
}

// Run keeps the observer up to date. It blocks until ctx ends and returns nil.
func (s *Server) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, loop := range s.loops() {
		running.Go(func() { loop(ctx) })
	}
	running.Wait()
	// Whoever stops in good order is not missed, and another goes on at once.
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := s.store.Leave(leaving, s.name)
	if err != nil {
		s.deps.Log.DebugContext(leaving, "nobody was told of the stop", "err", err)
	}
	return nil
}

func (s *Server) every(ctx context.Context, interval time.Duration, name string, do func(context.Context) error) {
	run.Every(ctx, s.deps.Log, interval, nil, name, do)
}
