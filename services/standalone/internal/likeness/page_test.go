package likeness_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
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

// What pictures may be away from the copy's page as poppler shows it: in the mean, of 255, and the share of pixels that are
// more than 24 away. The documentation of the thumbnail service promises as much. On pages of less than a hand's breadth,
// what copies have woven into their content, which pictures do not show, is large.
const (
	pngApart, pngOff   = 1.5, 0.015
	jpegApart, jpegOff = 3.5, 0.015

	smallApart, smallOff = 4.5, 0.06

	// At the median of many files.
	pngMedian, jpegMedian, offMedian = 0.7, 1.5, 0.007
)

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
			png, jpeg, err := b.compare(t, file, 1, 480)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("PNG %v", png)
			t.Logf("JPEG %v", jpeg)
			lacking := 0.07
			if c.name == "strip" {
				lacking = 0.3 // next to a mark of a few pixels, those woven into the page are many
			}
			if png.apart > pngApart || png.off > pngOff || png.along < 0.85 || png.lacking > lacking {
				t.Errorf("the PNG is not like the copy: %v", png)
			}
			if jpeg.apart > jpegApart || jpeg.off > jpegOff || jpeg.along < 0.8 || jpeg.lacking > lacking {
				t.Errorf("the JPEG is not like the copy: %v", jpeg)
			}
		})
	}
}

// A preview of the document itself shows what previews of its pages show.
func TestPreviewsOfOnePageAgree(t *testing.T) {
	b := setup(t)
	data := onePage("/MediaBox[0 0 612 792]/Rotate 90", corners)
	file := b.upload(t, "Script.pdf", data)
	for _, style := range []*watermarkv1.Mark{
		template, {Layout: "tiled"}, {Layout: "header"}, {Layout: "footer"}, {Layout: "corners"}, {Color: "#c01040"}, {Size: 30},
	} {
		req := &thumbnailv1.PreviewRequest{Production: production, File: file, Mark: style, Fields: somebody, Document: true}
		document, err := b.previewed(t, req)
		if err != nil {
			t.Fatalf("%v: %v", style, err)
		}
		req.Document = false
		for format, most := range map[thumbnailv1.Format][2]float64{
			thumbnailv1.Format_FORMAT_PNG: {pngApart, pngOff}, thumbnailv1.Format_FORMAT_JPEG: {jpegApart, jpegOff},
		} {
			req.Format = format
			picture, err := b.preview(t, req)
			if err != nil {
				t.Fatalf("%v: %v", style, err)
			}
			size := picture.Bounds().Size()
			got := measure(gray(picture), render(t, document, 1, size), render(t, data, 1, size))
			t.Logf("%v as %s: %v", style, format, got)
			if got.apart > most[0] || got.off > most[1] || got.along < 0.85 || got.unmarked < 0.1 {
				t.Errorf("%v as %s: the document is not like the picture: %v", style, format, got)
			}
		}
	}
}

// disputed are broken files of which poppler shows something else than the reader that copies are made with; the copy is
// as that one sees it.
var disputed = map[string]bool{"H3-bomb-in-obj-number.pdf": true, "ctm_cm.pdf": true, "minimal-annotless.pdf": true}

// small are files of pages that are small, and of signatures, whose appearance copies mark, too.
var small = map[string]bool{
	"imagemagick-images.pdf": true, "sa.pdf": true, "pike-flate-jp2.pdf": true, "invalid_creationdate.pdf": true,
	"minimal-two-fields-signed-twice.pdf": true, "form-update-override-appearance-stream.pdf": true,
	"form-update-no-override-appearance-stream-ap-indirect-sneaky.pdf": true,
}

// Every file of the corpus has previews that are like its copy, or neither.
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
	var pngs, jpegs []likeness
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
			png, jpeg, err := b.compare(t, b.upload(t, name, data), 1, 480)
			if err != nil {
				f := fault.From(err)
				if f.Kind == fault.Internal || f.Transient() {
					t.Fatalf("refused by no stable code: %v", err)
				}
				refused = append(refused, f.Reason+" "+name)
				return
			}
			t.Logf("PNG %v", png)
			t.Logf("JPEG %v", jpeg)
			if disputed[name] {
				return
			}
			pngs, jpegs = append(pngs, png), append(jpegs, jpeg)
			for _, c := range []struct {
				name       string
				got        likeness
				apart, off float64
			}{{"PNG", png, pngApart, pngOff}, {"JPEG", jpeg, jpegApart, jpegOff}} {
				if small[name] {
					c.apart, c.off = smallApart, smallOff
				}
				// Where the page is mostly dark, the mark hardly changes it, and a JPEG's noise is all that is apart.
				stray := c.got.along < 0.6 && c.got.unmarked > 0.5
				if c.got.apart > c.apart || c.got.off > c.off || stray {
					t.Errorf("the %s is not like the copy: %v", c.name, c.got)
				}
			}
		})
	}
	slices.Sort(refused)
	t.Logf("refused:\n%s", strings.Join(refused, "\n"))
	if len(pngs) == 0 {
		t.Fatal("no file has a preview")
	}
	n := len(pngs)
	for what, c := range map[string]struct {
		all  []likeness
		of   func(likeness) float64
		most float64
	}{
		"PNGs are apart":  {pngs, func(l likeness) float64 { return l.apart }, pngMedian},
		"JPEGs are apart": {jpegs, func(l likeness) float64 { return l.apart }, jpegMedian},
		"PNGs are off":    {pngs, func(l likeness) float64 { return l.off }, offMedian},
		"JPEGs are off":   {jpegs, func(l likeness) float64 { return l.off }, offMedian},
	} {
		slices.SortFunc(c.all, func(a, b likeness) int { return cmp.Compare(c.of(a), c.of(b)) })
		if n >= 20 && c.of(c.all[n/2]) > c.most {
			t.Errorf("half of the %s by %.4f or more, want %.4f at most", what, c.of(c.all[n/2]), c.most)
		}
	}
	t.Logf("%d previews\nPNG: %s\nJPEG: %s", len(pngs), summary(pngs), summary(jpegs))
}

// summary says how all are.
func summary(all []likeness) string {
	n := len(all)
	var out []string
	for what, of := range map[string]func(likeness) float64{
		"apart":       func(l likeness) float64 { return l.apart },
		"off":         func(l likeness) float64 { return l.off },
		"correlation": func(l likeness) float64 { return -l.along },
	} {
		slices.SortFunc(all, func(a, b likeness) int { return cmp.Compare(of(a), of(b)) })
		out = append(out, fmt.Sprintf("%s median %.4f, 95%% %.4f, worst %.4f", what, math.Abs(of(all[n/2])), math.Abs(of(all[n*95/100])), math.Abs(of(all[n-1]))))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}
