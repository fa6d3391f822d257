package push_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
)

const (
	project = "films-4711"
	account = "sender@films-4711.iam.gserviceaccount.com"
	bearer  = "ya29.access"
)

// key is the service account's. One serves all tests, since making one takes a while.
var key = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// answer is what the fake says to one request.
type answer struct {
	status int
	header http.Header
	body   string
	hang   bool // says nothing until the caller gives up
	cut    bool // hangs up in the middle
}

// shown is a notification that a device shows or has waiting, by what it is collapsed by.
type shown struct{ title, text, collapse, distribution string }

// fake is Firebase Cloud Messaging and Google's token server. It holds every request to the documented form.
type fake struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	answers map[string][]answer // by device token: what it is answered, one after the other; then well
	token   []answer            // the same for the token server
	sent    []string            // device tokens, as they were asked for
	issued  int
	shown   map[string]map[string]shown // by device, by collapse key
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, answers: map[string][]answer{}, shown: map[string]map[string]shown{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", f.issue)
	mux.HandleFunc("POST /v1/projects/"+project+"/messages:send", f.send)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("nothing is at %s %s", r.Method, r.URL)
		http.NotFound(w, r)
	})
	f.server = httptest.NewServer(mux)
	t.Cleanup(f.server.Close)
	return f
}

// credentials writes the account's key file.
func (f *fake) credentials() string {
	f.t.Helper()
	k, err := key()
	if err != nil {
		f.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		f.t.Fatal(err)
	}
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": project, "client_email": account, "private_key_id": "k1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"token_uri":   f.server.URL + "/token",
	})
	if err != nil {
		f.t.Fatal(err)
	}
	path := filepath.Join(f.t.TempDir(), "credentials.json")
	err = os.WriteFile(path, data, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	return path
}

// issue gives an access token to who signs with the account's key.
func (f *fake) issue(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.issued++
	if len(f.token) > 0 {
		a := f.token[0]
		f.token = f.token[1:]
		f.say(w, r, a)
		return
	}
	err := f.checkAssertion(r)
	if err != nil {
		f.t.Errorf("token request: %v", err)
		f.say(w, r, answer{status: 400, body: `{"error":"invalid_grant"}`})
		return
	}
	f.say(w, r, answer{status: 200, body: `{"access_token":"` + bearer + `","token_type":"Bearer","expires_in":3600}`})
}

