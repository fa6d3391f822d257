// Package raster makes pictures of pages: poppler, in a sandbox, renders what the page shows, and the mark is drawn on
// it with the outlines, places and tones that a copy has.
package raster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/sandbox"
)

const tool = "pdftoppm"

// Config bounds the work.
type Config struct {
	Sandbox sandbox.Limits
	// TempDir is where a rendered page lies until it is read, without a name; the system's if empty.
	TempDir string
	// Parallel is how many children run at once.
	Parallel int
}

// Renderer renders pages. It is safe for concurrent use.
type Renderer struct {
	cfg   Config
	slots chan struct{}
	tool  string

	scratch scratch
}

// New returns a renderer; it fails where there is no poppler.
func New(ctx context.Context, cfg Config) (*Renderer, error) {
	// It tells its version on standard error, and reads nothing.
	out, err := exec.CommandContext(ctx, tool, "-v").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("pages are rendered by poppler's %s, which does not run here (Debian has it in poppler-utils): %w", tool, err)
	}
	version, _, _ := strings.Cut(string(out), "\n")
	version = strings.TrimSpace(strings.TrimPrefix(version, tool+" version"))
	return &Renderer{cfg: cfg, slots: make(chan struct{}, cfg.Parallel), tool: "poppler " + version}, nil
}

// Tool names what renders, with its version.
func (r *Renderer) Tool() string { return r.tool }

// Page renders page number of src, counted from 1, without any mark, into exactly size. Errors are faults, or those of
// this machine.
func (r *Renderer) Page(ctx context.Context, src *os.File, number int, size Size) (*Base, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	out, err := os.CreateTemp(r.cfg.TempDir, "page-*")
	if err == nil {
		err = os.Remove(out.Name())
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "DISK_UNAVAILABLE", "no temporary file could be made; it will be tried again").Because(err)
	}
	defer func() { _ = out.Close() }() // unlinked, and read before
	limits := r.cfg.Sandbox
	limits.Output = int64(size.Width)*int64(size.Height)*3 + 64<<10
	page := strconv.Itoa(number)
	// By number, since the source has no name any more; opened anew by it, so that it is read from its start.
	// The longer side's length sets the scale, whatever way the page is turned; the width and height cut off what poppler
	// rounds up to, and bound the picture should it see another box than we do.
	t, err := sandbox.Command(limits, tool, "-f", page, "-l", page, "-singlefile", "-cropbox",
		"-scale-to", strconv.Itoa(max(size.Width, size.Height)), "-W", strconv.Itoa(size.Width), "-H", strconv.Itoa(size.Height), "/proc/self/fd/3")
	if err != nil {
		return nil, fault.New(fault.Unavailable, "RENDERER_MISSING", "poppler's %s is not installed on this machine", tool).Because(err)
	}
	t.Files, t.Stdout = []*os.File{src}, out
	err = t.Run(ctx)
	if err != nil {
		return nil, childFault(err)
	}
	_, err = out.Seek(0, io.SeekStart)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(out, limits.Output))
	if err != nil {
		return nil, err
	}
	base, err := readPPM(data, size, &r.scratch)
	if err != nil {
		return nil, unrenderable(err)
	}
	return base, nil
}

func unrenderable(err error) error {
	return fault.New(fault.Invalid, "PDF_UNRENDERABLE", "no picture could be made of this page; copies of the document are not concerned").Because(err)
}

// childFault says what a child's end means to the caller: a limit met is the source's fault, a machine in need is ours.
func childFault(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return unrenderable(err)
	}
	var s *sandbox.Error
	if !errors.As(err, &s) {
		return err
	}
	switch s.Kind {
	case sandbox.Memory, sandbox.CPU, sandbox.Output:
		return fault.New(fault.Invalid, "PDF_TOO_COMPLEX", "this page takes more time or memory to render than a picture of it may; copies of the document are not concerned").Because(err)
	case sandbox.Crash:
		return unrenderable(err)
	case sandbox.Time, sandbox.Killed:
		return fault.New(fault.Unavailable, "THUMBNAIL_OVERLOADED", "this machine had too little time or memory for the picture; it will be tried again").Because(err)
	case sandbox.Unavailable:
		return fault.New(fault.Unavailable, "SANDBOX_UNAVAILABLE", "the sandbox in which PDFs are opened could not be started on this machine").Because(err)
	}
	return fault.New(fault.Internal, "INTERNAL", "the picture could not be made; it was logged and will be tried again").Because(err)
}

// readPPM reads a picture of exactly size, as poppler writes it.
func readPPM(data []byte, size Size, s *scratch) (*Base, error) {
	header := fmt.Appendf(nil, "P6\n%d %d\n255\n", size.Width, size.Height)
	pixels, ok := bytes.CutPrefix(data, header)
	if !ok || len(pixels) != size.Width*size.Height*3 {
		return nil, fmt.Errorf("poppler wrote %d bytes starting %.20q, want a picture of %d by %d", len(data), data, size.Width, size.Height)
	}
	return newBase(pixels, size, s), nil
}
