package picture_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/picture"
)

const (
	width  = 211
	height = 149
)

// pngs are one of each kind.
func pngs() map[string][]byte {
	ramp := func(depth int) func(x, y, s int) int {
		return func(x, y, s int) int { return ((x + y*3 + s*40) << depth >> 8) & (1<<depth - 1) }
	}
	all := map[string][]byte{}
	for color, depths := range map[int][]int{0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}} {
		for _, depth := range depths {
			for _, interlaced := range []bool{false, true} {
				r := raw{width: width, height: height, depth: depth, color: color, interlaced: interlaced, sample: ramp(depth)}
				var table, opacity, greys []byte
				for i := range 1 << min(depth, 8) {
					table = append(table, byte(i*7), byte(i*31), byte(255-i))
					greys = append(greys, byte(i), byte(i), byte(i))
					opacity = append(opacity, byte(i*53))
				}
				name := fmt.Sprintf("%d/%d/%t", color, depth, interlaced)
				switch color {
				case 3:
					r.chunks = chunk("PLTE", greys)
					all[name+"/greys"] = r.encode()
					r.chunks = chunk("PLTE", table)
					all[name] = r.encode()
					r.chunks = append(r.chunks, chunk("tRNS", opacity[:len(opacity)*3/4])...)
					all[name+"/transparent"] = r.encode()
				case 0, 2:
					all[name] = r.encode()
					var key []byte
					for s := range samples[color] {
						v := r.sample(9, 20, s)
						key = append(key, byte(v>>8), byte(v))
					}
					r.chunks = chunk("tRNS", key)
					all[name+"/transparent"] = r.encode()
				default:
					all[name] = r.encode()
				}
			}
		}
	}
	return all
}

// Beside the mark a copy of a PNG is its source, pixel by pixel; under it, what blending says.
func TestPNG(t *testing.T) {
	t.Parallel()
	m := compose(t, mark.Spec{})
	over := inkOf(t, m, width, height, 1)
	for name, src := range pngs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tpl, report := compile(t, src)
			if report.Width != width || report.Height != height || report.MediaType != "image/png" || tpl.MediaType() != "image/png" {
				t.Errorf("got %+v", report)
			}
			want, got := decode(t, src), decode(t, stamp(t, tpl, m, picture.Copy{}))
			if got.Bounds() != want.Bounds() {
				t.Fatalf("a copy measures %v instead of %v", got.Bounds(), want.Bounds())
			}
			marked := 0
			for y := range height {
				for x := range width {
					i := over[4*(y*width+x):][:4]
					before, after := color.NRGBA64Model.Convert(want.At(x, y)).(color.NRGBA64), color.NRGBA64Model.Convert(got.At(x, y)).(color.NRGBA64)
					if i[3] == 0 {
						if before != after && (before.A|after.A) != 0 {
							t.Fatalf("(%d, %d) was %v and is %v, and no ink is there", x, y, before, after)
						}
						continue
					}
					marked++
					near(t, x, y, i, before, after)
				}
			}
			if marked < 500 {
				t.Errorf("%d pixels are marked", marked)
			}
		})
	}
}

// near checks a pixel that ink i lies over.
func near(t *testing.T, x, y int, i []byte, before, after color.NRGBA64) {
	t.Helper()
	const most = 65535.0
	ink, below := float64(i[3])/255, float64(before.A)/most*(1-float64(i[3])/255)
	all := ink + below
	want := [4]float64{3: all * most}
	for c, v := range []uint16{before.R, before.G, before.B} {
		want[c] = (float64(i[c])/255*most + float64(v)*below) / all
	}
	// Grey marks are grey to about one part of 255; half a part comes from rounding, and more where little shows.
	tolerance := 257 * (1 + 1/all)
	for c, v := range []uint16{after.R, after.G, after.B, after.A} {
		d := want[c] - float64(v)
		if d > tolerance || d < -tolerance {
			t.Fatalf("(%d, %d): channel %d was %v, and is %v under %v, want %.0f", x, y, c, before, after, i, want[c])
		}
	}
}

// planes are the components of a decoded JPEG as they are sampled: rows of bytes, and how many pixels a sample has.
type plane struct {
	pix          []byte
	stride, step int
	h, v         int
}

