// Package archive keeps what became of a distribution after Redis has forgotten it: segments in the blob store under
// arc/<production>/<distribution>/<n>, each a gzip stream (RFC 1952) of records. The first segment is written when the
// distribution has ended; one that ran again gets a further one. The last segment's records are how it stands; its
// events are those of all segments, in order.
//
// A segment from which something was taken out is <n>.bare.
//
// A record is a byte that says what it is, its length as an unsigned varint, and so many bytes, which are the caller's
// affair. The first record of a segment is the byte 'V' and the number of this format.
package archive

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/pkg/blob"
)

// Kinds of records.
const (
	Distribution byte = 'D'
	Recipient    byte = 'R'
	Item         byte = 'I'
	Graph        byte = 'G'
	Event        byte = 'E'
	Made         byte = 'A' // what a step made: Artifact
	Cursor       byte = 'C' // of those who watch it
	Line         byte = 'L' // of the audit

	versionKind byte = 'V'
	version          = 1
	// maxRecord bounds what one record may make a reader hold.
	maxRecord = 1 << 20
)

// ErrNotFound: nothing was archived under that name.
var ErrNotFound = errors.New("not archived")

// ErrDamaged: a segment is not what was written.
var ErrDamaged = errors.New("the archive is damaged")

// Store reads and writes archives in a bucket. It is safe for concurrent use.
type Store struct{ Bucket *blob.Bucket }

func prefix(production, distribution string) string {
	return "arc/" + production + "/" + distribution + "/"
}

// Segments are the numbers of a distribution's segments, in order; none when nothing is archived.
func (s Store) Segments(ctx context.Context, production, distribution string) ([]int, error) {
	p := prefix(production, distribution)
	keys, err := s.Bucket.List(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("list archive of %s: %w", distribution, err)
	}
	var out []int
	for _, k := range keys {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(k, p), bare))
		if err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Write makes segment n of a distribution's archive of the records that fill puts, and says whether it did: a segment that is
// there already stays as it is. When fill fails nothing is left.
func (s Store) Write(ctx context.Context, production, distribution string, n int, fill func(put func(kind byte, record []byte) error) error) (wrote bool, err error) {
	return s.write(ctx, prefix(production, distribution)+strconv.Itoa(n), fill)
}

func (s Store) write(ctx context.Context, key string, fill func(put func(kind byte, record []byte) error) error) (wrote bool, err error) {
	r, w := io.Pipe()
	go func() {
		z := gzip.NewWriter(w)
		err := put(z, versionKind, []byte{version})
		if err == nil {
			err = fill(func(kind byte, record []byte) error { return put(z, kind, record) })
		}
		if err == nil {
			err = z.Close()
		}
		w.CloseWithError(err) // nil is the end
	}()
	_, _, err = s.Bucket.Create(ctx, key, "application/gzip", r)
	_ = r.CloseWithError(errors.New("nobody reads any more")) // so that fill ends
	if errors.Is(err, blob.ErrExists) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("write %s: %w", key, err)
	}
	return true, nil
}

func put(w io.Writer, kind byte, record []byte) error {
	if len(record) > maxRecord {
		return fmt.Errorf("a record of %d bytes is longer than an archive takes", len(record))
	}
	head := binary.AppendUvarint([]byte{kind}, uint64(len(record)))
	_, err := w.Write(head)
	if err == nil {
		_, err = w.Write(record)
	}
	return err
}

// Read gives the records of segment n to each, in the order they were put, until it answers false. A record is each's only
// until it returns.
func (s Store) Read(ctx context.Context, production, distribution string, n int, each func(kind byte, record []byte) (more bool, err error)) error {
	return s.readSegment(ctx, production, distribution, n, nil, each)
}

func (s Store) readSegment(ctx context.Context, production, distribution string, n int, sum hash.Hash, each func(kind byte, record []byte) (more bool, err error)) error {
	key := prefix(production, distribution) + strconv.Itoa(n)
	err := s.read(ctx, key, sum, each)
	if errors.Is(err, ErrNotFound) {
		err = s.read(ctx, key+bare, sum, each)
	}
	return err
}

