package oidc

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/filigreehq/filigree/pkg/fault"
)

const (
	// known is how long what the provider says of itself is believed.
	known = time.Hour
	// maxAnswer is how much of an answer of the provider's is read.
	maxAnswer = 1 << 20
	maxCode   = 4096
)

// CodeState says that a sign-in was not begun in the browser that came back.
const CodeState = "OIDC_STATE"

// Config is what a provider is asked as, and what its people may.
type Config struct {
	Issuer, ClientID, ClientSecret string
	Redirect                       string // where it sends browsers back to
	Scopes                         []string
	GroupsClaim                    string
	Grants                         []Grant
	// Plain takes a provider that is reached by http, in a network of one's own.
	Plain bool
}

// Provider signs people in. It is safe for concurrent use.
type Provider struct {
	cfg    Config
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex
	about *about
}

// about is what a provider says of itself.
type about struct {
	flow  oauth2.Config
	keys  string // where they are
	until time.Time
}

// New returns a provider that is reached by transport, which decides what may be reached. Nobody is called yet.
func New(cfg Config, transport http.RoundTripper, now func() time.Time) *Provider {
	return &Provider{cfg: cfg, now: now, client: &http.Client{
		Transport: bounded{transport}, Timeout: 10 * time.Second,
		// An answer that sends elsewhere is the answer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// bounded reads no answer to an end that never comes.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

func unreachable(err error) error {
	return fault.New(fault.Unavailable, "OIDC_UNREACHABLE", "the identity provider does not answer as it should; try again later").Because(err)
}

// learn asks the provider about itself, once in a while.
func (p *Provider) learn(ctx context.Context) (*about, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.about != nil && p.now().Before(p.about.until) {
		return p.about, nil
	}
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.cfg.Issuer)
	if err != nil {
		return nil, unreachable(err)
	}
	var more struct {
		Keys    string   `json:"jwks_uri"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	err = found.Claims(&more)
	if err != nil {
		return nil, unreachable(err)
	}
	at := found.Endpoint()
	for _, address := range []string{at.AuthURL, at.TokenURL, more.Keys} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !p.cfg.Plain) {
			return nil, unreachable(fmt.Errorf("the provider names %q, which is no https address", address))
		}
	}
	// Finding out by trying would use a code up.
	at.AuthStyle = oauth2.AuthStyleInHeader
	if p.cfg.ClientSecret == "" || len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic") {
		at.AuthStyle = oauth2.AuthStyleInParams
	}
	p.about = &about{
		flow: oauth2.Config{ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: at, RedirectURL: p.cfg.Redirect, Scopes: p.cfg.Scopes},
		keys: more.Keys, until: p.now().Add(known),
	}
	return p.about, nil
}

// part makes one of the values that belong to a sign-in from the secret that its browser has.
func part(secret, name string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte("filigree oidc " + name)) // never fails (hash.Hash)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Start returns where the browser that has secret goes to sign in.
func (p *Provider) Start(ctx context.Context, secret string) (string, error) {
	a, err := p.learn(ctx)
	if err != nil {
		return "", err
	}
	return a.flow.AuthCodeURL(part(secret, "state"), oidc.Nonce(part(secret, "nonce")), oauth2.S256ChallengeOption(part(secret, "verifier"))), nil
}

// Person is somebody whom the provider vouches for, and what they may.
type Person struct {
	Subject     string
	Role        string
	Productions []string
}

// Finish finds out who came back, in the browser that has secret, with what the provider said in query.
func (p *Provider) Finish(ctx context.Context, secret string, query url.Values) (Person, error) {
	one := func(name string) string {
		if len(query[name]) != 1 {
			return ""
		}
		return query[name][0]
	}
	if subtle.ConstantTimeCompare([]byte(one("state")), []byte(part(secret, "state"))) != 1 {
		return Person{}, fault.New(fault.Invalid, CodeState, "this sign-in was not begun in this browser, or was followed by another; begin again")
	}
	if len(query["error"]) > 0 {
		return Person{}, fault.New(fault.Denied, "OIDC_REFUSED", "the identity provider did not sign you in")
	}
	refused := func(err error) error {
		return fault.New(fault.Unauthenticated, "OIDC_TOKEN_REFUSED", "what the identity provider said is not believed; begin again, and tell an admin if it stays so").Because(err)
	}
	if iss := query["iss"]; len(iss) > 0 && !slices.Equal(iss, []string{p.cfg.Issuer}) {
		return Person{}, refused(errors.New("it was said in the name of another provider"))
	}
	code := one("code")
	if code == "" || len(code) > maxCode {
		return Person{}, refused(errors.New("there is no code"))
	}
	a, err := p.learn(ctx)
	if err != nil {
		return Person{}, err
	}
	token, err := a.flow.Exchange(oidc.ClientContext(ctx, p.client), code, oauth2.VerifierOption(part(secret, "verifier")))
	var answered *oauth2.RetrieveError
	if errors.As(err, &answered) && answered.Response.StatusCode < http.StatusInternalServerError {
		return Person{}, refused(err)
	}
	if err != nil {
		return Person{}, unreachable(err)
	}
	raw, _ := token.Extra("id_token").(string)
	// They are asked for anew with each sign-in, after the token was made and before it is read: so a key that came new is
	// there, and no token makes anybody ask.
	all, err := p.keys(ctx, a.keys)
	if err != nil {
		return Person{}, unreachable(err)
	}
	claims, err := verify(raw, all, expected{
		issuer: p.cfg.Issuer, client: p.cfg.ClientID, nonce: part(secret, "nonce"), access: token.AccessToken, now: p.now(),
	})
	if err != nil {
		return Person{}, refused(fmt.Errorf("ID token: %w", err))
	}
	role, productions := pick(p.cfg.Grants, groupsIn(claims, p.cfg.GroupsClaim))
	if role == "" {
		return Person{}, fault.New(fault.Denied, "OIDC_NO_GRANT", "you are known, but no group of yours may do anything here; ask an admin")
	}
	return Person{Subject: "oidc:" + called(claims), Role: role, Productions: productions}, nil
}

// called is what the audit calls somebody: by their address if the provider knows it to be theirs, else by its own id.
func called(claims map[string]any) string {
	email, _ := claims["email"].(string)
	sure, _ := claims["email_verified"].(bool)
	if sure && email != "" && len(email) <= 200 && !strings.ContainsFunc(email, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return email
	}
	subject, _ := claims["sub"].(string)
	return strings.ToValidUTF8(subject[:min(len(subject), 200)], "")
}

func (p *Provider) keys(ctx context.Context, address string) (keys, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for keys: %w", err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for keys: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for keys: the provider answered %d", resp.StatusCode)
	}
	return readKeys(text)
}
