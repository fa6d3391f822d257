package link_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	"github.com/filigreehq/filigree/services/link"
)

// A transfer that is under way when its link is revoked ends, whether the other side reads or has stopped reading.
func TestRevocationCutsTransfers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	big := make([]byte, 64<<20)
	w.create(w.request(1, big))
	transfers := 0
	for name, reads := range map[string]bool{"slow reader": true, "no reader": false} {
		t.Run(name, func(t *testing.T) {
			if !reads {
				req := w.requestOf(2, "art/default/r1", big)
				w.create(req)
			}
			id := map[bool]string{true: "d1.r1", false: "d1.r2"}[reads]
			link := w.path(id)
			s := w.openAsApp(w.b.http.URL, link)
			conn := w.startTransfer(s)
			defer conn.Close()
			transfers++

			w.revoke(id)
			revoked := time.Now()
			for _, i := range []*instance{w.a, w.b} {
				if got := newBrowser(t).do("GET", i.http.URL+link, "").StatusCode; got != http.StatusGone {
					t.Errorf("got %d, want 410 at once", got)
				}
			}
			if took := time.Since(revoked); took > time.Second {
				t.Errorf("410 took %s", took)
			}
			ended := make(chan struct{})
			if reads {
				go slowly(conn, ended)
			}
			// The request ends at the server. What can still be read then is what has arrived, not what is left to send.
			waitFor(t, 5*time.Second, func() bool { return strings.Count(w.logged.String(), `"route":"/d/*/*"`) == transfers })
			close(ended)
			_ = conn.SetReadDeadline(revoked.Add(5 * time.Second))
			n, err := io.Copy(io.Discard, conn)
			if took := time.Since(revoked); took > 5*time.Second {
				t.Errorf("the transfer ended after %s, want 5 s at most", took)
			}
			if n >= int64(len(big)) {
				t.Errorf("all %d bytes came (%v), want the transfer cut", n, err)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the transfer still goes on")
			}
		})
	}
}

// requestOf is a link for person n to a copy that is stored already.
func (w *world) requestOf(n int, key string, data []byte) *linkv1.CreateRequest {
	req := w.requestAgain(n)
	req.Documents[0].Key, req.Documents[0].Size = key, int64(len(data))
	return req
}

// startTransfer asks for the first document, and returns when it has begun to come.
func (w *world) startTransfer(s appSession) net.Conn {
	w.t.Helper()
	host, path, _ := strings.Cut(strings.TrimPrefix(s.Documents[0].URL, "http://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		w.t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, host, s.Session)
	status := make([]byte, len("HTTP/1.1 200"))
	_, err = io.ReadFull(conn, status)
	if err != nil || string(status) != "HTTP/1.1 200" {
		w.t.Fatalf("got %q %v", status, err)
	}
	return conn
}

// slowly reads a little every millisecond until ended is closed.
func slowly(conn net.Conn, ended <-chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for p := make([]byte, 4<<10); ; {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		_, err := conn.Read(p)
		if err != nil {
			return
		}
	}
}

// When Redis is silent nobody can say whether a link holds; then nothing new begins and nothing goes on for long.
func TestSilentRedisCutsTransfers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	big := make([]byte, 64<<20)
	w.create(w.request(1, big))
	link := w.path("d1.r1")
	conn := w.startTransfer(w.openAsApp(w.a.http.URL, link))
	defer conn.Close()
	w.redis.Kill()
	killed := time.Now()
	waitFor(t, 6*time.Second, func() bool { return strings.Contains(w.logged.String(), `"route":"/d/*/*"`) })
	_ = conn.SetReadDeadline(killed.Add(8 * time.Second))
	n, err := io.Copy(io.Discard, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) || n >= int64(len(big)) {
		t.Errorf("%d bytes and %v, want the transfer cut", n, err)
	}
	asked := time.Now()
	down := newBrowser(t).do("GET", w.a.http.URL+link, "")
	if took := time.Since(asked); took > 2*time.Second {
		t.Errorf("it took %s to say that nothing can be said", took)
	}
	if down.StatusCode != http.StatusServiceUnavailable || down.Header.Get("Retry-After") == "" {
		t.Errorf("got %d, want 503 with Retry-After", down.StatusCode)
	}
	w.redis.Restart()
	if up := newBrowser(t).do("GET", w.a.http.URL+link, ""); up.StatusCode != http.StatusOK {
		t.Errorf("got %d after Redis came back", up.StatusCode)
	}
}

func TestGuessing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *link.Config, _ *link.Deps) { c.Misses = 20 })
	w.create(w.request(1, []byte("x")))
	good := w.path("d1.r1")
	guesser := newBrowser(t)
	counts := map[int]int{}
	raw := make([]byte, 32)
	for range 10_000 {
		_, _ = rand.Read(raw) // never fails (crypto/rand)
		counts[guesser.do("GET", w.a.http.URL+"/l/"+base64.RawURLEncoding.EncodeToString(raw), "").StatusCode]++
	}
	if counts[404]+counts[429] != 10_000 || counts[404] > 40 {
		t.Errorf("got %v, want no hit and at most 20 misses a minute", counts)
	}
	slowed := guesser.do("GET", w.a.http.URL+"/l/x", "", "Accept", "application/json")
	if slowed.StatusCode != http.StatusTooManyRequests || slowed.Header.Get("Retry-After") == "" || !strings.Contains(slowed.body, "TOO_MANY_MISSES") {
		t.Errorf("got %d %s", slowed.StatusCode, slowed.body)
	}
	// Whoever shares the address with a guesser is not locked out.
	if got := guesser.do("GET", w.a.http.URL+good, "").StatusCode; got != 200 {
		t.Errorf("a good link: got %d", got)
	}
}

