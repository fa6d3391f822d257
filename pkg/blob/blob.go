// Package blob stores and fetches bytes under create-only keys, in a folder or (by URL) in an object store, through
// gocloud.dev/blob. Keys never contain what a user typed.
//
// A key, once written, never changes: writing it again is answered with ErrExists and leaves what is there. What a
// reader sees is whole: a write that fails half-way leaves nothing under its key, and a read that ends without an error
// has given all of it.
//
// # URLs
//
// A folder is "file:///var/lib/filigree/blobs", or its path alone. A bucket of S3, or of what speaks like it, is
// "s3://BUCKET" and after a question mark any of
//
//	region=eu-central-1          else the environment's (AWS_REGION) or the profile's
//	endpoint=https://HOST:PORT   a server that is not Amazon's; http:// for one on this machine
//	s3ForcePathStyle=true        HOST/BUCKET instead of BUCKET.HOST, as most of those want it; use_path_style is the same
//	profile=NAME                 of the shared AWS configuration
//	role=ARN                     to take on
//	ssetype=aws:kms              how S3 encrypts what lies there; kmskeyid=ID with which key
//	dualstack=true, fips=true    addresses of Amazon's
//
// Credentials are never in the URL. They come from where AWS programs look: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
// the shared configuration, the role of the container or machine. The bucket must exist, be private, and be Filigree's
// alone; the server must know conditional writes (If-None-Match), as Amazon's and versitygw do.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

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

// Bucket is a place for blobs. It is safe for concurrent use, by several processes on one folder, too.
type Bucket struct {
	b      *blob.Bucket
	folder *folder // how to write, if the bucket is a folder
	s3     *store  // how to write, if it is one of S3
}

// Open opens the bucket at url; the package says what that may be. A folder is made if need be; that there is a bucket
// in S3 is looked up.
func Open(ctx context.Context, url string) (*Bucket, error) {
	if strings.HasPrefix(url, "s3://") {
		b, err := openS3(ctx, url)
		if err != nil {
			return nil, fmt.Errorf("open bucket %s: %w", url, err)
		}
		return b, nil
	}
	dir, isFile := strings.CutPrefix(url, "file://")
	if !isFile && strings.Contains(url, "://") {
		b, err := blob.OpenBucket(ctx, url)
		if err != nil {
			return nil, fmt.Errorf("open bucket %s: %w", url, err)
		}
		return &Bucket{b: b}, nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", url, err)
	}
	f, err := newFolder(abs)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", url, err)
	}
	b, err := fileblob.OpenBucket(abs, &fileblob.Options{Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", url, err)
	}
	return &Bucket{b: b, folder: &f}, nil
}

// Close releases the bucket.
func (b *Bucket) Close() error { return b.b.Close() }

// Create writes all of r under key and returns its size and SHA-256 in hexadecimal. If key was written before the
// error is ErrExists; r has been read to its end all the same, so size and digest hold. In a folder the bytes are on
// the disk, not only on their way, when Create returns.
func (b *Bucket) Create(ctx context.Context, key, mediaType string, r io.Reader) (size int64, digest string, err error) {
	err = check(key)
	if err != nil {
		return 0, "", err
	}
	src := &source{r: r, hash: sha256.New()}
	switch {
	case b.folder != nil:
		err = b.folder.create(ctx, key, src)
	case b.s3 != nil:
		err = b.s3.create(ctx, key, mediaType, src)
	default:
		err = b.create(ctx, key, mediaType, src)
	}
	if err == nil {
		return src.size, src.digest(), nil
	}
	err = classify(err)
	if src.err == nil && errors.Is(err, ErrExists) {
		_, _ = io.Copy(io.Discard, src) // src.err says how it went
	}
	if src.err != nil && src.err != io.EOF {
		return 0, "", fmt.Errorf("write %s: %w", key, src.err)
	}
	if errors.Is(err, ErrExists) {
		return src.size, src.digest(), fmt.Errorf("write %s: %w", key, err)
	}
	return 0, "", fmt.Errorf("write %s: %w", key, err)
}

