package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc/metadata"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
)

const (
	// pieceSize is the most that FileService.Upload takes in one message.
	pieceSize = 256 << 10
	// maxFraming is what a form may add to the file in it.
	maxFraming = 64 << 10
	// maxName is what FileService takes, in bytes.
	maxName = 255
)

var errSilent = errors.New("the file service neither took the next piece nor answered")

// upload stores the document in a request's body, which is either the bytes themselves or a form with one file.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, params map[string]string) {
	production := params["production"]
	file, err := s.store(w, r, production)
	if err != nil {
		w.Header().Set("Connection", "close") // the rest of the body is not waited for
		s.fail(w, r, err)
		return
	}
	callFrom(r.Context()).made = file.GetSha256()
	answer, err := newCodec().Marshal(file)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Location", "/v1/productions/"+url.PathEscape(production)+"/files/"+file.GetSha256())
	writeBody(w, http.StatusCreated, answer)
}

func (s *Server) store(w http.ResponseWriter, r *http.Request, production string) (*filev1.File, error) {
	c := callFrom(r.Context())
	// The file service says the same; saying it here spares the client sending a file for nothing.
	if !rpc.Admits(c.principal, production) {
		return nil, rpc.UnknownProduction(production)
	}
	name, err := nameInQuery(r.URL)
	if err != nil {
		return nil, err
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, fault.New(fault.Invalid, codeMediaType, "the file comes with Content-Encoding %q: send its bytes as they are", clip(e))
	}
	kind, attributes, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		kind = "unreadable"
	}
	switch {
	case kind == "multipart/form-data":
		return s.storeForm(w, r, production, name, attributes["boundary"])
	case kind == "unreadable", kind == "application/x-www-form-urlencoded", strings.HasPrefix(kind, "multipart/"):
		return nil, fault.New(fault.Invalid, codeMediaType, "a file is sent as its bytes with its own Content-Type, or application/octet-stream, or as multipart/form-data with one part %q", "file")
	}
	// What a file is, and whether it is taken, is found by its bytes, whatever the client says.
	return s.storeRaw(w, r, production, name)
}

func (s *Server) storeRaw(w http.ResponseWriter, r *http.Request, production, name string) (*filev1.File, error) {
	if r.ContentLength > s.cfg.MaxUpload {
		return nil, s.fileTooLarge()
	}
	if name == "" {
		_, attributes, err := mime.ParseMediaType(r.Header.Get("Content-Disposition"))
		if err == nil {
			name = baseName(attributes["filename"])
		}
	}
	err := checkName(name)
	if err != nil {
		return nil, err
	}
	up, err := s.begin(r, production, name)
	if err != nil {
		return nil, err
	}
	defer up.end()
	err = up.send(newBody(w, r, s.cfg.MaxUpload, s.cfg.StallTimeout))
	if err != nil {
		return nil, s.uploadFault(err)
	}
	return up.finish()
}

func (s *Server) storeForm(w http.ResponseWriter, r *http.Request, production, name, boundary string) (*filev1.File, error) {
	if r.ContentLength > s.cfg.MaxUpload+maxFraming {
		return nil, s.fileTooLarge()
	}
	if boundary == "" {
		return nil, fault.New(fault.Invalid, codeInvalid, "the form names no boundary in its Content-Type")
	}
	form := multipart.NewReader(newBody(w, r, s.cfg.MaxUpload+maxFraming, s.cfg.StallTimeout), boundary)
	part, err := form.NextPart()
	if err != nil {
		return nil, s.uploadFault(noMorePart(err))
	}
	if part.FormName() != "file" {
		return nil, wrongPart(part)
	}
	if name == "" {
		name = baseName(part.FileName())
	}
	err = checkName(name)
	if err != nil {
		return nil, err
	}
	up, err := s.begin(r, production, name)
	if err != nil {
		return nil, err
	}
	defer up.end()
	err = up.send(&limited{r: part, left: s.cfg.MaxUpload})
	if err != nil {
		return nil, s.uploadFault(err)
	}
	// Nothing is stored before the form has come to its end as a form of one file.
	part, err = form.NextPart()
	if err == nil {
		return nil, wrongPart(part)
	}
	if !errors.Is(err, io.EOF) {
		return nil, s.uploadFault(err)
	}
	return up.finish()
}

