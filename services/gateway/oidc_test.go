package gateway_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/conf"
	"github.com/filigreehq/filigree/pkg/oidctest"
	"github.com/filigreehq/filigree/services/gateway"
)

// oidcWorld is a gateway before a provider, both over real HTTP.
func oidcWorld(t *testing.T, change func(*gateway.OIDC)) (*world, *oidctest.Provider) {
	t.Helper()
	p := oidctest.Start(t)
	file := filepath.Join(t.TempDir(), "grants")
	err := os.WriteFile(file, []byte("# Who may what\n\ncrew = coordinator @ blue , red\ncn=night,ou=ops@x=oncall@*\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *gateway.Config, _ *gateway.Deps) {
		// The listener comes later; its address does not matter to who follows redirects by hand.
		c.PublicURL = "http://console.example:8080"
		c.Misses = 1000
		c.OIDC.Issuer, c.OIDC.Name, c.OIDC.ClientID, c.OIDC.ClientSecret = p.URL, "Studio SSO", p.ClientID, conf.Secret(p.ClientSecret)
		c.OIDC.Grants, c.OIDC.GrantsFile, c.OIDC.EgressOpen = []string{"boss=admin@*", "crew=coordinator@red"}, file, []string{"127.0.0.0/8"}
		if change != nil {
			change(&c.OIDC)
		}
	})
	p.Redirect("http://console.example:8080/v1/session/oidc/callback")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.client.Jar = jar
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return w, p
}

// begin goes to the provider and returns the query it sends the browser back with.
func (w *world) begin() url.Values {
	w.t.Helper()
	a := w.call(http.MethodGet, "/v1/session/oidc", "", "")
	if a.status != http.StatusSeeOther {
		w.t.Fatalf("got %d %s", a.status, a.body)
	}
	resp, err := w.client.Get(a.header.Get("Location"))
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		w.t.Fatalf("the provider answered %d: %v", resp.StatusCode, err)
	}
	return back.Query()
}

func (w *world) callback(q url.Values) answer {
	w.t.Helper()
	r := w.request(http.MethodGet, "/v1/session/oidc/callback?"+q.Encode(), "", "")
	r.Header.Set("Sec-Fetch-Site", "cross-site") // as it is, coming from the provider
	return w.do(r)
}

func hasSession(a answer) bool {
	return slices.ContainsFunc(cookies(a), func(c *http.Cookie) bool { return c.Name == "filigree_console" && c.Value != "" })
}

func problem(t *testing.T, a answer, code string) {
	t.Helper()
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/sign-in?problem="+code || hasSession(a) {
		t.Errorf("got %d to %q, cookies %v; want the problem %s", a.status, a.header.Get("Location"), cookies(a), code)
	}
}

func TestAPersonOfTheProviderIsSignedIn(t *testing.T) {
	w, p := oidcWorld(t, nil)
	ways := w.call(http.MethodGet, "/v1/session/ways", "", "")
	if !strings.Contains(ways.body, `{"way":"oidc","name":"Studio SSO","url":"/v1/session/oidc"}`) {
		t.Errorf("got %s", ways.body)
	}
	for name, c := range map[string]struct {
		user        map[string]any
		subject     string
		role        string
		productions []string
	}{
		"of a group":                      {map[string]any{"sub": "u1", "email": "kim@example.com", "email_verified": true, "groups": []string{"x", "crew"}}, "oidc:kim@example.com", "coordinator", []string{"blue", "red"}},
		"of two; the first says the role": {map[string]any{"sub": "u2", "groups": []string{"crew", "boss"}}, "oidc:u2", "admin", []string{"*"}},
		"of one with = and @ in its name": {map[string]any{"sub": "u3", "groups": "cn=night,ou=ops@x"}, "oidc:u3", "oncall", []string{"*"}},
		"whose address is not verified":   {map[string]any{"sub": "u4", "email": "boss@example.com", "groups": []string{"crew"}}, "oidc:u4", "coordinator", []string{"blue", "red"}},
	} {
		t.Run(name, func(t *testing.T) {
			p.User(c.user)
			q := w.begin()
			a := w.callback(q)
			if a.status != http.StatusSeeOther || a.header.Get("Location") != "/" || !hasSession(a) {
				t.Fatalf("got %d to %q %s", a.status, a.header.Get("Location"), a.body)
			}
			for _, k := range cookies(a) {
				if k.Name == "filigree_oidc" && k.MaxAge >= 0 || k.Name == "filigree_console" && (!k.HttpOnly || k.SameSite != http.SameSiteStrictMode) {
					t.Errorf("got cookie %v", k)
				}
			}
			got := w.sessions.last
			if got.GetSubject() != c.subject || got.GetRole() != c.role || !slices.Equal(got.GetProductions(), c.productions) {
				t.Errorf("got %v, want %+v", got, c)
			}
			who := w.call(http.MethodGet, "/v1/session", "", "")
			if who.status != http.StatusOK || !strings.Contains(who.body, `"way":"oidc"`) || !strings.Contains(who.body, c.subject) {
				t.Errorf("got %d %s", who.status, who.body)
			}
			for _, secret := range []string{q.Get("code"), q.Get("state"), p.ClientSecret} {
				if strings.Contains(w.log.String(), secret) {
					t.Errorf("%q is in the log", secret)
				}
			}
		})
	}
	p.User(map[string]any{"sub": "u5", "groups": []string{"strangers"}})
	problem(t, w.callback(w.begin()), "OIDC_NO_GRANT")
}

