package blob_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/s3test"
)

func TestWritesAreConditionalAndHashed(t *testing.T) {
	t.Parallel()
	p := newProxy(t, s3test.Start(t).Endpoint, func(*http.Request) fault { return none })
	b := open(t, s3test.URL(p.URL))
	for key, data := range map[string][]byte{"small": noise(1, 1000), "large": noise(2, 9<<20)} {
		_, _, err := b.Create(t.Context(), key, "", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
	}
	err := b.Copy(t.Context(), "copy", "small")
	if err != nil {
		t.Fatal(err)
	}
	conditional, hashed, copied := 0, 0, 0
	for _, r := range p.requests {
		if r.Header.Get("If-None-Match") == "*" {
			conditional++
		}
		if r.Header.Get("X-Amz-Checksum-Sha256") != "" {
			hashed++
		}
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			copied++
		}
	}
	// The small one, the end of the large one and the copy; the small one and two parts.
	if conditional != 3 || hashed != 3 || copied != 1 {
		t.Errorf("got %d conditional, %d hashed, %d copied, want 3, 3 and 1", conditional, hashed, copied)
	}
}

func TestTheWriterWhoseReplyWasLostHasWon(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	lost := map[string]bool{}
	p := newProxy(t, s3test.Start(t).Endpoint, func(r *http.Request) fault {
		mu.Lock()
		defer mu.Unlock()
		once := r.Method + r.URL.String()
		if r.Header.Get("If-None-Match") == "" || lost[once] {
			return none
		}
		lost[once] = true
		return lostReply
	})
	b := open(t, s3test.URL(p.URL))
	for key, data := range map[string][]byte{"small": noise(1, 1000), "large": noise(2, 9<<20)} {
		_, _, err := b.Create(t.Context(), key, "", bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v, want that it was written", key, err)
		}
		_, _, err = b.Create(t.Context(), key, "", strings.NewReader("other"))
		if !errors.Is(err, blob.ErrExists) {
			t.Errorf("%s: %v, want ErrExists", key, err)
		}
		if !bytes.Equal(read(t, b, key), data) {
			t.Errorf("%s is not what was written", key)
		}
	}
	err := b.Copy(t.Context(), "copy", "small")
	if err != nil {
		t.Error(err)
	}
	if p.faults[lostReply] < 3 {
		t.Errorf("only %d replies were lost", p.faults[lostReply])
	}
}

func TestAnAnswerThatClaimsToBeAllIsNotBelieved(t *testing.T) {
	t.Parallel()
	p := newProxy(t, s3test.Start(t).Endpoint, func(r *http.Request) fault {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/key") {
			return shortened
		}
		return none
	})
	b := open(t, s3test.URL(p.URL))
	_, _, err := b.Create(t.Context(), "key", "", bytes.NewReader(noise(1, 1000)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := b.Fetch(t.Context(), "key", t.TempDir())
	if err == nil {
		_ = f.Close()
		t.Error("half a blob was fetched without an error")
	}
}

func TestAReadGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	breaks := 3
	p := newProxy(t, s3test.Start(t).Endpoint, func(r *http.Request) fault {
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/key") || breaks == 0 {
			return none
		}
		breaks--
		return truncated
	})
	b := open(t, s3test.URL(p.URL))
	data := noise(1, 1<<20)
	_, _, err := b.Create(t.Context(), "key", "", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, b, "key"), data) || p.faults[truncated] != 3 {
		t.Errorf("other bytes came, after %d breaks", p.faults[truncated])
	}
	mu.Lock()
	breaks = 100 // it is no use to go on for ever
	mu.Unlock()
	_, err = b.Fetch(t.Context(), "key", t.TempDir())
	if err == nil {
		t.Error("half a blob was fetched without an error")
	}
}

// Every write and every read through a network that spoils one request in three ends right, and nobody ever sees half.
func TestFaultsOfTheNetwork(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	p := newProxy(t, server.Endpoint, seeded(7))
	var b *blob.Bucket
	for b == nil { // Open asks the server, too
		b, _ = blob.Open(t.Context(), s3test.URL(p.URL))
	}
	t.Cleanup(func() { _ = b.Close() })
	direct := open(t, server.URL)

	const blobs = 60
	data := func(i int) []byte {
		if i%20 == 0 {
			return noise(uint64(i), 17<<20)
		}
		return noise(uint64(i), 20_000+i*1000)
	}
	key := func(i int) string { return fmt.Sprintf("art/p/%d", i) }
	written := make(chan struct{})
	var watch, work sync.WaitGroup
	watch.Go(func() {
		for i := 0; ; i = (i + 1) % blobs {
			select {
			case <-written:
				return
			default:
			}
			r, err := direct.Read(t.Context(), key(i))
			if errors.Is(err, blob.ErrNotFound) {
				continue
			}
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(r)
			_ = r.Close() // it was read to its end
			if err != nil || !bytes.Equal(got, data(i)) {
				t.Errorf("%s was seen with %d bytes of %d: %v", key(i), len(got), len(data(i)), err)
				return
			}
		}
	})
	tasks := make(chan int)
	for range 12 {
		work.Go(func() {
			for i := range tasks {
				err := persist(t, func() error {
					n, sum, err := b.Create(t.Context(), key(i), "application/pdf", bytes.NewReader(data(i)))
					if (err == nil || errors.Is(err, blob.ErrExists)) && (n != int64(len(data(i))) || sum != digest(data(i))) {
						t.Errorf("%s: size and digest are wrong", key(i))
					}
					return err
				})
				if err == nil {
					err = persist(t, func() error { return b.Copy(t.Context(), "copy/"+key(i), key(i)) })
				}
				if err == nil {
					err = persist(t, func() error { return same(t, b, "copy/"+key(i), data(i)) })
				}
				if err != nil {
					t.Errorf("%s: %v", key(i), err)
				}
			}
		})
	}
	for i := range blobs {
		tasks <- i
	}
	close(tasks)
	work.Wait()
	close(written)
	watch.Wait()
	for i := range blobs {
		if !bytes.Equal(read(t, direct, key(i)), data(i)) {
			t.Errorf("%s is not what was written", key(i))
		}
	}
	t.Logf("%d requests: %d refused, %d reset, %d replies lost, %d truncated", len(p.requests), p.faults[refused], p.faults[brokenOff], p.faults[lostReply], p.faults[truncated])
	if len(p.requests) < 4*blobs || p.faults[none] == len(p.requests) {
		t.Errorf("%d requests, faults %v: that was no test", len(p.requests), p.faults)
	}
}

// persist tries as a task does, until it is done or was done before.
func persist(t *testing.T, try func() error) error {
	t.Helper()
	var err error
	for range 4 {
		err = try()
		if err == nil || errors.Is(err, blob.ErrExists) {
			return nil
		}
	}
	return err
}

func same(t *testing.T, b *blob.Bucket, key string, want []byte) error {
	t.Helper()
	f, err := b.Fetch(t.Context(), key, t.TempDir())
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("got %d other bytes, want %d", len(got), len(want))
		t.Error(err)
	}
	return err
}
