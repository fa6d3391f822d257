package picture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/picture"
)

// exif is a photo's: an orientation, and a place that nobody is to know.
func exif(o int) []byte {
	be := binary.BigEndian
	e := []byte("MM\x00*\x00\x00\x00\x08\x00\x03")
	e = append(be.AppendUint16(e, 0x010F), "\x00\x02\x00\x00\x00\x04Cam\x00"...) // make
	e = append(be.AppendUint16(e, 0x0112), "\x00\x03\x00\x00\x00\x01"...)
	e = append(be.AppendUint16(e, uint16(o)), 0, 0)
	e = append(be.AppendUint16(e, 0x8825), "\x00\x04\x00\x00\x00\x01\x00\x00\x00\x32"...) // GPS
	return append(e, "\x00\x00\x00\x00\x00\x01SECRETPLACE"...)
}

func segment(marker byte, data []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(len(data)+2)), data...)
}

// insert puts segments behind the first two bytes of a JPEG, or chunks behind the header of a PNG.
func insert(src []byte, more ...[]byte) []byte {
	at := 2
	if src[0] == 0x89 {
		at = 33
	}
	return slices.Concat(src[:at], slices.Concat(more...), src[at:])
}

// seen is a stored picture as it is looked at.
func seen(m image.Image, o int) image.Image {
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	if o >= 5 {
		out = image.NewNRGBA(image.Rect(0, 0, h, w))
	}
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			// TIFF 6.0, Orientation: which side of what is seen row 0 and column 0 of what is stored are.
			at := [...]image.Point{
				1: {x, y}, 2: {w - 1 - x, y}, 3: {w - 1 - x, h - 1 - y}, 4: {x, h - 1 - y},
				5: {y, x}, 6: {y, h - 1 - x}, 7: {w - 1 - y, h - 1 - x}, 8: {w - 1 - y, x},
			}[o]
			out.Set(x, y, m.At(at.X, at.Y))
		}
	}
	return out
}

// The mark is upright and where it belongs, however a picture is turned.
func TestOrientation(t *testing.T) {
	t.Parallel()
	stored := drawing(300, 200)
	for o := 1; o <= 8; o++ {
		for kind, src := range map[string][]byte{
			"jpeg": insert(encodeJPEG(t, stored, 95), segment(0xE1, append([]byte("Exif\x00\x00"), exif(o)...))),
			"png":  insert(encodePNG(t, stored), chunk("eXIf", exif(o))),
		} {
			upright := decode(t, copyOf(t, encodePNG(t, seen(stored, o))))
			tpl, report := compile(t, src)
			if report.Width != upright.Bounds().Dx() || report.Height != upright.Bounds().Dy() || tpl.Page() != report.Page() {
				t.Errorf("%s %d: got %+v, page %v", kind, o, report, tpl.Page())
			}
			data := stamp(t, tpl, compose(t, mark.Spec{}), picture.Copy{})
			got := seen(decode(t, data), o)
			sum := 0
			for y := range report.Height {
				for x := range report.Width {
					a, b := color.GrayModel.Convert(upright.At(x, y)).(color.Gray).Y, color.GrayModel.Convert(got.At(x, y)).(color.Gray).Y
					sum += max(int(a)-int(b), int(b)-int(a))
				}
			}
			mean := float64(sum) / float64(report.Width*report.Height)
			if kind == "png" && mean > 0.1 || mean > 3 { // a mark elsewhere makes 8 and more
				t.Errorf("%s %d: it differs from an upright one by %.2f", kind, o, mean)
			}
			if bytes.Contains(data, []byte("SECRETPLACE")) || bytes.Contains(data, []byte("Cam")) {
				t.Errorf("%s %d: the copy says where it was taken", kind, o)
			}
			again, err := picture.Inspect(bytes.NewReader(data), picture.DefaultLimits())
			if err != nil || again.Orientation != report.Orientation || int(again.Orientation) != o {
				t.Errorf("%s: orientation %d became %d, %v", kind, o, again.Orientation, err)
			}
		}
	}
}

