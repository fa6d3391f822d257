package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	"github.com/filigreehq/filigree/services/gateway"
)

// schedules keeps what hooks are called with.
type schedules struct {
	schedulev1.UnimplementedScheduleServiceServer

	mu        sync.Mutex
	fired     *schedulev1.FireHookRequest
	principal *accessv1.Principal
	fail      error
}

func (s *schedules) FireHook(ctx context.Context, req *schedulev1.FireHookRequest) (*schedulev1.FireHookResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fired, s.principal = req, rpc.PrincipalFrom(ctx)
	return &schedulev1.FireHookResponse{Distribution: &distributionv1.Distribution{Id: "d1", State: "accepted"}}, s.fail
}

// hook is a call of a webhook, without a token.
func (w *world) hook(path, body string, change func(*http.Request)) answer {
	w.t.Helper()
	r := w.request(http.MethodPost, path, "", body)
	r.Header.Set("webhook-id", "msg_1")
	r.Header.Set("webhook-timestamp", "1614265330")
	r.Header.Set("webhook-signature", "v1,abc= v1,def=")
	if change != nil {
		change(r)
	}
	return w.do(r)
}

func TestAHookIsCalledWithoutAToken(t *testing.T) {
	w := newWorld(t, nil)
	body := "{\"title\": \"as sent\"}\r\n \x00"
	a := w.hook("/v1/hooks/red/dailies", body, nil)
	if a.status != http.StatusOK || !strings.Contains(a.body, `"d1"`) || !strings.Contains(a.body, `"created_at"`) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	want := &schedulev1.FireHookRequest{Production: "red", Name: "dailies", Id: "msg_1", Timestamp: "1614265330", Signature: "v1,abc= v1,def=", Body: []byte(body)}
	if diff := cmp.Diff(want, w.schedules.fired, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if p := w.schedules.principal; p.GetRole() != accessv1.Role_ROLE_SERVICE || p.GetSubject() != "service:gateway" {
		t.Errorf("it was called as %v", p)
	}
	// A token that somebody sends along changes nothing.
	a = w.hook("/v1/hooks/red/dailies", body, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+coordinator) })
	if a.status != http.StatusOK || w.schedules.principal.GetSubject() != "service:gateway" || w.directory.questions() != 0 {
		t.Errorf("got %d as %v, after %d questions", a.status, w.schedules.principal, w.directory.questions())
	}
	a = w.hook("/v1/hooks/red/dailies", strings.Repeat("x", 1<<20), nil)
	if a.status != http.StatusOK || len(w.schedules.fired.GetBody()) != 1<<20 {
		t.Errorf("got %d and %d bytes", a.status, len(w.schedules.fired.GetBody()))
	}
	if strings.Contains(w.log.String(), "dailies") || !strings.Contains(w.log.String(), "/v1/hooks/{production}/{hook}") {
		t.Error("the log has the path in the place of the route")
	}
}

