package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

// given leaves out what is empty.
func given(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// Why asks why something is as it is; production and distribution may be empty.
func (c *Client) Why(ctx context.Context, query, production, distribution string) (*observerv1.WhyResponse, json.RawMessage, error) {
	return get(ctx, c, join("why"), given("query", query, "production", production, "distribution", distribution), &observerv1.WhyResponse{})
}

// Failures lists groups of failures that are alike; production and distribution may be empty. since is RFC 3339, or empty.
func (c *Client) Failures(ctx context.Context, production, distribution, since string, resolved bool) ([]*observerv1.FailureGroup, []json.RawMessage, error) {
	q := given("production", production, "distribution", distribution, "since", since)
	if resolved {
		q.Set("resolved", "true")
	}
	return pages(ctx, c, join("failures"), "groups", q, func() *observerv1.FailureGroup { return &observerv1.FailureGroup{} })
}

// ActOnFailures does something to everybody in a group of failures of a distribution. It is not repeated.
func (c *Client) ActOnFailures(ctx context.Context, req *observerv1.ActOnFailuresRequest) (*observerv1.ActOnFailuresResponse, json.RawMessage, error) {
	path := join("productions", req.GetProduction(), "distributions", req.GetDistribution(), "failures", req.GetFingerprint()) + ":act"
	body, err := marshal(req)
	if err != nil {
		return nil, nil, err
	}
	data, err := c.do(ctx, call{method: http.MethodPost, path: path, json: body})
	m := &observerv1.ActOnFailuresResponse{}
	return m, data, decode(data, err, m)
}

// Top shows what goes on.
func (c *Client) Top(ctx context.Context) (*observerv1.GetTopResponse, json.RawMessage, error) {
	return get(ctx, c, join("top"), nil, &observerv1.GetTopResponse{})
}

// Overview says whether anything is wrong; production may be empty.
func (c *Client) Overview(ctx context.Context, production string) (*observerv1.GetOverviewResponse, json.RawMessage, error) {
	return get(ctx, c, join("overview"), given("production", production), &observerv1.GetOverviewResponse{})
}

// History sums up what ended by week; production and definition may be empty, weeks 0.
func (c *Client) History(ctx context.Context, production, definition string, weeks int) (*observerv1.GetHistoryResponse, json.RawMessage, error) {
	q := given("production", production, "definition", definition)
	if weeks > 0 {
		q.Set("weeks", strconv.Itoa(weeks))
	}
	return get(ctx, c, join("history"), q, &observerv1.GetHistoryResponse{})
}

// Audit reads one page of the audit, after token; what it asks for may be empty.
func (c *Client) Audit(ctx context.Context, production, distribution, subject string, size int, token string) (*observerv1.ListAuditResponse, json.RawMessage, error) {
	q := given("production", production, "distribution", distribution, "subject", subject, "page_token", token)
	q.Set("page_size", strconv.Itoa(size))
	return get(ctx, c, join("audit"), q, &observerv1.ListAuditResponse{})
}

// Share makes an address by which a distribution can be looked at; a relative one is made whole. It is not repeated.
func (c *Client) Share(ctx context.Context, req *observerv1.ShareDistributionRequest) (*observerv1.ShareDistributionResponse, error) {
	m := &observerv1.ShareDistributionResponse{}
	_, err := c.tell(ctx, join("productions", req.GetProduction(), "distributions", req.GetDistribution())+":share", req, m)
	if err == nil && strings.HasPrefix(m.GetUrl(), "/") {
		m.Url = strings.TrimSuffix(c.base, "/") + m.GetUrl()
	}
	return m, err
}

// Unshare ends all addresses that Share made for a distribution.
func (c *Client) Unshare(ctx context.Context, production, id string) error {
	_, err := c.tell(ctx, join("productions", production, "distributions", id)+":unshare", &observerv1.UnshareDistributionRequest{}, &observerv1.UnshareDistributionResponse{})
	return err
}

// tell posts req and reads the answer into into. It is not repeated.
func (c *Client) tell(ctx context.Context, path string, req, into proto.Message) (json.RawMessage, error) {
	body, err := marshal(req)
	if err != nil {
		return nil, err
	}
	data, err := c.do(ctx, call{method: http.MethodPost, path: path, json: body})
	return data, decode(data, err, into)
}