// What colours mean is kept, and what else a picture says is not.
func TestMetadata(t *testing.T) {
	t.Parallel()
	profile := append([]byte("ICC_PROFILE\x00\x01\x01"), bytes.Repeat([]byte("profile"), 30)...)
	jpeg := insert(encodeJPEG(t, drawing(width, height), 90),
		segment(0xE0, []byte("JFIF\x00\x01\x02\x01\x01\x2c\x01\x2c\x00\x00")), segment(0xE1, []byte("http://ns.adobe.com/xap/1.0/\x00SECRET")),
		segment(0xE2, profile), segment(0xE2, []byte("MPF\x00SECRET")), segment(0xED, []byte("Photoshop 3.0\x00SECRET")), segment(0xFE, []byte("SECRET")))
	jpeg = append(jpeg, "SECRET beyond the end"...)
	png := insert(encodePNG(t, drawing(width, height)),
		chunk("gAMA", []byte{0, 0, 177, 143}), chunk("iCCP", []byte("p\x00\x00profile")), chunk("pHYs", []byte{0, 0, 11, 18, 0, 0, 11, 18, 1}),
		chunk("tEXt", []byte("Author\x00SECRET")), chunk("iTXt", []byte("XML\x00SECRET")), chunk("tIME", []byte("SECRET!")), chunk("prVt", []byte("SECRET")))
	png = append(png, "PK\x03\x04 SECRET beyond the end"...)
	for name, c := range map[string]struct {
		src  []byte
		kept [][]byte
	}{
		"jpeg": {jpeg, [][]byte{segment(0xE2, profile), []byte("JFIF\x00\x01\x02\x01\x01\x2c\x01\x2c\x00\x00")}},
		"png":  {png, [][]byte{chunk("gAMA", []byte{0, 0, 177, 143}), chunk("iCCP", []byte("p\x00\x00profile")), []byte("pHYs")}},
	} {
		tpl, report := compile(t, c.src)
		got := stamp(t, tpl, compose(t, mark.Spec{}), picture.Copy{})
		if bytes.Contains(got, []byte("SECRET")) || bytes.Contains(got, []byte("PK\x03\x04")) {
			t.Errorf("%s: something secret is in the copy", name)
		}
		for _, kept := range c.kept {
			if !bytes.Contains(got, kept) {
				t.Errorf("%s: %q is not in the copy", name, kept)
			}
		}
		if !slices.Equal(report.Notes, tpl.Notes()) {
			t.Errorf("%s: notes are %q, and of the template %q", name, report.Notes, tpl.Notes())
		}
		if len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "place, time and camera") {
			t.Errorf("%s: notes are %q", name, report.Notes)
		}
		decode(t, got)
	}
}

