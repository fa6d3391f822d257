package api

import (
	"context"
	"encoding/json"
	"net/http"

	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
)

// PutCredential seals a secret under a name, in place of the one there was.
func (c *Client) PutCredential(ctx context.Context, production, name, secret string) (*credentialv1.Credential, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPut, scoped(production, "credentials", name), &credentialv1.PutCredentialRequest{Secret: secret}, &credentialv1.Credential{})
}

// Credentials lists names, never secrets.
func (c *Client) Credentials(ctx context.Context, production string) ([]*credentialv1.Credential, []json.RawMessage, error) {
	return whole(ctx, c, scoped(production, "credentials"), "credentials", func() *credentialv1.Credential { return &credentialv1.Credential{} })
}

// DeleteCredential ends a credential.
func (c *Client) DeleteCredential(ctx context.Context, production, name string) error {
	return c.remove(ctx, scoped(production, "credentials", name))
}
