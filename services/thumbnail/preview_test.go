package thumbnail_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

// client reaches s through the interceptors, as the gateway does.
func (b bundle) client(tb testing.TB) thumbnailv1.ThumbnailServiceClient {
	tb.Helper()
	srv := rpc.NewServer(slog.New(slog.DiscardHandler))
	b.server.Register(srv)
	connect, stop := rpc.InProcess(srv)
	tb.Cleanup(stop)
	conn, err := connect("gateway")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return thumbnailv1.NewThumbnailServiceClient(conn)
}

// received is a preview, whole.
type received struct {
	mediaType     string
	width, height int
	data          []byte
	messages      int
}

func preview(ctx context.Context, c thumbnailv1.ThumbnailServiceClient, req *thumbnailv1.PreviewRequest) (received, error) {
	var all received
	stream, err := c.Preview(ctx, req)
	if err != nil {
		return all, err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all.messages++
		if m.GetMediaType() != "" {
			all.mediaType, all.width, all.height = m.GetMediaType(), int(m.GetWidth()), int(m.GetHeight())
		}
		all.data = append(all.data, m.GetData()...)
	}
}

func previewRequest(f *watermarkv1.File) *thumbnailv1.PreviewRequest {
	return &thumbnailv1.PreviewRequest{
		Production: production, File: f, Mark: &watermarkv1.Mark{Template: "{name}\n{role}"}, Fields: map[string]string{"name": "Ada", "role": "Gaffer"},
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	b := setup(t, letters(2))
	file := b.upload(t, document(2))
	client := b.client(t)
	pictures := map[string]bool{}
	for _, c := range []struct {
		name      string
		change    func(*thumbnailv1.PreviewRequest)
		mediaType string
		w, h      int
	}{
		{"as it is", func(*thumbnailv1.PreviewRequest) {}, "image/jpeg", 800, 1035},
		{"as PNG", func(r *thumbnailv1.PreviewRequest) { r.Format = thumbnailv1.Format_FORMAT_PNG }, "image/png", 800, 1035},
		{"another page", func(r *thumbnailv1.PreviewRequest) { r.Page = 2 }, "image/jpeg", 800, 1035},
		{"large, in several messages", func(r *thumbnailv1.PreviewRequest) { r.Width = 1700 }, "image/jpeg", 1700, 2200},
		{"another recipient", func(r *thumbnailv1.PreviewRequest) { r.Fields["name"] = "Bob" }, "image/jpeg", 800, 1035},
		{"another layout", func(r *thumbnailv1.PreviewRequest) { r.Mark.Layout = "tiled" }, "image/jpeg", 800, 1035},
		{"another colour", func(r *thumbnailv1.PreviewRequest) { r.Mark.Color = "#103080" }, "image/jpeg", 800, 1035},
		{"another opacity", func(r *thumbnailv1.PreviewRequest) { r.Mark.Opacity = 90 }, "image/jpeg", 800, 1035},
		{"another size", func(r *thumbnailv1.PreviewRequest) { r.Mark.Size = 20 }, "image/jpeg", 800, 1035},
		{"not this page", func(r *thumbnailv1.PreviewRequest) { r.Mark.Pages = "2-" }, "image/jpeg", 800, 1035},
	} {
		req := previewRequest(file)
		c.change(req)
		got, err := preview(t.Context(), client, req)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		size, kind, err := image.DecodeConfig(bytes.NewReader(got.data))
		if err != nil || got.mediaType != c.mediaType || "image/"+kind != c.mediaType || size.Width != c.w || size.Height != c.h || got.width != c.w || got.height != c.h {
			t.Errorf("%s: got %s, %s of %d by %d, announced %d by %d: %v", c.name, got.mediaType, kind, size.Width, size.Height, got.width, got.height, err)
		}
		if pictures[string(got.data)] {
			t.Errorf("%s: it is the same picture as another", c.name)
		}
		pictures[string(got.data)] = true
		if c.w > 800 && got.messages < 2 {
			t.Errorf("%s: %d bytes came in %d messages", c.name, len(got.data), got.messages)
		}
	}
	if b.logged.Load() != 3 {
		t.Errorf("pages were rendered %d times, want once for each page and width", b.logged.Load())
	}
	stored, err := filepath.Glob(filepath.Join(b.dir, "art", "*", "*"))
	if err != nil || len(stored) != 0 {
		t.Errorf("stored: %q, %v", stored, err)
	}
}

// Preview of a watermark service whose copies are large.
func (p *prepare) Preview(_ context.Context, r *watermarkv1.PreviewRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[watermarkv1.PreviewResponse], error) {
	if p.err != nil {
		return nil, p.err
	}
	return &parts{all: []*watermarkv1.PreviewResponse{
		{MediaType: "application/pdf", Data: []byte("%PDF-1.7 ")}, {Data: []byte(r.GetMark().GetTemplate() + " for " + r.GetFields()["name"])},
	}}, nil
}

// parts is a stream of answers.
type parts struct {
	grpc.ClientStream
	all []*watermarkv1.PreviewResponse
}

func (p *parts) Recv() (*watermarkv1.PreviewResponse, error) {
	if len(p.all) == 0 {
		return nil, io.EOF
	}
	first := p.all[0]
	p.all = p.all[1:]
	return first, nil
}

// The document itself is the watermark service's to make.
func TestPreviewOfTheDocument(t *testing.T) {
	t.Parallel()
	p := letters(1)
	b := setup(t, p)
	req := previewRequest(b.upload(t, document(1)))
	req.Document = true
	client := b.client(t)
	got, err := preview(t.Context(), client, req)
	if err != nil || got.mediaType != "application/pdf" || string(got.data) != "%PDF-1.7 {name}\n{role} for Ada" {
		t.Errorf("got %s %q, %v", got.mediaType, got.data, err)
	}
	p.err = fault.New(fault.Invalid, "PDF_ENCRYPTED", "Script.pdf is locked")
	_, err = preview(t.Context(), client, req)
	if err == nil || fault.From(err).Reason != "PDF_ENCRYPTED" {
		t.Errorf("got %v, want PDF_ENCRYPTED", err)
	}
	if b.logged.Load() != 0 {
		t.Errorf("%d pages were rendered for it, want none", b.logged.Load())
	}
}

func TestPreviewsAreForWhoSends(t *testing.T) {
	t.Parallel()
	b := setup(t, letters(1))
	file := b.upload(t, document(1))
	client := b.client(t)
	for _, c := range []struct {
		role        accessv1.Role
		productions string
		reason      string
	}{
		{accessv1.Role_ROLE_COORDINATOR, production, ""},
		{accessv1.Role_ROLE_ADMIN, "*", ""},
		{accessv1.Role_ROLE_ONCALL, "*", "ROLE_MISSING"},
		{accessv1.Role_ROLE_COORDINATOR, "another", "PRODUCTION_UNKNOWN"},
	} {
		ctx, err := rpc.As(t.Context(), &accessv1.Principal{Subject: "t", Role: c.role, Productions: []string{c.productions}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := preview(ctx, client, previewRequest(file))
		if c.reason == "" {
			if err != nil || len(got.data) == 0 {
				t.Errorf("%v of %s: %d bytes, %v", c.role, c.productions, len(got.data), err)
			}
			continue
		}
		if err == nil || fault.From(err).Reason != c.reason || len(got.data) > 0 {
			t.Errorf("%v of %s: %d bytes, %v, want %s", c.role, c.productions, len(got.data), err, c.reason)
		}
	}
}

func TestPreviewsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, letters(1))
	file := b.upload(t, document(1))
	client := b.client(t)
	for reason, change := range map[string]func(*thumbnailv1.PreviewRequest){
		"PAGE_UNKNOWN":       func(r *thumbnailv1.PreviewRequest) { r.Page = 2 },
		"MARK_STYLE_BAD":     func(r *thumbnailv1.PreviewRequest) { r.Mark.Color = "blue" },
		"MARK_FIELD_UNKNOWN": func(r *thumbnailv1.PreviewRequest) { r.Mark.Template = "{shoe}" },
		"MARK_EMPTY":         func(r *thumbnailv1.PreviewRequest) { r.Fields = nil },
		"INVALID":            func(r *thumbnailv1.PreviewRequest) { r.Format = 9 },
	} {
		req := previewRequest(file)
		change(req)
		got, err := preview(t.Context(), client, req)
		if err == nil || fault.From(err).Reason != reason || len(got.data) > 0 {
			t.Errorf("got %d bytes, %v, want %s", len(got.data), err, reason)
		}
	}
}
