// Package samples writes documents to send around: a film script of more than a hundred pages, a call sheet, a look book
// full of pictures, and a list of people. All of it is of our own writing and fictional, made from a stock of scenes and a
// seeded choice, without a clock: the same on every run, the pictures up to how a processor rounds.
package samples

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-pdf/fpdf"
)

// Names of the files that Write makes.
const (
	Script    = "the-lamplighters.pdf"
	CallSheet = "call-sheet-day-12.pdf"
	LookBook  = "look-book.pdf"
	People    = "people.csv"
)

//go:embed stock/people.csv
var people []byte

// Write makes dir, if need be, and writes the four files into it, over earlier ones.
func Write(dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	for _, f := range []struct {
		name string
		make func() ([]byte, error)
	}{
		{Script, script}, {CallSheet, callSheet}, {LookBook, lookBook},
		{People, func() ([]byte, error) { return people, nil }},
	} {
		text, err := f.make()
		if err != nil {
			return fmt.Errorf("make %s: %w", f.name, err)
		}
		err = os.WriteFile(filepath.Join(dir, f.name), text, 0o644)
		if err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return nil
}

// newDocument is an empty document without anything that differs between two runs. Lengths are in points.
func newDocument(orientation, title string) *fpdf.Fpdf {
	doc := fpdf.New(orientation, "pt", "Letter", "")
	written := time.Date(2026, time.November, 2, 9, 0, 0, 0, time.UTC)
	doc.SetCreationDate(written)
	doc.SetModificationDate(written)
	doc.SetCatalogSort(true)
	doc.SetTitle(title, true)
	doc.SetAuthor("Saltmarrow Pictures", true)
	doc.SetAutoPageBreak(false, 0)
	return doc
}

func finish(doc *fpdf.Fpdf) ([]byte, error) {
	var out bytes.Buffer
	err := doc.Output(&out)
	return out.Bytes(), err
}
