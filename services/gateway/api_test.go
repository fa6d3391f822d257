package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/filigreehq/filigree/pkg/fault"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	"github.com/filigreehq/filigree/services/gateway"
)

const someFile = `{"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}`

func TestAnswersHaveEveryFieldUnderItsProtoName(t *testing.T) {
	w := newWorld(t, nil)
	a := w.call(http.MethodGet, "/v1/productions/red", coordinator, "")
	var got any
	err := json.Unmarshal([]byte(a.body), &got)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"id": "red", "name": "A film", "created_at": nil, "open_restricted": true}
	if diff := cmp.Diff(want, got); a.status != http.StatusOK || diff != "" {
		t.Errorf("status %d; (-want +got)\n%s", a.status, diff)
	}
}

func TestTheProductionInTheBodyIsNotBelieved(t *testing.T) {
	w := newWorld(t, nil)
	a := w.call(http.MethodPost, "/v1/productions/red/distributions", coordinator,
		`{"production":"blue","title":"T","files":[`+someFile+`],"recipients":[{"name":"Ann","email":"ann@example.com"}]}`)
	if a.status != http.StatusOK || w.distributions.created.GetProduction() != "red" {
		t.Errorf("got %d %s in production %q, want 200 in red", a.status, a.body, w.distributions.created.GetProduction())
	}
	if got := w.distributions.created.GetRecipients()[0].GetEmail(); got != "ann@example.com" {
		t.Errorf("got recipient %q", got)
	}
}

func TestABodyThatIsNotUnderstoodIsRefusedWithThePlace(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct{ name, body, says string }{
		{"an unknown field", `{"title":"x","titel":"y"}`, `line 1, column 14: unknown field "titel"`},
		{"an unknown field deep inside", "{\n \"message\": {\"subjekt\": \"y\"}\n}", `line 2, column 14: unknown field "subjekt"`},
		{"no JSON", `title=x`, `line 1, column 1: `},
		{"half of it", `{"title":`, `is not JSON`},
		{"a wrong type", `{"title":7}`, `line 1, column 10: `},
		{"a list", `[]`, `line 1, column 1: `},
		{"two messages", `{}{}`, `line 1, column 3: `},
		{"bytes that are no text", "{\"title\":\"\xff\"}", `UTF-8`},
		{"a field twice", `{"title":"x","title":"y"}`, `title`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := w.call(http.MethodPost, "/v1/productions/red/distributions", coordinator, c.body)
			message := refused(t, a, http.StatusBadRequest, "INVALID")
			if !strings.Contains(message, c.says) {
				t.Errorf("got %q, want it to say %q", message, c.says)
			}
		})
	}
	message := refused(t, w.call(http.MethodPost, "/v1/productions/red/distributions", coordinator,
		`{"deadline":`+strings.Repeat(" ", 10)+`"`+strings.Repeat("x", 10_000)+`"}`), http.StatusBadRequest, "INVALID")
	if len(message) > 500 {
		t.Errorf("the answer repeats %d bytes of the request", len(message))
	}
}

func TestABodyThatBreaksTheProtosRulesIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	message := refused(t, w.call(http.MethodPost, "/v1/productions/red/distributions", coordinator, `{"mode":"pigeon"}`), http.StatusBadRequest, "INVALID")
	for _, field := range []string{"mode", "files"} {
		if !strings.Contains(message, field) {
			t.Errorf("got %q, want it to name %s", message, field)
		}
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	huge := `{"title":"` + strings.Repeat("x", 4<<20) + `"}`
	path := "/v1/productions/red/distributions"
	a := w.call(http.MethodPost, path, coordinator, huge)
	refused(t, a, http.StatusRequestEntityTooLarge, "TOO_LARGE")
	if strings.Contains(a.body, `"retryable":true`) {
		t.Errorf("got %s, want it not to be retryable", a.body)
	}
	r := w.request(http.MethodPost, path, coordinator, "")
	r.Body, r.ContentLength = readCloser{zeros{}}, -1
	refused(t, w.do(r), http.StatusRequestEntityTooLarge, "TOO_LARGE")
}

type readCloser struct{ zeros }

func (readCloser) Close() error { return nil }

func TestAnEmptyBodyIsAnEmptyMessage(t *testing.T) {
	w := newWorld(t, nil)
	a := w.call(http.MethodPost, "/v1/productions/red/distributions/d1:cancel", coordinator, "")
	if a.status != http.StatusOK || !strings.Contains(a.body, `"cancel_requested":true`) {
		t.Errorf("got %d %s, want the distribution", a.status, a.body)
	}
}

