package link

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/link/internal/store"
)

// shown reports whether browsers show a type, and it cannot run anything here: SVG can.
func shown(mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, "/")
	return mediaType == "application/pdf" || slices.Contains([]string{"image", "audio", "video"}, kind) && mediaType != "image/svg+xml"
}

// serveDocument serves a copy, whole or the one range that is asked for. ?save makes a browser keep it rather than show
// it.
func (s *Server) serveDocument(a *answer, r *http.Request, v visit, d store.Document) {
	kind := "attachment"
	_, save := r.URL.Query()["save"]
	if !save && !v.app && shown(d.MediaType) {
		kind = "inline"
		a.csp = viewCSP
	}
	h := a.Header()
	h.Set("Content-Type", d.MediaType)
	h.Set("Content-Disposition", disposition(kind, d.Name))
	h.Set("ETag", `"`+d.SHA256+`"`)
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range") // several ranges: the whole, which RFC 9110 allows
	}
	body := &transfer{size: d.Size, stall: s.cfg.Stall, control: a.control()}
	if r.Method == http.MethodGet {
		var err error
		body.source, err = s.blobs.Read(r.Context(), d.Key)
		if err != nil {
			h.Del("ETag")
			h.Del("Content-Disposition")
			a.csp = bareCSP
			if errors.Is(err, blob.ErrNotFound) {
				s.fail(a, r, fault.New(fault.NotFound, codeExpired, "This document is kept no longer. Ask the sender for a new one.").Because(err))
				return
			}
			s.fail(a, r, fault.New(fault.Unavailable, codeFile, "This document cannot be fetched right now. Try again in a while, or ask the sender.").Because(err))
			return
		}
		defer func() { _ = body.source.Close() }() // it was only read
		body.begins = func() {
			s.record(v.link, "link.download", d.SHA256)
			err := s.store.Downloaded(r.Context(), v.link.Hash)
			if err != nil {
				s.log.WarnContext(r.Context(), "download not counted", "err", err)
			}
		}
	}
	ctx, stop := context.WithCancel(r.Context())
	var watch sync.WaitGroup
	watch.Go(func() { s.watch(ctx, v.link.Hash, body) })
	http.ServeContent(a, r, "", time.Time{}, body)
	stop()
	watch.Wait()
	if body.failed() {
		abort(a)
		panic(http.ErrAbortHandler) // what was sent is not all, and must not look so
	}
}

// abort resets the connection, so that what the kernel holds for a slow receiver is not delivered any more, either.
func abort(a *answer) {
	conn, _, err := a.control().Hijack()
	if err != nil {
		return // a connection of another kind; it is closed in its own way
	}
	tcp, ok := conn.(*net.TCPConn)
	if ok {
		_ = tcp.SetLinger(0) // it may be gone already
	}
	_ = conn.Close()
}

// watch cuts the transfer when the link is revoked or expires, or when nobody can say for a while that it still holds.
func (s *Server) watch(ctx context.Context, hash string, body *transfer) {
	tick := time.NewTicker(s.cfg.Check)
	defer tick.Stop()
	known := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ask, cancel := context.WithTimeout(ctx, time.Second)
		l, err := s.store.FindOne(ask, hash)
		cancel()
		if err == nil && l.Err() == nil {
			known = time.Now()
			continue
		}
		gone := err == nil || errors.Is(err, store.ErrUnknown)
		if ctx.Err() == nil && (gone || time.Since(known) > maxSilence-s.cfg.Check) {
			body.cut()
			return
		}
	}
}

// A transfer is a document on its way to somebody. http.ServeContent reads it; watch may cut it meanwhile, also while
// it waits for the other side.
type transfer struct {
	size    int64
	stall   time.Duration
	control *http.ResponseController
	source  io.ReadCloser // nil for HEAD
	begins  func()        // called when the first byte of the document is about to go out
	at      int64
	moved   bool // by Seek, since source was read

	mu   sync.Mutex
	over bool
	err  error
}

var errCut = errors.New("the link does not hold any more")

// cut ends the transfer at once.
func (t *transfer) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	_ = t.control.SetWriteDeadline(time.Unix(1, 0)) // not every ResponseWriter has deadlines; Read ends it then
}

func (t *transfer) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.over || t.err != nil
}

// Read implements io.Reader.
func (t *transfer) Read(p []byte) (int, error) {
	err := t.proceed()
	if err != nil {
		return 0, err
	}
	if t.at >= t.size {
		return 0, io.EOF
	}
	if t.at == 0 && t.begins != nil {
		t.begins()
		t.begins = nil
	}
	n, err := t.source.Read(p[:min(int64(len(p)), t.size-t.at)])
	t.at += int64(n)
	if errors.Is(err, io.EOF) && t.at < t.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		t.mu.Lock()
		t.err = err
		t.mu.Unlock()
	}
	return n, err
}

// proceed gives the other side time for one more piece, unless it is over.
func (t *transfer) proceed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return errCut
	}
	_ = t.control.SetWriteDeadline(time.Now().Add(t.stall)) // not every ResponseWriter has deadlines
	if !t.moved {
		return nil
	}
	t.moved = false
	seeker, ok := t.source.(io.Seeker)
	if ok {
		_, t.err = seeker.Seek(t.at, io.SeekStart)
	} else {
		_, t.err = io.CopyN(io.Discard, t.source, t.at)
	}
	return t.err
}

// Seek implements io.Seeker. It is called before the first Read only.
func (t *transfer) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += t.at
	case io.SeekEnd:
		offset += t.size
	}
	if offset < 0 || offset > t.size {
		return 0, errors.New("seek beyond a document")
	}
	t.at, t.moved = offset, offset > 0
	return offset, nil
}

// maxThumbnail is more than any picture of a page has bytes.
const maxThumbnail = 4 << 20

func (s *Server) serveThumbnail(a *answer, r *http.Request, _ visit, d store.Document) {
	if d.Thumbnail == "" {
		s.fail(a, r, errUnknown())
		return
	}
	picture, err := s.thumbnail(r.Context(), d.Thumbnail)
	if errors.Is(err, blob.ErrNotFound) {
		s.fail(a, r, errUnknown())
		return
	}
	if err != nil {
		s.fail(a, r, err)
		return
	}
	mediaType := http.DetectContentType(picture)
	if !strings.HasPrefix(mediaType, "image/") {
		s.fail(a, r, errUnknown())
		return
	}
	write(a, r, http.StatusOK, mediaType, picture)
}

func (s *Server) thumbnail(ctx context.Context, key string) ([]byte, error) {
	source, err := s.blobs.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.Close() }() // it was only read
	picture, err := io.ReadAll(io.LimitReader(source, maxThumbnail+1))
	if err == nil && len(picture) > maxThumbnail {
		err = blob.ErrNotFound
	}
	return picture, err
}
