package email

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	"github.com/filigreehq/filigree/services/email/internal/message"
)

// documents are the attachments, to be read from the blob store when the message is written.
func (s *Server) documents(ctx context.Context, attachments []*emailv1.Attachment) []message.Document {
	docs := make([]message.Document, len(attachments))
	for i, a := range attachments {
		docs[i] = message.Document{
			Name: a.GetName(), MediaType: a.GetMediaType(), Size: a.GetSize(),
			Open: func() (io.ReadCloser, error) { return s.open(ctx, a) },
		}
	}
	return docs
}

func (s *Server) open(ctx context.Context, a *emailv1.Attachment) (io.ReadCloser, error) {
	r, err := s.blobs.Read(ctx, a.GetKey())
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fault.New(fault.Internal, "EMAIL_ATTACHMENT_MISSING", "a document to be attached is not in the store; nothing was sent").Because(err)
	}
	if err != nil {
		return nil, unreadable(err)
	}
	return &verified{ReadCloser: r, want: a, hash: sha256.New()}, nil
}

func unreadable(err error) error {
	return fault.New(fault.Unavailable, "EMAIL_ATTACHMENT_UNREADABLE", "a document to be attached could not be read from the store; nothing was sent").Because(err)
}

// verified reads a blob that must be what was announced: it fails instead of ending when it is not, so what is sent is
// never somebody else's copy, nor half of one.
type verified struct {
	io.ReadCloser
	want *emailv1.Attachment
	hash hash.Hash
	size int64
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.hash.Write(p[:n])
	v.size += int64(n)
	switch {
	case v.size > v.want.GetSize(), err == io.EOF && (v.size != v.want.GetSize() || hex.EncodeToString(v.hash.Sum(nil)) != v.want.GetSha256()):
		return 0, fault.New(fault.Internal, "EMAIL_ATTACHMENT_DAMAGED", "a document to be attached is not the one that was made for this recipient; nothing was sent")
	case err != nil && err != io.EOF:
		return n, unreadable(err)
	}
	return n, err
}
