package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/gateway"
)

const uploads = "/v1/productions/red/files"

func document(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func (w *world) stored(a answer, name string, want []byte) {
	w.t.Helper()
	if a.status != http.StatusCreated {
		w.t.Fatalf("got %d %s, want 201", a.status, a.body)
	}
	err := within(w.t, w.files.ended, "the upload's end")
	if err != nil {
		w.t.Fatalf("the upload ended with %v", err)
	}
	w.files.mu.Lock()
	defer w.files.mu.Unlock()
	if w.files.name != name || !bytes.Equal(w.files.data, want) {
		w.t.Errorf("stored %q of %d bytes, want %q of %d bytes", w.files.name, len(w.files.data), name, len(want))
	}
	if w.files.largest > 256<<10 {
		w.t.Errorf("a message held %d bytes", w.files.largest)
	}
	var file struct{ Sha256, Name, Size, Verdict string }
	err = json.Unmarshal([]byte(a.body), &file)
	if err != nil || file.Name != name || file.Size != fmt.Sprint(len(want)) || file.Verdict != "unknown" {
		w.t.Errorf("got %s (%v), want the file", a.body, err)
	}
	if got, want := a.header.Get("Location"), uploads+"/"+file.Sha256; got != want {
		w.t.Errorf("got Location %q, want %q", got, want)
	}
}

func TestARawBodyIsStored(t *testing.T) {
	w := newWorld(t, nil)
	for _, size := range []int{0, 1, 256 << 10, 256<<10 + 1, 3_000_000} {
		data := document(size)
		for _, kind := range []string{"application/pdf", "image/png", "IMAGE/JPEG", "model/of-tomorrow", "application/octet-stream", ""} {
			r := w.request(http.MethodPost, uploads+"?name=The%20script.pdf", coordinator, string(data))
			r.Header.Set("Content-Type", kind)
			w.stored(w.do(r), "The script.pdf", data)
		}
	}
}

func TestABodyOfUnknownLengthIsStored(t *testing.T) {
	w := newWorld(t, nil)
	data := document(700_000)
	r := w.request(http.MethodPost, uploads+"?name=s.pdf", coordinator, "")
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), -1
	w.stored(w.do(r), "s.pdf", data)
}

func TestTheNameMayComeFromContentDisposition(t *testing.T) {
	w := newWorld(t, nil)
	for header, want := range map[string]string{
		`attachment; filename="script.pdf"`:             "script.pdf",
		`attachment; filename*=UTF-8''caf%C3%A9.pdf`:    "café.pdf",
		`attachment; filename="C:\\Users\\me\\s.pdf"`:   "s.pdf",
		`attachment; filename="../../etc/passwd"`:       "passwd",
		`attachment; filename="a.pdf"; something=other`: "a.pdf",
	} {
		r := w.request(http.MethodPost, uploads, coordinator, "bytes")
		r.Header.Set("Content-Disposition", header)
		w.stored(w.do(r), want, []byte("bytes"))
	}
}

func form(t *testing.T, parts ...[3]string) (body, contentType string) {
	t.Helper()
	var buf bytes.Buffer
	m := multipart.NewWriter(&buf)
	for _, p := range parts {
		h := textproto.MIMEHeader{}
		disposition := fmt.Sprintf(`form-data; name=%q`, p[0])
		if p[1] != "" {
			disposition += fmt.Sprintf(`; filename=%q`, p[1])
		}
		h.Set("Content-Disposition", disposition)
		part, err := m.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(part, p[2]) // a buffer takes everything
	}
	err := m.Close()
	if err != nil {
		t.Fatal(err)
	}
	return buf.String(), m.FormDataContentType()
}

func (w *world) form(path string, parts ...[3]string) answer {
	w.t.Helper()
	body, kind := form(w.t, parts...)
	r := w.request(http.MethodPost, path, coordinator, body)
	r.Header.Set("Content-Type", kind)
	return w.do(r)
}

func TestAFormWithOneFileIsStored(t *testing.T) {
	w := newWorld(t, nil)
	data := document(600_000)
	w.stored(w.form(uploads, [3]string{"file", "script.pdf", string(data)}), "script.pdf", data)
	w.stored(w.form(uploads+"?name=other.pdf", [3]string{"file", "script.pdf", string(data)}), "other.pdf", data)
}

