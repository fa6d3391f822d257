package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
