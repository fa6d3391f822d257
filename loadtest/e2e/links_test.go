package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/mail"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/filigreehq/filigree/pkg/need"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/loadtest/internal/ledger"
)

// Twenty people get links to their copies, and machines look at the links before they do. Each opens theirs in a
// browser, on a phone or at a desk, and saves a copy, which is their own. Then the links are taken back, and nobody
// sees anything any more.
func TestLinksInABrowser(t *testing.T) {
	t.Parallel()
	need.Programs(t, "chromium")
	s := installation(t)
	c := s.api("coordinator")
	docs, _ := sampleDocuments(t)
	req, id := order(t, c, docs[:2], &distributionv1.CreateDistributionRequest{Mode: "link", Recipients: crowd(20)})
	d := c.ended(t, id, 2*time.Minute)
	if d.GetState() != "completed" {
		t.Fatalf("it ended %s, want completed", d.GetState())
	}
	readers := readersOf(t, s, req, id)

	for _, r := range readers {
		r.scan(t)
	}
	used(t, c, id, false, "after the scanners")

	desk := startBrowser(t)
	for _, r := range readers {
		r.open(t, desk)
	}
	used(t, c, id, false, "after people have looked at the page with the button")

	for _, r := range readers {
		r.enter(t)
		r.save(t)
	}
	used(t, c, id, true, "after everybody has saved a copy")
	for _, r := range readers[:2] { // one with a phone and one at a desk
		r.read(t)
	}

	ended := revoke(t, c, id)
	if ended.GetLinksRevoked() != 20 {
		t.Errorf("revoking ended %d links, want 20", ended.GetLinksRevoked())
	}
	await(t, time.Second, "all links answer 410", func() (bool, error) {
		for _, r := range readers {
			status, err := knock(http.MethodGet, r.link, nil)
			if err != nil || status != http.StatusGone {
				return false, fmt.Errorf("%s: %d, %w", r.email, status, err)
			}
		}
		return true, nil
	})
	for _, r := range readers {
		r.comeBack(t)
	}
}

// A reader is a person with a link and a screen.
type reader struct {
	email, title string
	link         string
	copies       map[string]string // the SHA-256 of their copies by name
	saves        string            // the name of the copy they save
	wide         bool
	shots        string // where pictures of what they see go; empty: nowhere

	tab context.Context
}

// readersOf makes a reader of each recipient, half of them on phones.
func readersOf(t *testing.T, s system, req *distributionv1.CreateDistributionRequest, id string) []*reader {
	t.Helper()
	a := account(t, s.api("coordinator"), s.box, req, id)
	if len(a.Mails) != len(req.GetRecipients()) {
		t.Fatalf("%d mails for %d people", len(a.Mails), len(req.GetRecipients()))
	}
	shots := os.Getenv("FILIGREE_SCREENSHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	var all []*reader
	links := map[string]string{}
	for i, m := range a.Mails {
		r := &reader{email: m.To, title: req.GetTitle(), wide: i%2 == 1, copies: map[string]string{}}
		r.link = linkIn(t, s.box, m.Where)
		if other := links[r.link]; other != "" || len(m.Attachments) > 0 {
			t.Fatalf("the mail of %s has %d attachments and the link of %q", r.email, len(m.Attachments), other)
		}
		links[r.link] = r.email
		for _, item := range a.Items {
			if item.GetRecipient().GetEmail() == r.email {
				r.copies[item.GetFile().GetName()] = item.GetSha256()
			}
		}
		r.saves = req.GetFiles()[i/2%2].GetName()
		if i < 2 {
			r.shots = shots
		}
		all = append(all, r)
	}
	return all
}

var linkPattern = regexp.MustCompile(`https?://[^\s/]+/l/[A-Za-z0-9_-]+`)

// linkIn returns the one link in a mail's plain text.
func linkIn(t *testing.T, box ledger.Box, where string) string {
	t.Helper()
	f, err := box.Open(where)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := mail.ReadMessage(f)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	text, err := plainText(m.Header.Get("Content-Type"), m.Body)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	found := slices.Compact(linkPattern.FindAllString(string(text), -1))
	if len(found) != 1 {
		t.Fatalf("%s has the links %q in its text, want one:\n%s", where, found, text)
	}
	return found[0]
}

// plainText finds the first text/plain of a mail.
func plainText(contentType string, body io.Reader) ([]byte, error) {
	kind, attributes, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return nil, err
	case kind == "text/plain":
		return io.ReadAll(body)
	case !strings.HasPrefix(kind, "multipart/"):
		return nil, io.EOF
	}
	parts := multipart.NewReader(body, attributes["boundary"])
	for {
		part, err := parts.NextPart()
		if err != nil {
			return nil, err
		}
		text, err := plainText(part.Header.Get("Content-Type"), part)
		if !errors.Is(err, io.EOF) {
			return text, err
		}
	}
}

// scan does what mail scanners and previews do with a link before the recipient sees it.
func (r *reader) scan(t *testing.T) {
	t.Helper()
	const person = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	for _, look := range []struct {
		method string
		header map[string]string
		want   int
	}{
		{http.MethodHead, map[string]string{"User-Agent": "curl/8.5.0"}, 200},
		{http.MethodGet, map[string]string{"User-Agent": "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))", "Accept": "*/*"}, 200},
		{http.MethodGet, map[string]string{"User-Agent": person, "Accept": "text/html"}, 200},
		{http.MethodOptions, map[string]string{"User-Agent": "Microsoft Office Protocol Discovery"}, 204},
		{http.MethodGet, map[string]string{"User-Agent": person, "Accept": "text/html", "Sec-Purpose": "prefetch;prerender"}, 200},
	} {
		status, err := knock(look.method, r.link, look.header)
		if err != nil || status != look.want {
			t.Errorf("%s by %s: got %d, %v; want %d", look.method, look.header["User-Agent"], status, err, look.want)
		}
	}
}

// knock makes one request without following it anywhere.
func knock(method, url string, header map[string]string) (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, err
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

// used waits until the API says of everybody that they have seen and fetched their copies, or checks that it says so of
// nobody.
func used(t *testing.T, c *client, id string, want bool, when string) {
	t.Helper()
	var list []*distributionv1.Recipient
	all := func() (bool, error) {
		var err error
		list, err = c.recipients(id, 100)
		for _, r := range list {
			d := r.GetDelivery()
			if (d.GetViewedAt() != nil) != want || (d.GetDownloadedAt() != nil) != want {
				return false, fmt.Errorf("%s viewed at %v, downloaded at %v", r.GetEmail(), d.GetViewedAt(), d.GetDownloadedAt())
			}
		}
		return err == nil && len(list) == 20, err
	}
	if want {
		await(t, 5*time.Second, "the API knows of everybody, "+when, all)
		return
	}
	ok, err := all()
	if !ok {
		t.Errorf("%s: %v; want nothing changed", when, err)
	}
}

func revoke(t *testing.T, c *client, id string) *distributionv1.RevokeDistributionResponse {
	t.Helper()
	text, err := c.call(http.MethodPost, "/distributions/"+id+":revoke", []byte("{}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp := &distributionv1.RevokeDistributionResponse{}
	err = protojson.Unmarshal(text, resp)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