func wrongPart(part *multipart.Part) error {
	return fault.New(fault.Invalid, codeInvalid, "the form has a part %q: it takes one part, %q", clip(part.FormName()), "file")
}

func noMorePart(err error) error {
	if errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, codeInvalid, "the form is empty: it takes one part %q", "file").Because(err)
	}
	return err
}

func (s *Server) fileTooLarge() *fault.Error {
	return fault.New(fault.Invalid, codeFileTooLarge, "the file is larger than the %d bytes that are taken: split it or make its pictures smaller", s.cfg.MaxUpload)
}

func (s *Server) uploadFault(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	return readFault(err, s.fileTooLarge())
}

// uploading is one stream to the file service. What is under way when it ends without finish is dropped there.
type uploading struct {
	stream filev1.FileService_UploadClient
	cancel context.CancelCauseFunc
	watch  *time.Timer
	within time.Duration
}

func (s *Server) begin(r *http.Request, production, name string) (*uploading, error) {
	// The stream has no deadline, since an upload may take long; each step of it has one.
	ctx, cancel := context.WithCancelCause(metadata.NewOutgoingContext(r.Context(), callFrom(r.Context()).outgoing))
	up := &uploading{cancel: cancel, within: s.cfg.CallTimeout}
	up.watch = time.AfterFunc(up.within, func() { cancel(errSilent) })
	var err error
	up.stream, err = s.deps.Files.Upload(ctx)
	if err != nil {
		up.end()
		return nil, fault.From(err)
	}
	err = up.put(&filev1.UploadRequest{Production: production, Name: name})
	if err != nil {
		up.end()
		return nil, err
	}
	return up, nil
}

func (u *uploading) end() {
	u.watch.Stop()
	u.cancel(nil)
}

// send passes src on, piece by piece. Its errors are src's, or a fault of the file service.
func (u *uploading) send(src io.Reader) error {
	for {
		piece := make([]byte, pieceSize) // a message belongs to gRPC once it is sent
		n, end := fill(src, piece)
		if n > 0 && (end == nil || errors.Is(end, io.EOF)) {
			err := u.put(&filev1.UploadRequest{Data: piece[:n]})
			if err != nil {
				return err
			}
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return end
		}
	}
}

// fill reads until p is full or src fails. Unlike io.ReadFull it leaves src's error as it is: there, a body that was
// cut cannot be told from one that ended.
func fill(src io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = src.Read(p[n:])
		n += more
	}
	return n, err
}

func (u *uploading) put(m *filev1.UploadRequest) error {
	u.watch.Reset(u.within)
	defer u.watch.Stop()
	err := u.stream.Send(m)
	if errors.Is(err, io.EOF) {
		// The service has ended the stream; what it has to say is in the answer.
		_, err = u.stream.CloseAndRecv()
		if err == nil {
			err = errors.New("the file service answered before it had the file")
		}
	}
	if err != nil {
		return fault.From(err)
	}
	return nil
}

func (u *uploading) finish() (*filev1.File, error) {
	u.watch.Reset(u.within)
	resp, err := u.stream.CloseAndRecv()
	if err != nil {
		return nil, fault.From(err)
	}
	if resp.GetFile() == nil {
		return nil, errors.New("the file service answered an upload without a file")
	}
	return resp.GetFile(), nil
}

// limited reads no more than left bytes; more is errTooLong.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

func nameInQuery(u *url.URL) (string, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", fault.New(fault.Invalid, codeInvalid, "the query after the ? cannot be read").Because(err)
	}
	for key, values := range query {
		if key != "name" || len(values) > 1 {
			return "", fault.New(fault.Invalid, codeInvalid, "an upload takes one query parameter, name, and not %q", clip(key))
		}
	}
	return query.Get("name"), nil
}

// baseName drops the folders that some clients put before a file's name.
func baseName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	if name == "." || name == "/" {
		return ""
	}
	return name
}

func checkName(name string) error {
	if name == "" {
		return fault.New(fault.Invalid, codeNameMissing, "the file has no name: add ?name=script.pdf to the address")
	}
	bad := len(name) > maxName || !utf8.ValidString(name)
	for _, c := range name {
		bad = bad || unicode.IsControl(c)
	}
	if bad {
		return fault.New(fault.Invalid, codeNameInvalid, "the file's name must be UTF-8 without control characters, of at most %d bytes", maxName)
	}
	return nil
}
