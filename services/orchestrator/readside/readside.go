package readside

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/fault"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// Version is the version of the records that this package reads.
const Version = orchestrator.RecordsVersion

// aliveFor is how long an orchestrator counts as there after it was last heard of.
const aliveFor = 5 * time.Second

// replicaTimeout is how long a replica may take before the primary is asked.
const replicaTimeout = 2 * time.Second

// Deps is what records are read with.
type Deps struct {
	Redis redis.UniversalClient
	// Replica is read first; nil without one.
	Replica redis.UniversalClient
	// Directory says whether a production exists of which there is nothing; Links says what became of recipients' links.
	Directory directoryv1.DirectoryServiceClient
	Links     linkv1.LinkServiceClient // nil: links' states are left out
	Log       *slog.Logger
	// Stopping, when closed, ends WatchDistribution.
	Stopping <-chan struct{}
}

// Records are the orchestrator's records. They are safe for concurrent use.
type Records struct {
	primary *source
	replica *source // nil without one
	log     *slog.Logger
}

// New returns records; Redis is asked at the first read, and again while it does not answer.
func New(deps Deps) *Records {
	open := func(c redis.UniversalClient) *source {
		return &source{client: c, deps: orchestrator.Deps{Redis: c, Directory: deps.Directory, Links: deps.Links, Log: deps.Log, Stopping: deps.Stopping}}
	}
	r := &Records{primary: open(deps.Redis), log: deps.Log}
	if deps.Replica != nil {
		r.replica = open(deps.Replica)
	}
	return r
}

// Run passes word of changes on to those who watch, until ctx ends; then it returns nil.
func (r *Records) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		reader, err := r.primary.open(ctx)
		if err == nil {
			reader.Follow(ctx)
		}
		pause(ctx, time.Second)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// source is one Redis that records are read from.
type source struct {
	client redis.UniversalClient
	deps   orchestrator.Deps

	mu     sync.Mutex
	reader *orchestrator.Reader
	// downSince is when it was first found not to answer; zero while it does.
	downSince time.Time
	// linked says whether a replica hears from its primary, as of lookedAt.
	linked   bool
	lookedAt time.Time
}

func (s *source) open(ctx context.Context) (*orchestrator.Reader, error) {
	s.mu.Lock()
	reader := s.reader
	s.mu.Unlock()
	if reader != nil {
		return reader, nil
	}
	reader, err := orchestrator.OpenReader(ctx, s.deps)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader == nil {
		s.reader = reader
	}
	return s.reader, nil
}

// noted remembers since when it does not answer.
func (s *source) noted(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // it was not waited for
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !unanswered(err) {
		s.downSince = time.Time{}
	} else if s.downSince.IsZero() {
		s.downSince = time.Now()
	}
}

// unanswered says whether err is that Redis did not answer.
func unanswered(err error) bool {
	return err != nil && fault.From(err).Reason == "STORE_UNAVAILABLE"
}

// follows says whether the replica hears from its primary. It is asked once a second.
func (s *source) follows(ctx context.Context) bool {
	s.mu.Lock()
	linked, fresh := s.linked, time.Since(s.lookedAt) < time.Second
	s.mu.Unlock()
	if fresh {
		return linked
	}
	info, err := s.client.Info(ctx, "replication").Result()
	linked = err == nil && (strings.Contains(info, "master_link_status:up") || strings.Contains(info, "role:master"))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.linked, s.lookedAt = linked, time.Now()
	return linked
}

// call reads from the replica if there is one that can be believed, else from the primary, else from whatever replica.
func call[Q, A any](ctx context.Context, r *Records, req Q, do func(*orchestrator.Reader, context.Context, Q) (A, error)) (A, error) {
	from := func(ctx context.Context, s *source) (A, error) {
		reader, err := s.open(ctx)
		if err != nil {
			s.noted(ctx, err)
			var none A
			return none, err
		}
		resp, err := do(reader, ctx, req)
		s.noted(ctx, err)
		return resp, err
	}
	fromReplica := func(linked bool) (A, error) {
		ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
		defer cancel()
		if linked && !r.replica.follows(ctx) {
			var none A
			return none, fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the replica is cut off from its primary")
		}
		return from(ctx, r.replica)
	}
	if r.replica != nil {
		resp, err := fromReplica(true)
		if err == nil || ctx.Err() != nil || !elsewhere(err) {
			return resp, err
		}
	}
	resp, err := from(ctx, r.primary)
	if r.replica != nil && unanswered(err) {
		old, errOld := fromReplica(false)
		if errOld == nil {
			return old, nil
		}
	}
	return resp, err
}

// elsewhere says whether another Redis could answer better: the replica did not, or has not heard of it yet.
func elsewhere(err error) bool {
	switch fault.From(err).Kind {
	case fault.Unavailable, fault.NotFound, fault.Internal:
		return true
	}
	return fault.From(err).Reason == "PAGE_TOKEN_INVALID"
}