func (b *Bucket) create(ctx context.Context, key, mediaType string, src *source) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before Close, it abandons the write
	w, err := b.b.NewWriter(ctx, key, &blob.WriterOptions{ContentType: mediaType, IfNotExist: true})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, src)
	if err != nil && src.err != nil && src.err != io.EOF {
		cancel()
	}
	// After a failed write Close may be the one that tells of a key that was there.
	return errors.Join(err, w.Close())
}

// source measures what is read through it and remembers how reading ended.
type source struct {
	r    io.Reader
	hash hash.Hash
	size int64
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.hash.Write(p[:n])
	s.size += int64(n)
	if err != nil {
		s.err = err
	}
	return n, err
}

func (s *source) digest() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// Read opens the blob under key. Where the store is elsewhere, a connection that breaks meanwhile is made again and
// reading goes on where it stopped, a few times.
func (b *Bucket) Read(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := b.b.NewReader(ctx, key, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, classify(err))
	}
	if b.s3 == nil {
		return r, nil
	}
	return &reader{ctx: ctx, b: b.b, key: key, r: r, size: r.Size()}, nil
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

// List returns the keys that begin with prefix, sorted; of those that go on behind another slash, once for all, what
// comes up to it. There may be many.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	list := b.b.List(&blob.ListOptions{Prefix: prefix, Delimiter: "/"})
	for {
		o, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return keys, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, classify(err))
		}
		keys = append(keys, o.Key)
	}
}

// Copy makes dst from src within the bucket, leaving dst as it is if it was written before.
func (b *Bucket) Copy(ctx context.Context, dst, src string) error {
	err := errors.Join(check(dst), check(src))
	if err != nil {
		return err
	}
	if b.folder != nil {
		err = b.folder.link(b.folder.path(src), b.folder.path(dst)) // blobs never change, so one file may bear two names
		if err == nil || errors.Is(err, fs.ErrExist) {
			return nil
		}
	}
	there, lookErr := b.Exists(ctx, dst)
	if lookErr != nil || there {
		return lookErr
	}
	if b.folder == nil {
		err = classify(b.b.Copy(ctx, dst, src, b.s3.copyOptions()))
	}
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("copy %s to %s: %w", src, dst, classify(err))
	}
	return nil
}

// Sweep removes the blobs whose keys start with prefix and that were written before t, and what crashes left
// half-written before t. It is for temporaries: nothing else is ever removed by age.
func (b *Bucket) Sweep(ctx context.Context, prefix string, t time.Time) (removed int, err error) {
	switch {
	case b.folder != nil:
		removed, err = b.folder.sweep(t)
	case b.s3 != nil:
		removed, err = b.s3.sweep(ctx, t)
	}
	if err != nil {
		return removed, err
	}
	list := b.b.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return removed, nil
		}
		if err != nil {
			return removed, fmt.Errorf("list %s: %w", prefix, err)
		}
		if !o.ModTime.Before(t) {
			continue
		}
		err = b.Delete(ctx, o.Key)
		if err != nil {
			return removed, err
		}
		removed++
	}
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
	if err == nil || errors.Is(err, ErrExists) || errors.Is(err, ErrNotFound) {
		return err
	}
	if errors.Is(err, fs.ErrExist) {
		return errors.Join(ErrExists, err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Join(ErrNotFound, err)
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return errors.Join(ErrNotFound, err)
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return errors.Join(ErrExists, err)
	}
	return err
}

// check refuses keys that mean different things to different stores: anything but visible ASCII in segments that are
// not empty and do not start with a dot.
func check(key string) error {
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment[0] == '.' || strings.ContainsFunc(segment, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }) {
			return fmt.Errorf("%q is no key for a blob", key)
		}
	}
	return nil
}
