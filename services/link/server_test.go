package link_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
)

func TestAPersonOpensReadsAndLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	data := []byte(strings.Repeat("copy of Anna ", 10_000))
	w.create(w.request(1, data))
	person := newBrowser(t)
	origin := w.a.http.URL
	link := w.path("d1.r1")

	landing := person.do("GET", origin+link, "")
	for _, want := range []string{"The Long Road", "Call sheet, day 12", "Anna Lee", "1 document", "Open my document"} {
		if !strings.Contains(landing.body, want) {
			t.Errorf("the landing page does not say %q", want)
		}
	}
	if strings.Contains(landing.body, "Café") {
		t.Error("the landing page names documents before it was opened")
	}
	if got := w.state("d1.r1"); got.GetViews() != 0 || got.GetFirstViewedAt() != nil {
		t.Errorf("got %v after a GET, want no view", got)
	}
	list := person.enter(origin, link)
	if strings.Contains(list, path.Base(link)) {
		t.Error("the token is still in the address")
	}
	page := person.do("GET", list, "")
	for _, want := range []string{"Café “final” – Öl.pdf", "3 pages · 130 KB", "see you &lt;b&gt;there&lt;/b&gt;."} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the list does not say %q", want)
		}
	}
	got := w.state("d1.r1")
	if got.GetViews() != 1 || got.GetFirstViewedAt() == nil || got.GetDownloads() != 0 || got.GetAccess() != "active" {
		t.Errorf("got %v, want one view and no download", got)
	}
	document := person.documents(origin, list)[0]
	copied := person.do("GET", document, "")
	if copied.StatusCode != http.StatusOK || copied.body != string(data) {
		t.Errorf("got %d and %d bytes, want the copy", copied.StatusCode, len(copied.body))
	}
	if thumb := person.do("GET", document+"/thumbnail", ""); thumb.StatusCode != http.StatusOK || thumb.Header.Get("Content-Type") != "image/png" {
		t.Errorf("thumbnail: got %d %s", thumb.StatusCode, thumb.Header.Get("Content-Type"))
	}
	if got = w.state("d1.r1"); got.GetDownloads() != 1 || got.GetFirstDownloadedAt() == nil {
		t.Errorf("got %v, want one download", got)
	}
	left := person.do("POST", list+"/end", form(t, page.body), "Origin", "null")
	if left.StatusCode != http.StatusSeeOther || left.Header.Get("Location") != "/closed" {
		t.Fatalf("leave: got %d %s", left.StatusCode, left.body)
	}
	if again := person.do("GET", document, ""); again.StatusCode != http.StatusUnauthorized {
		t.Errorf("after leaving: got %d, want 401", again.StatusCode)
	}
	if back := person.do("GET", person.enter(origin, link), ""); back.StatusCode != http.StatusOK {
		t.Errorf("opening the link again: got %d", back.StatusCode)
	}
}

func TestAnAppDoesTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	data := []byte("copy of Anna")
	w.create(w.request(1, data))
	app := newBrowser(t)
	offer := app.do("GET", w.a.http.URL+w.path("d1.r1"), "", "Accept", "application/json")
	if !strings.Contains(offer.body, `"documents":1`) || !strings.Contains(offer.body, `"sender":"The Long Road"`) {
		t.Errorf("got offer %s", offer.body)
	}
	s := w.openAsApp(w.a.http.URL, w.path("d1.r1"))
	d := s.Documents[0]
	if d.Name != "Café “final” – Öl.pdf" || d.Size != 12 || d.Pages != 3 || d.SHA256 == "" {
		t.Errorf("got %+v", d)
	}
	got := app.do("GET", d.URL, "", "Accept", "*/*", "Authorization", "Bearer "+s.Session)
	if got.body != string(data) {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	if thumb := app.do("GET", d.ThumbnailURL, "", "Authorization", "Bearer "+s.Session); thumb.StatusCode != http.StatusOK {
		t.Errorf("thumbnail: got %d", thumb.StatusCode)
	}
	list := d.URL[:strings.LastIndexByte(d.URL, '/')]
	if got := app.do("GET", list, "", "Accept", "", "Authorization", "Bearer "+s.Session); !strings.Contains(got.body, `"sha256":"`+d.SHA256) {
		t.Errorf("list: got %d %s", got.StatusCode, got.body)
	}
	if end := app.do("POST", list+"/end", "", "Authorization", "Bearer "+s.Session, "Accept", "application/json"); end.StatusCode != http.StatusNoContent {
		t.Errorf("end: got %d %s", end.StatusCode, end.body)
	}
	ended := app.do("GET", list, "", "Accept", "application/json", "Authorization", "Bearer "+s.Session)
	want := `{"error":{"code":"SESSION_ENDED","message":"To keep them safe, documents stay open for a short while only. Open the link from your e-mail again.","retryable":false}}`
	if ended.StatusCode != http.StatusUnauthorized || ended.body != want {
		t.Errorf("got %d %s", ended.StatusCode, ended.body)
	}
}

