package e2e_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/need"
)

// What a document may be so that ten of them fit into one mail, and looking at all copies stays affordable.
const (
	mostBytes    = 1_300_000
	mostPages    = 120
	mostAllPages = 320
)

// strangers chooses n documents of the corpus that qpdf and poppler open without a password. Which ones is decided by
// their digests alone, so nobody has picked those that work; FILIGREE_CORPUS_SKIP leaves out so many of the first.
func strangers(t *testing.T, n int) []document {
	t.Helper()
	need.Programs(t, "qpdf", "pdftoppm", "mutool")
	dir := os.Getenv("FILIGREE_CORPUS")
	if dir == "" {
		t.Skip("FILIGREE_CORPUS names no folder of PDFs")
	}
	var chosen []document
	total := 0
	all := candidates(t, dir)
	if text := os.Getenv("FILIGREE_CORPUS_SKIP"); text != "" {
		skip, err := strconv.Atoi(text)
		if err != nil || skip < 0 {
			t.Fatalf("FILIGREE_CORPUS_SKIP=%q is no number of documents", text)
		}
		all = all[min(skip, len(all)):]
	}
	for _, d := range all {
		if len(chosen) == n {
			break
		}
		count, _, ok := structure(t, d.path, "")
		if !ok || count == 0 || count > mostPages || total+count > mostAllPages {
			continue
		}
		_, err := tool(t, "qpdf", "--is-encrypted", d.path)
		if err == nil {
			continue
		}
		_, err = tool(t, "pdfinfo", d.path)
		if err != nil {
			continue
		}
		total += count
		chosen = append(chosen, d)
		t.Logf("%s: %d pages, %d bytes", d.name, count, len(d.data))
	}
	if len(chosen) < n {
		t.Skipf("%s has %d documents that are small enough and open, want %d", dir, len(chosen), n)
	}
	return chosen
}

// candidates are the PDFs that the manifest calls valid or repairable, in the order of their digests. The others would
// hurt the programs that are asked about them.
func candidates(t *testing.T, dir string) []document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "MANIFEST.tsv"))
	if err != nil {
		t.Skipf("the corpus has no readable manifest: %v", err)
	}
	r := csv.NewReader(strings.NewReader(string(text)))
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("the corpus's manifest: %v", err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	var list []document
	for _, row := range rows[1:] {
		if len(row) < len(rows[0])-1 || !slices.Contains([]string{"valid", "repairable"}, row[column["category"]]) {
			continue
		}
		name := row[column["file"]]
		bytes, err := strconv.Atoi(row[column["bytes"]])
		if err != nil || bytes > mostBytes || filepath.Ext(name) != ".pdf" {
			continue
		}
		list = append(list, load(t, filepath.Join(dir, name)))
	}
	slices.SortFunc(list, func(a, b document) int {
		x, y := sha256.Sum256(a.data), sha256.Sum256(b.data)
		return cmp.Or(slices.Compare(x[:], y[:]), cmp.Compare(a.name, b.name))
	})
	return list
}
