package gateway

import (
	"context"
	_ "embed"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
)

// openAPI is made from the protos by the generator under internal/openapi.
//
//go:embed openapi.json
var openAPI []byte

//go:embed index.html
var indexPage []byte

func (s *Server) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	writeBody(w, http.StatusOK, openAPI)
}

// serveHealth says that the process lives.
func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	writeBody(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

// serveReady says whether calls can be served: the gateway is not stopping and the directory answers.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		s.fail(w, r, fault.New(fault.Unavailable, "STOPPING", "this gateway is stopping; ask another one"))
		return
	}
	err := s.ready.check(r.Context(), s.deps.Directory, s.deps.Now)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeBody(w, http.StatusOK, []byte(`{"status":"ready"}`))
}

const (
	// readyFor is how long one look at the directory serves everybody who asks.
	readyFor = time.Second
	// readyWithin is how long the directory may take.
	readyWithin = 2 * time.Second
)

// nobodysToken is the SHA-256 of no token: looking it up takes the directory all the way to its records.
var nobodysToken = strings.Repeat("0", 64)

// readiness asks the directory at most once a moment, however many ask here.
type readiness struct {
	mu    sync.Mutex
	asked time.Time
	err   error
}

func (r *readiness) check(ctx context.Context, directory directoryv1.DirectoryServiceClient, now func() time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.asked.IsZero() && now().Sub(r.asked) < readyFor {
		return r.err
	}
	// Whoever asked may go away; the answer is for everybody.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWithin)
	defer cancel()
	_, err := directory.Authenticate(ctx, &directoryv1.AuthenticateRequest{TokenSha256: nobodysToken})
	r.asked, r.err = now(), nil
	if err != nil && fault.From(err).Reason != codeTokenUnknown {
		r.err = fault.New(fault.Unavailable, "DIRECTORY_SILENT", "the directory does not answer; nobody can be let in until it does").Because(err)
	}
	return r.err
}

// newPages makes what is served beside the API: the console, or a page that says what this is.
func (s *Server) newPages() http.Handler {
	if s.deps.Console == nil {
		return http.HandlerFunc(s.serveIndex)
	}
	return &console{files: s.deps.Console, missing: s.failPath, fail: s.fail, tags: map[string]tag{}}
}

func (s *Server) serveIndex(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" && r.URL.Path != "/sign-in" { // which addresses that sign in lead to
		s.failPath(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(indexPage) // a client that has gone
}

func (s *Server) failPath(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, pathUnknown())
}
