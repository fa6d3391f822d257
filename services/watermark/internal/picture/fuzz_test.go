package picture_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/picture"
)

// small keeps what a fuzzer finds quick.
var small = picture.Limits{Pixels: 1 << 17, Side: 2000, Memory: 8 << 20}

func seeds(f *testing.F) [][]byte {
	var all [][]byte
	for _, src := range testdata(f, "*.jpg") {
		all = append(all, src)
	}
	for _, src := range pngs() {
		all = append(all, src)
	}
	for _, b := range bombs() {
		all = append(all, b.src)
	}
	return all
}

func FuzzCompile(f *testing.F) {
	for _, src := range seeds(f) {
		f.Add(src)
	}
	m := compose(f, mark.Spec{})
	f.Fuzz(func(t *testing.T, src []byte) { try(t, src, m, small) })
}

func FuzzID(f *testing.F) {
	for _, src := range seeds(f) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		_, err := picture.ID(bytes.NewReader(src))
		var refusal *picture.Error
		if err != nil && !errors.As(err, &refusal) {
			t.Errorf("got %v, want a refusal", err)
		}
	})
}

// A template with a right checksum is what a child under somebody else's control could hand out.
func FuzzOpen(f *testing.F) {
	for _, src := range seeds(f) {
		var out bytes.Buffer
		_, err := picture.Compile(bytes.NewReader(src), &out, small)
		if err == nil {
			f.Add(out.Bytes()[:out.Len()-sha256.Size])
		}
	}
	m := compose(f, mark.Spec{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 1<<17 {
			return
		}
		sum := sha256.Sum256(body)
		tpl, err := picture.Open(append(body[:len(body):len(body)], sum[:]...))
		if err == nil {
			box := tpl.Page().Box
			if box[2]*box[3] > 1<<20 {
				return
			}
			err = tpl.Stamp(io.Discard, m, picture.Copy{})
		}
		if err != nil && !errors.Is(err, picture.ErrTemplate) {
			t.Errorf("got %v, want that the template is refused", err)
		}
	})
}
