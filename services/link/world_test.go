package link_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/redistest"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	"github.com/filigreehq/filigree/services/link"
)

// world is two instances of link on one real Redis and one bucket, as recipients reach them.
type world struct {
	t      *testing.T
	redis  *redistest.Server
	blobs  *blob.Bucket
	logged *safeBuffer
	a, b   *instance
}

type instance struct {
	*link.Server
	http *httptest.Server
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newWorld(t *testing.T, change func(*link.Config, *link.Deps)) *world {
	t.Helper()
	w := &world{t: t, redis: redistest.Start(t), logged: &safeBuffer{}}
	var err error
	w.blobs, err = blob.Open(t.Context(), filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.blobs.Close() })
	keys := testKeys(t)
	start := func() *instance {
		cfg := link.Config{Misses: 1_000_000}
		deps := link.Deps{
			Redis: w.redis.Client, Blobs: w.blobs, Keys: keys,
			Log: slog.New(slog.NewJSONHandler(w.logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
		}
		srv := httptest.NewUnstartedServer(nil)
		cfg.URL = "http://" + srv.Listener.Addr().String()
		if change != nil {
			change(&cfg, &deps)
		}
		s, err := link.New(cfg, deps)
		if err != nil {
			t.Fatal(err)
		}
		srv.Config.Handler = s.Handler()
		srv.Config.ErrorLog = slog.NewLogLogger(deps.Log.Handler(), slog.LevelWarn)
		srv.Start()
		t.Cleanup(srv.Close)
		return &instance{s, srv}
	}
	w.a, w.b = start(), start()
	return w
}

func testKeys(t *testing.T) *keyring.Ring {
	t.Helper()
	keys, err := keyring.Parse(fmt.Appendf(nil, `{"active":1,"keys":{"1":%q}}`, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// store puts data into the bucket.
func (w *world) store(key string, data []byte) {
	w.t.Helper()
	_, _, err := w.blobs.Create(w.t.Context(), key, "application/octet-stream", bytes.NewReader(data))
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) document(name, key string, data []byte) *linkv1.Document {
	w.t.Helper()
	w.store(key, data)
	sum := sha256.Sum256(data)
	return &linkv1.Document{Name: name, Key: key, Sha256: hex.EncodeToString(sum[:]), Size: int64(len(data)), Pages: 3, MediaType: "application/pdf"}
}

// request is a link for person n, whose one copy holds data.
func (w *world) request(n int, data []byte) *linkv1.CreateRequest {
	w.t.Helper()
	doc := w.document("Café “final” – Öl.pdf", fmt.Sprintf("art/default/r%d", n), data)
	doc.Thumbnail = fmt.Sprintf("art/default/r%d.png", n)
	var picture bytes.Buffer
	err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 8, 10)))
	if err != nil {
		w.t.Fatal(err)
	}
	w.store(doc.Thumbnail, picture.Bytes())
	return &linkv1.CreateRequest{
		Production: "default", Link: fmt.Sprintf("d1.r%d", n), Distribution: "d1", Mode: "link", Name: "Anna Lee",
		Email: fmt.Sprintf("anna%d@example.com", n), Title: "Call sheet, day 12", ProductionName: "The Long Road", Text: "Dear Anna,\n\nsee you <b>there</b>.",
		Documents: []*linkv1.Document{doc},
	}
}

func (w *world) create(req *linkv1.CreateRequest) {
	w.t.Helper()
	_, err := w.a.Create(w.t.Context(), req)
	if err != nil {
		w.t.Fatal(err)
	}
}

// path is where the link is, below any instance; its last element is the token.
func (w *world) path(id string) string {
	w.t.Helper()
	resp, err := w.a.Urls(w.t.Context(), &linkv1.UrlsRequest{Production: "default", Links: []string{id}})
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := url.Parse(resp.GetUrls()[id])
	if err != nil || u.Path == "" {
		w.t.Fatalf("no address for %s: %v %v", id, resp, err)
	}
	return u.Path
}

func (w *world) state(id string) *linkv1.LinkState {
	w.t.Helper()
	resp, err := w.b.GetLinks(w.t.Context(), &linkv1.GetLinksRequest{Production: "default", Links: []string{id}})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetLinks()[0]
}

func (w *world) revoke(links ...string) int {
	w.t.Helper()
	resp, err := w.a.Revoke(w.t.Context(), &linkv1.RevokeRequest{Production: "default", Distribution: "d1", Links: links})
	if err != nil {
		w.t.Fatal(err)
	}
	return int(resp.GetRevoked())
}

// browser is a person with a browser: cookies, no redirects followed unless asked.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type response struct {
	*http.Response
	body string
}

func (b *browser) do(method, url, body string, header ...string) response {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile Safari/604.1")
	req.Header.Set("Accept", "text/html,application/xhtml+xml")
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			req.Header.Del(header[i])
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response{resp, string(data)}
}

var formField = regexp.MustCompile(`name="form" value="([^"]+)"`)

func form(t *testing.T, page string) string {
	t.Helper()
	m := formField.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no form in %q", page)
	}
	return "form=" + url.QueryEscape(m[1])
}

// enter opens the link as a person does, and returns the address of the list.
func (b *browser) enter(origin, path string) string {
	b.t.Helper()
	landing := b.do("GET", origin+path, "")
	if landing.StatusCode != http.StatusOK {
		b.t.Fatalf("landing: %d %s", landing.StatusCode, landing.body)
	}
	opened := b.do("POST", origin+path, form(b.t, landing.body), "Origin", "null", "Sec-Fetch-Site", "same-origin")
	if opened.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("open: %d %s", opened.StatusCode, opened.body)
	}
	return origin + opened.Header.Get("Location")
}

var documentLink = regexp.MustCompile(`href="(/d/[^"/]+/[0-9a-f]{16})(?:/read)?"`)

// documents returns the addresses of the documents in a list.
func (b *browser) documents(origin, list string) []string {
	b.t.Helper()
	page := b.do("GET", list, "")
	if page.StatusCode != http.StatusOK {
		b.t.Fatalf("list: %d %s", page.StatusCode, page.body)
	}
	var urls []string
	for _, m := range documentLink.FindAllStringSubmatch(page.body, -1) {
		if u := origin + m[1]; len(urls) == 0 || urls[len(urls)-1] != u {
			urls = append(urls, u)
		}
	}
	return urls
}

// appSession is what an app gets for opening a link.
type appSession struct {
	Session   string
	Documents []struct {
		Name, URL, SHA256 string
		ThumbnailURL      string `json:"thumbnail_url"`
		Size              int64
		Pages             int
	}
}

func (w *world) openAsApp(origin, path string) appSession {
	w.t.Helper()
	resp := newBrowser(w.t).do("POST", origin+path, "", "Accept", "application/json", "User-Agent", "Production/4.1 (iOS)")
	var s appSession
	err := json.Unmarshal([]byte(resp.body), &s)
	if resp.StatusCode != http.StatusOK || err != nil {
		w.t.Fatalf("open as an app: %d %v %s", resp.StatusCode, err, resp.body)
	}
	return s
}

func wantFault(t *testing.T, err error, reason string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Reason != reason || f.Transient() {
		t.Fatalf("got %v, want a permanent fault %s", err, reason)
	}
}

func clone(req *linkv1.CreateRequest) *linkv1.CreateRequest {
	return proto.Clone(req).(*linkv1.CreateRequest)
}

func background(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }
