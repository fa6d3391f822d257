package observer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// mostOpen bounds how many open distributions are looked at.
const mostOpen = 10_000

// mostHeld bounds how many steps of one worker are looked at.
const mostHeld = 100

// A look is what there is at one moment: who works at what, what waits, what is paused or full.
type look struct {
	at    time.Time // by Redis's clock
	state readside.State
	// whole says that all of it could be read.
	whole       bool
	functions   []*controlv1.Function
	limits      []limited
	pauses      *controlv1.GetPausesResponse
	open        []readside.Brief
	held        []readside.Hold
	aside       []readside.Aside
	room        map[string]int
	definitions []*definitionv1.Definition
	productions []string
}

// limited is a limit, or a resource.
type limited struct {
	production string // empty: productions share it
	*controlv1.Limit
	resource *controlv1.Resource // nil: it is none
}

// called is how definitions call it.
func (l limited) called() string {
	if l.production == "" {
		return "studio/" + l.GetName()
	}
	return l.GetName()
}

// looking keeps the last look.
type looking struct {
	mu   sync.Mutex
	last *look
	took time.Time // by our own clock
	// since is when each trouble that there is was seen first.
	since map[string]time.Time
}

// seen returns a look that is at most a few seconds old, or as of when Redis answered last.
func (s *Server) seen(ctx context.Context) *look {
	s.looking.mu.Lock()
	last, age := s.looking.last, time.Since(s.looking.took)
	s.looking.mu.Unlock()
	if last != nil && age < 3*s.cfg.Look {
		return last
	}
	return s.lookNow(ctx)
}

// lookNow looks, and remembers what it saw.
func (s *Server) lookNow(ctx context.Context) *look {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	l, err := s.lookAll(itself(ctx))
	s.looking.mu.Lock()
	defer s.looking.mu.Unlock()
	if err != nil && s.looking.last != nil {
		// What was seen before is shown on, with its time, beside the state of now.
		old := *s.looking.last
		old.state, old.whole = l.state, false
		l = &old
	}
	s.looking.last, s.looking.took = l, time.Now()
	s.looking.mark(l)
	return l
}

func (s *Server) lookAll(ctx context.Context) (*look, error) {
	l := &look{state: s.records.State(ctx), pauses: &controlv1.GetPausesResponse{}}
	l.at = l.state.Now
	if !l.state.RedisDown.IsZero() && !l.state.Replica {
		return l, errors.New("Redis does not answer") //nolint:staticcheck // a name
	}
	var err error
	l.open, err = s.records.Unended(ctx, mostOpen)
	if err != nil {
		return l, err
	}
	l.productions = s.productions(ctx, l.open)
	functions, err := s.records.ListFunctions(ctx, &controlv1.ListFunctionsRequest{})
	if err != nil {
		return l, err
	}
	l.functions = functions.GetFunctions()
	l.pauses, err = s.records.GetPauses(ctx, &controlv1.GetPausesRequest{})
	if err != nil {
		return l, err
	}
	err = s.lookAtLimits(ctx, l)
	if err != nil {
		return l, err
	}
	l.aside, err = s.records.Aside(ctx, l.productions)
	if err != nil {
		return l, err
	}
	l.held, err = s.records.Held(ctx, mostHeld)
	if err != nil {
		return l, err
	}
	l.room, err = s.records.Room(ctx)
	if err != nil {
		return l, err
	}
	definitions, err := s.records.ListDefinitions(ctx, &definitionv1.ListDefinitionsRequest{})
	if err != nil {
		return l, err
	}
	l.definitions, l.whole = definitions.GetDefinitions(), true
	return l, nil
}

func (s *Server) lookAtLimits(ctx context.Context, l *look) error {
	for _, p := range l.productions {
		limits, err := s.records.ListLimits(ctx, &controlv1.ListLimitsRequest{Production: p})
		if err != nil {
			return err
		}
		resources, err := s.records.ListResources(ctx, &controlv1.ListResourcesRequest{Production: p})
		if err != nil {
			return err
		}
		l.add(p, limits.GetLimits(), resources.GetResources())
	}
	limits, err := s.records.ListStudioLimits(ctx, &controlv1.ListStudioLimitsRequest{})
	if err != nil {
		return err
	}
	resources, err := s.records.ListStudioResources(ctx, &controlv1.ListStudioResourcesRequest{})
	if err != nil {
		return err
	}
	l.add("", limits.GetLimits(), resources.GetResources())
	return nil
}

func (l *look) add(production string, limits []*controlv1.Limit, resources []*controlv1.Resource) {
	for _, limit := range limits {
		l.limits = append(l.limits, limited{production, limit, nil})
	}
	for _, r := range resources {
		l.limits = append(l.limits, limited{production, r.GetLimit(), r})
	}
}

// productions lists them: those that the directory names, while it does, and those that have something open.
func (s *Server) productions(ctx context.Context, open []readside.Brief) []string {
	s.looking.mu.Lock()
	var all []string
	if s.looking.last != nil {
		all = slices.Clone(s.looking.last.productions)
	}
	s.looking.mu.Unlock()
	var named []string
	token := ""
	for {
		resp, err := s.deps.Directory.ListProductions(ctx, &directoryv1.ListProductionsRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			if fault.From(err).Kind != fault.Unavailable {
				s.deps.Log.WarnContext(ctx, "the directory does not name its productions", "err", err)
			}
			break
		}
		for _, p := range resp.GetProductions() {
			named = append(named, p.GetId())
		}
		token = resp.GetNextPageToken()
		if token == "" {
			all = named
			break
		}
	}
	for _, d := range open {
		all = append(all, d.Production)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// watch looks again and again, and has what changed written down. A look that takes long is taken less often.
func (s *Server) watch(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		l := s.lookNow(ctx)
		if ctx.Err() != nil {
			return
		}
		if l.whole {
			err := s.noteChanges(ctx, l)
			if err != nil && ctx.Err() == nil {
				s.deps.Log.WarnContext(ctx, "what changed was not written down; it is tried again", "err", err)
			}
		}
		t := time.NewTimer(max(s.cfg.Look, 10*time.Since(began)))
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// mark remembers since when each trouble has been there.
func (k *looking) mark(l *look) {
	since := map[string]time.Time{}
	for _, t := range l.troubles(func(string) bool { return true }) {
		first, ok := k.since[t.key()]
		if !ok {
			first = l.at
		}
		since[t.key()] = first
	}
	k.since = since
}

// sinceWhen is when a trouble was seen first; ok is false when it was not yet.
func (s *Server) sinceWhen(t trouble) (time.Time, bool) {
	s.looking.mu.Lock()
	defer s.looking.mu.Unlock()
	at, ok := s.looking.since[t.key()]
	return at, ok
}

// base is a function's name without its version.
func base(function string) string {
	name, _, _ := strings.Cut(function, "@")
	return name
}
