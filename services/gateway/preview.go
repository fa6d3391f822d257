package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/metadata"

	"github.com/filigreehq/filigree/pkg/fault"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

// previewPath shows a page as a recipient's copy would have it, before anything is sent. The bytes come as a stream, for
// which protos have no HTTP rule.
const previewPath = "/v1/productions/{production}/files/{file}/preview"

// preview sends a marked page, or all of them.
func (s *Server) preview(w http.ResponseWriter, r *http.Request, params map[string]string) {
	wanted, err := readPreview(r.URL)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if s.deps.Thumbnails == nil {
		s.fail(w, r, fault.New(fault.Unavailable, "PREVIEW_UNAVAILABLE", "this gateway was started without a thumbnail service, which makes previews: set --thumbnail"))
		return
	}
	// A document goes on as fast as the client takes it.
	within := s.cfg.CallTimeout + s.cfg.WriteTimeout
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(r.Context(), callFrom(r.Context()).outgoing), within)
	defer cancel()
	err = s.complete(ctx, wanted, params["production"], params["file"])
	if err != nil {
		s.fail(w, r, err)
		return
	}
	stream, err := s.deps.Thumbnails.Preview(ctx, wanted)
	var part *thumbnailv1.PreviewResponse
	if err == nil {
		part, err = stream.Recv() // whatever is refused is refused here
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", part.GetMediaType())
	for err == nil {
		_, err = w.Write(part.GetData())
		if err != nil {
			return // the client has gone
		}
		part, err = stream.Recv()
	}
	if !errors.Is(err, io.EOF) {
		s.deps.Log.WarnContext(ctx, "preview cut", "err", err)
		panic(http.ErrAbortHandler) // what was sent is not all, and must not look so
	}
}

// complete adds what a distribution made now would add: what is known of the production and the file, and the fields that
// nobody gives. It finds out whether both are there.
func (s *Server) complete(ctx context.Context, wanted *thumbnailv1.PreviewRequest, production, file string) error {
	p, err := s.deps.Directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: production})
	if err != nil {
		return err
	}
	f, err := s.deps.Files.GetFile(ctx, &filev1.GetFileRequest{Production: production, File: file})
	if err != nil {
		return err
	}
	wanted.Production = production
	wanted.File = &watermarkv1.File{
		Sha256: f.GetFile().GetSha256(), Name: f.GetFile().GetName(), OpenRestricted: p.GetProduction().GetOpenRestricted(),
	}
	now := s.deps.Now().UTC()
	for name, value := range map[string]string{
		"date": now.Format("2006-01-02"), "time": now.Format("15:04 UTC"), "copy": "1",
		"production": p.GetProduction().GetName(), "file": f.GetFile().GetName(),
	} {
		_, given := wanted.Fields[name]
		if !given {
			wanted.Fields[name] = value
		}
	}
	return nil
}

// previewFormats are those of the query that are pictures; pdf is the document itself.
var previewFormats = map[string]thumbnailv1.Format{
	"": thumbnailv1.Format_FORMAT_JPEG, "jpeg": thumbnailv1.Format_FORMAT_JPEG, "png": thumbnailv1.Format_FORMAT_PNG,
}

// fieldPrefix is what a query parameter begins with that is a field of the mark.
const fieldPrefix = "field."

// readPreview reads the query. What it does not know is refused: a preview that leaves out what was asked for would be
// believed.
func readPreview(u *url.URL) (*thumbnailv1.PreviewRequest, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fault.New(fault.Invalid, codeInvalid, "the query after the ? cannot be read").Because(err)
	}
	m := &watermarkv1.Mark{}
	req := &thumbnailv1.PreviewRequest{Mark: m, Fields: map[string]string{}}
	texts := map[string]*string{"mark": &m.Template, "layout": &m.Layout, "color": &m.Color, "pages": &m.Pages}
	numbers := map[string]*int32{"page": &req.Page, "width": &req.Width, "opacity": &m.Opacity, "size": &m.Size}
	for name, values := range query {
		value := values[0]
		if len(values) > 1 {
			return nil, fault.New(fault.Invalid, codeInvalid, "the query parameter %q is there %d times", clip(name), len(values))
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, fault.New(fault.Invalid, codeInvalid, "the query parameter %q is not UTF-8", strings.ToValidUTF8(clip(name), "\ufffd"))
		}
		field, isField := strings.CutPrefix(name, fieldPrefix)
		switch text, number := texts[name], numbers[name]; {
		case text != nil:
			*text = value
		case number != nil:
			n, err := strconv.ParseInt(value, 10, 32)
			if err != nil {
				return nil, fault.New(fault.Invalid, codeInvalid, "the query parameter %q is %q and must be a whole number", name, clip(value))
			}
			*number = int32(n)
		case name == "name" || name == "email":
			req.Fields[name] = value
		case isField && field != "name" && field != "email":
			req.Fields[field] = value
		case name == "format":
			format, ok := previewFormats[value]
			req.Format, req.Document = format, value == "pdf"
			if !ok && !req.Document {
				return nil, fault.New(fault.Invalid, codeInvalid, "there is no format %q: there are jpeg, png and pdf", clip(value))
			}
		default:
			return nil, fault.New(fault.Invalid, codeInvalid, "there is no query parameter %q here; fields of the mark are name, email and field.<name>", clip(name))
		}
	}
	return req, nil
}
