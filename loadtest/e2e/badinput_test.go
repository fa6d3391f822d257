package e2e_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/need"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// wrecks are documents that no copy can be made of, each with the code that says why.
func wrecks(t *testing.T, good document) map[string]document {
	t.Helper()
	need.Programs(t, "qpdf")
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked.pdf")
	_, err := tool(t, "qpdf", "--encrypt", "secret", "owner", "256", "--", good.path, locked)
	if err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, "long.pdf")
	_, err = tool(t, "qpdf", "--empty", "--pages", good.path, strings.Repeat("1,", 5000)+"1", "--", long)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) document {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, data, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return document{name, path, data}
	}
	return map[string]document{
		"PDF_TOO_MANY_PAGES": load(t, long),
		"PDF_BROKEN":         write("broken.pdf", append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte("1 0 obj << /Type /Nothing "), 40)...)),
		"PDF_ENCRYPTED":      load(t, locked),
		"FILE_EMPTY":         write("nothing.pdf", nil),
		"PDF_NOT_A_PDF":      write("notes.pdf", []byte("These are notes for the second unit, and no PDF.\n")),
	}
}

// Documents that cannot be copied get their answer at the upload; sent all the same, their items fail by that code and
// the others go on.
func TestBadDocuments(t *testing.T) {
	t.Parallel()
	s := installation(t)
	c := s.api("coordinator")
	docs, _ := sampleDocuments(t)
	good := docs[1]
	all := []document{good}
	codes := map[string]string{} // by document's name
	for code, doc := range wrecks(t, good) {
		f, err := c.looked(t, doc.name, doc.data)
		if err != nil {
			t.Errorf("upload %s: %v, want it stored with a verdict", doc.name, err)
			continue
		}
		if f.GetVerdict() != "refused" || f.GetErrorCode() != code || len(f.GetErrorMessage()) < 20 {
			t.Errorf("upload %s: got %s, %s, %q; want refused, %s and a sentence", doc.name, f.GetVerdict(), f.GetErrorCode(), f.GetErrorMessage(), code)
		}
		all = append(all, doc)
		codes[doc.name] = code
	}
	_, err := c.upload("", good.data)
	refusedAs(t, "a document without a name", err, 400, "NAME_MISSING", "name")

	req, id := order(t, c, all, &distributionv1.CreateDistributionRequest{Recipients: crowd(3)})
	a := judged(t, s, req, id, time.Minute)
	if a.Distribution.GetState() != "completed_with_failures" || len(a.Mails) != 3 {
		t.Errorf("it ended %s with %d mails, want completed_with_failures and 3", a.Distribution.GetState(), len(a.Mails))
	}
	for _, i := range a.Items {
		want, bad := codes[i.GetFile().GetName()]
		switch {
		case bad && (i.GetState() != "failed" || i.GetError().GetCode() != want || i.GetError().GetRetryable()):
			t.Errorf("%s for %s is %s with %v, want failed with %s", i.GetFile().GetName(), i.GetRecipient().GetEmail(), i.GetState(), i.GetError(), want)
		case !bad && i.GetState() != "done":
			t.Errorf("%s for %s is %s, want done", i.GetFile().GetName(), i.GetRecipient().GetEmail(), i.GetState())
		}
	}

	// With the policy hold, people get all or nothing.
	req, id = order(t, c, all, &distributionv1.CreateDistributionRequest{Recipients: crowd(2), Policy: &distributionv1.Policy{OnFailure: "hold"}})
	a = judged(t, s, req, id, time.Minute)
	if len(a.Mails) != 0 || a.Distribution.GetItems().GetDone() != 0 {
		t.Errorf("%d mails and items %v under the policy hold, want none", len(a.Mails), a.Distribution.GetItems())
	}
	for _, r := range a.Recipients {
		if d := r.GetDelivery(); d.GetError().GetMessage() == "" {
			t.Errorf("the delivery to %s is %s and says no reason", r.GetEmail(), d.GetState())
		}
	}

	// Nothing but bad documents: nobody gets a mail without any.
	req, id = order(t, c, all[1:], &distributionv1.CreateDistributionRequest{Recipients: crowd(2)})
	a = judged(t, s, req, id, time.Minute)
	if len(a.Mails) != 0 || a.Distribution.GetState() != "failed" {
		t.Errorf("of bad documents only: %d mails, and it ended %s; want none and failed", len(a.Mails), a.Distribution.GetState())
	}
}