func TestCreateIsIdempotent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	req := w.request(1, []byte("x"))
	const callers = 20
	got := make([]*linkv1.CreateResponse, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		server := []*instance{w.a, w.b}[i%2]
		wg.Go(func() { got[i], errs[i] = server.Create(background(t), clone(req)) })
	}
	wg.Wait()
	for i := range callers {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if got[i].String() != got[0].String() || got[i].GetLink() != "d1.r1" || got[i].GetGeneration() != 1 {
			t.Errorf("got %v and %v, want the same", got[i], got[0])
		}
	}
	if in := time.Until(got[0].GetExpiresAt().AsTime()); in < 29*24*time.Hour || in > 31*24*time.Hour {
		t.Errorf("expires in %s, want 30 days", in)
	}
	first := w.path("d1.r1")

	// Made again with another document, for the same person, it is the same link.
	req.Documents = append(req.Documents, w.document("Second.pdf", "art/default/second", []byte("y")))
	w.create(req)
	if w.path("d1.r1") != first {
		t.Error("the address changed")
	}
	person := newBrowser(t)
	if docs := person.documents(w.b.http.URL, person.enter(w.b.http.URL, first)); len(docs) != 2 {
		t.Errorf("got %d documents, want 2", len(docs))
	}
	other := clone(req)
	other.Email = "bob@example.com"
	_, err := w.a.Create(t.Context(), other)
	wantFault(t, err, "LINK_DIFFERENT")
	other = clone(req)
	other.Distribution = "d2"
	_, err = w.a.Create(t.Context(), other)
	wantFault(t, err, "LINK_DIFFERENT")
}

