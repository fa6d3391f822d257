package gateway_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	"github.com/filigreehq/filigree/services/gateway"
)

// brokenDirectory is a directory whose use is a defect.
type brokenDirectory struct {
	directoryv1.DirectoryServiceClient
}

func (brokenDirectory) Authenticate(context.Context, *directoryv1.AuthenticateRequest, ...grpc.CallOption) (*directoryv1.AuthenticateResponse, error) {
	panic("a defect")
}

func TestHealthIsSaidWithoutAToken(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{"/healthz", "/readyz"} {
		a := w.call(http.MethodGet, path, "", "")
		if a.status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", path, a.status, a.body)
		}
	}
	before := w.directory.questions()
	for range 20 {
		w.call(http.MethodGet, "/readyz", "", "")
	}
	if asked := w.directory.questions() - before; asked > 2 {
		t.Errorf("20 questions in a moment were %d for the directory", asked)
	}
}

func TestWithoutAConsoleThePageSaysWhatThisIs(t *testing.T) {
	w := newWorld(t, nil)
	a := w.call(http.MethodGet, "/", "", "")
	if a.status != http.StatusOK || !strings.Contains(a.body, "/openapi.json") || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("got %d %v %s", a.status, a.header, a.body)
	}
}

// methods lists every method in the protos, found through the registry of all of them and not through the gateway's own
// list.
func methods(t *testing.T) []protoreflect.MethodDescriptor {
	t.Helper()
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(f.Package()), "filigree.") {
			return true
		}
		for i := range f.Services().Len() {
			for j := range f.Services().Get(i).Methods().Len() {
				all = append(all, f.Services().Get(i).Methods().Get(j))
			}
		}
		return true
	})
	if len(all) < 60 {
		t.Fatalf("found only %d methods", len(all))
	}
	return all
}

// rule is how a method is called as REST, if it is.
func rule(m protoreflect.MethodDescriptor) (method, path string, ok bool) {
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	for method, path := range map[string]string{"GET": rule.GetGet(), "POST": rule.GetPost(), "PUT": rule.GetPut(), "PATCH": rule.GetPatch(), "DELETE": rule.GetDelete()} {
		if path != "" {
			return method, path, true
		}
	}
	return "", "", false
}

// declared lists "METHOD /path" for every HTTP rule in the protos, and for what has none.
func declared(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, m := range methods(t) {
		method, path, ok := rule(m)
		if ok {
			all = append(all, method+" "+strings.ReplaceAll(path, "=**}", "}"))
		}
	}
	const distribution = "GET /v1/productions/{production}/distributions/{distribution}"
	return append(all, "POST /v1/session", "GET /v1/session", "DELETE /v1/session", "GET /v1/session/ways", "GET /v1/session/oidc", "GET /v1/session/oidc/callback",
		"POST /v1/hooks/{production}/{hook}", "POST /v1/productions/{production}/files", "GET /v1/productions/{production}/files/{file}/preview",
		distribution+"/watch", distribution+"/report.csv", distribution+"/items/{item}/copy", distribution+"/items/{item}/thumbnail")
}

func TestTheDocumentIsOpenAPI3AndListsWhatIsServed(t *testing.T) {
	w := newWorld(t, nil)
	a := w.call(http.MethodGet, "/openapi.json", "", "")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %v", a.status, a.header)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(a.body))
	if err != nil {
		t.Fatal(err)
	}
	err = doc.Validate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") || doc.Components.SecuritySchemes["token"].Value.Scheme != "bearer" || len(doc.Security) == 0 {
		t.Errorf("got OpenAPI %s, security %v", doc.OpenAPI, doc.Security)
	}
	want := map[string]bool{}
	for _, d := range declared(t) {
		want[d] = true
	}
	got := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			got[method+" "+path] = true
			if op.Responses.Default() == nil || op.Responses.Default().Ref != "#/components/responses/Failure" {
				t.Errorf("%s %s does not say what a failure looks like", method, path)
			}
			inPath := strings.Count(path, "{")
			for _, p := range op.Parameters {
				if p.Value.In == "path" {
					inPath--
				}
			}
			if inPath != 0 {
				t.Errorf("%s %s has %d path parameters too few", method, path, inPath)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-declared +documented)\n%s", diff)
	}
}

