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

	"github.com/filigreehq/filigree/pkg/fault"
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
// what passes here can be stamped. Errors are faults.
func (e *Engine) Inspect(ctx context.Context, src *os.File) (Report, error) {
	return e.run(ctx, job{Limits: e.cfg.Limits, Template: "{name}", Fields: map[string]string{"name": "Sample"}}, src, nil)
}

// Stamp writes a copy of src to dst, which must be empty. Errors are faults; dst is of no use after one.
func (e *Engine) Stamp(ctx context.Context, src, dst *os.File, r Recipe) (Report, error) {
	_, err := mark.Compose(r.Template, r.Fields) // refuses what cannot be drawn before a child is started
	if err != nil {
		return Report{}, MarkFault(err)
	}
	return e.run(ctx, job{Limits: e.cfg.Limits, Template: r.Template, Fields: r.Fields, Seed: r.Seed, Password: r.Password}, src, dst)
}

// MarkFault makes an error of package mark a fault.
func MarkFault(err error) error {
	var m *mark.Error
	if errors.As(err, &m) {
		return fault.New(fault.Invalid, m.Reason, "%s", m.Message)
	}
	return err
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
	var args []string
	switch reason(err) {
	case "PDF_BROKEN", "PDF_NO_PAGES", crashed:
	case "PDF_ENCRYPTED":
		if !e.cfg.OpenRestricted {
			return Report{}, err
		}
		args = []string{"--decrypt"}
	default:
		return report, err
	}
	j.Limits.Lenient = true
	repaired, repairErr := e.repair(ctx, src, args...)
	if ctx.Err() != nil {
		return Report{}, context.Cause(ctx)
	}
	if repairErr != nil {
		e.log.DebugContext(ctx, "source not repaired", "err", repairErr)
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
	report, err = e.child(ctx, j, repaired, dst)
	return report, refused(err)
}

func rewind(f *os.File) error {
	err := f.Truncate(0)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return err
}

// crashed is the reason of a child that fell over, until it is known whether a repair helps.
const crashed = "crashed"

func reason(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Reason
	}
	return ""
}

// refused is err as it leaves the engine: a source on which the child falls over is too much for us, for good.
func refused(err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Reason == crashed {
		return sourceFault(template.TooComplex(f.Error()))
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
		return Report{}, childFault(err)
	}
	var a answer
	err = json.Unmarshal(out, &a)
	if err != nil {
		return Report{}, fmt.Errorf("read a child's answer: %w", err)
	}
	e.log.DebugContext(ctx, "child", "took", time.Since(started), "refusal", a.Reason, "detail", a.Detail)
	if a.Reason != "" {
		return Report{}, fault.New(fault.Invalid, a.Reason, "%s", a.Message).Because(errors.New(a.Detail))
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

// childFault says what a child's end means to the caller: a limit met is the source's fault, a machine in need is ours.
func childFault(err error) error {
	var s *sandbox.Error
	if !errors.As(err, &s) {
		return err
	}
	switch s.Kind {
	case sandbox.Memory, sandbox.CPU, sandbox.Output:
		return sourceFault(template.TooComplex(s.Error()))
	case sandbox.Crash:
		return fault.New(fault.Invalid, crashed, "%s", s.Error())
	case sandbox.Time, sandbox.Killed:
		return fault.New(fault.Unavailable, "WATERMARK_OVERLOADED", "this machine had too little time or memory for the copy; it will be tried again").Because(err)
	case sandbox.Unavailable:
		return fault.New(fault.Unavailable, "SANDBOX_UNAVAILABLE", "the sandbox in which PDFs are opened could not be started on this machine").Because(err)
	}
	return fault.New(fault.Internal, "INTERNAL", "the copy could not be made; it was logged and will be tried again").Because(err)
}

func sourceFault(err error) error {
	var t *template.Error
	if errors.As(err, &t) {
		return fault.New(fault.Invalid, t.Reason, "%s", t.Message).Because(errors.New(t.Detail))
	}
	return err
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
