// Package blob stores and fetches bytes under create-only keys, in a folder or (by URL) in an object store, through
// gocloud.dev/blob. Keys never contain what a user typed.
//
// A key, once written, never changes: writing it again is answered with ErrExists and leaves what is there. What a
// reader sees is whole: a write that fails half-way leaves nothing under its key.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/gcerrors"
)

var (
	// ErrExists: the key was written before.
	ErrExists = errors.New("blob exists")
	// ErrNotFound: nothing under that key.
	ErrNotFound = errors.New("blob not found")
)

// Bucket is a place for blobs. It is safe for concurrent use.
type Bucket struct {
	b *blob.Bucket
}

// Open opens the bucket at url: "file:///var/lib/filigree/blobs", or a folder's path. The folder is made if need be.
func Open(ctx context.Context, url string) (*Bucket, error) {
	dir, isFile := strings.CutPrefix(url, "file://")
	if isFile || !strings.Contains(url, "://") {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("open bucket %s: %w", url, err)
		}
		// Without sidecar files, and with temporary files in the folder itself, so that a rename completes a write.
		b, err := fileblob.OpenBucket(abs, &fileblob.Options{
			CreateDir: true, DirFileMode: 0o700, NoTempDir: true, Metadata: fileblob.MetadataDontWrite,
		})
		if err != nil {
			return nil, fmt.Errorf("open bucket %s: %w", url, err)
		}
		return &Bucket{b}, nil
	}
	b, err := blob.OpenBucket(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", url, err)
	}
	return &Bucket{b}, nil
}

// Close releases the bucket.
func (b *Bucket) Close() error { return b.b.Close() }

// Create writes all of r under key and returns its size and SHA-256 in hexadecimal. If key was written before the
// error is ErrExists; r has been read to its end all the same, so size and digest hold.
func (b *Bucket) Create(ctx context.Context, key, mediaType string, r io.Reader) (size int64, digest string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before Close, it abandons the write
	w, err := b.b.NewWriter(ctx, key, &blob.WriterOptions{ContentType: mediaType, IfNotExist: true})
	if err != nil {
		return 0, "", fmt.Errorf("write %s: %w", key, classify(err))
	}
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(w, hash), r)
	if err != nil {
		cancel()
		_ = w.Close() // the write was given up
		return 0, "", fmt.Errorf("write %s: %w", key, err)
	}
	digest = hex.EncodeToString(hash.Sum(nil))
	err = w.Close()
	if err != nil {
		return size, digest, fmt.Errorf("write %s: %w", key, classify(err))
	}
	return size, digest, nil
}

// Read opens the blob under key.
func (b *Bucket) Read(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := b.b.NewReader(ctx, key, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, classify(err))
	}
	return r, nil
}

// Fetch copies the blob under key into a fresh temporary file in dir (the system's if empty) and returns it open for
// reading at its start and already unlinked: closing it is all the cleaning up.
func (b *Bucket) Fetch(ctx context.Context, key, dir string) (*os.File, error) {
	r, err := b.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := os.CreateTemp(dir, "blob-*")
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", key, err)
	}
	err = os.Remove(f.Name())
	if err == nil {
		_, err = io.Copy(f, r)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, fmt.Errorf("fetch %s: %w", key, err)
	}
	return f, nil
}

// Exists reports whether key was written.
func (b *Bucket) Exists(ctx context.Context, key string) (bool, error) {
	ok, err := b.b.Exists(ctx, key)
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", key, err)
	}
	return ok, nil
}

// Copy makes dst from src within the bucket, leaving dst as it is if it was written before.
func (b *Bucket) Copy(ctx context.Context, dst, src string) error {
	there, err := b.Exists(ctx, dst)
	if err != nil || there {
		return err
	}
	err = b.b.Copy(ctx, dst, src, nil)
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", src, dst, classify(err))
	}
	return nil
}

// Delete removes key; removing what is not there is no error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	err := b.b.Delete(ctx, key)
	if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

func classify(err error) error {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return errors.Join(ErrNotFound, err)
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return errors.Join(ErrExists, err)
	}
	return err
}
