package preflight_test

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"image"
	"os"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/mark/paint"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// sheet is a page to be.
type sheet struct {
	media   [4]float64 // US Letter if empty
	crop    [4]float64 // the media box if empty
	rotate  int
	unit    float64
	under   string // content below the mark
	over    string // content above the mark, which a careful engine would not leave there
	annot   string // content of an annotation's appearance that covers the page
	entries string // more entries of the page's dictionary
	level   int
}

func (s sheet) page() mark.Page {
	return mark.Page{Box: s.visible(), Rotate: s.rotate, Unit: s.unit, Level: s.level}
}

func (s sheet) visible() [4]float64 {
	switch {
	case s.crop != [4]float64{}:
		return s.crop
	case s.media != [4]float64{}:
		return s.media
	}
	return [4]float64{0, 0, 612, 792}
}

// ink is how a test paints a mark.
type ink struct {
	mark  *mark.Mark // nil for none
	tones []mark.Tone
	extra string // painted after it, where the woven marks would be
	scan  string // the picture of the document, if another than scan's
}

// draw returns the operators that paint the mark on a page.
func (k ink) draw(p mark.Page, number int) []byte {
	var b bytes.Buffer
	if k.mark == nil {
		return nil
	}
	shapes := k.mark.Shapes()
	for _, use := range k.mark.On(p, number) {
		t := k.tonesAt(p.Level)[use.Tone]
		fmt.Fprintf(&b, "q /O%d gs %.4f %.4f %.4f rg %s cm .001 0 0 .001 0 0 cm\n", t.Opacity,
			float64(t.Color[0])/255, float64(t.Color[1])/255, float64(t.Color[2])/255, mark.AppendMatrix(nil, use.Matrix))
		for _, g := range shapes[use.Shape].Glyphs {
			fmt.Fprintf(&b, "q 1 0 0 1 %d %d cm %s f Q\n", g.X, g.Y, g.Outline.Path)
		}
		b.WriteString("Q\n")
	}
	b.WriteString(k.extra)
	return b.Bytes()
}

func (k ink) tonesAt(level int) []mark.Tone {
	if k.tones != nil {
		return k.tones
	}
	return k.mark.Tones(level)
}

// document writes sheets, with the mark of k, to a file without a name.
func document(tb testing.TB, sheets []sheet, k ink) *os.File {
	tb.Helper()
	return file(tb, assemble(sheets, k))
}

func file(tb testing.TB, data []byte) *os.File {
	tb.Helper()
	f, err := os.CreateTemp(tb.TempDir(), "*.pdf")
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() }) // read by then
	return f
}

func assemble(sheets []sheet, k ink) []byte {
	states := "<<"
	for o := range 101 {
		states += fmt.Sprintf("/O%d<</ca %.2f>>", o, float64(o)/100)
	}
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"",
		"<</Type/Font/Subtype/Type1/BaseFont/Courier>>",
		states + ">>",
		scan(),
	}
	if k.scan != "" {
		objects[4] = k.scan
	}
	add := func(s string) int {
		objects = append(objects, s)
		return len(objects)
	}
	kids := ""
	for i, s := range sheets {
		if s.media == [4]float64{} {
			s.media = [4]float64{0, 0, 612, 792}
		}
		content := fmt.Appendf(nil, "q %s Q\n", s.under)
		content = append(content, k.draw(s.page(), i+1)...)
		content = append(content, s.over...)
		dict := fmt.Sprintf("<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents %d 0 R/Resources %s", box(s.media), add(deflated("", content)), resources)
		if s.crop != [4]float64{} {
			dict += fmt.Sprintf("/CropBox[%s]", box(s.crop))
		}
		if s.rotate != 0 {
			dict += fmt.Sprintf("/Rotate %d", s.rotate)
		}
		if s.unit != 0 {
			dict += fmt.Sprintf("/UserUnit %g", s.unit)
		}
		if s.annot != "" {
			look := add(deflated(fmt.Sprintf("/Type/XObject/Subtype/Form/BBox[%s]/Resources %s", box(s.visible()), resources), []byte(s.annot)))
			dict += fmt.Sprintf("/Annots[<</Type/Annot/Subtype/Stamp/F 4/Rect[%s]/AP<</N %d 0 R>>>>]", box(s.visible()), look)
		}
		kids += fmt.Sprintf("%d 0 R ", add(dict+s.entries+">>"))
	}
	objects[1] = fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]>>", len(sheets), kids)
	return written(objects)
}

const resources = "<</Font<</F 3 0 R>>/ExtGState 4 0 R/XObject<</Scan 5 0 R>>>>"

func written(objects []string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, at)
	return b.Bytes()
}

func box(b [4]float64) string { return fmt.Sprintf("%g %g %g %g", b[0], b[1], b[2], b[3]) }

func deflated(dict string, data []byte) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(data) // into memory
	_ = w.Close()
	return fmt.Sprintf("<<%s/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream", dict, b.Len(), b.Bytes())
}

// scan is a picture of lines of text on uneven paper.
func scan() string {
	const w, h = 1240, 1754
	pix := make([]byte, w*h)
	for y := range h {
		for x := range w {
			v := 225 + (x*7+y*13)%23
			if y/24%2 == 1 && x > 100 && x < 1140 && (x/5^y/6)%3 == 0 {
				v = 30 + (x+y)%30
			}
			pix[y*w+x] = byte(v)
		}
	}
	return deflated(fmt.Sprintf("/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8", w, h), pix)
}

// text is operators for lines of text all over a page of US Letter.
func text(color string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s BT /F 12 Tf 12 TL 40 760 Td\n", color)
	for i := range 60 {
		fmt.Fprintf(&b, "(%d THE MARK MUST NOT KEEP ANYBODY FROM READING THIS LINE, nor any other) Tj T*\n", i)
	}
	b.WriteString("ET\n")
	return b.String()
}

func full(color string, b [4]float64) string {
	return fmt.Sprintf("q %s %g %g %g %g re f Q\n", color, b[0], b[1], b[2]-b[0], b[3]-b[1])
}

var letter = [4]float64{0, 0, 612, 792}

func somebody(tb testing.TB, style mark.Style) *mark.Mark {
	tb.Helper()
	m, err := mark.Compose(mark.Spec{Style: style}, map[string]string{"name": "Zoë Müller-Ångström", "email": "zoe.mueller@example.com"})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// expect is what the mark is expected to cover of sheets.
func expect(m *mark.Mark, sheets []sheet) []preflight.Expect {
	var out []preflight.Expect
	for i, s := range sheets {
		out = append(out, preflight.Expect{Number: i + 1, Page: s.page(), Ink: func(w, h int) *image.Alpha {
			return paint.Coverage(m, s.page(), i+1, w, h)
		}})
	}
	return out
}

func config() preflight.Config {
	return preflight.Config{Parallel: 2}
}
