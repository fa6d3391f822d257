package watermark_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark"
)

// allowed are the refusals a bad source may meet.
var allowed = regexp.MustCompile(`^(FILE_EMPTY|PDF_(NOT_A_PDF|ENCRYPTED|BROKEN|NO_PAGES|TOO_MANY_PAGES|TOO_COMPLEX))$`)

// wanted is the share of files that others open without a password of which copies must be made.
const wanted = 0.95

// liars are hostile files whose page tree announces pages that it does not lead to.
var liars = map[string]bool{"A3-pages-tree-loop-simple.pdf": true, "L3-multible-page-dicts.pdf": true}

// disputed are broken files of which readers show different things, so that poppler's view of the source is no measure.
var disputed = map[string]bool{"H3-bomb-in-obj-number.pdf": true, "ctm_cm.pdf": true}

// Every file of the corpus becomes a copy that three independent readers open, with the pages of the source and a mark
// on each, or is refused by a stable code.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("FILIGREE_CORPUS")
	if dir == "" {
		t.Skip("FILIGREE_CORPUS names no folder of PDFs")
	}
	needTools(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.pdf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no PDFs in %s: %v", dir, err)
	}
	local := newLocal(t)
	var mu sync.Mutex
	var openable, made int
	var failures []string
	slots := make(chan struct{}, 2)
	t.Run("files", func(t *testing.T) {
		for i, path := range files {
			if testing.Short() && i%5 != 0 {
				continue
			}
			t.Run(filepath.Base(path), func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				opens := othersOpen(t, path)
				out := filepath.Join(t.TempDir(), "copy.pdf")
				got, err := stampFile(t.Context(), local, path, out, watermark.Copy{Fields: somebody})
				mu.Lock()
				if opens {
					openable++
					if err == nil {
						made++
					} else {
						failures = append(failures, fmt.Sprintf("%s: %v", filepath.Base(path), err))
					}
				}
				mu.Unlock()
				if err != nil {
					var f *fault.Error
					if !errors.As(err, &f) || !allowed.MatchString(f.Reason) || f.Transient() {
						t.Fatalf("refused by no stable code: %v", err)
					}
					t.Logf("refused: %v", err)
					return
				}
				judge(t, path, out, got.Pages)
			})
		}
	})
	t.Logf("copies of %d of %d files that others open; not of\n%s", made, openable, strings.Join(failures, "\n"))
	if float64(made) < wanted*float64(openable) {
		t.Errorf("copies of %d of %d files, want %.0f %%", made, openable, 100*wanted)
	}
}

// judge has qpdf, mutool and poppler look at a copy.
func judge(t *testing.T, src, out string, pages int) {
	t.Helper()
	report, err := tool(t, "qpdf", "--check", out)
	if err != nil {
		_, was := tool(t, "qpdf", "--check", src)
		var exit *exec.ExitError
		if was == nil || !errors.As(err, &exit) || exit.ExitCode() != 3 { // warnings of what the source has, too
			t.Errorf("qpdf finds fault: %v\n%s", err, report)
		}
	}
	n, ok := pageCount(t, out)
	if !ok || n != pages {
		t.Errorf("qpdf counts %d pages in the copy, want %d", n, pages)
	}
	n, ok = pageCount(t, src)
	if ok && n > 0 && n != pages && !liars[filepath.Base(src)] {
		t.Errorf("the copy has %d pages, its source %d", pages, n)
	}
	info, err := tool(t, "mutool", "show", out, "trailer/Root/Pages/Count")
	if err != nil || strings.TrimSpace(info) != strconv.Itoa(pages) {
		t.Errorf("mutool sees %q pages, want %d: %v", info, pages, err)
	}
	oneRevision(t, out)
	marked, err := render(t, out)
	if err != nil {
		t.Errorf("poppler: %v", err)
		return
	}
	if len(marked) != pages {
		t.Errorf("poppler renders %d pages, want %d", len(marked), pages)
		return
	}
	plain, err := render(t, src)
	if err != nil || len(plain) != pages {
		t.Logf("poppler renders %d pages of the source, so nothing to compare with: %v", len(plain), err)
		return
	}
	for i := range pages {
		changed, ruined := difference(plain[i], marked[i])
		if changed < 0.004 {
			t.Errorf("page %d: the mark changes %.4f of it, so it cannot be seen", i+1, changed)
		}
		if ruined > 0.05 && !disputed[filepath.Base(src)] {
			t.Errorf("page %d: %.3f of it looks quite different", i+1, ruined)
		}
	}
}

