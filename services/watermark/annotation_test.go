package watermark_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/filigreehq/filigree/services/watermark"
)

// An opaque annotation paints after everything that a page paints itself. Its appearance carries the mark, too.
func TestTheMarkShowsOnOpaqueAnnotations(t *testing.T) {
	needTools(t)
	local := newLocal(t)
	for _, c := range []struct{ name, page, form string }{
		{"over the whole page", "", "/BBox[0 0 612 792]"},
		{"scaled", "", "/BBox[0 0 100 100]"},
		{"turned", "", "/BBox[0 0 792 612]/Matrix[0 1 -1 0 0 0]"},
		{"on a page that is turned", "/Rotate 90", "/BBox[0 0 612 792]"},
		{"with an origin of its own", "", "/BBox[-50 20 50 120]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := onePage("/MediaBox[0 0 612 792]/Annots[5 0 R]"+c.page, []byte("0 g 100 100 50 50 re f"))
			s.add("<</Type/Annot/Subtype/Stamp/Rect[0 0 612 792]/F 4/AP<</N 6 0 R>>>>")
			s.stream("/Type/XObject/Subtype/Form"+c.form, []byte("1 .9 .8 rg -1000 -1000 3000 3000 re f"))
			src, out := s.write(t), filepath.Join(t.TempDir(), "copy.pdf")
			_, err := stampFile(t.Context(), local, src, out, watermark.Copy{Fields: somebody})
			if err != nil {
				t.Fatal(err)
			}
			judge(t, src, out, 1)
			centred(t, src, out)
		})
	}
}

func TestAMarkThatCannotShowIsRefused(t *testing.T) {
	needTools(t)
	local := newLocal(t)
	_, err := stampFile(t.Context(), local, buried().write(t), filepath.Join(t.TempDir(), "copy.pdf"), watermark.Copy{Fields: somebody})
	wantFault(t, err, "PDF_MARK_HIDDEN")
}

// buried is a page on which no mark shows.
func buried() *source {
	// Twenty opaque annotations, one upon the other: more than get the mark.
	page := "/MediaBox[0 0 612 792]/Annots["
	for i := range 20 {
		page += fmt.Sprintf("%d 0 R ", 5+i)
	}
	s := onePage(page+"]", nil)
	for range 20 {
		s.add("<</Type/Annot/Subtype/Stamp/Rect[0 0 612 792]/F 4/AP<</N 25 0 R>>>>")
	}
	s.stream("/Type/XObject/Subtype/Form/BBox[0 0 612 792]", []byte("1 g 0 0 612 792 re f"))
	return s
}
