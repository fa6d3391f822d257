package cli

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark"
)

// press makes copies of one source.
type press struct {
	source *watermark.Source
	spec   mark.Spec
	mode   os.FileMode // of the copies
	title  string
	copies string // the record of copies
	now    func() time.Time
}

// printed is a copy that lies beside its place.
type printed struct {
	order order
	tmp   string
	line  copyLine
}

const (
	// atOnce is how many copies are put in place together: one entry in the record for all.
	atOnce = 64
	// unhurried is how long looking at the pages may take before somebody is told how far it is.
	unhurried = 2 * time.Second
)

// check proves once that copies will show the mark on every page.
func (p *press) check(ctx context.Context, t *term) error {
	b := t.later(unhurried, barPages, "looking at pages")
	defer b.finish()
	return p.source.Check(ctx, p.spec, b.set)
}

// run makes the copies, several at once, and returns what failed by its order's number. The error is the context's end
// or what would fail every copy alike.
func (p *press) run(ctx context.Context, t *term, orders []order) (map[int]error, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b := t.bar(barRate, "stamping", int64(len(orders)))
	defer b.finish()
	var mu sync.Mutex
	failed := map[int]error{}
	done := func(o order, err error) {
		if hopeless(err) {
			cancel(err)
		}
		if err != nil {
			mu.Lock()
			failed[o.number] = err
			mu.Unlock()
		}
		b.increment()
	}
	queue := make(chan order)
	made := make(chan printed, atOnce)
	var workers, placer sync.WaitGroup
	placer.Go(func() { p.place(made, done) })
	for range min(runtime.GOMAXPROCS(0), len(orders)) {
		workers.Go(func() {
			w := bufio.NewWriterSize(nil, 256<<10)
			for o := range queue {
				c, err := p.print(ctx, o, w, len(orders) == 1)
				if err != nil {
					done(o, err)
					continue
				}
				made <- c
			}
		})
	}
	for _, o := range orders {
		select {
		case queue <- o:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	workers.Wait()
	close(made)
	placer.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return failed, nil
}

// hopeless reports whether an error is about the source or the disk, and so every copy's.
func hopeless(err error) bool {
	var f *fault.Error
	if errors.As(err, &f) { // what is refused is the source, unless it is somebody's mark or password
		return f.Kind == fault.Invalid && !strings.HasPrefix(f.Reason, "MARK_") && !strings.HasPrefix(f.Reason, "PASSWORD_")
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, fs.ErrPermission)
}

// print makes one copy beside its place, through w. A single one is on the disk when it is in place; many are left to
// the system to write down, and made again if it never came to that.
func (p *press) print(ctx context.Context, o order, w *bufio.Writer, single bool) (printed, error) {
	tmp, err := os.CreateTemp(filepath.Dir(o.path), ".filigree-*")
	if err != nil {
		return printed{}, err
	}
	now := p.now().UTC()
	w.Reset(tmp)
	made, err := p.source.Stamp(ctx, w, watermark.Copy{
		Template: p.spec.Template, Style: p.spec.Style, Fields: p.fields(o, now), Password: o.password, Item: strconv.Itoa(o.number),
	})
	if err == nil {
		err = errors.Join(w.Flush(), tmp.Chmod(p.mode))
	}
	if err == nil && single {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err != nil {
		_ = os.Remove(tmp.Name()) // it is of no use; the error above is the one to tell
		return printed{}, err
	}
	return printed{o, tmp.Name(), copyLine{
		Artifact: made.Artifact, SHA256: made.SHA256, Name: o.person.Name, Email: o.person.Email, Time: now.Truncate(time.Second),
	}}, nil
}

// place puts copies in their places as they come, until made is closed. They are recorded before: a record without copy
// is harmless, a copy without record cannot be traced. Those that came meanwhile are recorded together, so that a
// thousand copies do not wait for the disk a thousand times.
func (p *press) place(made <-chan printed, done func(order, error)) {
	for first := range made {
		batch := gather(first, made)
		lines := make([]copyLine, len(batch))
		for i, c := range batch {
			lines[i] = c.line
		}
		err := record(p.copies, lines...)
		for _, c := range batch {
			failed := err
			if failed == nil {
				failed = os.Rename(c.tmp, c.order.path)
			}
			if failed != nil {
				_ = os.Remove(c.tmp) // it has no place; the error is told
			}
			done(c.order, failed)
		}
	}
}

// gather returns first and what is there besides it.
func gather(first printed, made <-chan printed) []printed {
	batch := []printed{first}
	for len(batch) < atOnce {
		select {
		case c, ok := <-made:
			if !ok {
				return batch
			}
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// fields are the values for the mark. A column of the list stands before what we would fill in.
func (p *press) fields(o order, now time.Time) map[string]string {
	fields := map[string]string{
		"date": now.Format("2006-01-02"), "time": now.Format("15:04 UTC"), "copy": strconv.Itoa(o.number), "title": p.title,
	}
	maps.Copy(fields, o.person.Fields)
	fields["name"], fields["email"] = o.person.Name, o.person.Email
	return fields
}
