package likeness_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
)

// onePage is a PDF of one page with content on it.
func onePage(page, content string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Count 1/Kids[3 0 R]>>",
		"<</Type/Page/Parent 2 0 R/Contents 4 0 R " + page + ">>",
		fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(content), content),
	}
	var offsets []int
	for i, o := range objects {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d /Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, at)
	return b.Bytes()
}

// content that tells the corners of a page apart.
const corners = "0.9 g -5000 -5000 30000 30000 re f 0.2 g 0 0 100 40 re f 0.6 g 100 100 60 200 re f 1 0 0 rg 300 300 80 80 re f"

func TestEveryPageShapeBearsTheMarkOfItsCopy(t *testing.T) {
	b := setup(t)
	for _, c := range []struct{ name, page string }{
		{"letter", "/MediaBox[0 0 612 792]"},
		{"turned by 90", "/MediaBox[0 0 612 792]/Rotate 90"},
		{"turned by 180", "/MediaBox[0 0 612 792]/Rotate 180"},
		{"turned by 270", "/MediaBox[0 0 612 792]/Rotate -90"},
		{"origin elsewhere", "/MediaBox[-300 1000 312 1792]"},
		{"corners swapped", "/MediaBox[612 792 0 0]"},
		{"cropped", "/MediaBox[0 0 1000 1000]/CropBox[100 50 612 700]"},
		{"cropped and turned by 90", "/MediaBox[0 0 1000 1000]/CropBox[600 100 900 500]/Rotate 90"},
		{"cropped and turned by 180", "/MediaBox[0 0 1000 1000]/CropBox[600 100 900 500]/Rotate 180"},
		{"cropped and turned by 270", "/MediaBox[0 0 1000 1000]/CropBox[600 100 900 500]/Rotate 270"},
		{"crop beyond the page", "/MediaBox[0 0 300 300]/CropBox[-100 -100 900 900]"},
		{"units of half an inch", "/MediaBox[0 0 17 22]/UserUnit 36/Rotate 90"},
		{"poster", "/MediaBox[0 0 14000 9000]"},
		{"strip", "/MediaBox[0 0 2000 200]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := b.upload(t, c.name+".pdf", onePage(c.page, corners))
			got, err := b.compare(t, file, 1, 480)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(got)
			if got.apart > 2 || got.along < 0.9 || got.lacking > 0.02 {
				t.Errorf("the thumbnail is not like the copy: %v", got)
			}
		})
	}
}

// disputed are broken files of which poppler shows something else than the reader that copies are made with; the copy is
// as that one sees it.
var disputed = map[string]bool{"H3-bomb-in-obj-number.pdf": true, "ctm_cm.pdf": true, "minimal-annotless.pdf": true}

// Every file of the corpus has a thumbnail that is like its copy, or neither.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("FILIGREE_CORPUS")
	if dir == "" {
		t.Skip("FILIGREE_CORPUS names no folder of PDFs")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.pdf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no PDFs in %s: %v", dir, err)
	}
	b := setup(t)
	var all []likeness
	var refused []string
	for i, path := range files {
		if testing.Short() && i%5 != 0 {
			continue
		}
		name := filepath.Base(path)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			got, err := b.compare(t, b.upload(t, name, data), 1, 480)
			if err != nil {
				var f *fault.Error
				if !errors.As(err, &f) || f.Transient() {
					t.Fatalf("refused by no stable code: %v", err)
				}
				refused = append(refused, f.Reason+" "+name)
				return
			}
			t.Log(got)
			all = append(all, got)
			// Photographs are JPEGs, whose noise is most of what is apart, and all of it where a page is mostly dark and
			// the mark hardly changes it.
			off := got.along < 0.7 && got.unmarked > 0.5
			if (got.apart > 3.5 || off || got.lacking > 0.05) && !disputed[name] {
				t.Errorf("the thumbnail is not like the copy: %v", got)
			}
		})
	}
	slices.Sort(refused)
	t.Logf("refused:\n%s", strings.Join(refused, "\n"))
	var apart, along []float64
	for _, l := range all {
		apart, along = append(apart, l.apart), append(along, l.along)
	}
	slices.Sort(apart)
	slices.Sort(along)
	n := len(all)
	if n == 0 {
		t.Fatal("no file has a thumbnail")
	}
	if n >= 20 && (apart[n/2] > 0.5 || along[n/2] < 0.97) {
		t.Errorf("half of the thumbnails are %.2f apart or more, and correlate by %.3f or less", apart[n/2], along[n/2])
	}
	t.Logf("%d thumbnails; apart: median %.2f, 95%% %.2f, worst %.2f of 255; correlation: median %.3f, 5%% %.3f, worst %.3f", n, apart[n/2], apart[n*95/100], apart[n-1], along[n/2], along[n*5/100], along[0])
}
