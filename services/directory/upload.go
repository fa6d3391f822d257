package directory

import (
	"context"
	"crypto/rand"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/fault"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

// uploadPrefix starts the keys of uploads that are under way.
const uploadPrefix = "tmp/src/"

func uploadKey(production string) string {
	return uploadPrefix + production + "/" + strings.ToLower(rand.Text())
}

// sourceKey is where a document's bytes are, for whoever reads them.
func sourceKey(production, sha256 string) string { return "src/" + production + "/" + sha256 }

// cleanupTime is how long removing an upload's temporary may take once the caller is gone.
const cleanupTime = 10 * time.Second

// Upload stores a document.
func (s *Server) Upload(stream grpc.ClientStreamingServer[filev1.UploadRequest, filev1.UploadResponse]) error {
	ctx := stream.Context()
	head, err := stream.Recv()
	if err == io.EOF {
		return fault.New(fault.Invalid, "UPLOAD_EMPTY", "an upload starts with a message that names the production and the document")
	}
	if err != nil {
		return err
	}
	t, p, err := s.tenant(ctx, head.GetProduction())
	if err != nil {
		return err
	}
	sha, size, err := s.receive(ctx, p.ID, newIncoming(stream, head.GetData(), s.cfg.MaxFileBytes, s.cfg.UploadIdle))
	if err != nil {
		return err
	}
	f, err := t.PutFile(ctx, sha, cleanName(head.GetName()), size)
	if err != nil {
		return answer(err, p.ID)
	}
	// A refusal too: what was refused once may be understood by now. And what was taken under a setting that holds no more.
	if f.Verdict != store.OK || f.Open && !p.OpenRestricted {
		f, err = s.inspect(ctx, t, p, f)
		if err != nil {
			return err
		}
	}
	return stream.SendAndClose(&filev1.UploadResponse{File: fileMessage(f)})
}

// receive stores all of r as a source of production. Whatever happens the temporary is gone afterwards.
func (s *Server) receive(ctx context.Context, production string, r *incoming) (sha string, size int64, err error) {
	defer r.close()
	tmp := uploadKey(production)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		err := s.blobs.Delete(ctx, tmp)
		if err != nil {
			s.log.WarnContext(ctx, "temporary of an upload not removed, the sweep will", "err", err)
		}
	}()
	size, sha, err = s.blobs.Create(ctx, tmp, "application/octet-stream", r)
	if err != nil {
		return "", 0, err
	}
	return sha, size, s.blobs.Copy(ctx, sourceKey(production, sha), tmp)
}

// inspect starts the inspection of f and waits a little for it; f as it is if that takes longer.
func (s *Server) inspect(ctx context.Context, t store.Tenant, p store.Production, f store.File) (store.File, error) {
	done := s.inspector.submit(inspection{tenant: t, production: p.ID, sha256: f.SHA256, name: f.Name, open: p.OpenRestricted})
	wait := time.NewTimer(s.cfg.InspectWait)
	defer wait.Stop()
	select {
	case <-done:
		return t.File(ctx, f.SHA256)
	case <-wait.C:
	case <-ctx.Done():
	}
	return f, nil
}

// incoming reads the bytes of an upload's messages. It fails as soon as there are more than allowed, or when none came
// for too long.
type incoming struct {
	messages chan received
	stop     chan struct{}
	idle     *time.Timer
	patience time.Duration
	limit    int64

	rest []byte
	size int64
}

type received struct {
	data []byte
	err  error
}

// newIncoming starts reading stream, whose first message is read and brought first.
func newIncoming(stream grpc.ClientStreamingServer[filev1.UploadRequest, filev1.UploadResponse], first []byte, limit int64, patience time.Duration) *incoming {
	r := &incoming{
		messages: make(chan received), stop: make(chan struct{}),
		idle: time.NewTimer(patience), patience: patience, limit: limit, rest: first, size: int64(len(first)),
	}
	// Recv cannot be told to give up waiting, but it ends with the call. So that an idle upload can be ended from here,
	// this goroutine waits in its place; it is gone once the handler returned.
	go func() {
		for {
			m, err := stream.Recv()
			if err == nil && m.GetProduction() != "" {
				err = fault.New(fault.Invalid, "UPLOAD_MALFORMED", "only the first message of an upload names the production")
			}
			select {
			case r.messages <- received{m.GetData(), err}:
			case <-r.stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return r
}

// close ends the reading.
func (r *incoming) close() {
	r.idle.Stop()
	close(r.stop)
}

func (r *incoming) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		r.idle.Reset(r.patience)
		select {
		case m := <-r.messages:
			if m.err != nil {
				return 0, m.err // io.EOF: that was all
			}
			r.rest = m.data
			r.size += int64(len(m.data))
		case <-r.idle.C:
			return 0, fault.New(fault.Unavailable, "UPLOAD_IDLE", "the upload was given up, as nothing came for %s; send the document again", r.patience)
		}
	}
	if r.size > r.limit {
		return 0, fault.New(fault.Invalid, "FILE_TOO_LARGE", "the document is larger than %s, the most that is taken", bytesWord(r.limit))
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
