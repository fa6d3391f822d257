package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/gateway"
)

var script = strings.Repeat("ab", 32)

// GetFile knows one file, of red.
func (f *files) GetFile(_ context.Context, r *filev1.GetFileRequest) (*filev1.GetFileResponse, error) {
	if r.GetProduction() != "red" || r.GetFile() != script {
		return nil, fault.New(fault.NotFound, "FILE_UNKNOWN", "there is none")
	}
	return &filev1.GetFileResponse{File: &filev1.File{Sha256: r.GetFile(), Name: "Script.pdf"}}, nil
}

// picture is more than one message.
var picture = bytes.Repeat([]byte("picture "), 100_000)

// thumbnails keeps what it is asked.
type thumbnails struct {
	thumbnailv1.UnimplementedThumbnailServiceServer

	mu    sync.Mutex
	asked *thumbnailv1.PreviewRequest
	by    *accessv1.Principal
}

func (s *thumbnails) Preview(r *thumbnailv1.PreviewRequest, out grpc.ServerStreamingServer[thumbnailv1.PreviewResponse]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.by = r, rpc.PrincipalFrom(out.Context())
	if r.GetPage() > 2 {
		return fault.New(fault.Invalid, "PAGE_UNKNOWN", "Script.pdf has 2 pages and so no page %d", r.GetPage())
	}
	media := "image/png"
	if r.GetDocument() {
		media = "application/pdf"
	}
	err := out.Send(&thumbnailv1.PreviewResponse{MediaType: media, Width: 1, Height: 1, Data: picture[:1000]})
	if err != nil {
		return err
	}
	if r.GetPage() == 2 && r.GetWidth() == 13 {
		return errors.New("the connection was lost")
	}
	return out.Send(&thumbnailv1.PreviewResponse{Data: picture[1000:]})
}

func TestPreview(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2026, 11, 30, 17, 5, 0, 0, time.UTC) }
	w := newWorld(t, func(_ *gateway.Config, d *gateway.Deps) { d.Now = now })
	path := "/v1/productions/red/files/" + script + "/preview"
	a := w.call("GET", path+"?page=2&width=640&format=png&mark=%7Bname%7D%0A%7Brole%7D&layout=tiled&color=%23336699&opacity=30&size=40&pages=2-&name=Zo%C3%AB&email=z%40example.com&field.role=Gaffer&field.Team=&field.copy=7", coordinator, "")
	if a.status != 200 || a.body != string(picture) || a.header.Get("Content-Type") != "image/png" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d, %d bytes, %v", a.status, len(a.body), a.header)
	}
	want := &thumbnailv1.PreviewRequest{
		Production: "red", File: &watermarkv1.File{Sha256: script, Name: "Script.pdf", OpenRestricted: true},
		Mark: &watermarkv1.Mark{Template: "{name}\n{role}", Layout: "tiled", Color: "#336699", Opacity: 30, Size: 40, Pages: "2-"},
		Fields: map[string]string{
			"name": "Zoë", "email": "z@example.com", "role": "Gaffer", "Team": "", "copy": "7",
			"date": "2026-11-30", "time": "17:05 UTC", "production": "A film", "file": "Script.pdf",
		},
		Page: 2, Width: 640, Format: thumbnailv1.Format_FORMAT_PNG,
	}
	if d := cmp.Diff(want, w.thumbnails.asked, protocmp.Transform()); d != "" {
		t.Errorf("asked for (-want +got):\n%s", d)
	}
	if w.thumbnails.by.GetRole() != accessv1.Role_ROLE_COORDINATOR {
		t.Errorf("the service is asked by %v, want by the coordinator", w.thumbnails.by)
	}
	a = w.call("GET", path, admin, "")
	if a.status != 200 || w.thumbnails.asked.GetPage() != 0 || w.thumbnails.asked.GetFormat() == thumbnailv1.Format_FORMAT_PNG {
		t.Errorf("without a query: %d, asked for %v", a.status, w.thumbnails.asked)
	}
	a = w.call("GET", path+"?format=pdf&name=Ada", coordinator, "")
	if a.status != 200 || a.header.Get("Content-Type") != "application/pdf" || a.body != string(picture) || !w.thumbnails.asked.GetDocument() {
		t.Errorf("the document: %d %s, %d bytes, asked for %v", a.status, a.header.Get("Content-Type"), len(a.body), w.thumbnails.asked)
	}
}

// What ends too early does not look whole.
func TestPreviewCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	resp, err := w.client.Do(w.request("GET", "/v1/productions/red/files/"+script+"/preview?page=2&width=13", coordinator, ""))
	if err != nil {
		return // before its header was sent
	}
	defer func() { _ = resp.Body.Close() }() // was read
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		t.Errorf("half a picture of %d bytes came to a good end", len(body))
	}
}

func TestPreviewsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	path := "/v1/productions/red/files/" + script + "/preview"
	for name, c := range map[string]struct {
		path, token string
		status      int
		code        string
	}{
		"no token":             {path, "", 401, "TOKEN_MISSING"},
		"another role":         {path, oncall, 403, "ROLE_MISSING"},
		"another production":   {"/v1/productions/blue/files/" + script + "/preview", coordinator, 404, "PRODUCTION_UNKNOWN"},
		"unknown file":         {"/v1/productions/red/files/" + strings.Repeat("0", 64) + "/preview", coordinator, 404, "FILE_UNKNOWN"},
		"no file's name":       {"/v1/productions/red/files/x/preview", coordinator, 400, "INVALID"},
		"page beyond the end":  {path + "?page=3", coordinator, 400, "PAGE_UNKNOWN"},
		"unknown parameter":    {path + "?colour=%23336699", coordinator, 400, "INVALID"},
		"parameter twice":      {path + "?page=1&page=2", coordinator, 400, "INVALID"},
		"page that is none":    {path + "?page=first", coordinator, 400, "INVALID"},
		"unknown format":       {path + "?format=gif", coordinator, 400, "INVALID"},
		"field twice":          {path + "?name=a&field.name=b", coordinator, 400, "INVALID"},
		"too wide":             {path + "?width=2001", coordinator, 400, "INVALID"},
		"field without a name": {path + "?field.=x", coordinator, 400, "INVALID"},
		"not UTF-8":            {path + "?name=%ff", coordinator, 400, "INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, w.call("GET", c.path, c.token, ""), c.status, c.code)
		})
	}
	none := newWorld(t, func(_ *gateway.Config, d *gateway.Deps) { d.Thumbnails = nil })
	refused(t, none.call("GET", path, coordinator, ""), 503, "PREVIEW_UNAVAILABLE")
}