func TestAFormOfAnotherShapeIsRefusedAndNothingStored(t *testing.T) {
	w := newWorld(t, nil)
	file := [3]string{"file", "script.pdf", "bytes"}
	refused(t, w.form(uploads), http.StatusBadRequest, "INVALID")
	refused(t, w.form(uploads, [3]string{"document", "script.pdf", "bytes"}), http.StatusBadRequest, "INVALID")
	refused(t, w.form(uploads, [3]string{"file", "", "bytes"}), http.StatusBadRequest, "NAME_MISSING")
	refused(t, w.form(uploads, file, file), http.StatusBadRequest, "INVALID")
	if within(t, w.files.ended, "the upload's end") == nil {
		t.Error("a form with two files was stored")
	}
	body, kind := form(t, file)
	r := w.request(http.MethodPost, uploads, coordinator, body[:len(body)-20]) // ends within the last boundary
	r.Header.Set("Content-Type", kind)
	refused(t, w.do(r), http.StatusBadRequest, "REQUEST_CUT")
	if within(t, w.files.ended, "the upload's end") == nil {
		t.Error("half a form was stored")
	}
	r = w.request(http.MethodPost, uploads, coordinator, body)
	r.Header.Set("Content-Type", "multipart/form-data")
	refused(t, w.do(r), http.StatusBadRequest, "INVALID")
}

func TestAnUploadThatSaysTooLittleIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		path, kind string
		status     int
		code       string
	}{
		{"", "application/pdf", 400, "NAME_MISSING"},
		{"?name=", "application/pdf", 400, "NAME_MISSING"},
		{"?name=a%00b.pdf", "application/pdf", 400, "NAME_INVALID"},
		{"?name=a%0d%0ab.pdf", "application/pdf", 400, "NAME_INVALID"},
		{"?name=%ff.pdf", "application/pdf", 400, "NAME_INVALID"},
		{"?name=" + strings.Repeat("n", 256), "application/pdf", 400, "NAME_INVALID"},
		{"?nam=a.pdf", "application/pdf", 400, "INVALID"},
		{"?name=a.pdf&name=b.pdf", "application/pdf", 400, "INVALID"},
		{"?name=a.pdf", "application/x-www-form-urlencoded", 415, "MEDIA_TYPE_UNKNOWN"},
		{"?name=a.pdf", "multipart/mixed; boundary=b", 415, "MEDIA_TYPE_UNKNOWN"},
		{"?name=a.pdf", "what is this;;", 415, "MEDIA_TYPE_UNKNOWN"},
	} {
		r := w.request(http.MethodPost, uploads+c.path, coordinator, "bytes")
		r.Header.Set("Content-Type", c.kind)
		t.Run(c.path+" "+c.kind, func(t *testing.T) { refused(t, w.do(r), c.status, c.code) })
	}
	r := w.request(http.MethodPost, uploads+"?name=a.pdf", coordinator, "bytes")
	r.Header.Set("Content-Encoding", "gzip")
	refused(t, w.do(r), 415, "MEDIA_TYPE_UNKNOWN")
}

