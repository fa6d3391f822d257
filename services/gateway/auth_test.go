package gateway_test

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	"github.com/filigreehq/filigree/services/gateway"
)

func TestACallWithoutAKnownTokenIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		name      string
		headers   []string
		code      string
		challenge string
	}{
		{"no header", nil, "TOKEN_MISSING", `Bearer realm="filigree"`},
		{"another scheme", []string{"Basic " + coordinator}, "TOKEN_MISSING", `Bearer realm="filigree"`},
		{"a scheme and nothing", []string{"Bearer "}, "TOKEN_MISSING", `Bearer realm="filigree"`},
		{"two headers", []string{"Bearer " + coordinator, "Bearer " + admin}, "TOKEN_MISSING", `Bearer realm="filigree"`},
		{"an unknown token", []string{"Bearer nobody"}, "TOKEN_UNKNOWN", `Bearer realm="filigree", error="invalid_token"`},
	} {
		for _, path := range []string{"/v1/productions/red", "/v1/there/is/no/such/path"} {
			t.Run(c.name+" at "+path, func(t *testing.T) {
				r := w.request(http.MethodGet, path, "", "")
				r.Header["Authorization"] = c.headers
				a := w.do(r)
				refused(t, a, http.StatusUnauthorized, c.code)
				if got := a.header.Get("WWW-Authenticate"); got != c.challenge {
					t.Errorf("got WWW-Authenticate %q, want %q", got, c.challenge)
				}
			})
		}
	}
}

func TestTheSchemeIsNotCaseSensitive(t *testing.T) {
	w := newWorld(t, nil)
	r := w.request(http.MethodGet, "/v1/productions/red", "", "")
	r.Header.Set("Authorization", "bearer "+coordinator)
	a := w.do(r)
	if a.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", a.status, a.body)
	}
}

func TestTheDirectoryIsAskedAsTheGatewayAndNeverGetsTheToken(t *testing.T) {
	w := newWorld(t, nil)
	w.call(http.MethodGet, "/v1/productions/red/distributions/d1", coordinator, "")
	if got := w.directory.askedBy.GetSubject(); got != "service:gateway" {
		t.Errorf("Authenticate was called as %q, want service:gateway", got)
	}
	for key, values := range w.distributions.metadata {
		if key == "authorization" || strings.Contains(strings.Join(values, " "), coordinator) {
			t.Errorf("the token went on in metadata %s", key)
		}
	}
}

func TestATokenThatClaimsToBeAServiceIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	refused(t, w.call(http.MethodGet, "/v1/productions/red", usurper, ""), http.StatusInternalServerError, "INTERNAL")
}

