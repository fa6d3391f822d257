package orchestrator

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

//go:embed definitions/send-documents.yaml
var sendDocuments string

// Server is an orchestrator. Make it with New; it serves while Run runs.
type Server struct {
	distributionv1.UnimplementedDistributionServiceServer
	taskv1.UnimplementedTaskServiceServer

	cfg     Config
	deps    Deps
	store   *store.Store
	builtin *define.Definition
	hub     *hub          // by function: something became ready
	changes *hub          // by distribution: it changed
	kick    chan struct{} // there are chores

	mu    sync.Mutex
	known map[string]*distribution
}

var (
	_ distributionv1.DistributionServiceServer = (*Server)(nil)
	_ taskv1.TaskServiceServer                 = (*Server)(nil)
)

// New connects an orchestrator to its store. It starts nothing.
func New(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	err := cfg.Validate()
	if err != nil {
		return nil, err
	}
	builtin, err := define.Parse(sendDocuments)
	if err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, deps.Redis, cfg.Shards)
	if err != nil {
		return nil, err
	}
	err = st.Define(ctx, &builtin.Definition, builtin.Source)
	if err != nil {
		return nil, err
	}
	return &Server{
		cfg: cfg, deps: deps, store: st, builtin: builtin, hub: newHub(), changes: newHub(),
		kick: make(chan struct{}, 1), known: map[string]*distribution{},
	}, nil
}

// Register makes the orchestrator's services known to r.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	distributionv1.RegisterDistributionServiceServer(r, s)
	taskv1.RegisterTaskServiceServer(r, s)
}

// Health returns nil while the store answers.
func (s *Server) Health(ctx context.Context) error { return s.store.Ping(ctx) }

// spec is what never changes of a distribution, as it is stored.
type spec struct {
	Title          string    `json:"title"`
	Mode           string    `json:"mode"`
	ProductionName string    `json:"production_name"`
	Files          []file    `json:"files"`
	Mark           string    `json:"mark"`
	Locked         bool      `json:"locked"`
	LinkLifetime   int64     `json:"link_lifetime,omitempty"` // seconds; 0 is the link service's default
	Subject        string    `json:"subject"`
	Text           string    `json:"text"`
	ReplyTo        string    `json:"reply_to"`
	OnFailure      string    `json:"on_failure"`
	OnUncertain    string    `json:"on_uncertain"`
	By             string    `json:"by"`
	At             time.Time `json:"at"`
}

type file struct {
	SHA256 string `json:"sha256"`
	Name   string `json:"name"`
}

// distribution is what never changes of one, ready for use.
type distribution struct {
	id, production string
	spec           spec
	def            *define.Definition // makes requests
	steps          *plan.Definition   // what of it this distribution runs
	join           plan.Join
	size           plan.Size
	graph          *store.Graph
}

// view is what every expression may look at.
func (d *distribution) view() define.View {
	return define.View{
		"production": map[string]any{"id": d.production, "name": d.spec.ProductionName},
		"distribution": map[string]any{
			"id": d.id, "title": d.spec.Title, "subject": d.spec.Subject, "text": d.spec.Text, "reply_to": d.spec.ReplyTo,
			"mark": d.spec.Mark, "locked": d.spec.Locked, "mode": d.spec.Mode, "link_lifetime": d.spec.LinkLifetime,
		},
	}
}

func (d *distribution) onUncertain() plan.OnUncertain {
	if d.spec.OnUncertain == string(plan.Hold) {
		return plan.Hold
	}
	return plan.Resend
}

// mostKnown bounds how many distributions are kept at hand.
const mostKnown = 2000

// load returns what never changes of a distribution, from memory if it was asked for before.
func (s *Server) load(ctx context.Context, production, id string) (*distribution, error) {
	s.mu.Lock()
	d, ok := s.known[id]
	s.mu.Unlock()
	if ok {
		if d.production != production {
			return nil, store.ErrNotFound
		}
		return d, nil
	}
	sum, err := s.store.Get(ctx, production, id)
	if err != nil {
		return nil, err
	}
	raw, err := s.store.Spec(ctx, production, id)
	if err != nil {
		return nil, err
	}
	d = &distribution{id: id, production: production, size: sum.Size, def: s.builtin}
	err = json.Unmarshal(raw, &d.spec)
	if err != nil {
		return nil, fmt.Errorf("read spec of %s: %w", id, err)
	}
	if sum.Definition != s.builtin.Name || sum.Version != s.builtin.Version {
		source, err := s.store.DefinitionSource(ctx, production, sum.Definition, sum.Version)
		if err != nil {
			return nil, err
		}
		d.def, err = define.Parse(source)
		if err != nil {
			return nil, err
		}
	}
	d.join = plan.JoinAvailable
	if d.spec.OnFailure == string(plan.Hold) {
		d.join = plan.JoinAll
	}
	d.steps, err = d.def.For(d.view())
	if err != nil {
		return nil, err
	}
	d.graph, err = store.NewGraph(d.steps, d.join)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= mostKnown {
		clear(s.known) // rare, and costs one read each
	}
	s.known[id] = d
	return d, nil
}
