package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// ListFunctions implements controlv1.ControlServiceServer.
func (s *Server) ListFunctions(ctx context.Context, _ *controlv1.ListFunctionsRequest) (*controlv1.ListFunctionsResponse, error) {
	functions, err := s.store.Functions(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	running, err := s.running(ctx, functions)
	if err != nil {
		return nil, unavailable(err)
	}
	aside, err := s.store.AtLimits(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	resp := &controlv1.ListFunctionsResponse{}
	for _, f := range functions {
		v := &controlv1.Function{Name: f.Name, Ready: int32(f.Ready), AtLimit: int32(aside[f.Name])}
		if f.Ready > 0 {
			v.Oldest = durationpb.New(f.Oldest)
		}
		for _, w := range f.Workers {
			n := running[w.Name][f.Name]
			v.Running += int32(n)
			v.Workers = append(v.Workers, &controlv1.FunctionWorker{Name: w.Name, Running: int32(n), SeenAt: timestamppb.New(w.Seen), Draining: w.Draining})
		}
		switch {
		case f.Paused:
			v.Blocked = "PAUSED"
		case f.Ready > 0 && !slices.ContainsFunc(f.Workers, func(w store.FunctionWorker) bool { return !w.Draining }):
			v.Blocked = "NO_WORKER"
		}
		resp.Functions = append(resp.Functions, v)
	}
	return resp, nil
}

// running counts the steps that workers have, by worker and function.
func (s *Server) running(ctx context.Context, functions []store.Function) (map[string]map[string]int, error) {
	out := map[string]map[string]int{}
	for _, f := range functions {
		for _, w := range f.Workers {
			if w.Running == 0 || out[w.Name] != nil {
				continue
			}
			out[w.Name] = map[string]int{}
			refs, err := s.store.Held(ctx, "", w.Name)
			if err != nil {
				return nil, err
			}
			for _, r := range refs {
				d, err := s.loadRef(ctx, r)
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if err != nil {
					return nil, err
				}
				step, ok := d.steps.Step(r.Step)
				if ok {
					out[w.Name][step.Function]++
				}
			}
		}
	}
	return out, nil
}

// PauseFunction implements controlv1.ControlServiceServer.
func (s *Server) PauseFunction(ctx context.Context, req *controlv1.PauseFunctionRequest) (*controlv1.PauseFunctionResponse, error) {
	return &controlv1.PauseFunctionResponse{}, s.hold(ctx, req.GetProduction(), req.GetFunction(), true)
}

// ResumeFunction implements controlv1.ControlServiceServer.
func (s *Server) ResumeFunction(ctx context.Context, req *controlv1.ResumeFunctionRequest) (*controlv1.ResumeFunctionResponse, error) {
	return &controlv1.ResumeFunctionResponse{}, s.hold(ctx, req.GetProduction(), req.GetFunction(), false)
}

// PauseProduction implements controlv1.ControlServiceServer.
func (s *Server) PauseProduction(ctx context.Context, req *controlv1.PauseProductionRequest) (*controlv1.PauseProductionResponse, error) {
	return &controlv1.PauseProductionResponse{}, s.hold(ctx, req.GetProduction(), "", true)
}

// ResumeProduction implements controlv1.ControlServiceServer.
func (s *Server) ResumeProduction(ctx context.Context, req *controlv1.ResumeProductionRequest) (*controlv1.ResumeProductionResponse, error) {
	return &controlv1.ResumeProductionResponse{}, s.hold(ctx, req.GetProduction(), "", false)
}

func (s *Server) hold(ctx context.Context, production, function string, on bool) error {
	if production != "" {
		err := s.knowsProduction(ctx, production)
		if err != nil {
			return err
		}
	}
	if function != "" {
		functions, err := s.store.Functions(ctx)
		if err != nil {
			return unavailable(err)
		}
		if !slices.ContainsFunc(functions, func(f store.Function) bool { return f.Name == function }) {
			return fault.New(fault.NotFound, "FUNCTION_UNKNOWN", "no definition in use names a function %q and no worker serves it; see the list of functions", function)
		}
	}
	err := s.store.Hold(ctx, production, function, on)
	if err != nil {
		return unavailable(err)
	}
	s.deps.Log.InfoContext(ctx, "pause changed", "production", production, "function", function, "paused", on, "by", who(ctx))
	return nil
}

// knowsProduction refuses a production that does not exist, and one that the caller may not act in, alike.
func (s *Server) knowsProduction(ctx context.Context, production string) error {
	if !rpc.MayActIn(ctx, production) {
		return rpc.UnknownProduction(production)
	}
	_, err := s.deps.Directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: production})
	return err
}

