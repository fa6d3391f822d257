package watermark

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark/internal/compile"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
)

// Config is how the service works. The zero value is not valid: take DefaultConfig, or have kong fill it.
type Config struct {
	// MaxPages is the largest number of pages a source may have; one with more is refused.
	MaxPages int `help:"Largest number of pages of a source." default:"5000"`
	// MaxObjects is the largest number of objects that a source's pages may lead to.
	MaxObjects int `help:"Largest number of objects of a source." default:"1000000"`
	// MaxContent is the largest length of all pages' content together, decoded, in bytes.
	MaxContent int64 `help:"Largest decoded length of all pages' content, in bytes." default:"268435456"`
	// Memory is what a child process that reads a PDF may allocate, in bytes; its program comes on top. Below 128 MiB
	// ordinary files fail.
	Memory int64 `help:"Memory of a child process that reads a PDF, in bytes." default:"369098752"`
	// CPU is the processor time of such a child. A script of 120 pages takes 0.02 s.
	CPU time.Duration `help:"Processor time of a child process that reads a PDF." default:"5s"`
	// Wall is how long such a child may run. Reached before CPU it means that the machine is overloaded.
	Wall time.Duration `help:"Longest run of a child process that reads a PDF." default:"90s"`
	// Parallel is how many such children run at once; 0 is one for each processor.
	Parallel int `help:"Child processes at once; 0 is one for each processor." default:"0"`
	// TempDir is where sources and copies lie while they are worked on; the system's if empty.
	TempDir string `help:"Folder for temporary files; the system's if empty."`
	// OpenRestricted takes sources that are encrypted but open without a password, whose author meant to restrict
	// printing or copying. Copies carry no such restrictions.
	OpenRestricted bool `help:"Take sources with usage restrictions that open without a password."`
	// CacheBytes is what templates may take in memory; each takes about what its source does.
	CacheBytes int64 `help:"Memory for templates, in bytes." default:"268435456"`
	// AcceptUnsandboxed runs where the kernel cannot confine a child. Then a hostile PDF that finds a way into the
	// reader has the rights of this process.
	AcceptUnsandboxed bool `name:"i-accept-unsandboxed-pdf" help:"Open PDFs even where the kernel cannot confine the process that does."`
}

// DefaultConfig is what the flags' defaults are.
func DefaultConfig() Config {
	return Config{
		MaxPages: 5000, MaxObjects: 1_000_000, MaxContent: 256 << 20, Memory: 352 << 20, CPU: 5 * time.Second, Wall: 90 * time.Second,
		CacheBytes: 256 << 20,
	}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("watermark: "+format, args...)) }
	if c.MaxPages < 1 {
		wrong("max-pages is %d: want at least 1", c.MaxPages)
	}
	if c.MaxObjects < 100 {
		wrong("max-objects is %d: want at least 100", c.MaxObjects)
	}
	if c.MaxContent < 1<<20 {
		wrong("max-content is %d: want at least 1 MiB (1048576)", c.MaxContent)
	}
	if c.Memory < 128<<20 {
		wrong("memory is %d: want at least 128 MiB (134217728), less does not hold a reader", c.Memory)
	}
	if c.CPU < time.Second {
		wrong("cpu is %s: want at least 1s", c.CPU)
	}
	if c.Wall < c.CPU {
		wrong("wall is %s: want at least cpu, %s", c.Wall, c.CPU)
	}
	if c.CacheBytes < 0 {
		wrong("cache-bytes is %d: want 0 or more", c.CacheBytes)
	}
	if c.Parallel < 0 {
		wrong("parallel is %d: want 0 or more", c.Parallel)
	}
	if c.TempDir != "" {
		info, err := os.Stat(c.TempDir)
		if err != nil {
			wrong("temp-dir: %w", err)
		} else if !info.IsDir() {
			wrong("temp-dir %s is no folder", c.TempDir)
		}
	}
	return errors.Join(errs...)
}

func (c Config) engine() engine.Config {
	parallel := c.Parallel
	if parallel == 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	return engine.Config{
		Limits:  compile.Limits{Pages: c.MaxPages, Objects: c.MaxObjects, Content: c.MaxContent},
		Sandbox: sandbox.Limits{Memory: c.Memory, CPU: c.CPU, Wall: c.Wall, Unconfined: c.AcceptUnsandboxed},
		TempDir: c.TempDir, Parallel: parallel,
	}
}
