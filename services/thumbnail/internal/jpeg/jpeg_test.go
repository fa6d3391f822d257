package jpeg_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	std "image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/filigreehq/filigree/services/thumbnail/internal/jpeg"
)

const quality = 82

// page is a picture with what pages have: white, lines of something like text, a photograph, plain colour.
func page(width, height int, colour bool) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	p := bytes.Repeat([]byte{255}, 4*width*height)
	for y := range height {
		for x := range width {
			at := p[4*(y*width+x):]
			switch {
			case y < height/2 && y%12 < 7 && x > width/8 && x < width*7/8:
				v := byte(255)
				if r.IntN(3) == 0 {
					v = byte(r.IntN(256))
				}
				at[0], at[1], at[2] = v, v, v
			case y > height*2/3 && x < width/2:
				s := 128 + 100*math.Sin(float64(x)/17)*math.Cos(float64(y)/11)
				at[0], at[1], at[2] = byte(s), byte(255-s), byte(r.IntN(40))
			case y > height*2/3:
				at[0], at[1], at[2] = 200, 20, 60
			}
			if !colour {
				at[1], at[2] = at[0], at[0]
			}
		}
	}
	return p
}

func grey(p []byte) []byte {
	out := make([]byte, len(p)/4)
	for i := range out {
		out[i] = p[4*i]
	}
	return out
}

