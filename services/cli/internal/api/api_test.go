package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

// answers is a transport that plays answers in order, the last for ever, and keeps what was asked.
type answers struct {
	play  []answer
	asked []*http.Request
	at    []time.Time
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error
	hang   bool // no answer comes
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.asked = append(a.asked, r)
	a.at = append(a.at, time.Now())
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	now := a.play[min(len(a.asked), len(a.play))-1]
	if now.hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if now.err != nil {
		return nil, now.err
	}
	rec := httptest.NewRecorder()
	for k, v := range now.header {
		rec.Header()[k] = v
	}
	rec.WriteHeader(now.status)
	_, _ = rec.WriteString(now.body)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func client(t *testing.T, a *answers) *api.Client {
	t.Helper()
	c, err := api.New("http://filigree.test/", "secret", "filigree/test")
	if err != nil {
		t.Fatal(err)
	}
	api.SetTransport(c, a)
	return c
}

var request = &distributionv1.CreateDistributionRequest{Production: "p"}

func TestCreateIsRepeatedUnderOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{play: []answer{
			{err: io.ErrUnexpectedEOF},
			{status: 503, header: http.Header{"Retry-After": {"7"}}, body: `{"error":{"code":"UNAVAILABLE","message":"later"}}`},
			{status: 500, body: `{"error":{"code":"INTERNAL","message":"oops","retryable":true}}`},
			{status: 200, body: `{"id":"D1","items":{"total":4},"news":true}`},
		}}
		d, raw, err := client(t, a).Create(context.Background(), request, "key")
		if err != nil || d.GetId() != "D1" || d.GetItems().GetTotal() != 4 || !strings.Contains(string(raw), "news") {
			t.Fatalf("Create = %v, %s, %v", d, raw, err)
		}
		for i, r := range a.asked {
			if r.Header.Get("Idempotency-Key") != "key" || r.Header.Get("Authorization") != "Bearer secret" {
				t.Errorf("try %d has the header %v", i+1, r.Header)
			}
		}
		if got := a.at[2].Sub(a.at[1]); got < 7*time.Second {
			t.Errorf("repeated after %s, before the server's 7s", got)
		}
	})
}

func TestRepeatsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{play: []answer{{err: io.ErrUnexpectedEOF}}}
		_, _, err := client(t, a).Create(context.Background(), request, "key")
		var gone *api.UnreachableError
		if !errors.As(err, &gone) || len(a.asked) != 7 {
			t.Errorf("Create = %v after %d tries, want an *UnreachableError after 7", err, len(a.asked))
		}
		took := a.at[6].Sub(a.at[0])
		if took < 5*time.Second || took > 30*time.Second {
			t.Errorf("gave up after %s; it should bridge a restart and no more", took)
		}
	})
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	a := &answers{play: []answer{{status: 409, body: `{"error":{"code":"IDEMPOTENCY_CONFLICT","message":"no"}}`}}}
	_, _, err := client(t, a).Create(context.Background(), request, "key")
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Code != "IDEMPOTENCY_CONFLICT" || refused.Status != 409 || len(a.asked) != 1 {
		t.Errorf("Create = %v after %d tries", err, len(a.asked))
	}
}

func TestWhatChangesSomethingWithoutKeyIsNotRepeated(t *testing.T) {
	for name, f := range map[string]func(*api.Client) error{
		"production": func(c *api.Client) error {
			_, _, err := c.CreateProduction(context.Background(), &directoryv1.CreateProductionRequest{Name: "x"})
			return err
		},
		"token": func(c *api.Client) error {
			_, _, err := c.CreateToken(context.Background(), &directoryv1.CreateTokenRequest{})
			return err
		},
		"revoke": func(c *api.Client) error { return c.RevokeToken(context.Background(), "x") },
	} {
		a := &answers{play: []answer{{err: io.ErrUnexpectedEOF}}}
		err := f(client(t, a))
		if err == nil || len(a.asked) != 1 {
			t.Errorf("%s: %v after %d tries", name, err, len(a.asked))
		}
	}
}

func TestStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		a := &answers{play: []answer{{status: 503, header: http.Header{"Retry-After": {"60"}}}}}
		start := time.Now()
		_, _, err := client(t, a).Create(ctx, request, "key")
		if err == nil || time.Since(start) > time.Second {
			t.Errorf("Create = %v after %s", err, time.Since(start))
		}
	})
}

