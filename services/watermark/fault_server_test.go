package watermark_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/s3test"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/watermark"
)

// faultyStore is an S3 server behind a proxy that does to requests what it is told.
type faultyStore struct {
	bench
	server *s3test.Server
	// meddle answers a request itself and returns true, or has it passed on.
	meddle atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

func newFaultyStore(t *testing.T) *faultyStore {
	t.Helper()
	f := &faultyStore{server: s3test.Start(t)}
	target, err := url.Parse(f.server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		meddle := f.meddle.Load()
		if meddle == nil || !(*meddle)(w, r) {
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	f.blobs, err = blob.Open(t.Context(), s3test.URL(front.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.blobs.Close() })
	f.keys = newKeys(t)
	return f
}

func (f *faultyStore) set(meddle func(http.ResponseWriter, *http.Request) bool) {
	if meddle == nil {
		f.meddle.Store(nil)
		return
	}
	f.meddle.Store(&meddle)
}

// refuse has requests of a method for keys under prefix fail for good, so that nobody waits for the client to give up.
func refuse(method, prefix string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if (method != "" && r.Method != method) || !strings.HasPrefix(r.URL.Path, "/"+s3test.Bucket+"/"+prefix) {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body) // as a server does that refuses afterwards
		http.Error(w, "no", http.StatusForbidden)
		return true
	}
}

func wantTransient(t *testing.T, err error, reasons ...string) {
	t.Helper()
	f := fault.From(err)
	for _, reason := range reasons {
		if f != nil && f.Reason == reason && f.Transient() {
			return
		}
	}
	t.Errorf("got %v, want it to be tried again as one of %v", err, reasons)
}

func TestReplicasShareTemplatesInABucket(t *testing.T) {
	f := newFaultyStore(t)
	one, two := f.replica(t), f.replica(t)
	file := f.upload(t, pages(2, "", "").bytes())
	a := stamped(t, one, order(file, "i"))
	first := string(f.fetch(t, a))
	f.drop(t, a.GetKey())
	if second := string(f.fetch(t, stamped(t, two, order(file, "i")))); first != second || two.reads() != 0 {
		t.Errorf("the second replica read the source %d times; same bytes: %t", two.reads(), first == second)
	}
}

// Whatever the store does not do, the task is tried again, nothing lies about half-written, and then it succeeds.
func TestAStoreThatFails(t *testing.T) {
	f := newFaultyStore(t)
	for i, c := range []struct{ name, method, prefix string }{
		{"no source to be seen", http.MethodHead, "src/"},
		{"no source to be had", http.MethodGet, "src/"},
		{"no template to be read", http.MethodGet, "tpl/"},
		{"no template to be written", http.MethodPut, "tpl/"},
		{"no copy to be written", http.MethodPut, "art/"},
		{"nothing at all", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := f.upload(t, pages(2+i, "", "").bytes())
			r := f.replica(t)
			f.set(refuse(c.method, c.prefix))
			_, err := r.Stamp(t.Context(), order(file, "i"))
			f.set(nil)
			wantTransient(t, err, "STORE_UNAVAILABLE")
			if keys := f.list(t, "art/"); len(keys) != 0 {
				t.Errorf("stored are %q", keys)
			}
			if c.prefix == "tpl/" && len(f.list(t, "tpl/"+file.GetSha256()+"/")) != 0 {
				t.Error("a template is stored")
			}
			a := stamped(t, r, order(file, "i"))
			f.fetch(t, a)
			f.drop(t, a.GetKey())
		})
	}
}

// A file that goes while it is asked for is missing then and there, not for the others that have it, nor for ever.
func TestAFileThatGoesMeanwhile(t *testing.T) {
	f := newFaultyStore(t)
	data := pages(2, "", "").bytes()
	file := f.upload(t, data)
	f.in(t, "other", data)
	r := f.replica(t)
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/"+s3test.Bucket+"/src/"+production+"/") {
			return false
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>") // or the client sees less
		return true
	})
	_, err := r.Stamp(t.Context(), order(file, "i"))
	wantFault(t, err, "FILE_MISSING")
	req := order(file, "i")
	req.Production = "other"
	stamped(t, r, req)
	f.set(nil)
	stamped(t, r, order(file, "i"))
}

