package directory_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
)

func TestUpload(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig())
	for name, test := range map[string]func(*testing.T, *rig){
		"a document is stored whole":                    uploadWhole,
		"the same bytes are one file":                   uploadAgain,
		"the same bytes twenty times at once":           uploadAtOnce,
		"another production has a copy of its own":      uploadElsewhere,
		"nothing at all":                                uploadEmpty,
		"the largest and one byte more":                 uploadLimit,
		"what breaks off leaves nothing":                uploadBroken,
		"messages in the wrong order":                   uploadMalformed,
		"what a crash left is swept":                    uploadLeftovers,
		"a store that fails is not taken for success":   uploadStoreFails,
		"a document that is refused":                    uploadRefused,
		"a refusal is looked at again":                  uploadRefusedAgain,
		"a restricted document is taken by setting":     uploadRestricted,
		"a service that has no inspection refuses none": uploadNotInspected,
		"an inspection is asked again":                  uploadInspectedLater,
	} {
		t.Run(name, func(t *testing.T) {
			r.watermark.answer(nil)
			test(t, r)
			for _, path := range r.stored(t) {
				if !strings.HasPrefix(path, "src/") {
					t.Errorf("%s is left in the bucket", path)
				}
			}
		})
	}
}

func pattern(n int, seed byte) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i>>8) ^ byte(i) ^ seed
	}
	return data
}

func uploadWhole(t *testing.T, r *rig) {
	ctx := r.production(t, "whole")
	data := pattern(700_001, 1)
	f, err := r.upload(ctx, "whole", "../call\u202e sheet.pdf", data)
	if err != nil {
		t.Fatal(err)
	}
	if f.GetSha256() != sum(data) || f.GetSize() != int64(len(data)) || f.GetName() != "call sheet.pdf" || !f.GetCreatedAt().IsValid() {
		t.Errorf("got %v", f)
	}
	if f.GetVerdict() != "ok" || f.GetPages() != 3 || !slices.Equal(f.GetNotes(), []string{"1 signature loses its value"}) {
		t.Errorf("got %v, want what the inspection said", f)
	}
	got, err := os.ReadFile(filepath.Join(r.dir, "src", "whole", f.GetSha256()))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes are stored (%v), want the %d that were sent", len(got), err, len(data))
	}
	read, err := r.files.GetFile(ctx, &filev1.GetFileRequest{Production: "whole", File: f.GetSha256()})
	if err != nil || !proto.Equal(read.GetFile(), f) {
		t.Errorf("got %v %v, want the same", read, err)
	}
}

