package likeness_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/sandbox"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/thumbnail"
	"github.com/filigreehq/filigree/services/watermark"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

const production = "p"

// bundle is both services, connected as in one process.
type bundle struct {
	watermark watermarkv1.WatermarkServiceClient
	thumbnail thumbnailv1.ThumbnailServiceClient
	blobs     *blob.Bucket
}

func setup(tb testing.TB) bundle {
	tb.Helper()
	log := slog.New(slog.DiscardHandler)
	blobs, err := blob.Open(tb.Context(), tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := keyring.LoadOrCreate(filepath.Join(tb.TempDir(), "keys.json"))
	if err != nil {
		tb.Fatal(err)
	}
	srv := rpc.NewServer(log)
	connect, stop := rpc.InProcess(srv)
	tb.Cleanup(func() {
		stop()
		_ = blobs.Close()
	})
	conn, err := connect("test")
	if err != nil {
		tb.Fatal(err)
	}
	b := bundle{watermarkv1.NewWatermarkServiceClient(conn), thumbnailv1.NewThumbnailServiceClient(conn), blobs}
	marks, err := watermark.New(watermark.DefaultConfig(), watermark.Deps{Blobs: blobs, Keys: keys, Log: log})
	need.Working(tb, "copies", err)
	thumbs, err := thumbnail.New(thumbnail.DefaultConfig(), thumbnail.Deps{Blobs: blobs, Watermark: b.watermark, Log: log})
	need.Working(tb, "thumbnails", err)
	marks.Register(srv)
	thumbs.Register(srv)
	return b
}

// upload stores a source.
func (b bundle) upload(tb testing.TB, name string, data []byte) *watermarkv1.File {
	tb.Helper()
	sum := sha256.Sum256(data)
	f := &watermarkv1.File{Sha256: hex.EncodeToString(sum[:]), Name: name}
	_, _, err := b.blobs.Create(tb.Context(), "src/"+production+"/"+f.GetSha256(), "application/pdf", bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// Large outlines and small ones, so that there is something to compare.
var (
	somebody = map[string]string{"name": "Zoë Müller-Ångström", "email": "zoe.mueller@example.com"}
	template = &watermarkv1.Mark{Template: "{name}\n{email}"}
)

// likeness is how near a picture is to the copy's page. All are in grey, from 0 to 255.
type likeness struct {
	// apart is the mean distance of a pixel of the picture to that of the copy, rendered by poppler in the same size.
	apart float64
	// off is the share of the pixels that are more than 24 apart.
	off float64
	// unmarked is the copy's mean distance to its source: what the mark itself does.
	unmarked float64
	// along is the correlation of what the mark changes in the one and in the other; 1 is the same.
	along float64
	// lacking is the share of the pixels that the copy's mark changes well visibly and the picture's does not at all.
	lacking float64
}

func (l likeness) String() string {
	return fmt.Sprintf("apart %.2f of 255, off %.4f, mark itself %.2f, correlation %.3f, lacking %.4f", l.apart, l.off, l.unmarked, l.along, l.lacking)
}

// compare makes a copy and a preview of one of its pages in each format, and looks at all.
func (b bundle) compare(t *testing.T, file *watermarkv1.File, page, width int) (png, jpeg likeness, err error) {
	t.Helper()
	stamped, err := b.watermark.Stamp(t.Context(), &watermarkv1.StampRequest{
		Production: production, File: file, Mark: template, Fields: somebody, Item: "d.r1.f1",
	})
	if err != nil {
		return png, jpeg, err
	}
	var want, plain []byte
	for format, l := range map[thumbnailv1.Format]*likeness{thumbnailv1.Format_FORMAT_PNG: &png, thumbnailv1.Format_FORMAT_JPEG: &jpeg} {
		picture, err := b.preview(t, &thumbnailv1.PreviewRequest{
			Production: production, File: file, Mark: template, Fields: somebody, Page: int32(page), Width: int32(width), Format: format,
		})
		if err != nil {
			return png, jpeg, err
		}
		size := picture.Bounds().Size()
		have := gray(picture)
		if want == nil {
			want = b.render(t, stamped.GetArtifact().GetKey(), page, size)
			plain = b.render(t, "src/"+production+"/"+file.GetSha256(), page, size)
		}
		*l = measure(have, want, plain)
		if dir := os.Getenv("FILIGREE_LOOK"); dir != "" {
			look(t, filepath.Join(dir, fmt.Sprintf("%.40s-%d-%s.png", strings.ReplaceAll(file.GetName(), "/", "-"), page, format)), size, have, want)
		}
	}
	return png, jpeg, nil
}

// preview is the picture that a coordinator sees.
func (b bundle) preview(t *testing.T, req *thumbnailv1.PreviewRequest) (image.Image, error) {
	t.Helper()
	data, err := b.previewed(t, req)
	if err != nil {
		return nil, err
	}
	picture, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return picture, nil
}

// previewed are the bytes of a preview.
func (b bundle) previewed(t *testing.T, req *thumbnailv1.PreviewRequest) ([]byte, error) {
	t.Helper()
	stream, err := b.thumbnail.Preview(t.Context(), req)
	if err != nil {
		return nil, err
	}
	var data []byte
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		data = append(data, m.GetData()...)
	}
}

func measure(have, want, plain []byte) (l likeness) {
	var xy, xx, yy, strong, lost float64
	for i := range have {
		x, y := float64(have[i])-float64(plain[i]), float64(want[i])-float64(plain[i])
		l.apart += math.Abs(x - y)
		l.unmarked += math.Abs(y)
		xy, xx, yy = xy+x*y, xx+x*x, yy+y*y
		if math.Abs(x-y) > 24 {
			l.off++
		}
		if math.Abs(y) >= 24 {
			strong++
			if math.Abs(x) < 3 {
				lost++
			}
		}
	}
	n := float64(len(have))
	l.apart, l.off, l.unmarked = l.apart/n, l.off/n, l.unmarked/n
	l.along = xy / math.Sqrt(xx*yy)
	l.lacking = lost / max(1, strong)
	return l
}

func gray(img image.Image) []byte {
	size := img.Bounds().Size()
	out := make([]byte, 0, size.X*size.Y)
	for y := range size.Y {
		for x := range size.X {
			r, g, b, _ := img.At(x, y).RGBA()
			out = append(out, byte((r*299+g*587+b*114)/1000>>8))
		}
	}
	return out
}

func (b bundle) read(t *testing.T, key string) []byte {
	t.Helper()
	r, err := b.blobs.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// render has poppler draw a page of a stored document, in grey, into exactly size.
func (b bundle) render(t *testing.T, key string, page int, size image.Point) []byte {
	t.Helper()
	return render(t, b.read(t, key), page, size)
}

func render(t *testing.T, document []byte, page int, size image.Point) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "doc.pdf")
	err := os.WriteFile(path, document, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "page.ppm"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	n := strconv.Itoa(page)
	c, err := sandbox.Command(sandbox.Limits{CPU: 20 * time.Second, Wall: time.Minute}, "pdftoppm", "-f", n, "-l", n, "-singlefile", "-cropbox",
		"-scale-to", strconv.Itoa(max(size.X, size.Y)), "-W", strconv.Itoa(size.X), "-H", strconv.Itoa(size.Y), path)
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout = out
	err = c.Run(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	rgb, ok := bytes.CutPrefix(data, fmt.Appendf(nil, "P6\n%d %d\n255\n", size.X, size.Y))
	if !ok {
		t.Fatalf("poppler drew %.20q, want %v", data, size)
	}
	pixels := make([]byte, 0, len(rgb)/3)
	for i := 0; i < len(rgb); i += 3 {
		pixels = append(pixels, byte((int(rgb[i])*299+int(rgb[i+1])*587+int(rgb[i+2])*114)/1000))
	}
	return pixels
}

// look writes thumbnail and copy side by side, for people.
func look(t *testing.T, path string, size image.Point, have, want []byte) {
	t.Helper()
	out := image.NewGray(image.Rect(0, 0, 2*size.X, size.Y))
	for y := range size.Y {
		copy(out.Pix[y*out.Stride:], have[y*size.X:(y+1)*size.X])
		copy(out.Pix[y*out.Stride+size.X:], want[y*size.X:(y+1)*size.X])
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(png.Encode(f, out), f.Close())
	if err != nil {
		t.Fatal(err)
	}
}
