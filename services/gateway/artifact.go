package gateway

import (
	"errors"
	"mime"
	"net/http"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// Where the bytes made for an item are fetched.
const (
	copyPath      = "/v1/productions/{production}/distributions/{distribution}/items/{item}/copy"
	thumbnailPath = "/v1/productions/{production}/distributions/{distribution}/items/{item}/thumbnail"
)

// copy sends an item's copy, as a download.
func (s *Server) copy(w http.ResponseWriter, r *http.Request, params map[string]string) {
	s.artifact(w, r, params, false)
}

// thumbnail sends the picture of its first page, to be shown.
func (s *Server) thumbnail(w http.ResponseWriter, r *http.Request, params map[string]string) {
	s.artifact(w, r, params, true)
}

func (s *Server) artifact(w http.ResponseWriter, r *http.Request, params map[string]string, thumbnail bool) {
	ctx := metadata.NewOutgoingContext(r.Context(), callFrom(r.Context()).outgoing)
	a, err := s.deps.Distributions.GetArtifact(ctx, &distributionv1.GetArtifactRequest{
		Production: params["production"], Distribution: params["distribution"], Item: params["item"], Thumbnail: thumbnail,
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	f, err := s.deps.Blobs.Fetch(ctx, a.GetKey(), "")
	if errors.Is(err, blob.ErrNotFound) {
		err = fault.New(fault.NotFound, "COPY_NOT_KEPT", "this was made, and is not in the store any more: copies of production %s are kept for a time (observer's --keep-copies)",
			params["production"]).Because(err)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", a.GetMediaType())
	h.Set("ETag", `"`+a.GetSha256()+`"`)
	if !thumbnail {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.GetName()}))
	}
	// ServeContent answers Range, If-Range and If-None-Match (RFC 9110).
	http.ServeContent(w, r, "", time.Time{}, f)
}