func TestProductionsDoNotMeet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	req := w.request(1, []byte("x"))
	w.create(req)
	other := clone(req)
	other.Production = "other"
	w.create(other)
	urls, err := w.a.Urls(t.Context(), &linkv1.UrlsRequest{Production: "other", Links: []string{"d1.r1"}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(urls.GetUrls()["d1.r1"], w.path("d1.r1")) {
		t.Error("two productions have the same token")
	}
	_, err = w.a.Revoke(t.Context(), &linkv1.RevokeRequest{Production: "other", Distribution: "d1"})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.state("d1.r1").GetAccess(); got != "active" {
		t.Errorf("got %s after another production revoked its own, want active", got)
	}
	links, err := w.a.GetLinks(t.Context(), &linkv1.GetLinksRequest{Production: "third", Links: []string{"d1.r1", "d1.r2"}})
	if err != nil || len(links.GetLinks()) != 2 || links.GetLinks()[0].GetAccess() != "" || links.GetLinks()[1].GetLink() != "d1.r2" {
		t.Errorf("got %v %v, want two empty states", links, err)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for n := 1; n <= 3; n++ {
		w.create(w.request(n, fmt.Appendf(nil, "copy %d", n)))
	}
	paths := []string{w.path("d1.r1"), w.path("d1.r2"), w.path("d1.r3")}
	person := newBrowser(t)
	list := person.enter(w.b.http.URL, paths[0])

	_, err := w.a.Revoke(t.Context(), &linkv1.RevokeRequest{Production: "default", Distribution: "d2", Links: []string{"d1.r1"}})
	if err != nil || w.state("d1.r1").GetAccess() != "active" {
		t.Errorf("a link was revoked as another distribution's: %v", err)
	}
	if n := w.revoke("d1.r1", "d1.r1", "d1.r9"); n != 1 {
		t.Errorf("revoked %d, want 1", n)
	}
	for _, i := range []*instance{w.a, w.b} {
		gone := person.do("GET", i.http.URL+paths[0], "")
		if gone.StatusCode != http.StatusGone || !strings.Contains(gone.body, "This link was taken back") {
			t.Errorf("got %d, want 410 in plain words", gone.StatusCode)
		}
	}
	if got := person.do("GET", list, ""); got.StatusCode != http.StatusGone {
		t.Errorf("a session that was open: got %d, want 410", got.StatusCode)
	}
	_, err = w.a.Create(t.Context(), w.requestAgain(1))
	wantFault(t, err, "LINK_REVOKED")
	_, err = w.a.Create(t.Context(), w.request(9, []byte("copy 9")))
	wantFault(t, err, "LINK_REVOKED") // was revoked before it was made

	if n := w.revoke(); n != 2 {
		t.Errorf("revoked %d of the distribution, want the 2 that were left", n)
	}
	if n := w.revoke(); n != 0 {
		t.Errorf("revoked %d again", n)
	}
	_, err = w.a.Create(t.Context(), w.request(4, []byte("copy 4")))
	wantFault(t, err, "LINK_REVOKED")
	if got := w.state("d1.r2").GetAccess(); got != "revoked" {
		t.Errorf("got %s, want revoked", got)
	}
	urls, err := w.a.Urls(t.Context(), &linkv1.UrlsRequest{Production: "default", Links: []string{"d1.r1", "d1.r2", "nobody"}})
	if err != nil || len(urls.GetUrls()) != 0 {
		t.Errorf("got %v %v, want no addresses of revoked links", urls, err)
	}
}

// requestAgain is the request whose copy is stored already.
func (w *world) requestAgain(n int) *linkv1.CreateRequest {
	sum := sha256.Sum256(fmt.Appendf(nil, "copy %d", n))
	return &linkv1.CreateRequest{
		Production: "default", Link: fmt.Sprintf("d1.r%d", n), Distribution: "d1", Mode: "link", Email: fmt.Sprintf("anna%d@example.com", n),
		Documents: []*linkv1.Document{{Name: "x.pdf", Key: fmt.Sprintf("art/default/r%d", n), Sha256: hex.EncodeToString(sum[:]), Size: 6}},
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	req := w.request(1, []byte("x"))
	req.Lifetime = 1
	w.create(req)
	link := w.path("d1.r1")
	person := newBrowser(t)
	list := person.enter(w.a.http.URL, link)
	waitFor(t, 5*time.Second, func() bool { return w.state("d1.r1").GetAccess() == "expired" })
	gone := person.do("GET", w.a.http.URL+link, "")
	if gone.StatusCode != http.StatusGone || !strings.Contains(gone.body, "This link has expired") {
		t.Errorf("got %d, want 410 in words of its own", gone.StatusCode)
	}
	if got := person.do("GET", list, "").StatusCode; got != http.StatusGone && got != http.StatusUnauthorized {
		t.Errorf("a session that was open: got %d", got)
	}
	urls, err := w.a.Urls(t.Context(), &linkv1.UrlsRequest{Production: "default", Links: []string{"d1.r1"}})
	if err != nil || len(urls.GetUrls()) != 0 {
		t.Errorf("got %v %v, want no address", urls, err)
	}
	req.Lifetime = 1 << 40
	_, err = w.a.Create(t.Context(), req)
	wantFault(t, err, "LINK_LIFETIME_INVALID")
}

// waitFor polls until ok.
func waitFor(t *testing.T, d time.Duration, ok func() bool) {
	t.Helper()
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-end.C:
			t.Fatal("it did not come true")
		case <-tick.C:
		}
	}
}

// Whatever was written must not let a reader of Redis, or of the log, open a link or a session.
func TestNoSecretIsStoredOrLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create(w.request(1, []byte("x")))
	link := w.path("d1.r1")
	person := newBrowser(t)
	person.documents(w.a.http.URL, person.enter(w.a.http.URL, link))
	session := w.openAsApp(w.a.http.URL, link)
	_, secret, _ := strings.Cut(session.Session, ".")
	w.revoke()
	person.do("GET", w.a.http.URL+link, "")
	person.do("GET", w.a.http.URL+link+"x", "")

	dump, keys := w.dump()
	if keys < 6 {
		t.Fatalf("only %d keys were looked at", keys)
	}
	dump += w.logged.String()
	for _, s := range []string{path.Base(link), secret} {
		raw, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		for form, text := range map[string]string{
			"as it is": s, "raw": string(raw), "hex": hex.EncodeToString(raw), "base64": base64.StdEncoding.EncodeToString(raw),
		} {
			if strings.Contains(strings.ToLower(dump), strings.ToLower(text)) {
				t.Errorf("a secret is in Redis or the log, %s", form)
			}
		}
	}
	if strings.Contains(w.logged.String(), "Anna") || strings.Contains(w.logged.String(), "anna1@") || strings.Contains(w.logged.String(), "Café") {
		t.Error("people or documents are named in the log")
	}
	if strings.Contains(dump, "anna1@example.com") {
		t.Error("the recipient's address is stored")
	}
}

