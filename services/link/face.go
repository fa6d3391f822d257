package link

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/filigreehq/filigree/pkg/audit"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/telemetry"
	"github.com/filigreehq/filigree/services/link/internal/store"
)

const (
	linkPrefix    = "/l/"
	sessionPrefix = "/d/"
	closedPath    = "/closed"
	iconPath      = "/icon.svg"

	maxHeaderBytes = 16 << 10
	maxFormBytes   = 8 << 10
	// pageTime is how long a page may take to be written.
	pageTime = 15 * time.Second
)

// Policies of content, by what is served. A page may show its own pictures, in its own style, and send its own form.
const (
	bareCSP = "default-src 'none'; frame-ancestors 'none'; sandbox"
	// viewCSP is for documents that the browser itself shows; its viewers do not work in a sandbox.
	viewCSP = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
)

// Handler returns the recipients' face, for a listener of somebody else's.
func (s *Server) Handler() http.Handler { return s.observe(s.route) }

// Serve serves recipients on lis, which it closes, until ctx ends; then it takes no new connection, lets transfers under
// way end for up to Config.DrainTimeout and cuts the rest. It returns nil when none had to be cut.
func (s *Server) Serve(ctx context.Context, lis net.Listener) error {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.cfg.HeaderWait,
		ReadTimeout:       pageTime, // bodies are small forms
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		// OPTIONS * is answered by us, too.
		DisableGeneralOptionsHandler: true,
	}
	// What requests that end now have to tell is told after them.
	recording, recorded := context.WithCancel(context.WithoutCancel(ctx))
	var telling sync.WaitGroup
	telling.Go(func() { _ = s.audit.Run(recording) }) // nil when recording ends
	defer telling.Wait()
	defer recorded()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	s.log.InfoContext(ctx, "link serves recipients", "addr", lis.Addr().String(), "url", s.base.String())
	select {
	case err := <-served:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	err := srv.Shutdown(drain)
	<-served // always http.ErrServerClosed after Shutdown
	if err != nil {
		_ = srv.Close() // what it could say is that a connection was already gone
		return fmt.Errorf("transfers were cut that did not end within %s: %w", s.cfg.DrainTimeout, err)
	}
	return nil
}

// record tells the audit of an access by whoever has a link.
func (s *Server) record(l store.Link, action, detail string) {
	object := l.Distribution
	if strings.HasPrefix(l.ID, l.Distribution+".") {
		object = l.ID
	}
	s.audit.Record(audit.Line{Production: l.Production, Subject: "link:" + l.ID, Action: action, Object: object, Detail: detail})
}

// A call is what is learnt about a request on its way, for its log line. It never holds a path, a name or an address.
type call struct {
	route string
	code  string
}

type callKey struct{}

func callFrom(r *http.Request) *call {
	c, ok := r.Context().Value(callKey{}).(*call)
	if !ok {
		return &call{}
	}
	return c
}

// observe gives every answer its headers, contains panics, and says in one line how a request ended.
func (s *Server) observe(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		c := &call{route: "none"}
		// A trace of its own: what strangers say about theirs is not believed.
		ctx, span := telemetry.Begin(r.Context(), telemetry.Served, "HTTP "+knownMethod(r.Method), "http.request.method", knownMethod(r.Method))
		defer span.End()
		r = r.WithContext(context.WithValue(ctx, callKey{}, c))
		a := &answer{ResponseWriter: w, secure: s.base.Scheme == "https", csp: bareCSP}
		// The last request on this connection may have left its own.
		_ = a.control().SetWriteDeadline(start.Add(pageTime)) // not every ResponseWriter has deadlines
		defer func() {
			panicked := recover()
			if panicked != nil && panicked != http.ErrAbortHandler { //nolint:errorlint // net/http compares it the same way
				s.log.ErrorContext(r.Context(), "panic in a request", "route", c.route, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
				if a.status == 0 {
					a.Header().Set("Connection", "close")
					s.fail(a, r, fault.New(fault.Internal, "INTERNAL", "Something went wrong on our side; it was logged."))
					panicked = nil
				}
			}
			s.log.DebugContext(r.Context(), "request", "method", knownMethod(r.Method), "route", c.route, "status", a.status,
				"code", c.code, "took", time.Since(start))
			span.Name(knownMethod(r.Method) + " " + c.route)
			span.Set("http.route", c.route, "http.response.status_code", a.status, "filigree.code", c.code)
			if a.status >= http.StatusInternalServerError || panicked != nil {
				span.Fail(c.code)
			}
			if panicked != nil {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
		}()
		next(a, r)
	})
}

// knownMethod keeps a client from writing into the log by inventing methods.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}

// An answer sets the headers that every response has at the last moment, so that nothing that helped to write it can
// have dropped them.
type answer struct {
	http.ResponseWriter
	secure bool
	csp    string
	keep   bool // it is the same for everybody for ever
	status int
}

func (a *answer) control() *http.ResponseController {
	return http.NewResponseController(a.ResponseWriter)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
		h := a.Header()
		h.Set("Cache-Control", "no-store, private")
		h.Set("Vary", "Accept, Authorization, Cookie")
		if a.keep && status == http.StatusOK {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
			h.Set("Vary", "Accept-Encoding") // a cache in between must not give gzip to who cannot read it
		}
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Robots-Tag", "noindex, nofollow, noarchive")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		h.Set("Content-Security-Policy", a.csp)
		if h.Get("Content-Disposition") == "" {
			h.Set("Content-Disposition", "inline")
		}
		if a.secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(p)
}

// route sends a request where it belongs. It is not an http.ServeMux, because that one answers odd paths with redirects
// and pages of its own.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	a, ok := w.(*answer)
	if !ok {
		panic("link: not called through observe")
	}
	path := r.URL.Path
	if text, ok := strings.CutPrefix(path, linkPrefix); ok {
		s.serveLink(a, r, text)
		return
	}
	if rest, ok := strings.CutPrefix(path, sessionPrefix); ok {
		s.serveSession(a, r, rest)
		return
	}
	if rest, ok := strings.CutPrefix(path, readerPrefix); ok {
		s.serveReaderFile(a, r, rest)
		return
	}
	switch path {
	case closedPath:
		s.serveFixed(a, r, path, s.serveClosed)
	case iconPath:
		s.serveFixed(a, r, path, serveIcon)
	case "/robots.txt":
		s.serveFixed(a, r, path, serveRobots)
	default:
		s.fail(a, r, errUnknown())
	}
}

// serveFixed serves what is the same for everybody.
func (s *Server) serveFixed(a *answer, r *http.Request, route string, serve func(*answer, *http.Request)) {
	callFrom(r).route = route
	if s.allows(a, r, http.MethodGet, http.MethodHead) {
		serve(a, r)
	}
}

// lookTime is how long a request waits for Redis to say what there is; then it is told to come again.
const lookTime = time.Second

// look is the context of a request's questions to Redis.
func look(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), lookTime)
}

// allows reports whether r's method is one of methods, and answers it if not. OPTIONS is answered the same whatever lies
// under the path.
func (s *Server) allows(a *answer, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	a.Header().Set("Allow", strings.Join(methods, ", ")+", OPTIONS")
	if r.Method == http.MethodOptions {
		a.WriteHeader(http.StatusNoContent)
		return false
	}
	s.fail(a, r, fault.New(fault.Invalid, codeMethod, "This address does not understand %s.", knownMethod(r.Method)))
	return false
}