func TestQueryParametersArePassedOnOrRefused(t *testing.T) {
	w := newWorld(t, nil)
	items := "/v1/productions/red/distributions/d1/items"
	a := w.call(http.MethodGet, items+"?state=failed&page_size=7&page_token=next", coordinator, "")
	if a.status != http.StatusOK || !strings.Contains(a.body, `"next_page_token":""`) {
		t.Fatalf("got %d %s, want a page", a.status, a.body)
	}
	if got := w.distributions.listed; got.GetState() != "failed" || got.GetPageSize() != 7 || got.GetPageToken() != "next" {
		t.Errorf("got %v", got)
	}
	for _, query := range []string{
		"stat=failed", "production=blue", "page_size=many", "page_size=1&page_size=2", "state=%zz", "state=%ff", "page_size=1001", "state=lost", "state[x]=1",
	} {
		t.Run(query, func(t *testing.T) {
			refused(t, w.call(http.MethodGet, items+"?"+query, coordinator, ""), http.StatusBadRequest, "INVALID")
		})
	}
	refused(t, w.call(http.MethodPost, "/v1/productions/red/distributions?title=x", coordinator, "{}"), http.StatusBadRequest, "INVALID")
}

// A worker's name has slashes in it.
func TestAWorkerIsNamedByThePath(t *testing.T) {
	control := &drained{}
	w := newWorld(t, func(_ *gateway.Config, deps *gateway.Deps) { deps.Control = control })
	for _, path := range []string{"email@mail-1%2F7%2Fabcd", "email@mail-1/7/abcd"} {
		control.worker = ""
		a := w.call(http.MethodPost, "/v1/workers/"+path+":drain", admin, "")
		if a.status != http.StatusOK || control.worker != "email@mail-1/7/abcd" {
			t.Errorf("%s: got %d %s, and %q was drained", path, a.status, a.body, control.worker)
		}
	}
}

type drained struct {
	controlv1.ControlServiceClient
	worker string
}

func (d *drained) DrainWorker(_ context.Context, req *controlv1.DrainWorkerRequest, _ ...grpc.CallOption) (*controlv1.DrainWorkerResponse, error) {
	d.worker = req.GetWorker()
	return &controlv1.DrainWorkerResponse{Worker: &controlv1.Worker{Name: d.worker}}, nil
}

func TestAddressesThatAreNotThereAreRefusedInTheOneForm(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/v1", 404, "PATH_UNKNOWN", ""},
		{"GET", "/v1/", 404, "PATH_UNKNOWN", ""},
		{"GET", "/v1/production", 404, "PATH_UNKNOWN", ""},
		{"GET", "/v1//productions", 404, "PATH_UNKNOWN", ""},
		{"GET", "/v1/productions/red/../blue", 404, "PATH_UNKNOWN", ""},
		{"GET", "/v2/productions", 404, "PATH_UNKNOWN", ""},
		{"GET", "/index.php", 404, "PATH_UNKNOWN", ""},
		{"GET", "/v1/productions/%ff", 400, "INVALID", ""},
		{"PUT", "/v1/productions", 405, "METHOD_UNKNOWN", "GET, POST"},
		{"DELETE", "/v1/productions/red/files", 405, "METHOD_UNKNOWN", "GET, POST"},
		{"OPTIONS", "/v1/productions/red/distributions/d1:cancel", 405, "METHOD_UNKNOWN", "POST"},
		{"HEAD", "/v1/tokens/t1", 405, "", "DELETE"},
		{"POST", "/openapi.json", 405, "METHOD_UNKNOWN", "GET, HEAD"},
		{"DELETE", "/", 405, "METHOD_UNKNOWN", "GET, HEAD"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			a := w.call(c.method, c.path, admin, "")
			if c.method == http.MethodHead {
				if a.status != c.status {
					t.Errorf("got %d, want %d", a.status, c.status)
				}
			} else {
				refused(t, a, c.status, c.code)
			}
			allow := a.header.Get("Allow")
			if c.allow != "" && !allows(allow, c.allow) {
				t.Errorf("got Allow %q, want %q in it", allow, c.allow)
			}
		})
	}
}

func allows(got, want string) bool {
	for _, method := range strings.Split(want, ", ") {
		if !strings.Contains(got, method) {
			return false
		}
	}
	return true
}