// bombs are pictures that are more than they seem.
func bombs() map[string]struct {
	src    []byte
	reason string
} {
	type bomb = struct {
		src    []byte
		reason string
	}
	huge := raw{width: 60_000, height: 60_000, depth: 1}.head()
	jpeg := func(w, h int) []byte {
		frame := []byte{8, byte(h >> 8), byte(h), byte(w >> 8), byte(w), 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0}
		return slices.Concat([]byte{0xFF, 0xD8}, segment(0xC0, frame), segment(0xDA, []byte{3, 1, 0, 2, 0, 3, 0, 0, 63, 0}), make([]byte, 1000))
	}
	return map[string]bomb{
		"GIF":                    {[]byte("GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x02D\x01\x00;"), "IMAGE_UNSUPPORTED"},
		"PNG of 60,000 squared":  {append(huge, chunk("IDAT", make([]byte, 1<<20))...), "IMAGE_TOO_LARGE"},
		"JPEG of 65,500 squared": {jpeg(65500, 65500), "IMAGE_TOO_LARGE"},
		"JPEG of one long row":   {jpeg(20001, 1), "IMAGE_TOO_LARGE"},
		"JPEG of no height":      {jpeg(100, 0), "IMAGE_BROKEN"},
		"PNG too high":           {raw{width: 1, height: 20_001, depth: 8}.head(), "IMAGE_TOO_LARGE"},
		"PNG of no width":        {raw{width: 0, height: 1, depth: 8}.head(), "IMAGE_BROKEN"},
		"PNG of 51 megapixels":   {raw{width: 5_100, height: 10_000, depth: 8}.head(), "IMAGE_TOO_LARGE"},
		"WebP":                   {[]byte("RIFF\x10\x00\x00\x00WEBPVP8 "), "IMAGE_UNSUPPORTED"},
		"HEIC":                   {[]byte("\x00\x00\x00\x18ftypheic\x00\x00"), "IMAGE_UNSUPPORTED"},
		"TIFF":                   {[]byte("II*\x00\x08\x00\x00\x00"), "IMAGE_UNSUPPORTED"},
		"nothing":                {nil, "IMAGE_UNSUPPORTED"},
		"text":                   {[]byte("Dear all, the script is attached"), "IMAGE_UNSUPPORTED"},
		"a JPEG's first bytes":   {[]byte("\xff\xd8\xff"), "IMAGE_BROKEN"},
		"a PNG's first bytes":    {[]byte("\x89PNG\r\n\x1a\n"), "IMAGE_BROKEN"},
	}
}

// head is the start of a PNG without pixels.
func (r raw) head() []byte {
	data := binary.BigEndian.AppendUint32(nil, uint32(r.width))
	data = binary.BigEndian.AppendUint32(data, uint32(r.height))
	data = append(data, byte(r.depth), byte(r.color), 0, 0, 0)
	return append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", data)...)
}

// Refusing costs no second and no 64 MiB.
func TestBombs(t *testing.T) {
	var before, after runtime.MemStats
	for name, b := range bombs() {
		for door, open := range map[string]func() error{
			"Inspect": func() error {
				_, err := picture.Inspect(bytes.NewReader(b.src), picture.DefaultLimits())
				return err
			},
			"Compile": func() error {
				_, err := picture.Compile(bytes.NewReader(b.src), &bytes.Buffer{}, picture.DefaultLimits())
				return err
			},
		} {
			runtime.ReadMemStats(&before)
			started := time.Now()
			err := open()
			took := time.Since(started)
			runtime.ReadMemStats(&after)
			var refusal *picture.Error
			if !errors.As(err, &refusal) || refusal.Reason != b.reason {
				t.Errorf("%s, %s: got %v, want %s", name, door, err, b.reason)
			}
			if used := after.TotalAlloc - before.TotalAlloc; took > time.Second || used > 64<<20 {
				t.Errorf("%s, %s: refusing took %s and %d MiB", name, door, took, used>>20)
			}
		}
	}
}

// Pictures that would take too much memory or time to read are refused as such.
func TestTooComplex(t *testing.T) {
	t.Parallel()
	interlaced := raw{width: 7000, height: 7000, depth: 16, color: 6}.head()
	interlaced[28] = 1
	interlaced = append(interlaced[:len(interlaced)-4], chunk("IHDR", interlaced[16:29])[21:]...)
	interlaced = append(interlaced, chunk("IDAT", []byte("\x78\x9c"))...)
	// The scan that brings the last bit of the first coefficients takes a bit for each block, whatever was before.
	progressive := testdata(t, "grey-progressive.jpg")["grey-progressive.jpg"]
	last := []byte("\xff\xda\x00\x08\x01\x01\x00\x00\x00\x10")
	from := bytes.Index(progressive, last)
	to := from + len(last) + bytes.Index(progressive[from+len(last):], []byte("\xff\xc4"))
	layered := slices.Concat(progressive[:to], bytes.Repeat(progressive[from:to], 100), progressive[to:])
	for name, c := range map[string]struct {
		src    []byte
		reason string
	}{
		"interlaced": {interlaced, "IMAGE_TOO_LARGE"},
		"layers":     {layered, "IMAGE_TOO_COMPLEX"},
		"arithmetic": {testdata(t, "arithmetic.jpg")["arithmetic.jpg"], "IMAGE_UNSUPPORTED"},
	} {
		_, err := picture.Compile(bytes.NewReader(c.src), &bytes.Buffer{}, picture.DefaultLimits())
		var refusal *picture.Error
		if !errors.As(err, &refusal) || refusal.Reason != c.reason {
			t.Errorf("%s: got %v, want %s", name, err, c.reason)
		}
	}
}

