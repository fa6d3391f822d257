package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/filigreehq/filigree/services/gateway"
)

func consoleWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, func(_ *gateway.Config, d *gateway.Deps) {
		d.Console = fstest.MapFS{
			"index.html":                     {Data: []byte("<p>console")},
			"index.html.br":                  {Data: []byte("index in brotli")},
			"assets/app.js":                  {Data: []byte("run()")},
			"assets/app.js.gz":               {Data: []byte("app in gzip")},
			"assets/app.js.br":               {Data: []byte("app in brotli")},
			"assets/app.css":                 {Data: []byte("p{}")},
			"assets/index-DiwrgT4a.js":       {Data: []byte("hashed()")},
			"assets/chunk.0a1b2c3d4e.js":     {Data: []byte("hex()")},
			"assets/user-settings.js":        {Data: []byte("a word, no hash")},
			"assets/report-20261127.js":      {Data: []byte("a date, no hash")},
			"assets/cmaps/Adobe.bcmap":       {Data: []byte("bytes")},
			"assets/only-compressed.json.gz": {Data: []byte("an archive of its own")},
		}
	})
	w.client.Transport.(*http.Transport).DisableCompression = true
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return w
}

func (w *world) with(path string, header ...string) answer {
	w.t.Helper()
	r := w.request(http.MethodGet, path, "", "")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return w.do(r)
}

func TestTheConsolesPagesRunWhatCameFromHereOnly(t *testing.T) {
	w := consoleWorld(t)
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/sign-in": "text/html; charset=utf-8", "/assets/app.js": "text/javascript; charset=utf-8", "/assets/app.css": "text/css; charset=utf-8",
		"/assets/cmaps/Adobe.bcmap": "application/octet-stream",
	} {
		a := w.with(path)
		if a.status != http.StatusOK {
			t.Errorf("%s: got %d", path, a.status)
		}
		for name, want := range map[string]string{
			"Content-Type": kind, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: got %s %q, want %q", path, name, got, want)
			}
		}
		policy := map[string]string{}
		for part := range strings.SplitSeq(a.header.Get("Content-Security-Policy"), "; ") {
			name, value, _ := strings.Cut(part, " ")
			policy[name] = value
		}
		for name, want := range map[string]string{
			"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' blob: data:", "connect-src": "'self'",
			"worker-src": "'self' blob:", "frame-ancestors": "'none'", "base-uri": "'none'",
		} {
			if policy[name] != want {
				t.Errorf("%s: the policy's %s is %q, want %q", path, name, policy[name], want)
			}
		}
	}
}

func TestPlacesInsideTheConsoleAreItsIndex(t *testing.T) {
	w := consoleWorld(t)
	for _, path := range []string{"/", "/index.html", "/sign-in", "/productions/red/distributions/d1", "/assets", "/assets/", "/people/%C3%84nne", "/v1.x/place"} {
		a := w.with(path)
		if a.status != http.StatusOK || a.body != "<p>console" {
			t.Errorf("%s: got %d %q", path, a.status, a.body)
		}
	}
	for _, path := range []string{"/assets/none.js", "/..%2f..%2fetc/passwd.txt", "/assets/../index.html", "/assets/app.js.gz", "/index.html.br", "/.env", "/a//b.js"} {
		refused(t, w.with(path), http.StatusNotFound, "PATH_UNKNOWN")
	}
	refused(t, w.with("/v1/none"), http.StatusUnauthorized, "TOKEN_MISSING")
	refused(t, w.with("/v1"), http.StatusUnauthorized, "TOKEN_MISSING")
	if a := w.with("/assets/only-compressed.json.gz"); a.body != "an archive of its own" || a.header.Get("Content-Encoding") != "" {
		t.Errorf("got %d %q %v", a.status, a.body, a.header)
	}
	refused(t, w.call(http.MethodPost, "/sign-in", "", "{}"), http.StatusMethodNotAllowed, "METHOD_UNKNOWN")
}

func TestFilesOfTheConsoleAreKeptAsLongAsTheyAreRight(t *testing.T) {
	w := consoleWorld(t)
	const forever = "public, max-age=31536000, immutable"
	for path, want := range map[string]string{
		"/": "no-cache", "/sign-in": "no-cache", "/assets/app.js": "no-cache", "/assets/user-settings.js": "no-cache", "/assets/report-20261127.js": "no-cache",
		"/assets/index-DiwrgT4a.js": forever, "/assets/chunk.0a1b2c3d4e.js": forever,
	} {
		a := w.with(path)
		etag := a.header.Get("ETag")
		if a.header.Get("Cache-Control") != want || len(etag) < 10 {
			t.Errorf("%s: got Cache-Control %q, want %q; ETag %s", path, a.header.Get("Cache-Control"), want, etag)
		}
		again := w.with(path, "If-None-Match", etag)
		if again.status != http.StatusNotModified || again.body != "" || again.header.Get("ETag") != etag {
			t.Errorf("%s again: got %d %q", path, again.status, again.body)
		}
	}
	if a, b := w.with("/"), w.with("/assets/app.js"); a.header.Get("ETag") == b.header.Get("ETag") {
		t.Error("two files have one ETag")
	}
}

func TestCompressedFilesGoToWhoTakesThem(t *testing.T) {
	w := consoleWorld(t)
	plain := w.with("/assets/app.js")
	tags := map[string]bool{plain.header.Get("ETag"): true}
	for accept, want := range map[string][2]string{
		"":                          {"", "run()"},
		"gzip, deflate, br, zstd":   {"br", "app in brotli"},
		"gzip":                      {"gzip", "app in gzip"},
		"br;q=0, GZIP;q=0.5":        {"gzip", "app in gzip"},
		"br;q=0, gzip;q=0":          {"", "run()"},
		"identity, brotli, gzipped": {"", "run()"},
	} {
		a := w.with("/assets/app.js", "Accept-Encoding", accept)
		if a.body != want[1] || a.header.Get("Content-Encoding") != want[0] || a.header.Get("Vary") != "Accept-Encoding" ||
			a.header.Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%q: got %q %v, want %q", accept, a.body, a.header, want)
		}
		tags[a.header.Get("ETag")] = true
	}
	if len(tags) != 3 {
		t.Errorf("three representations have %d ETags", len(tags))
	}
	if a := w.with("/deep/place", "Accept-Encoding", "br"); a.body != "index in brotli" || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("got %q %v", a.body, a.header)
	}
	if a := w.with("/assets/app.css", "Accept-Encoding", "br"); a.body != "p{}" || a.header.Get("Vary") != "" {
		t.Errorf("got %q %v", a.body, a.header)
	}
}
