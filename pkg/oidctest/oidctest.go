// Package oidctest is an OpenID Connect provider for tests: discovery, keys and the code flow over real HTTP. It holds its
// clients to what they must do: their redirect URI to the letter, their secret, PKCE by S256, state and nonce, a code once.
package oidctest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Provider is one that runs until its test ends.
type Provider struct {
	URL                    string // the issuer
	ClientID, ClientSecret string

	mu       sync.Mutex
	redirect string
	key      *rsa.PrivateKey
	kid      string
	user     map[string]any
	mint     func(claims map[string]any) string
	codes    map[string]url.Values // what each was asked with
	hits     map[string]int
}

// Start starts one. Whoever comes is signed in at once, as User says.
func Start(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{ClientID: "filigree", ClientSecret: "s3cret & more", codes: map[string]url.Values{}, hits: map[string]int{},
		user: map[string]any{"sub": "u1"}}
	p.key, p.kid = NewKey(t), "k1"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discover)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.hits[r.URL.Path]++
		p.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// NewKey makes a signing key.
func NewKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Redirect says where browsers may be sent back to.
func (p *Provider) Redirect(to string) { p.with(func() { p.redirect = to }) }

// User says who comes: the claims that are theirs.
func (p *Provider) User(claims map[string]any) { p.with(func() { p.user = claims }) }

// Mint replaces how ID tokens are made; nil makes good ones again.
func (p *Provider) Mint(f func(claims map[string]any) string) { p.with(func() { p.mint = f }) }

// Rotate replaces the key.
func (p *Provider) Rotate(kid string, key *rsa.PrivateKey) {
	p.with(func() { p.kid, p.key = kid, key })
}

// Key returns the key that signs, and its id.
func (p *Provider) Key() (kid string, key *rsa.PrivateKey) {
	p.with(func() { kid, key = p.kid, p.key })
	return kid, key
}

// Hits says how often each path was asked for.
func (p *Provider) Hits() map[string]int {
	var all map[string]int
	p.with(func() { all = maps.Clone(p.hits) })
	return all
}

func (p *Provider) with(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *Provider) discover(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"code"},
		"subject_types_supported": []string{"public"}, "code_challenge_methods_supported": []string{"S256"},
	})
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	kid, key := p.Key()
	answer(w, http.StatusOK, map[string]any{"keys": []map[string]any{
		{"kty": "made-up", "kid": "of the future"},
		{"kty": "RSA", "use": "enc", "kid": "not for signing", "n": Encode(key.N.Bytes()), "e": Encode(big.NewInt(int64(key.E)).Bytes())},
		{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": Encode(key.N.Bytes()), "e": Encode(big.NewInt(int64(key.E)).Bytes())},
	}})
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p.mu.Lock()
	defer p.mu.Unlock()
	if q.Get("client_id") != p.ClientID || q.Get("redirect_uri") != p.redirect {
		http.Error(w, "another client, or another redirect URI: "+q.Get("redirect_uri"), http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {q.Get("state")}, "iss": {p.URL}}
	if q.Get("response_type") != "code" || !slices.Contains(strings.Fields(q.Get("scope")), "openid") || q.Get("code_challenge_method") != "S256" ||
		len(q.Get("code_challenge")) != 43 || q.Get("state") == "" || q.Get("nonce") == "" {
		back.Set("error", "invalid_request")
	} else {
		code := rand.Text()
		p.codes[code] = q
		back.Set("code", code)
	}
	http.Redirect(w, r, p.redirect+"?"+back.Encode(), http.StatusFound)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	p.mu.Lock()
	defer p.mu.Unlock()
	if id != p.ClientID || secret != p.ClientSecret {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	asked, ok := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code")) // once, whatever comes of it
	proof := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || r.PostFormValue("grant_type") != "authorization_code" || r.PostFormValue("redirect_uri") != p.redirect || Encode(proof[:]) != asked.Get("code_challenge") {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	now := time.Now()
	claims := map[string]any{"iss": p.URL, "aud": p.ClientID, "nonce": asked.Get("nonce"), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(claims, p.user)
	token := ""
	if p.mint != nil {
		token = p.mint(claims)
	} else {
		token = Sign(p.key, map[string]any{"alg": "RS256", "typ": "JWT", "kid": p.kid}, claims)
	}
	answer(w, http.StatusOK, map[string]any{"access_token": "an-access-token", "token_type": "Bearer", "expires_in": 3600, "id_token": token})
}

// Sign makes a token, by RS256 whatever its header says.
func Sign(key *rsa.PrivateKey, header, claims map[string]any) string {
	return SignText(key, text(header), text(claims))
}

// SignText is Sign of JSON as it is given.
func SignText(key *rsa.PrivateKey, header, claims string) string {
	signed := Encode([]byte(header)) + "." + Encode([]byte(claims))
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(fmt.Sprint("sign a token for a test: ", err))
	}
	return signed + "." + Encode(signature)
}

// Encode is base64url as tokens have it.
func Encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprint("claims of a test: ", err))
	}
	return string(b)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text(v))) // a client that has gone
}
