package directory

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

// GetFile answers with one document's record.
func (s *Server) GetFile(ctx context.Context, req *filev1.GetFileRequest) (*filev1.GetFileResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	f, err := t.File(ctx, req.GetFile())
	if errors.Is(err, store.ErrNoFile) {
		return nil, fault.New(fault.NotFound, "FILE_UNKNOWN", "the production %q has no file with the SHA-256 %s; upload it first", req.GetProduction(), req.GetFile())
	}
	if err != nil {
		return nil, err
	}
	return &filev1.GetFileResponse{File: fileMessage(f)}, nil
}

// ListFiles lists documents, newest first.
func (s *Server) ListFiles(ctx context.Context, req *filev1.ListFilesRequest) (*filev1.ListFilesResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	before, err := fileCursor(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	page, next, err := t.Files(ctx, before, pageSize(req.GetPageSize()))
	if err != nil {
		return nil, err
	}
	resp := &filev1.ListFilesResponse{}
	if next != 0 {
		resp.NextPageToken = base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(next)))
	}
	for _, f := range page {
		resp.Files = append(resp.Files, fileMessage(f))
	}
	return resp, nil
}

func fileCursor(token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 8 {
		return 0, errPageToken()
	}
	before := int64(binary.BigEndian.Uint64(raw))
	if before < 1 {
		return 0, errPageToken()
	}
	return before, nil
}

func fileMessage(f store.File) *filev1.File {
	return &filev1.File{
		Sha256:       f.SHA256,
		Name:         f.Name,
		Size:         f.Size,
		CreatedAt:    timestamppb.New(f.Created),
		Pages:        int32(f.Pages),
		Verdict:      string(f.Verdict),
		ErrorCode:    f.ErrorCode,
		ErrorMessage: f.ErrorMessage,
		Notes:        f.Notes,
	}
}

// bytesWord says a size the way people do: "200 MB", "1023 bytes".
func bytesWord(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
