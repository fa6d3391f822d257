// Package preflight proves, once for a source and a layout, that the mark shows on every page of the copies and that
// what is under it stays legible. It has two versions of the document rendered by poppler, in a sandbox, side by side:
// as the engine writes it without any mark, and with a test mark. What differs must be the mark, where it is expected,
// and next to nothing else.
//
// What a verdict promises of a page that Passed:
//   - at least half of the area that the mark's outlines cover changed by ten grey levels or more;
//   - of the text under them, nine tenths kept at least two fifths of its contrast, or what lost more is no more than a
//     line of small print;
//   - away from them not more changed than the small woven marks do.
//
// It says nothing of what a page shows when it is printed, where that differs from the screen (annotations and layers may
// ask for that), nor of other renderers than poppler. Pages that nothing can render, marked or not, are let pass as Blank.
//
// Prove is the other, structural proof: that independent programs read a document without complaint.
package preflight

import (
	"context"
	"errors"
	"image"
	"os"
	"sync"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/sandbox"
)

// Config bounds the work.
type Config struct {
	// Sandbox bounds each process. Its CPU time is what a single page may take; processes that render many pages are
	// started again when theirs is used up. Zero fields take the sandbox's defaults.
	Sandbox sandbox.Limits
	// TempDir is where Prove keeps a decrypted document while it reads it, without a name; the system's if empty.
	TempDir string
	// Parallel is how many pairs of processes render at once; 0 counts as 1. One pair keeps two cores half busy, since
	// the marked document takes longer.
	Parallel int
}

// Expect is what is expected of a page.
type Expect struct {
	// Number of the page, counted from 1. Numbers rise from one Expect to the next.
	Number int
	// Page is where the mark was put, its Level included.
	Page mark.Page
	// Ink returns what the mark covers of a picture of the page, see mark/paint.Coverage. It is called once, when the page
	// has been rendered, possibly at the same time as others; the picture need not stay as it is.
	Ink func(width, height int) *image.Alpha
}

// most is how many pages one batch has at most. Batches are what is spread over processes.
const most = 40

