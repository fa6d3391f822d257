package blob_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	_ "gocloud.dev/blob/memblob"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/s3test"
)

// kinds are the stores that every promise is held against: a folder of ours, a real S3 server, and what is gocloud's alone.
func kinds(t *testing.T, test func(t *testing.T, b *blob.Bucket)) {
	t.Helper()
	for scheme, url := range map[string]func(t *testing.T) string{
		"mem":  func(*testing.T) string { return "mem://" },
		"file": func(t *testing.T) string { return "file://" + filepath.Join(t.TempDir(), "deep", "down") },
		"s3":   func(t *testing.T) string { return s3test.New(t) },
	} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, url(t)))
		})
	}
}

func open(t *testing.T, url string) *blob.Bucket {
	t.Helper()
	b, err := blob.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func read(t *testing.T, b *blob.Bucket, key string) []byte {
	t.Helper()
	r, err := b.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// files lists all files below dir, temporary ones included.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path) // path is below dir
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestWhatWasWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, b *blob.Bucket) {
		for _, data := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("page "), 1<<18)} {
			key := "src/default/" + digest(data)
			size, sum, err := b.Create(t.Context(), key, "application/pdf", bytes.NewReader(data))
			if err != nil || size != int64(len(data)) || sum != digest(data) {
				t.Fatalf("got %d %s %v, want %d %s", size, sum, err, len(data), digest(data))
			}
			if !bytes.Equal(read(t, b, key), data) {
				t.Errorf("%d bytes came back changed", len(data))
			}
			f, err := b.Fetch(t.Context(), key, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			fetched, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(fetched, data) {
				t.Errorf("fetched %d bytes, %v; want %d", len(fetched), err, len(data))
			}
			_ = f.Close()
		}
	})
}

func TestAKeyIsWrittenOnce(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, b *blob.Bucket) {
		_, _, err := b.Create(t.Context(), "a/b", "", strings.NewReader("first"))
		if err != nil {
			t.Fatal(err)
		}
		second := bytes.Repeat([]byte("second"), 1<<17)
		size, sum, err := b.Create(t.Context(), "a/b", "", bytes.NewReader(second))
		if !errors.Is(err, blob.ErrExists) {
			t.Fatalf("got %v, want ErrExists", err)
		}
		if size != int64(len(second)) || sum != digest(second) {
			t.Errorf("got %d %s, want those of what was sent: %d %s", size, sum, len(second), digest(second))
		}
		if got := string(read(t, b, "a/b")); got != "first" {
			t.Errorf("got %.10q, want what was there", got)
		}
	})
}

func TestOfManyWritersOneWins(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, b *blob.Bucket) {
		for round := range 20 {
			key := fmt.Sprintf("race/%d", round)
			const writers = 20
			contents := make([][]byte, writers)
			errs := make([]error, writers)
			start := make(chan struct{})
			var wg sync.WaitGroup
			for i := range writers {
				contents[i] = make([]byte, 40_000)
				_, _ = rand.Read(contents[i]) // never fails (crypto/rand)
				wg.Go(func() {
					<-start
					_, _, errs[i] = b.Create(t.Context(), key, "", bytes.NewReader(contents[i]))
				})
			}
			close(start)
			wg.Wait()
			won := -1
			for i, err := range errs {
				switch {
				case err == nil && won >= 0:
					t.Fatalf("writers %d and %d both won", won, i)
				case err == nil:
					won = i
				case !errors.Is(err, blob.ErrExists):
					t.Fatalf("writer %d: %v, want ErrExists", i, err)
				}
			}
			if won < 0 {
				t.Fatal("nobody won")
			}
			if !bytes.Equal(read(t, b, key), contents[won]) {
				t.Fatal("what is there is not what the winner wrote")
			}
		}
	})
}

func TestAWriteThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, b *blob.Bucket) {
		broken := errors.New("the line broke")
		r := io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), iotest.ErrReader(broken))
		_, _, err := b.Create(t.Context(), "a/half", "", r)
		if !errors.Is(err, broken) || errors.Is(err, blob.ErrExists) {
			t.Fatalf("got %v, want the reader's error", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, _, err = b.Create(ctx, "a/half", "", io.MultiReader(strings.NewReader("x"), cancelling{cancel}))
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want that it was cancelled", err)
		}
		ok, err := b.Exists(t.Context(), "a/half")
		if err != nil || ok {
			t.Errorf("got %v %v, want nothing under the key", ok, err)
		}
		_, err = b.Read(t.Context(), "a/half")
		if !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

// cancelling is a reader at whose end the caller has gone.
type cancelling struct{ cancel func() }

func (c cancelling) Read([]byte) (int, error) {
	c.cancel()
	return 0, io.EOF
}

func TestAFolderKeepsNoLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, dir)
	for range 2 {
		_, _, _ = b.Create(t.Context(), "a/b", "", strings.NewReader("x")) // the second is ErrExists
	}
	_, _, err := b.Create(t.Context(), "a/c", "", iotest.ErrReader(io.ErrUnexpectedEOF))
	if err == nil {
		t.Fatal("a broken write succeeded")
	}
	got := files(t, dir)
	if len(got) != 1 || got[0] != filepath.Join("a", "b") {
		t.Errorf("got %q, want a/b alone", got)
	}
	info, err := os.Stat(filepath.Join(dir, "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %o, want 600: documents are confidential", info.Mode().Perm())
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, b *blob.Bucket) {
		_, _, err := b.Create(t.Context(), "tmp/x", "", strings.NewReader("data"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a repeat changes nothing
			err = b.Copy(t.Context(), "src/p/x", "tmp/x")
			if err != nil {
				t.Fatal(err)
			}
		}
		err = b.Delete(t.Context(), "tmp/x")
		if err != nil {
			t.Fatal(err)
		}
		err = b.Copy(t.Context(), "src/p/x", "tmp/x")
		if err != nil {
			t.Errorf("a repeat after the source was removed: %v", err)
		}
		if got := string(read(t, b, "src/p/x")); got != "data" {
			t.Errorf("got %q", got)
		}
		err = b.Copy(t.Context(), "src/p/y", "tmp/x")
		if !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		_, _, err = b.Create(t.Context(), "tmp/z", "", strings.NewReader("other"))
		if err != nil {
			t.Fatal(err)
		}
		err = b.Copy(t.Context(), "src/p/x", "tmp/z")
		if err != nil || string(read(t, b, "src/p/x")) != "data" {
			t.Errorf("copying onto what is there changed it, or failed: %v", err)
		}
	})
}

func TestDeletingWhatIsNotThereIsNoError(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, b *blob.Bucket) {
		err := b.Delete(t.Context(), "no/such/key")
		if err != nil {
			t.Error(err)
		}
	})
}

func TestSweepRemovesOldTemporariesOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, dir)
	for _, key := range []string{"tmp/src/p/old", "tmp/src/p/new", "src/p/old"} {
		_, _, err := b.Create(t.Context(), key, "", strings.NewReader(key))
		if err != nil {
			t.Fatal(err)
		}
	}
	// As a crash leaves it.
	half := filepath.Join(dir, ".half", "crashed")
	err := os.WriteFile(half, []byte("ha"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, path := range []string{"tmp/src/p/old", "src/p/old", ".half/crashed"} {
		err := os.Chtimes(filepath.Join(dir, path), now.Add(-2*time.Hour), now.Add(-2*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
	}
	removed, err := b.Sweep(t.Context(), "tmp/src/", now.Add(-time.Hour))
	if err != nil || removed != 2 {
		t.Errorf("got %d %v, want 2 removed", removed, err)
	}
	got := strings.Join(files(t, dir), " ")
	if want := "src/p/old tmp/src/p/new"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSweepingNothingIsNoError(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, b *blob.Bucket) {
		removed, err := b.Sweep(t.Context(), "tmp/src/", time.Now())
		if err != nil || removed != 0 {
			t.Errorf("got %d %v", removed, err)
		}
	})
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, b *blob.Bucket) {
		for _, key := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", ".half/x", "a/.b", "a b", "a\x00b", `a\b`, "ä"} {
			_, _, err := b.Create(t.Context(), key, "", strings.NewReader("x"))
			if err == nil {
				t.Errorf("key %q was taken", key)
			}
		}
	})
}

func BenchmarkCreateInAFolder(b *testing.B) {
	bucket, err := blob.Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 200<<10)
	b.SetBytes(int64(len(data)))
	for i := 0; b.Loop(); i++ {
		_, _, err := bucket.Create(b.Context(), fmt.Sprintf("art/p/%d", i), "", bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
	}
}

func TestList(t *testing.T) {
	kinds(t, func(t *testing.T, b *blob.Bucket) {
		for _, key := range []string{"art/red/0a1", "art/red/0a2", "art/red/0b", "art/blue/0a1", "src/red/0a1"} {
			_, _, err := b.Create(t.Context(), key, "", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
		}
		for prefix, want := range map[string][]string{
			"art/":       {"art/blue/", "art/red/"},
			"art/red/0a": {"art/red/0a1", "art/red/0a2"},
			"art/green/": nil,
		} {
			got, err := b.List(t.Context(), prefix)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: got %q, %v, want %q", prefix, got, err, want)
			}
		}
	})
}
