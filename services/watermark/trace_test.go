package watermark_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/former"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/services/watermark"
)

const (
	// recipientsEnv is to how many people each file of TestTrace goes; make trace takes 1,000.
	recipientsEnv = "FILIGREE_RECIPIENTS"
	// batch is how many copies go through a foreign program at once, merged into one document.
	batch = 100
)

// A route is what happens to copies before they are traced: programs, or something done here.
type route struct {
	name  string
	steps []step
	// opaque: for copies with an opaque mark only. PostScript has no transparency: what is transparent becomes a picture.
	opaque bool
}

type step func(ctx context.Context, in, out string) error

// program runs a program whose words IN and OUT stand for files.
func program(words ...string) step {
	return func(ctx context.Context, in, out string) error {
		args := make([]string, len(words))
		for i, word := range words {
			args[i] = strings.ReplaceAll(strings.ReplaceAll(word, "IN", in), "OUT", out)
		}
		said, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %.300s", strings.Join(words, " "), err, said)
		}
		return nil
	}
}

func ghostscript(more ...string) step {
	return program(slices.Concat([]string{"gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=pdfwrite"}, more, []string{"-sOutputFile=OUT", "IN"})...)
}

var (
	cairo   = program("pdftocairo", "-pdf", "IN", "OUT")
	rewrite = program("qpdf", "--object-streams=generate", "--recompress-flate", "--warning-exit-0", "IN", "OUT")
)

var routes = []route{
	{name: "merged, metadata gone"},
	{name: "qpdf rewrite", steps: []step{rewrite}},
	{name: "qpdf linearize", steps: []step{program("qpdf", "--linearize", "--warning-exit-0", "IN", "OUT")}},
	{name: "qpdf qdf, coalesced", steps: []step{program("qpdf", "--qdf", "--coalesce-contents", "--warning-exit-0", "IN", "OUT")}},
	{name: "encrypted anew", steps: []step{program("qpdf", "--warning-exit-0", "--encrypt", "", "owner", "256", "--", "IN", "OUT")}},
	{name: "forms dropped", steps: []step{program("qpdf", "--qdf", "--warning-exit-0", "IN", "OUT"), dropForms, rewrite}},
	{name: "mutool clean", steps: []step{program("mutool", "clean", "-gggg", "-z", "IN", "OUT")}},
	{name: "pdfcpu resize", steps: []step{resize}},
	{name: "pdftocairo", steps: []step{cairo}},
	{name: "gs", steps: []step{ghostscript()}},
	{name: "pdftocairo, gs", steps: []step{cairo, ghostscript()}},
	{name: "gs, pdftocairo", steps: []step{ghostscript(), cairo}},
	{name: "pdftocairo to A4", steps: []step{program("pdftocairo", "-pdf", "-paper", "A4", "-expand", "IN", "OUT")}},
	{name: "gs to A4", steps: []step{ghostscript("-sPAPERSIZE=a4", "-dFIXEDMEDIA", "-dPDFFitPage")}},
	{name: "pdftops, gs", steps: []step{program("pdftops", "IN", "OUT"), ghostscript()}, opaque: true},
	{name: "pdf2ps, gs", steps: []step{program("pdf2ps", "IN", "OUT"), ghostscript()}, opaque: true},
}

var do = regexp.MustCompile(`/[^ \n/]+ Do\b`)

// dropForms takes everything out that is painted by name.
func dropForms(_ context.Context, in, out string) error {
	data, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	return os.WriteFile(out, do.ReplaceAllFunc(data, func(s []byte) []byte { return bytes.Repeat([]byte(" "), len(s)) }), 0o600)
}

func resize(_ context.Context, in, out string) error {
	r, err := pdfcpu.ParseResizeConfig("scale:0.8", 0)
	if err != nil {
		return err
	}
	return api.ResizeFile(in, out, nil, r, nil)
}

// tally counts copies that came through a route.
type tally struct{ copies, right, missed, wrong int }

// copied is a copy that was made, and where its pages are in a merged document.
type copied struct {
	watermark.Made
	path, password string
	from           int // number of its first page
}