func uploadAgain(t *testing.T, r *rig) {
	ctx := r.production(t, "again")
	first, err := r.upload(ctx, "again", "first.pdf", []byte("same"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.upload(ctx, "again", "second.pdf", []byte("same"))
	if err != nil || !proto.Equal(second, first) {
		t.Errorf("got %v %v, want the file there is", second, err)
	}
}

func uploadAtOnce(t *testing.T, r *rig) {
	ctx := r.production(t, "at-once")
	data := pattern(600_000, 2)
	files := make([]*filev1.File, 20)
	var wg sync.WaitGroup
	for i := range files {
		wg.Go(func() {
			f, err := r.upload(ctx, "at-once", "x.pdf", data)
			if err != nil {
				t.Error(err)
			}
			files[i] = f
		})
	}
	wg.Wait()
	for _, f := range files {
		if !proto.Equal(f, files[0]) || f.GetSha256() != sum(data) {
			t.Errorf("got %v and %v", files[0], f)
		}
	}
	list, err := r.files.ListFiles(ctx, &filev1.ListFilesRequest{Production: "at-once"})
	if err != nil || len(list.GetFiles()) != 1 {
		t.Errorf("got %d files %v, want 1", len(list.GetFiles()), err)
	}
	entries, err := os.ReadDir(filepath.Join(r.dir, "src", "at-once"))
	if err != nil || len(entries) != 1 {
		t.Errorf("got %d blobs %v, want 1", len(entries), err)
	}
}

func uploadElsewhere(t *testing.T, r *rig) {
	a, b := r.production(t, "one"), r.production(t, "two")
	first, err := r.upload(a, "one", "one.pdf", []byte("shared"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.files.GetFile(b, &filev1.GetFileRequest{Production: "two", File: first.GetSha256()})
	wantFault(t, err, fault.NotFound, "FILE_UNKNOWN")
	second, err := r.upload(b, "two", "two.pdf", []byte("shared"))
	if err != nil || second.GetName() != "two.pdf" {
		t.Errorf("got %v %v", second, err)
	}
}

func uploadEmpty(t *testing.T, r *rig) {
	// What is wrong with a document its verdict says, here as for any other: it is stored, and can be refused by name.
	ctx := r.production(t, "empty")
	file, err := r.upload(ctx, "empty", "a.pdf", nil)
	if err != nil || file.GetSize() != 0 {
		t.Errorf("got %v %v", file, err)
	}
}

func wantNoFiles(t *testing.T, r *rig, ctx context.Context, production string) {
	t.Helper()
	list, err := r.files.ListFiles(ctx, &filev1.ListFilesRequest{Production: production})
	if err != nil || len(list.GetFiles()) != 0 {
		t.Errorf("got %v %v, want no files", list, err)
	}
	entries, err := os.ReadDir(filepath.Join(r.dir, "src", production))
	if err != nil && !errors.Is(err, os.ErrNotExist) || len(entries) > 0 {
		t.Errorf("got %d blobs %v, want none", len(entries), err)
	}
	// The server may still be at removing it when a caller that hung up looks.
	eventually(t, "the temporary is removed", func() bool {
		return !slices.ContainsFunc(r.stored(t), func(path string) bool { return !strings.HasPrefix(path, "src/") })
	})
}

func uploadLimit(t *testing.T, r *rig) {
	ctx := r.production(t, "limit")
	_, err := r.upload(ctx, "limit", "a.pdf", pattern(1<<20+1, 3))
	wantFault(t, err, fault.Invalid, "FILE_TOO_LARGE", "1 MB")
	wantNoFiles(t, r, ctx, "limit")

	// It is said as soon as the limit is passed, not when the client has sent all it has.
	stream, err := r.files.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&filev1.UploadRequest{Production: "limit", Name: "endless.pdf"})
	sent := 0
	for err == nil {
		err = stream.Send(&filev1.UploadRequest{Data: make([]byte, 256<<10)})
		sent++
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	err = stream.RecvMsg(&filev1.UploadResponse{})
	wantFault(t, err, fault.Invalid, "FILE_TOO_LARGE", "1 MB")
	t.Logf("refused after %d messages of 256 KiB at most, with a limit of 4", sent)

	f, err := r.upload(ctx, "limit", "a.pdf", pattern(1<<20, 4))
	if err != nil || f.GetSize() != 1<<20 {
		t.Errorf("the largest that is allowed: got %v %v", f, err)
	}
}

func uploadBroken(t *testing.T, r *rig) {
	ctx := r.production(t, "broken")
	ctx, cancel := context.WithCancel(ctx)
	stream, err := r.files.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&filev1.UploadRequest{Production: "broken", Name: "a.pdf"})
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&filev1.UploadRequest{Data: make([]byte, 100_000)})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "half of it is written", func() bool {
		return slices.ContainsFunc(r.stored(t), func(path string) bool { return !strings.HasPrefix(path, "src/") })
	})
	cancel()
	_, err = stream.CloseAndRecv()
	if err == nil {
		t.Fatal("an upload that was broken off succeeded")
	}
	wantNoFiles(t, r, r.production(t, "broken"), "broken")
}

func uploadMalformed(t *testing.T, r *rig) {
	ctx := r.production(t, "malformed")
	stream, err := r.files.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err = stream.Send(&filev1.UploadRequest{Production: "malformed", Name: "a.pdf", Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = stream.CloseAndRecv()
	wantFault(t, err, fault.Invalid, "UPLOAD_MALFORMED")

	stream, err = r.files.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.CloseAndRecv()
	wantFault(t, err, fault.Invalid, "UPLOAD_EMPTY")

	stream, err = r.files.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&filev1.UploadRequest{Production: "malformed", Name: "a.pdf", Data: make([]byte, 256<<10+1)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.CloseAndRecv()
	wantFault(t, err, fault.Invalid, "INVALID", "data")
	wantNoFiles(t, r, ctx, "malformed")
}

func uploadLeftovers(t *testing.T, r *rig) {
	old, young := filepath.Join(r.dir, "tmp", "src", "p", "old"), filepath.Join(r.dir, "tmp", "src", "p", "young")
	half := filepath.Join(r.dir, ".half", "crashed")
	err := os.MkdirAll(filepath.Dir(old), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{old, young, half} {
		err := os.WriteFile(path, []byte("x"), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	hours := time.Now().Add(-90 * time.Minute)
	for _, path := range []string{old, half} {
		err := os.Chtimes(path, hours, hours)
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.server.Run(ctx) }() // as after a restart
	eventually(t, "the old ones are gone", func() bool {
		stored := r.stored(t)
		return !slices.Contains(stored, "tmp/src/p/old") && !slices.Contains(stored, ".half/crashed")
	})
	cancel()
	err = <-done
	if err != nil {
		t.Error(err)
	}
	err = os.Remove(young) // and so: it was left
	if err != nil {
		t.Error(err)
	}
}

func uploadStoreFails(t *testing.T, r *rig) {
	ctx := r.production(t, "disk")
	// A file where the folder of the production's sources must be.
	err := os.MkdirAll(filepath.Join(r.dir, "src"), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	err = os.WriteFile(filepath.Join(r.dir, "src", "disk"), nil, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.upload(ctx, "disk", "a.pdf", []byte("lost"))
	wantFault(t, err, fault.Internal, "INTERNAL")
	if !fault.Transient(err) || strings.Contains(err.Error(), r.dir) {
		t.Errorf("got %v, want that it may be tried again, and no paths", err)
	}
	if !strings.Contains(r.logged.String(), "call failed") {
		t.Error("nobody can see it in the log")
	}
	err = os.Remove(filepath.Join(r.dir, "src", "disk"))
	if err != nil {
		t.Fatal(err)
	}
	wantNoFiles(t, r, ctx, "disk")
	_, err = r.upload(ctx, "disk", "a.pdf", []byte("lost"))
	if err != nil {
		t.Errorf("once the store is well again: %v", err)
	}
}

func TestAnUploadThatSendsNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.UploadIdle = 50 * time.Millisecond
	r := start(t, cfg)
	ctx := r.production(t, "idle")
	stream, err := r.files.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&filev1.UploadRequest{Production: "idle", Name: "a.pdf", Data: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	err = stream.RecvMsg(&filev1.UploadResponse{}) // without another message from us
	wantFault(t, err, fault.Unavailable, "UPLOAD_IDLE", "50ms")
	wantNoFiles(t, r, ctx, "idle")
}

func TestRedisDiesDuringAnUpload(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig())
	// As in production. With everysec a write may wait in the process while an fsync is under way, and die with it.
	err := r.redis.Client.ConfigSet(t.Context(), "appendfsync", "always").Err()
	if err != nil {
		t.Fatal(err)
	}
	ctx := r.production(t, "dies")
	stream, err := r.files.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&filev1.UploadRequest{Production: "dies", Name: "a.pdf", Data: []byte("survives")})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is being written", func() bool { return len(r.stored(t)) > 0 })
	r.redis.Kill()
	_, err = stream.CloseAndRecv()
	if err == nil || !fault.Transient(err) {
		t.Fatalf("got %v, want that it may be tried again", err)
	}
	for _, path := range r.stored(t) {
		if !strings.HasPrefix(path, "src/dies/") {
			t.Errorf("%s is left in the bucket", path)
		}
	}
	r.redis.Restart()
	eventually(t, "it is taken when sent again", func() bool {
		f, err := r.upload(ctx, "dies", "a.pdf", []byte("survives"))
		if err != nil {
			if !fault.Transient(err) {
				t.Fatal(err)
			}
			return false // Redis is still finding itself
		}
		return f.GetSha256() == sum([]byte("survives"))
	})
}
