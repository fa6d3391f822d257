package removal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark"
	"github.com/filigreehq/filigree/services/watermark/internal/compile"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
	"github.com/filigreehq/filigree/services/watermark/internal/removal"
	"github.com/filigreehq/filigree/services/watermark/internal/stamp"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// pages is how many pages of a document are attacked; later ones are marked in no other way.
const pages = 6

// source is a document to be marked.
type source struct{ name, path string }

// sources are generated documents and, unless tests are to be short, those of the corpus: every twentieth, or all if
// FILIGREE_REMOVAL is "all".
func sources(t *testing.T) []source {
	t.Helper()
	list := generated(t)
	dir := os.Getenv("FILIGREE_CORPUS")
	if testing.Short() || dir == "" {
		return list
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.pdf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no PDFs in %s: %v", dir, err)
	}
	for i, path := range files {
		if all() || i%20 == 0 {
			list = append(list, source{filepath.Base(path), path})
		}
	}
	return list
}

func all() bool { return os.Getenv("FILIGREE_REMOVAL") == "all" }

// tally is what an attack came to on all documents, whatever qpdf did first: pages where it did so once.
type tally struct {
	did, equal, blank, faint, untraced, files map[string]bool
}

// tallies are those of all attacks, in order. They are safe for concurrent use.
type tallies struct {
	mu     sync.Mutex
	names  []string
	of     map[string]tally
	copies int
	pages  int
	blank  map[string]bool // pages that are empty without a mark
}

func (ts *tallies) add(file string, r removal.Report) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.of == nil {
		ts.of, ts.blank = map[string]tally{}, map[string]bool{}
	}
	ts.copies++
	ts.pages += r.Pages
	for _, f := range r.Findings {
		name := unprepared(f.Attack)
		t, known := ts.of[name]
		if !known {
			t = tally{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
			ts.of[name] = t
			ts.names = append(ts.names, name)
		}
		page := fmt.Sprintf("%s, page %d", file, f.Page)
		note(t.did, page, f.Did)
		note(t.faint, page, !f.Plain)
		note(t.untraced, page, !f.Traced)
		note(t.equal, page, f.Equal)
		note(t.blank, page, f.Equal && f.Blank)
		note(t.files, file, f.Equal)
		note(ts.blank, page, f.Blank)
	}
}

func note(m map[string]bool, key string, is bool) {
	if is {
		m[key] = true
	}
}

// traced is the share of pages that say whose they are after an attack.
func (ts *tallies) traced(name string) float64 {
	return 1 - float64(len(ts.of[name].untraced))/float64(max(1, ts.pages))
}

// unprepared is an attack's name without what qpdf does before it.
func unprepared(name string) string {
	_, plain, ok := strings.Cut(name, ": ")
	if ok {
		return plain
	}
	return name
}

// String is a table.
func (ts *tallies) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d copies, %d pages, of which without a mark are empty: %q\n", ts.copies, ts.pages, slices.Sorted(maps.Keys(ts.blank)))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "pages changed\tequal to unmarked\tof them empty\tin files\tmark not plain\tstill traced\t  attack") // to memory
	for _, name := range ts.names {
		t := ts.of[name]
		_, _ = fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%.1f %%\t  %s\n",
			len(t.did), len(t.equal), len(t.blank), len(t.files), len(t.faint), 100*ts.traced(name), name)
	}
	_ = w.Flush()
	return b.String()
}

// standard are the attacks, each alone and with the forms, after which nearly all pages are to say whose copy they are.
var standard = []string{
	"forms", "annotations", "layers", "artifacts", "first stream", "last stream", "last group", "rotated text",
	"transparent text", "image masks", "pdfcpu stamp remove",
}