func (f *fake) checkAssertion(r *http.Request) error {
	if got := r.PostFormValue("grant_type"); got != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return fmt.Errorf("grant type %q", got)
	}
	parts := strings.Split(r.PostFormValue("assertion"), ".")
	if len(parts) != 3 {
		return fmt.Errorf("an assertion of %d parts", len(parts))
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	k, err := key()
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	err = rsa.VerifyPKCS1v15(&k.PublicKey, crypto.SHA256, sum[:], signature)
	if err != nil {
		return err
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var claims struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	err = json.Unmarshal(raw, &claims)
	if err != nil {
		return err
	}
	if claims.Iss != account || claims.Aud != f.server.URL+"/token" || claims.Scope != "https://www.googleapis.com/auth/firebase.messaging" {
		return fmt.Errorf("claims %+v", claims)
	}
	if claims.Exp-claims.Iat > 3600 || time.Until(time.Unix(claims.Exp, 0)) <= 0 {
		return fmt.Errorf("claims hold from %d to %d", claims.Iat, claims.Exp)
	}
	return nil
}

// message is the request's documented form; a field of any other name is an error.
type message struct {
	Message struct {
		Token        string            `json:"token"`
		Notification map[string]string `json:"notification"`
		Data         map[string]string `json:"data"`
		Android      struct {
			CollapseKey  string            `json:"collapseKey"`
			Notification map[string]string `json:"notification"`
		} `json:"android"`
		Apns struct {
			Headers map[string]string `json:"headers"`
		} `json:"apns"`
	} `json:"message"`
}

func (f *fake) send(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+bearer {
		f.t.Errorf("authorization %q", r.Header.Get("Authorization"))
		f.say(w, r, answer{status: 401, body: `{"error":{"code":401,"status":"UNAUTHENTICATED"}}`})
		return
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
		return
	}
	var m message
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	err = dec.Decode(&m)
	if err != nil {
		f.t.Errorf("request %s: %v", raw, err)
	}
	s := shown{
		title: m.Message.Notification["title"], text: m.Message.Notification["body"],
		collapse: m.Message.Android.CollapseKey, distribution: m.Message.Data["distribution"],
	}
	switch {
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"), len(raw) > 4096:
		f.t.Errorf("a request of %d bytes of %s", len(raw), r.Header.Get("Content-Type"))
	case m.Message.Token == "", s.title == "", len(m.Message.Data) != 1, len(m.Message.Notification) > 2, len(m.Message.Apns.Headers) != 1:
		f.t.Errorf("request %s", raw)
	case s.collapse == "", len(s.collapse) > 64, m.Message.Apns.Headers["apns-collapse-id"] != s.collapse, m.Message.Android.Notification["tag"] != s.collapse:
		f.t.Errorf("it does not collapse everywhere: %s", raw)
	}
	f.mu.Lock()
	f.sent = append(f.sent, m.Message.Token)
	a := answer{status: 200, body: `{"name":"projects/` + project + `/messages/0:1"}`}
	if next := f.answers[m.Message.Token]; len(next) > 0 {
		a, f.answers[m.Message.Token] = next[0], next[1:]
	}
	if a.status == 200 {
		if f.shown[m.Message.Token] == nil {
			f.shown[m.Message.Token] = map[string]shown{}
		}
		f.shown[m.Message.Token][s.collapse] = s
	}
	f.mu.Unlock()
	f.say(w, r, a)
}

func (f *fake) say(w http.ResponseWriter, r *http.Request, a answer) {
	if a.hang {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the caller is gone
		<-r.Context().Done()
		return
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	}
	if a.cut {
		w.Header().Set("Content-Length", "1000")
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body) // the caller may be gone
}

func (f *fake) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.sent))
}

// refuse is an answer of FCM's own, as its reference has it.
func refuse(status int, word, code string, more ...string) answer {
	details := append([]string{`{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"` + code + `"}`}, more...)
	return answer{status: status, body: fmt.Sprintf(`{"error":{"code":%d,"message":"Said in words.","status":%q,"details":[%s]}}`, status, word, strings.Join(details, ","))}
}

// directory is a directory of devices.
type directory struct {
	directoryv1.DirectoryServiceClient
	mu      sync.Mutex
	devices []*directoryv1.Device
	removed []string
	err     error
}

// with returns a directory of one person's devices, named by their tokens.
func with(tokens ...string) *directory {
	d := &directory{}
	for _, token := range tokens {
		d.devices = append(d.devices, &directoryv1.Device{Id: "dev_" + token, Email: "ada@example.com", Platform: "fcm", Token: token})
	}
	return d
}

func (d *directory) ListDevices(_ context.Context, req *directoryv1.ListDevicesRequest, _ ...grpc.CallOption) (*directoryv1.ListDevicesResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	resp := &directoryv1.ListDevicesResponse{}
	for _, device := range d.devices {
		if req.GetProduction() == "default" && strings.EqualFold(device.GetEmail(), req.GetEmail()) {
			resp.Devices = append(resp.Devices, device)
		}
	}
	return resp, nil
}

func (d *directory) RemoveDevice(_ context.Context, req *directoryv1.RemoveDeviceRequest, _ ...grpc.CallOption) (*directoryv1.RemoveDeviceResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removed = append(d.removed, req.GetProduction()+"/"+req.GetDevice())
	d.devices = slices.DeleteFunc(d.devices, func(device *directoryv1.Device) bool { return device.GetId() == req.GetDevice() })
	return &directoryv1.RemoveDeviceResponse{}, nil
}