// dump is everything in Redis as text.
func (w *world) dump() (string, int) {
	w.t.Helper()
	ctx, c := w.t.Context(), w.redis.Client
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil {
		w.t.Fatal(err)
	}
	var b strings.Builder
	for _, key := range keys {
		if !strings.HasPrefix(key, "{l:") {
			w.t.Errorf("key %s is not one of link's", key)
		}
		if ttl := c.PTTL(ctx, key).Val(); ttl <= 0 {
			w.t.Errorf("key %s stays for ever (%v)", key, ttl)
		}
		var v any
		switch kind := c.Type(ctx, key).Val(); kind {
		case "hash":
			v = c.HGetAll(ctx, key).Val()
		case "string":
			v = c.Get(ctx, key).Val()
		case "zset":
			v = c.ZRange(ctx, key, 0, -1).Val()
		case "stream":
			v = c.XRange(ctx, key, "-", "+").Val()
		default:
			w.t.Errorf("key %s is a %s", key, kind)
		}
		fmt.Fprintf(&b, "%s %v\n", key, v)
	}
	return b.String(), len(keys)
}

func TestScannersChangeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create(w.request(1, []byte("x")))
	link := w.a.http.URL + w.path("d1.r1")
	before := w.state("d1.r1")
	shapes := [][]string{
		{"GET", "User-Agent", "Mozilla/5.0 (compatible; Barracuda Sentinel)", "Accept", "*/*"},
		{"HEAD", "User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Proofpoint"},
		{"OPTIONS", "User-Agent", "Microsoft Office Protocol Discovery", "Accept", ""},
		{"GET", "Sec-Purpose", "prefetch;prerender", "Purpose", "prefetch"},
		{"GET", "User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}, // hides
		{"POST", "User-Agent", "python-requests/2.31", "Accept", "*/*"},                                                  // presses at random
	}
	for _, s := range shapes {
		for range 100 {
			got := newBrowser(t).do(s[0], link, "", s[1:]...)
			if len(got.Header.Values("Set-Cookie")) > 0 || got.StatusCode == http.StatusSeeOther {
				t.Fatalf("%v opened a session", s)
			}
		}
	}
	if diff := cmp.Diff(before.String(), w.state("d1.r1").String()); diff != "" {
		t.Errorf("scanners changed the link (-before +after):\n%s", diff)
	}
	dump, _ := w.dump()
	for _, want := range []string{"opens_machine:300", "opens_unknown:100"} {
		if !strings.Contains(dump, want) {
			t.Errorf("automated opens are not counted apart: %s is missing", want)
		}
	}
	if n := strings.Count(dump, "kind:open"); n > 50 {
		t.Errorf("%d opens in the log, want it bounded", n)
	}
	if strings.Contains(dump, "127.0.0.1") || strings.Contains(dump, "Mozilla") || strings.Contains(dump, "python") {
		t.Error("addresses or devices are stored")
	}
	person := newBrowser(t)
	person.enter(w.a.http.URL, w.path("d1.r1"))
	if got := w.state("d1.r1").GetViews(); got != 1 {
		t.Errorf("got %d views after one person, want 1", got)
	}
}