// Check compares plain with marked on the pages that are expected to carry the mark and returns a verdict for each, in
// their order. progress, if not nil, is called after each page, never twice at once, and not from the caller's goroutine.
//
// The error is an *Error when the document was given up as too complex before all pages were seen, a *sandbox.Error when
// this machine could not do it now, or ctx's.
func Check(ctx context.Context, plain, marked *os.File, pages []Expect, cfg Config, progress func(done, total int)) ([]Verdict, error) {
	c := &check{plain: plain, marked: marked, pages: pages, cfg: cfg, progress: progress, verdicts: make([]Verdict, len(pages))}
	c.cfg.Sandbox.Output = maxWritten
	c.batches = batches(pages)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for range max(cfg.Parallel, 1) {
		all.Go(func() {
			err := c.work(ctx)
			if err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	err := context.Cause(ctx)
	if err != nil {
		return nil, err
	}
	return c.verdicts, nil
}

// maxWritten is what a renderer may write to files, which it has no reason to. Pipes are not concerned.
const maxWritten = 1 << 20

// check is a comparison at work.
type check struct {
	plain, marked *os.File
	pages         []Expect
	cfg           Config
	progress      func(done, total int)

	mu       sync.Mutex
	batches  []batch
	next     int // index in pages of the first page of the first of batches
	done     int
	complex  []Verdict
	verdicts []Verdict // each written by who looks at its page
}

// batches cuts pages into runs of consecutive numbers and one scale.
func batches(pages []Expect) []batch {
	var out []batch
	for _, e := range pages {
		side := longerSide(e.Page)
		if n := len(out); n > 0 {
			b := &out[n-1]
			if b.side == side && b.last+1 == e.Number && b.last-b.first+1 < most {
				b.last++
				continue
			}
		}
		out = append(out, batch{first: e.Number, last: e.Number, side: side})
	}
	return out
}

// longerSide is how many pixels a page's longer side gets: a quarter to two fifths of a megapixel for the page, whatever
// its size, by a few steps only, so that pages that differ a little are rendered by one process.
func longerSide(p mark.Page) int {
	w, h := p.Box[2]-p.Box[0], p.Box[3]-p.Box[1]
	aspect := max(w, h) / max(min(w, h), 1e-3)
	for _, step := range []struct {
		aspect float64
		side   int
	}{{1.7, 616}, {3, 800}, {6, 1200}, {12, 1700}} {
		if aspect <= step.aspect {
			return step.side
		}
	}
	return 2400
}

// work takes batches until there is none left.
func (c *check) work(ctx context.Context) error {
	for {
		c.mu.Lock()
		if len(c.batches) == 0 || ctx.Err() != nil {
			c.mu.Unlock()
			return nil
		}
		b, at := c.batches[0], c.next
		c.batches = c.batches[1:]
		n := b.last - b.first + 1
		c.next += n
		c.mu.Unlock()
		err := c.look(ctx, b, c.pages[at:at+n], c.verdicts[at:at+n])
		if err != nil {
			return err
		}
	}
}

// look renders a batch of both documents, page by page side by side, and fills in the verdicts.
func (c *check) look(ctx context.Context, b batch, pages []Expect, verdicts []Verdict) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var both sync.WaitGroup
	defer both.Wait()
	defer cancel(errDone)
	plain, marked := newReel(c.plain, c.cfg.Sandbox, b), newReel(c.marked, c.cfg.Sandbox, b)
	for _, r := range []*reel{plain, marked} {
		both.Go(func() {
			err := r.run(ctx)
			if err != nil {
				cancel(err)
			}
		})
	}
	for i, e := range pages {
		p, ok1 := <-plain.shots
		m, ok2 := <-marked.shots
		if !ok1 || !ok2 {
			both.Wait()
			return context.Cause(ctx)
		}
		verdicts[i] = compare(e, p, m)
		for _, used := range []struct {
			reel *reel
			shot shot
		}{{plain, p}, {marked, m}} {
			if used.shot.picture != nil {
				used.reel.free <- used.shot.picture
			}
		}
		err := c.count(verdicts[i])
		if err != nil {
			return err
		}
	}
	return nil
}

var errDone = errors.New("all pages were seen")

// hopeless is how many pages may be too complex until the rest is not looked at: each has cost all the time that it may.
const hopeless = 2

// count notes that a page is done.
func (c *check) count(v Verdict) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	if c.progress != nil {
		c.progress(c.done, len(c.pages))
	}
	if v.Outcome == TooComplex {
		c.complex = append(c.complex, v)
		if len(c.complex) == hopeless {
			_, err := Next(c.complex)
			return err
		}
	}
	return nil
}

// compare makes a verdict of one page's pictures.
func compare(e Expect, plain, marked shot) Verdict {
	v := Verdict{Number: e.Number, Level: e.Page.Level}
	switch {
	case plain.failed != nil && marked.failed != nil && !plain.failed.complex && !marked.failed.complex:
		v.Outcome = Blank
		v.Note = "not to be rendered with or without the mark: " + plain.failed.err.Error()
	case plain.failed != nil && plain.failed.complex:
		v.Outcome = TooComplex
		v.Note = "without the mark: " + plain.failed.err.Error()
	case marked.failed != nil && marked.failed.complex:
		v.Outcome = TooComplex
		v.Note = "with the mark: " + marked.failed.err.Error()
	case plain.failed != nil:
		v.Outcome = Unrenderable
		v.Note = "without the mark, but not with it: " + plain.failed.err.Error()
	case marked.failed != nil:
		v.Outcome = Unrenderable
		v.Note = "with the mark, but not without it: " + marked.failed.err.Error()
	case plain.picture.width != marked.picture.width || plain.picture.height != marked.picture.height:
		v.Outcome = Disturbed
		v.Note = "the page has another size with the mark"
	default:
		w, h := plain.picture.width, plain.picture.height
		v.Score = score(plain.picture, marked.picture, e.Ink(w, h))
		v.Outcome = judge(v.Score, e.Page, w*h)
		if v.Score.Ink == 0 {
			v.Note = "no visible mark is expected here"
		}
	}
	return v
}
