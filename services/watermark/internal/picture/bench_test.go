package picture_test

import (
	"bytes"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	stdpng "image/png"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/picture"
)

// photo is as soft, and as grainy, as photographs are.
func photo(width, height int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	r := rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			u, v := float64(x)/float64(width), float64(y)/float64(height)
			grain := 6 * r.Float64()
			shade := func(phase float64) uint8 {
				return uint8(120 + 70*math.Sin(9*u+5*v*v+phase) + 50*math.Sin(31*u*v+2*phase) + grain)
			}
			m.SetRGBA(x, y, color.RGBA{shade(0), shade(1), shade(2), 255})
		}
	}
	return m
}

// page is a picture of a page: dark strokes on white.
func page(width, height int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	r := rand.New(rand.NewPCG(1, 2))
	for y := 100; y < height-100; y += 28 {
		for x := 100; x < width-100; x += 12 {
			for range r.IntN(5) {
				a, b := r.IntN(8), r.IntN(16)
				for i := range 10 {
					m.SetRGBA(x+(a+i)%8, y+(b+i/2)%16, color.RGBA{20, 20, 30, 255})
				}
			}
		}
	}
	return m
}

// BenchmarkCopy compares a further copy with what Go's own encoder takes for the same decoded picture, turn by turn.
// ratio is the median of ours to its.
func BenchmarkCopy(b *testing.B) {
	const quality = 88
	jpeg := func(m image.Image) ([]byte, func(io.Writer, image.Image) error) {
		return encodeJPEG(b, m, quality), func(w io.Writer, m image.Image) error {
			return stdjpeg.Encode(w, m, &stdjpeg.Options{Quality: quality})
		}
	}
	png := func(m image.Image) ([]byte, func(io.Writer, image.Image) error) {
		return encodePNG(b, m), stdpng.Encode
	}
	for _, c := range []struct {
		name string
		kind func(image.Image) ([]byte, func(io.Writer, image.Image) error)
		m    image.Image
	}{
		{"jpeg/photo of 12 megapixels", jpeg, photo(4000, 3000)},
		{"jpeg/photo of 2 megapixels", jpeg, photo(1632, 1224)},
		{"jpeg/page of 2 megapixels", jpeg, page(1240, 1754)},
		{"png/photo of 2 megapixels", png, photo(1632, 1224)},
		{"png/page of 2 megapixels", png, page(1240, 1754)},
	} {
		for _, layout := range []mark.Layout{"diagonal", "tiled", "footer"} {
			b.Run(c.name+"/"+string(layout), func(b *testing.B) {
				src, encode := c.kind(c.m)
				decoded := decode(b, src)
				tpl, _ := compile(b, src)
				m := compose(b, mark.Spec{Style: mark.Style{Layout: layout}})
				var ours, theirs, ratios []float64
				var out bytes.Buffer
				for b.Loop() {
					out.Reset()
					started := time.Now()
					err := tpl.Stamp(&out, m, picture.Copy{ID: make([]byte, 300)})
					between := time.Now()
					if err == nil {
						err = encode(io.Discard, decoded)
					}
					if err != nil {
						b.Fatal(err)
					}
					a, t := between.Sub(started).Seconds(), time.Since(between).Seconds()
					ours, theirs, ratios = append(ours, a), append(theirs, t), append(ratios, a/t)
				}
				b.ReportMetric(1000*median(ours), "ms/copy")
				b.ReportMetric(1000*median(theirs), "ms/encode")
				b.ReportMetric(median(ratios), "ratio")
				b.ReportMetric(float64(out.Len())/float64(len(src)), "size")
				b.ReportMetric(0, "ns/op") // of both together it says nothing
			})
		}
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkCompile compares reading a source once with what Go's own decoder takes.
func BenchmarkCompile(b *testing.B) {
	for name, src := range map[string][]byte{
		"jpeg": encodeJPEG(b, photo(4000, 3000), 88),
		"png":  encodePNG(b, photo(1632, 1224)),
	} {
		b.Run(name, func(b *testing.B) {
			var size int
			for b.Loop() {
				var out bytes.Buffer
				_, err := picture.Compile(bytes.NewReader(src), &out, picture.DefaultLimits())
				if err != nil {
					b.Fatal(err)
				}
				size = out.Len()
			}
			b.ReportMetric(float64(size)/float64(len(src)), "size")
		})
		b.Run(name+"/decoder of Go", func(b *testing.B) {
			for b.Loop() {
				decode(b, src)
			}
		})
	}
}
