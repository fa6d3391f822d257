package thumbnail_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/sandbox"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/thumbnail"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

const production = "default"

// prepare is a watermark service that knows where pages lie.
type prepare struct {
	watermarkv1.WatermarkServiceClient
	runs  []*watermarkv1.PageRun
	media string
	err   error
	calls atomic.Int32
	asked atomic.Pointer[watermarkv1.PrepareRequest] // the last
}

func (p *prepare) Prepare(_ context.Context, r *watermarkv1.PrepareRequest, _ ...grpc.CallOption) (*watermarkv1.PrepareResponse, error) {
	p.calls.Add(1)
	p.asked.Store(r)
	return &watermarkv1.PrepareResponse{Placement: &watermarkv1.Placement{Runs: p.runs}, MediaType: p.media}, p.err
}

// letters is n pages of letter size.
func letters(n int) *prepare {
	return &prepare{runs: []*watermarkv1.PageRun{{Count: int32(n), Box: []float64{0, 0, 612, 792}, UserUnit: 1}}}
}

type bundle struct {
	server *thumbnail.Server
	blobs  *blob.Bucket
	dir    string
	logged *counter
}

// counter counts the lines that say that a page was rendered.
type counter struct{ atomic.Int32 }

func (c *counter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`msg="page rendered"`)) {
		c.Add(1)
	}
	return len(p), nil
}

func setup(tb testing.TB, p *prepare, change ...func(*thumbnail.Config)) bundle {
	tb.Helper()
	dir := tb.TempDir()
	blobs, err := blob.Open(tb.Context(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = blobs.Close() })
	cfg := thumbnail.DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	logged := &counter{}
	log := slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	server, err := thumbnail.New(cfg, thumbnail.Deps{Blobs: blobs, Watermark: p, Log: log})
	need.Working(tb, "thumbnails", err)
	return bundle{server, blobs, dir, logged}
}

// document is a PDF of n pages of text, the last of which has a red square.
func document(n int) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	objects := []string{"<</Type/Catalog/Pages 2 0 R>>", "", "<</Type/Font/Subtype/Type1/BaseFont/Courier>>"}
	var kids strings.Builder
	for i := range n {
		text := "BT /F1 12 Tf 100 720 Td 14 TL\n"
		for line := range 45 {
			text += fmt.Sprintf("(Scene %d, line %d: somebody says something %d) '\n", i, line, (i*7919+line*104729)%99991)
		}
		text += "ET\n"
		if i == n-1 {
			text += "1 0 0 rg 50 50 40 40 re f\n"
		}
		objects = append(objects, fmt.Sprintf("<</Length %d>>\nstream\n%sendstream", len(text), text),
			fmt.Sprintf("<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>", len(objects)+1))
		fmt.Fprintf(&kids, "%d 0 R ", len(objects))
	}
	objects[1] = fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]>>", n, kids.String())
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d /Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, at)
	return b.Bytes()
}