// try takes src all the way. What Compile takes must come out as a picture that others read.
func try(tb testing.TB, src []byte, m *mark.Mark, limits picture.Limits) (taken bool) {
	tb.Helper()
	_, _ = picture.Inspect(bytes.NewReader(src), limits) // it must not fall over; Compile refuses all that it refuses
	var out bytes.Buffer
	_, err := picture.Compile(bytes.NewReader(src), &out, limits)
	if err != nil {
		var refusal *picture.Error
		if !errors.As(err, &refusal) || refusal.Message == "" {
			tb.Fatalf("got %v, want a refusal", err)
		}
		return false
	}
	tpl, err := picture.Open(out.Bytes())
	if err != nil {
		tb.Fatalf("the template of a picture that was taken: %v", err)
	}
	var first bytes.Buffer
	err = tpl.Stamp(&first, m, picture.Copy{ID: []byte("id")})
	if err != nil {
		tb.Fatalf("a copy of a picture that was taken: %v", err)
	}
	_, _, err = image.Decode(bytes.NewReader(first.Bytes()))
	if err != nil && !strings.Contains(err.Error(), "unsupported") { // image/jpeg knows few ways of sampling
		tb.Fatalf("a copy of a picture that was taken is none: %v", err)
	}
	return true
}

// Whatever is cut off or changed, a picture is refused or taken, and a copy of what was taken is a picture.
func TestDamage(t *testing.T) {
	t.Parallel()
	sources := testdata(t, "*.jpg")
	for name, src := range pngs() {
		if strings.HasSuffix(name, "/transparent") || strings.HasPrefix(name, "6") {
			sources[name] = src
		}
	}
	m := compose(t, mark.Spec{})
	for name, src := range sources {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(7, uint64(len(src))))
			for range 6 {
				try(t, src[:r.IntN(len(src))], m, picture.DefaultLimits())
			}
			for range 12 {
				bad := bytes.Clone(src)
				for range 1 + r.IntN(3) {
					bad[r.IntN(len(bad))] = byte(r.IntN(256))
				}
				try(t, bad, m, picture.Limits{Pixels: 1 << 20, Side: 5000, Memory: 32 << 20})
			}
		})
	}
}

// A template that was cut off or changed is refused.
func TestDamagedTemplates(t *testing.T) {
	t.Parallel()
	for name, src := range map[string][]byte{"jpeg": testdata(t, "420.jpg")["420.jpg"], "png": encodePNG(t, drawing(width, height))} {
		var out bytes.Buffer
		_, err := picture.Compile(bytes.NewReader(src), &out, picture.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(7, 7))
		for range 300 {
			n := r.IntN(out.Len())
			_, err := picture.Open(out.Bytes()[:n])
			if !errors.Is(err, picture.ErrTemplate) {
				t.Errorf("%s cut to %d bytes: got %v", name, n, err)
			}
			bad := bytes.Clone(out.Bytes())
			bad[n] ^= byte(1 + r.IntN(255))
			_, err = picture.Open(bad)
			if !errors.Is(err, picture.ErrTemplate) {
				t.Errorf("%s changed at %d: got %v", name, n, err)
			}
		}
	}
}

func TestRefusalsAreSentences(t *testing.T) {
	t.Parallel()
	for name, b := range bombs() {
		_, err := picture.Inspect(bytes.NewReader(b.src), picture.DefaultLimits())
		if s := fmt.Sprint(err); len(s) < 30 || strings.Contains(s, "%!") {
			t.Errorf("%s: %q helps nobody", name, s)
		}
	}
}
