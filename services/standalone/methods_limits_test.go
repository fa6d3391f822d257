package standalone_test

import (
	"context"
	"slices"

	"github.com/filigreehq/filigree/pkg/fault"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
)

type listFiles = filev1.ListFilesRequest

// reason is an error's, or empty.
func reason(err error) string {
	f := fault.From(err)
	if f == nil {
		return ""
	}
	return f.Reason
}

// limitsNamed are the limits of this round's name.
func (s *suite) limitsNamed(production string) []*controlv1.Limit {
	s.t.Helper()
	var all []*controlv1.Limit
	s.calm(func() {
		var err error
		if production == "" {
			var resp *controlv1.ListStudioLimitsResponse
			resp, err = s.control.ListStudioLimits(s.t.Context(), &controlv1.ListStudioLimitsRequest{})
			all = resp.GetLimits()
		} else {
			var resp *controlv1.ListLimitsResponse
			resp, err = s.control.ListLimits(s.t.Context(), &controlv1.ListLimitsRequest{Production: production})
			all = resp.GetLimits()
		}
		if err != nil {
			s.t.Fatal(err)
		}
	})
	return slices.DeleteFunc(all, func(l *controlv1.Limit) bool { return l.GetName() != s.name() })
}

func (s *suite) putLimit(production string) {
	s.t.Helper()
	l := &controlv1.Limit{Name: s.name(), Concurrency: int32(1 + s.round), Burst: 1}
	s.again(func(ctx context.Context) error {
		var err error
		if production == "" {
			_, err = s.control.SetStudioLimit(ctx, &controlv1.SetStudioLimitRequest{Name: s.name(), Limit: l})
		} else {
			_, err = s.control.SetLimit(ctx, &controlv1.SetLimitRequest{Production: production, Name: s.name(), Limit: l})
		}
		return err
	})
}

func (s *suite) setLimit(production string) {
	s.t.Helper()
	s.putLimit(production)
	got := s.limitsNamed(production)
	s.want("limits", len(got), 1)
	s.want("how many at once", got[0].GetConcurrency(), 1+s.round)
}

func (s *suite) deleteLimit(production string) {
	s.t.Helper()
	s.calm(func() { s.putLimit(production) })
	s.again(func(ctx context.Context) error {
		var err error
		if production == "" {
			_, err = s.control.DeleteStudioLimit(ctx, &controlv1.DeleteStudioLimitRequest{Name: s.name()})
		} else {
			_, err = s.control.DeleteLimit(ctx, &controlv1.DeleteLimitRequest{Production: production, Name: s.name()})
		}
		return err
	}, "LIMIT_UNKNOWN")
	s.want("limits", len(s.limitsNamed(production)), 0)
}

// resourcesNamed are the resources of this round's name.
func (s *suite) resourcesNamed(production string) []*controlv1.Resource {
	s.t.Helper()
	var all []*controlv1.Resource
	s.calm(func() {
		var err error
		if production == "" {
			var resp *controlv1.ListStudioResourcesResponse
			resp, err = s.control.ListStudioResources(s.t.Context(), &controlv1.ListStudioResourcesRequest{})
			all = resp.GetResources()
		} else {
			var resp *controlv1.ListResourcesResponse
			resp, err = s.control.ListResources(s.t.Context(), &controlv1.ListResourcesRequest{Production: production})
			all = resp.GetResources()
		}
		if err != nil {
			s.t.Fatal(err)
		}
	})
	return slices.DeleteFunc(all, func(r *controlv1.Resource) bool { return r.GetLimit().GetName() != s.resource() })
}

func (s *suite) resource() string { return "r" + s.name() }

func (s *suite) makeResource(production string) {
	s.t.Helper()
	r := &controlv1.Resource{Limit: &controlv1.Limit{Name: s.resource(), Concurrency: 2}, Kind: "relay"}
	s.again(func(ctx context.Context) error {
		var err error
		if production == "" {
			_, err = s.control.PutStudioResource(ctx, &controlv1.PutStudioResourceRequest{Name: s.resource(), Resource: r})
		} else {
			_, err = s.control.PutResource(ctx, &controlv1.PutResourceRequest{Production: production, Name: s.resource(), Resource: r})
		}
		return err
	})
}

func (s *suite) putResource(production string) {
	s.t.Helper()
	s.makeResource(production)
	s.want("resources", len(s.resourcesNamed(production)), 1)
}

func (s *suite) resetResource(production string) {
	s.t.Helper()
	s.calm(func() { s.makeResource(production) })
	s.again(func(ctx context.Context) error {
		var err error
		if production == "" {
			_, err = s.control.ResetStudioResource(ctx, &controlv1.ResetStudioResourceRequest{Name: s.resource()})
		} else {
			_, err = s.control.ResetResource(ctx, &controlv1.ResetResourceRequest{Production: production, Name: s.resource()})
		}
		return err
	})
	s.want("its breaker", s.resourcesNamed(production)[0].GetBreaker(), "closed")
}

// deleteResource deletes one that nothing was made for. What a create function made is destroyed by the first call, and a
// second one leaves it: who gets no answer looks before deleting again.
func (s *suite) deleteResource(production string) {
	s.t.Helper()
	s.calm(func() { s.makeResource(production) })
	s.again(func(ctx context.Context) error {
		var err error
		if production == "" {
			_, err = s.control.DeleteStudioResource(ctx, &controlv1.DeleteStudioResourceRequest{Name: s.resource()})
		} else {
			_, err = s.control.DeleteResource(ctx, &controlv1.DeleteResourceRequest{Production: production, Name: s.resource()})
		}
		return err
	}, "RESOURCE_UNKNOWN")
	s.want("resources", len(s.resourcesNamed(production)), 0)
}
