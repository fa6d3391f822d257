package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/telemetry"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	"google.golang.org/grpc/metadata"
)

// call is what is learnt about a request on its way in, for its log line and for the calls it causes.
type call struct {
	id        string
	route     string // the pattern, never the path
	code      string // of the failure answered
	note      string // what is to be known beside the answer
	principal *accessv1.Principal
	params    map[string]string // of the path
	action    string            // what the audit calls it; empty of what it need not know
	made      string            // the id of what it made
	// over asks whether who calls was signed out, or their token revoked, since.
	over  func(ctx context.Context) bool
	asked string // which of several actions the request asks for
	// outgoing is the whole metadata of the calls made for this request: the principal first of all.
	outgoing metadata.MD
}

type callKey struct{}

// callFrom returns the call of a request; outside of one, an empty call that nobody reads.
func callFrom(ctx context.Context) *call {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return &call{}
	}
	return c
}

// saneID is a request id that may be taken over from a client, into logs and metadata.
var saneID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// observe gives a request its id and its security headers, contains a panic, and says in one line how it ended.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.deps.Now()
		c := &call{id: r.Header.Get("X-Request-Id"), route: "none"}
		if !saneID.MatchString(c.id) {
			c.id = rand.Text()
		}
		ctx, span := spanned(r, c.id)
		defer span.End()
		r = r.WithContext(context.WithValue(ctx, callKey{}, c))
		rec := &recorder{ResponseWriter: w, control: http.NewResponseController(w), timeout: s.cfg.WriteTimeout}
		// The last request on this connection may have left its deadline.
		_ = rec.control.SetWriteDeadline(time.Time{}) // not every ResponseWriter has deadlines
		secure(rec.Header())
		rec.Header().Set("X-Request-Id", c.id)
		defer func() {
			cut := s.contain(recover(), rec, r)
			s.deps.Log.DebugContext(r.Context(), "request", "method", knownMethod(r.Method), "route", c.route,
				"status", rec.status, "code", c.code, "took", s.deps.Now().Sub(start), "request", c.id)
			describe(span, r.Method, c, rec.status)
			s.record(r.Method, c, rec.status)
			if cut {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// spanned begins a request's span, in the trace that its client names. Of probes there would be most, and of no interest.
func spanned(r *http.Request, id string) (context.Context, *telemetry.Span) {
	if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return r.Context(), nil
	}
	return telemetry.Begin(telemetry.FromHTTP(r.Context(), r.Header), telemetry.Served, "HTTP "+knownMethod(r.Method),
		"http.request.method", knownMethod(r.Method), "filigree.request", id)
}

// describe says in a request's span what became of it: the route, never the path.
func describe(span *telemetry.Span, method string, c *call, status int) {
	if span == nil {
		return
	}
	span.Name(knownMethod(method) + " " + c.route)
	span.Set("http.route", c.route, "http.response.status_code", status, "filigree.code", c.code)
	if status >= http.StatusInternalServerError || status == 0 {
		span.Fail(c.code)
	}
}

// contain answers a panic with 500, and reports whether the answer had begun and the connection must be cut instead.
func (s *Server) contain(panicked any, rec *recorder, r *http.Request) (cut bool) {
	if panicked == nil {
		return false
	}
	if panicked == http.ErrAbortHandler { //nolint:errorlint // net/http compares it the same way
		return true
	}
	c := callFrom(r.Context())
	s.deps.Log.ErrorContext(r.Context(), "panic in a request", "method", knownMethod(r.Method), "route", c.route, "request", c.id,
		"panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
	c.code = "INTERNAL"
	if rec.status != 0 {
		return true
	}
	rec.Header().Set("Connection", "close")
	f := fault.New(fault.Internal, "INTERNAL", "something went wrong on our side; it was logged")
	writeJSON(rec, http.StatusInternalServerError, failure{failureBody{Code: f.Reason, Message: f.Message, Retryable: f.Transient()}})
	return false
}

// secure sets what holds for every answer; the console's pages loosen what they must.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
}

// knownMethod keeps a client from writing into the log by inventing methods.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// recorder remembers the status, and lets an answer that has begun take only so long.
type recorder struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	status  int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
		_ = r.control.SetWriteDeadline(time.Now().Add(r.timeout)) // not every ResponseWriter has deadlines
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
