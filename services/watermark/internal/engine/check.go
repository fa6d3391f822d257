package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"time"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/mark/paint"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
	"github.com/filigreehq/filigree/services/watermark/internal/stamp"
)

// Check proves, once for a template and a kind of mark, that copies are sound and show the mark on every page: it writes
// one that carries sample, has independent programs read it, and compares its pages with those of one that carries
// nothing. It returns how strong the mark must be on each page. progress, if not nil, hears of pages done.
//
// The error is a *preflight.Error where the mark cannot be made to show, a *preflight.Unsound where a program found fault
// with the copy, which is a defect of ours, or a *sandbox.Error when this machine could not do it now.
func (e *Engine) Check(ctx context.Context, t *Template, sample *mark.Mark, progress func(done, total int)) ([]uint8, error) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if t.pdf == nil {
		level, err := t.picture.Level(sample)
		return []uint8{uint8(level)}, err
	}
	recipe := stamp.Recipe{Mark: sample, Levels: make([]uint8, t.Pages()), Code: hidden.ID{Key: 1, Number: 1}.Codeword()}
	blank := recipe
	blank.Unmarked = true
	plain, err := e.write(t, blank)
	if err != nil {
		return nil, err
	}
	defer func() { _ = plain.Close() }() // unlinked
	for round := range preflight.MaxLevel + 1 {
		raise, err := e.round(ctx, t, plain, recipe, round, progress)
		if err != nil || len(raise) == 0 {
			return recipe.Levels, err
		}
		for _, number := range raise {
			recipe.Levels[number-1]++
		}
	}
	return nil, errors.New("pages want a stronger mark than there is")
}

// round checks the pages that are at level round, and says which of them must be stronger.
func (e *Engine) round(ctx context.Context, t *Template, plain *os.File, r stamp.Recipe, level int, progress func(done, total int)) ([]int, error) {
	marked, err := e.write(t, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = marked.Close() }() // unlinked
	if level == 0 {
		err = preflight.Prove(ctx, marked, preflight.Want{Pages: t.Pages()}, e.preflight(e.proofTime(t)))
		if err != nil {
			return nil, final(full(err))
		}
	}
	verdicts, err := preflight.Check(ctx, plain, marked, expected(t, r, level), e.preflight(pageTime), progress)
	if err != nil {
		return nil, final(full(err))
	}
	return preflight.Next(verdicts)
}

// proofTime is what reading a copy may take of the processor, more for what is long.
func (e *Engine) proofTime(t *Template) time.Duration {
	const each = 10 << 20
	return e.cfg.Sandbox.CPU + time.Duration(t.Size()/each)*time.Second
}

// pageTime is what rendering a page may take of the processor. A sane one takes a tenth of a second.
const pageTime = 5 * time.Second

// preflight is how independent programs are run, each for so much of the processor's time.
func (e *Engine) preflight(cpu time.Duration) preflight.Config {
	cfg := preflight.Config{Sandbox: e.cfg.Sandbox, TempDir: e.cfg.TempDir, Parallel: e.cfg.Parallel}
	cfg.Sandbox.CPU = cpu
	return cfg
}

// expected are the pages at a level and where the mark's ink will be on them.
func expected(t *Template, r stamp.Recipe, level int) []preflight.Expect {
	var out []preflight.Expect
	number := 0
	for _, run := range t.Runs() {
		for range run.Count {
			number++
			if int(r.Levels[number-1]) != level {
				continue
			}
			page, n := run.Page, number
			page.Level = level
			out = append(out, preflight.Expect{Number: n, Page: page, Ink: func(width, height int) *image.Alpha {
				return paint.Coverage(r.Mark, page, n, width, height)
			}})
		}
	}
	return out
}

// Prove has independent programs read a copy, all of it. password opens it. Errors are those of Check.
func (e *Engine) Prove(ctx context.Context, t *Template, r Recipe, password string) error {
	if t.pdf == nil {
		return nil // nothing in it is computed: it is what an encoder writes
	}
	c, err := t.Copy(r)
	if err != nil {
		return err
	}
	doc, err := e.spill(c)
	if err != nil {
		return err
	}
	defer func() { _ = doc.Close() }() // unlinked
	return final(full(preflight.Prove(ctx, doc, preflight.Want{Pages: t.Pages(), Password: password}, e.preflight(e.proofTime(t)))))
}

// write writes a copy to a file without a name.
func (e *Engine) write(t *Template, r stamp.Recipe) (*os.File, error) {
	c, err := stamp.New(t.pdf, r)
	if err != nil {
		return nil, err
	}
	return e.spill(c)
}

func (e *Engine) spill(c io.WriterTo) (*os.File, error) {
	f, err := e.scratch("check-*")
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	_, err = c.WriteTo(w)
	err = errors.Join(err, w.Flush())
	if err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, fmt.Errorf("write a document to be checked: %w", full(err))
	}
	return f, nil
}
