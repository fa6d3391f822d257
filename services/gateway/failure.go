package gateway

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
)

// Codes that the gateway itself finds.
const (
	codeInvalid      = "INVALID"
	codeTooLarge     = "TOO_LARGE"
	codeFileTooLarge = "FILE_TOO_LARGE"
	codeMethod       = "METHOD_UNKNOWN"
	codePath         = "PATH_UNKNOWN"
	codeStalled      = "REQUEST_STALLED"
	codeCut          = "REQUEST_CUT"
	codeMediaType    = "MEDIA_TYPE_UNKNOWN"
	codeNameMissing  = "NAME_MISSING"
	codeNameInvalid  = "NAME_INVALID"
	codeTokenMissing = "TOKEN_MISSING"
	codeTokenUnknown = "TOKEN_UNKNOWN"

	codeCSRF           = "CSRF"
	codeSessionMissing = "SESSION_MISSING"
	codeSessionUnknown = "SESSION_UNKNOWN"
	codeSignInUnknown  = "SIGN_IN_UNKNOWN"

	// Of the observer.
	codeShareExpired = "SHARE_EXPIRED"
	codeShareRevoked = "SHARE_REVOKED"
	codeShareUnknown = "SHARE_UNKNOWN"
)

// statusByKind is the one table from failures to HTTP.
var statusByKind = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Denied:          http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Exhausted:       http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// statusByCode holds the codes for which HTTP has a word of its own.
var statusByCode = map[string]int{
	codeTooLarge:     http.StatusRequestEntityTooLarge,
	codeFileTooLarge: http.StatusRequestEntityTooLarge,
	codeMethod:       http.StatusMethodNotAllowed,
	codeStalled:      http.StatusRequestTimeout,
	codeMediaType:    http.StatusUnsupportedMediaType,
	codeShareExpired: http.StatusGone,
	codeShareRevoked: http.StatusGone,
}

// defaultRetryAfter is said with 503 when the failure does not know better.
const defaultRetryAfter = time.Second

// failure is the body of every answer that is not a success.
type failure struct {
	Error failureBody `json:"error"`
}

type failureBody struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
}

func statusOf(f *fault.Error) int {
	status, ok := statusByCode[f.Reason]
	if ok {
		return status
	}
	status, ok = statusByKind[f.Kind]
	if ok {
		return status
	}
	return http.StatusInternalServerError
}

// fail answers with err. It is the only place that writes one.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	status := statusOf(f)
	c := callFrom(r.Context())
	c.code = f.Reason
	if f.Kind == fault.Internal {
		s.deps.Log.ErrorContext(r.Context(), "request failed", "method", knownMethod(r.Method), "route", c.route, "request", c.id, "err", err)
	}
	h := w.Header()
	switch {
	case f.RetryAfter > 0:
		h.Set("Retry-After", seconds(f.RetryAfter))
	case f.Kind == fault.Unavailable:
		h.Set("Retry-After", seconds(defaultRetryAfter))
	}
	if status == http.StatusUnauthorized {
		challenge := `Bearer realm="filigree"`
		if f.Reason != codeTokenMissing {
			challenge += `, error="invalid_token"`
		}
		h.Set("WWW-Authenticate", challenge)
	}
	// A message that is too large stays so, whatever kind the library that refused it gave the refusal.
	retryable := f.Transient() && status != http.StatusRequestEntityTooLarge
	writeJSON(w, status, failure{failureBody{Code: f.Reason, Message: f.Message, Retryable: retryable}})
}

func seconds(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // a struct of strings and a bool
	}
	writeBody(w, status, body)
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone
}

// maxQuoted is how much of what a client sent is said back to it.
const maxQuoted = 200

// clip shortens what a client sent.
func clip(s string) string {
	runes := []rune(s)
	if len(runes) <= maxQuoted {
		return s
	}
	return string(runes[:maxQuoted]) + "…"
}
