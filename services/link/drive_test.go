package link_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/fault"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	"github.com/filigreehq/filigree/services/link"
)

// fakeDrive keeps what was put, as Drive does: an id once used stays.
type fakeDrive struct {
	mu      sync.Mutex
	next    int
	folders map[string]link.DriveFolder
	shared  map[string]string // folder id to who may read it
	// fail is returned by the next Put, after it did its work.
	fail error
	// during runs in the middle of Put.
	during func()
}

func (d *fakeDrive) IDs(_ context.Context, _ string, n int) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for range n {
		d.next++
		ids = append(ids, fmt.Sprintf("id%d", d.next))
	}
	return ids, nil
}

func (d *fakeDrive) Put(_ context.Context, f link.DriveFolder) (string, error) {
	if d.during != nil {
		d.during()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.folders[f.ID] = f
	d.shared[f.ID] = f.Email
	err := d.fail
	d.fail = nil
	return "https://drive.example/" + f.ID, err
}

func (d *fakeDrive) Revoke(_ context.Context, _ string, ids []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		delete(d.shared, id)
	}
	return nil
}

func newDriveWorld(t *testing.T) (*world, *fakeDrive) {
	d := &fakeDrive{folders: map[string]link.DriveFolder{}, shared: map[string]string{}}
	return newWorld(t, func(_ *link.Config, deps *link.Deps) { deps.Drive = d }), d
}

func driveRequest(w *world) *linkv1.CreateRequest {
	req := w.request(1, []byte("x"))
	req.Mode = "drive"
	return req
}

func TestDrive(t *testing.T) {
	t.Parallel()
	w, d := newDriveWorld(t)
	req := driveRequest(w)
	// The first answer is lost after the work was done; the repeat makes nothing twice.
	d.fail = fault.New(fault.Unavailable, "DRIVE_SILENT", "Drive did not answer")
	_, err := w.a.Create(t.Context(), req)
	if !fault.Transient(err) {
		t.Fatalf("got %v, want the fault of Drive", err)
	}
	urls, err := w.a.Urls(t.Context(), &linkv1.UrlsRequest{Production: "default", Links: []string{"d1.r1"}})
	if err != nil || len(urls.GetUrls()) != 0 {
		t.Errorf("got %v %v, want no address before all is there", urls, err)
	}
	w.create(req)
	doc := req.GetDocuments()[0]
	want := map[string]link.DriveFolder{"id1": {
		Production: "default", ID: "id1", Name: "Call sheet, day 12", Email: "anna1@example.com",
		Files: []link.DriveFile{{ID: "id2", Name: doc.GetName(), Key: doc.GetKey(), SHA256: doc.GetSha256(), Size: 1, MediaType: "application/pdf"}},
	}}
	if diff := cmp.Diff(want, d.folders); diff != "" {
		t.Errorf("Drive holds (-want +got):\n%s", diff)
	}
	if got := w.path("d1.r1"); got != "/id1" {
		t.Errorf("got address %s, want Drive's", got)
	}
	// Made again with one more document, what is there keeps its ids.
	req.Documents = append(req.Documents, w.document("Second.pdf", "art/default/second", []byte("y")))
	w.create(req)
	if files := d.folders["id1"].Files; len(d.folders) != 1 || len(files) != 2 || files[0].ID != "id2" {
		t.Errorf("got %v", d.folders)
	}
	if n := w.revoke(); n != 1 || len(d.shared) != 0 {
		t.Errorf("revoked %d, and %v is still shared", n, d.shared)
	}
	if got := w.state("d1.r1").GetAccess(); got != "revoked" {
		t.Errorf("got %s", got)
	}
}

// A link that is revoked while its copies go into Drive is not shared in the end.
func TestRevokedWhileGoingIntoDrive(t *testing.T) {
	t.Parallel()
	for _, links := range [][]string{{"d1.r1"}, nil} {
		w, d := newDriveWorld(t)
		req := driveRequest(w)
		d.during = func() { w.revoke(links...) }
		_, err := w.a.Create(t.Context(), req)
		wantFault(t, err, "LINK_REVOKED")
		if len(d.shared) != 0 {
			t.Errorf("%v is shared", d.shared)
		}
		// A crash right after Put would have left it shared; the repeat mends that.
		d.shared["id1"] = "anna1@example.com"
		d.during = nil
		_, err = w.a.Create(t.Context(), req)
		wantFault(t, err, "LINK_REVOKED")
		if len(d.shared) != 0 {
			t.Errorf("%v is shared after the repeat", d.shared)
		}
	}
}

func TestWithoutDrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	_, err := w.a.Create(t.Context(), driveRequest(w))
	wantFault(t, err, "LINK_DRIVE_UNAVAILABLE")
	if w.state("d1.r1").GetAccess() != "" {
		t.Error("something was made all the same")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if err := link.DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	err := link.Config{
		Addr: "nowhere", URL: "https://copies.example.com/sub?x=1", Lifetime: 1, Session: -1, Misses: -1, Check: 60_000_000_000, Stall: -1,
		Proxies: []string{"10.0.0.1"},
	}.Validate()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 8 {
		t.Errorf("got %v, want 8 complaints", err)
	}
	_, err = link.New(link.Config{}, link.Deps{})
	if err == nil {
		t.Error("a server without anything was made")
	}
	var none *fault.Error
	if errors.As(err, &none) {
		t.Error("a start-up error is a fault")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Script.pdf":                 "Script.pdf",
		"../../etc/passwd":           "-..-etc-passwd",
		"a\r\nSet-Cookie: x=1.pdf":   "a Set-Cookie: x=1.pdf",
		"\u202egnp.exe.pdf":          "gnp.exe.pdf",
		" .hidden":                   "hidden",
		"\x00\x1b[31m":               "[31m",
		"":                           "document",
		"C:\\Users\\x.pdf":           "C:-Users-x.pdf",
		"Drehbuch – Größe \"5\".pdf": "Drehbuch – Größe \"5\".pdf",
	} {
		if got := link.FileName(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	got := link.Disposition("attachment", `Größe "5"; x=100%.pdf`)
	want := `attachment; filename="Gr__e _5_; x=100_.pdf"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%225%22%3B%20x%3D100%25.pdf`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// Browsers show whatever cannot run anything here; the rest is a download.
func TestTypesThatAreShown(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{
		"application/pdf": true, "image/png": true, "image/jpeg": true, "image/avif": true, "video/mp4": true,
		"image/svg+xml": false, "text/html": false, "application/xhtml+xml": false, "": false, "application/octet-stream": false, "imagery/x": false,
		"IMAGE/SVG+XML": false, "image/png; charset=x": true, "nonsense": false,
	} {
		if got := link.Shown(link.MediaType(kind)); got != want {
			t.Errorf("%q is shown: %t, want %t", kind, got, want)
		}
	}
}

func FuzzDisposition(f *testing.F) {
	for _, s := range []string{"a.pdf", "ä\".pdf", "\r\n", "\xff", "%41"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d := link.Disposition("inline", link.FileName(name))
		if slices.ContainsFunc([]byte(d), func(c byte) bool { return c < ' ' || c > '~' }) {
			t.Errorf("%q makes the header %q", name, d)
		}
	})
}
