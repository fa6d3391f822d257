package thumbnail_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

// Sources that are pictures have thumbnails, too: theirs, with the mark.
func TestPicturesOfPictures(t *testing.T) {
	t.Parallel()
	orange := image.NewRGBA(image.Rect(0, 0, 1200, 900))
	for i := range 1200 * 900 {
		orange.SetRGBA(i%1200, i/1200, color.RGBA{250, 140, 20, 255})
	}
	for media, encode := range map[string]func(io.Writer, image.Image) error{
		"image/png":  png.Encode,
		"image/jpeg": func(w io.Writer, img image.Image) error { return jpeg.Encode(w, img, &jpeg.Options{Quality: 95}) },
	} {
		t.Run(media, func(t *testing.T) {
			t.Parallel()
			p := &prepare{media: media, runs: []*watermarkv1.PageRun{{Count: 1, Box: []float64{0, 0, 1200, 900}, UserUnit: 0.66}}}
			b := setup(t, p)
			var src bytes.Buffer
			err := encode(&src, orange)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := b.server.Render(t.Context(), request(b.upload(t, src.Bytes()), "Ada"))
			if err != nil {
				t.Fatal(err)
			}
			img, _, err := image.Decode(bytes.NewReader(b.read(t, resp.GetArtifact().GetKey())))
			if err != nil || img.Bounds() != image.Rect(0, 0, 480, 360) {
				t.Fatalf("got %v: %v", img.Bounds(), err)
			}
			plain, marked := 0, 0
			for i := range 480 * 360 {
				r, g, b, _ := img.At(i%480, i/480).RGBA()
				near := func(v uint32, want int) bool { return int(v>>8)-want < 8 && want-int(v>>8) < 8 }
				if near(r, 250) && near(g, 140) && near(b, 20) {
					plain++
				} else {
					marked++
				}
			}
			if plain < 480*360/2 || marked < 2000 {
				t.Errorf("%d pixels are as in the source, %d are not", plain, marked)
			}
			_, err = b.server.Render(t.Context(), request(b.upload(t, src.Bytes()[:src.Len()/2]), "Ada"))
			if err == nil || fault.From(err).Reason != "IMAGE_UNRENDERABLE" || fault.From(err).Transient() {
				t.Errorf("half a picture: %v, want IMAGE_UNRENDERABLE", err)
			}
		})
	}
	other := setup(t, &prepare{media: "video/mp4", runs: letters(1).runs})
	_, err := other.server.Render(t.Context(), request(other.upload(t, []byte("film")), "Ada"))
	if err == nil || fault.From(err).Reason != "PICTURE_UNSUPPORTED" {
		t.Errorf("got %v, want PICTURE_UNSUPPORTED", err)
	}
}