func TestWhatComesBackBelongsToThisBrowserAndThisSignIn(t *testing.T) {
	w, p := oidcWorld(t, nil)
	p.User(map[string]any{"sub": "u1", "groups": []string{"crew"}})
	good := w.begin()
	jar := w.client.Jar
	w.client.Jar = nil // another browser
	problem(t, w.callback(good), "OIDC_STATE")
	w.client.Jar = jar
	change := func(name string, values ...string) url.Values {
		q := maps.Clone(w.begin())
		q[name] = values
		return q
	}
	problem(t, w.callback(change("state", "x")), "OIDC_STATE")
	problem(t, w.callback(change("state")), "OIDC_STATE")
	problem(t, w.callback(change("state", good.Get("state"))), "OIDC_STATE")
	problem(t, w.callback(change("error", "access_denied")), "OIDC_REFUSED")
	problem(t, w.callback(change("iss", "https://evil.example")), "OIDC_TOKEN_REFUSED")
	problem(t, w.callback(change("code", "made up")), "OIDC_TOKEN_REFUSED")
	problem(t, w.callback(change("code")), "OIDC_TOKEN_REFUSED")
	problem(t, w.callback(change("code", good.Get("code"))), "OIDC_TOKEN_REFUSED") // somebody else's: PKCE
	q := w.begin()
	if a := w.callback(q); !hasSession(a) {
		t.Fatalf("got %d to %s", a.status, a.header.Get("Location"))
	}
	problem(t, w.callback(q), "OIDC_STATE") // once
}

// Any page can send a browser to where the provider would send it; whoever is behind its address must be able to sign in all the same.
func TestASignInThatWasNotBegunHereIsNoGuess(t *testing.T) {
	w, p := oidcWorld(t, nil)
	p.User(map[string]any{"sub": "u1", "groups": []string{"crew"}})
	for range 1001 {
		problem(t, w.callback(url.Values{"state": {"x"}, "code": {"y"}}), "OIDC_STATE")
	}
	for range 3 {
		q := maps.Clone(w.begin())
		q["state"] = []string{"x"}
		problem(t, w.callback(q), "OIDC_STATE")
	}
	if a := w.callback(w.begin()); !hasSession(a) {
		t.Errorf("got %d to %s", a.status, a.header.Get("Location"))
	}
}

func TestAProviderThatIsAwayOrNotToBeReachedSignsNobodyIn(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + lis.Addr().String()
	_ = lis.Close()
	w, _ := oidcWorld(t, func(c *gateway.OIDC) { c.Issuer = gone })
	problem(t, w.call(http.MethodGet, "/v1/session/oidc", "", ""), "OIDC_UNREACHABLE")
	w, p := oidcWorld(t, func(c *gateway.OIDC) { c.EgressOpen = []string{"10.1.0.0/16"} })
	problem(t, w.call(http.MethodGet, "/v1/session/oidc", "", ""), "OIDC_UNREACHABLE")
	if len(p.Hits()) != 0 {
		t.Errorf("a network that is not open was reached: %v", p.Hits())
	}
	none := newWorld(t, nil)
	refused(t, none.call(http.MethodGet, "/v1/session/oidc", "", ""), http.StatusNotFound, "OIDC_OFF")
	refused(t, none.call(http.MethodGet, "/v1/session/oidc/callback", "", ""), http.StatusNotFound, "OIDC_OFF")
}

func TestAKeyThatCameNewIsKnownAtTheNextSignIn(t *testing.T) {
	w, p := oidcWorld(t, nil)
	p.User(map[string]any{"sub": "u1", "groups": []string{"crew"}})
	for _, kid := range []string{"k1", "k2", "k3"} {
		p.Rotate(kid, oidctest.NewKey(t))
		if a := w.callback(w.begin()); !hasSession(a) {
			t.Errorf("with key %s: got %d to %s", kid, a.status, a.header.Get("Location"))
		}
	}
}