// The bucket's server dies, and comes back.
func TestAStoreThatIsDown(t *testing.T) {
	f := newFaultyStore(t)
	file := f.upload(t, pages(2, "", "").bytes())
	r := f.replica(t)
	f.server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := r.Stamp(ctx, order(file, "i"))
	wantTransient(t, err, "STORE_UNAVAILABLE", "TIMEOUT")
	f.server.Restart()
	f.fetch(t, stamped(t, r, order(file, "i")))
}

// A store that takes its time holds a call up as long as the caller wants to wait.
func TestASlowStore(t *testing.T) {
	f := newFaultyStore(t)
	file := f.upload(t, pages(2, "", "").bytes())
	r := f.replica(t)
	_, err := r.Prepare(t.Context(), &watermarkv1.PrepareRequest{Production: production, File: file})
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"src/", "art/"} {
		f.set(func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/"+s3test.Bucket+"/"+prefix) {
				_, _ = io.Copy(io.Discard, r.Body) // or the connection's end would not be seen
				<-r.Context().Done()
				panic(http.ErrAbortHandler)
			}
			return false
		})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		started := time.Now()
		_, err = r.Stamp(ctx, order(file, "i"))
		cancel()
		wantTransient(t, err, "STORE_UNAVAILABLE", "TIMEOUT")
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("%s: given up after %s", prefix, took)
		}
		f.set(nil)
	}
	if keys := f.list(t, "art/"); len(keys) != 0 {
		t.Errorf("stored are %q", keys)
	}
	f.fetch(t, stamped(t, r, order(file, "i")))
}

func TestNoRoomForTemporaryFiles(t *testing.T) {
	b := newBench(t)
	file := b.upload(t, pages(40, "", "").bytes())
	t.Run("no folder", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "temp")
		makeDir := func() {
			err := os.Mkdir(dir, 0o700)
			if err != nil {
				t.Fatal(err)
			}
		}
		makeDir()
		r := b.replica(t, func(c *watermark.Config) { c.TempDir = dir })
		err := os.Remove(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Stamp(t.Context(), order(file, "i"))
		wantTransient(t, err, "STORE_UNAVAILABLE", "DISK_UNAVAILABLE")
		makeDir()
		b.fetch(t, stamped(t, r, order(file, "i")))
	})
	// From too small for the source to just too small for the documents that are looked at.
	for _, c := range []struct {
		name  string
		share float64
		data  []byte
	}{
		{"less than the source", 0.5, pages(60, "", "").bytes()},
		{"the source, and not the template", 1.5, pages(61, "", "").bytes()},
		{"the source, and not what is made of it by repair", 1.5, displaced(pages(62, "", "").bytes())},
		{"less than what is looked at", 3, pages(63, "", "").bytes()},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := small(t, int(c.share*float64(len(c.data)))&^4095)
			file := b.upload(t, c.data)
			r := b.replica(t, func(c *watermark.Config) { c.TempDir = dir })
			_, err := r.Stamp(t.Context(), order(file, "i"))
			wantTransient(t, err, "STORE_UNAVAILABLE", "DISK_UNAVAILABLE")
			left, err := os.ReadDir(dir)
			if err != nil || len(left) > 0 {
				t.Errorf("left are %v, %v", left, err)
			}
			err = syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m")
			if err != nil {
				t.Fatal(err)
			}
			b.fetch(t, stamped(t, r, order(file, "i")))
		})
	}
}

// small is a folder with room for so many bytes.
func small(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if err != nil {
		t.Skipf("no small file system: %v", err)
	}
	t.Cleanup(func() {
		err := syscall.Unmount(dir, 0)
		if err != nil {
			t.Error(err)
		}
	})
	return dir
}
