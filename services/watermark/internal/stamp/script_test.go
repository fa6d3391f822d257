package stamp_test

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/compile"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/stamp"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// script is a document of so many pages full of text, the same on every run.
func script(pages int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var objects [][]byte
	add := func(format string, args ...any) int {
		objects = append(objects, fmt.Appendf(nil, format, args...))
		return len(objects)
	}
	add("<</Type/Catalog/Pages 2 0 R/Lang(en)>>")
	add("")
	add("<</Type/Font/Subtype/Type1/BaseFont/Courier>>")
	add("<</Title(The Script)>>")
	var kids bytes.Buffer
	for range pages {
		var text, packed bytes.Buffer
		text.WriteString("BT /F1 12 Tf 1 0 0 1 108 720 Tm 12 TL\n")
		for range 54 {
			text.WriteByte('(')
			for range 2 + r.IntN(9) {
				for range 2 + r.IntN(7) {
					text.WriteByte("etaoinshrdlucm"[r.IntN(14)])
				}
				text.WriteByte(' ')
			}
			text.WriteString(") Tj T*\n")
		}
		text.WriteString("ET\n1 w\n100 700 m 500 700 l S\n")
		z := zlib.NewWriter(&packed)
		_, _ = z.Write(text.Bytes()) // a buffer takes everything
		_ = z.Close()
		content := add("<</Length %d/Filter/FlateDecode>>\nstream\n%s\nendstream", packed.Len(), packed.Bytes())
		fmt.Fprintf(&kids, "%d 0 R ", add("<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>", content))
	}
	objects[1] = fmt.Appendf(nil, "<</Type/Pages/Count %d/Kids[%s]>>", pages, kids.Bytes())
	out := []byte("%PDF-1.7\n")
	var table bytes.Buffer
	for i, o := range objects {
		fmt.Fprintf(&table, "%010d 00000 n \n", len(out))
		out = fmt.Appendf(out, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	at := len(out)
	return fmt.Appendf(out, "xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R/Info 4 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, table.Bytes(), len(objects)+1, at)
}

// compiled is the template of a source, as it comes out of a store.
func compiled(tb testing.TB, source []byte) *template.Template {
	tb.Helper()
	made, err := compile.Compile(tb.Context(), bytes.NewReader(source), compile.Limits{Pages: 5000, Objects: 1e6, Content: 1 << 28})
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	err = template.Write(&b, made)
	if err != nil {
		tb.Fatal(err)
	}
	t, err := template.Parse(b.Bytes())
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// recipe is one for somebody.
func recipe(tb testing.TB, text string) stamp.Recipe {
	tb.Helper()
	m, err := mark.Compose(mark.Spec{Template: "{name}"}, map[string]string{"name": text})
	if err != nil {
		tb.Fatal(err)
	}
	return stamp.Recipe{Mark: m, Code: hidden.ID{Key: 1, Number: 0x123456789abc, MAC: 0xfedcba987654}.Codeword(), Sealed: []byte("sealed"), Seed: stamp.Seed{1, 2, 3}}
}

const letters45 = "Confidential copy of Zoë Müller-Ångström, 204"
