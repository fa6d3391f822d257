package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// whose checks that the name on a copy is its person's: a mark is outlines, which no program reads, so each copy's first
// page is compared with what `filigree stamp` makes for everybody. The nearest must be that of the same person, by far.
func whose(t *testing.T, doc document, copies []copyFile, people string) {
	t.Helper()
	references := references(t, doc, people)
	for _, c := range copies {
		page := firstPage(t, c.path)
		own, nearest, who := 1.0, 1.0, ""
		for email, reference := range references {
			d := changed(page, reference)
			if email == c.person.GetEmail() {
				own = d
			} else if d < nearest {
				nearest, who = d, email
			}
		}
		// What is woven into a page lies elsewhere under another key, so its own differs, too, on a small page by nearly half of
		// what a stranger's does.
		if own > nearest*2/3 {
			t.Errorf("the copy of %s looks like that of %s: %.4f of the page differ, %.4f from its own", c.person.GetEmail(), who, nearest, own)
		}
	}
}

// references are first pages of copies made without a server, by address.
func references(t *testing.T, doc document, people string) map[string]raster {
	t.Helper()
	dir := t.TempDir()
	got := command(t, nil, "stamp", doc.path, "--to", people, "-o", filepath.Join(dir, "copies"), "--keys", filepath.Join(dir, "keys.json"))
	if got.code != 0 {
		t.Fatalf("filigree stamp exits %d: %s", got.code, got.stderr)
	}
	email := map[string]string{} // by digest
	record, err := os.ReadFile(filepath.Join(dir, "copies.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(record)); lines.Scan(); {
		var line struct{ SHA256, Email string }
		err = json.Unmarshal(lines.Bytes(), &line)
		if err != nil {
			t.Fatal(err)
		}
		email[line.SHA256] = line.Email
	}
	names, err := filepath.Glob(filepath.Join(dir, "copies", "*.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]raster{}
	for _, name := range names {
		sum := sha256.Sum256(load(t, name).data)
		pages[email[hex.EncodeToString(sum[:])]] = firstPage(t, name)
	}
	_, stray := pages[""]
	if len(pages) != 20 || stray {
		t.Fatalf("filigree stamp made copies for %d people that its record names, want 20", len(pages))
	}
	return pages
}

func firstPage(t *testing.T, path string) raster {
	t.Helper()
	pages, err := render(t, path, "-l", "1", "-scale-to", "400")
	if err != nil || len(pages) != 1 {
		t.Fatalf("poppler draws %d first pages of %s: %v", len(pages), path, err)
	}
	return pages[0]
}
