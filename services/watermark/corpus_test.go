package watermark_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/watermark"
)

// allowed are the refusals a bad source may meet.
var allowed = regexp.MustCompile(`^(FILE_EMPTY|PDF_(NOT_A_PDF|ENCRYPTED|BROKEN|NO_PAGES|TOO_MANY_PAGES|TOO_COMPLEX|MARK_HIDDEN|MARK_DISTURBS|UNRENDERABLE)|MARK_OBSCURES_TEXT)$`)

// wanted is the share of files that others open without a password of which copies must be made.
const wanted = 0.99

// bombsOf are files that others open only because nobody asks them to read all of it; they are to be refused.
var bombsOf = map[string]bool{"deflate-bomb-10GB.pdf": true}

// excused are findings that are no fault of a copy, by file and rule, and why.
var excused = map[string]map[string]string{
	"ctm_cm.pdf":                    {ruleUntouched: "poppler and mutool show different things of the source"},
	"H3-bomb-in-obj-number.pdf":     {ruleUntouched: "readers differ in which of two objects numbered alike counts", ruleText: "likewise"},
	"gh-239.pdf":                    {ruleText: "its second page's content is cut, and readers differ in what they still find", ruleQuiet: "likewise"},
	"loop-in-page-ancestors.pdf":    {ruleQuiet: "mutool shows nothing of the source, so it has nothing to complain of"},
	"L3-multible-page-dicts.pdf":    {ruleBoxes: "the page tree announces a page that there is not", rulePages: "likewise"},
	"A3-pages-tree-loop-simple.pdf": {ruleBoxes: "the page tree announces a page that there is not", rulePages: "likewise"},
}

// Every file of the corpus becomes a copy against which three independent readers have nothing to say, or is refused by
// a stable code.
func TestCorpus(t *testing.T) {
	files := corpus(t)
	needTools(t)
	local := newLocal(t)
	var mu sync.Mutex
	var openable, made int
	var failures []string
	// `make test` takes one file of three, which is four minutes less; `make gauntlet` takes all.
	whole := os.Getenv("FILIGREE_MUTANTS") != ""
	slots := make(chan struct{}, 2)
	t.Run("files", func(t *testing.T) {
		for i, path := range files {
			if !whole && i%3 != 0 || testing.Short() && i%15 != 0 {
				continue
			}
			name := filepath.Base(path)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				c := court{ctx: t.Context(), dir: t.TempDir()}
				opens := !bombsOf[name] && c.opens(path)
				out := filepath.Join(t.TempDir(), "copy.pdf")
				got, err := stampFile(t.Context(), local, path, out, watermark.Copy{Fields: somebody})
				mu.Lock()
				if opens {
					openable++
					if err == nil {
						made++
					} else {
						failures = append(failures, fmt.Sprintf("%s: %v", name, err))
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
				src, copied := c.look(path), c.look(out)
				found := append(c.compare(src, copied, got.Pages), c.leftovers(src, copied)...)
				for _, f := range found {
					if why := excused[name][f.rule]; why != "" {
						t.Logf("excused, since %s: %s: %s", why, f.rule, f.detail)
					} else {
						t.Errorf("%s: %s", f.rule, f.detail)
					}
				}
				tooLong(t, path, out)
			})
		}
	})
	t.Logf("copies of %d of %d files that others open; not of\n%s", made, openable, strings.Join(failures, "\n"))
	fewest := wanted * float64(openable)
	if !whole {
		fewest-- // one is more than a hundredth of these
	}
	if openable == 0 || float64(made) < fewest {
		t.Errorf("copies of %d of %d files, want %.0f %%", made, openable, 100*wanted)
	}
}

// corpus lists the real PDFs there are to test with.
func corpus(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("FILIGREE_CORPUS")
	if dir == "" {
		t.Skip("FILIGREE_CORPUS names no folder of PDFs")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.pdf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no PDFs in %s: %v", dir, err)
	}
	return files
}

// tooLong holds a copy's length against its source's.
func tooLong(t *testing.T, src, out string) {
	t.Helper()
	a, err := os.Stat(src)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	if b.Size() > longest(a.Size()) {
		t.Errorf("the copy has %d bytes, its source %d", b.Size(), a.Size())
	}
}

// longest is how long a copy of so many bytes may be.
func longest(n int64) int64 { return 3*n + 2<<20 }

// opens reports whether qpdf and one of mutool and poppler open the file without a password and find pages.
func (c court) opens(path string) bool {
	h := c.ask("qpdf", "--warning-exit-0", "--show-npages", path)
	if h.err != nil || strings.TrimSpace(h.out) == "0" {
		return false
	}
	if c.ask("qpdf", "--is-encrypted", path).err == nil {
		return false // refused by policy; see TestEncryptedCorpus
	}
	return c.ask("pdfinfo", path).err == nil || c.ask("mutool", "show", path, "trailer/Root/Pages/Count").err == nil
}

// What is encrypted is refused by its code; what opens without a password is taken where a production allows it, and
// is the same then as what qpdf decrypts.
func TestEncryptedCorpus(t *testing.T) {
	needTools(t)
	strict := newLocal(t)
	cfg := watermark.DefaultConfig()
	cfg.OpenRestricted = true
	open, err := watermark.NewLocal(cfg, newKeys(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	locked, restricted := 0, 0
	for _, path := range corpus(t) {
		c := court{ctx: t.Context(), dir: t.TempDir()}
		requires := c.ask("qpdf", "--requires-password", path)
		if requires.code != 0 && requires.code != 3 {
			continue // it is not encrypted, or in a way that qpdf does not know
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "copy.pdf")
			_, err := stampFile(t.Context(), strict, path, out, watermark.Copy{Fields: somebody})
			wantFault(t, err, "PDF_ENCRYPTED")
			made, err := stampFile(t.Context(), open, path, out, watermark.Copy{Fields: somebody})
			if requires.code == 0 {
				locked++
				wantFault(t, err, "PDF_ENCRYPTED")
				return
			}
			restricted++
			if err != nil {
				t.Fatalf("it opens without a password: %v", err)
			}
			plain := filepath.Join(t.TempDir(), "plain.pdf")
			h := c.ask("qpdf", "--decrypt", "--warning-exit-0", path, plain)
			if h.err != nil {
				t.Fatal(h.err)
			}
			judge(t, plain, out, made.Pages)
		})
	}
	t.Logf("%d files need a password, %d are restricted", locked, restricted)
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