func TestAFileThatIsTooLargeIsRefusedAsSoonAsItIsKnown(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config, _ *gateway.Deps) { c.MaxUpload = 1 << 20 })
	exact := document(1 << 20)
	w.stored(w.call(http.MethodPost, uploads+"?name=a.pdf", coordinator, string(exact)), "a.pdf", exact)
	w.stored(w.form(uploads, [3]string{"file", "a.pdf", string(exact)}), "a.pdf", exact)

	t.Run("by its announced length", func(t *testing.T) {
		conn := w.dial(t)
		_, _ = fmt.Fprintf(conn, "POST %s?name=a.pdf HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1048577\r\n\r\n", uploads, coordinator)
		refused(t, readAnswer(t, conn), http.StatusRequestEntityTooLarge, "FILE_TOO_LARGE") // without a byte of body
	})
	for name, send := range map[string]func() *http.Request{
		"raw, without a length": func() *http.Request {
			return w.request(http.MethodPost, uploads+"?name=a.pdf", coordinator, "")
		},
		"as a form, without a length": func() *http.Request {
			r := w.request(http.MethodPost, uploads, coordinator, "")
			r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := send()
			endless := io.Reader(zeros{})
			if r.Header.Get("Content-Type") != "" {
				endless = io.MultiReader(strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n"), endless)
			}
			r.Body, r.ContentLength = io.NopCloser(endless), -1
			refused(t, w.do(r), http.StatusRequestEntityTooLarge, "FILE_TOO_LARGE")
			if within(t, w.files.ended, "the upload's end") == nil {
				t.Error("it was stored")
			}
		})
	}
	t.Run("as a form, by one byte", func(t *testing.T) {
		refused(t, w.form(uploads, [3]string{"file", "a.pdf", string(exact) + "x"}), http.StatusRequestEntityTooLarge, "FILE_TOO_LARGE")
		if within(t, w.files.ended, "the upload's end") == nil {
			t.Error("it was stored")
		}
	})
	t.Run("by the file service", func(t *testing.T) {
		w.files.limit = 300_000
		r := w.request(http.MethodPost, uploads+"?name=a.pdf", coordinator, string(exact))
		refused(t, w.do(r), http.StatusRequestEntityTooLarge, "FILE_TOO_LARGE")
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (w *world) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	err = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func readAnswer(t *testing.T, conn net.Conn) answer {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func TestAStalledUploadIsLetGo(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config, _ *gateway.Deps) { c.StallTimeout = 100 * time.Millisecond })
	conn := w.dial(t)
	_, _ = fmt.Fprintf(conn, "POST %s?name=a.pdf HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\nhalf", uploads, coordinator)
	a := readAnswer(t, conn)
	refused(t, a, http.StatusRequestTimeout, "REQUEST_STALLED")
	if within(t, w.files.ended, "the upload's end") == nil {
		t.Error("half a file was stored")
	}
}

func TestAStalledJSONBodyIsLetGo(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config, _ *gateway.Deps) { c.StallTimeout = 100 * time.Millisecond })
	conn := w.dial(t)
	_, _ = fmt.Fprintf(conn, "POST /v1/productions/red/distributions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\n{", coordinator)
	refused(t, readAnswer(t, conn), http.StatusRequestTimeout, "REQUEST_STALLED")
}

func TestTricklingDoesNotHoldAnUploadOpen(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config, _ *gateway.Deps) { c.StallTimeout = 300 * time.Millisecond })
	conn := w.dial(t)
	_, _ = fmt.Fprintf(conn, "POST %s?name=a.pdf HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100000\r\n\r\n", uploads, coordinator)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			_, err := conn.Write([]byte("x"))
			if err != nil {
				return
			}
		}
	}()
	refused(t, readAnswer(t, conn), http.StatusRequestTimeout, "REQUEST_STALLED")
	_ = conn.Close()
	within(t, done, "the client's end")
}

func TestAnAbortedUploadEndsTheStream(t *testing.T) {
	w := newWorld(t, nil)
	conn := w.dial(t)
	_, err := fmt.Fprintf(conn, "POST %s?name=a.pdf HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000000\r\n\r\n%s",
		uploads, coordinator, document(600_000)) // two pieces are under way
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close() // the test is what happens then
	if within(t, w.files.ended, "the upload's end") == nil {
		t.Error("an aborted upload was stored")
	}
}

func TestAFileServiceThatStopsTakingIsNotWaitedFor(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config, _ *gateway.Deps) { c.CallTimeout = 200 * time.Millisecond })
	w.files.mu.Lock() // Upload waits for it after the header
	defer w.files.mu.Unlock()
	a := w.call(http.MethodPost, uploads+"?name=a.pdf", coordinator, string(document(3_000_000)))
	refused(t, a, http.StatusServiceUnavailable, "TIMEOUT")
}

func TestAnUploadThatIsCutIsNotStored(t *testing.T) {
	w := newWorld(t, nil)
	for name, request := range map[string]string{
		"by length": "Content-Length: 1000\r\n\r\nhalf",
		"in chunks": "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := w.dial(t)
			_, _ = fmt.Fprintf(conn, "POST %s?name=a.pdf HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s", uploads, coordinator, request)
			tcp, ok := conn.(*net.TCPConn)
			if !ok {
				t.Fatal("no TCP connection")
			}
			err := tcp.CloseWrite()
			if err != nil {
				t.Fatal(err)
			}
			refused(t, readAnswer(t, conn), http.StatusBadRequest, "REQUEST_CUT")
			if within(t, w.files.ended, "the upload's end") == nil {
				t.Error("half a file was stored")
			}
		})
	}
}

func TestAnUploadTwiceOverOneConnectionIsTwoUploads(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config, _ *gateway.Deps) { c.StallTimeout = 200 * time.Millisecond })
	conn := w.dial(t)
	for range 3 {
		_, _ = fmt.Fprintf(conn, "POST %s?name=a.pdf HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 4\r\n\r\nfour", uploads, coordinator)
		w.stored(readAnswer(t, conn), "a.pdf", []byte("four"))
	}
}
