package trace_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/watermark/internal/trace"
)

func TestLexer(t *testing.T) {
	for _, c := range []struct {
		in      string
		ops     []string
		numbers [][]float64
	}{
		{"1 2 m 3 4 l S", []string{"m", "l", "S"}, [][]float64{{1, 2}, {3, 4}, nil}},
		{"-.5 +1. 0.25 --3 1e5 x", []string{"1e5", "x"}, [][]float64{{-0.5, 1, 0.25, -3}, nil}},
		{"(a 1 m \\) (b) ) Tj <3120> Tj [1 (2) 3] TJ 7 w", []string{"Tj", "Tj", "TJ", "w"}, [][]float64{nil, nil, nil, {7}}},
		{"/P <</MCID 1 /A [2 3]>> BDC 4 5 m", []string{"BDC", "m"}, [][]float64{nil, {4, 5}}},
		{"1 2 3 4 5 6 7 8 cm", []string{"cm"}, [][]float64{{3, 4, 5, 6, 7, 8}}},
		{"BI /W 1 /H 1 ID \x00 m EI\xff EI 1 2 m", []string{"BI", "m"}, [][]float64{nil, {1, 2}}},
		{"BI /W 1 ID abc", []string{"BI", "abc"}, [][]float64{nil, nil}},
		{"% 1 2 m\n3 4 m % 5", []string{"m"}, [][]float64{{3, 4}}},
		{"] > ) } 1 2 m <", []string{"m"}, [][]float64{{1, 2}}},
	} {
		ops, numbers := trace.Numbers(c.in)
		for i := range numbers {
			if len(numbers[i]) == 0 {
				numbers[i] = nil
			}
		}
		if diff := cmp.Diff(c.ops, ops); diff != "" {
			t.Errorf("%q: %s", c.in, diff)
			continue
		}
		if diff := cmp.Diff(c.numbers, numbers); diff != "" {
			t.Errorf("%q: %s", c.in, diff)
		}
	}
}

func TestPoints(t *testing.T) {
	p := trace.Pack([][2]float64{{1.5, -2}, {math.NaN(), math.Inf(1)}, {0.125, 1e7}})
	if diff := cmp.Diff([][2]float64{{1.5, -2}, {0, 0}, {0.125, 0}}, p.All()); diff != "" {
		t.Error(diff)
	}
	if got := trace.Points([]byte("1234567")).All(); len(got) != 0 {
		t.Errorf("got %v of half a point", got)
	}
}

// A form that paints itself, and forms that paint the next one many times, must not keep anybody busy.
func TestFormsThatMultiply(t *testing.T) {
	w := &writer{}
	w.buf.WriteString("%PDF-1.7\n")
	w.object("<</Type/Catalog/Pages 2 0 R>>")
	w.object("<</Type/Pages/Count 1/Kids[3 0 R]>>")
	w.object("<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>>>")
	w.stream("", []byte("/X Do"))
	content := bytes.Repeat([]byte("/X Do\n"), 100)
	for i := range 30 {
		next := 5 + (i+1)%30
		w.stream(fmt.Sprintf("/Subtype/Form/Resources<</XObject<</X %d 0 R>>>>", next), content)
	}
	f, err := trace.Look(w.finish(), trace.Limits{Pages: 10, Content: 1 << 20, Points: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Cut {
		t.Error("it was looked at to the end")
	}
}

func TestLimits(t *testing.T) {
	pdf := write(t, sheetsOf(ours(number), 5), nil)
	whole, err := trace.Look(pdf, trace.DefaultLimits())
	if err != nil || whole.Cut || len(whole.Shapes) != 15 { // a strip and two ribbons each
		t.Fatalf("got %d shapes, %v, %v", len(whole.Shapes), whole.Cut, err)
	}
	for name, l := range map[string]trace.Limits{
		"pages":   {Pages: 2, Content: 1 << 20, Points: 10000},
		"content": {Pages: 10, Content: 10000, Points: 10000},
		"points":  {Pages: 10, Content: 1 << 20, Points: 200},
	} {
		f, err := trace.Look(pdf, l)
		if err != nil || !f.Cut || len(f.Shapes) >= len(whole.Shapes) || len(f.Shapes) == 0 {
			t.Errorf("%s: %d shapes, cut %v, %v", name, len(f.Shapes), f.Cut, err)
		}
	}
}

func FuzzLook(f *testing.F) {
	f.Add(write(f, []sheet{{id: ours(1), strip: true, ribbon: true}}, sealed(ada)))
	f.Add([]byte("%PDF-1.4\n"))
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	f.Fuzz(func(t *testing.T, pdf []byte) {
		_, _ = trace.Look(pdf, trace.Limits{Pages: 10, Content: 1 << 20, Points: 1000}) // must come back
	})
}

func FuzzLexer(f *testing.F) {
	f.Add("1 2 m 3 4 l S (a) <</B [1]>> BI ID \x00 EI")
	f.Fuzz(func(t *testing.T, content string) { trace.Numbers(content) })
}

// Documents that Filigree never touched have nothing of ours, and nothing that looks as if it had been.
func TestOtherDocumentsHaveNothing(t *testing.T) {
	dir := os.Getenv("FILIGREE_CORPUS")
	if dir == "" {
		t.Skip("FILIGREE_CORPUS names no folder of PDFs")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.pdf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no PDFs in %s: %v", dir, err)
	}
	tracer := trace.New(trace.Config{TempDir: t.TempDir()}, slog.New(slog.DiscardHandler))
	looked := 0
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		found, err := tracer.Find(t.Context(), f, "")
		_ = f.Close() // only read
		var refused *trace.Error
		if errors.As(err, &refused) {
			t.Logf("%s: %v", filepath.Base(path), refused)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
			continue
		}
		looked++
		if len(found.Shapes)+len(found.Sealed) > 0 || found.Cut {
			t.Errorf("%s: %d shapes, %d sealed entries, cut %v", filepath.Base(path), len(found.Shapes), len(found.Sealed), found.Cut)
		}
	}
	t.Logf("%d of %d files looked at", looked, len(files))
}