func planes(t *testing.T, m image.Image) []plane {
	t.Helper()
	switch m := m.(type) {
	case *image.Gray:
		return []plane{{m.Pix, m.Stride, 1, 1, 1}}
	case *image.CMYK:
		return []plane{{m.Pix, m.Stride, 4, 1, 1}, {m.Pix[1:], m.Stride, 4, 1, 1}, {m.Pix[2:], m.Stride, 4, 1, 1}, {m.Pix[3:], m.Stride, 4, 1, 1}}
	case *image.RGBA:
		return []plane{{m.Pix, m.Stride, 4, 1, 1}, {m.Pix[1:], m.Stride, 4, 1, 1}, {m.Pix[2:], m.Stride, 4, 1, 1}}
	case *image.YCbCr:
		h, v := 1, 1
		switch m.SubsampleRatio {
		case image.YCbCrSubsampleRatio422:
			h = 2
		case image.YCbCrSubsampleRatio420:
			h, v = 2, 2
		case image.YCbCrSubsampleRatio440:
			v = 2
		case image.YCbCrSubsampleRatio411:
			h = 4
		}
		return []plane{{m.Y, m.YStride, 1, 1, 1}, {m.Cb, m.CStride, 1, h, v}, {m.Cr, m.CStride, 1, h, v}}
	}
	t.Fatalf("%T", m)
	return nil
}

// Blocks beside the mark are what they were, bit by bit; those under it show it.
func TestJPEG(t *testing.T) {
	t.Parallel()
	m := compose(t, mark.Spec{})
	over := inkOf(t, m, width, height, 1)
	for name, src := range testdata(t, "*.jpg") {
		if name == "arithmetic.jpg" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tpl, report := compile(t, src)
			if report.Width != width || report.Height != height || report.MediaType != "image/jpeg" || tpl.MediaType() != "image/jpeg" {
				t.Errorf("got %+v", report)
			}
			want, got := decode(t, src), decode(t, stamp(t, tpl, m, picture.Copy{}))
			if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
				t.Fatalf("it was %T and is %T", want, got)
			}
			before, after := planes(t, want), planes(t, got)
			for i := range before {
				same, wrong := comparePlane(before[i], after[i], over, name)
				if same < 0.3 || wrong > 0 {
					t.Errorf("component %d: %.0f %% of the blocks are beside the mark, of which %d have changed", i, 100*same, wrong)
				}
			}
			visible(t, want, got, over)
		})
	}
}

// comparePlane counts the blocks without ink, and those of them that are not the same. The decoder gives CMYK and RGB in
// pixels even where they are sampled more coarsely, so there blocks of 32 pixels are looked at.
func comparePlane(a, b plane, over []byte, name string) (untouched float64, wrong int) {
	side := 8
	if a.step > 1 {
		side = 16
	}
	blocks, free := 0, 0
	for y := 0; y+side <= height/a.v; y += side {
		for x := 0; x+side <= width/a.h; x += side {
			blocks++
			if inked(over, x*a.h, y*a.v, (x+side)*a.h, (y+side)*a.v) {
				continue
			}
			free++
			for v := range side {
				for h := range side {
					at := (y+v)*a.stride + (x+h)*a.step
					if a.pix[at] != b.pix[at] {
						wrong++
						v, h = side, side
					}
				}
			}
		}
	}
	return float64(free) / float64(blocks), wrong
}

func inked(over []byte, x0, y0, x1, y1 int) bool {
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			if over[4*(y*width+x)+3] != 0 {
				return true
			}
		}
	}
	return false
}

// visible checks that a copy differs from its source in the direction of the ink, and about as far.
func visible(t *testing.T, before, after image.Image, over []byte) {
	t.Helper()
	var moved, whole float64
	for y := range height {
		for x := range width {
			i := over[4*(y*width+x):][:4]
			if i[3] == 0 {
				continue
			}
			r, g, b, _ := before.At(x, y).RGBA()
			p, q, s, _ := after.At(x, y).RGBA()
			for c, v := range []uint32{r, g, b} {
				was, is := float64(v)/257, float64([]uint32{p, q, s}[c])/257
				want := float64(i[c]) - was*float64(i[3])/255
				moved += (is - was) * want
				whole += want * want
			}
		}
	}
	if moved < 0.35*whole || moved > 1.4*whole {
		t.Errorf("pixels under the mark are %.0f %% of the way to what they should be", 100*moved/whole)
	}
}

