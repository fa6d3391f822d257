package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// leeway is how far the provider's clock may be ahead.
const leeway = time.Minute

// keys are a provider's, as it published them.
type keys []jose.JSONWebKey

// readKeys reads a provider's set. Keys of kinds that are not known, and such that are no public keys, are left out.
func readKeys(text []byte) (keys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	err := json.Unmarshal(text, &set)
	if err != nil {
		return nil, fmt.Errorf("read the provider's keys: %w", err)
	}
	var found keys
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		err = json.Unmarshal(raw, &k)
		if err == nil && k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("the provider publishes no key that signs")
	}
	return found, nil
}

// VerifySignature implements oidc.KeySet. The key is the one that the token names, among those that are there; nothing is
// fetched. A token that names none is taken where there is only one.
func (all keys) VerifySignature(_ context.Context, raw string) ([]byte, error) {
	h, err := inspect(raw)
	if err != nil {
		return nil, err
	}
	jws, err := jose.ParseSigned(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(h.Algorithm)})
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	var fit keys
	for _, k := range all {
		if k.KeyID == h.KeyID || h.KeyID == "" && len(all) == 1 {
			fit = append(fit, k)
		}
	}
	if len(fit) != 1 {
		return nil, errors.New("it is signed with a key that the provider does not publish")
	}
	if fit[0].Algorithm != "" && fit[0].Algorithm != h.Algorithm {
		return nil, errors.New("it is signed by another algorithm than its key is for")
	}
	return jws.Verify(fit[0].Key)
}

// expected is what a token must be for.
type expected struct {
	issuer, client, nonce string
	access                string // the access token that came along
	now                   time.Time
}

// verify returns what an ID token says, if all of it is as expected.
func verify(raw string, all keys, want expected) (claims map[string]any, err error) {
	_, err = inspect(raw)
	if err != nil {
		return nil, err
	}
	token, err := oidc.NewVerifier(want.issuer, all, &oidc.Config{
		ClientID: want.client, SupportedSigningAlgs: algorithms, Now: func() time.Time { return want.now },
	}).Verify(context.Background(), raw)
	if err != nil {
		return nil, err
	}
	var party struct {
		Authorized *string `json:"azp"`
	}
	err = errors.Join(token.Claims(&claims), token.Claims(&party))
	switch {
	case err != nil:
		return nil, err
	case want.nonce == "" || subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(want.nonce)) != 1:
		return nil, errors.New("it is for another sign-in")
	case token.Subject == "" || len(token.Subject) > 255:
		return nil, errors.New("it says of nobody who they are")
	case token.IssuedAt.IsZero() || claims["iat"] == nil || token.IssuedAt.After(want.now.Add(leeway)):
		return nil, errors.New("it was not issued yet")
	case party.Authorized != nil && *party.Authorized != want.client, party.Authorized == nil && len(token.Audience) > 1:
		return nil, errors.New("it was issued to another client")
	}
	if token.AccessTokenHash != "" {
		err = token.VerifyAccessToken(want.access)
		if err != nil {
			return nil, err
		}
	}
	return claims, nil
}
