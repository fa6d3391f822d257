// Package oidc signs people in by an identity provider: OpenID Connect's code flow with PKCE.
//
// It promises:
//   - An ID token makes nobody fetch anything. Keys are fetched from where the provider's own document says, whatever a
//     token's header names; a token that is not signed with one of them, by an algorithm with a public key, for this
//     client, by this provider, now, and for this very sign-in, is refused.
//   - The provider is reached as addresses that people write down are: by pkg/egress.
//   - State, nonce and PKCE verifier follow from one secret that only the browser has, so nothing is kept meanwhile.
package oidc
