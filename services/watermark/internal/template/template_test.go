package template_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// sample is a template with one of everything.
func sample() *template.Template {
	var d template.Deflater
	return &template.Template{
		PDF: "1.7", Root: 1, Packed: 2, PerStream: 100, First: 2, Prefix: "Fga", Info: []byte("/Title(A)"),
		Entries: d.Piece(make([]byte, 3*template.EntrySize)),
		Runs: []template.Run{
			{Count: 2, Page: mark.Page{Box: [4]float64{0, 0, 612, 792}, Unit: 1}},
			{Count: 1, Page: mark.Page{Box: [4]float64{-10, 5.5, 600, 700}, Rotate: 270, Unit: 2}},
		},
		Notes: []string{"scripts are left out"},
		Streams: []template.Stream{
			{Dict: []byte("/Type/X"), Pieces: []template.Piece{{Kind: template.Kept, Bytes: []byte("as it is")}}},
			{Dict: []byte("/Filter/FlateDecode"), Pieces: []template.Piece{
				d.Piece([]byte("q 1 w")), {Kind: template.Strokes, Page: 2}, d.Piece([]byte("Q")), {Kind: template.Picture, Page: 2}, {Kind: template.Top, Page: 2},
			}},
			{Dict: []byte("/Type/ObjStm"), Pieces: []template.Piece{{Kind: template.Kept, Bytes: []byte("objects")}}},
		},
	}
}

func encode(tb testing.TB, t *template.Template) []byte {
	tb.Helper()
	var b bytes.Buffer
	err := template.Write(&b, t)
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	data := encode(t, sample())
	got, err := template.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got, cmpopts.IgnoreFields(template.Template{}, "Digest", "Size")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got.Size != int64(len(data)) || !bytes.HasSuffix(data, got.Digest[:]) || got.Pages() != 3 {
		t.Errorf("size %d of %d, %d pages", got.Size, len(data), got.Pages())
	}
}

func TestADamagedOneIsRefused(t *testing.T) {
	data := encode(t, sample())
	for i := range data {
		other := bytes.Clone(data)
		other[i] ^= 1 << (i % 8)
		_, err := template.Parse(other)
		if !errors.Is(err, template.ErrDamaged) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		_, err = template.Parse(data[:i])
		if !errors.Is(err, template.ErrDamaged) {
			t.Errorf("cut off at %d: %v", i, err)
		}
	}
}

func TestOneThatContradictsItselfIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*template.Template){
		"version of PDF":         func(t *template.Template) { t.PDF = "1.7\n%" },
		"catalogue":              func(t *template.Template) { t.Root = 6 },
		"packed":                 func(t *template.Template) { t.Packed = 500 },
		"no objects in a stream": func(t *template.Template) { t.PerStream = 0 },
		"first object stream":    func(t *template.Template) { t.First = 3 },
		"prefix":                 func(t *template.Template) { t.Prefix = "F a" },
		"no prefix":              func(t *template.Template) { t.Prefix = "" },
		"entries":                func(t *template.Template) { t.Entries.Length++ },
		"no pages":               func(t *template.Template) { t.Runs = nil },
		"box":                    func(t *template.Template) { t.Runs[0].Page.Box[2] = -1 },
		"unit":                   func(t *template.Template) { t.Runs[0].Page.Unit = 0 },
		"slot of no page":        func(t *template.Template) { t.Streams[1].Pieces[1].Page = 3 },
		"no pieces":              func(t *template.Template) { t.Streams[0].Pieces = nil },
		"slot missing at the end": func(t *template.Template) {
			t.Streams[1].Pieces = t.Streams[1].Pieces[:4]
			t.Streams[1].Pieces[3] = t.Streams[1].Pieces[2]
		},
		"kept among others": func(t *template.Template) { t.Streams[1].Pieces[0].Kind = template.Kept },
	} {
		other := sample()
		spoil(other)
		_, err := template.Parse(encode(t, other))
		if !errors.Is(err, template.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever bytes say, if only their sum is right, they are read or refused.
func FuzzParse(f *testing.F) {
	f.Add(encode(f, sample()))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < sha256.Size {
			return
		}
		body := data[:len(data)-sha256.Size]
		sum := sha256.Sum256(body)
		got, err := template.Parse(append(bytes.Clone(body), sum[:]...))
		if err != nil {
			if !errors.Is(err, template.ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		again, err := template.Parse(encode(t, got))
		if err != nil {
			t.Fatalf("written again it is refused: %v", err)
		}
		if diff := cmp.Diff(got, again, cmpopts.IgnoreFields(template.Template{}, "Digest", "Size"), cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("(-read +read again)\n%s", diff)
		}
	})
}