func TestListsAreReadToTheEnd(t *testing.T) {
	a := &answers{play: []answer{
		{status: 200, body: `{"items":[{"id":"1"},{"id":"2"}],"next_page_token":"a b"}`},
		{status: 200, body: `{"items":[{"id":"3","news":1}],"next_page_token":""}`},
	}}
	items, raws, err := client(t, a).Items(context.Background(), "p", "d/../x", "failed")
	if err != nil || len(items) != 3 || string(raws[2]) != `{"id":"3","news":1}` {
		t.Fatalf("Items = %v, %s, %v", items, raws, err)
	}
	for i, want := range []string{
		"/v1/productions/p/distributions/d%2F..%2Fx/items?page_size=1000&state=failed",
		"/v1/productions/p/distributions/d%2F..%2Fx/items?page_size=1000&page_token=a+b&state=failed",
	} {
		if got := a.asked[i].URL.RequestURI(); got != want {
			t.Errorf("page %d is %s, want %s", i+1, got, want)
		}
	}
	a = &answers{play: []answer{{status: 200, body: `{"items":[],"next_page_token":"x"}`}}}
	_, _, err = client(t, a).Items(context.Background(), "p", "d", "")
	if err == nil || len(a.asked) != 2 {
		t.Errorf("a list that never ends = %v after %d pages", err, len(a.asked))
	}
	_, raws, err = client(t, &answers{play: []answer{{status: 200, body: `{}`}}}).Events(context.Background(), "p", "d")
	doc, _ := json.Marshal(raws)
	if err != nil || string(doc) != "[]" {
		t.Errorf("an empty list = %s, %v", doc, err)
	}
}

func TestAnswersOfSomebodyElse(t *testing.T) {
	for _, test := range []struct {
		play answer
		want string
	}{
		{answer{status: 404, body: "<html>"}, "filigree.test answered 404 Not Found, which is not an answer of Filigree: is this its address? (HTTP_404)"},
		{answer{status: 302, header: http.Header{"Location": {"http://elsewhere.test/"}}}, "filigree.test answered 302 Found, which is not an answer of Filigree: is this its address? (HTTP_302)"},
		{answer{status: 200, body: "<html>"}, "the server's answer cannot be read"},
	} {
		a := &answers{play: []answer{test.play}}
		_, _, err := client(t, a).Distribution(context.Background(), "p", "d")
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || len(a.asked) != 1 {
			t.Errorf("Distribution = %v after %d tries, want %s", err, len(a.asked), test.want)
		}
	}
}

// TestUploadRepeatsTheWholeFile breaks the connection in the middle of the bytes, over real sockets.
func TestUploadRepeatsTheWholeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pdf")
	text := strings.Repeat("x", 5<<20)
	err := os.WriteFile(path, []byte(text), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries++
		if tries == 1 {
			_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
			panic(http.ErrAbortHandler)
		}
		data, err := io.ReadAll(r.Body)
		if err != nil || string(data) != text || r.FormValue("name") != "a & b.pdf" {
			t.Errorf("got %d bytes named %q, %v", len(data), r.FormValue("name"), err)
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprint(w, `{"sha256":"ab","size":"5242880","verdict":"ok","pages":3}`)
	}))
	defer s.Close()
	c, err := api.New(s.URL, "secret", "filigree/test")
	if err != nil {
		t.Fatal(err)
	}
	file, err := c.Upload(context.Background(), "p", "a & b.pdf", path, func(r io.Reader) io.Reader { return r })
	if err != nil || file.GetPages() != 3 || file.GetSize() != 5<<20 || tries != 2 {
		t.Errorf("Upload = %v, %v after %d tries", file, err, tries)
	}
	_, err = c.Upload(context.Background(), "p", "gone.pdf", path+"x", func(r io.Reader) io.Reader { return r })
	if !errors.Is(err, os.ErrNotExist) || tries != 2 {
		t.Errorf("Upload of nothing = %v after %d tries", err, tries)
	}
}

// TestCopyStartsAnew breaks the connection in the middle of a copy, over real sockets.
func TestCopyStartsAnew(t *testing.T) {
	tries := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries++
		text := strings.Repeat("y", 1<<20)
		if tries == 1 {
			text = strings.Repeat("x", 2<<20)
			w.Header().Set("Content-Length", "3000000")
		}
		_, _ = io.WriteString(w, text)
		if tries == 1 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer s.Close()
	c, err := api.New(s.URL, "secret", "filigree/test")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "copy"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := c.Copy(t.Context(), "p", "D1", "D1.1.1", f)
	want := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Repeat("y", 1<<20))))
	info, _ := f.Stat()
	if err != nil || got != want || info.Size() != 1<<20 || tries != 2 {
		t.Errorf("Copy = %s, %v after %d tries, %d bytes; want %s", got, err, tries, info.Size(), want)
	}
}