// Requests that cannot be served are refused by a stable code and a sentence that names what is wrong.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := installation(t)
	c := s.api("coordinator")
	docs, _ := sampleDocuments(t)
	f, err := c.upload(docs[1].name, docs[1].data)
	if err != nil {
		t.Fatal(err)
	}
	file := &distributionv1.FileRef{Sha256: f.GetSha256()}
	elsewhere := &distributionv1.FileRef{Sha256: strings.Repeat("ab", 32)}
	person := crowd(1)
	type creation = distributionv1.CreateDistributionRequest
	for _, bad := range []struct {
		what  string
		req   *creation
		code  string
		words []string
	}{
		{"a field nobody has", &creation{Files: []*distributionv1.FileRef{file}, Recipients: person, Mark: "{name} {shoesize}"}, "MARK_FIELD_UNKNOWN", []string{"{shoesize}", "{email}"}},
		{"a broken mark", &creation{Files: []*distributionv1.FileRef{file}, Recipients: person, Mark: "{name"}, "MARK_TEMPLATE_BROKEN", nil},
		{"no address", &creation{Files: []*distributionv1.FileRef{file}, Recipients: []*distributionv1.RecipientInput{{Name: "Ada", Email: "nowhere"}}}, "RECIPIENT_INVALID", []string{"nowhere", "1"}},
		{"somebody twice", &creation{Files: []*distributionv1.FileRef{file}, Recipients: append(crowd(1), crowd(1)...)}, "RECIPIENT_INVALID", []string{"person01@example.com"}},
		{"a file twice", &creation{Files: []*distributionv1.FileRef{file, file}, Recipients: person}, "FILE_DUPLICATE", []string{f.GetSha256()}},
		{"nobody", &creation{Files: []*distributionv1.FileRef{file}}, "INVALID", []string{"recipients"}},
		{"nothing", &creation{Recipients: person}, "INVALID", []string{"files"}},
		{"a mode there is not", &creation{Files: []*distributionv1.FileRef{file}, Recipients: person, Mode: "pigeon"}, "INVALID", []string{"mode"}},
	} {
		_, err := c.create(bad.req, rand.Text())
		refusedAs(t, bad.what, err, 400, bad.code, bad.words...)
	}
	_, err = c.create(&creation{Files: []*distributionv1.FileRef{elsewhere}, Recipients: person}, rand.Text())
	refusedAs(t, "a file that was not uploaded", err, 404, "FILE_UNKNOWN", elsewhere.GetSha256())
	_, err = c.create(&creation{Files: []*distributionv1.FileRef{file}, Recipients: person}, "")
	refusedAs(t, "no idempotency key", err, 400, "IDEMPOTENCY_KEY_MISSING", "Idempotency-Key")
	_, err = c.call(http.MethodPost, "/distributions", []byte(`{"files": [`), map[string]string{"Idempotency-Key": "k"})
	refusedAs(t, "half a request", err, 400, "INVALID")
	_, err = c.call(http.MethodPost, "/distributions", []byte(`{"recipents": []}`), map[string]string{"Idempotency-Key": "k"})
	refusedAs(t, "a misspelt field", err, 400, "INVALID", "recipents")
	_, err = c.call(http.MethodGet, "/nothing", nil, nil)
	refusedAs(t, "a path there is not", err, 404, "PATH_UNKNOWN")
	_, err = c.distribution("01ARZ3NDEKTSV4RRFFQ69G5FAV")
	refusedAs(t, "a distribution there is not", err, 404, "DISTRIBUTION_UNKNOWN", "01ARZ3NDEKTSV4RRFFQ69G5FAV")

	nobody := &client{base: s.url, production: "default"}
	_, err = nobody.distributions(1)
	refusedAs(t, "no token", err, 401, "TOKEN_MISSING", "Authorization")
	nobody.token = "fg_" + strings.Repeat("x", 43)
	_, err = nobody.distributions(1)
	refusedAs(t, "a wrong token", err, 401, "TOKEN_UNKNOWN", "token")
	_, err = s.api("oncall").create(&creation{Files: []*distributionv1.FileRef{file}, Recipients: person}, rand.Text())
	refusedAs(t, "a role that may not send", err, 403, "ROLE_MISSING", "oncall")
}

