package raster

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
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

// choose decides once for all pictures of a page by the size they have without a mark.
func (b *Base) choose() format {
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
	var img image.Image = &image.Gray{Pix: pixels, Stride: b.size.Width, Rect: bounds}
	if b.depth == 4 {
		img = &image.RGBA{Pix: pixels, Stride: 4 * b.size.Width, Rect: bounds}
	}
	var out bytes.Buffer
	p := Picture{Size: b.size, MediaType: "image/png"}
	var err error
	if b.format == asJPEG {
		p.MediaType = "image/jpeg"
		err = jpeg.Encode(&out, img, &jpeg.Options{Quality: quality})
	} else {
		e := png.Encoder{CompressionLevel: png.BestSpeed}
		err = e.Encode(&out, img)
	}
	if err != nil {
		return Picture{}, fmt.Errorf("encode a picture of %d by %d: %w", b.size.Width, b.size.Height, err)
	}
	p.Data = out.Bytes()
	return p, nil
}