func TestHooksRefuseWhatIsNoCall(t *testing.T) {
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		path, body string
		change     func(*http.Request)
		status     int
		code       string
	}{
		"no hook":            {"/v1/hooks/red", "", nil, 404, "PATH_UNKNOWN"},
		"no name":            {"/v1/hooks/red/", "", nil, 404, "PATH_UNKNOWN"},
		"too deep":           {"/v1/hooks/red/a/b", "", nil, 404, "PATH_UNKNOWN"},
		"no UTF-8":           {"/v1/hooks/red/%ff", "", nil, 404, "PATH_UNKNOWN"},
		"read":               {"/v1/hooks/red/a", "", func(r *http.Request) { r.Method = http.MethodGet }, 405, "METHOD_UNKNOWN"},
		"no id":              {"/v1/hooks/red/a", "", func(r *http.Request) { r.Header.Del("webhook-id") }, 400, "WEBHOOK_HEADER_MISSING"},
		"two ids":            {"/v1/hooks/red/a", "", func(r *http.Request) { r.Header.Add("webhook-id", "x") }, 400, "WEBHOOK_HEADER_MISSING"},
		"a long id":          {"/v1/hooks/red/a", "", func(r *http.Request) { r.Header.Set("webhook-id", strings.Repeat("x", 129)) }, 400, "INVALID"},
		"no timestamp":       {"/v1/hooks/red/a", "", func(r *http.Request) { r.Header.Del("webhook-timestamp") }, 400, "WEBHOOK_HEADER_MISSING"},
		"no signature":       {"/v1/hooks/red/a", "", func(r *http.Request) { r.Header.Del("webhook-signature") }, 400, "WEBHOOK_HEADER_MISSING"},
		"compressed":         {"/v1/hooks/red/a", "", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, "MEDIA_TYPE_UNKNOWN"},
		"too large":          {"/v1/hooks/red/a", strings.Repeat("x", 1<<20+1), nil, 413, "TOO_LARGE"},
		"too large, chunked": {"/v1/hooks/red/a", strings.Repeat("x", 1<<20+1), func(r *http.Request) { r.ContentLength = -1 }, 413, "TOO_LARGE"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.hook(c.path, c.body, c.change)
			refused(t, a, c.status, c.code)
		})
	}
	if w.schedules.fired != nil {
		t.Errorf("it was called with %v", w.schedules.fired)
	}
	w.schedules.fail = fault.New(fault.NotFound, "HOOK_UNKNOWN", "there is none")
	refused(t, w.hook("/v1/hooks/red/a", "{}", nil), 404, "HOOK_UNKNOWN")
	w.schedules.fail = fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "away")
	a := w.hook("/v1/hooks/red/a", "{}", nil)
	refused(t, a, 503, "STORE_UNAVAILABLE")
	if a.header.Get("Retry-After") == "" {
		t.Error("the sender is not told when to try again")
	}
}

// Who calls webhooks with wrong signatures is told to wait, by address; behind a proxy of ours it is the caller's, not the
// proxy's.
func TestWrongSignaturesAreLimitedByAddress(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var mu sync.Mutex
	w := newWorld(t, func(cfg *gateway.Config, deps *gateway.Deps) {
		cfg.Misses, cfg.Proxies = 3, []string{"127.0.0.0/8"}
		deps.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	})
	from := func(addr string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Forwarded-For", addr) }
	}
	w.schedules.fail = fault.New(fault.NotFound, "HOOK_UNKNOWN", "there is no webhook at this address for which the signature is right")
	for range 3 {
		a := w.hook("/v1/hooks/red/dailies", "{}", from("192.0.2.1"))
		refused(t, a, http.StatusNotFound, "HOOK_UNKNOWN")
	}
	w.schedules.fired, w.schedules.fail = nil, nil
	a := w.hook("/v1/hooks/red/dailies", "{}", from("192.0.2.1"))
	refused(t, a, http.StatusTooManyRequests, "WEBHOOK_MISSES")
	if a.header.Get("Retry-After") != "60" || w.schedules.fired != nil {
		t.Errorf("after three: told to wait %q, and the service heard %v", a.header.Get("Retry-After"), w.schedules.fired)
	}
	// What fails otherwise is no miss, and nobody else waits.
	w.schedules.fail = fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "try again")
	for range 5 {
		a = w.hook("/v1/hooks/red/dailies", "{}", from("192.0.2.2"))
		if a.status != http.StatusServiceUnavailable {
			t.Errorf("somebody else: %d %s", a.status, a.body)
		}
	}
	mu.Lock()
	now = now.Add(time.Minute)
	mu.Unlock()
	w.schedules.fail = nil
	a = w.hook("/v1/hooks/red/dailies", "{}", from("192.0.2.1"))
	if a.status != http.StatusOK {
		t.Errorf("a minute later: %d %s", a.status, a.body)
	}
}
