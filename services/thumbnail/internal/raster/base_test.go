package raster

import (
	"bytes"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/thumbnail/internal/jpeg"
)

// In memory a base takes what it is counted for in the cache, or less.
func TestWhatABaseTakes(t *testing.T) {
	t.Parallel()
	size := Size{Width: 480, Height: 621}
	for _, coloured := range []bool{false, true} {
		b := newBase(lines(size, coloured), size, &scratch{})
		takes := int64(len(b.pixels))
		for _, code := range []func() (*jpeg.Base, error){b.grey, b.coloured} {
			if coloured && takes == int64(len(b.pixels)) {
				takes++ // a coloured page is not asked for in grey
				continue
			}
			coded, err := code()
			if err != nil {
				t.Fatal(err)
			}
			takes += coded.Bytes()
		}
		if takes > b.Bytes() || takes < b.Bytes()/2 {
			t.Errorf("coloured %v: %d bytes are counted, and %d taken", coloured, b.Bytes(), takes)
		}
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	page := mark.Page{Box: [4]float64{0, 0, 480, 621}, Unit: 1}
	size := Size{Width: 480, Height: 621}
	for _, c := range []struct {
		name   string
		ground [3]byte
		mark   string
		colour bool
	}{
		{"grey on grey", [3]byte{250, 250, 250}, "", false},
		{"grey on colour", [3]byte{250, 120, 30}, "", true},
		{"colour on grey", [3]byte{250, 250, 250}, "#d01030", true},
		{"colour on colour", [3]byte{30, 250, 120}, "#d01030", true},
	} {
		m, err := mark.Compose(mark.Spec{Style: mark.Style{Color: c.mark}}, map[string]string{"name": "Zoë", "email": "zoe@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		b := newBase(bytes.Repeat(c.ground[:], size.Width*size.Height), size, &scratch{})
		for as, want := range map[Format]string{PNG: "image/png", JPEG: "image/jpeg"} {
			p, err := b.Mark(m, page, 1, as)
			if err != nil {
				t.Fatal(err)
			}
			img, kind, err := image.Decode(bytes.NewReader(p.Data))
			if err != nil || "image/"+kind != want || p.MediaType != want || img.Bounds().Dx() != 480 || img.Bounds().Dy() != 621 {
				t.Fatalf("%s: got %s as %s, want %s: %v", c.name, kind, p.MediaType, want, err)
			}
			coloured, marked := 0, 0
			for i := range size.Width * size.Height {
				r, g, b, _ := img.At(i%size.Width, i/size.Width).RGBA()
				if max(r, g, b)-min(r, g, b) > 20<<8 {
					coloured++
				}
				if max(int(g>>8), int(c.ground[1]))-min(int(g>>8), int(c.ground[1])) > 10 {
					marked++
				}
			}
			if (coloured > 0) != c.colour || marked < 1000 {
				t.Errorf("%s as %s: %d pixels have colour, %d show the mark", c.name, want, coloured, marked)
			}
		}
	}
}
