package orchestrator

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/run"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

//go:embed definitions/send-documents.yaml
var sendDocuments string

// sendDocumentsName is the name that sendDocuments has.
const sendDocumentsName = "send-documents"

// Server is an orchestrator. Make it with New; it serves while Run runs.
type Server struct {
	definitionv1.UnimplementedDefinitionServiceServer
	distributionv1.UnimplementedDistributionServiceServer
	taskv1.UnimplementedTaskServiceServer
	controlv1.UnimplementedControlServiceServer
	schedulev1.UnimplementedScheduleServiceServer

	cfg         Config
	deps        Deps
	store       *store.Store
	definitions *definitions
	metrics     *metrics      // nil: nothing is counted
	hub         *hub          // by function: something became ready
	changes     *hub          // by distribution: it changed
	kick        chan struct{} // there are chores
	batched     chan struct{} // there are batches
	tended      chan struct{} // a resource's function has answered

	room room

	mu        sync.Mutex
	known     map[string]*distribution
	announced map[string]bool // functions that the store has heard of
}

var (
	_ definitionv1.DefinitionServiceServer     = (*Server)(nil)
	_ distributionv1.DistributionServiceServer = (*Server)(nil)
	_ taskv1.TaskServiceServer                 = (*Server)(nil)
	_ schedulev1.ScheduleServiceServer         = (*Server)(nil)
)

// New connects an orchestrator to its store. It starts nothing.
func New(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	err := cfg.Validate()
	if err != nil {
		return nil, err
	}
	cfg.Retention = cmp.Or(cfg.Retention, 90*24*time.Hour)
	deps.Name = cmp.Or(deps.Name, run.WorkerName("orchestrator"))
	st, err := store.Open(ctx, deps.Redis, cfg.Shards)
	if err != nil {
		return nil, err
	}
	defs, err := newDefinitions(ctx, st, deps.Log)
	if err != nil {
		return nil, err
	}
	s := newServer(cfg, deps, st, defs)
	return s, s.count()
}

// count begins to count.
func (s *Server) count() error {
	m, err := newMetrics(s.deps.Metrics)
	if err != nil || m == nil {
		return err
	}
	s.metrics, s.store.OnEnd = m, m.distribution
	return s.deps.Metrics.Register(&queues{s: s})
}

func newServer(cfg Config, deps Deps, st *store.Store, defs *definitions) *Server {
	return &Server{
		cfg: cfg, deps: deps, store: st, definitions: defs, hub: newHub(), changes: newHub(),
		kick: make(chan struct{}, 1), batched: make(chan struct{}, 1), tended: make(chan struct{}, 1),
		known: map[string]*distribution{}, announced: map[string]bool{},
	}
}

// Register makes the orchestrator's services known to r.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	definitionv1.RegisterDefinitionServiceServer(r, s)
	distributionv1.RegisterDistributionServiceServer(r, s)
	taskv1.RegisterTaskServiceServer(r, s)
	controlv1.RegisterControlServiceServer(r, s)
	schedulev1.RegisterScheduleServiceServer(r, s)
}

// Health returns nil while the store answers.
func (s *Server) Health(ctx context.Context) error { return s.store.Ping(ctx) }

// spec is what never changes of a distribution, as it is stored.
type spec struct {
	Title          string    `json:"title"`
	Mode           string    `json:"mode"`
	ProductionName string    `json:"production_name"`
	Files          []file    `json:"files"`
	Mark           string    `json:"mark"`                      // see look
	Styled         look      `json:"styled,omitzero"`           // see setLook
	OpenRestricted bool      `json:"open_restricted,omitempty"` // the production took such files when this was accepted
	Locked         bool      `json:"locked"`
	LinkLifetime   int64     `json:"link_lifetime,omitempty"` // seconds; 0 is the link service's default
	Subject        string    `json:"subject"`
	Text           string    `json:"text"`
	ReplyTo        string    `json:"reply_to"`
	OnFailure      string    `json:"on_failure"`
	OnUncertain    string    `json:"on_uncertain"`
	By             string    `json:"by"`
	At             time.Time `json:"at"`
	Priority       int       `json:"priority,omitempty"`
	Tolerate       *int      `json:"tolerate,omitempty"` // failed items; nil: any number
	// Resource is what a function of a resource is asked with; nil of what people send.
	Resource *resourceWords `json:"resource,omitempty"`
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
	rules          store.Rules
	size           plan.Size
	graph          *store.Graph
	steady         map[string]*steady // by step: what is the same for all its tasks
	same           *define.Same       // what requests have in common
	common         func() define.View // what all its expressions look at, made once; not to be changed
}

// steady is what is the same for all tasks of one step.
type steady struct {
	uses      define.Uses          // what its expressions look at
	timeout   *durationpb.Duration // not to be changed: many tasks share it
	documents []string             // by file: see document
}

// view is what every expression may look at. Its values are shared: they are not to be changed.
func (d *distribution) view() define.View {
	if d.common == nil {
		d.common = sync.OnceValue(func() define.View {
			return define.View{
				"production":   map[string]any{"id": d.production, "name": d.spec.ProductionName, "open_restricted": d.spec.OpenRestricted},
				"distribution": d.words(d.spec.look()),
			}
		})
	}
	return maps.Clone(d.common())
}

// words is the distribution as expressions see it, with the mark l.
func (d *distribution) words(l look) map[string]any {
	files := make([]any, len(d.spec.Files))
	for i, f := range d.spec.Files {
		files[i] = f.view()
	}
	words := map[string]any{
		"id": d.id, "title": d.spec.Title, "subject": d.spec.Subject, "text": d.spec.Text, "reply_to": d.spec.ReplyTo,
		"mark": l.Template, "locked": d.spec.Locked, "mode": d.spec.Mode, "link_lifetime": d.spec.LinkLifetime,
		"files": files, "priority": d.spec.Priority,
	}
	if l.styled() {
		words["mark_style"] = l.view()
	}
	if d.spec.Resource != nil {
		words["resource"] = d.spec.Resource.view()
	}
	return words
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
	d = &distribution{id: id, production: production, size: sum.Size}
	err = json.Unmarshal(raw, &d.spec)
	if err != nil {
		return nil, fmt.Errorf("read spec of %s: %w", id, err)
	}
	d.def, err = s.definitions.get(ctx, production, sum.Definition, sum.Version)
	if err != nil {
		return nil, err
	}
	d.rules = store.Rules{Join: plan.JoinAvailable, Recipients: sum.Size.Recipients, Priority: d.spec.Priority, Tolerate: d.spec.Tolerate}
	if d.spec.OnFailure == string(plan.Hold) {
		d.rules.Join = plan.JoinAll
	}
	d.steps, err = d.def.For(d.view())
	if err != nil {
		return nil, err
	}
	d.graph, err = store.NewGraph(d.steps, d.id, d.rules)
	if err != nil {
		return nil, err
	}
	d.same, d.steady = d.def.Same(), map[string]*steady{}
	for i := range d.steps.Steps {
		st := &d.steps.Steps[i]
		common := &steady{uses: d.def.Uses(st.Name), timeout: durationpb.New(st.Timeout)}
		for _, f := range d.spec.Files {
			common.documents = append(common.documents, f.SHA256[:32]+"/"+st.Function)
		}
		d.steady[st.Name] = common
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= mostKnown {
		clear(s.known) // rare, and costs one read each
	}
	s.known[id] = d
	return d, nil
}
