package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
)

// PutDefinition stores a version of a definition. The same text again is harmless.
func (c *Client) PutDefinition(ctx context.Context, source string) (*definitionv1.Definition, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPost, join("definitions"), &definitionv1.PutDefinitionRequest{Source: source}, &definitionv1.Definition{})
}

// Definition reads a version; 0 is the newest.
func (c *Client) Definition(ctx context.Context, name string, version int32) (*definitionv1.Definition, json.RawMessage, error) {
	return get(ctx, c, join("definitions", name), versionQuery(version), &definitionv1.Definition{})
}

// Definitions lists all versions of all definitions, without their sources.
func (c *Client) Definitions(ctx context.Context) ([]*definitionv1.Definition, []json.RawMessage, error) {
	return whole(ctx, c, join("definitions"), "definitions", func() *definitionv1.Definition { return &definitionv1.Definition{} })
}

// DefinitionGraph draws a version, 0 for the newest, as "mermaid" or "dot".
func (c *Client) DefinitionGraph(ctx context.Context, name string, version int32, format string) (string, error) {
	query := versionQuery(version)
	query.Set("format", format)
	answer, _, err := get(ctx, c, join("definitions", name, "graph"), query, &definitionv1.GetDefinitionGraphResponse{})
	return answer.GetText(), err
}

func versionQuery(version int32) url.Values {
	query := url.Values{}
	if version > 0 {
		query.Set("version", strconv.Itoa(int(version)))
	}
	return query
}

// SetRollout says which versions a production's new distributions take; no shares: the newest takes all.
func (c *Client) SetRollout(ctx context.Context, production, name string, shares []*definitionv1.Share) (*definitionv1.Rollout, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPut, join("productions", production, "rollouts", name),
		&definitionv1.SetRolloutRequest{Shares: shares}, &definitionv1.Rollout{})
}

// Rollouts lists what SetRollout set.
func (c *Client) Rollouts(ctx context.Context, production string) ([]*definitionv1.Rollout, []json.RawMessage, error) {
	return whole(ctx, c, join("productions", production, "rollouts"), "rollouts", func() *definitionv1.Rollout { return &definitionv1.Rollout{} })
}
