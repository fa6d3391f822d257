package link_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestReader: its page holds nothing of the document and loads nothing from elsewhere; its files may be kept, and have a
// content type that a browser runs; all but the files is in a session only.
func TestReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create(w.request(1, []byte("a copy")))
	b := newBrowser(t)
	origin := w.a.http.URL
	document := b.documents(origin, b.enter(origin, w.path("d1.r1")))[0]
	page := b.do("GET", document+"/read", "")
	if page.StatusCode != http.StatusOK || page.Header.Get("Cache-Control") != "no-store, private" || !strings.Contains(page.Header.Get("Content-Security-Policy"), "script-src 'self' 'wasm-unsafe-eval';") {
		t.Fatalf("got %d %v", page.StatusCode, page.Header)
	}
	files := regexp.MustCompile(`(?:src|href)="(/reader/[^"]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(files) != 2 {
		t.Fatalf("the page refers to %v, want a script and a style", files)
	}
	stranger := newBrowser(t)
	base := files[0][1][:strings.LastIndexByte(files[0][1], '/')]
	for name, kind := range map[string]string{
		"reader.js": "text/javascript; charset=utf-8", "reader.css": "text/css; charset=utf-8", "pdf.worker.min.mjs": "text/javascript; charset=utf-8",
		"wasm/openjpeg.wasm": "application/wasm", "cmaps/UniJIS-UTF16-H.bcmap": "application/octet-stream",
	} {
		got := stranger.do("GET", origin+base+"/"+name, "")
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != kind || !strings.Contains(got.Header.Get("Cache-Control"), "immutable") || got.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: got %d %q %q, Vary %q", name, got.StatusCode, got.Header.Get("Content-Type"), got.Header.Get("Cache-Control"), got.Header.Get("Vary"))
		}
	}
	for _, address := range []string{document + "/read", origin + "/reader/0000/reader.js", origin + base + "/../../page.go", origin + base + "/none.js"} {
		got := stranger.do("GET", address, "")
		if got.StatusCode < 400 || strings.Contains(got.Header.Get("Cache-Control"), "public") {
			t.Errorf("%s: got %d %q for a stranger", address, got.StatusCode, got.Header.Get("Cache-Control"))
		}
	}
	if got := w.state("d1.r1"); got.GetDownloads() != 0 {
		t.Errorf("the reader's page alone counted as %d downloads", got.GetDownloads())
	}
}
