package trace_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/trace"
)

// ring are the keys of these tests: one, with number 1.
var (
	macKey  = []byte("mac key of 32 bytes, for tests..")
	sealKey = []byte("seal key of 32 bytes, for tests.")
)

func keys(number uint8) []trace.Key {
	if number != 1 {
		return nil
	}
	return []trace.Key{{MAC: macKey, Seal: sealKey}}
}

func ours(number uint64) hidden.ID { return hidden.NewID(macKey, 1, number) }

// sheet is a page as copies have them: with strips, and a large mark that has a ribbon and nudged glyphs.
type sheet struct {
	id            hidden.ID
	name          string // of the mark
	box           [4]float64
	rotate        int
	transparent   bool
	strip, ribbon bool
	damaged       bool // most of the strip's vertices are elsewhere
}

// writer writes a PDF plainly.
type writer struct {
	buf     bytes.Buffer
	offsets []int
}

func (w *writer) object(format string, args ...any) int {
	w.offsets = append(w.offsets, w.buf.Len())
	fmt.Fprintf(&w.buf, "%d 0 obj\n", len(w.offsets))
	fmt.Fprintf(&w.buf, format, args...)
	w.buf.WriteString("\nendobj\n")
	return len(w.offsets)
}

func (w *writer) stream(dict string, data []byte) int {
	return w.object("<<%s/Length %d>>\nstream\n%s\nendstream", dict, len(data), data)
}

// write makes a PDF of sheets. sealed stands in its information dictionary if it is not nil.
func write(t testing.TB, sheets []sheet, sealed []byte) []byte {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(len(sheets)), 9))
	w := &writer{}
	w.buf.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	w.object("<</Type/Catalog/Pages 2 0 R>>")
	w.object("PAGES") // replaced below
	font := w.object("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
	var kids bytes.Buffer
	var pages []int
	for i, s := range sheets {
		pages = append(pages, w.sheet(t, r, s, i, font))
	}
	for _, p := range pages {
		fmt.Fprintf(&kids, "%d 0 R ", p)
	}
	info := "<</Title(Test)>>"
	if sealed != nil {
		info = fmt.Sprintf("<</Title(Test)/%s(%s)>>", hidden.Entry, base64.RawURLEncoding.EncodeToString(sealed))
	}
	w.object("%s", info)
	w.offsets[1] = w.buf.Len()
	fmt.Fprintf(&w.buf, "2 0 obj\n<</Type/Pages/Count %d/Kids[%s]>>\nendobj\n", len(pages), kids.String())
	return w.finish()
}

// finish writes the end of the file. The first object is the catalogue, the last the information dictionary.
func (w *writer) finish() []byte {
	xref := w.buf.Len()
	n := len(w.offsets)
	fmt.Fprintf(&w.buf, "xref\n0 %d\n0000000000 65535 f \n", n+1)
	for _, o := range w.offsets {
		fmt.Fprintf(&w.buf, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&w.buf, "trailer\n<</Size %d/Root 1 0 R/Info %d 0 R>>\nstartxref\n%d\n%%%%EOF\n", n+1, n, xref)
	return w.buf.Bytes()
}

func (w *writer) sheet(t testing.TB, r *rand.Rand, s sheet, number, font int) int {
	t.Helper()
	var c bytes.Buffer
	box := s.box
	if box == [4]float64{} {
		box = [4]float64{0, 0, 595, 842}
	}
	middleX, middleY := (box[0]+box[2])/2, (box[1]+box[3])/2
	fmt.Fprintf(&c, "q 0.5 0 0 0.5 0 0 cm BT /F1 24 Tf 100 1500 Td (Page %d of a script) Tj ET Q\n", number)
	fmt.Fprintf(&c, "q 0 0 1 RG 72 72 m 300 120 l 310 90 l S Q BI /W 2 /H 2 /BPC 8 /CS /G ID \x80EI\x81 EI\n")
	graphics, states := "", ""
	if s.transparent {
		graphics, states = "/GS1 gs ", "/ExtGState<</GS1<</Type/ExtGState/ca 0.24/CA 0.24>>>>"
	}
	if s.strip {
		scale := 0.5 * math.Pow(3, r.Float64())
		sin, cos := math.Sincos([]float64{0, math.Pi / 2, r.Float64()}[r.IntN(3)])
		fmt.Fprintf(&c, "q %s0.6 G 0.4 w %.6f %.6f %.6f %.6f %.4f %.4f cm 40 w\n", graphics, scale/100*cos, scale/100*sin, -scale/100*sin, scale/100*cos, middleX+50*r.Float64()-25, box[1]+80)
		for k, p := range hidden.Strip(s.id.Codeword(), uint8(number)) {
			if s.damaged && k >= 3 && k < 20 {
				p[1] += int32(20 * (k % 4))
			}
			fmt.Fprintf(&c, "%d %d %c\n", p[0], p[1], "ml"[min(k, 1)])
		}
		c.WriteString("S Q\n")
	}
	forms := ""
	if s.ribbon {
		name := s.name
		if name == "" {
			name = "Ada Lovelace"
		}
		m, err := mark.Compose(mark.Spec{Template: "{name} ada@example.com\nconfidential"}, map[string]string{"name": name})
		if err != nil {
			t.Fatal(err)
		}
		shape := m.Shapes()[0]
		em := 0.8 * (box[2] - box[0]) / float64(shape.Width) * 1000
		sin, cos := math.Sincos(0.6)
		for i, shift := range []float64{em / 50, 0} { // a shadow and the mark
			fmt.Fprintf(&c, "q %s%d g %.6f %.6f %.6f %.6f %.4f %.4f cm /X1 Do Q\n", graphics, 1-i, em*cos, em*sin, -em*sin, em*cos, box[0]+60+shift, middleY-100)
		}
		forms = fmt.Sprintf("/XObject<</X1 %d 0 R>>", w.large(s, shape))
	}
	content := w.stream("", c.Bytes())
	return w.object("<</Type/Page/Parent 2 0 R/MediaBox[%g %g %g %g]/Rotate %d/Contents %d 0 R/Resources<</Font<</F1 %d 0 R>>%s%s>>>>",
		box[0], box[1], box[2], box[3], s.rotate, content, font, states, forms)
}

// large is the form of the large mark.
func (w *writer) large(s sheet, shape mark.Shape) int {
	var c bytes.Buffer
	code := s.id.Codeword()
	for k, p := range hidden.Ribbon(code, shape.Width) {
		fmt.Fprintf(&c, "%d %d %c\n", p[0], p[1], "ml"[min(k, 1)])
	}
	c.WriteString("h f\n")
	for i, g := range shape.Glyphs {
		dx, dy := hidden.Nudge(code, i, [2]int32{g.X + g.Outline.First[0], g.Y + g.Outline.First[1]})
		fmt.Fprintf(&c, "q 1 0 0 1 %d %d cm\n%s\nf Q\n", g.X+dx, g.Y+dy, g.Outline.Path)
	}
	group := ""
	if s.transparent {
		group = "/Group<</S/Transparency>>"
	}
	width := max(shape.Width, hidden.RibbonWidth(shape.Width))
	return w.stream(fmt.Sprintf("/Type/XObject/Subtype/Form/Matrix[.001 0 0 .001 0 0]/BBox[-1000 -1000 %d %d]%s", width+1000, shape.Height+1000, group), c.Bytes())
}