func TestAProductionThatIsNotOnesOwnIsAnsweredLikeAnUnknownOne(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{"/v1/productions/PRODUCTION", "/v1/productions/PRODUCTION/distributions/d2"} {
		blue := w.call(http.MethodGet, strings.Replace(path, "PRODUCTION", "blue", 1), coordinator, "")
		none := w.call(http.MethodGet, strings.Replace(path, "PRODUCTION", "none", 1), coordinator, "")
		refused(t, blue, http.StatusNotFound, "PRODUCTION_UNKNOWN")
		if got, want := strings.ReplaceAll(blue.body, "blue", "none"), none.body; got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	// The store's own word, to somebody who may act everywhere, is the same byte for byte.
	unknown := w.call(http.MethodGet, "/v1/productions/none", oncall, "")
	foreign := w.call(http.MethodGet, "/v1/productions/none", coordinator, "")
	if unknown.body != foreign.body {
		t.Errorf("got %s, want %s", foreign.body, unknown.body)
	}
	upload := w.call(http.MethodPost, "/v1/productions/none/files?name=a.pdf", coordinator, "x")
	if upload.status != http.StatusNotFound || upload.body != unknown.body {
		t.Errorf("upload: got %d %s, want %s", upload.status, upload.body, unknown.body)
	}
}

func TestADistributionOfAnotherProductionIsAnsweredLikeAnUnknownOne(t *testing.T) {
	w := newWorld(t, nil)
	other := w.call(http.MethodGet, "/v1/productions/red/distributions/d2", coordinator, "")
	none := w.call(http.MethodGet, "/v1/productions/red/distributions/d9", coordinator, "")
	refused(t, other, http.StatusNotFound, "DISTRIBUTION_UNKNOWN")
	if got := strings.ReplaceAll(other.body, "d2", "d9"); got != none.body {
		t.Errorf("got %s, want %s", got, none.body)
	}
}

func TestARoleThatMayNotIsDenied(t *testing.T) {
	w := newWorld(t, nil)
	refused(t, w.call(http.MethodPost, "/v1/tokens", coordinator, `{"role":"admin","productions":["*"]}`), http.StatusForbidden, "ROLE_MISSING")
	refused(t, w.call(http.MethodPost, "/v1/productions/red/distributions", oncall, `{}`), http.StatusForbidden, "ROLE_MISSING")
	refused(t, w.call(http.MethodPost, "/v1/productions/red/files?name=a.pdf", oncall, `bytes`), http.StatusForbidden, "ROLE_MISSING")
}

// What the protos declare about a call is what somebody with a token meets, whichever service it goes to.
func TestEveryDeclaredPermissionHolds(t *testing.T) {
	roles := map[accessv1.Role]string{
		accessv1.Role_ROLE_COORDINATOR: coordinator, accessv1.Role_ROLE_ONCALL: oncall, accessv1.Role_ROLE_ADMIN: admin,
	}
	variable := regexp.MustCompile(`\{[^}]+\}`)
	for role, token := range roles {
		w := newWorld(t, nil)
		for _, m := range methods(t) {
			perm, _ := proto.GetExtension(m.Options(), accessv1.E_Permission).(*accessv1.Permission)
			method, path, served := rule(m)
			if !served || m.Name() == "GetShared" { // that one needs no token: the gateway asks as itself
				continue
			}
			path = strings.ReplaceAll(path, "{production}", "red")
			body := ""
			if method != http.MethodGet && method != http.MethodDelete {
				body = "{}"
			}
			a := w.call(method, variable.ReplaceAllString(path, "x"), token, body)
			denied := strings.Contains(a.body, `"ROLE_MISSING"`)
			if denied == slices.Contains(perm.GetRoles(), role) {
				t.Errorf("%s as %s: got %d %s, the proto lets in %v", m.FullName(), role, a.status, a.body, perm.GetRoles())
			}
		}
	}
}

func TestClientsCannotInjectMetadata(t *testing.T) {
	w := newWorld(t, nil)
	forged, err := proto.Marshal(&accessv1.Principal{Subject: "me", Role: accessv1.Role_ROLE_SERVICE, Productions: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	forge := func(r *http.Request) {
		for _, name := range []string{"Grpc-Metadata-Filigree-Principal-Bin", "Filigree-Principal-Bin", "Grpcgateway-Filigree-Principal-Bin"} {
			r.Header.Set(name, base64.StdEncoding.EncodeToString(forged))
		}
		r.Header.Set("Grpc-Metadata-Idempotency-Key", "forged")
		r.Header.Set("Grpc-Timeout", "1n")
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		r.Header.Set("X-Forwarded-Host", "forged.example")
		r.Header.Set("X-Http-Method-Override", "DELETE")
		r.Header.Set("Cookie", "a=b")
		r.Header.Set("Te", "trailers")
	}
	r := w.request(http.MethodGet, "/v1/productions/red/distributions/d1", coordinator, "")
	forge(r)
	a := w.do(r)
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", a.status, a.body)
	}
	checkMetadata := func(md map[string][]string, principal *accessv1.Principal) {
		t.Helper()
		if principal.GetRole() != accessv1.Role_ROLE_COORDINATOR || principal.GetSubject() != "t1" {
			t.Errorf("the call was made as %v, want the token's own principal", principal)
		}
		for key := range md {
			switch key {
			case ":authority", "content-type", "user-agent", "grpc-accept-encoding", "filigree-principal-bin", "request-id":
			default:
				t.Errorf("metadata %q went on", key)
			}
		}
	}
	checkMetadata(w.distributions.metadata, w.distributions.principal)
	for name := range a.header {
		if strings.HasPrefix(name, "Grpc-") {
			t.Errorf("the answer has header %s", name)
		}
	}

	r = w.request(http.MethodPost, "/v1/productions/red/files?name=a.pdf", coordinator, "bytes")
	forge(r)
	a = w.do(r)
	if a.status != http.StatusCreated {
		t.Fatalf("got %d %s, want 201", a.status, a.body)
	}
	checkMetadata(w.files.metadata, w.files.principal)

	r = w.request(http.MethodGet, "/v1/productions/blue/distributions/d2", coordinator, "")
	forge(r)
	refused(t, w.do(r), http.StatusNotFound, "PRODUCTION_UNKNOWN")
	r = w.request(http.MethodGet, "/v1/productions/red", "", "")
	forge(r)
	refused(t, w.do(r), http.StatusUnauthorized, "TOKEN_MISSING")
}

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestAnAcceptedTokenIsBelievedForAMomentOnly(t *testing.T) {
	clk := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w := newWorld(t, func(_ *gateway.Config, d *gateway.Deps) { d.Now = clk.Now })
	get := func(token string) answer { return w.call(http.MethodGet, "/v1/productions/red", token, "") }
	for range 5 {
		get(coordinator)
	}
	if got := w.directory.questions(); got != 1 {
		t.Errorf("the directory was asked %d times for 5 calls, want once", got)
	}
	w.directory.take(coordinator) // as another gateway would
	clk.advance(2 * time.Second)
	refused(t, get(coordinator), http.StatusUnauthorized, "TOKEN_UNKNOWN")
	w.directory.give(coordinator, accessv1.Role_ROLE_COORDINATOR, "red")
	a := get(coordinator)
	if a.status != http.StatusOK {
		t.Errorf("a refusal was remembered: got %d %s", a.status, a.body)
	}
}

func TestARevocationThroughTheGatewayTakesEffectAtOnce(t *testing.T) {
	clk := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w := newWorld(t, func(_ *gateway.Config, d *gateway.Deps) { d.Now = clk.Now })
	w.call(http.MethodGet, "/v1/productions/red", coordinator, "")
	a := w.call(http.MethodDelete, "/v1/tokens/t1", admin, "")
	if a.status != http.StatusOK || strings.ReplaceAll(a.body, " ", "") != "{}" {
		t.Fatalf("got %d %s, want 200 {}", a.status, a.body)
	}
	refused(t, w.call(http.MethodGet, "/v1/productions/red", coordinator, ""), http.StatusUnauthorized, "TOKEN_UNKNOWN")
}

func TestADirectoryThatDoesNotAnswerIsNotTheTokensFault(t *testing.T) {
	w := newWorld(t, nil)
	w.directory.answerWith(fault.New(fault.Unavailable, "REDIS_DOWN", "the store does not answer"))
	a := w.call(http.MethodGet, "/v1/productions/red", coordinator, "")
	refused(t, a, http.StatusServiceUnavailable, "REDIS_DOWN")
	if got := a.header.Get("Retry-After"); got != "1" {
		t.Errorf("got Retry-After %q, want 1", got)
	}
	refused(t, w.call(http.MethodGet, "/readyz", "", ""), http.StatusServiceUnavailable, "DIRECTORY_SILENT")
}

func TestTheIdempotencyKeyAndASaneRequestIdGoOn(t *testing.T) {
	w := newWorld(t, nil)
	r := w.request(http.MethodPost, "/v1/productions/red/distributions", coordinator,
		`{"files":[{"sha256":"`+strings.Repeat("a", 64)+`"}],"recipients":[{"name":"Ann","email":"ann@example.com"}]}`)
	r.Header.Set("Idempotency-Key", "monday, call sheet #3")
	r.Header.Set("X-Request-Id", "trace-17.a_b")
	a := w.do(r)
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", a.status, a.body)
	}
	if got := w.distributions.metadata.Get("idempotency-key"); len(got) != 1 || got[0] != "monday, call sheet #3" {
		t.Errorf("got idempotency key %q", got)
	}
	if got := w.distributions.metadata.Get("request-id"); len(got) != 1 || got[0] != "trace-17.a_b" {
		t.Errorf("got request id %q", got)
	}
	if got := a.header.Get("X-Request-Id"); got != "trace-17.a_b" {
		t.Errorf("got X-Request-Id %q in the answer", got)
	}
	r = w.request(http.MethodGet, "/v1/productions/red/distributions/d1", coordinator, "")
	r.Header.Set("X-Request-Id", "not sane: "+strings.Repeat("x", 100))
	a = w.do(r)
	if got := a.header.Get("X-Request-Id"); got == "" || strings.Contains(got, "sane") {
		t.Errorf("got X-Request-Id %q, want one of the gateway's making", got)
	}
	for _, key := range [][]string{{strings.Repeat("k", 129)}, {"käse"}, {""}, {"a", "b"}} {
		r = w.request(http.MethodPost, "/v1/productions/red/distributions", coordinator, `{}`)
		r.Header["Idempotency-Key"] = key
		refused(t, w.do(r), http.StatusBadRequest, "IDEMPOTENCY_KEY_INVALID")
	}
}