// The mark can be seen on whatever it lies on.
func TestTheMarkShows(t *testing.T) {
	t.Parallel()
	grounds := map[string]func(x, y int) uint8{
		"black":              func(int, int) uint8 { return 0 },
		"white":              func(int, int) uint8 { return 255 },
		"grey":               func(int, int) uint8 { return 128 },
		"as dark as the ink": func(int, int) uint8 { return 102 },
		"noise":              func(x, y int) uint8 { return uint8((x*7919 + y*104729 + x*y*31) >> 3) },
	}
	for name, ground := range grounds {
		for _, kind := range []string{"png", "jpeg"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				const w, h = 900, 700
				g := image.NewGray(image.Rect(0, 0, w, h))
				for i := range g.Pix {
					g.Pix[i] = ground(i%w, i/w)
				}
				src := encodePNG(t, g)
				if kind == "jpeg" {
					src = encodeJPEG(t, g, 90)
				}
				got := decode(t, copyOf(t, src))
				over := inkOf(t, compose(t, mark.Spec{}), w, h, 1)
				strongest, sum, n := 0, 0, 0
				for y := range h {
					for x := range w {
						if over[4*(y*w+x)+3] == 0 {
							continue
						}
						d := int(got.(*image.Gray).GrayAt(x, y).Y) - int(ground(x, y))
						strongest, sum, n = max(strongest, d, -d), sum+max(d, -d), n+1
					}
				}
				if strongest < 20 || float64(sum)/float64(n) < 6 {
					t.Errorf("the mark changes %d pixels by %.1f of 255, at most %d: nobody sees that", n, float64(sum)/float64(n), strongest)
				}
			})
		}
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	sources := testdata(t, "420.jpg")
	sources["png"] = encodePNG(t, drawing(width, height))
	for name, src := range sources {
		tpl, _ := compile(t, src)
		for _, id := range [][]byte{nil, {0, 255, 1, 254}, bytes.Repeat([]byte{0xA5}, 4096)} {
			got, err := picture.ID(bytes.NewReader(stamp(t, tpl, compose(t, mark.Spec{}), picture.Copy{ID: id})))
			if err != nil || !bytes.Equal(got, id) {
				t.Errorf("%s: got %d bytes, %v, want %d", name, len(got), err, len(id))
			}
		}
		err := tpl.Stamp(&bytes.Buffer{}, compose(t, mark.Spec{}), picture.Copy{ID: make([]byte, 4097)})
		if err == nil {
			t.Errorf("%s: an id that is too long was taken", name)
		}
	}
	got, err := picture.ID(bytes.NewReader(append([]byte("\x89PNG\r\n\x1a\n"), chunk("tEXt", []byte("FiligreeCopy\x00not base64!"))...)))
	var refusal *picture.Error
	if got != nil || err != nil && !errors.As(err, &refusal) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestCopiesAreReproducible(t *testing.T) {
	t.Parallel()
	for name, src := range testdata(t, "*0.jpg") {
		if !bytes.Equal(copyOf(t, src), copyOf(t, src)) {
			t.Errorf("two copies of %s differ", name)
		}
	}
	src := encodePNG(t, drawing(width, height))
	if !bytes.Equal(copyOf(t, src), copyOf(t, src)) {
		t.Error("two copies of a PNG differ")
	}
}

// All layouts and colours can be drawn on pictures.
func TestStyles(t *testing.T) {
	t.Parallel()
	plain := drawing(width, height)
	src := encodePNG(t, plain)
	for _, layout := range []mark.Layout{"", "diagonal", "tiled", "header", "footer", "corners"} {
		tpl, _ := compile(t, src)
		m := compose(t, mark.Spec{Style: mark.Style{Layout: layout, Color: "#c02020", Opacity: 60}})
		got := decode(t, stamp(t, tpl, m, picture.Copy{Level: 2}))
		changed := 0
		for y := range height {
			for x := range width {
				if color.NRGBAModel.Convert(got.At(x, y)) != plain.At(x, y) {
					changed++
				}
			}
		}
		if changed < 100 {
			t.Errorf("%q changed %d pixels", layout, changed)
		}
	}
}