// SetWeight implements controlv1.ControlServiceServer.
func (s *Server) SetWeight(ctx context.Context, req *controlv1.SetWeightRequest) (*controlv1.SetWeightResponse, error) {
	err := s.knowsProduction(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	err = s.store.SetWeight(ctx, req.GetProduction(), int(req.GetWeight()))
	if err != nil {
		return nil, unavailable(err)
	}
	return &controlv1.SetWeightResponse{}, nil
}

// GetPauses implements controlv1.ControlServiceServer.
func (s *Server) GetPauses(ctx context.Context, _ *controlv1.GetPausesRequest) (*controlv1.GetPausesResponse, error) {
	holds, weights, err := s.store.Holds(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	mine := func(production string) bool { return production == "" || rpc.MayActIn(ctx, production) }
	resp := &controlv1.GetPausesResponse{}
	for _, h := range holds {
		if mine(h.Production) {
			resp.Pauses = append(resp.Pauses, &controlv1.Pause{Production: h.Production, Function: h.Function})
		}
	}
	for production, w := range weights {
		if mine(production) {
			resp.Weights = append(resp.Weights, &controlv1.Weight{Production: production, Weight: int32(w)})
		}
	}
	slices.SortFunc(resp.GetWeights(), func(a, b *controlv1.Weight) int { return strings.Compare(a.GetProduction(), b.GetProduction()) })
	return resp, nil
}

// setLimit sets a limit of a production, or, when that is empty, one that productions share.
func (s *Server) setLimit(ctx context.Context, production, name string, l *controlv1.Limit) (*controlv1.Limit, error) {
	had, err := s.store.Limit(ctx, production, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, unavailable(err)
	}
	if had != nil && had.Kind != "" {
		return nil, fault.New(fault.Conflict, "LIMIT_IS_RESOURCE", "%q is a resource; change its limits there", name)
	}
	var running []store.Ref
	if production != "" {
		running, err = s.runningFunction(ctx, production, name)
		if err != nil {
			return nil, unavailable(err)
		}
	}
	err = s.store.SetLimit(ctx, production, limitOf(name, l), running)
	if err != nil {
		return nil, unavailable(err)
	}
	s.deps.Log.InfoContext(ctx, "limit set", "production", production, "limit", name, "by", who(ctx))
	now, err := s.store.Limit(ctx, production, name)
	if err != nil {
		return nil, unavailable(err)
	}
	return limitView(now.Limit), nil
}

// runningFunction are the attempts of a production that call function now: a limit by its name counts them.
func (s *Server) runningFunction(ctx context.Context, production, function string) ([]store.Ref, error) {
	refs, err := s.store.Held(ctx, production, "")
	if err != nil {
		return nil, err
	}
	var out []store.Ref
	for _, r := range refs {
		d, err := s.loadRef(ctx, r)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		step, ok := d.steps.Step(r.Step)
		if ok && step.Function == function {
			out = append(out, r)
		}
	}
	return out, nil
}

func limitOf(name string, l *controlv1.Limit) store.Limit {
	return store.Limit{Name: name, Concurrency: int(l.GetConcurrency()), Rate: l.GetRate(), Burst: max(1, int(l.GetBurst()))}
}

func limitView(l store.Limit) *controlv1.Limit {
	return &controlv1.Limit{Name: l.Name, Concurrency: int32(l.Concurrency), Rate: l.Rate, Burst: int32(l.Burst), Taken: int32(l.Taken), Waiting: int32(l.Waiting)}
}

func (s *Server) limits(ctx context.Context, production string) ([]*controlv1.Limit, error) {
	all, err := s.store.Limits(ctx, production)
	if err != nil {
		return nil, unavailable(err)
	}
	var out []*controlv1.Limit
	for _, r := range all {
		if r.Kind == "" {
			out = append(out, limitView(r.Limit))
		}
	}
	return out, nil
}

func (s *Server) deleteLimit(ctx context.Context, production, name string) error {
	had, err := s.store.Limit(ctx, production, name)
	if err == nil && had.Kind != "" {
		return fault.New(fault.Conflict, "LIMIT_IS_RESOURCE", "%q is a resource; delete it as one", name)
	}
	if err == nil {
		err = s.store.DeleteLimit(ctx, production, name)
	}
	if errors.Is(err, store.ErrNotFound) {
		return fault.New(fault.NotFound, "LIMIT_UNKNOWN", "there is no limit %q", name)
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

func (s *Server) deleteResource(ctx context.Context, production, name string) error {
	had, err := s.store.Limit(ctx, production, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && had.Kind == "" {
		return unknownResource(name)
	}
	if err != nil {
		return unavailable(err)
	}
	s.deps.Log.InfoContext(ctx, "resource deleted", "production", production, "resource", name, "by", who(ctx))
	if !had.Deleted && had.Life != plan.LifeFailed && had.Made != nil && had.Ends() != "" {
		// What was made is ended first; the rest is the lifecycle's.
		err = s.store.Retire(ctx, production, name)
		if err != nil {
			return unavailable(err)
		}
		s.tendNow(ctx, production, name)
		return nil
	}
	err = s.store.DeleteLimit(ctx, production, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return unavailable(err)
	}
	return nil
}

func unknownResource(name string) error {
	return fault.New(fault.NotFound, "RESOURCE_UNKNOWN", "there is no resource %q", name)
}

// SetLimit implements controlv1.ControlServiceServer.
func (s *Server) SetLimit(ctx context.Context, req *controlv1.SetLimitRequest) (*controlv1.SetLimitResponse, error) {
	err := s.knowsProduction(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	l, err := s.setLimit(ctx, req.GetProduction(), req.GetName(), req.GetLimit())
	if err != nil {
		return nil, err
	}
	return &controlv1.SetLimitResponse{Limit: l}, nil
}

// SetStudioLimit implements controlv1.ControlServiceServer.
func (s *Server) SetStudioLimit(ctx context.Context, req *controlv1.SetStudioLimitRequest) (*controlv1.SetStudioLimitResponse, error) {
	l, err := s.setLimit(ctx, "", req.GetName(), req.GetLimit())
	if err != nil {
		return nil, err
	}
	return &controlv1.SetStudioLimitResponse{Limit: l}, nil
}

// ListLimits implements controlv1.ControlServiceServer.
func (s *Server) ListLimits(ctx context.Context, req *controlv1.ListLimitsRequest) (*controlv1.ListLimitsResponse, error) {
	l, err := s.limits(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	return &controlv1.ListLimitsResponse{Limits: l}, nil
}

// ListStudioLimits implements controlv1.ControlServiceServer.
func (s *Server) ListStudioLimits(ctx context.Context, _ *controlv1.ListStudioLimitsRequest) (*controlv1.ListStudioLimitsResponse, error) {
	l, err := s.limits(ctx, "")
	if err != nil {
		return nil, err
	}
	return &controlv1.ListStudioLimitsResponse{Limits: l}, nil
}

// DeleteLimit implements controlv1.ControlServiceServer.
func (s *Server) DeleteLimit(ctx context.Context, req *controlv1.DeleteLimitRequest) (*controlv1.DeleteLimitResponse, error) {
	return &controlv1.DeleteLimitResponse{}, s.deleteLimit(ctx, req.GetProduction(), req.GetName())
}

// DeleteStudioLimit implements controlv1.ControlServiceServer.
func (s *Server) DeleteStudioLimit(ctx context.Context, req *controlv1.DeleteStudioLimitRequest) (*controlv1.DeleteStudioLimitResponse, error) {
	return &controlv1.DeleteStudioLimitResponse{}, s.deleteLimit(ctx, "", req.GetName())
}

func (s *Server) putResource(ctx context.Context, production, name string, r *controlv1.Resource) (*controlv1.Resource, error) {
	if r.GetConfigJson() != "" && !json.Valid([]byte(r.GetConfigJson())) {
		return nil, fault.New(fault.Invalid, "RESOURCE_INVALID", "config_json of %q is no JSON", name)
	}
	if r.GetCreate() == "" && (r.GetDestroy() != "" || r.GetIdleTimeout() != nil) {
		return nil, fault.New(fault.Invalid, "RESOURCE_INVALID", "%q has no create function, so it can be neither destroyed nor idle; leave destroy and idle_timeout out, or say how it is made", name)
	}
	kind := r.GetKind()
	if kind == "" {
		kind = "shared"
	}
	for job, function := range map[string]string{createJob: r.GetCreate(), checkJob: r.GetCheck(), destroyJob: r.GetDestroy()} {
		if function == "" {
			continue
		}
		_, err := define.Parse(jobSource(job, function))
		if err != nil {
			return nil, fault.New(fault.Invalid, "RESOURCE_INVALID", "%s of %q: %q is no name of a function: letters, digits, dots and dashes, such as drive.Create", job, name, function)
		}
	}
	err := s.store.PutResource(ctx, store.Resource{
		Limit:      limitOf(name, r.GetLimit()),
		Words:      store.Words{Kind: kind, Credential: r.GetCredential(), Config: r.GetConfigJson(), Create: r.GetCreate(), Destroy: r.GetDestroy()},
		Production: production, BreakerFailures: either(int(r.GetBreakerFailures()), 5), BreakerOpen: either(r.GetBreakerOpen().AsDuration(), 30*time.Second),
		Check: r.GetCheck(), CheckEvery: either(r.GetCheckEvery().AsDuration(), time.Minute), IdleAfter: r.GetIdleTimeout().AsDuration(),
	})
	if err != nil {
		return nil, unavailable(err)
	}
	s.tendNow(ctx, production, name)
	s.deps.Log.InfoContext(ctx, "resource set", "production", production, "resource", name, "by", who(ctx))
	now, err := s.store.Limit(ctx, production, name)
	if err != nil {
		return nil, unavailable(err)
	}
	return resourceView(now), nil
}

func either[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func resourceView(r *store.Resource) *controlv1.Resource {
	v := &controlv1.Resource{
		Limit: limitView(r.Limit), Kind: r.Kind, Credential: r.Credential,
		BreakerFailures: int32(r.BreakerFailures), BreakerOpen: durationpb.New(r.BreakerOpen),
		Create: r.Create, Check: r.Check, Destroy: r.Destroy, CheckEvery: durationpb.New(r.CheckEvery), ConfigJson: r.Config,
		State: string(r.Life), Breaker: "closed", LastCode: r.Code, LastMessage: r.Message, Detail: r.Detail,
	}
	if r.IdleAfter > 0 {
		v.IdleTimeout = durationpb.New(r.IdleAfter)
	}
	if r.Trial {
		v.Breaker = "half_open"
		if !r.BlockedUntil.IsZero() {
			v.Breaker = "open"
		}
	}
	if !r.BlockedUntil.IsZero() {
		v.BlockedUntil = timestamppb.New(r.BlockedUntil)
	}
	if !r.Checked.IsZero() {
		v.CheckedAt = timestamppb.New(r.Checked)
	}
	return v
}

func (s *Server) resources(ctx context.Context, production string) ([]*controlv1.Resource, error) {
	all, err := s.store.Limits(ctx, production)
	if err != nil {
		return nil, unavailable(err)
	}
	var out []*controlv1.Resource
	for _, r := range all {
		if r.Kind != "" {
			out = append(out, resourceView(&r))
		}
	}
	return out, nil
}

func (s *Server) resetResource(ctx context.Context, production, name string) (*controlv1.Resource, error) {
	now, err := s.store.Limit(ctx, production, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && now.Kind == "" {
		return nil, unknownResource(name)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	called := name
	if production == "" {
		called = "studio/" + name
	}
	err = s.store.Heed(ctx, production, called, store.Told{Kind: "reset"})
	if err != nil {
		return nil, unavailable(err)
	}
	s.tendNow(ctx, production, name)
	now, err = s.store.Limit(ctx, production, name)
	if err != nil {
		return nil, unavailable(err)
	}
	return resourceView(now), nil
}

// resourceOf is a resource as a task sees it.
func (s *Server) resourceOf(ctx context.Context, production, name string) (*taskv1.Resource, error) {
	bare, isStudio := strings.CutPrefix(name, "studio/")
	if isStudio {
		production = ""
	}
	r, err := s.store.Limit(ctx, production, bare)
	if errors.Is(err, store.ErrNotFound) {
		return &taskv1.Resource{Name: name}, nil
	}
	if err != nil {
		return nil, err
	}
	return &taskv1.Resource{Name: name, Kind: r.Kind, Credential: r.Credential, StateJson: r.Output}, nil
}

// PutResource implements controlv1.ControlServiceServer.
func (s *Server) PutResource(ctx context.Context, req *controlv1.PutResourceRequest) (*controlv1.PutResourceResponse, error) {
	err := s.knowsProduction(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	r, err := s.putResource(ctx, req.GetProduction(), req.GetName(), req.GetResource())
	if err != nil {
		return nil, err
	}
	return &controlv1.PutResourceResponse{Resource: r}, nil
}

// PutStudioResource implements controlv1.ControlServiceServer.
func (s *Server) PutStudioResource(ctx context.Context, req *controlv1.PutStudioResourceRequest) (*controlv1.PutStudioResourceResponse, error) {
	r, err := s.putResource(ctx, "", req.GetName(), req.GetResource())
	if err != nil {
		return nil, err
	}
	return &controlv1.PutStudioResourceResponse{Resource: r}, nil
}

// ListResources implements controlv1.ControlServiceServer.
func (s *Server) ListResources(ctx context.Context, req *controlv1.ListResourcesRequest) (*controlv1.ListResourcesResponse, error) {
	r, err := s.resources(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	return &controlv1.ListResourcesResponse{Resources: r}, nil
}

// ListStudioResources implements controlv1.ControlServiceServer.
func (s *Server) ListStudioResources(ctx context.Context, _ *controlv1.ListStudioResourcesRequest) (*controlv1.ListStudioResourcesResponse, error) {
	r, err := s.resources(ctx, "")
	if err != nil {
		return nil, err
	}
	return &controlv1.ListStudioResourcesResponse{Resources: r}, nil
}

// ResetResource implements controlv1.ControlServiceServer.
func (s *Server) ResetResource(ctx context.Context, req *controlv1.ResetResourceRequest) (*controlv1.ResetResourceResponse, error) {
	r, err := s.resetResource(ctx, req.GetProduction(), req.GetName())
	if err != nil {
		return nil, err
	}
	return &controlv1.ResetResourceResponse{Resource: r}, nil
}

// ResetStudioResource implements controlv1.ControlServiceServer.
func (s *Server) ResetStudioResource(ctx context.Context, req *controlv1.ResetStudioResourceRequest) (*controlv1.ResetStudioResourceResponse, error) {
	r, err := s.resetResource(ctx, "", req.GetName())
	if err != nil {
		return nil, err
	}
	return &controlv1.ResetStudioResourceResponse{Resource: r}, nil
}

// DeleteResource implements controlv1.ControlServiceServer.
func (s *Server) DeleteResource(ctx context.Context, req *controlv1.DeleteResourceRequest) (*controlv1.DeleteResourceResponse, error) {
	return &controlv1.DeleteResourceResponse{}, s.deleteResource(ctx, req.GetProduction(), req.GetName())
}

// DeleteStudioResource implements controlv1.ControlServiceServer.
func (s *Server) DeleteStudioResource(ctx context.Context, req *controlv1.DeleteStudioResourceRequest) (*controlv1.DeleteStudioResourceResponse, error) {
	return &controlv1.DeleteStudioResourceResponse{}, s.deleteResource(ctx, "", req.GetName())
}