// What a hostile token tries. Each comes from the token endpoint, where a careless client would believe it most.
func TestHostileTokensAreRefusedAndMakeNobodyFetchAnything(t *testing.T) {
	w, p := oidcWorld(t, nil)
	p.User(map[string]any{"sub": "u1", "groups": []string{"boss"}})
	var lured atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { lured.Add(1) }))
	defer trap.Close()
	old := oidctest.NewKey(t)
	p.Rotate("k0", old)
	if a := w.callback(w.begin()); !hasSession(a) {
		t.Fatal("a good one is refused")
	}
	p.Rotate("k1", oidctest.NewKey(t))
	kid, key := p.Key()
	stranger := oidctest.NewKey(t)
	header := func(changes map[string]any) map[string]any {
		h := map[string]any{"alg": "RS256", "typ": "JWT", "kid": kid}
		maps.Copy(h, changes)
		return h
	}
	// signed is a token in which some claims are otherwise; nil takes one out.
	signed := func(changes map[string]any) func(map[string]any) string {
		return func(c map[string]any) string {
			for k, v := range changes {
				c[k] = v
				if v == nil {
					delete(c, k)
				}
			}
			return oidctest.Sign(key, header(nil), c)
		}
	}
	headed := func(by map[string]any) func(map[string]any) string {
		return func(c map[string]any) string { return oidctest.Sign(key, header(by), c) }
	}
	parts := func(h, c map[string]any) string {
		a, _ := json.Marshal(h)
		b, _ := json.Marshal(c)
		return oidctest.Encode(a) + "." + oidctest.Encode(b)
	}
	hs := func(secret []byte, by map[string]any) func(map[string]any) string {
		return func(c map[string]any) string {
			text := parts(header(by), c)
			mac := hmac.New(sha256.New, secret)
			_, _ = mac.Write([]byte(text))
			return text + "." + oidctest.Encode(mac.Sum(nil))
		}
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	jwk := map[string]any{"kty": "RSA", "kid": "mine", "n": oidctest.Encode(stranger.N.Bytes()), "e": "AQAB"}
	byStranger := func(by map[string]any) func(map[string]any) string {
		return func(c map[string]any) string { return oidctest.Sign(stranger, header(by), c) }
	}
	now := time.Now()
	for name, mint := range map[string]func(map[string]any) string{
		"no token":                       func(map[string]any) string { return "" },
		"no three parts":                 func(c map[string]any) string { return parts(header(nil), c) },
		"alg none":                       func(c map[string]any) string { return parts(header(map[string]any{"alg": "none"}), c) + "." },
		"alg nOnE with a signature":      headed(map[string]any{"alg": "nOnE"}),
		"alg missing":                    headed(map[string]any{"alg": ""}),
		"HS256 with the public key, PEM": hs(publicPEM, map[string]any{"alg": "HS256"}),
		"HS256 with the public key, DER": hs(public, map[string]any{"alg": "HS256"}),
		"HS256 with the client's secret": hs([]byte(p.ClientSecret), map[string]any{"alg": "HS256"}),
		"HMAC that says it is RS256":     hs(publicPEM, nil),
		"PS256 with a key for RS256":     headed(map[string]any{"alg": "PS256"}),
		"kid is a path":                  hs(nil, map[string]any{"alg": "HS256", "kid": "../../../dev/null"}),
		"kid is a path, well signed":     headed(map[string]any{"kid": "../../../dev/null"}),
		"kid is SQL":                     headed(map[string]any{"kid": "x' UNION SELECT 'key"}),
		"kid is a URL":                   byStranger(map[string]any{"kid": trap.URL + "/keys"}),
		"kid is none":                    byStranger(map[string]any{"kid": ""}),
		"kid of a key that encrypts":     headed(map[string]any{"kid": "not for signing"}),
		"jku":                            byStranger(map[string]any{"jku": trap.URL + "/keys"}),
		"jku beside a good signature":    headed(map[string]any{"jku": trap.URL + "/keys"}),
		"x5u":                            byStranger(map[string]any{"x5u": trap.URL + "/cert"}),
		"jwk":                            byStranger(map[string]any{"jwk": jwk, "kid": "mine"}),
		"crit":                           headed(map[string]any{"crit": []string{"exp"}}),
		"claims from elsewhere":          signed(map[string]any{"iss": nil, "_claim_names": map[string]any{"groups": "s"}, "_claim_sources": map[string]any{"s": map[string]any{"endpoint": trap.URL}}}),
		"aud missing":                    signed(map[string]any{"aud": nil}),
		"aud of another client":          signed(map[string]any{"aud": "another"}),
		"aud of two, issued to neither":  signed(map[string]any{"aud": []string{"filigree", "another"}}),
		"azp of another client":          signed(map[string]any{"azp": "another"}),
		"iss missing":                    signed(map[string]any{"iss": nil}),
		"iss of another provider, same kid": func(c map[string]any) string {
			c["iss"] = trap.URL
			return oidctest.Sign(stranger, header(nil), c)
		},
		"iss with a slash more":  signed(map[string]any{"iss": p.URL + "/"}),
		"exp missing":            signed(map[string]any{"exp": nil}),
		"exp over":               signed(map[string]any{"exp": now.Add(-time.Minute).Unix()}),
		"exp is a word":          signed(map[string]any{"exp": "never"}),
		"nbf in an hour":         signed(map[string]any{"nbf": now.Add(time.Hour).Unix()}),
		"iat in an hour":         signed(map[string]any{"iat": now.Add(time.Hour).Unix()}),
		"iat missing":            signed(map[string]any{"iat": nil}),
		"typ of an access token": headed(map[string]any{"typ": "at+jwt"}),
		"typ of a logout token":  headed(map[string]any{"typ": "logout+jwt"}),
		"an access token":        signed(map[string]any{"nonce": nil, "scope": "openid"}),
		"another sign-in's":      signed(map[string]any{"nonce": "of another"}),
		"at_hash of another":     signed(map[string]any{"at_hash": oidctest.Encode(make([]byte, 16))}),
		"sub missing":            signed(map[string]any{"sub": nil}),
		"a claim twice": func(c map[string]any) string {
			b, _ := json.Marshal(c)
			h, _ := json.Marshal(header(nil))
			return oidctest.SignText(key, string(h), strings.TrimSuffix(string(b), "}")+`,"aud":"filigree"}`)
		},
		"a claim twice, in another case": func(c map[string]any) string {
			b, _ := json.Marshal(c)
			h, _ := json.Marshal(header(nil))
			return oidctest.SignText(key, string(h), strings.TrimSuffix(string(b), "}")+`,"NONCE":"x"}`)
		},
		"a header field twice": func(c map[string]any) string {
			b, _ := json.Marshal(c)
			return oidctest.SignText(key, `{"alg":"none","alg":"RS256","kid":"`+kid+`"}`, string(b))
		},
		"1 MB":          signed(map[string]any{"padding": strings.Repeat("x", 700<<10)}),
		"deep":          signed(map[string]any{"deep": json.RawMessage(strings.Repeat("[", 5000) + strings.Repeat("]", 5000))}),
		"of an old key": func(c map[string]any) string { return oidctest.Sign(old, header(map[string]any{"kid": "k0"}), c) },
		"altered":       func(c map[string]any) string { s := signed(nil)(c); return s[:len(s)-6] + "AAAAAA" },
		"of JSON, general": func(c map[string]any) string {
			s := strings.Split(signed(nil)(c), ".")
			return `{"payload":"` + s[1] + `","signatures":[{"protected":"` + s[0] + `","signature":"` + s[2] + `"}]}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := p.Hits()
			p.Mint(mint)
			q := w.begin()
			start := time.Now()
			problem(t, w.callback(q), "OIDC_TOKEN_REFUSED")
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			after := p.Hits()
			// What a good one makes is asked for, and nothing else: the token once, the keys at most once.
			if after["/token"] != before["/token"]+1 || after["/keys"] > before["/keys"]+1 || len(after) != len(before) ||
				after["/.well-known/openid-configuration"] != before["/.well-known/openid-configuration"] {
				t.Errorf("asked for %v before, %v after", before, after)
			}
		})
	}
	if lured.Load() != 0 {
		t.Errorf("%d addresses that tokens named were called", lured.Load())
	}
	p.Mint(nil)
	if a := w.callback(w.begin()); !hasSession(a) {
		t.Error("a good one is refused afterwards")
	}
}

func TestWhatIsWrongWithAProvidersSettingsIsSaid(t *testing.T) {
	c := gateway.DefaultConfig()
	c.OIDC.Issuer = "http://sso.example"
	c.OIDC.Grants = []string{"crew=king@*", "crew", "=admin@*", "crew=admin@"}
	c.OIDC.EgressOpen = []string{"nowhere"}
	c.OIDC.Scopes = []string{"email"}
	err := c.Validate()
	for _, want := range []string{"public-url", "oidc-client-id", "openid", `role "king"`, `"crew" is not`, `"=admin@*" is not`, `"crew=admin@" is not`, `"nowhere" is no network`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	c = gateway.DefaultConfig()
	c.OIDC.Issuer, c.OIDC.ClientID, c.PublicURL, c.OIDC.Grants = "http://sso.example", "x", "https://f.example", []string{"a=admin@*"}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "https://host") {
		t.Errorf("a provider by http over the Internet: got %v", err)
	}
	c.OIDC.Issuer = "https://sso.example"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