func TestUnknownAddressesLookAlike(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create(w.request(1, []byte("x")))
	token := path.Base(w.path("d1.r1"))
	last := token[len(token)-1:]
	other := "A"
	if last == other {
		other = "B"
	}
	b := newBrowser(t)
	want := b.do("GET", w.a.http.URL+"/l/"+strings.Repeat("A", 43), "")
	if want.StatusCode != http.StatusNotFound {
		t.Fatalf("got %d", want.StatusCode)
	}
	for _, p := range []string{
		"/l/", "/l/x", "/l/" + token[:42], "/l/" + token + "=", "/l/" + token + "/", "/l/" + token[:42] + other, "/l/%00", "/l/" + strings.Repeat("é", 43),
		"/", "/x", "/d/", "/d/x", "/L/" + token, "/d/../l/x", "//l/" + token, "/l/" + strings.Repeat("x", 4000), "/v1/distributions", "/healthz",
	} {
		got := b.do("GET", w.a.http.URL+p, "")
		want.Header.Set("Date", got.Header.Get("Date"))
		if got.StatusCode != http.StatusNotFound || got.body != want.body {
			t.Errorf("%.40s: got %d and a page of its own", p, got.StatusCode)
		}
		if diff := cmp.Diff(want.Header, got.Header); diff != "" {
			t.Errorf("%.40s: headers differ:\n%s", p, diff)
		}
	}
}

func TestEveryAnswerHasTheHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *link.Config, _ *link.Deps) { c.Misses = 3 })
	for n := 1; n <= 2; n++ {
		w.create(w.request(n, []byte("copy")))
	}
	noBlob := w.requestOf(3, "art/default/missing", []byte("copy"))
	w.create(noBlob)
	origin := w.a.http.URL
	good, revoked := w.path("d1.r1"), w.path("d1.r2")
	w.revoke("d1.r2")
	b := newBrowser(t)
	list := b.enter(origin, good)
	doc := b.documents(origin, list)[0]
	broken := newBrowser(t)
	brokenDoc := broken.documents(origin, broken.enter(origin, w.path("d1.r3")))[0]

	seen := map[int]bool{}
	check := func(name string, r response) {
		t.Helper()
		seen[r.StatusCode] = true
		for key, want := range map[string]string{
			"Cache-Control": "no-store, private", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"X-Robots-Tag": "noindex, nofollow, noarchive", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := r.Header.Values(key); len(got) != 1 || got[0] != want {
				t.Errorf("%s (%d): %s is %q, want %q", name, r.StatusCode, key, got, want)
			}
		}
		csp := r.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; ") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "script") {
			t.Errorf("%s (%d): got policy %q", name, r.StatusCode, csp)
		}
		if strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") && !strings.Contains(csp, "style-src 'sha256-") {
			t.Errorf("%s: a page's policy is %q", name, csp)
		}
		if r.Header.Get("Content-Disposition") == "" {
			t.Errorf("%s (%d): no Content-Disposition", name, r.StatusCode)
		}
		for key := range r.Header {
			if strings.HasPrefix(key, "Access-Control") {
				t.Errorf("%s: other origins are let in by %s", name, key)
			}
		}
	}
	for _, accept := range []string{"text/html", "application/json"} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "BREW"} {
			for _, p := range []string{good, revoked, "/l/x", "/", "/closed", "/icon.svg", "/robots.txt", strings.TrimPrefix(list, origin), strings.TrimPrefix(doc, origin), strings.TrimPrefix(doc, origin) + "/thumbnail", strings.TrimPrefix(list, origin) + "/0123456789abcdef", strings.TrimPrefix(list, origin) + "/end/"} {
				check(method+" "+p, b.do(method, origin+p, "", "Accept", accept))
			}
		}
		check("no session", newBrowser(t).do("GET", list, "", "Accept", accept))
		gone := broken.do("GET", brokenDoc, "", "Accept", accept)
		check("a copy that is kept no longer", gone)
		if gone.StatusCode != http.StatusGone || !strings.Contains(gone.body, "kept no longer") {
			t.Errorf("of a copy that is kept no longer: got %d, %s", gone.StatusCode, gone.body)
		}
	}
	check("range", b.do("GET", doc, "", "Range", "bytes=1-2"))
	check("bad range", b.do("GET", doc, "", "Range", "bytes=100-"))
	check("not modified", b.do("GET", doc, "", "If-None-Match", "*"))
	check("bad form", b.do("POST", origin+good, "form=x"))
	check("big form", b.do("POST", origin+good, "form="+strings.Repeat("x", 1<<20)))
	check("foreign", b.do("POST", origin+good, "form=x", "Origin", "https://evil.example"))
	check("open", b.do("POST", origin+good, form(t, b.do("GET", origin+good, "").body)))
	w.redis.Kill()
	check("no Redis", newBrowser(t).do("GET", origin+good, ""))
	for _, status := range []int{200, 204, 206, 303, 304, 401, 403, 404, 405, 410, 413, 416, 429, 503} {
		if !seen[status] {
			t.Errorf("no answer with %d was looked at", status)
		}
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	data := make([]byte, 300_000)
	_, _ = rand.Read(data) // never fails (crypto/rand)
	req := w.request(1, data)
	w.create(req)
	tag := `"` + req.GetDocuments()[0].GetSha256() + `"`
	b := newBrowser(t)
	doc := b.documents(w.a.http.URL, b.enter(w.a.http.URL, w.path("d1.r1")))[0]
	for _, c := range []struct {
		name      string
		header    []string
		status    int
		from, to  int
		wantRange string
	}{
		{"whole", nil, 200, 0, 300_000, ""},
		{"first byte", []string{"Range", "bytes=0-0"}, 206, 0, 1, "bytes 0-0/300000"},
		{"middle", []string{"Range", "bytes=100000-199999"}, 206, 100_000, 200_000, "bytes 100000-199999/300000"},
		{"open end", []string{"Range", "bytes=299990-"}, 206, 299_990, 300_000, "bytes 299990-299999/300000"},
		{"suffix", []string{"Range", "bytes=-10"}, 206, 299_990, 300_000, "bytes 299990-299999/300000"},
		{"beyond the end", []string{"Range", "bytes=299990-400000"}, 206, 299_990, 300_000, "bytes 299990-299999/300000"},
		{"after the end", []string{"Range", "bytes=300000-"}, 416, 0, 0, "bytes */300000"},
		{"no range", []string{"Range", "lines=1-2"}, 416, 0, 0, ""},
		{"several", []string{"Range", "bytes=0-1,5-6"}, 200, 0, 300_000, ""},
		{"if same", []string{"Range", "bytes=5-9", "If-Range", tag}, 206, 5, 10, "bytes 5-9/300000"},
		{"if another", []string{"Range", "bytes=5-9", "If-Range", `"other"`}, 200, 0, 300_000, ""},
		{"if weak", []string{"Range", "bytes=5-9", "If-Range", "W/" + tag}, 200, 0, 300_000, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := b.do("GET", doc, "", c.header...)
			if got.StatusCode != c.status || got.Header.Get("Content-Range") != c.wantRange {
				t.Fatalf("got %d %q, want %d %q", got.StatusCode, got.Header.Get("Content-Range"), c.status, c.wantRange)
			}
			if c.status == 416 {
				return
			}
			if !bytes.Equal([]byte(got.body), data[c.from:c.to]) {
				t.Errorf("got %d bytes, want those from %d to %d", len(got.body), c.from, c.to)
			}
			if got.ContentLength != int64(c.to-c.from) || got.Header.Get("ETag") != tag || got.Header.Get("Accept-Ranges") != "bytes" {
				t.Errorf("got %v", got.Header)
			}
		})
	}
	before := w.state("d1.r1").GetDownloads()
	head := b.do("HEAD", doc+"?save", "")
	if head.StatusCode != http.StatusOK || head.ContentLength != 300_000 || head.body != "" ||
		!strings.HasPrefix(head.Header.Get("Content-Disposition"), "attachment; filename=") ||
		!strings.HasSuffix(head.Header.Get("Content-Disposition"), "; filename*=UTF-8''Caf%C3%A9%20%E2%80%9Cfinal%E2%80%9D%20%E2%80%93%20%C3%96l.pdf") {
		t.Errorf("HEAD: got %d %v", head.StatusCode, head.Header)
	}
	if got := w.state("d1.r1").GetDownloads(); got != before || before != 5 { // those that began at the start: whole, first byte, several, if another, if weak
		t.Errorf("got %d downloads and %d after HEAD", before, got)
	}
}

