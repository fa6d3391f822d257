package gateway_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/gateway"
)

// browser is one that is signed in: its cookie, and what the page knows.
type browser struct {
	w      *world
	cookie *http.Cookie
	page   struct {
		ID, Subject, Role, Way string
		Productions            []string
		CSRF                   string    `json:"csrf_token"`
		Expires                time.Time `json:"expires_at"`
	}
}

func (w *world) post(code string, header map[string]string) answer {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"code": code})
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.request(http.MethodPost, "/v1/session", "", string(body))
	r.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		r.Header.Set(k, v)
	}
	return w.do(r)
}

func cookies(a answer) []*http.Cookie { return (&http.Response{Header: a.header}).Cookies() }

func (w *world) browser() *browser {
	w.t.Helper()
	a := w.post(goodCode, map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": w.url})
	b := &browser{w: w}
	got := cookies(a)
	err := json.Unmarshal([]byte(a.body), &b.page)
	if a.status != http.StatusOK || err != nil || len(got) != 1 {
		w.t.Fatalf("got %d %s %v, cookies %v", a.status, a.body, err, got)
	}
	b.cookie = got[0]
	return b
}

// call is one that a page of the console's makes; changes are made to its header.
func (b *browser) call(method, path, body string, changes map[string]string) answer {
	b.w.t.Helper()
	r := b.w.request(method, path, "", body)
	r.AddCookie(b.cookie)
	header := map[string]string{"Sec-Fetch-Site": "same-origin"}
	if method != http.MethodGet {
		header["Origin"], header["X-Filigree-CSRF"] = b.w.url, b.page.CSRF
	}
	maps.Copy(header, changes)
	for k, v := range header {
		if v != "" {
			r.Header.Set(k, v)
		}
	}
	return b.w.do(r)
}

func TestACodeSignsABrowserInOnce(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	c := b.cookie
	if c.Name != "filigree_console" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.Secure || len(c.Value) != 43 {
		t.Errorf("got cookie %v", c)
	}
	if b.page.Role != "coordinator" || b.page.Subject != "ses_1" || b.page.Way != "code" || len(b.page.Productions) != 1 || b.page.CSRF == "" || b.page.Expires.IsZero() {
		t.Errorf("the page is told %+v", b.page)
	}
	if strings.Contains(b.page.CSRF, c.Value) {
		t.Error("the page is told what the cookie holds")
	}
	a := b.call(http.MethodGet, "/v1/session", "", nil)
	if a.status != http.StatusOK || !strings.Contains(a.body, b.page.CSRF) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	refused(t, w.post(goodCode, nil), http.StatusUnauthorized, "SIGN_IN_UNKNOWN")
	for _, secret := range []string{goodCode, c.Value, b.page.CSRF} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

func TestACookieIsBoundToHTTPSWhereThereIsSome(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config, _ *gateway.Deps) { c.PublicURL = "https://Filigree.example.com:443/" })
	a := w.post(goodCode, map[string]string{"Origin": "https://filigree.example.com", "Sec-Fetch-Site": "same-origin"})
	got := cookies(a)
	if a.status != http.StatusOK || len(got) != 1 || got[0].Name != "__Host-filigree_console" || !got[0].Secure || got[0].Path != "/" || got[0].Domain != "" {
		t.Fatalf("got %d %s, cookies %v", a.status, a.body, got)
	}
	plain := w.request(http.MethodGet, "/v1/session", "", "")
	plain.AddCookie(&http.Cookie{Name: "filigree_console", Value: got[0].Value})
	refused(t, w.do(plain), http.StatusUnauthorized, "SESSION_MISSING")
	r := w.request(http.MethodGet, "/v1/session", "", "")
	r.AddCookie(got[0])
	r.Header.Set("Origin", w.url) // its own address is not what browsers go by
	refused(t, w.do(r), http.StatusForbidden, "CSRF")
}

