package e2e_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/filigreehq/filigree/pkg/need"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// A mark that could not be drawn, or that pages cannot show, is found out before anything is sent.
func TestMarksThatCannotBe(t *testing.T) {
	t.Parallel()
	need.Programs(t, "qpdf")
	s := installation(t)
	c := s.api("coordinator")
	docs, _ := sampleDocuments(t)
	good := docs[1]

	people := filepath.Join(t.TempDir(), "people.csv")
	err := os.WriteFile(people, []byte("name,email\nAda,ada@example.com\nB\ue123b,bob@example.com\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s.cli(t, "send", "--file", good.path, "--to", people).exits(t, "a name that no font has", 1, "MARK_GLYPH_MISSING", "recipient 2", "U+E123", "nothing was sent")
	s.cli(t, "send", "--file", good.path, "--to", people, "--layout", "spiral").exits(t, "a layout there is not", 1, "MARK_STYLE_BAD", "spiral")
	f, err := c.upload(good.name, good.data)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.create(&distributionv1.CreateDistributionRequest{
		Files: []*distributionv1.FileRef{{Sha256: f.GetSha256()}}, Recipients: crowd(1), MarkStyle: &distributionv1.MarkStyle{Color: "red"},
	}, rand.Text())
	refusedAs(t, "a colour's name", err, 400, "MARK_STYLE_BAD", "red")

	// Black on black letters: nobody could read them.
	req, id := order(t, c, []document{good}, &distributionv1.CreateDistributionRequest{
		Recipients: crowd(2), MarkStyle: &distributionv1.MarkStyle{Layout: "tiled", Color: "#000000", Opacity: 100, Size: 60},
	})
	a := judged(t, s, req, id, time.Minute)
	if len(a.Mails) != 0 || a.Distribution.GetState() != "failed" {
		t.Errorf("it ended %s with %d mails, want failed and none", a.Distribution.GetState(), len(a.Mails))
	}
	for _, i := range a.Items {
		if i.GetError().GetCode() != "MARK_OBSCURES_TEXT" || i.GetSteps()[0].GetName() != "prepare" || i.GetSteps()[0].GetState() != "failed" {
			t.Errorf("%s failed with %v, steps %v; want prepare to fail with MARK_OBSCURES_TEXT", i.GetId(), i.GetError(), i.GetSteps())
		}
	}

	// And one that can be is in everybody's copy.
	got := s.cli(t, "send", "--file", good.path, "--to", one(t), "--mark", "{name}", "--layout", "tiled", "--color", "#336699",
		"--opacity", "30", "--size", "20", "--pages", "1", "--wait=60s", "--json")
	got.exits(t, "a style", 0, `"completed"`)
}

// one is a list of one person.
func one(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "one.csv")
	err := os.WriteFile(path, []byte("name,email\nAda,ada@example.com\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A document with usage restrictions is taken by the production that says so, and by no other, though it has the same.
func TestRestrictedDocuments(t *testing.T) {
	t.Parallel()
	need.Programs(t, "qpdf")
	s := installation(t)
	docs, _ := sampleDocuments(t)
	restricted := filepath.Join(t.TempDir(), "restricted.pdf")
	_, err := tool(t, "qpdf", "--encrypt", "", "owner", "256", "--print=none", "--modify=none", "--", docs[1].path, restricted)
	if err != nil {
		t.Fatal(err)
	}
	doc := load(t, restricted)
	admin := []string{"FILIGREE_URL=" + s.url, "FILIGREE_TOKEN=" + s.tokens["admin"]}
	id := "open-" + strings.ToLower(rand.Text()[:8])
	command(t, admin, "production", "create", "Open House", "--id", id, "--open-restricted").exits(t, "create a production", 0, id)
	open, closed := s.api("coordinator"), s.api("coordinator")
	open.production = id

	upload := func(c *client, want string) {
		t.Helper()
		f, err := c.looked(t, doc.name, doc.data)
		if err != nil {
			t.Fatal(err)
		}
		code := map[string]string{"refused": "PDF_ENCRYPTED"}[want]
		if f.GetVerdict() != want || f.GetErrorCode() != code {
			t.Errorf("upload to %s: %v, want %s", c.production, f, want)
		}
	}
	// send sends to two people and returns how it ended.
	send := func(c *client, want string) []*distributionv1.Item {
		t.Helper()
		_, sent := order(t, c, []document{doc}, &distributionv1.CreateDistributionRequest{Recipients: crowd(2)})
		d := c.ended(t, sent, time.Minute)
		items, err := c.items(sent, 10)
		if err != nil || d.GetState() != want || len(items) != 2 {
			t.Fatalf("sent in %s: %v %v, want %s", c.production, d, err, want)
		}
		return items
	}
	encrypted := func(items []*distributionv1.Item) {
		t.Helper()
		for _, i := range items {
			if i.GetError().GetCode() != "PDF_ENCRYPTED" || i.GetSha256() != "" {
				t.Errorf("%s: %v, want it refused with PDF_ENCRYPTED", i.GetId(), i)
			}
		}
	}

	upload(open, "ok")
	upload(closed, "refused")
	for n, i := range send(open, "completed") {
		path := fmt.Sprintf("/distributions/%s/items/%s", strings.Split(i.GetId(), ".")[0], i.GetId())
		data, err := open.call(http.MethodGet, path+"/copy", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), fmt.Sprintf("copy%d.pdf", n))
		err = os.WriteFile(copied, data, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		said, err := tool(t, "qpdf", "--show-encryption", copied)
		if err != nil || !strings.Contains(said, "not encrypted") {
			t.Errorf("the copy: %q %v, want one without restrictions", said, err)
		}
		_, err = open.call(http.MethodGet, path+"/thumbnail", nil, nil)
		if err != nil {
			t.Errorf("the thumbnail: %v", err)
		}
	}
	encrypted(send(closed, "failed"))
	preview := fmt.Sprintf("/files/%x", sha256.Sum256(doc.data)) + "/preview?name=Ada&email=ada@example.com"
	_, err = open.call(http.MethodGet, preview, nil, nil)
	if err != nil {
		t.Errorf("a preview where it is taken: %v", err)
	}
	_, err = closed.call(http.MethodGet, preview, nil, nil)
	refusedAs(t, "a preview where it is not", err, 400, "PDF_ENCRYPTED")

	// Off again, all is as it was; a coordinator cannot turn it on.
	_, err = open.call(http.MethodPatch, "", []byte(`{"open_restricted":true}`), nil)
	refusedAs(t, "a coordinator's wish", err, 403, "ROLE_MISSING")
	command(t, admin, "production", "set", id, "--no-open-restricted").exits(t, "turn it off", 0, "takes no")
	p := &directoryv1.Production{}
	text, err := open.call(http.MethodGet, "", nil, nil)
	if err == nil {
		err = protojson.Unmarshal(text, p)
	}
	if err != nil || p.GetOpenRestricted() {
		t.Errorf("got %v %v, want the setting off", p, err)
	}
	upload(open, "refused")
	encrypted(send(open, "failed"))
	_, err = open.call(http.MethodGet, preview, nil, nil)
	refusedAs(t, "a preview where it is not any more", err, 400, "PDF_ENCRYPTED")
}
