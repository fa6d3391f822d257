package raster

import (
	"bytes"
	"fmt"
	"image"
	std "image/jpeg"
	"syscall"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/mark/paint"
)

// BenchmarkMark is a mark drawn on a page that is in memory, and the picture encoded: ours, and with Go's own encoder.
func BenchmarkMark(b *testing.B) {
	page := mark.Page{Box: [4]float64{0, 0, 612, 792}, Unit: 1}
	m, err := mark.Compose(mark.Spec{}, map[string]string{"name": "Zoë Müller-Ångström", "email": "zoe.mueller@example.com"})
	if err != nil {
		b.Fatal(err)
	}
	for _, width := range []int{240, 400, 480} {
		size := Fit(page, width, 4_000_000)
		for _, coloured := range []bool{false, true} {
			base := newBase(lines(size, coloured), size, &scratch{})
			kind := map[bool]string{false: "grey", true: "colour"}[coloured]
			for _, as := range []Format{JPEG, PNG} {
				b.Run(fmt.Sprintf("%d/%s/%s", width, kind, map[Format]string{JPEG: "jpeg", PNG: "png"}[as]), func(b *testing.B) {
					var bytes int
					_, err := base.Mark(m, page, 1, as)
					if err != nil {
						b.Fatal(err)
					}
					before := processorTime(b)
					for b.Loop() {
						p, err := base.Mark(m, page, 1, as)
						if err != nil {
							b.Fatal(err)
						}
						bytes = len(p.Data)
					}
					report(b, before, bytes)
				})
			}
			b.Run(fmt.Sprintf("%d/%s/go's jpeg", width, kind), func(b *testing.B) {
				var out bytes.Buffer
				before := processorTime(b)
				for b.Loop() {
					pixels := bytes.Clone(base.pixels)
					paint.Canvas{Pix: pixels, Width: size.Width, Height: size.Height, Stride: size.Width * base.depth, Depth: base.depth}.Draw(m, page, 1)
					var img image.Image = &image.RGBA{Pix: pixels, Stride: 4 * size.Width, Rect: image.Rect(0, 0, size.Width, size.Height)}
					if !coloured {
						img = &image.Gray{Pix: pixels, Stride: size.Width, Rect: img.Bounds()}
					}
					out.Reset()
					err := std.Encode(&out, img, &std.Options{Quality: quality})
					if err != nil {
						b.Fatal(err)
					}
				}
				report(b, before, out.Len())
			})
		}
	}
}

// lines is a page of something like lines of text, as poppler writes it.
func lines(size Size, coloured bool) []byte {
	rgb := bytes.Repeat([]byte{255}, 3*size.Width*size.Height)
	for i := range size.Width * size.Height {
		x, y := i%size.Width, i/size.Width
		if y%12 < 7 && x > size.Width/8 && x < size.Width*7/8 && (x*7919+y*104729)%11 < 4 {
			rgb[3*i], rgb[3*i+1], rgb[3*i+2] = byte(x*y), byte(x*y), byte(x*y)
		}
		if coloured && x < size.Width/4 && y > size.Height*3/4 {
			rgb[3*i], rgb[3*i+1], rgb[3*i+2] = 200, byte(x), byte(y)
		}
	}
	return rgb
}

func report(b *testing.B, before time.Duration, bytes int) {
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(bytes), "bytes")
}

// processorTime is what this process has used: on a machine with other work it says more than the clock.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
