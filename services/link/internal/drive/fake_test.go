package drive_test

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// trouble is what a fake does to one request.
type trouble struct {
	status     int
	reason     string
	retryAfter string
	// done: the request is carried out all the same.
	done bool
	// hang: there is no answer at all.
	hang bool
}

// fake is Google Drive, as far as it is used here. Unlike the real one it makes a second permission for a person who has
// one, so that it can be seen that nobody asked for it.
type fake struct {
	t   *testing.T
	url string
	key string // of the service account, in PEM

	// spoil says what goes wrong with the nth request, of one kind ("files.create").
	spoil func(n int, op string) *trouble
	// parent is who may do what in the folder above.
	parent []map[string]any
	// loseShares is how many permissions are made and then lost to another change.
	loseShares int
	// rate is how many requests a second are served, and sharing how many permissions are ever made; 0 is any.
	rate    float64
	sharing int

	mu       sync.Mutex
	n        int
	ops      []string // of all requests
	served   int
	tokens   float64
	filled   time.Time
	ids      map[string]bool
	files    map[string]*file
	removed  map[string]bool
	sessions map[string]*file
	shared   int
	claims   string
	log      []string // what was changed
}

type file struct {
	meta  map[string]any
	data  []byte
	perms []map[string]any
	perm  int
}

func newFake(t *testing.T) *fake {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{
		t: t, key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		ids: map[string]bool{}, files: map[string]*file{}, removed: map[string]bool{}, sessions: map[string]*file{},
	}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

// credentials is the account's file.
func (f *fake) credentials() string {
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "copies@films.example", "private_key": f.key, "private_key_id": "1", "token_uri": f.url + "/token",
	})
	if err != nil {
		f.t.Fatal(err)
	}
	path := filepath.Join(f.t.TempDir(), "account.json")
	err = os.WriteFile(path, data, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	return path
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.URL.Path == "/token" {
		f.token(w, body)
		return
	}
	op, id := f.op(r)
	f.n++
	f.ops = append(f.ops, op)
	if r.Header.Get("Authorization") != "Bearer sesame" {
		fail(w, trouble{status: 401, reason: "authError"})
		return
	}
	if !f.take() {
		fail(w, trouble{status: 403, reason: "userRateLimitExceeded"})
		return
	}
	f.served++
	var bad *trouble
	if f.spoil != nil {
		bad = f.spoil(f.n, op)
	}
	if bad != nil && !bad.done {
		fail(w, *bad)
		return
	}
	answer := httptest.NewRecorder()
	f.do(answer, r, op, id, body)
	switch {
	case bad != nil && bad.hang:
		f.mu.Unlock()
		<-r.Context().Done()
		f.mu.Lock()
	case bad != nil:
		fail(w, *bad)
	default:
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // the client may have gone
	}
}

// take takes a token out of the account's bucket.
func (f *fake) take() bool {
	if f.rate == 0 {
		return true
	}
	now := time.Now()
	if !f.filled.IsZero() {
		f.tokens = min(f.tokens+f.rate*now.Sub(f.filled).Seconds(), max(1, f.rate/10))
	}
	f.filled = now
	if f.tokens < 1 {
		return false
	}
	f.tokens--
	return true
}

