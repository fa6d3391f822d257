package gateway

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/metadata"

	"github.com/filigreehq/filigree/pkg/fault"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
)

const (
	// hooksPath starts the addresses of webhooks, /v1/hooks/{production}/{hook}. They are called without a token: the
	// signature says that the caller may, and it is over the body as it was sent. So it is no call of the REST layer, which
	// authenticates first and reads bodies as JSON.
	hooksPath = "/v1/hooks/"
	hookRoute = hooksPath + "{production}/{hook}"
	// maxHookBody is what ScheduleService takes.
	maxHookBody = 1 << 20
	// maxHookHeader is the most that it takes of a header: of webhook-signature, a list.
	maxHookHeader = 1024
	// codeHookUnknown is what ScheduleService answers when there is no such hook, or the signature is wrong.
	codeHookUnknown = "HOOK_UNKNOWN"
)

// hook starts what a signed call asks for.
func (s *Server) hook(w http.ResponseWriter, r *http.Request) {
	c := callFrom(r.Context())
	production, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, hooksPath), "/")
	if !ok || production == "" || name == "" || strings.Contains(name, "/") || !utf8.ValidString(r.URL.Path) {
		s.fail(w, r, pathUnknown())
		return
	}
	c.route = hookRoute
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		s.fail(w, r, methodUnknown(r.Method))
		return
	}
	from := s.proxies.Client(r)
	err := s.tooManyMisses(from)
	req := &schedulev1.FireHookRequest{Production: production, Name: name}
	if err == nil {
		err = s.readHook(w, r, req)
	}
	if err != nil {
		w.Header().Set("Connection", "close") // the rest of the body is not waited for
		s.fail(w, r, err)
		return
	}
	// It is the gateway's own call: there is no caller to make it on behalf of.
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(r.Context(), metadata.Pairs(keyRequest, c.id)), s.cfg.CallTimeout)
	defer cancel()
	c.params = map[string]string{"production": production, "hook": name} // the audit has what got so far: anybody can call
	resp, err := s.deps.Schedules.FireHook(ctx, req)
	if err != nil {
		if fault.From(err).Reason == codeHookUnknown {
			s.misses.Miss(from)
		}
		s.fail(w, r, err)
		return
	}
	c.made = resp.GetDistribution().GetId()
	answer, err := newCodec().Marshal(resp.GetDistribution())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeBody(w, http.StatusOK, answer)
}

// tooManyMisses refuses a call from an address from which too many without a right signature came: each costs a look at what
// is sealed. It is refused before anything of it is read.
func (s *Server) tooManyMisses(from netip.Addr) error {
	wait := s.misses.Wait(from)
	if wait == 0 {
		return nil
	}
	f := fault.New(fault.Exhausted, "WEBHOOK_MISSES", "too many calls without a right signature came from this network address within a minute; check the webhook's address and secret, and send this again later")
	f.RetryAfter = wait
	return f
}

// readHook reads what the caller signed, and the signature.
func (s *Server) readHook(w http.ResponseWriter, r *http.Request, req *schedulev1.FireHookRequest) error {
	for _, h := range []struct {
		name string
		to   *string
	}{{"webhook-id", &req.Id}, {"webhook-timestamp", &req.Timestamp}, {"webhook-signature", &req.Signature}} {
		values := r.Header.Values(h.name)
		if len(values) != 1 || values[0] == "" || len(values[0]) > maxHookHeader || !utf8.ValidString(values[0]) {
			return fault.New(fault.Invalid, "WEBHOOK_HEADER_MISSING", "the header %s must be there once: a webhook is called with webhook-id, webhook-timestamp and webhook-signature, as Standard Webhooks says", h.name)
		}
		*h.to = values[0]
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return fault.New(fault.Invalid, codeMediaType, "the body comes with Content-Encoding %q: send it as it is signed", clip(e))
	}
	tooLarge := fault.New(fault.Invalid, codeTooLarge, "the request's body is larger than the %d bytes that a webhook takes", maxHookBody)
	if r.ContentLength > maxHookBody {
		return tooLarge
	}
	var err error
	req.Body, err = io.ReadAll(newBody(w, r, maxHookBody, s.cfg.StallTimeout))
	if err != nil {
		return readFault(err, tooLarge)
	}
	return nil
}