// TestTrace makes copies of three files for many people and traces them after everything that the design promises they
// survive. Foreign programs are handed 100 copies at a time, merged by qpdf, and each copy is judged by its own pages:
// right if what is found on them is its id and nothing else.
func TestTrace(t *testing.T) {
	needTools(t)
	need.Programs(t, "gs", "pdftocairo", "pdftops", "pdf2ps")
	recipients := 3
	if n := os.Getenv(recipientsEnv); n != "" {
		var err error
		recipients, err = strconv.Atoi(n)
		if err != nil {
			t.Fatal(err)
		}
	}
	keys := newKeys(t)
	local, err := watermark.NewLocal(watermark.DefaultConfig(), keys, slog.New(slog.DiscardHandler))
	need.Working(t, "copies", err)
	tracer, err := watermark.NewTracer(watermark.DefaultConfig(), keys, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"text":    pages(1, "", "").write(t),
		"turned":  onePage("/MediaBox[-30 20 900 620]/Rotate 90", []byte("q .9 g 0 50 300 300 re f Q 1 0 0 RG 0 0 m 500 500 l S")).write(t),
		"drawing": onePage("/MediaBox[0 0 842 1191]", drawing()).write(t),
	}
	tallies := map[string]*tally{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		t.Run(name, func(t *testing.T) {
			for first := 0; first < recipients; first += batch {
				for _, opaque := range []bool{false, true} {
					p := press{t: t, local: local, tracer: tracer, source: files[name], opaque: opaque, tallies: tallies}
					p.run(first, min(batch, recipients-first))
				}
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(tallies)) {
		c := tallies[name]
		t.Logf("%-32s %5d copies, %5d right, %d missed, %d wrong", name, c.copies, c.right, c.missed, c.wrong)
		if c.wrong > 0 {
			t.Errorf("%s: %d copies were given to somebody else", name, c.wrong)
		}
		if 100*c.right < 99*c.copies {
			t.Errorf("%s: %d of %d copies are told, want 99 in 100", name, c.right, c.copies)
		}
	}
}

// drawing is content with lines that could be taken for ours.
func drawing() []byte {
	var b bytes.Buffer
	for row := range 40 {
		fmt.Fprintf(&b, "%d %d m\n", 50, 100+25*row)
		for k := range 60 {
			fmt.Fprintf(&b, "%d %d l\n", 50+12*k, 100+25*row+(k*7919+row*104729)%20)
		}
		b.WriteString("S\n")
	}
	return b.Bytes()
}

// press makes a batch of copies and sends it along all routes.
type press struct {
	t       *testing.T
	local   *watermark.Local
	tracer  *watermark.Tracer
	source  string
	opaque  bool
	tallies map[string]*tally
}

func (p *press) run(first, n int) {
	dir, err := os.MkdirTemp(p.t.TempDir(), "batch-*")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // the test's folder goes in the end, too
	started := time.Now()
	defer func() {
		p.t.Logf("people up to %d, opaque %v, in %s: %s", first+n, p.opaque, time.Since(started).Round(time.Second), p.sum())
	}()
	copies := p.copies(dir, first, n)
	if !p.opaque {
		p.alone(copies)
	}
	merged := filepath.Join(dir, "merged.pdf")
	args := []string{"--empty", "--warning-exit-0", "--pages"}
	for _, c := range copies {
		args = append(args, c.path)
		if c.password != "" {
			args = append(args, "--password="+c.password)
		}
	}
	err = program(slices.Concat([]string{"qpdf"}, args, []string{"--", merged})...)(p.t.Context(), "", "")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range routes {
		if r.opaque && !p.opaque || p.opaque && !r.opaque && r.steps != nil {
			continue
		}
		in := merged
		for i, s := range r.steps {
			out := filepath.Join(dir, fmt.Sprintf("step%d.pdf", i))
			err = s(p.t.Context(), in, out)
			if err != nil {
				p.t.Fatalf("%s: %v", r.name, err)
			}
			in = out
		}
		name := r.name
		if p.opaque {
			name += ", opaque"
		}
		p.score(name, in, copies)
	}
	p.split(merged, copies)
}

// sum is all tallies so far in one.
func (p *press) sum() string {
	var all tally
	for _, c := range p.tallies {
		all = tally{all.copies + c.copies, all.right + c.right, all.missed + c.missed, all.wrong + c.wrong}
	}
	return fmt.Sprintf("%d copies times routes so far, %d right, %d missed, %d wrong", all.copies, all.right, all.missed, all.wrong)
}

// copies makes a copy for each of n people, every third of them locked.
func (p *press) copies(dir string, first, n int) []copied {
	f, err := os.Open(p.source)
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	source, err := p.local.Open(p.t.Context(), f)
	if err != nil {
		p.t.Fatal(err)
	}
	var all []copied
	from := 1
	for i := first; i < first+n; i++ {
		c := copied{path: filepath.Join(dir, fmt.Sprintf("%d.pdf", i)), from: from}
		if i%3 == 2 {
			c.password = "sesame"
		}
		spec := watermark.Copy{
			Template: "{name}\n{email}", Password: c.password, Item: strconv.Itoa(i),
			Fields: map[string]string{"name": personName(i), "email": fmt.Sprintf("person%d@example.com", i)},
		}
		if p.opaque {
			spec.Style = mark.Style{Layout: "footer", Opacity: 100} // a large one would hide text, and is refused
		}
		out, err := os.Create(c.path)
		if err != nil {
			p.t.Fatal(err)
		}
		c.Made, err = source.Stamp(p.t.Context(), out, spec)
		err = errors.Join(err, out.Close())
		if err != nil {
			p.t.Fatal(err)
		}
		from += c.Pages
		all = append(all, c)
	}
	return all
}

func personName(i int) string {
	first := []string{"Ada", "Björn", "Chloé", "Dmitri", "Eun-ji", "Fatima", "Li", "Maximiliane", "Søren", "Zoë"}
	last := []string{"Lovelace", "Ångström", "Okonkwo-Featherstonehaugh", "Wu", "Müller", "García", "O'Brien"}
	return first[i%len(first)] + " " + last[i/len(first)%len(last)]
}

// alone traces each copy as it is: that also reads what it says of itself.
func (p *press) alone(copies []copied) {
	for _, c := range copies {
		r := p.trace(c.path, c.password)
		p.count("as it is", r, c, func(watermark.Traced) bool { return true })
		if len(r.Copies) == 1 {
			who := r.Copies[0].Who
			if len(who) != 1 || who[0].Artifact != c.Artifact || who[0].Email == "" {
				p.t.Errorf("it says of itself that it is %v, want %s", who, c.Artifact)
			}
		}
	}
}

func (p *press) trace(path, password string) watermark.Trace {
	f, err := os.Open(path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	r, err := p.tracer.Trace(p.t.Context(), f, password, nil)
	if err != nil {
		p.t.Fatalf("%s: %v", filepath.Base(path), err)
	}
	return r
}

// score traces a document that has all copies and judges each by its pages.
func (p *press) score(name, path string, copies []copied) {
	r := p.trace(path, "")
	if len(r.Doubts) > 0 {
		p.t.Errorf("%s: doubts: %v", name, r.Doubts)
	}
	for _, c := range copies {
		p.count(name, r, c, func(found watermark.Traced) bool {
			return slices.ContainsFunc(found.Evidence, func(e watermark.Evidence) bool {
				return slices.ContainsFunc(e.Pages, func(n int) bool { return n >= c.from && n < c.from+c.Pages })
			})
		})
	}
}

// count judges a copy by those of r's copies that are on its pages.
func (p *press) count(name string, r watermark.Trace, c copied, on func(watermark.Traced) bool) {
	tl := p.tallies[name]
	if tl == nil {
		tl = &tally{}
		p.tallies[name] = tl
	}
	tl.copies++
	right, wrong := false, false
	for _, found := range r.Copies {
		switch {
		case !on(found):
		case strings.HasPrefix(c.Artifact, found.Number):
			right = true
		default:
			wrong = true
		}
	}
	switch {
	case wrong:
		tl.wrong++
		p.t.Logf("%s: %s is told as %v", name, c.Artifact, r.Copies)
	case right:
		tl.right++
	default:
		tl.missed++
		p.t.Logf("%s: %s is not told", name, c.Artifact)
	}
}

// split traces the last page of the first copies alone.
func (p *press) split(merged string, copies []copied) {
	for _, c := range copies[:min(3, len(copies))] {
		page := filepath.Join(filepath.Dir(merged), "page.pdf")
		last := strconv.Itoa(c.from + c.Pages - 1)
		err := program("qpdf", "--warning-exit-0", "--empty", "--pages", merged, last, "--", page)(p.t.Context(), "", "")
		if err != nil {
			p.t.Fatal(err)
		}
		p.count("one page, split out", p.trace(page, ""), c, func(watermark.Traced) bool { return true })
	}
}

// A server's copies are found in its store by the number they carry.
func TestStoredCopiesAreFound(t *testing.T) {
	keys := newKeys(t)
	local, err := watermark.NewLocal(watermark.DefaultConfig(), keys, slog.New(slog.DiscardHandler))
	need.Working(t, "copies", err)
	tracer, err := watermark.NewTracer(watermark.DefaultConfig(), keys, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := blob.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	src := pages(1, "", "").write(t)
	for i, password := range []string{"", "sesame"} {
		out := filepath.Join(t.TempDir(), "copy.pdf")
		made, err := stampFile(t.Context(), local, src, out, watermark.Copy{Fields: somebody, Password: password, Item: strconv.Itoa(i)})
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"art/red/" + made.Artifact, "art/blue/ffff" + made.Artifact[4:], "art/red/" + made.Artifact + ".jpg"} {
			_, _, err = bucket.Create(t.Context(), key, "", bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
		}
		number, err := strconv.ParseUint(made.Artifact[:12], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		got, err := watermark.Stored{Blobs: bucket, Tracer: tracer, TempDir: t.TempDir()}.Find(t.Context(), number)
		if err != nil || len(got) != 1 {
			t.Fatalf("got %v, %v", got, err)
		}
		want := watermark.About{Artifact: made.Artifact, Item: "0", Name: somebody["name"], Email: somebody["email"], Time: got[0].Time}
		if password != "" { // it does not say
			want = watermark.About{Artifact: made.Artifact, Production: "red"}
		}
		if got[0] != want {
			t.Errorf("got %v, want %v", got[0], want)
		}
		// A copy that is kept no longer is found as well.
		key := "art/red/" + made.Artifact
		err = former.Keep(t.Context(), bucket, key, former.Copy{Production: "red", Distribution: "d1", Item: "d1.1.1", Name: "Ada", Email: "ada@example.com"})
		if err == nil {
			err = bucket.Delete(t.Context(), key)
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err = watermark.Stored{Blobs: bucket, Tracer: tracer, TempDir: t.TempDir()}.Find(t.Context(), number)
		want = watermark.About{Artifact: made.Artifact, Production: "red", Distribution: "d1", Item: "d1.1.1", Name: "Ada", Email: "ada@example.com"}
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("of one that is gone: got %v, %v; want %v", got, err, want)
		}
	}
}

// Whatever the mark looks like, every page says whose it is, in three ways.
func TestEveryLayoutIsTraced(t *testing.T) {
	keys := newKeys(t)
	local, err := watermark.NewLocal(watermark.DefaultConfig(), keys, slog.New(slog.DiscardHandler))
	need.Working(t, "copies", err)
	tracer, err := watermark.NewTracer(watermark.DefaultConfig(), keys, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	src := pages(2, "", "").write(t)
	for _, layout := range []mark.Layout{mark.Diagonal, mark.Tiled, mark.Header, mark.Footer, mark.Corners} {
		t.Run(string(layout), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "copy.pdf")
			made, err := stampFile(t.Context(), local, src, out, watermark.Copy{Fields: somebody, Template: "{name}\n{email}", Style: mark.Style{Layout: layout}})
			if err != nil {
				t.Fatal(err)
			}
			p := press{t: t, tracer: tracer}
			r := p.trace(out, "")
			if r.Outcome != watermark.TraceMatch || !strings.HasPrefix(made.Artifact, r.Copies[0].Number) || len(r.Doubts) > 0 {
				t.Fatalf("got %v", r)
			}
			channels := map[string]int{}
			for _, e := range r.Copies[0].Evidence {
				channels[string(e.Channel)] = len(e.Pages)
			}
			want := map[string]int{"metadata": 0, "strokes": 2, "ribbon": 2, "glyphs": 2}
			if !maps.Equal(channels, want) {
				t.Errorf("pages by channel: %v, want %v", channels, want)
			}
		})
	}
}

// A picture says whose it is as long as nobody takes its metadata; a picture of anybody's says nothing.
func TestPicturesAreTraced(t *testing.T) {
	keys := newKeys(t)
	local, err := watermark.NewLocal(watermark.DefaultConfig(), keys, slog.New(slog.DiscardHandler))
	need.Working(t, "copies", err)
	tracer, err := watermark.NewTracer(watermark.DefaultConfig(), keys, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p := press{t: t, tracer: tracer}
	picture := image.NewGray(image.Rect(0, 0, 900, 600))
	for i := range picture.Pix {
		picture.Pix[i] = uint8(i / 3000)
	}
	for kind, encode := range map[string]func(*bytes.Buffer) error{
		"png":  func(b *bytes.Buffer) error { return png.Encode(b, picture) },
		"jpeg": func(b *bytes.Buffer) error { return jpeg.Encode(b, picture, nil) },
	} {
		t.Run(kind, func(t *testing.T) {
			var source bytes.Buffer
			err := encode(&source)
			if err != nil {
				t.Fatal(err)
			}
			src, out := write(t, source.Bytes()), filepath.Join(t.TempDir(), "copy")
			made, err := stampFile(t.Context(), local, src, out, watermark.Copy{Fields: somebody})
			if err != nil {
				t.Fatal(err)
			}
			r := p.trace(out, "")
			if r.Outcome != watermark.TraceMatch || len(r.Copies[0].Who) != 1 || r.Copies[0].Who[0].Artifact != made.Artifact {
				t.Errorf("got %v, want %s", r, made.Artifact)
			}
			if r := p.trace(src, ""); r.Outcome != watermark.TraceNone {
				t.Errorf("the source: got %v", r)
			}
		})
	}
}
