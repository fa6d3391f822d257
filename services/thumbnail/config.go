package thumbnail

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/thumbnail/internal/raster"
)

// Config is how the service works. The zero value is not valid: take DefaultConfig, or have kong fill it.
type Config struct {
	// CacheBytes is what rendered pages may take in memory. A page of the default width takes 0.3 MB in grey and 1.2 MB
	// in colour.
	CacheBytes int64 `help:"Memory for rendered pages, in bytes." default:"134217728"`
	// MaxPixels is the largest picture. A page that would come out larger comes out narrower.
	MaxPixels int `help:"Largest number of pixels of a picture; a page that would need more is made smaller." default:"4000000"`
	// Memory is what a child process that renders a page may allocate, in bytes.
	Memory int64 `help:"Memory of a child process that renders a page, in bytes." default:"536870912"`
	// CPU is the processor time of such a child.
	CPU time.Duration `help:"Processor time of a child process that renders a page." default:"10s"`
	// Wall is how long such a child may run. Reached before CPU it means that the machine is overloaded.
	Wall time.Duration `help:"Longest run of a child process that renders a page." default:"30s"`
	// Parallel is how many such children run at once; 0 is one for each processor.
	Parallel int `help:"Child processes at once; 0 is one for each processor." default:"0"`
	// TempDir is where sources and rendered pages lie while they are worked on, without a name; the system's if empty.
	TempDir string `help:"Folder for temporary files; the system's if empty."`
	// AcceptUnsandboxed runs where the kernel cannot confine a child. Then a hostile PDF that finds a way into the
	// renderer has the rights of this process.
	AcceptUnsandboxed bool `name:"i-accept-unsandboxed-pdf" help:"Render PDFs even where the kernel cannot confine the process that does."`
}

// DefaultConfig is what the flags' defaults are.
func DefaultConfig() Config {
	return Config{CacheBytes: 128 << 20, MaxPixels: 4_000_000, Memory: 512 << 20, CPU: 10 * time.Second, Wall: 30 * time.Second}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("thumbnail: "+format, args...)) }
	if c.CacheBytes < 16<<20 {
		wrong("cache-bytes is %d: want at least 16 MiB (16777216), less does not hold the pages of one distribution", c.CacheBytes)
	}
	if c.MaxPixels < 100_000 || c.MaxPixels > 50_000_000 {
		wrong("max-pixels is %d: want between 100,000 and 50,000,000", c.MaxPixels)
	}
	if c.Memory < 128<<20 {
		wrong("memory is %d: want at least 128 MiB (134217728), less does not hold a renderer", c.Memory)
	}
	if c.CPU < time.Second {
		wrong("cpu is %s: want at least 1s", c.CPU)
	}
	if c.Wall < c.CPU {
		wrong("wall is %s: want at least cpu, %s", c.Wall, c.CPU)
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

func (c Config) renderer() raster.Config {
	parallel := c.Parallel
	if parallel == 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	return raster.Config{
		Sandbox: sandbox.Limits{Memory: c.Memory, CPU: c.CPU, Wall: c.Wall, Unconfined: c.AcceptUnsandboxed},
		TempDir: c.TempDir, Parallel: parallel,
	}
}
