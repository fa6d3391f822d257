package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Each start says an address for each role; each signs one browser in, once, as what it says.
func TestAddressesThatSignBrowsersIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	addresses := map[string]string{}
	for len(addresses) < 3 {
		select {
		case line := <-s.said:
			role, ok := strings.CutPrefix(line, "sign in as ")
			role, address, cut := strings.Cut(role, ", once, within 15m0s: ")
			if !ok || !cut {
				t.Fatalf("filigree up says %q", line)
			}
			addresses[role] = address
		case <-time.After(time.Minute):
			t.Fatalf("a minute later it has said the addresses %v only", addresses)
		}
	}
	more, err := exec.Command(program, "sign-in", "--data", s.dir, "--role", "oncall").Output()
	if err != nil {
		t.Fatal(err)
	}
	addresses["oncall "] = strings.TrimSpace(string(more))
	for role, address := range addresses {
		page, code, ok := strings.Cut(address, "#")
		if !ok || page != s.url+"/sign-in" {
			t.Fatalf("%s is no address to sign in at", page)
		}
		b := newVisitor(t, s.url)
		if got := b.call(http.MethodGet, "/v1/session", "", nil); got != http.StatusUnauthorized {
			t.Errorf("nobody is signed in yet, and it is %d", got)
		}
		var who struct {
			Role, Subject string
			CSRF          string `json:"csrf_token"`
		}
		body, err := json.Marshal(map[string]string{"code": code})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.call(http.MethodPost, "/v1/session", string(body), &who); got != http.StatusOK || who.Role != strings.TrimSpace(role) {
			t.Fatalf("%s: got %d %+v", role, got, who)
		}
		if got := newVisitor(t, s.url).call(http.MethodPost, "/v1/session", string(body), nil); got != http.StatusUnauthorized {
			t.Errorf("%s: another browser with the same address: got %d, want 401", role, got)
		}
		if got := b.call(http.MethodGet, "/v1/productions/default", "", nil); got != http.StatusOK {
			t.Errorf("%s: a read: got %d, want 200", role, got)
		}
		if got := b.call(http.MethodDelete, "/v1/session", "", nil); got != http.StatusForbidden {
			t.Errorf("%s: a write without the token: got %d, want 403", role, got)
		}
		b.csrf = who.CSRF
		if got := b.call(http.MethodDelete, "/v1/session", "", nil); got != http.StatusOK {
			t.Errorf("%s: signing out: got %d, want 200", role, got)
		}
		if got := b.call(http.MethodGet, "/v1/productions/default", "", nil); got != http.StatusUnauthorized {
			t.Errorf("%s: after that: got %d, want 401", role, got)
		}
	}
}

type visitor struct {
	t    *testing.T
	url  string
	http *http.Client
	csrf string
}

func newVisitor(t *testing.T, url string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, url: url, http: &http.Client{Jar: jar, Timeout: time.Minute}}
}

func (b *visitor) call(method, path, body string, into any) int {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method != http.MethodGet {
		r.Header.Set("Origin", b.url)
		r.Header.Set("Content-Type", "application/json")
	}
	if b.csrf != "" {
		r.Header.Set("X-Filigree-CSRF", b.csrf)
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if into != nil {
		err = json.NewDecoder(resp.Body).Decode(into)
		if err != nil {
			b.t.Errorf("%s %s: %v", method, path, err)
		}
	}
	return resp.StatusCode
}