func TestEveryKindOfFailureHasItsStatus(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		err        error
		status     int
		code       string
		retryable  string
		retryAfter string
	}{
		{fault.New(fault.Invalid, "PDF_EMPTY", "m"), 400, "PDF_EMPTY", "false", ""},
		{fault.New(fault.Unauthenticated, "TOKEN_OLD", "m"), 401, "TOKEN_OLD", "false", ""},
		{fault.New(fault.Denied, "ROLE_MISSING", "m"), 403, "ROLE_MISSING", "false", ""},
		{fault.New(fault.NotFound, "FILE_UNKNOWN", "m"), 404, "FILE_UNKNOWN", "false", ""},
		{fault.New(fault.Conflict, "DISTRIBUTION_ENDED", "m"), 409, "DISTRIBUTION_ENDED", "false", ""},
		{fault.New(fault.Exhausted, "TOO_MANY", "m"), 429, "TOO_MANY", "true", ""},
		{&fault.Error{Kind: fault.Exhausted, Reason: "TOO_MANY", Message: "m", RetryAfter: 2500 * time.Millisecond}, 429, "TOO_MANY", "true", "3"},
		{fault.New(fault.Unavailable, "REDIS_DOWN", "m"), 503, "REDIS_DOWN", "true", "1"},
		{&fault.Error{Kind: fault.Unavailable, Reason: "REDIS_DOWN", Message: "m", RetryAfter: time.Minute}, 503, "REDIS_DOWN", "true", "60"},
		{fault.New(fault.Internal, "INTERNAL", "m"), 500, "INTERNAL", "true", ""},
		{fault.New(fault.Invalid, "FILE_TOO_LARGE", "m"), 413, "FILE_TOO_LARGE", "false", ""},
		{fault.New(fault.Invalid, "TOO_LARGE", "m"), 413, "TOO_LARGE", "false", ""},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max"), 413, "TOO_LARGE", "false", ""},
		{status.Error(codes.DataLoss, "disk /dev/sda1 is on fire"), 500, "INTERNAL", "true", ""},
		{http.ErrServerClosed, 500, "INTERNAL", "true", ""},
	} {
		t.Run(c.code+" "+c.err.Error(), func(t *testing.T) {
			w.distributions.answerWith(c.err)
			a := w.call(http.MethodGet, "/v1/productions/red/distributions/d1", coordinator, "")
			message := refused(t, a, c.status, c.code)
			if !strings.Contains(a.body, `"retryable":`+c.retryable) {
				t.Errorf("got %s, want retryable %s", a.body, c.retryable)
			}
			if got := a.header.Get("Retry-After"); got != c.retryAfter {
				t.Errorf("got Retry-After %q, want %q", got, c.retryAfter)
			}
			if strings.Contains(message, "sda1") || strings.Contains(message, "Server closed") {
				t.Errorf("the inside shows: %q", message)
			}
		})
	}
}

func TestAPanicInAServiceIsAFailureLikeOthers(t *testing.T) {
	w := newWorld(t, nil)
	refused(t, w.call(http.MethodGet, "/v1/productions/red/distributions", coordinator, ""), http.StatusInternalServerError, "INTERNAL")
}

func TestAPanicInTheGatewayIsAFailureLikeOthers(t *testing.T) {
	w := newWorld(t, func(_ *gateway.Config, d *gateway.Deps) { d.Directory = brokenDirectory{} })
	a := w.call(http.MethodGet, "/v1/productions/red", coordinator, "")
	refused(t, a, http.StatusInternalServerError, "INTERNAL")
	if log := w.log.String(); !strings.Contains(log, "panic in a request") {
		t.Errorf("the panic is not in the log:\n%s", log)
	}
}

func TestEveryAnswerHasSecurityHeadersAndNoneAllowsOtherOrigins(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{"/", "/nothing", "/healthz", "/readyz", "/openapi.json", "/v1/productions/red", "/v1/productions/none"} {
		r := w.request(http.MethodGet, path, coordinator, "")
		r.Header.Set("Origin", "https://elsewhere.example")
		h := w.do(r).header
		for name, want := range map[string]string{
			"X-Content-Type-Options":      "nosniff",
			"Referrer-Policy":             "no-referrer",
			"Cache-Control":               "no-store",
			"X-Frame-Options":             "DENY",
			"Content-Security-Policy":     "default-src 'none'; frame-ancestors 'none'",
			"Access-Control-Allow-Origin": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: got %s %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestTheLogHasOneLineForARequestAndNothingThatGivesAnybodyAway(t *testing.T) {
	w := newWorld(t, nil)
	w.call(http.MethodGet, "/v1/productions/red/distributions/d1?nonsense=private", coordinator, "")
	w.call(http.MethodPost, "/v1/productions/red/files?name=private.pdf", coordinator, "bytes")
	w.call("INVENTED", "/v1/private/path", coordinator, "")
	w.call(http.MethodGet, "/private", "", "")
	w.client.CloseIdleConnections()
	w.stop()
	err := within(t, w.stopped, "the end")
	if err != nil {
		t.Fatal(err)
	}
	log := w.log.String()
	lines := regexp.MustCompile(`(?m)^.*msg=request .*$`).FindAllString(log, -1)
	if len(lines) != 4 {
		t.Fatalf("got %d lines for 4 requests:\n%s", len(lines), log)
	}
	for i, want := range []string{
		`method=GET route="?/v1/productions/\{production\}/distributions/\{distribution\}"? status=400 code=INVALID took=\S+ request=\S+$`,
		`method=POST route="?/v1/productions/\{production\}/files"? status=201 code="" took=\S+ request=\S+$`,
		`method=other route=none status=404 code=PATH_UNKNOWN`,
		`method=GET route=/ status=404 code=PATH_UNKNOWN`,
	} {
		if !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("got %s, want %s", lines[i], want)
		}
	}
	for _, secret := range []string{"private", coordinator, "d1", "INVENTED"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
}
