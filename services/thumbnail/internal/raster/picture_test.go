package raster

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"testing"
)

// corners is a picture of width by height whose four corners have colours of their own: red, green, blue, and black.
func corners(width, height int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			c := color.NRGBA{A: 255}
			switch {
			case y < height/2 && x < width/2:
				c.R = 255
			case y < height/2:
				c.G = 255
			case x < width/2:
				c.B = 255
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

// exif says that pixels are stored in an orientation, in either byte order.
func exif(o int, order binary.AppendByteOrder) []byte {
	e := []byte("II*\x00")
	if order.String() == "BigEndian" {
		e = []byte("MM\x00*")
	}
	e = order.AppendUint32(e, 8)
	e = order.AppendUint16(e, 2)
	e = append(e, make([]byte, 12)...) // another entry
	e = order.AppendUint16(e, 0x0112)
	e = order.AppendUint16(e, 3)
	e = order.AppendUint32(e, 1)
	e = order.AppendUint16(e, uint16(o))
	return append(e, 0, 0, 0, 0, 0, 0)
}

func asJPEG(tb testing.TB, img image.Image, o int) []byte {
	tb.Helper()
	var out bytes.Buffer
	err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 95})
	if err != nil {
		tb.Fatal(err)
	}
	body := append([]byte("Exif\x00\x00"), exif(o, binary.BigEndian)...)
	app1 := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(body)+2))
	return bytes.Join([][]byte{out.Bytes()[:2], app1, body, out.Bytes()[2:]}, nil)
}

func asPNG(tb testing.TB, img image.Image, o int) []byte {
	tb.Helper()
	var out bytes.Buffer
	err := png.Encode(&out, img)
	if err != nil {
		tb.Fatal(err)
	}
	const header = 8 + 25 // signature and IHDR
	body := append([]byte("eXIf"), exif(o, binary.LittleEndian)...)
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)-4))
	chunk = binary.BigEndian.AppendUint32(append(chunk, body...), crc32.ChecksumIEEE(body))
	return bytes.Join([][]byte{out.Bytes()[:header], chunk, out.Bytes()[header:]}, nil)
}

func sized(w, h int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(w)), uint32(h))
}

// However a picture is stored, it comes out as it is looked at.
func TestPicturesAreTurnedAsTheyAreLookedAt(t *testing.T) {
	t.Parallel()
	// Where red, stored in the upper left corner, and green, stored in the upper right one, are to be seen: bits of right
	// and lower.
	want := map[int][2]int{1: {0, 1}, 2: {1, 0}, 3: {3, 2}, 4: {2, 3}, 5: {0, 2}, 6: {1, 3}, 7: {3, 1}, 8: {2, 0}, 9: {0, 1}, 0: {0, 1}}
	for o, at := range want {
		for kind, data := range map[string][]byte{"JPEG": asJPEG(t, corners(160, 80), o), "PNG": asPNG(t, corners(160, 80), o)} {
			w, h := 40, 20
			if o >= 5 && o <= 8 {
				w, h = h, w
			}
			rgb, err := shrink(bytes.NewReader(data), sized(w, h))
			if err != nil || len(rgb) != 3*w*h {
				t.Fatalf("%s, orientation %d: %d bytes, %v", kind, o, len(rgb), err)
			}
			for c, corner := range at {
				x, y := 3, 3
				if corner&1 > 0 {
					x = w - 4
				}
				if corner&2 > 0 {
					y = h - 4
				}
				p := rgb[3*(y*w+x):][:3]
				if p[c] < 200 || p[1-c] > 50 || p[2] > 50 {
					t.Errorf("%s, orientation %d: channel %d is to be at (%d, %d), which is %v", kind, o, c, x, y, p)
				}
			}
		}
	}
}

// A pixel is the mean of what it covers; what can be seen through is on white.
func TestPicturesAreShrunkByMeans(t *testing.T) {
	t.Parallel()
	img := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	for i := range 64 * 64 {
		v := byte(255 * ((i%64 + i/64) % 2))
		img.SetNRGBA(i%64, i/64, color.NRGBA{R: v, G: v, B: v, A: 255})
		if i/64 >= 32 {
			img.SetNRGBA(i%64, i/64, color.NRGBA{A: 51}) // a fifth of black
		}
	}
	var data bytes.Buffer
	err := png.Encode(&data, img)
	if err != nil {
		t.Fatal(err)
	}
	rgb, err := shrink(bytes.NewReader(data.Bytes()), sized(8, 8))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range rgb {
		want := 128
		if i >= len(rgb)/2 {
			want = 204
		}
		if int(v) < want-1 || int(v) > want+1 {
			t.Fatalf("byte %d is %d, want %d", i, v, want)
		}
	}
	rgb, err = shrink(bytes.NewReader(data.Bytes()), sized(100, 200)) // larger than it is
	if err != nil || len(rgb) != 3*100*200 {
		t.Errorf("enlarged: %d bytes, %v", len(rgb), err)
	}
}

// What is damaged or too large is an error.
func TestPicturesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	whole := asJPEG(t, corners(64, 64), 6)
	huge := asPNG(t, corners(8, 8), 1)
	binary.BigEndian.PutUint32(huge[16:], 30_000)
	binary.BigEndian.PutUint32(huge[20:], 30_000)
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	for name, data := range map[string][]byte{"nothing": nil, "text": []byte("Dear all, this is no picture"), "cut": whole[:len(whole)/2], "too large": huge} {
		rgb, err := shrink(bytes.NewReader(data), sized(8, 8))
		if err == nil {
			t.Errorf("%s: got %d bytes, want an error", name, len(rgb))
		}
	}
}

func FuzzPicture(f *testing.F) {
	f.Add(asJPEG(f, corners(16, 8), 6))
	f.Add(asPNG(f, corners(16, 8), 3))
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		data := asPNG(f, corners(16, 8), r.IntN(9))
		data[r.IntN(len(data))] ^= byte(1 << r.IntN(8))
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, _, err := image.DecodeConfig(bytes.NewReader(data))
		if err == nil && cfg.Width*cfg.Height > 1<<20 {
			return // the sandbox is for those
		}
		rgb, err := shrink(bytes.NewReader(data), sized(7, 5))
		if err == nil && len(rgb) != 3*7*5 {
			t.Errorf("%d bytes", len(rgb))
		}
	})
}
