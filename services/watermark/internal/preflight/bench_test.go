package preflight_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/mark/paint"
	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
)

// spent is the processor time of this process and its children so far.
func spent(tb testing.TB) time.Duration {
	tb.Helper()
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		err := syscall.Getrusage(who, &u)
		if err != nil {
			tb.Fatal(err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// BenchmarkScript is the preflight of a script of 120 pages.
func BenchmarkScript(b *testing.B) {
	need.Programs(b, "pdftoppm")
	pages := make([]sheet, 120)
	for i := range pages {
		pages[i].under = script(i)
	}
	m := somebody(b, mark.Style{})
	benchmark(b, pages, ink{mark: m}, 0)
}

// script is operators for a page of dialogue.
func script(page int) string {
	r := rand.New(rand.NewPCG(1, uint64(page)))
	words := []string{"the", "night", "CAR", "INT.", "door", "looks", "away", "slowly", "into", "a", "dark", "corridor", "where", "nobody", "waits"}
	var b bytes.Buffer
	b.WriteString("BT /F 12 Tf 12 TL 108 740 Td\n")
	for range 54 {
		line := ""
		for range r.IntN(10) {
			line += words[r.IntN(len(words))] + " "
		}
		fmt.Fprintf(&b, "(%s) Tj T*\n", line)
	}
	b.WriteString("ET\n")
	return b.String()
}

// BenchmarkScans are pages of A4 at 300 dpi, ten each.
func BenchmarkScans(b *testing.B) {
	need.Programs(b, "pdftoppm")
	const w, h = 2480, 3508
	r := rand.New(rand.NewPCG(1, 2))
	colour := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	grey := image.NewGray(colour.Rect)
	bits := make([]byte, w/8*h)
	raw := make([]byte, 0, w*h*3)
	for y := range h {
		for x := range w {
			v := byte(235 + r.IntN(16))
			if y/40%3 == 1 && x > 300 && x < 2180 && (x/9^y/11)%3 == 0 {
				v = byte(40 + r.IntN(20))
			} else {
				bits[y*(w/8)+x/8] |= 0x80 >> (x % 8)
			}
			colour.Y[colour.YOffset(x, y)] = v
			grey.SetGray(x, y, color.Gray{Y: v})
			raw = append(raw, v, v, v)
		}
	}
	for i := range colour.Cb {
		colour.Cb[i], colour.Cr[i] = byte(126+r.IntN(4)), byte(128+r.IntN(4))
	}
	compressed := func(m image.Image) string {
		var out bytes.Buffer
		err := jpeg.Encode(&out, m, &jpeg.Options{Quality: 80})
		if err != nil {
			b.Fatal(err)
		}
		return out.String()
	}
	object := func(dict, data string) string {
		return fmt.Sprintf("<</Type/XObject/Subtype/Image/Width %d/Height %d%s/Length %d>>\nstream\n%s\nendstream", w, h, dict, len(data), data)
	}
	for _, kind := range []struct{ name, object string }{
		{"jpeg", object("/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode", compressed(colour))},
		{"grey-jpeg", object("/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/DCTDecode", compressed(grey))},
		{"deflate", deflated(fmt.Sprintf("/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceRGB/BitsPerComponent 8", w, h), raw)},
		{"bits", deflated(fmt.Sprintf("/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 1", w, h), bits)},
	} {
		b.Run(kind.name, func(b *testing.B) {
			pages := make([]sheet, 10)
			for i := range pages {
				pages[i] = sheet{media: [4]float64{0, 0, 595, 842}, under: "595 0 0 842 0 0 cm /Scan Do"}
			}
			benchmark(b, pages, ink{mark: somebody(b, mark.Style{}), scan: kind.object}, float64(10*w*h)/1e6)
		})
	}
}

func benchmark(b *testing.B, pages []sheet, k ink, megapixels float64) {
	b.Helper()
	plain, marked := document(b, pages, ink{scan: k.scan}), document(b, pages, k)
	start := spent(b)
	for b.Loop() {
		verdicts, err := preflight.Check(b.Context(), plain, marked, expect(k.mark, pages), config(), nil)
		if err != nil {
			b.Fatal(err)
		}
		raise, err := preflight.Next(verdicts)
		if len(raise) > 0 || err != nil {
			b.Fatal(raise, err)
		}
	}
	cpu := float64((spent(b) - start).Microseconds()) / 1e3 / float64(b.N)
	b.ReportMetric(cpu, "cpu-ms/op")
	b.ReportMetric(cpu/float64(len(pages)), "cpu-ms/page")
	if megapixels > 0 {
		b.ReportMetric(cpu/megapixels, "cpu-ms/MP")
	}
}

// BenchmarkScore is what a page costs in this process, rendering aside.
func BenchmarkScore(b *testing.B) {
	m := somebody(b, mark.Style{})
	p := sheet{}.page()
	const w, h = 476, 616
	cover := paint.Coverage(m, p, 1, w, h)
	plain := make([]byte, w*h)
	for i := range plain {
		if i/w%5 > 1 {
			plain[i] = byte(i)
		}
	}
	marked := bytes.Clone(plain)
	paint.Canvas{Pix: marked, Width: w, Height: h, Stride: w, Depth: 1}.Draw(m, p, 1)
	b.Run("coverage", func(b *testing.B) {
		for b.Loop() {
			_ = paint.Coverage(m, p, 1, w, h) // the benchmark
		}
	})
	b.Run("score", func(b *testing.B) {
		for b.Loop() {
			_ = preflight.ScorePictures(plain, marked, cover) // the benchmark
		}
	})
}
