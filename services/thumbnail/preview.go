package thumbnail

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"

	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

const (
	// previewWidth is what a request without one gets.
	previewWidth = 800
	// previewChunk is how much of a preview one answer carries.
	previewChunk = 256 << 10
)

// Preview implements thumbnailv1.ThumbnailServiceServer.
func (s *Server) Preview(req *thumbnailv1.PreviewRequest, out grpc.ServerStreamingServer[thumbnailv1.PreviewResponse]) error {
	if req.GetDocument() {
		return s.pass(req, out)
	}
	picture, err := s.draw(out.Context(), order{
		production: req.GetProduction(), file: req.GetFile(), mark: req.GetMark(), fields: req.GetFields(),
		page: max(1, int(req.GetPage())), width: cmp.Or(int(req.GetWidth()), previewWidth), format: formats[req.GetFormat()],
	})
	if err != nil {
		return err
	}
	resp := &thumbnailv1.PreviewResponse{MediaType: picture.MediaType, Width: int32(picture.Size.Width), Height: int32(picture.Size.Height)}
	for part := range slices.Chunk(picture.Data, previewChunk) {
		resp.Data = part
		err = out.Send(resp)
		if err != nil {
			return fmt.Errorf("send a preview: %w", err)
		}
		resp = &thumbnailv1.PreviewResponse{}
	}
	return nil
}

// pass passes on what the watermark service makes of the whole document.
func (s *Server) pass(req *thumbnailv1.PreviewRequest, out grpc.ServerStreamingServer[thumbnailv1.PreviewResponse]) error {
	in, err := s.watermark.Preview(out.Context(), &watermarkv1.PreviewRequest{
		Production: req.GetProduction(), File: req.GetFile(), Mark: req.GetMark(), Fields: req.GetFields(),
	})
	for err == nil {
		var part *watermarkv1.PreviewResponse
		part, err = in.Recv()
		if err == nil {
			err = out.Send(&thumbnailv1.PreviewResponse{MediaType: part.GetMediaType(), Data: part.GetData()})
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
