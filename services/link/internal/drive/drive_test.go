package drive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/link/internal/drive"
)

type world struct {
	*fake
	blobs  *blob.Bucket
	client *drive.Client
}

func newWorld(t *testing.T, change ...func(*drive.Config)) world {
	t.Helper()
	blobs, err := blob.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	w := world{fake: newFake(t), blobs: blobs}
	w.client = w.another(change...)
	return w
}

// another is a second process's client of the same Drive.
func (w world) another(change ...func(*drive.Config)) *drive.Client {
	w.t.Helper()
	cfg := drive.Config{
		Credentials: w.credentials(), Endpoint: w.url + "/drive/v3/",
		Timeout: 5 * time.Second, UploadTimeout: 5 * time.Second, Patience: 2 * time.Second, Backoff: 5 * time.Millisecond,
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := drive.New(w.t.Context(), cfg, w.blobs)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// folder is what one person is to get; nothing of it is in Drive yet.
func (w world) folder(email string, sizes ...int) drive.Folder {
	w.t.Helper()
	ids, err := w.client.IDs(w.t.Context(), "default", 1+len(sizes))
	if err != nil {
		w.t.Fatal(err)
	}
	f := drive.Folder{Production: "default", ID: ids[0], Name: "Scripts for " + email, Email: email}
	for i, size := range sizes {
		data := bytes.Repeat([]byte(email), size/len(email)+1)[:size]
		sum := sha256.Sum256(data)
		key := "art/default/" + ids[1+i]
		_, _, err = w.blobs.Create(w.t.Context(), key, "application/pdf", bytes.NewReader(data))
		if err != nil {
			w.t.Fatal(err)
		}
		f.Files = append(f.Files, drive.File{
			ID: ids[1+i], Name: fmt.Sprintf("Script %d.pdf", i), Key: key, SHA256: hex.EncodeToString(sum[:]), Size: int64(size), MediaType: "application/pdf",
		})
	}
	return f
}

// counts says how often each thing was done to f.
func (w world) counts(f drive.Folder) map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := []string{f.ID}
	for _, file := range f.Files {
		ids = append(ids, file.ID)
	}
	got := map[string]int{}
	for _, line := range w.log {
		op, id, _ := strings.Cut(line, " ")
		if slices.Contains(ids, id) {
			got[op]++
		}
	}
	return got
}

// check says what is wrong with f as it lies in Drive.
func (w world) check(f drive.Folder) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	folder := w.files[f.ID]
	if folder == nil {
		return errors.New("there is no folder")
	}
	var readers []any
	for _, p := range folder.perms {
		if p["role"] == "owner" || p["permissionDetails"] != nil {
			continue
		}
		if p["type"] != "user" || p["role"] != "reader" {
			return fmt.Errorf("permission %v", p)
		}
		readers = append(readers, p["emailAddress"])
	}
	if len(readers) != 1 || readers[0] != f.Email {
		return fmt.Errorf("%v may read it", readers)
	}
	for _, file := range f.Files {
		there := w.files[file.ID]
		switch {
		case there == nil:
			return fmt.Errorf("%s is not there", file.Name)
		case there.meta["sha256Checksum"] != file.SHA256:
			return fmt.Errorf("%s has other bytes", file.Name)
		case there.meta["copyRequiresWriterPermission"] != true:
			return fmt.Errorf("%s can be downloaded", file.Name)
		case fmt.Sprint(there.meta["parents"]) != "["+f.ID+"]" || len(there.perms) != 1+len(w.parent):
			return fmt.Errorf("%s lies in %v, permissions %v", file.Name, there.meta["parents"], there.perms)
		}
	}
	return nil
}

func TestOnePersonMayReadTheirCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *drive.Config) { c.Parent, c.Subject = "above", "office@films.example" })
	w.parent = []map[string]any{{"id": "o", "type": "user", "role": "organizer", "emailAddress": "office@films.example", "permissionDetails": []any{map[string]any{"inherited": true}}}}
	f := w.folder("ada@example.com", 0, 1000, 20<<20)
	url, err := w.client.Put(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if url != "https://drive.example/"+f.ID {
		t.Errorf("address %s", url)
	}
	err = w.check(f)
	if err != nil {
		t.Error(err)
	}
	if fmt.Sprint(w.files[f.ID].meta["parents"]) != "[above]" || w.files[f.ID].meta["name"] != f.Name {
		t.Errorf("folder %v", w.files[f.ID].meta)
	}
	if shared := slices.Index(w.ops, "permissions.create"); shared < slices.Index(w.ops, "permissions.list") || slices.Contains(w.ops[shared:], "files.create") {
		t.Errorf("nobody may be let in before all is there and it was looked up who may see it: %q", w.ops)
	}
	if !strings.Contains(w.claims, `"scope":"https://www.googleapis.com/auth/drive.file"`) || !strings.Contains(w.claims, `"sub":"office@films.example"`) {
		t.Errorf("asked for %s", w.claims)
	}
}

func TestRepeatingMakesNothingTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.folder("ada@example.com", 1000, 2000)
	var urls []string
	for range 3 {
		url, err := w.another().Put(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		urls = append(urls, url)
	}
	diff := cmp.Diff(map[string]int{"files.create": 3, "permissions.create": 1}, w.counts(f))
	if diff != "" || urls[0] != urls[2] {
		t.Errorf("%v %s", urls, diff)
	}
	// A crash may come anywhere: from each point on, another process goes on.
	for after := 1; after < 12; after++ {
		f := w.folder("bob@example.com", 1000, 2000)
		ctx, cancel := context.WithCancelCause(t.Context())
		w.mu.Lock()
		start := w.n
		w.spoil = func(n int, _ string) *trouble {
			if n == start+after {
				cancel(errors.New("crash"))
				return &trouble{done: true, hang: true}
			}
			return nil
		}
		w.mu.Unlock()
		_, _ = w.client.Put(ctx, f) // it crashes
		w.mu.Lock()
		w.spoil = nil
		w.mu.Unlock()
		_, err := w.another().Put(t.Context(), f)
		if err == nil {
			err = w.check(f)
		}
		if err != nil {
			t.Errorf("after request %d: %v", after, err)
		}
		diff := cmp.Diff(map[string]int{"files.create": 3, "permissions.create": 1}, w.counts(f))
		if diff != "" {
			t.Errorf("after request %d: %s", after, diff)
		}
	}
}

func TestAPermissionThatIsLostIsGivenAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loseShares = 2
	f := w.folder("ada@example.com", 10)
	_, err := w.client.Put(t.Context(), f)
	if err == nil {
		err = w.check(f)
	}
	if err != nil {
		t.Error(err)
	}
	w.loseShares = 100
	_, err = w.client.Put(t.Context(), w.fresh(f))
	if got := fault.From(err); got == nil || got.Reason != "DRIVE_SHARING_LOST" || !got.Transient() {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsLeftWhereOthersMayRead(t *testing.T) {
	t.Parallel()
	inherited := []any{map[string]any{"inherited": true}}
	for name, p := range map[string]map[string]any{
		"anyone":                  {"id": "x", "type": "anyone", "role": "reader", "permissionDetails": inherited},
		"a domain":                {"id": "x", "type": "domain", "role": "reader", "domain": "example.com", "permissionDetails": inherited},
		"another reader":          {"id": "x", "type": "user", "role": "reader", "emailAddress": "eve@example.com", "permissionDetails": inherited},
		"a group":                 {"id": "x", "type": "group", "role": "commenter", "emailAddress": "all@example.com", "permissionDetails": inherited},
		"a writer of this":        {"id": "x", "type": "user", "role": "writer", "emailAddress": "eve@example.com"},
		"the person, as a writer": {"id": "x", "type": "user", "role": "writer", "emailAddress": "ada@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			f := w.folder("ada@example.com", 10)
			w.parent = []map[string]any{p}
			_, err := w.client.Put(t.Context(), f)
			if got := fault.From(err); got == nil || got.Reason != "DRIVE_SHARED_WIDER" || got.Transient() {
				t.Errorf("got %v", err)
			}
			if len(w.files) != 0 {
				t.Errorf("%d files were left", len(w.files))
			}
		})
	}
}

