package picture_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	stdpng "image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/picture"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/ink"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// drawing is a picture with soft, hard and noisy parts.
func drawing(width, height int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	r := rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			c := color.NRGBA{uint8(255 * x / width), uint8(255 * y / height), uint8(128 + 100*(x/20%2)), 255}
			switch {
			case x/40%3 == 1 && y/40%3 == 1:
				c = color.NRGBA{uint8(r.IntN(256)), uint8(r.IntN(256)), uint8(r.IntN(256)), 255}
			case x/40%3 == 2 && y/40%4 == 2:
				c = color.NRGBA{255, 255, 255, 255}
			}
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

func encodePNG(tb testing.TB, m image.Image) []byte {
	tb.Helper()
	var out bytes.Buffer
	err := stdpng.Encode(&out, m)
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func encodeJPEG(tb testing.TB, m image.Image, quality int) []byte {
	tb.Helper()
	var out bytes.Buffer
	err := stdjpeg.Encode(&out, m, &stdjpeg.Options{Quality: quality})
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func decode(tb testing.TB, data []byte) image.Image {
	tb.Helper()
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// testdata are the pictures of the folder whose name matches.
func testdata(tb testing.TB, pattern string) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no files %s: %v", pattern, err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		out[filepath.Base(f)] = data
	}
	return out
}

func compose(tb testing.TB, spec mark.Spec) *mark.Mark {
	tb.Helper()
	m, err := mark.Compose(spec, map[string]string{"name": "Zoë Müller-Ångström", "email": "zoe@example.com"})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func compile(tb testing.TB, src []byte) (*picture.Template, picture.Report) {
	tb.Helper()
	var out bytes.Buffer
	report, err := picture.Compile(bytes.NewReader(src), &out, picture.DefaultLimits())
	if err != nil {
		tb.Fatal(err)
	}
	t, err := picture.Open(out.Bytes())
	if err != nil {
		tb.Fatal(err)
	}
	return t, report
}

func stamp(tb testing.TB, t *picture.Template, m *mark.Mark, c picture.Copy) []byte {
	tb.Helper()
	var out bytes.Buffer
	err := t.Stamp(&out, m, c)
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// copyOf is a copy with the default mark.
func copyOf(tb testing.TB, src []byte) []byte {
	tb.Helper()
	t, _ := compile(tb, src)
	return stamp(tb, t, compose(tb, mark.Spec{}), picture.Copy{})
}

// inkOf is the mark over a picture as it is stored: four bytes a pixel.
func inkOf(tb testing.TB, m *mark.Mark, width, height int, o source.Orientation) []byte {
	tb.Helper()
	layer, err := ink.New(m, width, height, o, 0)
	if err != nil {
		tb.Fatal(err)
	}
	s := layer.NewStrip(height)
	s.Draw(0, func(int, int, int) {})
	return s.Pix
}

// raw is a PNG as nobody's encoder is asked to write it.
type raw struct {
	width, height, depth, color int
	interlaced                  bool
	chunks                      []byte // before the pixels
	sample                      func(x, y, s int) int
}

func chunk(kind string, data []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	out = append(out, kind...)
	out = append(out, data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

var samples = map[int]int{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

func (r raw) encode() []byte {
	out := []byte("\x89PNG\r\n\x1a\n")
	head := binary.BigEndian.AppendUint32(nil, uint32(r.width))
	head = binary.BigEndian.AppendUint32(head, uint32(r.height))
	head = append(head, byte(r.depth), byte(r.color), 0, 0, 0)
	passes := [][4]int{{0, 0, 1, 1}}
	if r.interlaced {
		head[12] = 1
		passes = [][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
	}
	out = append(out, chunk("IHDR", head)...)
	out = append(out, r.chunks...)
	var pixels bytes.Buffer
	z := zlib.NewWriter(&pixels)
	for _, p := range passes {
		for y := p[1]; y < r.height && p[0] < r.width; y += p[3] {
			_, _ = z.Write(r.row(y, p[0], p[2])) // to memory
		}
	}
	_ = z.Close() // to memory
	data := pixels.Bytes()
	half := len(data) / 2
	out = append(out, chunk("IDAT", data[:half])...)
	out = append(out, chunk("IDAT", nil)...)
	out = append(out, chunk("IDAT", data[half:])...)
	return append(out, chunk("IEND", nil)...)
}

// row is every dx-th pixel of row y from x on, unfiltered.
func (r raw) row(y, x, dx int) []byte {
	row := []byte{0}
	acc, n := 0, 0
	for ; x < r.width; x += dx {
		for s := range samples[r.color] {
			v := r.sample(x, y, s)
			if r.depth == 16 {
				row = append(row, byte(v>>8), byte(v))
				continue
			}
			acc = acc<<r.depth | v&(1<<r.depth-1)
			n += r.depth
			if n == 8 {
				row = append(row, byte(acc))
				acc, n = 0, 0
			}
		}
	}
	if n > 0 {
		row = append(row, byte(acc<<(8-n)))
	}
	return row
}
