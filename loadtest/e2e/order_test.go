package e2e_test

import (
	"bytes"
	"crypto/rand"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/loadtest/internal/ledger"
	"github.com/filigreehq/filigree/loadtest/internal/verdict"
	"github.com/filigreehq/filigree/loadtest/samples"
)

// document is a source to send.
type document struct {
	name string
	path string
	data []byte
}

// sampleDocuments writes the project's own sample documents: a script, a call sheet and a look book, and a list of 20
// people.
func sampleDocuments(t *testing.T) (docs []document, people string) {
	t.Helper()
	dir := t.TempDir()
	err := samples.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{samples.Script, samples.CallSheet, samples.LookBook} {
		docs = append(docs, load(t, filepath.Join(dir, name)))
	}
	return docs, filepath.Join(dir, samples.People)
}

func load(t *testing.T, path string) document {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return document{filepath.Base(path), path, data}
}

// readPeople reads a list that is known to be good.
func readPeople(t *testing.T, path string) []*distributionv1.RecipientInput {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var list []*distributionv1.RecipientInput
	for _, row := range rows[1:] {
		p := &distributionv1.RecipientInput{Fields: map[string]string{}}
		for i, cell := range row {
			switch rows[0][i] {
			case "name":
				p.Name = cell
			case "email":
				p.Email = cell
			default:
				p.Fields[rows[0][i]] = cell
			}
		}
		list = append(list, p)
	}
	return list
}

// crowd makes n people.
func crowd(n int) []*distributionv1.RecipientInput {
	var list []*distributionv1.RecipientInput
	for i := range n {
		list = append(list, &distributionv1.RecipientInput{Name: fmt.Sprintf("Person Number%d", i+1), Email: fmt.Sprintf("person%02d@example.com", i+1)})
	}
	return list
}

// order uploads documents and starts a distribution of them under a title of its own, by which its mails are found.
func order(t *testing.T, c *client, docs []document, req *distributionv1.CreateDistributionRequest) (*distributionv1.CreateDistributionRequest, string) {
	t.Helper()
	for _, doc := range docs {
		f, err := c.upload(doc.name, doc.data)
		if err != nil {
			t.Fatalf("upload %s: %v", doc.name, err)
		}
		req.Files = append(req.Files, &distributionv1.FileRef{Sha256: f.GetSha256(), Name: doc.name})
	}
	req.Title = t.Name() + " " + rand.Text()
	d, err := c.create(req, rand.Text())
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return req, d.GetId()
}

// account gathers all that is known about a distribution.
func account(t *testing.T, c *client, box ledger.Box, req *distributionv1.CreateDistributionRequest, id string) verdict.Account {
	t.Helper()
	var a verdict.Account
	for _, f := range req.GetFiles() {
		a.Files = append(a.Files, f.GetSha256())
	}
	for _, p := range req.GetRecipients() {
		a.People = append(a.People, verdict.Person{Name: p.GetName(), Email: p.GetEmail()})
	}
	var errs [5]error
	a.Distribution, errs[0] = c.distribution(id)
	a.Items, errs[1] = c.items(id, 100)
	a.Recipients, errs[2] = c.recipients(id, 100)
	a.Events, errs[3] = c.events(id, 100)
	a.Mails, errs[4] = box.Mails()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	a.Mails = slices.DeleteFunc(a.Mails, func(m ledger.Mail) bool { return m.Subject != req.GetTitle() })
	return a
}

// judged waits for the end, and fails the test unless all accounts of the distribution agree.
func judged(t *testing.T, s system, req *distributionv1.CreateDistributionRequest, id string, limit time.Duration) verdict.Account {
	t.Helper()
	c := s.api("coordinator")
	c.ended(t, id, limit)
	a := account(t, c, s.box, req, id)
	v := verdict.Judge(a)
	if len(v.Problems) > 0 {
		t.Errorf("distribution %s: %s", id, v)
	} else {
		t.Logf("distribution %s: %s", id, v)
	}
	return a
}
