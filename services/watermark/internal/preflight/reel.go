package preflight

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/filigreehq/filigree/pkg/sandbox"
)

const tool = "pdftoppm"

// batch is a run of pages that one process renders at one scale.
type batch struct {
	first, last int
	side        int // pixels of a page's longer side
}

// shot is one page of a reel: its picture, or why there is none.
type shot struct {
	picture *picture
	// failed is this page's own failure; the pages after it may be well.
	failed *failure
}

// failure is why a page could not be rendered, where neither the machine nor the sandbox is to blame.
type failure struct {
	complex bool // by a limit on time or memory
	err     error
}

// reel renders a batch of pages of one document, one after the other, in as few processes as it takes.
type reel struct {
	doc    *os.File
	limits sandbox.Limits
	batch  batch

	shots chan shot     // in the order of pages
	free  chan *picture // buffers, for one page on its way and one being looked at
}

func newReel(doc *os.File, limits sandbox.Limits, b batch) *reel {
	r := &reel{doc: doc, limits: limits, batch: b, shots: make(chan shot), free: make(chan *picture, 2)}
	for range cap(r.free) {
		r.free <- &picture{}
	}
	return r
}

// barren is how many pages in a row may fail before the rest of a batch is taken to fail likewise: a process for each of
// them would tell the same.
const barren = 3

// alone is how many pages get a process each after one that did not come to its end: the page it stopped at, and the next.
// A renderer keeps the last bytes of a page until it writes the next one or ends, so it may have stopped at either.
const alone = 2

// run renders the batch and sends a shot for each page. It returns when all are sent, with an error of the machine or the
// context, or when ctx ends.
func (r *reel) run(ctx context.Context) error {
	defer close(r.shots)
	single, failures := 0, 0
	var blamed *failure
	for page := r.batch.first; page <= r.batch.last; {
		if failures == barren {
			err := r.send(ctx, shot{failed: blamed})
			if err != nil {
				return err
			}
			page++
			continue
		}
		last := r.batch.last
		if single > 0 {
			single--
			last = page
		}
		done, failed, err := r.process(ctx, page, last)
		if err != nil {
			return err
		}
		page += done
		switch {
		case failed == nil:
			failures = 0
		case last > page || done > 0:
			single = alone
		default:
			blamed = failed
			failures++
			page++
			single = 1 // what one page is, the next often is, too
			err = r.send(ctx, shot{failed: failed})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reel) send(ctx context.Context, s shot) error {
	select {
	case r.shots <- s:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// buffer waits until a picture is free.
func (r *reel) buffer(ctx context.Context) (*picture, error) {
	select {
	case p := <-r.free:
		return p, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// process renders pages first to last in one process and sends what it makes. It returns how many pages that were, and if
// not all, why.
func (r *reel) process(ctx context.Context, first, last int) (done int, failed *failure, err error) {
	// Before the process starts: while it waits for us its time runs.
	p, err := r.buffer(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer func() {
		if p != nil {
			r.free <- p
		}
	}()
	in, out, err := os.Pipe()
	if err != nil {
		return 0, nil, fmt.Errorf("pipe for pages: %w", err)
	}
	defer func() { _ = in.Close() }() // read to where it was wanted
	// The document has no name any more; opened anew by the renderer, so that it is read from its start.
	t, err := sandbox.Command(r.limits, tool, "-f", strconv.Itoa(first), "-l", strconv.Itoa(last), "-cropbox",
		"-scale-to", strconv.Itoa(r.batch.side), "/proc/self/fd/3")
	if err != nil {
		_ = out.Close() // nothing was written
		return 0, nil, err
	}
	t.Files, t.Stdout = []*os.File{r.doc}, out
	life, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() {
		err := t.Run(life)
		_ = out.Close() // nothing is written to our copy of it; once closed, the reader sees the end
		ended <- err
	}()

	stream := bufio.NewReaderSize(in, 64<<10)
	var reading error
	for first+done <= last {
		if p == nil {
			p, reading = r.buffer(ctx)
			if reading != nil {
				break
			}
		}
		// Poppler rounds up, and a page's box need not be the one we know.
		reading = p.read(stream, r.batch.side+1)
		if reading != nil {
			break
		}
		reading = r.send(ctx, shot{picture: p})
		if reading != nil {
			break
		}
		p = nil
		done++
	}
	if reading != nil && reading != io.EOF && !errors.Is(reading, io.ErrUnexpectedEOF) {
		cancel(reading) // whatever else it has to say is of no use
	}
	err = <-ended
	switch {
	case ctx.Err() != nil:
		return done, nil, context.Cause(ctx)
	case reading == nil:
		return done, nil, nil // what goes wrong after the last page is no page's fault
	case errors.Is(reading, errPicture):
		return done, &failure{err: reading}, nil
	case err == nil:
		return done, &failure{err: fmt.Errorf("%s ended before page %d: %w", tool, first+done, reading)}, nil
	}
	failed, err = blame(err)
	if err != nil && done > 0 {
		return done, &failure{err: err}, nil // it was kept waiting, or is told again at the next attempt
	}
	return done, failed, err
}

// blame says whether a renderer's end was the page's doing; if not, the error is that of this machine.
func blame(err error) (*failure, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &failure{err: err}, nil
	}
	var s *sandbox.Error
	if errors.As(err, &s) {
		switch s.Kind {
		case sandbox.CPU, sandbox.Memory:
			return &failure{complex: true, err: err}, nil
		case sandbox.Crash, sandbox.Output:
			return &failure{err: err}, nil
		}
	}
	return nil, err
}
