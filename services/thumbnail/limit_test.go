package thumbnail_test

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/thumbnail"
)

func TestPicturesHaveTheSizeAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		box           []float64
		rotate, width int32
		w, h          int
	}{
		{"default", []float64{0, 0, 612, 792}, 0, 0, 480, 621},
		{"narrow", []float64{0, 0, 612, 792}, 0, 1, 1, 1},
		{"wide", []float64{0, 0, 612, 792}, 0, 2000, 1758, 2275}, // 4 million pixels
		{"turned", []float64{0, 0, 612, 792}, 90, 480, 480, 371},
		{"tower", []float64{0, 0, 10, 1000}, 0, 480, 19, 1920},
		{"thread", []float64{0, 0, 1000, 1}, 0, 480, 480, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, &prepare{runs: []*watermarkv1.PageRun{{Count: 1, Box: c.box, Rotate: c.rotate, UserUnit: 1}}})
			page := fmt.Sprintf("/MediaBox[%g %g %g %g]/Rotate %d", c.box[0], c.box[1], c.box[2], c.box[3], c.rotate)
			file := b.upload(t, bytes.ReplaceAll(document(1), []byte("/MediaBox[0 0 612 792]"), []byte(page)))
			req := request(file, "Ada")
			req.Width = c.width
			resp, err := b.server.Render(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := image.DecodeConfig(bytes.NewReader(b.read(t, resp.GetArtifact().GetKey())))
			if err != nil || got.Width != c.w || got.Height != c.h || int(resp.GetWidth()) != c.w || int(resp.GetHeight()) != c.h {
				t.Errorf("got %d by %d, announced %d by %d, want %d by %d: %v", got.Width, got.Height, resp.GetWidth(), resp.GetHeight(), c.w, c.h, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	refusing := letters(1)
	refusing.err = fault.New(fault.Invalid, "PDF_ENCRYPTED", "Script.pdf is locked")
	bomb := bytes.ReplaceAll(document(1), []byte("BT /F1"), []byte("/X Do "))
	for name, c := range map[string]struct {
		prepare   *prepare
		data      []byte
		change    func(*thumbnailv1.RenderRequest)
		reason    string
		transient bool
	}{
		"what watermark refuses": {refusing, document(1), nil, "PDF_ENCRYPTED", false},
		"page beyond the end":    {letters(3), document(3), func(r *thumbnailv1.RenderRequest) { r.Page = 4 }, "PAGE_UNKNOWN", false},
		"field nobody has":       {letters(1), document(1), func(r *thumbnailv1.RenderRequest) { r.Mark.Template = "{shoe}" }, "MARK_FIELD_UNKNOWN", false},
		"letters we cannot draw": {letters(1), document(1), func(r *thumbnailv1.RenderRequest) { r.Fields["name"] = "\ue123" }, "MARK_GLYPH_MISSING", false},
		"source removed":         {letters(1), nil, nil, "FILE_MISSING", false},
		"not a PDF after all":    {letters(1), []byte("Dear all"), nil, "PDF_UNRENDERABLE", false},
		"page that is not there": {letters(9), bomb, func(r *thumbnailv1.RenderRequest) { r.Page = 9 }, "PDF_UNRENDERABLE", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, c.prepare)
			file := &watermarkv1.File{Sha256: strings.Repeat("0", 64), Name: "Script.pdf"}
			if c.data != nil {
				file = b.upload(t, c.data)
			}
			req := request(file, "Ada")
			if c.change != nil {
				c.change(req)
			}
			for range 3 {
				_, err := b.server.Render(t.Context(), req)
				if err == nil {
					t.Fatalf("it succeeded, want %s", c.reason)
				}
				f := fault.From(err)
				if f.Reason != c.reason || f.Transient() != c.transient {
					t.Errorf("got %v, want %s", f, c.reason)
				}
			}
			if n := b.logged.Load(); n > 1 {
				t.Errorf("a page that cannot be rendered was tried %d times, want once", n)
			}
			arts, err := filepath.Glob(filepath.Join(b.dir, "art", "*", "*"))
			if err != nil || len(arts) != 0 {
				t.Errorf("stored: %q, %v", arts, err)
			}
		})
	}
}

// A page that draws for ever is ended by the limits, and so is none other.
func TestAPageThatTakesTooLong(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second of processor time")
	}
	t.Parallel()
	b := setup(t, letters(1), func(c *thumbnail.Config) { c.CPU = 1e9 })
	heavy := document(1)
	fill := bytes.Repeat([]byte("0 0 612 792 re 10 10 m 600 20 600 700 10 780 c f\n"), 200_000)
	heavy = bytes.Replace(heavy, []byte("BT /F1"), append(fill, "BT /F1"...), 1)
	_, err := b.server.Render(t.Context(), request(b.upload(t, heavy), "Ada"))
	if err == nil || fault.From(err).Reason != "PDF_TOO_COMPLEX" {
		t.Errorf("got %v, want PDF_TOO_COMPLEX", err)
	}
	_, err = b.server.Render(t.Context(), request(b.upload(t, document(1)), "Ada"))
	if err != nil {
		t.Errorf("another page: %v", err)
	}
}