func (f *fake) token(w http.ResponseWriter, body []byte) {
	assertion := strings.Split(string(body), "assertion=")
	parts := strings.Split(assertion[len(assertion)-1], ".")
	if len(parts) > 1 {
		claims, _ := base64.RawURLEncoding.DecodeString(parts[1]) // the test looks at it
		f.claims = string(claims)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprint(w, `{"access_token":"sesame","token_type":"Bearer","expires_in":3600}`)
}

func (f *fake) op(r *http.Request) (op, id string) {
	parts := strings.Split(strings.Trim(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/upload"), "/drive/v3/"), "/"), "/")
	verb := map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPatch: "update", http.MethodDelete: "delete"}[r.Method]
	switch {
	case len(parts) == 1:
		return "files." + verb, ""
	case parts[1] == "generateIds":
		return "ids", ""
	case len(parts) == 2 && strings.HasPrefix(r.URL.Path, "/upload/"):
		return "files.chunk", parts[1]
	case len(parts) == 2:
		return "files." + verb, parts[1]
	case len(parts) == 3 && verb == "get":
		return "permissions.list", parts[1]
	case len(parts) == 3:
		return "permissions." + verb, parts[1]
	}
	return "permissions." + verb, parts[1] + "/" + parts[3]
}

func (f *fake) do(w http.ResponseWriter, r *http.Request, op, id string, body []byte) {
	there := f.files[id]
	switch op {
	case "ids":
		count, _ := strconv.Atoi(r.FormValue("count"))
		var ids []string
		for range count {
			id := "id-" + rand.Text()[:12]
			f.ids[id] = true
			ids = append(ids, id)
		}
		reply(w, map[string]any{"ids": ids})
		return
	case "files.create":
		f.create(w, r, body)
		return
	case "files.chunk":
		f.chunk(w, r, id, body)
		return
	case "permissions.delete":
		f.unshare(w, id)
		return
	}
	if there == nil {
		fail(w, trouble{status: 404, reason: "notFound"})
		return
	}
	switch op {
	case "files.get":
		reply(w, there.meta)
	case "files.update":
		var change map[string]any
		_ = json.Unmarshal(body, &change) // the client made it
		maps.Copy(there.meta, change)
		f.log = append(f.log, op+" "+id)
		reply(w, there.meta)
	case "files.delete":
		f.remove(id)
		f.log = append(f.log, op+" "+id)
		w.WriteHeader(http.StatusNoContent)
	case "permissions.list":
		reply(w, map[string]any{"permissions": there.perms})
	case "permissions.create":
		f.share(w, r, id, there, body)
	}
}

func (f *fake) remove(id string) {
	delete(f.files, id)
	f.removed[id] = true
	for child, file := range f.files {
		if parents, ok := file.meta["parents"].([]any); ok && len(parents) == 1 && parents[0] == id {
			f.remove(child)
		}
	}
}

func (f *fake) create(w http.ResponseWriter, r *http.Request, body []byte) {
	made := &file{meta: map[string]any{}}
	meta := body
	kind := r.FormValue("uploadType")
	if kind == "multipart" {
		_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for i := range 2 {
			part, err := parts.NextPart()
			if err != nil {
				fail(w, trouble{status: 400, reason: "badRequest"})
				return
			}
			data, _ := io.ReadAll(part) // it is in memory
			if i == 0 {
				meta = data
			} else {
				made.data = data
			}
		}
	}
	err := json.Unmarshal(meta, &made.meta)
	id, _ := made.meta["id"].(string)
	if err != nil || !f.ids[id] {
		fail(w, trouble{status: 400, reason: "invalid"})
		return
	}
	if f.files[id] != nil || f.removed[id] {
		fail(w, trouble{status: 409, reason: "fileIdInUse"})
		return
	}
	if kind == "resumable" {
		f.sessions[id] = made
		w.Header().Set("Location", f.url+"/upload/drive/v3/files/"+id)
		return
	}
	f.add(w, id, made)
}

func (f *fake) chunk(w http.ResponseWriter, r *http.Request, id string, body []byte) {
	made := f.sessions[id]
	if made == nil {
		fail(w, trouble{status: 404, reason: "notFound"})
		return
	}
	var first, last int
	var total string
	_, err := fmt.Sscanf(strings.ReplaceAll(r.Header.Get("Content-Range"), "/", " "), "bytes %d-%d %s", &first, &last, &total)
	if err != nil || first != len(made.data) {
		fail(w, trouble{status: 400, reason: "badRequest"})
		return
	}
	made.data = append(made.data, body...)
	if total != strconv.Itoa(len(made.data)) {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(made.data)-1))
		w.Header().Set("X-Http-Status-Code-Override", "308") // the client cannot do with a real one
		return
	}
	delete(f.sessions, id)
	f.add(w, id, made)
}

func (f *fake) add(w http.ResponseWriter, id string, made *file) {
	sum := sha256.Sum256(made.data)
	made.meta["sha256Checksum"], made.meta["trashed"] = hex.EncodeToString(sum[:]), false
	if made.meta["mimeType"] == "application/vnd.google-apps.folder" {
		made.meta["webViewLink"] = "https://drive.example/" + id
		delete(made.meta, "sha256Checksum")
	}
	made.perms = append([]map[string]any{{"id": "owner", "type": "user", "role": "owner", "emailAddress": "copies@films.example"}}, f.parent...)
	f.files[id] = made
	f.log = append(f.log, "files.create "+id)
	reply(w, made.meta)
}

func (f *fake) share(w http.ResponseWriter, r *http.Request, id string, there *file, body []byte) {
	var perm map[string]any
	_ = json.Unmarshal(body, &perm) // the client made it
	if r.FormValue("sendNotificationEmail") != "false" {
		f.t.Error("Google would send a mail")
	}
	f.shared++
	if f.sharing > 0 && f.shared > f.sharing {
		fail(w, trouble{status: 403, reason: "sharingRateLimitExceeded"})
		return
	}
	there.perm++
	perm["id"] = "p" + strconv.Itoa(there.perm)
	if f.loseShares > 0 {
		f.loseShares--
	} else {
		there.perms = append(there.perms, perm)
	}
	f.log = append(f.log, "permissions.create "+id)
	reply(w, perm)
}

func (f *fake) unshare(w http.ResponseWriter, id string) {
	id, perm, _ := strings.Cut(id, "/")
	there := f.files[id]
	if there == nil || !slices.ContainsFunc(there.perms, func(p map[string]any) bool { return p["id"] == perm }) {
		fail(w, trouble{status: 404, reason: "notFound"})
		return
	}
	there.perms = slices.DeleteFunc(there.perms, func(p map[string]any) bool { return p["id"] == perm })
	f.log = append(f.log, "permissions.delete "+id)
	w.WriteHeader(http.StatusNoContent)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // to a recorder
}

func fail(w http.ResponseWriter, t trouble) {
	w.Header().Set("Content-Type", "application/json")
	if t.retryAfter != "" {
		w.Header().Set("Retry-After", t.retryAfter)
	}
	w.WriteHeader(t.status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{ // the client may have gone
		"code": t.status, "message": "words of Google's",
		"errors": []map[string]any{{"domain": "global", "reason": cmp.Or(t.reason, "none"), "message": "words of Google's"}},
	}})
}
