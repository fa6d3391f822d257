package watermark_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/filigreehq/filigree/services/watermark"
)

// A picture is copied like a document: it stays what it is, and the mark is seen on it.
func TestPicturesAreMarked(t *testing.T) {
	local := newLocal(t)
	picture := image.NewRGBA(image.Rect(0, 0, 900, 600))
	for y := range 600 {
		for x := range 900 {
			picture.SetRGBA(x, y, color.RGBA{uint8(x / 4), uint8(y / 3), 120, 255})
		}
	}
	var asPNG, asJPEG bytes.Buffer
	err := png.Encode(&asPNG, picture)
	if err == nil {
		err = jpeg.Encode(&asJPEG, picture, &jpeg.Options{Quality: 90})
	}
	if err != nil {
		t.Fatal(err)
	}
	for kind, source := range map[string][]byte{"png": asPNG.Bytes(), "jpeg": asJPEG.Bytes()} {
		t.Run(kind, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "copy")
			made, err := stampFile(t.Context(), local, write(t, source), out, watermark.Copy{Fields: somebody})
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			got, format, err := image.Decode(bytes.NewReader(data))
			if err != nil || format != kind || got.Bounds() != picture.Rect || made.Pages != 1 || made.Size != int64(len(data)) {
				t.Fatalf("made %+v, a %s of %v: %v", made, format, got.Bounds(), err)
			}
			changed := 0
			for y := range 600 {
				for x := range 900 {
					a, _, _, _ := got.At(x, y).RGBA()
					if d := int(a>>8) - x/4; d < -12 || d > 12 {
						changed++
					}
				}
			}
			if changed < 5000 || changed > 300_000 {
				t.Errorf("%d of 540,000 pixels changed", changed)
			}
		})
	}
	_, err = stampFile(t.Context(), local, write(t, asPNG.Bytes()), filepath.Join(t.TempDir(), "copy"), watermark.Copy{Fields: somebody, Password: "secret-1234"})
	wantFault(t, err, "PASSWORD_UNSUPPORTED")
	_, err = stampFile(t.Context(), local, write(t, asPNG.Bytes()[:500]), filepath.Join(t.TempDir(), "copy"), watermark.Copy{Fields: somebody})
	wantFault(t, err, "IMAGE_BROKEN")
	_, err = stampFile(t.Context(), local, write(t, []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;xxxxxxxxxxxx")), filepath.Join(t.TempDir(), "copy"), watermark.Copy{Fields: somebody})
	wantFault(t, err, "IMAGE_UNSUPPORTED")
}