func base(tb testing.TB, p []byte, width, height int, colour bool) *jpeg.Base {
	tb.Helper()
	b, err := jpeg.NewGrey(grey(p), width, height, quality)
	if colour {
		b, err = jpeg.NewColour(p, width, height, quality)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// distance is the root of the mean square of what two pictures differ by, in all channels.
func distance(a, b image.Image) float64 {
	sum, n := 0.0, 0
	r := a.Bounds()
	for y := range r.Dy() {
		for x := range r.Dx() {
			p, q := color.RGBAModel.Convert(a.At(x, y)).(color.RGBA), color.RGBAModel.Convert(b.At(x, y)).(color.RGBA)
			for _, d := range []float64{float64(p.R) - float64(q.R), float64(p.G) - float64(q.G), float64(p.B) - float64(q.B)} {
				sum += d * d
				n++
			}
		}
	}
	return math.Sqrt(sum / float64(n))
}

func decode(tb testing.TB, data []byte) image.Image {
	tb.Helper()
	img, err := std.Decode(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

var sizes = []image.Point{{1, 1}, {7, 9}, {8, 8}, {16, 16}, {17, 33}, {240, 311}, {1, 300}, {300, 1}}

// What comes out is as near to the picture as what Go's own encoder makes of it in the same quality, and not larger.
func TestQualityAndSize(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		for _, colour := range []bool{false, true} {
			p := page(size.X, size.Y, colour)
			b := base(t, p, size.X, size.Y, colour)
			ours := b.Append(nil, b.Clone())
			src := &image.RGBA{Pix: p, Stride: 4 * size.X, Rect: image.Rectangle{Max: size}}
			for i := 3; i < len(p); i += 4 {
				p[i] = 255
			}
			var theirs bytes.Buffer
			var err error
			if colour {
				err = std.Encode(&theirs, src, &std.Options{Quality: quality})
			} else {
				err = std.Encode(&theirs, &image.Gray{Pix: grey(p), Stride: size.X, Rect: src.Rect}, &std.Options{Quality: quality})
			}
			if err != nil {
				t.Fatal(err)
			}
			got := decode(t, ours)
			if got.Bounds() != src.Rect {
				t.Errorf("%v: decoded it is %v", size, got.Bounds())
				continue
			}
			a, c := distance(got, src), distance(decode(t, theirs.Bytes()), src)
			if a > c*1.02+0.5 || len(ours) > theirs.Len()+64 {
				t.Errorf("%v, colour %v: %.2f away in %d bytes, Go's own %.2f in %d", size, colour, a, len(ours), c, theirs.Len())
			}
		}
	}
}

// A picture that differs from its base in parts is coded as if it were a base itself, but for the tables.
func TestChangedPartsAreAsGoodAsTheRest(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for _, size := range []image.Point{{16, 16}, {32, 48}, {240, 320}} { // of which nothing is beyond the edge
		for _, colour := range []bool{false, true} {
			b := base(t, page(size.X, size.Y, colour), size.X, size.Y, colour)
			img := b.Clone()
			for range 5 {
				x, y := r.IntN(size.X), r.IntN(size.Y)
				for v := y; v < min(y+20, size.Y); v++ {
					for h := x; h < min(x+20, size.X); h++ {
						img.Y[v*img.YStride+h] = byte(r.IntN(256))
						if colour {
							img.Cb[v/2*img.CStride+h/2] = 90
							img.Cr[v/2*img.CStride+h/2] = 200
						}
					}
				}
			}
			got := decode(t, b.Append(nil, img))
			want := image.Image(img)
			if !colour {
				want = &image.Gray{Pix: img.Y, Stride: img.YStride, Rect: img.Rect}
			}
			var theirs bytes.Buffer
			err := std.Encode(&theirs, want, &std.Options{Quality: quality})
			if err != nil {
				t.Fatal(err)
			}
			a, c := distance(got, want), distance(decode(t, theirs.Bytes()), want)
			if a > c*1.02+0.5 {
				t.Errorf("%v, colour %v: %.2f away from what was changed, Go's own %.2f", size, colour, a, c)
			}
		}
	}
}

// Coding only what changed gives the bytes that coding all would give.
func TestCopiedCodesAreTheCodes(t *testing.T) {
	t.Parallel()
	b := base(t, page(240, 311, true), 240, 311, true)
	prefix := []byte("before")
	one := b.Append(prefix, b.Clone())
	if !bytes.HasPrefix(one, prefix) || !bytes.Equal(one[len(prefix):], b.Append(nil, b.Clone())) {
		t.Error("the same picture gives other bytes")
	}
	// Each block changed and changed back: nothing is the same as the base's when it is compared.
	all := b.Clone()
	for i := range all.Y {
		all.Y[i] ^= 1
	}
	other := b.Append(nil, all)
	if bytes.Equal(other, one[len(prefix):]) {
		t.Error("what was changed is not in the bytes")
	}
}

func TestSizesThatTheFormatHasNoRoomFor(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{0, 1}, {1, 0}, {65536, 1}, {1, 65536}, {-1, 1}} {
		_, err := jpeg.NewGrey(make([]byte, 65536), size.X, size.Y, quality)
		_, err2 := jpeg.NewColour(make([]byte, 4*65536), size.X, size.Y, quality)
		if err == nil || err2 == nil {
			t.Errorf("%v was taken", size)
		}
	}
}

// FuzzPictures: whatever the samples, a strict reader reads it, and it is near to them.
func FuzzPictures(f *testing.F) {
	f.Add(uint8(9), uint8(17), uint8(50), []byte("some samples"), []byte("others"))
	f.Add(uint8(1), uint8(1), uint8(100), []byte{0}, []byte{255})
	f.Add(uint8(16), uint8(16), uint8(1), []byte{0, 255}, []byte{255, 0, 0})
	f.Fuzz(func(t *testing.T, width, height, quality uint8, was, is []byte) {
		w, h := int(width)%64+1, int(height)%64+1
		p := make([]byte, 4*w*h)
		for i := range p {
			if len(was) > 0 {
				p[i] = was[i%len(was)]
			}
		}
		for _, colour := range []bool{false, true} {
			b, err := jpeg.NewGrey(grey(p), w, h, int(quality)%100+1)
			if colour {
				b, err = jpeg.NewColour(p, w, h, int(quality)%100+1)
			}
			if err != nil {
				t.Fatal(err)
			}
			img := b.Clone()
			for i := range img.Y {
				if len(is) > 0 {
					img.Y[i] = is[i%len(is)]
				}
			}
			got := decode(t, b.Append(nil, img))
			if got.Bounds() != image.Rect(0, 0, w, h) {
				t.Fatalf("%v, want %d by %d", got.Bounds(), w, h)
			}
		}
	})
}

func BenchmarkJPEG(b *testing.B) {
	for _, width := range []int{240, 400, 480} {
		height := width * 792 / 612
		for _, colour := range []bool{false, true} {
			p := page(width, height, colour)
			ours := base(b, p, width, height, colour)
			marked := ours.Clone()
			for y := height / 3; y < height*2/3; y++ { // a third of all is under the mark
				for x := range width {
					marked.Y[y*marked.YStride+x] = marked.Y[y*marked.YStride+x] / 8 * 7
				}
			}
			b.Run(fmt.Sprintf("ours/%d/colour=%v", width, colour), func(b *testing.B) {
				var out []byte
				for b.Loop() {
					out = ours.Append(out[:0], marked)
				}
				b.ReportMetric(float64(len(out)), "bytes")
			})
			b.Run(fmt.Sprintf("go/%d/colour=%v", width, colour), func(b *testing.B) {
				src := image.Image(marked)
				if !colour {
					src = &image.Gray{Pix: marked.Y, Stride: marked.YStride, Rect: marked.Rect}
				}
				var out bytes.Buffer
				for b.Loop() {
					out.Reset()
					err := std.Encode(&out, src, &std.Options{Quality: quality})
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(out.Len()), "bytes")
			})
			b.Run(fmt.Sprintf("new/%d/colour=%v", width, colour), func(b *testing.B) {
				for b.Loop() {
					base(b, p, width, height, colour)
				}
			})
		}
	}
}
