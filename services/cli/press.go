package cli

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/watermark"
)

// press makes copies of one source.
type press struct {
	local    *watermark.Local
	source   *os.File
	template string
	title    string
	copies   string // the record of copies
	now      func() time.Time
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
	queue := make(chan order)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(orders)) {
		workers.Go(func() {
			for o := range queue {
				err := p.copy(ctx, o)
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
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return failed, nil
}

// hopeless reports whether an error is about the source or the disk, and so every copy's.
func hopeless(err error) bool {
	var f *fault.Error
	if errors.As(err, &f) {
		return strings.HasPrefix(f.Reason, "PDF_") && !f.Transient()
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, fs.ErrPermission)
}

// copy makes one copy and records it.
func (p *press) copy(ctx context.Context, o order) error {
	info, err := p.source.Stat()
	if err != nil {
		return err
	}
	now := p.now().UTC()
	return writeWhole(o.path, info.Mode().Perm(), func(f *os.File) error {
		made, err := p.local.Stamp(ctx, p.source, f, watermark.Copy{
			Template: p.template, Fields: p.fields(o, now), Password: o.password, Item: strconv.Itoa(o.number),
		})
		if err != nil {
			return err
		}
		// Before the copy is there: a record without copy is harmless, a copy without record cannot be traced.
		return record(p.copies, copyLine{
			Artifact: made.Artifact, SHA256: made.SHA256, Name: o.person.Name, Email: o.person.Email, Time: now.Truncate(time.Second),
		})
	})
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
