package raster

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"sync"
)

// Picture is an encoded one.
type Picture struct {
	Data      []byte
	MediaType string
	Size      Size
}

type format int

const (
	asPNG format = iota
	asJPEG
)

// quality of a JPEG: text of a few pixels stays readable.
const quality = 82

// favour is how many times a JPEG's size a PNG may have: text is crisp in it.
const favour = 1.25

// choose decides once for all pictures of a page. In colour it is a JPEG, since a PNG takes several times as long to
// write and to send; in grey it is a PNG unless that is much larger, which it is for scans.
func (b *Base) choose() format {
	if b.depth > 1 {
		return asJPEG
	}
	b.format = asPNG
	crisp, err := b.encode(b.pixels)
	if err != nil {
		return asJPEG
	}
	b.format = asJPEG
	soft, err := b.encode(b.pixels)
	if err != nil || float64(len(crisp.Data)) <= favour*float64(len(soft.Data)) {
		return asPNG
	}
	return asJPEG
}

func (b *Base) encode(pixels []byte) (Picture, error) {
	bounds := image.Rect(0, 0, b.size.Width, b.size.Height)
	var out bytes.Buffer
	p := Picture{Size: b.size, MediaType: "image/png"}
	var err error
	switch {
	case b.format == asPNG:
		// As a palette of greys: what text and a mark make is not worth the search for line filters.
		e := png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: b.scratch}
		err = e.Encode(&out, &image.Paletted{Pix: pixels, Stride: b.size.Width, Rect: bounds, Palette: greys()})
	case b.depth == 1:
		p.MediaType = "image/jpeg"
		err = jpeg.Encode(&out, &image.Gray{Pix: pixels, Stride: b.size.Width, Rect: bounds}, &jpeg.Options{Quality: quality})
	default:
		p.MediaType = "image/jpeg"
		err = jpeg.Encode(&out, &image.RGBA{Pix: pixels, Stride: 4 * b.size.Width, Rect: bounds}, &jpeg.Options{Quality: quality})
	}
	if err != nil {
		return Picture{}, fmt.Errorf("encode a picture of %d by %d: %w", b.size.Width, b.size.Height, err)
	}
	p.Data = out.Bytes()
	return p, nil
}

// greys is the palette in which every grey is its own index.
func greys() color.Palette {
	p := make(color.Palette, 256)
	for i := range p {
		p[i] = color.Gray{Y: uint8(i)}
	}
	return p
}

// scratch keeps the encoder's buffers, which are larger than a picture.
type scratch struct{ pool sync.Pool }

func (s *scratch) Get() *png.EncoderBuffer {
	b, _ := s.pool.Get().(*png.EncoderBuffer)
	return b // nil makes the encoder take a new one
}

func (s *scratch) Put(b *png.EncoderBuffer) { s.pool.Put(b) }