// ReadBack reads segment n from its first byte to its last, gives its records to each, and returns the SHA-256 of the segment as it
// lies there.
func (s Store) ReadBack(ctx context.Context, production, distribution string, n int, each func(kind byte, record []byte) error) (digest string, err error) {
	sum := sha256.New()
	err = s.readSegment(ctx, production, distribution, n, sum, func(kind byte, record []byte) (bool, error) {
		return true, each(kind, record)
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// DeleteSegment removes one segment.
func (s Store) DeleteSegment(ctx context.Context, production, distribution string, n int) error {
	key := prefix(production, distribution) + strconv.Itoa(n)
	return errors.Join(s.Bucket.Delete(ctx, key), s.Bucket.Delete(ctx, key+bare))
}

func (s Store) read(ctx context.Context, key string, sum hash.Hash, each func(kind byte, record []byte) (more bool, err error)) error {
	body, err := s.Bucket.Read(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	defer body.Close()
	var from io.Reader = body
	if sum != nil {
		from = io.TeeReader(body, sum)
	}
	raw := bufio.NewReaderSize(from, 64<<10)
	z, err := gzip.NewReader(raw)
	if err != nil {
		return damaged(key, err)
	}
	in := bufio.NewReaderSize(z, 64<<10)
	var buf []byte
	for first := true; ; first = false {
		kind, err := in.ReadByte()
		if err == io.EOF && !first {
			// Reading to the end tells whether all of it was there, and makes the sum whole.
			_, err = io.Copy(io.Discard, raw)
			if err != nil {
				return damaged(key, err)
			}
			return nil
		}
		if err != nil {
			return damaged(key, err)
		}
		size, err := binary.ReadUvarint(in)
		if err != nil || size > maxRecord {
			return damaged(key, err)
		}
		buf = slices.Grow(buf[:0], int(size))[:size]
		_, err = io.ReadFull(in, buf)
		if err != nil {
			return damaged(key, err)
		}
		if first {
			if kind != versionKind || len(buf) != 1 || buf[0] != version {
				return fmt.Errorf("%s is of a format that this version does not know; %w", key, ErrDamaged)
			}
			continue
		}
		more, err := each(kind, buf)
		if err != nil || !more {
			return err
		}
	}
}

func damaged(key string, cause error) error {
	return fmt.Errorf("%s cannot be read (%v): %w", key, cause, ErrDamaged)
}

// Productions and Distributions list what has an archive.
func (s Store) Productions(ctx context.Context) ([]string, error) { return s.folders(ctx, "arc/") }

// Distributions are those of a production.
func (s Store) Distributions(ctx context.Context, production string) ([]string, error) {
	return s.folders(ctx, "arc/"+production+"/")
}

func (s Store) folders(ctx context.Context, p string) ([]string, error) {
	keys, err := s.Bucket.List(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("list archives: %w", err)
	}
	var out []string
	for _, k := range keys {
		name, folder := strings.CutSuffix(strings.TrimPrefix(k, p), "/")
		if folder {
			out = append(out, name)
		}
	}
	return out, nil
}

// The audit's segments are arc/audit/<number of the first line>.
const auditPrefix = "arc/audit/"

// Audits lists the first lines' numbers of the audit's segments, in order.
func (s Store) Audits(ctx context.Context) ([]int64, error) {
	keys, err := s.Bucket.List(ctx, auditPrefix)
	if err != nil {
		return nil, fmt.Errorf("list the audit's archive: %w", err)
	}
	var out []int64
	for _, k := range keys {
		n, err := strconv.ParseInt(strings.TrimPrefix(k, auditPrefix), 10, 64)
		if err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// WriteAudit is Write for a segment of the audit.
func (s Store) WriteAudit(ctx context.Context, first int64, fill func(put func(kind byte, record []byte) error) error) (wrote bool, err error) {
	return s.write(ctx, auditPrefix+strconv.FormatInt(first, 10), fill)
}

// ReadAudit is Read for a segment of the audit.
func (s Store) ReadAudit(ctx context.Context, first int64, each func(kind byte, record []byte) (more bool, err error)) error {
	return s.read(ctx, auditPrefix+strconv.FormatInt(first, 10), nil, each)
}

// bare is behind the name of a segment from which something was taken out. It is in the place of the one that was written first.
const bare = ".bare"

// TakeOut puts in the place of segment n one whose records are what change makes of each; once, another time it is left as it is.
// Whoever reads meanwhile has the one or the other.
func (s Store) TakeOut(ctx context.Context, production, distribution string, n int, change func(kind byte, record []byte) ([]byte, error)) error {
	key := prefix(production, distribution) + strconv.Itoa(n)
	there, err := s.Bucket.Exists(ctx, key)
	if err != nil || !there {
		return err
	}
	// One that is there already is whole: a stop came between.
	_, err = s.write(ctx, key+bare, func(put func(kind byte, record []byte) error) error {
		return s.read(ctx, key, nil, func(kind byte, record []byte) (bool, error) {
			changed, err := change(kind, record)
			if err == nil {
				err = put(kind, changed)
			}
			return true, err
		})
	})
	if err != nil {
		return err
	}
	return s.Bucket.Delete(ctx, key)
}

// Delete removes a distribution's archive.
func (s Store) Delete(ctx context.Context, production, distribution string) error {
	all, err := s.Segments(ctx, production, distribution)
	for _, n := range all {
		err = errors.Join(err, s.DeleteSegment(ctx, production, distribution, n))
	}
	return err
}
