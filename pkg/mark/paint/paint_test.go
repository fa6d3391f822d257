package paint_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/mark/paint"
)

var letter = mark.Page{Box: [4]float64{0, 0, 612, 792}, Unit: 1}

func compose(tb testing.TB, spec mark.Spec, name string) *mark.Mark {
	tb.Helper()
	m, err := mark.Compose(spec, map[string]string{"name": name, "email": "zoe.mueller@example.com"})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// canvas is a picture that is value all over.
func canvas(width, height, depth int, value byte) paint.Canvas {
	return paint.Canvas{Pix: bytes.Repeat([]byte{value}, width*height*depth), Width: width, Height: height, Stride: width * depth, Depth: depth}
}

// Grey and colour are painted alike, and nothing but what Coverage says is touched.
func TestWhatIsPainted(t *testing.T) {
	t.Parallel()
	for _, layout := range []mark.Layout{"", "tiled", "header", "footer", "corners"} {
		for _, rotate := range []int{0, 90, 180, 270} {
			page := letter
			page.Rotate = rotate
			width, height := 240, 311
			if rotate%180 != 0 {
				width, height = height, width
			}
			m := compose(t, mark.Spec{Style: mark.Style{Layout: layout}}, "Zoë Müller-Ångström")
			grey, colour := canvas(width, height, 1, 255), canvas(width, height, 4, 255)
			grey.Draw(m, page, 1)
			colour.Draw(m, page, 1)
			ink := paint.Coverage(m, page, 1, width, height)
			changed := 0
			for i, v := range grey.Pix {
				if !bytes.Equal(colour.Pix[4*i:4*i+4], []byte{v, v, v, 255}) {
					t.Fatalf("%q turned by %d: pixel %d is %d in grey and %v in colour", layout, rotate, i, v, colour.Pix[4*i:4*i+4])
				}
				if v != 255 {
					changed++
					if ink.Pix[i] == 0 {
						t.Fatalf("%q turned by %d: pixel %d is painted, and nothing covers it", layout, rotate, i)
					}
				}
			}
			if changed < 200 {
				t.Errorf("%q turned by %d: only %d pixels are painted", layout, rotate, changed)
			}
		}
	}
}

// On white, a colour takes away from each channel in proportion to what it lacks of it itself.
func TestColour(t *testing.T) {
	t.Parallel()
	m := compose(t, mark.Spec{Style: mark.Style{Color: "#d01030"}}, "Zoë")
	c := canvas(480, 621, 4, 255)
	c.Draw(m, letter, 1)
	darkest := 0
	for i := 0; i < len(c.Pix); i += 4 {
		r, g, b := 255-int(c.Pix[i]), 255-int(c.Pix[i+1]), 255-int(c.Pix[i+2])
		darkest = max(darkest, g)
		if math.Abs(float64(r)-float64(g)*0x2f/0xef) > 1.2 || math.Abs(float64(b)-float64(g)*0xcf/0xef) > 1.2 {
			t.Fatalf("pixel %d is %v", i/4, c.Pix[i:i+4])
		}
	}
	if darkest < 30 {
		t.Errorf("the colour takes away %d of 255 at most", darkest)
	}
}

// A mark that is only in part within the picture is painted as that part of a whole one.
func TestCutOff(t *testing.T) {
	t.Parallel()
	m := compose(t, mark.Spec{}, "Zoë Müller-Ångström")
	const side = 400
	page := mark.Page{Box: [4]float64{0, 0, side, side}, Unit: 1}
	whole := paint.Coverage(m, page, 1, side, side)
	for _, size := range []image.Point{{side, 150}, {150, side}, {side, 1}} {
		part := paint.Coverage(m, page, 1, size.X, size.Y) // the same scale: the longer side is the same
		worst := 0
		for y := range size.Y {
			for x := range size.X {
				d := int(part.AlphaAt(x, y).A) - int(whole.AlphaAt(x, y).A)
				worst = max(worst, d, -d)
			}
		}
		if worst > 1 { // sums of a row begin elsewhere
			t.Errorf("a picture of %v differs by up to %d", size, worst)
		}
	}
}

// Ink has the size that outlines have: what is covered is the area of a form, however it is turned and scaled.
func TestCoverageIsArea(t *testing.T) {
	t.Parallel()
	m := compose(t, mark.Spec{Style: mark.Style{Pages: "2-"}}, "Zoë")
	areas := map[int]float64{}
	for _, width := range []int{612, 1224} {
		for _, v := range paint.Coverage(m, letter, 1, width, width*792/612).Pix {
			areas[width] += float64(v) / 255
		}
	}
	if areas[612] < 10 || math.Abs(areas[1224]/areas[612]-4) > 0.1 {
		t.Errorf("in twice the size %g pixels are covered instead of %g, want four times as many", areas[1224], areas[612])
	}
}

// Drawn on brightness and colour, the mark is what comes of drawing it on red, green and blue.
func TestYCbCr(t *testing.T) {
	t.Parallel()
	m := compose(t, mark.Spec{Style: mark.Style{Color: "#1040d0"}}, "Zoë Müller-Ångström")
	const width, height = 480, 620
	rgb := canvas(width, height, 4, 0)
	for i := range rgb.Pix {
		rgb.Pix[i] = []byte{250, 220, 120, 255}[i%4]
	}
	have := toYCbCr(rgb)
	rgb.Draw(m, letter, 2)
	want := toYCbCr(rgb)
	grey := *have
	grey.Y, grey.Cb, grey.Cr = bytes.Clone(have.Y), nil, nil
	paint.DrawYCbCr(have, m, letter, 2)
	paint.DrawYCbCr(&grey, m, letter, 2)
	for name, planes := range map[string][2][]byte{"brightness": {have.Y, want.Y}, "blue": {have.Cb, want.Cb}, "red": {have.Cr, want.Cr}, "brightness alone": {grey.Y, want.Y}} {
		worst, sum := 0, 0
		for i, v := range planes[0] {
			apart := max(int(v)-int(planes[1][i]), int(planes[1][i])-int(v))
			worst = max(worst, apart)
			sum += apart
		}
		// Roundings of two ways and, where edges of two shapes meet, means of products that are products of means here.
		if mean := float64(sum) / float64(len(planes[0])); worst > 10 || mean > 0.2 {
			t.Errorf("%s is up to %d apart, in the mean %.3f", name, worst, mean)
		}
	}
}

func toYCbCr(c paint.Canvas) *image.YCbCr {
	img := image.NewYCbCr(image.Rect(0, 0, c.Width, c.Height), image.YCbCrSubsampleRatio420)
	sums := make([][2]int, len(img.Cb))
	for y := range c.Height {
		for x := range c.Width {
			p := c.Pix[y*c.Stride+4*x:]
			luma, cb, cr := color.RGBToYCbCr(p[0], p[1], p[2])
			img.Y[img.YOffset(x, y)] = luma
			sum := &sums[img.COffset(x, y)]
			sum[0] += int(cb)
			sum[1] += int(cr)
		}
	}
	for i, sum := range sums {
		img.Cb[i], img.Cr[i] = byte((sum[0]+2)/4), byte((sum[1]+2)/4)
	}
	return img
}

func TestPaintedAgainItIsTheSame(t *testing.T) {
	t.Parallel()
	one, two := canvas(480, 621, 4, 200), canvas(480, 621, 4, 200)
	one.Draw(compose(t, mark.Spec{}, "Zoë"), letter, 3)
	two.Draw(compose(t, mark.Spec{}, "Zoë"), letter, 3)
	if d := cmp.Diff(one.Pix, two.Pix); d != "" {
		t.Error("two drawings of a mark differ")
	}
}

func BenchmarkDraw(b *testing.B) {
	for _, layout := range []mark.Layout{"diagonal", "tiled"} {
		for _, width := range []int{240, 400} {
			m := compose(b, mark.Spec{Style: mark.Style{Layout: layout}}, "Zoë Müller-Ångström")
			height := width * 792 / 612
			for _, depth := range []int{1, 4} {
				b.Run(fmt.Sprintf("%s/%d/depth=%d", layout, width, depth), func(b *testing.B) {
					c := canvas(width, height, depth, 255)
					for b.Loop() {
						c.Draw(m, letter, 1)
					}
				})
			}
			b.Run(fmt.Sprintf("%s/%d/ycbcr", layout, width), func(b *testing.B) {
				img := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
				for b.Loop() {
					paint.DrawYCbCr(img, m, letter, 1)
				}
			})
		}
	}
}
