package blob

import (
	"context"
	"errors"
	"io"

	"gocloud.dev/blob"
)

// resumes is how often one read goes on after a break.
const resumes = 4

// reader reads a blob that is elsewhere. A key is written once, so the rest of it is the rest of what was begun.
type reader struct {
	ctx    context.Context // Read's; gocloud's own readers hold it as well
	b      *blob.Bucket
	key    string
	r      io.ReadCloser
	read   int64
	size   int64
	breaks int
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.read += int64(n)
	if err == nil || err == io.EOF && r.read == r.size {
		return n, err
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	resumeErr := r.resume(err)
	if resumeErr != nil {
		return n, resumeErr
	}
	return n, nil
}

// resume opens the blob where reading broke with cause.
func (r *reader) resume(cause error) error {
	if r.breaks == resumes || r.read >= r.size || r.ctx.Err() != nil {
		return cause
	}
	r.breaks++
	_ = r.r.Close() // it is broken
	next, err := r.b.NewRangeReader(r.ctx, r.key, r.read, -1, nil)
	if err != nil {
		r.r = broken{errors.Join(cause, classify(err))}
		r.breaks = resumes
		return errors.Join(cause, classify(err))
	}
	r.r = next
	return nil
}

func (r *reader) Close() error { return r.r.Close() }

// broken is a reader that stays broken.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
func (b broken) Close() error             { return nil }