func TestASessionIsAPrincipalLikeAToken(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	a := b.call(http.MethodGet, "/v1/productions/red/distributions/d1", "", nil)
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if p := w.distributions.principal; p.GetSubject() != "ses_1" || len(p.GetProductions()) != 1 {
		t.Errorf("the call was made as %v", p)
	}
	for key, values := range w.distributions.metadata {
		if strings.Contains(strings.Join(values, " "), b.cookie.Value) || key == "cookie" {
			t.Errorf("the cookie went on in metadata %s", key)
		}
	}
	refused(t, b.call(http.MethodGet, "/v1/productions/blue", "", nil), http.StatusNotFound, "PRODUCTION_UNKNOWN")
	refused(t, b.call(http.MethodPost, "/v1/tokens", `{"role":"admin","productions":["*"]}`, nil), http.StatusForbidden, "ROLE_MISSING")
	a = b.call(http.MethodPost, "/v1/productions/red/distributions/d1:cancel", `{}`, nil)
	if a.status != http.StatusOK {
		t.Errorf("a write was answered %d %s", a.status, a.body)
	}
}

func TestASessionIsUsedByItsOwnPagesOnly(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	const read, write = "/v1/productions/red/distributions/d1", "/v1/productions/red/distributions/d1:cancel"
	for name, c := range map[string]struct {
		method, path string
		header       map[string]string
		want         int
	}{
		"a write without the token":                    {http.MethodPost, write, map[string]string{"X-Filigree-CSRF": ""}, 403},
		"a write with another token":                   {http.MethodPost, write, map[string]string{"X-Filigree-CSRF": strings.Repeat("A", 43)}, 403},
		"a write with the cookie for a token":          {http.MethodPost, write, map[string]string{"X-Filigree-CSRF": b.cookie.Value}, 403},
		"a write from another site":                    {http.MethodPost, write, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"a write from another origin of the site":      {http.MethodPost, write, map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		"a write that the browser made by itself":      {http.MethodPost, write, map[string]string{"Sec-Fetch-Site": "none"}, 403},
		"a write from another port":                    {http.MethodPost, write, map[string]string{"Sec-Fetch-Site": "", "Origin": "http://127.0.0.1:1"}, 403},
		"a write from nowhere":                         {http.MethodPost, write, map[string]string{"Sec-Fetch-Site": "", "Origin": "null"}, 403},
		"a delete without the token":                   {http.MethodDelete, "/v1/session", map[string]string{"X-Filigree-CSRF": ""}, 403},
		"a read from another site":                     {http.MethodGet, read, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"a read from another origin of the site":       {http.MethodGet, read, map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		"a read with an Origin of elsewhere":           {http.MethodGet, read, map[string]string{"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, 403},
		"who is signed in, asked by another site":      {http.MethodGet, "/v1/session", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"a read typed into the address bar":            {http.MethodGet, read, map[string]string{"Sec-Fetch-Site": "none"}, 200},
		"a read of a browser that says nothing":        {http.MethodGet, read, map[string]string{"Sec-Fetch-Site": ""}, 200},
		"a write of a browser that says nothing":       {http.MethodPost, write, map[string]string{"Sec-Fetch-Site": "", "Origin": ""}, 200},
		"a write of the page":                          {http.MethodPost, write, nil, 200},
		"a write with a token of its own, from a site": {http.MethodPost, write, map[string]string{"Authorization": "Bearer " + coordinator, "Sec-Fetch-Site": "cross-site", "Origin": "https://x.example", "X-Filigree-CSRF": ""}, 200},
		"a wrong token beside a good cookie":           {http.MethodGet, read, map[string]string{"Authorization": "Bearer nobody"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			body := ""
			if c.method == http.MethodPost {
				body = "{}"
			}
			a := b.call(c.method, c.path, body, c.header)
			switch {
			case c.want == http.StatusForbidden:
				refused(t, a, c.want, "CSRF")
			case a.status != c.want:
				t.Errorf("got %d %s, want %d", a.status, a.body, c.want)
			}
		})
	}
}

func TestACookieThatIsThereTwiceOrIsNoneIsNobodys(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	for name, values := range map[string][]string{
		"twice":     {b.cookie.Value, strings.Repeat("A", 43)},
		"short":     {"x"},
		"a token":   {coordinator},
		"too long":  {strings.Repeat("A", 5000)},
		"of nobody": {strings.Repeat("A", 43)},
	} {
		r := w.request(http.MethodGet, "/v1/session", "", "")
		for _, v := range values {
			r.AddCookie(&http.Cookie{Name: "filigree_console", Value: v})
		}
		a := w.do(r)
		if a.status != http.StatusUnauthorized {
			t.Errorf("%s: got %d %s, want 401", name, a.status, a.body)
		}
	}
	refused(t, w.call(http.MethodGet, "/v1/productions/red", b.cookie.Value, ""), http.StatusUnauthorized, "TOKEN_UNKNOWN")
	refused(t, w.call(http.MethodGet, "/v1/session", coordinator, ""), http.StatusUnauthorized, "SESSION_MISSING")
}

func TestWhoSignsOutIsOutAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	b.call(http.MethodGet, "/v1/productions/red", "", nil) // it is remembered
	a := b.call(http.MethodDelete, "/v1/session", "", nil)
	got := cookies(a)
	if a.status != http.StatusOK || len(got) != 1 || got[0].MaxAge >= 0 || got[0].Value != "" {
		t.Fatalf("got %d %s, cookies %v", a.status, a.body, got)
	}
	refused(t, b.call(http.MethodGet, "/v1/productions/red", "", nil), http.StatusUnauthorized, "SESSION_UNKNOWN")
	a = b.call(http.MethodGet, "/v1/session", "", nil)
	refused(t, a, http.StatusUnauthorized, "SESSION_UNKNOWN")
	if got := cookies(a); len(got) != 1 || got[0].MaxAge >= 0 {
		t.Errorf("the browser keeps a cookie of nothing: %v", got)
	}
}

func TestASessionRevokedElsewhereIsBelievedForAMomentOnly(t *testing.T) {
	clk := &clock{now: time.Now()}
	w := newWorld(t, func(_ *gateway.Config, d *gateway.Deps) { d.Now = clk.Now })
	b := w.browser()
	b.call(http.MethodGet, "/v1/productions/red", "", nil)
	w.sessions.revokeAll()
	clk.advance(2 * time.Second)
	refused(t, b.call(http.MethodGet, "/v1/productions/red", "", nil), http.StatusUnauthorized, "SESSION_UNKNOWN")
}

func TestWhileTheDirectoryIsSilentASessionMayLookUntilItEnds(t *testing.T) {
	clk := &clock{now: time.Now()}
	w := newWorld(t, func(_ *gateway.Config, d *gateway.Deps) { d.Now = clk.Now })
	b := w.browser()
	const read = "/v1/productions/red/distributions/d1"
	b.call(http.MethodGet, read, "", nil)
	w.sessions.mu.Lock()
	w.sessions.fail = fault.New(fault.Unavailable, "REDIS_DOWN", "no")
	for _, m := range w.sessions.begun {
		m.ExpiresAt.Seconds = clk.Now().Add(10 * time.Minute).Unix()
	}
	w.sessions.mu.Unlock()
	clk.advance(5 * time.Minute)
	if a := b.call(http.MethodGet, read, "", nil); a.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", a.status, a.body)
	}
	refused(t, b.call(http.MethodPost, read+":cancel", "{}", nil), http.StatusServiceUnavailable, "REDIS_DOWN")
}

func TestASignInWhoseAnswerGotLostIsMadeAgain(t *testing.T) {
	w := newWorld(t, nil)
	w.sessions.lose = 2
	w.browser()
	if len(w.sessions.begun) != 1 {
		t.Errorf("%d sessions were begun, want one", len(w.sessions.begun))
	}
}

func TestASecondSignInEndsTheFirstSession(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	w.sessions.mu.Lock()
	w.sessions.codes[hashOf("another")] = w.sessions.codes[hashOf(goodCode)]
	w.sessions.mu.Unlock()
	a := w.post("another", map[string]string{"Cookie": b.cookie.String()})
	if a.status != http.StatusOK || len(w.sessions.begun) != 1 {
		t.Errorf("got %d %s, and %d sessions go on", a.status, a.body, len(w.sessions.begun))
	}
}

func TestSignInsAreNotGuessedNorMadeForOthers(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config, _ *gateway.Deps) { c.Misses = 5 })
	for name, header := range map[string]map[string]string{
		"another site":   {"Sec-Fetch-Site": "cross-site"},
		"another origin": {"Origin": "https://evil.example"},
	} {
		a := w.post(goodCode, header)
		if a.status != http.StatusForbidden || len(cookies(a)) != 0 {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
		}
	}
	refused(t, w.post(goodCode, map[string]string{"Content-Type": "text/plain"}), http.StatusUnsupportedMediaType, "MEDIA_TYPE_UNKNOWN")
	for _, body := range []string{"", "{}", `{"code":""}`, `{"code":"x","role":"admin"}`, `{"code":7}`, `[]`, `{"code":"` + strings.Repeat("x", 300) + `"}`} {
		r := w.request(http.MethodPost, "/v1/session", "", body)
		r.Header.Set("Content-Type", "application/json")
		refused(t, w.do(r), http.StatusBadRequest, "INVALID")
	}
	large := w.request(http.MethodPost, "/v1/session", "", `{"code":"`+strings.Repeat("x", 5000)+`"}`)
	large.Header.Set("Content-Type", "application/json")
	refused(t, w.do(large), http.StatusRequestEntityTooLarge, "TOO_LARGE")
	for range 5 {
		refused(t, w.post("a guess", nil), http.StatusUnauthorized, "SIGN_IN_UNKNOWN")
	}
	a := w.post(goodCode, nil) // a right one is not let in, either
	refused(t, a, http.StatusTooManyRequests, "SIGN_IN_MISSES")
	if a.header.Get("Retry-After") == "" {
		t.Error("it is not said when to come back")
	}
}

func TestTheWaysToSignInAreSaidToAnybody(t *testing.T) {
	w := newWorld(t, nil)
	a := w.call(http.MethodGet, "/v1/session/ways", "", "")
	if a.status != http.StatusOK || !strings.Contains(a.body, `"way":"code"`) || strings.Contains(a.body, "oidc") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	a = w.call(http.MethodPatch, "/v1/session", "", "{}")
	refused(t, a, http.StatusMethodNotAllowed, "METHOD_UNKNOWN")
	if got := a.header.Get("Allow"); got != "DELETE, GET, POST" {
		t.Errorf("got Allow %q", got)
	}
	refused(t, w.call(http.MethodGet, "/v1/session/elsewhere", "", ""), http.StatusNotFound, "PATH_UNKNOWN")
}

func TestAWatcherWhoIsSignedOutStopsWatching(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.browser()
	ended := make(chan answer, 1)
	go func() { ended <- b.call(http.MethodGet, "/v1/productions/red/distributions/D9/watch", "", nil) }()
	w.until("the session is looked at and not used", func() bool {
		w.sessions.mu.Lock()
		defer w.sessions.mu.Unlock()
		return w.sessions.peeks > 0
	})
	w.sessions.revokeAll()
	select {
	case a := <-ended:
		if a.status != http.StatusOK || strings.Count(a.body, "event: distribution\n") != 3 || strings.Contains(a.body, "event: end") {
			t.Errorf("got %d %s", a.status, a.body)
		}
	case <-time.After(time.Minute):
		t.Error("it goes on a minute later")
	}
}

// until waits for what is to come about.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for late := time.Now().Add(time.Minute); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(late) {
			w.t.Fatalf("a minute later still not: %s", what)
		}
	}
}
