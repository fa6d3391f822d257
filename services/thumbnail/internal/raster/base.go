package raster

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"sync"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/mark/paint"
	"github.com/filigreehq/filigree/services/thumbnail/internal/jpeg"
)

// Format is what a picture is encoded as.
type Format int

// The formats.
const (
	JPEG Format = iota
	PNG
)

// quality of a JPEG: text of a few pixels stays readable.
const quality = 82

// Base is a rendered page without a mark. It is safe for concurrent use.
type Base struct {
	size Size
	// depth is the number of bytes a pixel: 1 is grey, 4 red, green, blue and 255.
	depth  int
	pixels []byte
	// grey and coloured are the base as JPEGs have it, made when the first one is asked for. A grey page is needed in
	// colour when the mark has some.
	grey, coloured func() (*jpeg.Base, error)
	// scratch is the renderer's, for all its bases.
	scratch *scratch
}

// newBase keeps rgb, in grey if that is all it is.
func newBase(rgb []byte, size Size, s *scratch) *Base {
	n := size.Width * size.Height
	b := &Base{size: size, depth: 1, scratch: s}
	for i := 0; i < len(rgb); i += 3 {
		if rgb[i] != rgb[i+1] || rgb[i] != rgb[i+2] {
			b.depth = 4
			break
		}
	}
	b.pixels = make([]byte, n*b.depth)
	for i := range n {
		if b.depth == 1 {
			b.pixels[i] = rgb[3*i]
			continue
		}
		copy(b.pixels[4*i:], rgb[3*i:3*i+3])
		b.pixels[4*i+3] = 255
	}
	b.grey = sync.OnceValues(func() (*jpeg.Base, error) { return jpeg.NewGrey(b.pixels, size.Width, size.Height, quality) })
	b.coloured = sync.OnceValues(func() (*jpeg.Base, error) {
		return jpeg.NewColour(b.inColour(), size.Width, size.Height, quality)
	})
	return b
}

// Bytes is what the base takes in memory once it was asked for in every format, about: besides its pixels, one and a half
// bytes for each coded in grey, and two and a half coded in colour.
func (b *Base) Bytes() int64 {
	n := int64(b.size.Width) * int64(b.size.Height)
	if b.depth == 1 {
		return n + n*3/2 + n*5/2
	}
	return 4*n + n*5/2
}

// inColour is a base's pixels in four bytes each. They must not be written to.
func (b *Base) inColour() []byte {
	if b.depth == 4 {
		return b.pixels
	}
	out := make([]byte, 0, 4*len(b.pixels))
	for _, v := range b.pixels {
		out = append(out, v, v, v, 255)
	}
	return out
}

// hasColour reports whether m has any on a page of that level.
func hasColour(m *mark.Mark, level int) bool {
	for _, t := range m.Tones(level) {
		if t.Color[0] != t.Color[1] || t.Color[1] != t.Color[2] {
			return true
		}
	}
	return false
}

// Size is the picture's.
func (b *Base) Size() Size { return b.size }

// Picture is an encoded one.
type Picture struct {
	Data      []byte
	MediaType string
	Size      Size
}

// Mark draws m on a copy of the base, which shows page, the number-th of its document counted from 1, and returns it
// encoded.
func (b *Base) Mark(m *mark.Mark, page mark.Page, number int, as Format) (Picture, error) {
	colour := b.depth == 4 || hasColour(m, page.Level)
	if as == PNG {
		return b.png(m, page, number, colour)
	}
	code := b.grey
	if colour {
		code = b.coloured
	}
	base, err := code()
	if err != nil {
		return Picture{}, err
	}
	img := base.Clone()
	paint.DrawYCbCr(img, m, page, number)
	return Picture{Data: base.Append(nil, img), MediaType: "image/jpeg", Size: b.size}, nil
}

func (b *Base) png(m *mark.Mark, page mark.Page, number int, colour bool) (Picture, error) {
	c := paint.Canvas{Pix: b.pixels, Width: b.size.Width, Height: b.size.Height, Stride: b.size.Width, Depth: 1}
	if colour {
		c.Pix, c.Stride, c.Depth = b.inColour(), 4*c.Width, 4
	}
	c.Pix = bytes.Clone(c.Pix)
	c.Draw(m, page, number)
	bounds := image.Rect(0, 0, c.Width, c.Height)
	var img image.Image = &image.RGBA{Pix: c.Pix, Stride: c.Stride, Rect: bounds}
	if !colour {
		// As a palette of greys: what text and a mark make is not worth the search for line filters.
		img = &image.Paletted{Pix: c.Pix, Stride: c.Stride, Rect: bounds, Palette: greys}
	}
	var out bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: b.scratch}
	err := e.Encode(&out, img)
	if err != nil {
		return Picture{}, fmt.Errorf("encode a picture of %d by %d: %w", b.size.Width, b.size.Height, err)
	}
	return Picture{Data: out.Bytes(), MediaType: "image/png", Size: b.size}, nil
}

// greys is the palette in which every grey is its own index.
var greys = func() color.Palette {
	p := make(color.Palette, 256)
	for i := range p {
		p[i] = color.Gray{Y: uint8(i)}
	}
	return p
}()

// scratch keeps the encoder's buffers, which are larger than a picture.
type scratch struct{ pool sync.Pool }

func (s *scratch) Get() *png.EncoderBuffer {
	b, _ := s.pool.Get().(*png.EncoderBuffer)
	return b // nil makes the encoder take a new one
}

func (s *scratch) Put(b *png.EncoderBuffer) { s.pool.Put(b) }
