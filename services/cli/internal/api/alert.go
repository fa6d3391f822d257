package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

// Alerts lists alerts, open ones first; production and state may be empty.
func (c *Client) Alerts(ctx context.Context, production, state string) ([]*observerv1.Alert, []json.RawMessage, error) {
	q := url.Values{}
	if production != "" {
		q.Set("production", production)
	}
	if state != "" {
		q.Set("state", state)
	}
	list, raws, _, err := onePage(ctx, c, join("alerts"), "alerts", q, func() *observerv1.Alert { return &observerv1.Alert{} })
	return list, raws, err
}

// AcknowledgeAlert says that somebody has it.
func (c *Client) AcknowledgeAlert(ctx context.Context, alert string) (*observerv1.Alert, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPost, join("alerts", alert)+":acknowledge", &observerv1.AcknowledgeAlertRequest{}, &observerv1.Alert{})
}

// Rules lists all rules.
func (c *Client) Rules(ctx context.Context) ([]*observerv1.Rule, []json.RawMessage, error) {
	return whole(ctx, c, join("rules"), "rules", func() *observerv1.Rule { return &observerv1.Rule{} })
}

// ApplyRules makes the rules of a text in YAML.
func (c *Client) ApplyRules(ctx context.Context, source string) (*observerv1.ApplyRulesResponse, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPost, join("rules")+":apply", &observerv1.ApplyRulesRequest{Source: source}, &observerv1.ApplyRulesResponse{})
}

// DeleteRule removes a rule.
func (c *Client) DeleteRule(ctx context.Context, name string) error {
	return c.remove(ctx, join("rules", name))
}
