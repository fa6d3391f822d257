// Package engine makes copies of sources nobody trusts: the reading and writing happens in a sandboxed child, which is
// started for each copy, gets the source and an empty file, and is gone afterwards. This process never parses a PDF.
//
// A source that cannot be read as it is goes through qpdf, sandboxed likewise, and is tried once more.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// Config bounds the work.
type Config struct {
	Limits template.Limits
	// Sandbox bounds a child; its Output is set for each source.
	Sandbox sandbox.Limits
	// TempDir is where repaired sources lie while they are used; the system's if empty.
	TempDir string
	// Parallel is how many children run at once.
	Parallel int
	// OpenRestricted takes sources that are encrypted but need no password to be opened.
	OpenRestricted bool
}

// Engine makes copies. It is safe for concurrent use.
type Engine struct {
	cfg   Config
	log   *slog.Logger
	slots chan struct{}
}

// New returns an engine.
func New(cfg Config, log *slog.Logger) *Engine {
	return &Engine{cfg: cfg, log: log, slots: make(chan struct{}, cfg.Parallel)}
}

// Report is what is known of a source.
type Report struct {
	Pages int
	Notes []string
	Runs  []Run
}

// Run is a number of consecutive pages alike.
type Run struct {
	Count int
	Page  mark.Page
}

// Recipe is all that a copy depends on besides its source.
type Recipe struct {
	Template string
	Fields   map[string]string
	Seed     pdf.Seed
	// Password locks the copy if it is not empty.
	Password string
}

// Inspect reads src and reports what copies of it will be like. It makes one with a sample mark to nowhere, so that
// what passes here can be stamped. Errors are those of Stamp.
func (e *Engine) Inspect(ctx context.Context, src *os.File) (Report, error) {
	return e.run(ctx, job{Limits: e.cfg.Limits, Template: "{name}", Fields: map[string]string{"name": "Sample"}}, src, nil)
}

// Stamp writes a copy of src to dst, which must be empty. It refuses for good with a *mark.Error or a *template.Error;
// a *sandbox.Error says that this machine could not do it now. dst is of no use after an error.
func (e *Engine) Stamp(ctx context.Context, src, dst *os.File, r Recipe) (Report, error) {
	_, err := mark.Compose(r.Template, r.Fields) // refuses what cannot be drawn before a child is started
	if err != nil {
		return Report{}, err
	}
	return e.run(ctx, job{Limits: e.cfg.Limits, Template: r.Template, Fields: r.Fields, Seed: r.Seed, Password: r.Password}, src, dst)
}

// run has a child do j, on a repaired source if need be.
func (e *Engine) run(ctx context.Context, j job, src, dst *os.File) (Report, error) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return Report{}, context.Cause(ctx)
	}
	report, err := e.child(ctx, j, src, dst)
	for _, args := range e.remedies(err) {
		if err == nil {
			break
		}
		j.Limits.Lenient = true
		report, err = e.again(ctx, j, src, dst, args)
		if ctx.Err() != nil {
			return Report{}, context.Cause(ctx)
		}
	}
	return report, final(err)
}

// again writes the source anew and does j on that; on the source itself, leniently, if it cannot be written.
func (e *Engine) again(ctx context.Context, j job, src, dst *os.File, args []string) (Report, error) {
	repaired, err := e.repair(ctx, src, args...)
	if err != nil {
		e.log.DebugContext(ctx, "source not repaired", "err", err)
		repaired = src
	} else {
		defer func() { _ = repaired.Close() }() // it is unlinked already
	}
	if dst != nil {
		err = rewind(dst)
		if err != nil {
			return Report{}, err
		}
	}
	return e.child(ctx, j, repaired, dst)
}

// remedies lists the ways of writing a source anew that can help against err, the gentlest first.
func (e *Engine) remedies(err error) [][]string {
	// Pictures come out of the second way bigger than they were, but what their filters are called no longer matters.
	rewrite := [][]string{nil, {"--decode-level=all", "--stream-data=uncompress"}}
	var refusal *template.Error
	var ended *sandbox.Error
	switch {
	case errors.As(err, &refusal) && refusal.Reason == "PDF_ENCRYPTED" && e.cfg.OpenRestricted:
		return [][]string{{"--decrypt"}}
	case errors.As(err, &refusal) && (refusal.Reason == "PDF_BROKEN" || refusal.Reason == "PDF_NO_PAGES"):
		return rewrite
	case errors.As(err, &ended) && ended.Kind == sandbox.Crash:
		return rewrite[:1]
	}
	return nil
}

// final makes of a child's end what it means: a source on which a limit is met, or on which the child falls over, is
// refused for good; a machine in need is not the source's fault.
func final(err error) error {
	var ended *sandbox.Error
	if !errors.As(err, &ended) {
		return err
	}
	switch ended.Kind {
	case sandbox.Memory, sandbox.CPU, sandbox.Output, sandbox.Crash:
		return template.TooComplex(ended.Error())
	}
	return err
}

func rewind(f *os.File) error {
	err := f.Truncate(0)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return err
}

// child runs j once.
func (e *Engine) child(ctx context.Context, j job, src, dst *os.File) (Report, error) {
	args, err := json.Marshal(j)
	if err != nil {
		return Report{}, err
	}
	req := sandbox.Request{Args: args, Files: []*os.File{src}, Limits: e.limits(src)}
	if dst != nil {
		req.Files = append(req.Files, dst)
	}
	started := time.Now()
	out, err := sandbox.Run(ctx, function, req)
	if err != nil {
		return Report{}, err
	}
	var a answer
	err = json.Unmarshal(out, &a)
	if err != nil {
		return Report{}, fmt.Errorf("read a child's answer: %w", err)
	}
	e.log.DebugContext(ctx, "child", "took", time.Since(started), "refused", a.Refused, "unmarked", a.Unmarked)
	switch {
	case a.Refused != nil:
		return Report{}, a.Refused
	case a.Unmarked != nil:
		return Report{}, a.Unmarked
	}
	return a.Report, nil
}

// limits allow a copy a multiple of its source.
func (e *Engine) limits(src *os.File) sandbox.Limits {
	l := e.cfg.Sandbox
	info, err := src.Stat()
	if err == nil {
		l.Output = 3*info.Size() + 64<<20
	}
	return l
}

// repair writes src anew through qpdf, to a file that is unlinked already.
func (e *Engine) repair(ctx context.Context, src *os.File, args ...string) (*os.File, error) {
	// By number, since the source has no name any more; opened anew by it, so that it is read from its start.
	args = append(args, "--warning-exit-0", "/proc/self/fd/3", "-")
	tool, err := sandbox.Command(e.limits(src), "qpdf", args...)
	if err != nil {
		return nil, err
	}
	out, err := os.CreateTemp(e.cfg.TempDir, "repaired-*")
	if err != nil {
		return nil, err
	}
	err = os.Remove(out.Name())
	if err == nil {
		tool.Files, tool.Stdout = []*os.File{src}, out
		err = tool.Run(ctx)
	}
	if err == nil {
		var info os.FileInfo
		info, err = out.Stat()
		if err == nil && info.Size() == 0 {
			err = errors.New("qpdf wrote nothing")
		}
	}
	if err != nil {
		_ = out.Close() // the first error is the one to tell
		return nil, fmt.Errorf("repair: %s", strings.TrimSpace(err.Error()))
	}
	return out, nil
}