// No attack makes a page of a copy what it would be without a mark, unless it is empty then; and those that most tools
// offer leave the hidden id on nearly every page.
func TestRemoval(t *testing.T) {
	need.Programs(t, "qpdf", "pdftoppm")
	p := newPress(t)
	var ts tallies
	t.Run("files", func(t *testing.T) {
		each(t, sources(t), func(t *testing.T, s source) {
			dir := t.TempDir()
			c := removal.Case{Dir: dir, Pages: pages}
			if !p.stamp(t, s, dir, &c, "Zoë Müller-Ångström") {
				return
			}
			r := judge(t, c)
			if len(r.Unmarked) > 0 {
				t.Errorf("pages %v show no plain mark even before an attack", r.Unmarked)
			}
			if len(r.Untraced) > 0 {
				t.Errorf("pages %v do not say whose copy it is even before an attack", r.Untraced)
			}
			if len(r.Resized) > 0 {
				t.Errorf("pages %v have another size with the mark than without", r.Resized)
			}
			ts.add(s.name, r)
			equal, emptied := map[string][]string{}, map[int]bool{}
			for _, f := range r.Findings {
				name := unprepared(f.Attack)
				switch {
				case f.Equal && f.Blank:
					emptied[f.Page] = true
				case f.Equal:
					equal[name] = append(equal[name], strconv.Itoa(f.Page))
				}
			}
			for page := range emptied {
				t.Logf("page %d, empty without a mark, was emptied again", page)
			}
			for _, name := range slices.Sorted(maps.Keys(equal)) {
				t.Errorf("%s: pages %v are as if never marked", name, slices.Compact(slices.Sorted(slices.Values(equal[name]))))
			}
		})
	})
	t.Log(ts.String())
	for _, name := range ts.names {
		alone := strings.TrimSuffix(name, " and forms")
		if got := ts.traced(name); slices.Contains(standard, alone) && got < 0.95 {
			t.Errorf("%s: %.1f %% of the pages still say whose copy they are, want 95 %% at least", name, 100*got)
		}
	}
	if all() && ts.copies < 100 {
		t.Errorf("only %d documents were attacked, want 100 at least", ts.copies)
	}
}

// judge attacks a copy. The test ends where poppler cannot show the document.
func judge(t *testing.T, c removal.Case) removal.Report {
	t.Helper()
	r, err := removal.Judge(t.Context(), c)
	if errors.Is(err, removal.ErrNoReference) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// each runs f for all sources, two at a time.
func each(t *testing.T, list []source, f func(*testing.T, source)) {
	slots := make(chan struct{}, 2)
	for _, s := range list {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			f(t, s)
		})
	}
}

// press makes copies, under the same keys in each run.
type press struct {
	local  *watermark.Local
	engine *engine.Engine
	tracer *watermark.Tracer
}

func newPress(t *testing.T) *press {
	t.Helper()
	keys, err := keyring.Parse([]byte(`{"active":1,"keys":{"1":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}}`))
	if err != nil {
		t.Fatal(err)
	}
	log, cfg := slog.New(slog.DiscardHandler), watermark.DefaultConfig()
	local, err := watermark.NewLocal(cfg, keys, log)
	need.Working(t, "copies", err)
	tracer, err := watermark.NewTracer(cfg, keys, log)
	if err != nil {
		t.Fatal(err)
	}
	return &press{local: local, tracer: tracer, engine: engine.New(engine.Config{
		Limits:   compile.Limits{Pages: cfg.MaxPages, Objects: cfg.MaxObjects, Content: cfg.MaxContent},
		Sandbox:  sandbox.Limits{Memory: cfg.Memory, CPU: cfg.CPU, Wall: cfg.Wall, Unconfined: cfg.AcceptUnsandboxed},
		Parallel: 2,
	}, log)}
}