// Somebody in a session of their own asks for what is in somebody else's.
func TestSessionsDoNotMeet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for n := 1; n <= 2; n++ {
		w.create(w.request(n, fmt.Appendf(nil, "copy of %d", n)))
	}
	anna, bob := w.openAsApp(w.a.http.URL, w.path("d1.r1")), w.openAsApp(w.a.http.URL, w.path("d1.r2"))
	annaDoc, bobDoc := anna.Documents[0].URL, bob.Documents[0].URL
	swap := func(session, document string) string {
		return session[:strings.LastIndexByte(session, '/')+1] + path.Base(document)
	}
	b := newBrowser(t)
	unknown := b.do("GET", w.a.http.URL+"/nothing", "")
	for name, u := range map[string]string{
		"the other's address":             bobDoc,
		"the other's thumbnail":           bobDoc + "/thumbnail",
		"the other's list":                bobDoc[:strings.LastIndexByte(bobDoc, '/')],
		"the other's document in my list": swap(annaDoc, bobDoc),
		"my document in the other's list": swap(bobDoc, annaDoc),
		"a document by its key":           annaDoc[:strings.LastIndexByte(annaDoc, '/')] + "/art/default/r2",
	} {
		got := b.do("GET", u, "", "Authorization", "Bearer "+anna.Session)
		if got.StatusCode != http.StatusNotFound || got.body != unknown.body {
			t.Errorf("%s: got %d %.60s, want 404 like any unknown address", name, got.StatusCode, got.body)
		}
	}
	id, _, _ := strings.Cut(anna.Session, ".")
	_, bobSecret, _ := strings.Cut(bob.Session, ".")
	if got := b.do("GET", annaDoc, "", "Authorization", "Bearer "+id+"."+bobSecret); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("my session with the other's secret: got %d, want 401", got.StatusCode)
	}
	if got := b.do("GET", annaDoc, "", "Authorization", "Bearer "+anna.Session); got.body != "copy of 1" {
		t.Errorf("my own: got %d %s", got.StatusCode, got.body)
	}
}

func TestOnlyOurButtonOpens(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, func(_ *link.Config, d *link.Deps) { d.Now = func() time.Time { return now } })
	for n := 1; n <= 2; n++ {
		w.create(w.request(n, []byte("x")))
	}
	u, other := w.a.http.URL+w.path("d1.r1"), w.a.http.URL+w.path("d1.r2")
	b := newBrowser(t)
	good, foreign := form(t, b.do("GET", u, "").body), form(t, b.do("GET", other, "").body)
	list := b.do("GET", b.enter(w.a.http.URL, w.path("d1.r1")), "")
	views := w.state("d1.r1").GetViews()
	for name, c := range map[string][]string{
		"no form":                {""},
		"another link's form":    {foreign},
		"another button's form":  {form(t, list.body)},
		"from elsewhere":         {good, "Origin", "https://evil.example"},
		"from a sibling":         {good, "Sec-Fetch-Site", "same-site"},
		"as an app, elsewhere":   {"", "Accept", "application/json", "Origin", "https://evil.example"},
		"as an app, hidden page": {"", "Accept", "application/json", "Origin", "null"},
	} {
		got := b.do("POST", u, c[0], c[1:]...)
		if got.StatusCode != http.StatusForbidden || len(got.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: got %d, want 403", name, got.StatusCode)
		}
	}
	if got := w.state("d1.r1").GetViews(); got != views {
		t.Errorf("got %d views, want %d: refused opens are none", got, views)
	}
	now = now.Add(13 * time.Hour)
	late := b.do("POST", u, good)
	if late.StatusCode != http.StatusForbidden || !strings.Contains(late.body, "Press the button again") {
		t.Fatalf("got %d for an old page, want it shown anew", late.StatusCode)
	}
	if got := b.do("POST", u, form(t, late.body)); got.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d for the page shown anew", got.StatusCode)
	}
}

func TestCookie(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		w := newWorld(t, func(c *link.Config, _ *link.Deps) { c.URL = strings.Replace(c.URL, "http", scheme, 1) })
		w.create(w.request(1, []byte("x")))
		u := w.a.http.URL + w.path("d1.r1")
		b := newBrowser(t)
		opened := b.do("POST", u, form(t, b.do("GET", u, "").body))
		cookies := opened.Cookies()
		if len(cookies) != 1 {
			t.Fatalf("got %d %v", opened.StatusCode, cookies)
		}
		c := cookies[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != opened.Header.Get("Location") || c.Secure != (scheme == "https") || c.MaxAge != 1800 {
			t.Errorf("%s: got cookie %v", scheme, c)
		}
		if hsts := opened.Header.Get("Strict-Transport-Security") != ""; hsts != (scheme == "https") {
			t.Errorf("%s: HSTS is %v", scheme, hsts)
		}
	}
}