func (b bundle) upload(tb testing.TB, data []byte) *watermarkv1.File {
	tb.Helper()
	sum := sha256.Sum256(data)
	f := &watermarkv1.File{Sha256: hex.EncodeToString(sum[:]), Name: "Script.pdf"}
	_, _, err := b.blobs.Create(tb.Context(), "src/"+production+"/"+f.GetSha256(), "application/pdf", bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func request(file *watermarkv1.File, name string) *thumbnailv1.RenderRequest {
	return &thumbnailv1.RenderRequest{
		Production: production, File: file, Mark: &watermarkv1.Mark{Template: "{name}\n{email}"},
		Fields: map[string]string{"name": name, "email": "somebody@example.com"}, Item: "d1.r7.f1",
	}
}

func (b bundle) read(tb testing.TB, key string) []byte {
	tb.Helper()
	r, err := b.blobs.Read(tb.Context(), key)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(r)
	err = errors.Join(err, r.Close())
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestAThousandRecipientsAreOneRendering(t *testing.T) {
	t.Parallel()
	p := letters(1)
	b := setup(t, p)
	file := b.upload(t, document(1))
	n := 1000
	if testing.Short() {
		n = 50
	}
	keys := make([]string, n)
	var wg sync.WaitGroup
	next := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range next {
				resp, err := b.server.Render(t.Context(), request(file, fmt.Sprintf("Recipient %d", i)))
				if err != nil {
					t.Error(err)
					continue
				}
				keys[i] = resp.GetArtifact().GetSha256()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	if b.logged.Load() != 1 || p.calls.Load() != 1 {
		t.Errorf("the page was rendered %d times and prepared %d times, want once each", b.logged.Load(), p.calls.Load())
	}
	seen := map[string]bool{}
	for _, k := range keys {
		seen[k] = true
	}
	if len(seen) != n {
		t.Errorf("%d different pictures for %d recipients", len(seen), n)
	}
}

// Where a mark goes depends on the mark, and how strong it is drawn on what the watermark service found out.
func TestPlacementsAreForAMark(t *testing.T) {
	t.Parallel()
	p := letters(1)
	b := setup(t, p)
	file := b.upload(t, document(1))
	for i, change := range []func(*thumbnailv1.RenderRequest){
		func(*thumbnailv1.RenderRequest) {},
		func(r *thumbnailv1.RenderRequest) { r.Mark.Color = "#103050" },
		func(r *thumbnailv1.RenderRequest) { r.File.OpenRestricted = true },
		func(r *thumbnailv1.RenderRequest) { r.Fields["name"] = "Bob" }, // the first one's
	} {
		req := request(file, "Ada")
		req.File = proto.CloneOf(file)
		change(req)
		_, err := b.server.Render(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if want := int32(min(i+1, 3)); p.calls.Load() != want {
			t.Errorf("request %d: %d placements were asked for, want %d", i, p.calls.Load(), want)
		}
		asked := p.asked.Load()
		if i < 3 && (!proto.Equal(asked.GetMark(), req.GetMark()) || asked.GetFile().GetOpenRestricted() != req.GetFile().GetOpenRestricted()) {
			t.Errorf("request %d: the placement asked for is of %v", i, asked)
		}
	}
	sums := map[string]bool{}
	for level := range int32(3) {
		p := letters(1)
		p.runs[0].Level = level
		b := setup(t, p)
		resp, err := b.server.Render(t.Context(), request(b.upload(t, document(1)), "Ada"))
		if err != nil {
			t.Fatal(err)
		}
		sums[resp.GetArtifact().GetSha256()] = true
	}
	if len(sums) != 3 {
		t.Errorf("three levels are %d pictures", len(sums))
	}
}

func TestTheSameRequestGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	one, two := setup(t, letters(2)), setup(t, letters(2))
	data := document(2)
	for page := range int32(2) {
		var sums []string
		for _, b := range []bundle{one, two, one} {
			f := &watermarkv1.File{Name: "Script.pdf"}
			sum := sha256.Sum256(data)
			f.Sha256 = hex.EncodeToString(sum[:])
			_, _, err := b.blobs.Create(t.Context(), "src/"+production+"/"+f.GetSha256(), "application/pdf", bytes.NewReader(data))
			if err != nil && !errors.Is(err, blob.ErrExists) {
				t.Fatal(err)
			}
			req := request(f, "Zoë")
			req.Page = page + 1
			resp, err := b.server.Render(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			a := resp.GetArtifact()
			sum = sha256.Sum256(b.read(t, a.GetKey()))
			if hex.EncodeToString(sum[:]) != a.GetSha256() || !strings.HasPrefix(a.GetKey(), "art/"+production+"/") {
				t.Errorf("announced %v, stored is %x", a, sum)
			}
			sums = append(sums, a.GetKey()+a.GetSha256())
		}
		if sums[0] != sums[1] || sums[1] != sums[2] {
			t.Errorf("page %d: %q", page+1, sums)
		}
	}
}

func TestEverythingThatMattersIsInTheKey(t *testing.T) {
	t.Parallel()
	b := setup(t, letters(2))
	file := b.upload(t, document(2))
	keys := map[string]string{}
	for name, change := range map[string]func(*thumbnailv1.RenderRequest){
		"as it is":         func(*thumbnailv1.RenderRequest) {},
		"another page":     func(r *thumbnailv1.RenderRequest) { r.Page = 2 },
		"another format":   func(r *thumbnailv1.RenderRequest) { r.Format = thumbnailv1.Format_FORMAT_PNG },
		"another layout":   func(r *thumbnailv1.RenderRequest) { r.Mark.Layout = "footer" },
		"another colour":   func(r *thumbnailv1.RenderRequest) { r.Mark.Color = "#103050" },
		"another opacity":  func(r *thumbnailv1.RenderRequest) { r.Mark.Opacity = 50 },
		"another size":     func(r *thumbnailv1.RenderRequest) { r.Mark.Size = 50 },
		"other pages":      func(r *thumbnailv1.RenderRequest) { r.Mark.Pages = "2-" },
		"another width":    func(r *thumbnailv1.RenderRequest) { r.Width = 200 },
		"another item":     func(r *thumbnailv1.RenderRequest) { r.Item = "d1.r8.f1" },
		"another revision": func(r *thumbnailv1.RenderRequest) { r.Revision = 1 },
		"another template": func(r *thumbnailv1.RenderRequest) { r.Mark.Template = "{name} {email}" },
		"another name":     func(r *thumbnailv1.RenderRequest) { r.Fields["name"] = "Bob" },
		"another field":    func(r *thumbnailv1.RenderRequest) { r.Fields["role"] = "Gaffer" },
	} {
		req := request(file, "Ada")
		change(req)
		resp, err := b.server.Render(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		key := resp.GetArtifact().GetKey()
		if keys[key] != "" {
			t.Errorf("%q and %q are one artifact", name, keys[key])
		}
		keys[key] = name
	}
}

// What is not marked is in no file: neither stored nor left behind.
func TestTheUnmarkedPageIsNowhere(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	b := setup(t, letters(1), func(c *thumbnail.Config) { c.TempDir = temp })
	_, err := b.server.Render(t.Context(), request(b.upload(t, document(1)), "Ada"))
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) != 0 {
		t.Errorf("left in the folder for temporary files: %v, %v", left, err)
	}
	arts, err := filepath.Glob(filepath.Join(b.dir, "art", "*", "*"))
	if err != nil || len(arts) != 1 {
		t.Errorf("stored: %q, %v, want the one picture", arts, err)
	}
}

// Through the interceptors: only services may ask.
func TestCallers(t *testing.T) {
	t.Parallel()
	b := setup(t, letters(1))
	file := b.upload(t, document(1))
	srv := rpc.NewServer(slog.New(slog.DiscardHandler))
	b.server.Register(srv)
	connect, stop := rpc.InProcess(srv)
	t.Cleanup(stop)
	conn, err := connect("orchestrator")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := thumbnailv1.NewThumbnailServiceClient(conn)
	_, err = client.Render(t.Context(), request(file, "Ada"))
	if err != nil {
		t.Error(err)
	}
	wide := request(file, "Ada")
	wide.Width = 2001
	_, err = client.Render(t.Context(), wide)
	if err == nil || fault.From(err).Reason != "INVALID" {
		t.Errorf("got %v, want INVALID", err)
	}
	err = b.server.Health(t.Context())
	if err != nil {
		t.Error(err)
	}
}
