package api

import (
	"context"
	"encoding/json"
	"net/http"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
)

// scoped makes the path of what belongs to a production or, where that is empty, to all of them.
func scoped(production string, parts ...string) string {
	if production == "" {
		return join(append([]string{"studio"}, parts...)...)
	}
	return join(append([]string{"productions", production}, parts...)...)
}

// Functions lists every function that has work or a worker.
func (c *Client) Functions(ctx context.Context) ([]*controlv1.Function, []json.RawMessage, error) {
	return whole(ctx, c, join("functions"), "functions", func() *controlv1.Function { return &controlv1.Function{} })
}

// Workers lists the workers that are there.
func (c *Client) Workers(ctx context.Context) ([]*controlv1.Worker, []json.RawMessage, error) {
	return whole(ctx, c, join("workers"), "workers", func() *controlv1.Worker { return &controlv1.Worker{} })
}

// DrainWorker hands a worker nothing new.
func (c *Client) DrainWorker(ctx context.Context, worker string) (*controlv1.Worker, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPost, join("workers", worker)+":drain", &controlv1.DrainWorkerRequest{}, &controlv1.Worker{})
}

// UndrainWorker ends what DrainWorker began.
func (c *Client) UndrainWorker(ctx context.Context, worker string) (*controlv1.Worker, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPost, join("workers", worker)+":undrain", &controlv1.UndrainWorkerRequest{}, &controlv1.Worker{})
}

// Pauses tells what is paused, and which weights were set.
func (c *Client) Pauses(ctx context.Context) (*controlv1.GetPausesResponse, json.RawMessage, error) {
	return get(ctx, c, join("pauses"), nil, &controlv1.GetPausesResponse{})
}

// PauseFunction stops handing out a function's steps, of one production or, where that is empty, of all.
func (c *Client) PauseFunction(ctx context.Context, function, production string) (json.RawMessage, error) {
	_, raw, err := settle(ctx, c, http.MethodPost, join("functions", function)+":pause",
		&controlv1.PauseFunctionRequest{Production: production}, &controlv1.PauseFunctionResponse{})
	return raw, err
}

// ResumeFunction ends what PauseFunction began with the same arguments.
func (c *Client) ResumeFunction(ctx context.Context, function, production string) (json.RawMessage, error) {
	_, raw, err := settle(ctx, c, http.MethodPost, join("functions", function)+":resume",
		&controlv1.ResumeFunctionRequest{Production: production}, &controlv1.ResumeFunctionResponse{})
	return raw, err
}

// PauseProduction stops handing out a production's steps.
func (c *Client) PauseProduction(ctx context.Context, production string) (json.RawMessage, error) {
	_, raw, err := settle(ctx, c, http.MethodPost, join("productions", production)+":pause",
		&controlv1.PauseProductionRequest{}, &controlv1.PauseProductionResponse{})
	return raw, err
}

// ResumeProduction ends what PauseProduction began.
func (c *Client) ResumeProduction(ctx context.Context, production string) (json.RawMessage, error) {
	_, raw, err := settle(ctx, c, http.MethodPost, join("productions", production)+":resume",
		&controlv1.ResumeProductionRequest{}, &controlv1.ResumeProductionResponse{})
	return raw, err
}

// SetWeight sets a production's share of the workers.
func (c *Client) SetWeight(ctx context.Context, production string, weight int32) (json.RawMessage, error) {
	_, raw, err := settle(ctx, c, http.MethodPut, join("productions", production, "weight"),
		&controlv1.SetWeightRequest{Weight: weight}, &controlv1.SetWeightResponse{})
	return raw, err
}

// Quota tells how much a production may have under way, and what it has.
func (c *Client) Quota(ctx context.Context, production string) (*controlv1.Quota, json.RawMessage, error) {
	return get(ctx, c, join("productions", production, "quota"), nil, &controlv1.Quota{})
}

// SetQuota sets it; what q leaves out is as for all productions.
func (c *Client) SetQuota(ctx context.Context, production string, q *controlv1.Quota) (*controlv1.Quota, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPut, join("productions", production, "quota"), &controlv1.SetQuotaRequest{Quota: q}, &controlv1.Quota{})
}

// SetLimit sets a limit, or changes it.
func (c *Client) SetLimit(ctx context.Context, production string, limit *controlv1.Limit) (*controlv1.Limit, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPut, scoped(production, "limits", limit.GetName()), &controlv1.SetLimitRequest{Limit: limit}, &controlv1.Limit{})
}

// Limits lists limits.
func (c *Client) Limits(ctx context.Context, production string) ([]*controlv1.Limit, []json.RawMessage, error) {
	return whole(ctx, c, scoped(production, "limits"), "limits", func() *controlv1.Limit { return &controlv1.Limit{} })
}

// DeleteLimit ends a limit.
func (c *Client) DeleteLimit(ctx context.Context, production, name string) error {
	return c.remove(ctx, scoped(production, "limits", name))
}

// PutResource makes a shared resource, or changes it.
func (c *Client) PutResource(ctx context.Context, production string, r *controlv1.Resource) (*controlv1.Resource, json.RawMessage, error) {
	path := scoped(production, "resources", r.GetLimit().GetName())
	return settle(ctx, c, http.MethodPut, path, &controlv1.PutResourceRequest{Resource: r}, &controlv1.Resource{})
}

// Resources lists shared resources.
func (c *Client) Resources(ctx context.Context, production string) ([]*controlv1.Resource, []json.RawMessage, error) {
	return whole(ctx, c, scoped(production, "resources"), "resources", func() *controlv1.Resource { return &controlv1.Resource{} })
}

// ResetResource closes a resource's circuit breaker and ends its back-off.
func (c *Client) ResetResource(ctx context.Context, production, name string) (*controlv1.Resource, json.RawMessage, error) {
	path := scoped(production, "resources", name) + ":reset"
	return settle(ctx, c, http.MethodPost, path, &controlv1.ResetResourceRequest{}, &controlv1.Resource{})
}

// DeleteResource ends a shared resource.
func (c *Client) DeleteResource(ctx context.Context, production, name string) error {
	return c.remove(ctx, scoped(production, "resources", name))
}