// stamp makes a copy for the first recipient, what it would be without a mark, and, in dir, "1.pdf" and so on for the
// others; or reports that there can be none of the source: TestCorpus of the service says of which there must be.
func (p *press) stamp(t *testing.T, s source, dir string, c *removal.Case, recipients ...string) bool {
	t.Helper()
	src, err := os.Open(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	// On a machine that is busy with other tests, time is not the source's fault.
	opened, err := retried(t, func() (*watermark.Source, error) { return p.local.Open(t.Context(), src) })
	if err != nil {
		t.Logf("no copy: %v", err)
		return false
	}
	for i, recipient := range recipients {
		path := filepath.Join(dir, strconv.Itoa(i)+".pdf")
		made, err := retried(t, func() (made watermark.Made, err error) {
			err = written(path, func(w io.Writer) error {
				made, err = opened.Stamp(t.Context(), w, watermark.Copy{
					Fields: map[string]string{"name": recipient, "email": "somebody@example.com"}, Item: recipient,
				})
				return err
			})
			return made, err
		})
		if err != nil {
			t.Logf("no copy: %v", err)
			return false
		}
		if i == 0 {
			c.Copy = path
			c.Trace = func(ctx context.Context, path string) (map[int]bool, error) {
				return p.trace(ctx, path, made.Artifact[:12])
			}
		}
	}
	c.Unmarked = filepath.Join(dir, "unmarked.pdf")
	p.unmarked(t, src, c.Unmarked, recipients[0])
	return true
}

// retried does a few times what a busy machine may have no time for. The error is why it cannot be done at all.
func retried[T any](t *testing.T, do func() (T, error)) (T, error) {
	t.Helper()
	for range 5 {
		v, err := do()
		var f *fault.Error
		var ended *sandbox.Error
		final := errors.As(err, &f) && !f.Transient()
		if err == nil || final {
			return v, err
		}
		if f == nil && !errors.As(err, &ended) || t.Context().Err() != nil {
			t.Fatal(err)
		}
		t.Log(err)
	}
	t.Fatal("this machine is too busy")
	panic("not reached")
}

// unmarked writes what the engine makes of a source, without the mark.
func (p *press) unmarked(t *testing.T, src *os.File, path, recipient string) {
	t.Helper()
	raw, err := retried(t, func() ([]byte, error) { return p.engine.Compile(t.Context(), src, false) })
	if err != nil {
		t.Fatal(err)
	}
	source, err := template.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mark.Compose(mark.Spec{}, map[string]string{"name": recipient, "email": "somebody@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := stamp.New(source, stamp.Recipe{Mark: m, Unmarked: true})
	if err != nil {
		t.Fatal(err)
	}
	err = written(path, func(w io.Writer) error {
		_, err := plain.WriteTo(w)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func written(path string, by func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(by(f), f.Close())
}

// trace returns the pages of a file that say they are of the copy with that number. That any says another is an error.
func (p *press) trace(ctx context.Context, path, number string) (map[int]bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := p.tracer.Trace(ctx, f, "", nil)
	var refused *fault.Error
	if errors.As(err, &refused) && !refused.Transient() {
		return nil, nil // nothing can be read of it, which is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	found := map[int]bool{}
	for _, c := range r.Copies {
		if c.Number != number {
			return nil, fmt.Errorf("it is said to be the copy %s, and is %s", c.Number, number)
		}
		for _, e := range c.Evidence {
			for _, page := range e.Pages {
				found[page] = true
			}
		}
	}
	return found, nil
}

// whole is the attack on all kinds of our marks.
const whole = "all that is ours, at once"

// Attacks that are no part of the criterion, since none that keep text readable survive them all: measured, not judged.
// Those on our own format are to succeed, or they measure nothing.
func TestLimits(t *testing.T) {
	need.Programs(t, "qpdf", "pdftoppm")
	p := newPress(t)
	list := generated(t)
	if all() {
		list = sources(t)
	}
	var ts tallies
	t.Run("files", func(t *testing.T) {
		each(t, list, func(t *testing.T, s source) {
			dir := t.TempDir()
			c := removal.Case{Dir: dir, Pages: pages}
			if !p.stamp(t, s, dir, &c, "Zoë Müller-Ångström", "Ivo Brandão") {
				return
			}
			compared, err := removal.Compared(t.Context(), filepath.Join(dir, "1.pdf"), dir, pages)
			if err != nil {
				t.Fatal(err)
			}
			c.Attacks = slices.Concat(removal.AllAtOnce(), compared, removal.Own())
			ts.add(s.name, judge(t, c))
		})
	})
	t.Log(ts.String())
	if equal := len(ts.of[whole].equal); equal < ts.pages*9/10 {
		t.Errorf("%s: %d of %d pages are as if never marked: either the attack no longer fits the format, or this limit fell", whole, equal, ts.pages)
	}
}

// Somebody who has read our code can take off all that says whose copy it is, but not by dropping one kind of it.
func TestOnlyAllThatIsOursTakesTheIdWithIt(t *testing.T) {
	need.Programs(t, "qpdf", "pdftoppm")
	p := newPress(t)
	dir := t.TempDir()
	var c removal.Case
	if !p.stamp(t, generated(t)[0], dir, &c, "Zoë Müller-Ångström") {
		t.Fatal("no copy of a document made here")
	}
	for _, a := range removal.Own() {
		t.Run(a.Name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.pdf")
			err := a.Run(t.Context(), c.Copy, out)
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r, err := p.tracer.Trace(t.Context(), f, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			want := watermark.TraceMatch
			if a.Name == whole {
				want = watermark.TraceNone
			}
			if r.Outcome != want {
				t.Errorf("got %s, want %s", r.Outcome, want)
			}
			if a.Name == "our document information" {
				for _, e := range r.Copies[0].Evidence {
					if len(e.Pages) == 0 {
						t.Errorf("%s still speaks for the document", e.Channel)
					}
				}
			}
		})
	}
}
