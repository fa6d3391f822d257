package e2e_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/loadtest/internal/ledger"
	"github.com/filigreehq/filigree/loadtest/internal/verdict"
)

// copyFile is a copy as it came by mail.
type copyFile struct {
	document document // its source
	person   *distributionv1.RecipientInput
	path     string
}

// received takes all copies out of the mails: by person, then by document, in the order of the request.
func received(t *testing.T, s system, a verdict.Account, req *distributionv1.CreateDistributionRequest, docs []document) [][]copyFile {
	t.Helper()
	dir := t.TempDir()
	byDigest := map[string]string{}
	for n, m := range a.Mails {
		text, err := s.box.Open(m.Where)
		if err != nil {
			t.Fatal(err)
		}
		var files []*os.File
		full, err := ledger.Read(text, func(string) io.Writer {
			f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%d-%d.pdf", n, len(files))))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
			return f
		})
		err = errors.Join(err, text.Close())
		for i, f := range files {
			err = errors.Join(err, f.Close())
			byDigest[full.Attachments[i].SHA256] = f.Name()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	all := make([][]copyFile, len(req.GetRecipients()))
	for p := range all {
		for f := range docs {
			item := a.Items[f*len(all)+p]
			path, ok := byDigest[item.GetSha256()]
			if !ok {
				t.Fatalf("the copy of %s for %s is in no mail", item.GetFile().GetName(), item.GetRecipient().GetEmail())
			}
			all[p] = append(all[p], copyFile{docs[f], req.GetRecipients()[p], path})
		}
	}
	return all
}

// Strangers' documents to 20 people: 20 mails with each person's copies and nobody else's, which three independent
// readers open, with the pages of the source, a mark on each page, and no clean revision inside.
func TestCopies(t *testing.T) {
	docs := strangers(t, 10)
	s := installation(t)
	copies(t, s, docs)
}

func copies(t *testing.T, s system, docs []document) {
	_, people := sampleDocuments(t)
	req, id := order(t, s.api("coordinator"), docs, &distributionv1.CreateDistributionRequest{Recipients: readPeople(t, people)})
	a := judged(t, s, req, id, 5*time.Minute)
	if len(a.Mails) != 20 || a.Distribution.GetState() != "completed" {
		t.Fatalf("%d mails and %s, want 20 and completed; %v", len(a.Mails), a.Distribution.GetState(), a.Distribution.GetItems())
	}
	printTimes(t, a)
	all := received(t, s, a, req, docs)
	for f, doc := range docs {
		t.Run(doc.name, func(t *testing.T) {
			t.Parallel()
			pages, warned, _ := structure(t, doc.path, "")
			for p := range all {
				opens(t, all[p][f], pages, warned)
			}
			// Looking at every page of every copy would take minutes; the first and the last person stand for all.
			marked(t, all[0][f], all[len(all)-1][f], pages)
			if f < 2 {
				var column []copyFile
				for p := range all {
					column = append(column, all[p][f])
				}
				whose(t, doc, column, people)
			}
		})
	}
}

// opens has three readers open a copy.
func opens(t *testing.T, c copyFile, pages int, mayWarn bool) {
	t.Helper()
	who := c.person.GetEmail()
	n, warned, ok := structure(t, c.path, "")
	if !ok || n != pages || warned && !mayWarn {
		t.Errorf("%s: qpdf opens it %v, with %d pages and warnings %v; want true, %d, at most %v", who, ok, n, warned, pages, mayWarn)
	}
	if n := mutoolPages(t, c.path, ""); n != pages {
		t.Errorf("%s: mutool sees %d pages, want %d", who, n, pages)
	}
	_, err := tool(t, "pdftoppm", "-gray", "-scale-to", "40", "-f", "1", "-l", "1", c.path, filepath.Join(t.TempDir(), "page"))
	if err != nil {
		t.Errorf("%s: poppler: %v", who, err)
	}
	data, err := os.ReadFile(c.path)
	if err != nil {
		t.Fatal(err)
	}
	err = revisions(data)
	if err != nil {
		t.Errorf("%s: %v", who, err)
	}
}

// marked looks at each page of two people's copies: both differ from the source, and from each other.
func marked(t *testing.T, one, other copyFile, pages int) {
	t.Helper()
	plain, err := render(t, one.document.path)
	if err != nil || len(plain) != pages {
		t.Errorf("poppler draws %d of %d pages of the source: %v", len(plain), pages, err)
		return
	}
	first, err := render(t, one.path)
	if err != nil || len(first) != pages {
		t.Errorf("poppler draws %d of %d pages of a copy: %v", len(first), pages, err)
		return
	}
	second, err := render(t, other.path)
	if err != nil || len(second) != pages {
		t.Errorf("poppler draws %d of %d pages of a copy: %v", len(second), pages, err)
		return
	}
	for i := range pages {
		if got := changed(plain[i], first[i]); got < visible || got > 0.6 {
			t.Errorf("page %d: %.4f of it differs from the source, want a mark that is seen and not all over the page", i+1, got)
		}
		if got := changed(plain[i], second[i]); got < visible || got > 0.6 {
			t.Errorf("page %d: %.4f of the last person's differs from the source", i+1, got)
		}
		if got := changed(first[i], second[i]); got < visible/4 {
			t.Errorf("page %d: the copies of %s and %s look the same (%.4f differs)", i+1, one.person.GetEmail(), other.person.GetEmail(), got)
		}
	}
}

// With passwords each copy opens with its person's, and with no other and none; it is AES-256 by the current revision.
func TestPasswords(t *testing.T) {
	docs := strangers(t, 3)
	s := installation(t)
	passwords(t, s, docs)
}

func passwords(t *testing.T, s system, docs []document) {
	_, people := sampleDocuments(t)
	req, id := order(t, s.api("coordinator"), docs, &distributionv1.CreateDistributionRequest{Recipients: readPeople(t, people), Password: "generate"})
	a := judged(t, s, req, id, 3*time.Minute)
	if a.Distribution.GetState() != "completed" {
		t.Fatalf("it ended %s", a.Distribution.GetState())
	}
	words := revealed(t, s, id)
	all := received(t, s, a, req, docs)
	if len(words) != len(all) {
		t.Fatalf("%d passwords for %d people", len(words), len(all))
	}
	used := map[string]bool{}
	for p := range all {
		if used[words[p]] || len(words[p]) < 12 {
			t.Errorf("the password of %s is somebody else's too, or of %d characters only", req.GetRecipients()[p].GetEmail(), len(words[p]))
		}
		used[words[p]] = true
		for _, c := range all[p] {
			locked(t, c, words[p], words[(p+1)%len(words)], p == 0 || p == len(all)-1)
			if p == 0 {
				underLock(t, c, words[p])
			}
		}
	}
}

// revealed asks the command line for the passwords, in the order of the recipients.
func revealed(t *testing.T, s system, id string) []string {
	t.Helper()
	got := s.cli(t, "passwords", id)
	if got.code != 0 {
		t.Fatalf("filigree passwords exits %d: %s", got.code, got.stderr)
	}
	rows, err := csv.NewReader(strings.NewReader(got.stdout)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, row := range rows[1:] {
		words = append(words, row[2])
	}
	return words
}

// locked checks that a copy opens with one password only; thorough asks all readers and not only qpdf.
func locked(t *testing.T, c copyFile, password, others string, thorough bool) {
	t.Helper()
	who := c.document.name + " of " + c.person.GetEmail()
	for _, wrong := range []string{"", others} {
		_, err := tool(t, "qpdf", "--password="+wrong, "--show-npages", c.path)
		if err == nil || warning(err) {
			t.Errorf("%s opens with the password %q, want only with its own", who, wrong)
		}
		if !thorough {
			continue
		}
		_, err = tool(t, "pdftoppm", "-upw", wrong, "-l", "1", "-scale-to", "40", c.path, filepath.Join(t.TempDir(), "page"))
		if err == nil {
			t.Errorf("%s: poppler opens it with the password %q", who, wrong)
		}
		if n := mutoolPages(t, c.path, wrong); n > 0 && drawable(t, c.path, wrong) {
			t.Errorf("%s: mutool draws it with the password %q", who, wrong)
		}
	}
	out, err := tool(t, "qpdf", "--password="+password, "--show-encryption", c.path)
	if err != nil {
		t.Errorf("%s does not open with its password: %v", who, err)
	}
	for _, want := range []string{"R = 6", "stream encryption method: AESv3", "string encryption method: AESv3"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s: qpdf does not say %q of its encryption:\n%s", who, want, out)
		}
	}
	if !thorough {
		return
	}
	_, err = tool(t, "pdftoppm", "-upw", password, "-l", "1", "-scale-to", "40", c.path, filepath.Join(t.TempDir(), "page"))
	if err != nil {
		t.Errorf("%s: poppler does not open it with its password: %v", who, err)
	}
	if !drawable(t, c.path, password) {
		t.Errorf("%s: mutool does not draw it with its password", who)
	}
}

// drawable reports whether mutool draws the first page with this password.
func drawable(t *testing.T, path, password string) bool {
	t.Helper()
	_, err := tool(t, "mutool", "draw", "-q", "-p", password, "-r", "10", "-o", filepath.Join(t.TempDir(), "page.pgm"), path, "1")
	return err == nil
}

// underLock checks a copy's structure and its pages behind the password.
func underLock(t *testing.T, c copyFile, password string) {
	t.Helper()
	pages, warned, _ := structure(t, c.document.path, "")
	n, warns, ok := structure(t, c.path, password)
	if !ok || n != pages || warns && !warned {
		t.Errorf("%s: qpdf opens it %v, with %d pages and warnings %v; want %d pages, and warnings at most if the source has", c.document.name, ok, n, warns, pages)
	}
	plain, err := render(t, c.document.path)
	if err != nil {
		t.Errorf("%s: poppler does not draw the source: %v", c.document.name, err)
		return
	}
	drawn, err := render(t, c.path, "-upw", password)
	if err != nil || len(drawn) != len(plain) {
		t.Errorf("%s: poppler draws %d of %d pages: %v", c.document.name, len(drawn), len(plain), err)
		return
	}
	for i := range drawn {
		if got := changed(plain[i], drawn[i]); got < visible {
			t.Errorf("%s, page %d: %.4f of it differs from the source, so no mark is seen", c.document.name, i+1, got)
		}
	}
}
