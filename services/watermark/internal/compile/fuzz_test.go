package compile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/watermark/internal/compile"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// document makes a PDF of objects numbered from 1, the first of which is the catalogue.
func document(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
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
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R/Info<</Title(T)>>>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, at)
	return b.Bytes()
}

func stream(dict, data string) string {
	return fmt.Sprintf("<<%s/Length %d>>\nstream\n%s\nendstream", dict, len(data), data)
}

// Whatever bytes there are, they are refused by an *Error or become a template that can be written and read again. A
// panic of the library that reads PDFs ends its child, which is what children are for; one of ours is a defect.
func FuzzCompile(f *testing.F) {
	page := "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>"
	content := stream("", "q 1 0 0 1 9 9 cm /X Do Q BT (a) Tj ET BI /W 1 /H 1 /IM true ID \x00 EI")
	form := stream("/Type/XObject/Subtype/Form/BBox[0 0 9 9]", "0 0 9 9 re f")
	f.Add(document("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Count 1/Kids[3 0 R]>>", page+">>", content, form))
	f.Add(document("<</Type/Catalog/Pages 2 0 R/Outlines<</First 6 0 R>>/PageLabels<</Nums[0<</S/r>>]>>/Names<</Dests<</Names[(a)[3 0 R/Fit]]>>>>>>",
		"<</Type/Pages/Count 1/Kids[3 0 R]/Rotate 90>>", page+"/Annots[<</Subtype/Link/Rect[0 0 1 1]/A<</S/Launch/F(x)>>>>]/CropBox[9 9 99 99]/UserUnit 2>>", content, form,
		"<</Title(o)/Parent 6 0 R/Next 6 0 R/Dest(a)>>"))
	f.Add(document("<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R]>>/StructTreeRoot<</K 6 0 R>>>>", "<</Type/Pages/Count 1/Kids[3 0 R]>>",
		page+"/Annots[5 0 R]>>", content, "<</Subtype/Widget/FT/Tx/T(t)/Rect[0 0 99 99]/AP<</N 7 0 R>>>>", "<</S/P/P 6 0 R/K 6 0 R>>", form))
	f.Add([]byte("%PDF-1.7\ntrailer<</Root 1 0 R>>startxref 0"))
	limits := compile.Limits{Pages: 50, Objects: 5000, Content: 1 << 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			t.Skip("larger ones are the gauntlet's")
		}
		done := make(chan struct{})
		var tmpl *template.Template
		var err error
		var defect string
		go func() {
			defer close(done)
			defer func() {
				if v := recover(); v != nil {
					stack := string(debug.Stack())
					_, origin, _ := strings.Cut(stack, "panic(")
					if at := strings.Index(origin, "github.com/"); at < 0 || !strings.HasPrefix(origin[at:], "github.com/pdfcpu/") {
						defect = fmt.Sprint(v, "\n", stack)
					}
					err = errors.New("the library panicked")
				}
			}()
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			tmpl, err = compile.Compile(ctx, bytes.NewReader(data), limits)
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second): // in a child it would be out of processor time
			t.Skip("the library does not come to an end")
		}
		if defect != "" {
			t.Fatal(defect)
		}
		if err != nil {
			var refused *compile.Error
			if err.Error() != "the library panicked" && !errors.As(err, &refused) {
				t.Fatalf("refused by no code: %v", err)
			}
			return
		}
		var out bytes.Buffer
		err = template.Write(&out, tmpl)
		if err != nil {
			t.Fatalf("write: %v", err)
		}
		_, err = template.Parse(out.Bytes())
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