// What belongs to another production does not exist for who may not act there: not by its id, not by its digest, and
// the production is not even there.
func TestOtherProduction(t *testing.T) {
	t.Parallel()
	s := installation(t)
	admin := s.api("admin")
	mine, theirs := "mine-"+strings.ToLower(rand.Text()[:8]), "theirs-"+strings.ToLower(rand.Text()[:8])
	tokens := map[string]string{}
	for _, id := range []string{mine, theirs} {
		body, err := json.Marshal(map[string]string{"id": id, "name": "Production " + id})
		if err != nil {
			t.Fatal(err)
		}
		_, err = admin.do(http.MethodPost, "/v1/productions", body, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err = json.Marshal(map[string]any{"role": "coordinator", "productions": []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := admin.do(http.MethodPost, "/v1/tokens", body, nil)
		if err != nil {
			t.Fatal(err)
		}
		var made struct{ Token string }
		err = json.Unmarshal(answer, &made)
		if err != nil || made.Token == "" {
			t.Fatalf("the token is not in %s: %v", answer, err)
		}
		tokens[id] = made.Token
	}
	docs, _ := sampleDocuments(t)
	owner := &client{base: s.url, token: tokens[theirs], production: theirs}
	req, id := order(t, owner, docs[1:2], &distributionv1.CreateDistributionRequest{Recipients: crowd(1), Password: "generate"})
	owner.ended(t, id, time.Minute)

	reader := &client{base: s.url, token: tokens[mine], production: mine}
	_, err := reader.distribution(id)
	refusedAs(t, "their distribution by its id", err, 404, "DISTRIBUTION_UNKNOWN", id)
	_, err = reader.items(id, 10)
	refusedAs(t, "its items", err, 404, "DISTRIBUTION_UNKNOWN", id)
	_, err = reader.recipients(id, 10)
	refusedAs(t, "its recipients", err, 404, "DISTRIBUTION_UNKNOWN", id)
	_, err = reader.events(id, 10)
	refusedAs(t, "its events", err, 404, "DISTRIBUTION_UNKNOWN", id)
	_, err = reader.cancel(id)
	refusedAs(t, "cancelling it", err, 404, "DISTRIBUTION_UNKNOWN", id)
	_, err = reader.create(&distributionv1.CreateDistributionRequest{Files: req.GetFiles(), Recipients: crowd(1)}, rand.Text())
	refusedAs(t, "sending their file", err, 404, "FILE_UNKNOWN", req.GetFiles()[0].GetSha256())
	reader.production = theirs
	_, err = reader.distribution(id)
	refusedAs(t, "their production", err, 404, "PRODUCTION_UNKNOWN", theirs)
	_, err = reader.call(http.MethodPost, "/recipients/"+id+".r1:revealPassword", []byte("{}"), nil)
	refusedAs(t, "their passwords", err, 404, "PRODUCTION_UNKNOWN", theirs)
	_, err = reader.upload("mine.pdf", docs[1].data)
	refusedAs(t, "an upload into it", err, 404, "PRODUCTION_UNKNOWN", theirs)
	reader.production = "no-such-production"
	_, err = reader.distributions(10)
	refusedAs(t, "a production there is not", err, 404, "PRODUCTION_UNKNOWN", "no-such-production")

	// The passwords differ by recipient's id, which names the distribution; the production is part of them all the same.
	reader.production = mine
	theirWord := reveal(t, owner, id+".r1")
	answer, err := reader.call(http.MethodPost, "/recipients/"+id+".r1:revealPassword", []byte("{}"), nil)
	if err == nil && strings.Contains(string(answer), theirWord) {
		t.Error("their recipient's password can be had through another production")
	}
}

func reveal(t *testing.T, c *client, recipient string) string {
	t.Helper()
	answer, err := c.call(http.MethodPost, "/recipients/"+recipient+":revealPassword", []byte("{}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Password string }
	err = json.Unmarshal(answer, &got)
	if err != nil || got.Password == "" {
		t.Fatalf("no password in the answer: %v", err)
	}
	return got.Password
}
