package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/filigreehq/filigree/pkg/fault"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// PutDefinition implements definitionv1.DefinitionServiceServer.
func (s *Server) PutDefinition(ctx context.Context, req *definitionv1.PutDefinitionRequest) (*definitionv1.PutDefinitionResponse, error) {
	def, err := define.Parse(req.GetSource())
	if err != nil {
		return nil, fault.New(fault.Invalid, "DEFINITION_INVALID", "%v", err)
	}
	err = s.store.Define(ctx, &def.Definition, def.Source)
	switch {
	case errors.Is(err, store.ErrDefined):
		kept, err := s.store.Definition(ctx, def.Name, 0)
		if err != nil {
			return nil, unavailable(err)
		}
		return nil, fault.New(fault.Conflict, "DEFINITION_EXISTS",
			"version %d of %s is there with another text, and a version never changes; the newest is %d, so store yours as version %d",
			def.Version, def.Name, kept.Version, kept.Version+1)
	case errors.Is(err, store.ErrTooMany):
		return nil, fault.New(fault.Conflict, "DEFINITION_LIMIT", "there are as many versions of definitions as are kept; none is ever removed")
	case err != nil:
		return nil, unavailable(err)
	}
	kept, err := s.store.Definition(ctx, def.Name, def.Version)
	if err != nil {
		return nil, unavailable(err)
	}
	s.deps.Log.InfoContext(ctx, "definition stored", "definition", def.Name, "version", def.Version)
	return &definitionv1.PutDefinitionResponse{Definition: definitionView(kept)}, nil
}

// GetDefinition implements definitionv1.DefinitionServiceServer.
func (s *Server) GetDefinition(ctx context.Context, req *definitionv1.GetDefinitionRequest) (*definitionv1.GetDefinitionResponse, error) {
	kept, err := s.definition(ctx, req.GetName(), int(req.GetVersion()))
	if err != nil {
		return nil, err
	}
	return &definitionv1.GetDefinitionResponse{Definition: definitionView(kept)}, nil
}

// definition finds a version that a caller named; 0 is the newest.
func (s *Server) definition(ctx context.Context, name string, version int) (store.Defined, error) {
	kept, err := s.store.Definition(ctx, name, version)
	switch {
	case errors.Is(err, store.ErrNoDefinition) && version > 0:
		return kept, noDefinition(fmt.Sprintf("version %d of definition %q", version, name))
	case errors.Is(err, store.ErrNoDefinition):
		return kept, noDefinition(fmt.Sprintf("definition %q", name))
	case err != nil:
		return kept, unavailable(err)
	}
	return kept, nil
}

// ListDefinitions implements definitionv1.DefinitionServiceServer.
func (s *Server) ListDefinitions(ctx context.Context, _ *definitionv1.ListDefinitionsRequest) (*definitionv1.ListDefinitionsResponse, error) {
	all, err := s.store.Definitions(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	resp := &definitionv1.ListDefinitionsResponse{}
	for _, d := range all {
		resp.Definitions = append(resp.Definitions, definitionView(d))
	}
	return resp, nil
}

func definitionView(d store.Defined) *definitionv1.Definition {
	return &definitionv1.Definition{Name: d.Name, Version: int32(d.Version), Source: d.Source, CreatedAt: stamp(d.Created), Functions: d.Functions}
}

// GetDefinitionGraph implements definitionv1.DefinitionServiceServer.
func (s *Server) GetDefinitionGraph(ctx context.Context, req *definitionv1.GetDefinitionGraphRequest) (*definitionv1.GetDefinitionGraphResponse, error) {
	kept, err := s.definition(ctx, req.GetName(), int(req.GetVersion()))
	if err != nil {
		return nil, err
	}
	def, err := s.definitions.get(ctx, "", kept.Name, kept.Version)
	if err != nil {
		return nil, unavailable(err)
	}
	return &definitionv1.GetDefinitionGraphResponse{Text: draw(&def.Definition, plan.Legend{Conditions: def.Conditions}, req.GetFormat())}, nil
}

// GetDistributionGraph implements distributionv1.DistributionServiceServer. Steps that were left out are not in it.
func (s *Server) GetDistributionGraph(ctx context.Context, req *distributionv1.GetDistributionGraphRequest) (*distributionv1.GetDistributionGraphResponse, error) {
	d, err := s.find(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	sum, err := s.store.Get(ctx, req.GetProduction(), req.GetDistribution())
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknown(req.GetDistribution())
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return &distributionv1.GetDistributionGraphResponse{
		Text: draw(d.steps, plan.Legend{Conditions: d.def.Conditions, Counts: sum.Steps}, req.GetFormat()),
	}, nil
}

func draw(d *plan.Definition, l plan.Legend, format string) string {
	if format == "dot" {
		return d.DOT(l)
	}
	return d.Mermaid(l)
}

// SetRollout implements definitionv1.DefinitionServiceServer.
func (s *Server) SetRollout(ctx context.Context, req *definitionv1.SetRolloutRequest) (*definitionv1.SetRolloutResponse, error) {
	_, err := s.deps.Directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: req.GetProduction()})
	if err != nil {
		return nil, err
	}
	var shares []plan.Share
	for _, share := range req.GetShares() {
		shares = append(shares, plan.Share{Version: int(share.GetVersion()), Percent: int(share.GetPercent())})
	}
	err = plan.CheckShares(shares)
	if err != nil {
		return nil, fault.New(fault.Invalid, "ROLLOUT_INVALID", "%v; nothing was changed", err)
	}
	_, err = s.definition(ctx, req.GetName(), 0)
	if err != nil {
		return nil, err
	}
	for _, share := range shares {
		_, err = s.definition(ctx, req.GetName(), share.Version)
		if err != nil {
			return nil, err
		}
	}
	err = s.store.SetRollout(ctx, req.GetProduction(), req.GetName(), shares)
	if err != nil {
		return nil, unavailable(err)
	}
	s.deps.Log.InfoContext(ctx, "rollout set", "production", req.GetProduction(), "definition", req.GetName(), "shares", fmt.Sprint(shares))
	return &definitionv1.SetRolloutResponse{Rollout: rolloutView(req.GetName(), shares)}, nil
}

// ListRollouts implements definitionv1.DefinitionServiceServer.
func (s *Server) ListRollouts(ctx context.Context, req *definitionv1.ListRolloutsRequest) (*definitionv1.ListRolloutsResponse, error) {
	_, err := s.deps.Directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: req.GetProduction()})
	if err != nil {
		return nil, err
	}
	all, err := s.store.Rollouts(ctx, req.GetProduction())
	if err != nil {
		return nil, unavailable(err)
	}
	resp := &definitionv1.ListRolloutsResponse{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		resp.Rollouts = append(resp.Rollouts, rolloutView(name, all[name]))
	}
	return resp, nil
}

func rolloutView(name string, shares []plan.Share) *definitionv1.Rollout {
	v := &definitionv1.Rollout{Name: name}
	for _, s := range shares {
		v.Shares = append(v.Shares, &definitionv1.Share{Version: int32(s.Version), Percent: int32(s.Percent)})
	}
	return v
}
