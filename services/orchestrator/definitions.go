package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// definitions finds definitions, and keeps them at hand: a version never changes. It is safe for concurrent use.
type definitions struct {
	store *store.Store
	// builtin is what runs when nobody says what to run.
	builtin *define.Definition

	mu    sync.Mutex
	known map[definitionKey]*define.Definition
}

type definitionKey struct {
	name    string
	version int
}

// mostDefinitions bounds how many definitions are kept at hand.
const mostDefinitions = 200

// newDefinitions makes sure that the built-in definition is kept in st.
func newDefinitions(ctx context.Context, st *store.Store, log *slog.Logger) (*definitions, error) {
	builtin, err := define.Parse(sendDocuments)
	if err != nil {
		return nil, fmt.Errorf("the built-in definition: %w", err)
	}
	err = st.Define(ctx, &builtin.Definition, builtin.Source)
	if errors.Is(err, store.ErrDefined) {
		// Somebody stored one of their own under the version that this release brings: it is what people know by it.
		log.WarnContext(ctx, "another definition is stored under the built-in one's name and version, and is used instead",
			"definition", builtin.Name, "version", builtin.Version)
		var source string
		source, err = st.DefinitionSource(ctx, "", builtin.Name, builtin.Version)
		if err != nil {
			return nil, err
		}
		builtin, err = define.Parse(source)
	}
	if err != nil {
		return nil, fmt.Errorf("define %s: %w", sendDocumentsName, err)
	}
	return &definitions{store: st, builtin: builtin, known: map[definitionKey]*define.Definition{}}, nil
}

// readDefinitions finds definitions for whoever only reads: nothing is stored.
func readDefinitions(ctx context.Context, st *store.Store) (*definitions, error) {
	builtin, err := define.Parse(sendDocuments)
	if err != nil {
		return nil, fmt.Errorf("the built-in definition: %w", err)
	}
	source, err := st.DefinitionSource(ctx, "", builtin.Name, builtin.Version)
	if err == nil && source != builtin.Source {
		builtin, err = define.Parse(source)
	}
	if err != nil && !errors.Is(err, store.ErrNoDefinition) {
		return nil, fmt.Errorf("read %s: %w", sendDocumentsName, err)
	}
	return &definitions{store: st, builtin: builtin, known: map[definitionKey]*define.Definition{}}, nil
}

// get returns a version of a definition. store.ErrNoDefinition.
func (d *definitions) get(ctx context.Context, production, name string, version int) (*define.Definition, error) {
	if name == d.builtin.Name && version == d.builtin.Version {
		return d.builtin, nil
	}
	key := definitionKey{name, version}
	d.mu.Lock()
	def, ok := d.known[key]
	d.mu.Unlock()
	if ok {
		return def, nil
	}
	source, ours := jobDefinition(name)
	var err error
	if !ours {
		source, err = d.store.DefinitionSource(ctx, production, name, version)
		if err != nil {
			return nil, err
		}
	}
	def, err = define.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("definition %s@%d: %w", name, version, err)
	}
	def.Name = name
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= mostDefinitions {
		clear(d.known) // rare, and costs one read each
	}
	d.known[key] = def
	return def, nil
}

// choose returns the definition that a new distribution of production runs: the version asked for, else the one that the
// production's rollout gives to the distribution's id, else the newest. Of the built-in one the newest is this release's
// own: while releases replace each other each of them starts what it was tested with. Without a name it is the built-in.
func (d *definitions) choose(ctx context.Context, production, name string, version int, id string) (*define.Definition, error) {
	if name == "" {
		name = d.builtin.Name
	}
	wanted := fmt.Sprintf("version %d of definition %q", version, name)
	if version == 0 {
		wanted = fmt.Sprintf("definition %q", name)
		var err error
		version, err = d.version(ctx, production, name, id)
		if err != nil && !errors.Is(err, store.ErrNoDefinition) {
			return nil, unavailable(err)
		}
	}
	def, err := d.get(ctx, production, name, version)
	if errors.Is(err, store.ErrNoDefinition) {
		return nil, noDefinition(wanted)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return def, nil
}

// version is the version of a definition that a distribution takes when it was told none.
func (d *definitions) version(ctx context.Context, production, name, id string) (int, error) {
	shares, newest, err := d.store.Rollout(ctx, production, name)
	if err != nil {
		return 0, err
	}
	switch {
	case len(shares) > 0:
		return plan.Choose(shares, id), nil
	case name == d.builtin.Name:
		return d.builtin.Version, nil
	case newest > 0:
		return newest, nil
	}
	kept, err := d.store.Definition(ctx, name, 0)
	return kept.Version, err
}

func noDefinition(wanted string) error {
	return fault.New(fault.NotFound, "DEFINITION_UNKNOWN", "there is no %s; `GET /v1/definitions` lists those that there are", wanted)
}
