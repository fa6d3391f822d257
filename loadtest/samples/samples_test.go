package samples_test

import (
	"bytes"
	"encoding/csv"
	"net/mail"
	"os"
	"path/filepath"
	"testing"

	"github.com/filigreehq/filigree/loadtest/samples"
)

func TestDraft(t *testing.T) {
	t.Parallel()
	var drafts [2][]byte
	for i := range drafts {
		var err error
		drafts[i], err = samples.Draft(i + 1)
		if err != nil {
			t.Fatal(err)
		}
	}
	if bytes.Equal(drafts[0], drafts[1]) {
		t.Error("the first draft and the second are the same bytes")
	}
	if a, b := len(drafts[0]), len(drafts[1]); a-b > 100 || b-a > 100 {
		t.Errorf("got drafts of %d and %d bytes, want about the same", a, b)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	one, two := t.TempDir(), filepath.Join(t.TempDir(), "made", "too")
	for _, dir := range []string{one, two} {
		err := samples.Write(dir)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name            string
		pages, from, to int // pages at least; size in bytes
	}{
		{samples.Script, 101, 50_000, 1_000_000},
		{samples.CallSheet, 2, 5_000, 200_000},
		{samples.LookBook, 8, 1_000_000, 8_000_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, b := read(t, one, tt.name), read(t, two, tt.name)
			if !bytes.Equal(a, b) {
				t.Error("two runs differ")
			}
			pages := bytes.Count(a, []byte("/Type /Page\n"))
			if pages < tt.pages {
				t.Errorf("got %d pages, want at least %d", pages, tt.pages)
			}
			if len(a) < tt.from || len(a) > tt.to {
				t.Errorf("got %d bytes, want %d to %d", len(a), tt.from, tt.to)
			}
		})
	}
	t.Run(samples.People, func(t *testing.T) {
		t.Parallel()
		rows, err := csv.NewReader(bytes.NewReader(read(t, one, samples.People))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != 21 || rows[0][0] != "name" || rows[0][1] != "email" {
			t.Fatalf("got %d rows under %q, want a head and 20 people", len(rows), rows[0])
		}
		seen := make(map[string]bool)
		for _, r := range rows[1:] {
			_, err := mail.ParseAddress(r[1])
			if err != nil || seen[r[1]] || r[0] == "" {
				t.Errorf("%q: got %v, want a name and an address of its own", r, err)
			}
			seen[r[1]] = true
		}
	})
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