func TestEveryDeclaredRouteIsServed(t *testing.T) {
	w := newWorld(t, nil)
	variable := regexp.MustCompile(`\{[^}]+\}`)
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, d := range declared(t) {
		method, path, _ := strings.Cut(d, " ")
		a := w.call(method, variable.ReplaceAllString(path, "x"), admin, "")
		if a.status == http.StatusMethodNotAllowed || strings.Contains(a.body, "PATH_UNKNOWN") {
			t.Errorf("%s is not served: %d %s", d, a.status, a.body)
		}
	}
}

func TestServeLetsRequestsUnderWayEnd(t *testing.T) {
	w := newWorld(t, nil)
	w.distributions.entered, w.distributions.leave = make(chan struct{}), make(chan struct{})
	answered := make(chan answer, 1)
	r := w.request(http.MethodGet, "/v1/productions/red/distributions/d1", coordinator, "")
	go func() { answered <- w.do(r) }()
	within(t, w.distributions.entered, "the call")
	w.stop()
	// It takes nobody new as soon as it has noticed.
	until := time.Now().Add(20 * time.Second)
	for {
		conn, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(w.url + "/healthz")
		if err != nil {
			break
		}
		_ = conn.Body.Close()
		if time.Now().After(until) {
			t.Fatal("it still takes connections")
		}
	}
	select {
	case err := <-w.stopped:
		t.Fatalf("Serve returned %v before the request under way had ended", err)
	default:
	}
	close(w.distributions.leave)
	a := within(t, answered, "the answer")
	if a.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", a.status, a.body)
	}
	err := within(t, w.stopped, "the end")
	if err != nil {
		t.Errorf("got %v, want nil after a clean stop", err)
	}
}

func TestServeCutsWhatDoesNotEnd(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config, _ *gateway.Deps) { c.DrainTimeout = 50 * time.Millisecond })
	w.distributions.entered, w.distributions.leave = make(chan struct{}), make(chan struct{})
	defer close(w.distributions.leave)
	r := w.request(http.MethodGet, "/v1/productions/red/distributions/d1", coordinator, "")
	cut := make(chan error, 1)
	go func() {
		resp, err := w.client.Do(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		cut <- err
	}()
	within(t, w.distributions.entered, "the call")
	w.stop()
	err := within(t, w.stopped, "the end")
	if err == nil {
		t.Error("got nil, want to be told that a request was cut")
	}
	err = within(t, cut, "the client's error")
	if err == nil {
		t.Error("the client was answered")
	}
}

func TestTheFlagsDefaultsAreTheDefaults(t *testing.T) {
	var got gateway.Config
	parser, err := kong.New(&got)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(gateway.DefaultConfig(), got); diff != "" {
		t.Errorf("(-DefaultConfig +flags)\n%s", diff)
	}
	err = got.Validate()
	if err != nil {
		t.Error(err)
	}
}

func TestValidateFindsEverythingThatIsWrong(t *testing.T) {
	err := gateway.Config{Addr: "nowhere", TokenCache: time.Hour}.Validate()
	if err == nil {
		t.Fatal("got nil")
	}
	for _, flag := range []string{"addr", "max-upload", "max-body", "read-header-timeout", "stall-timeout", "write-timeout", "idle-timeout", "call-timeout", "drain-timeout", "token-cache"} {
		if !strings.Contains(err.Error(), flag+" ") {
			t.Errorf("%s is not in: %v", flag, err)
		}
	}
	_, err = gateway.New(gateway.DefaultConfig(), gateway.Deps{})
	if err == nil || strings.Count(err.Error(), "\n") != 9 {
		t.Errorf("got %v, want every dependency that is missing", err)
	}
}