func TestWhatHappenedToACopyIsNoticed(t *testing.T) {
	t.Parallel()
	for code, spoil := range map[string]func(world, drive.Folder){
		"DRIVE_TRASHED":   func(w world, f drive.Folder) { w.files[f.Files[1].ID].meta["trashed"] = true },
		"DRIVE_MOVED":     func(w world, f drive.Folder) { w.files[f.Files[1].ID].meta["parents"] = []any{"elsewhere"} },
		"DRIVE_DIFFERENT": func(w world, f drive.Folder) { w.files[f.Files[1].ID].meta["sha256Checksum"] = "0" },
		"DRIVE_GONE":      func(w world, f drive.Folder) { w.remove(f.Files[1].ID) },
		"":                func(w world, f drive.Folder) { w.files[f.Files[1].ID].meta["copyRequiresWriterPermission"] = false },
	} {
		t.Run("then "+code, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			f := w.folder("ada@example.com", 10, 20)
			_, err := w.client.Put(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			spoil(w, f)
			_, err = w.client.Put(t.Context(), f)
			if code == "" {
				if err == nil {
					err = w.check(f)
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
			if got := fault.From(err); got == nil || got.Reason != code || got.Transient() {
				t.Errorf("got %v, want %s", err, code)
			}
		})
	}
}

func TestAnotherPersonsCopyDoesNotGoOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.folder("ada@example.com", 10)
	f.Files[0].SHA256 = strings.Repeat("0", 64)
	_, err := w.client.Put(t.Context(), f)
	if got := fault.From(err); got == nil || got.Reason != "DRIVE_COPY_DAMAGED" {
		t.Errorf("got %v", err)
	}
	f.Files[0].Key = "art/nowhere"
	_, err = w.client.Put(t.Context(), f)
	if got := fault.From(err); got == nil || got.Reason != "DRIVE_COPY_MISSING" || !got.Transient() {
		t.Errorf("got %v", err)
	}
	if w.files[f.Files[0].ID] != nil || slices.Contains(w.ops, "permissions.create") {
		t.Error("something was uploaded, or shared")
	}
}

func TestRevokeTakesAccessFirstThenRemoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.folder("ada@example.com", 10, 20)
	_, err := w.client.Put(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	made := len(w.log)
	ids := []string{f.ID, f.Files[0].ID, f.Files[1].ID}
	for range 2 {
		err = w.client.Revoke(t.Context(), "default", ids)
		if err != nil {
			t.Fatal(err)
		}
	}
	diff := cmp.Diff([]string{"permissions.delete " + f.ID, "files.delete " + ids[2], "files.delete " + ids[1], "files.delete " + f.ID}, w.log[made:])
	if diff != "" || len(w.files) != 0 {
		t.Errorf("%d left %s", len(w.files), diff)
	}
	err = w.client.Revoke(t.Context(), "default", []string{"never-made"})
	if err != nil {
		t.Error(err)
	}
	_, err = w.client.Put(t.Context(), f)
	if got := fault.From(err); got == nil || got.Reason != "DRIVE_GONE" {
		t.Errorf("after it was revoked: got %v, want DRIVE_GONE", err)
	}
}

func TestWhatMayNotBeRemovedIsPutIntoTheBin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.folder("ada@example.com", 10)
	_, err := w.client.Put(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	w.spoil = func(_ int, op string) *trouble {
		if op == "files.delete" {
			return &trouble{status: 403, reason: "insufficientFilePermissions"}
		}
		return nil
	}
	err = w.client.Revoke(t.Context(), "default", []string{f.ID, f.Files[0].ID})
	if err != nil {
		t.Fatal(err)
	}
	if w.files[f.ID].meta["trashed"] != true || w.files[f.Files[0].ID].meta["trashed"] != true || len(w.files[f.ID].perms) != 1 {
		t.Errorf("folder %v %v", w.files[f.ID].meta, w.files[f.ID].perms)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	err := drive.Config{Endpoint: "drive", Attempts: -1, Timeout: -1}.Validate()
	for _, word := range []string{"credentials:", "endpoint:", "attempts:", "timeout:"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not told: %v", word, err)
		}
	}
	_, err = drive.New(t.Context(), drive.Config{Credentials: "/nonexistent.json"}, nil)
	if err == nil || !strings.Contains(err.Error(), "credentials:") {
		t.Errorf("got %v", err)
	}
}