func oneRevision(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(data, []byte("startxref")); n != 1 {
		t.Errorf("startxref stands %d times, want once", n)
	}
	if bytes.Contains(data[len(data)-min(len(data), 2048):], []byte("/Prev")) {
		t.Error("there is an earlier revision")
	}
}

// othersOpen reports whether qpdf and one of mutool and poppler open the file without a password and find pages.
func othersOpen(t *testing.T, path string) bool {
	t.Helper()
	n, ok := pageCount(t, path)
	if !ok || n == 0 {
		return false
	}
	_, err := tool(t, "qpdf", "--is-encrypted", path)
	if err == nil {
		return false // refused by policy; see TestRestrictedSources
	}
	_, err = tool(t, "pdfinfo", path)
	if err == nil {
		return true
	}
	_, err = tool(t, "mutool", "show", path, "trailer/Root/Pages/Count")
	return err == nil
}

func pageCount(t *testing.T, path string) (int, bool) {
	t.Helper()
	out, err := tool(t, "qpdf", "--warning-exit-0", "--show-npages", path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(out))
	return n, err == nil
}

// tool runs a judge under limits, since corpora hold files that hang judges, and returns what it wrote.
func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c, err := sandbox.Command(sandbox.Limits{Memory: 2 << 30, CPU: 20 * time.Second, Wall: time.Minute}, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout = out
	err = c.Run(t.Context())
	said, readErr := os.ReadFile(out.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(said), err
}

func needTools(t *testing.T) {
	t.Helper()
	for _, name := range []string{"qpdf", "mutool", "pdftoppm", "pdfinfo"} {
		_, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("%s is not installed: %v", name, err)
		}
	}
}

// raster is a rendered page, one byte of grey a pixel.
type raster struct {
	width, height int
	pixels        []byte
}

// render has poppler draw all pages, small.
func render(t *testing.T, path string, args ...string) ([]raster, error) {
	t.Helper()
	dir := t.TempDir()
	args = append(args, "-gray", "-cropbox", "-scale-to", "160", path, filepath.Join(dir, "page"))
	_, err := tool(t, "pdftoppm", args...)
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "page-*.pgm")) // sorted; numbers have leading zeros
	if err != nil {
		return nil, err
	}
	pages := make([]raster, len(names))
	for i, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		pages[i], err = readPGM(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return pages, nil
}

func readPGM(data []byte) (raster, error) {
	var r raster
	var depth int
	_, err := fmt.Sscanf(string(data[:min(len(data), 40)]), "P5\n%d %d\n%d", &r.width, &r.height, &depth)
	if err != nil || len(data) < r.width*r.height {
		return r, fmt.Errorf("no PGM: %w", err)
	}
	r.pixels = data[len(data)-r.width*r.height:]
	return r, nil
}

// difference returns the share of pixels that differ at all, and of those that differ by more than a mark explains.
func difference(a, b raster) (changed, ruined float64) {
	if a.width != b.width || a.height != b.height || len(a.pixels) == 0 {
		return 1, 1
	}
	for i := range a.pixels {
		d := int(a.pixels[i]) - int(b.pixels[i])
		if d > 3 || d < -3 {
			changed++
		}
		if d > 110 || d < -110 {
			ruined++
		}
	}
	n := float64(len(a.pixels))
	return changed / n, ruined / n
}

func stampFile(ctx context.Context, local *watermark.Local, in, out string, c watermark.Copy) (watermark.Made, error) {
	src, err := os.Open(in)
	if err != nil {
		return watermark.Made{}, err
	}
	defer src.Close()
	dst, err := os.Create(out)
	if err != nil {
		return watermark.Made{}, err
	}
	made, err := local.Stamp(ctx, src, dst, c)
	return made, errors.Join(err, dst.Close())
}
