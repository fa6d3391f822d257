package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/s3test"
)

// noise is n bytes that nothing else has.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails
	return data
}

// half counts, and removes, what writes left half-done in b.
func half(t *testing.T, b *blob.Bucket) int {
	t.Helper()
	n, err := b.Sweep(t.Context(), "no/such/prefix", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLargeBlobsGoInParts(t *testing.T) {
	t.Parallel()
	b := open(t, s3test.New(t))
	for i, size := range []int{8<<20 - 1, 8 << 20, 8<<20 + 1, 24 << 20} {
		key, data := fmt.Sprintf("big/%d", i), noise(uint64(i), size)
		n, sum, err := b.Create(t.Context(), key, "application/pdf", iotest.OneByteReader(bytes.NewReader(nil)))
		if err != nil || n != 0 || sum != digest(nil) {
			t.Fatalf("empty: got %d %s %v", n, sum, err)
		}
		err = b.Delete(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []error{nil, blob.ErrExists} {
			n, sum, err = b.Create(t.Context(), key, "application/pdf", bytes.NewReader(data))
			if !errors.Is(err, want) || n != int64(size) || sum != digest(data) {
				t.Fatalf("%d bytes: got %d %s %v, want %v", size, n, sum, err, want)
			}
		}
		if !bytes.Equal(read(t, b, key), data) {
			t.Errorf("%d bytes came back changed", size)
		}
	}
	if n := half(t, b); n != 0 {
		t.Errorf("%d uploads were left half-done", n)
	}
}

func TestOfManyWritersInPartsOneWins(t *testing.T) {
	t.Parallel()
	b := open(t, s3test.New(t))
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			_, _, errs[i] = b.Create(t.Context(), "race", "", bytes.NewReader(noise(uint64(i), 9<<20)))
		})
	}
	wg.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			t.Fatalf("writers %d and %d both won", won, i)
		case err == nil:
			won = i
		case !errors.Is(err, blob.ErrExists):
			t.Errorf("writer %d: %v, want ErrExists", i, err)
		}
	}
	if won < 0 || !bytes.Equal(read(t, b, "race"), noise(uint64(won), 9<<20)) {
		t.Errorf("what is there is not what the winner (%d) wrote", won)
	}
	if n := half(t, b); n != 0 {
		t.Errorf("%d uploads were left half-done", n)
	}
}

func TestAWriteInPartsThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	b := open(t, s3test.New(t))
	ctx, cancel := context.WithCancel(t.Context())
	first := bytes.NewReader(noise(1, 9<<20))
	lost := errors.New("the line broke")
	_, _, err := b.Create(ctx, "a/half", "", io.MultiReader(first, iotest.ErrReader(lost)))
	if !errors.Is(err, lost) {
		t.Errorf("got %v, want the reader's error", err)
	}
	first.Reset(noise(1, 9<<20))
	_, _, err = b.Create(ctx, "a/half", "", io.MultiReader(first, cancelling{cancel}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	ok, err := b.Exists(t.Context(), "a/half")
	if err != nil || ok {
		t.Errorf("got %v %v, want nothing under the key", ok, err)
	}
	if n := half(t, b); n != 0 {
		t.Errorf("%d uploads were left half-done", n)
	}
}

func TestWhatACrashLeftHalfWrittenIsSwept(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	b := open(t, server.URL)
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("us-east-1"), config.WithBaseEndpoint(server.Endpoint))
	if err != nil {
		t.Fatal(err)
	}
	raw := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	for _, key := range []string{"tmp/src/a", "art/b"} {
		_, err = raw.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(s3test.Bucket), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
	}
	n, err := b.Sweep(t.Context(), "tmp/src/", time.Now().Add(-time.Hour))
	if err != nil || n != 0 {
		t.Errorf("got %d %v, want that what is under way stays", n, err)
	}
	n, err = b.Sweep(t.Context(), "tmp/src/", time.Now().Add(time.Hour))
	if err != nil || n != 2 {
		t.Errorf("got %d %v, want 2 removed", n, err)
	}
}

func TestTemporariesOfS3AreSweptByAge(t *testing.T) {
	t.Parallel()
	b := open(t, s3test.New(t))
	for _, key := range []string{"tmp/src/old", "src/old"} {
		_, _, err := b.Create(t.Context(), key, "", strings.NewReader(key))
		if err != nil {
			t.Fatal(err)
		}
	}
	for want, before := range []time.Time{time.Now().Add(-time.Hour), time.Now().Add(time.Hour)} {
		n, err := b.Sweep(t.Context(), "tmp/src/", before)
		if err != nil || n != want {
			t.Errorf("written before %s: got %d %v, want %d", before, n, err, want)
		}
	}
	if got := string(read(t, b, "src/old")); got != "src/old" {
		t.Errorf("got %q: what is no temporary was removed", got)
	}
}

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

func TestURLsOfS3ThatAreRefused(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	for url, want := range map[string]string{
		"s3://":                     "does not look like",
		"s3://key:secret@bucket":    "does not look like",
		"s3://bucket/folder":        "does not look like",
		"s3://bucket?colour=green":  "colour",
		"s3://bucket?ssetype=rot13": "rot13",
		strings.Replace(server.URL, s3test.Bucket, "elsewhere", 1): "no bucket elsewhere",
	} {
		b, err := blob.Open(t.Context(), url)
		if err == nil {
			_ = b.Close()
			t.Errorf("%s was opened", url)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", url, err, want)
		}
	}
}
