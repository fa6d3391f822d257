// Package engine turns sources nobody trusts into templates, and templates into copies. A source is read in a sandboxed
// child, which gets it and an empty file, and is gone afterwards; this process never parses one. What the child made is
// parsed here as a template, which refuses what is none, and stamped without any further look at the source.
//
// A source that cannot be read as it is goes through qpdf, sandboxed likewise, and is tried once more.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark/internal/compile"
	"github.com/filigreehq/filigree/services/watermark/internal/picture"
	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// Config bounds the work.
type Config struct {
	Limits compile.Limits
	// Sandbox bounds a child; its Output is set for each source.
	Sandbox sandbox.Limits
	// TempDir is where templates and documents lie while they are made and looked at; the system's if empty.
	TempDir string
	// Parallel is how many children run at once.
	Parallel int
}

// Engine reads sources. It is safe for concurrent use.
type Engine struct {
	cfg   Config
	log   *slog.Logger
	slots chan struct{}
}

// New returns an engine.
func New(cfg Config, log *slog.Logger) *Engine {
	return &Engine{cfg: cfg, log: log, slots: make(chan struct{}, cfg.Parallel)}
}

// Compile makes a template of src and returns its bytes, for Open. restricted takes a source that is encrypted but opens
// without a password. It refuses for good with a *compile.Error; a *sandbox.Error says that this machine could not do it
// now.
func (e *Engine) Compile(ctx context.Context, src *os.File, restricted bool) ([]byte, error) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	j := job{Limits: e.cfg.Limits}
	raw, err := e.child(ctx, j, src)
	var refusal *compile.Error
	if errors.As(err, &refusal) && refusal.Doubt && !e.encrypted(ctx, src) {
		j.Limits.Plain = true
		raw, err = e.child(ctx, j, src)
	}
	for _, args := range remedies(err, restricted) {
		if err == nil || passing(err) {
			break
		}
		j.Limits.Lenient = true
		raw, err = e.again(ctx, j, src, args)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return raw, final(err)
}

// encrypted asks qpdf whether src is; in doubt it is.
func (e *Engine) encrypted(ctx context.Context, src *os.File) bool {
	tool, err := sandbox.Command(e.limits(src), "qpdf", "--is-encrypted", "/proc/self/fd/3")
	if err != nil {
		return true
	}
	tool.Files = []*os.File{src}
	err = tool.Run(ctx)
	var exit *exec.ExitError
	return !errors.As(err, &exit) || exit.ExitCode() != notEncrypted
}

// notEncrypted is qpdf's exit status for --is-encrypted of a file that is not.
const notEncrypted = 2

// again writes the source anew and does j on that; on the source itself, leniently, if it cannot be written.
func (e *Engine) again(ctx context.Context, j job, src *os.File, args []string) ([]byte, error) {
	repaired, err := e.repair(ctx, src, args...)
	if passing(err) {
		return nil, err
	}
	if err != nil {
		e.log.DebugContext(ctx, "source not repaired", "err", err)
		return e.child(ctx, j, src)
	}
	defer func() { _ = repaired.Close() }() // it is unlinked already
	return e.child(ctx, j, repaired)
}

// passing reports whether err says nothing of the source: this machine had no room or no time for it just now.
func passing(err error) bool {
	var ended *sandbox.Error
	return errors.Is(err, ErrDisk) || errors.As(err, &ended) &&
		(ended.Kind == sandbox.Time || ended.Kind == sandbox.Killed || ended.Kind == sandbox.Unavailable)
}

// remedies lists the ways of writing a source anew that can help against err, the gentlest first.
func remedies(err error, restricted bool) [][]string {
	// Pictures come out of the second way bigger than they were, but what their filters are called no longer matters.
	rewrite := [][]string{nil, {"--decode-level=all", "--stream-data=uncompress"}}
	var refusal *compile.Error
	var ended *sandbox.Error
	switch {
	case errors.As(err, &refusal) && refusal.Reason == "PDF_ENCRYPTED" && restricted:
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
		return compile.TooComplex(ended.Error())
	}
	return err
}

// child does j once and returns the template.
func (e *Engine) child(ctx context.Context, j job, src *os.File) ([]byte, error) {
	args, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	dst, err := e.scratch("template-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = dst.Close() }() // unlinked, and read before
	started := time.Now()
	out, err := sandbox.Run(ctx, function, sandbox.Request{Args: args, Files: []*os.File{src, dst}, Limits: e.limits(src)})
	if err != nil {
		return nil, full(err)
	}
	var a answer
	err = json.Unmarshal(out, &a)
	if err != nil {
		return nil, fmt.Errorf("read a child's answer: %w", err)
	}
	e.log.DebugContext(ctx, "source read", "took", time.Since(started), "refused", a.Refused)
	if a.Refused != nil {
		return nil, a.Refused
	}
	info, err := dst.Stat()
	if err != nil {
		return nil, err
	}
	raw := make([]byte, info.Size())
	_, err = dst.ReadAt(raw, 0)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	return raw, nil
}

// maxPicture is how long the template of a picture may be, whatever its file's length: its pixels take what they take.
const maxPicture = 512 << 20

// limits allow a template a multiple of its source.
func (e *Engine) limits(src *os.File) sandbox.Limits {
	l := e.cfg.Sandbox
	info, err := src.Stat()
	if err == nil {
		l.Output = 3*info.Size() + 64<<20
	}
	head := make([]byte, headLen)
	n, _ := src.ReadAt(head, 0) // what cannot be read is found out by the child
	if isPicture(head[:n]) {
		l.Output = maxPicture
	}
	return l
}

// ErrDisk is what lies behind the error where no temporary file can be made, or none as long as is needed.
var ErrDisk = errors.New("no temporary file")

// full finds out whether err comes of a disk that is full. A child can say so in words only.
func full(err error) error {
	if err == nil || !errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), preflight.NoSpace) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDisk, err)
}

// scratch makes a temporary file without a name.
func (e *Engine) scratch(pattern string) (*os.File, error) {
	f, err := os.CreateTemp(e.cfg.TempDir, pattern)
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return f, nil
}

// repair writes src anew through qpdf, to a file that is unlinked already.
func (e *Engine) repair(ctx context.Context, src *os.File, args ...string) (*os.File, error) {
	// By number, since the source has no name any more; opened anew by it, so that it is read from its start.
	args = append(args, "--warning-exit-0", "/proc/self/fd/3", "-")
	tool, err := sandbox.Command(e.limits(src), "qpdf", args...)
	if err != nil {
		return nil, err
	}
	out, err := e.scratch("repaired-*")
	if err != nil {
		return nil, err
	}
	tool.Files, tool.Stdout = []*os.File{src}, out
	err = tool.Run(ctx)
	if err == nil {
		var info os.FileInfo
		info, err = out.Stat()
		if err == nil && info.Size() == 0 {
			err = errors.New("qpdf wrote nothing")
		}
		if err == nil {
			err = preflight.Whole(out)
		}
	}
	if err != nil {
		_ = out.Close() // the first error is the one to tell
		return nil, fmt.Errorf("repair: %w", full(err))
	}
	return out, nil
}

// Open reads what Compile returned, which must not change any more.
func Open(raw []byte) (*Template, error) {
	if template.Is(raw) {
		t, err := template.Parse(raw)
		if err != nil {
			return nil, err
		}
		return &Template{pdf: t}, nil
	}
	t, err := picture.Open(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", template.ErrDamaged, err)
	}
	return &Template{picture: t, size: int64(len(raw))}, nil
}
