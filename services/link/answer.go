package link

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/link/internal/store"
)

// Codes of what recipients and apps are told.
const (
	codeUnknown  = "NOT_FOUND"
	codeRevoked  = "LINK_REVOKED"
	codeExpired  = "LINK_EXPIRED"
	codeMisses   = "TOO_MANY_MISSES"
	codeSession  = "SESSION_ENDED"
	codeForm     = "FORM_EXPIRED"
	codeMethod   = "METHOD_UNKNOWN"
	codeFile     = "FILE_UNAVAILABLE"
	codeTooLarge = "TOO_LARGE"
)

// statusByCode holds the codes for which HTTP has a word of its own; the rest go by kind.
var statusByCode = map[string]int{
	codeRevoked:  http.StatusGone,
	codeExpired:  http.StatusGone,
	codeMethod:   http.StatusMethodNotAllowed,
	codeTooLarge: http.StatusRequestEntityTooLarge,
}

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

// errUnknown is the answer to every address under which there is nothing for who asks, whatever the reason.
func errUnknown() error {
	return fault.New(fault.NotFound, codeUnknown, "There is nothing under this address. Check that it is whole: some mail programs cut long addresses.")
}

func errRevoked() error {
	return fault.New(fault.NotFound, codeRevoked, "The sender has taken this link back. Its documents cannot be opened any more.")
}

func errExpired() error {
	return fault.New(fault.NotFound, codeExpired, "The time for this link is over. Ask the sender for a new one.")
}

func errSession() error {
	return fault.New(fault.Unauthenticated, codeSession, "To keep them safe, documents stay open for a short while only. Open the link from your e-mail again.")
}

func errForm() error {
	return fault.New(fault.Denied, codeForm, "The page was open for too long. Press the button again.")
}

// told makes the store's errors what recipients are told.
func told(err error) error {
	switch {
	case errors.Is(err, store.ErrUnknown):
		return errUnknown()
	case errors.Is(err, store.ErrRevoked):
		return errRevoked()
	case errors.Is(err, store.ErrExpired):
		return errExpired()
	}
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	return fault.New(fault.Unavailable, "UNAVAILABLE", "This cannot be shown right now. Try again in a minute.").Because(err)
}

// failure is the body of every answer to an app that is not a success; the API's are alike.
type failure struct {
	Error failureBody `json:"error"`
}

type failureBody struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
}

// miss answers an address that is nobody's, and slows down who asks for many.
func (s *Server) miss(a *answer, r *http.Request) {
	wait := s.misses.Miss(s.proxies.Client(r))
	if wait == 0 {
		s.fail(a, r, errUnknown())
		return
	}
	f := fault.New(fault.Exhausted, codeMisses, "Too many unknown addresses were asked for from your network. Wait a minute; a link that is right works all the same.")
	f.RetryAfter = wait
	s.fail(a, r, f)
}

// fail answers with err, as a page or as JSON. It is the only place that writes one.
func (s *Server) fail(a *answer, r *http.Request, err error) {
	err = told(err)
	f := fault.From(err)
	callFrom(r).code = f.Reason
	status, ok := statusByCode[f.Reason]
	if !ok {
		status = statusByKind[f.Kind]
	}
	if status >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.log.ErrorContext(r.Context(), "request failed", "method", knownMethod(r.Method), "route", callFrom(r).route, "err", err)
	}
	switch {
	case f.RetryAfter > 0:
		a.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	case f.Kind == fault.Unavailable:
		a.Header().Set("Retry-After", "5")
	}
	if status == http.StatusUnauthorized {
		a.Header().Set("WWW-Authenticate", `Bearer realm="link"`)
	}
	if wantsJSON(r) {
		retryable := f.Kind == fault.Internal || f.Kind == fault.Unavailable || f.Kind == fault.Exhausted
		s.writeJSON(a, r, status, failure{failureBody{Code: f.Reason, Message: f.Message, Retryable: retryable}})
		return
	}
	s.writePage(a, r, status, s.pages.notice, noticeOf(f))
}

// wantsJSON reports whether an app asks: one that names JSON and no page before it.
func wantsJSON(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	j := strings.Index(accept, "application/json")
	h := strings.Index(accept, "text/html")
	return j >= 0 && (h < 0 || j < h) || j < 0 && h < 0 && bearer(r) != ""
}

func (s *Server) writeJSON(a *answer, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs of strings and numbers
	}
	write(a, r, status, "application/json", body)
}

func write(a *answer, r *http.Request, status int, mediaType string, body []byte) {
	h := a.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	a.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = a.Write(body) // a client that has gone
	}
}

// when is a time as people read it, without promising an hour in a zone that is not theirs.
func when(t time.Time) string { return t.UTC().Format("2 January 2006") }
