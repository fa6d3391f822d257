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
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/pkg/sandbox"
)

// A finding is something that a judge holds against a copy.
type finding struct {
	rule   string // one of the rules' names below, for tables
	detail string
	by     string // the reader, where readers may differ
	page   int
}

// The judges' rules. Those that are absolute need no source to compare with.
const (
	ruleOpens     = "opens without fault"        // absolute: qpdf, poppler and mutool open it, with warnings of the source's kind at most
	rulePages     = "same pages"                 // absolute: all three count the pages that were announced
	ruleRevision  = "one revision"               // absolute: one startxref, no Prev, no object that nothing leads to
	ruleActive    = "nothing active"             // absolute: no script, no action that starts, fetches or sends, no attachment
	ruleLeftovers = "nothing of the original"    // none of the source's content streams, nothing that a cut lays bare
	ruleBoxes     = "same boxes"                 // boxes, rotation and units of each page
	ruleText      = "same text"                  // pdftotext, page by page
	ruleVisible   = "mark visible"               // in poppler and in mutool, on each page
	ruleUntouched = "nothing else changed"       // neither shows a page that looks quite different
	ruleQuiet     = "no new complaints"          // poppler and mutool say nothing of the copy that they do not say of the source
	ruleKept      = "links, outlines, tags kept" // and form fields, page labels, language, title, layers
)

var absolute = []string{ruleOpens, rulePages, ruleRevision, ruleActive}

// visible is the share of a page's pixels that a mark changes at least. The default mark changes twenty times as much.
const visible = 0.004

// A pixel that the mark covers changes by no more than lightly; letters of its footer change by more, but they are few.
const (
	lightly = 80
	ruined  = 0.02
)

// heard is what a program said.
type heard struct {
	out  string
	said string // on standard error
	code int    // its exit status, or -1 when it did not end by itself
	err  error
}

// court is where programs that are not ours look at documents. Its folder is the caller's to remove.
type court struct {
	ctx context.Context
	dir string
	// most is how many pages are rendered; 0 is all.
	most int
}

// ask runs a program under limits, since there are files that hang it.
func (c court) ask(name string, args ...string) heard {
	out, err := os.CreateTemp(c.dir, "out")
	if err != nil {
		return heard{code: -1, err: err}
	}
	defer out.Close()
	said, err := os.CreateTemp(c.dir, "said")
	if err != nil {
		return heard{code: -1, err: err}
	}
	defer said.Close()
	// The sandbox keeps what is said for its errors only, so a shell redirects it before it becomes the program.
	cmd, err := sandbox.Command(sandbox.Limits{Memory: 2 << 30, CPU: 20 * time.Second, Wall: time.Minute}, "sh",
		append([]string{"-c", `exec "$0" "$@" 2>&3`, name}, args...)...)
	if err != nil {
		return heard{code: -1, err: err}
	}
	cmd.Stdout, cmd.Files = out, []*os.File{said}
	var h heard
	h.err = cmd.Run(c.ctx)
	var exit *exec.ExitError
	switch {
	case errors.As(h.err, &exit):
		h.code = exit.ExitCode()
	case h.err != nil:
		h.code = -1
	}
	h.out, h.said = slurp(out.Name()), slurp(said.Name())
	_, _ = os.Remove(out.Name()), os.Remove(said.Name()) // the folder goes, too
	if h.err != nil {
		h.err = fmt.Errorf("%w: %.500s", h.err, h.said)
	}
	return h
}

func slurp(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// view is how a document looks to programs that are not ours.
type view struct {
	path    string
	check   heard // qpdf --check
	pages   int   // as qpdf counts; -1 unknown
	object  *document
	boxes   []string
	text    []string
	poppler drawn
	mutool  drawn
	// complaints are what poppler and mutool said, without numbers and names.
	complaints map[string]string
}

type drawn struct {
	pages []raster
	err   error
}

// look has all judges look at a document.
func (c court) look(path string) view {
	v := view{path: path, pages: -1, complaints: map[string]string{}}
	v.check = c.ask("qpdf", "--check", path)
	h := c.ask("qpdf", "--json=2", "--json-key=qpdf", "--json-key=pages", "--json-stream-data=none", "--warning-exit-0", path)
	if h.err == nil {
		v.object, h.err = readDocument(h.out)
	}
	if h.err == nil {
		v.pages = len(v.object.pages)
	}
	c.hear(&v, "pdfinfo", func() heard {
		h := c.ask("pdfinfo", "-f", "1", "-l", "-1", "-box", path)
		for line := range strings.Lines(h.out) {
			if boxLineRE.MatchString(line) {
				v.boxes = append(v.boxes, strings.Join(strings.Fields(line), " "))
			}
		}
		return h
	})
	last := strconv.Itoa(c.most)
	if c.most == 0 {
		last = "-1"
	}
	c.hear(&v, "pdftotext", func() heard {
		h := c.ask("pdftotext", "-l", last, path, "-")
		v.text = strings.Split(h.out, "\f")
		return h
	})
	c.hear(&v, "pdftoppm", func() heard {
		var h heard
		v.poppler, h = c.poppler(path)
		return h
	})
	c.hear(&v, "mutool", func() heard {
		var h heard
		v.mutool, h = c.mutool(path)
		return h
	})
	return v
}

var boxLineRE = regexp.MustCompile(`^Page +\d+ +(size|rot|MediaBox|CropBox):`)

// hear notes what a program complains of.
func (c court) hear(v *view, name string, do func() heard) {
	h := do()
	for line := range strings.Lines(h.said) {
		line = strings.ReplaceAll(line, v.path, "FILE")
		key := name + ": " + strings.TrimSpace(numbersRE.ReplaceAllString(line, "#"))
		if _, ok := v.complaints[key]; !ok {
			v.complaints[key] = strings.TrimSpace(line)
		}
	}
}

var numbersRE = regexp.MustCompile(`<[0-9a-fA-F]+>|'[^']*'|"[^"]*"|\d+`)

// poppler draws pages, small and grey.
func (c court) poppler(path string, args ...string) (drawn, heard) {
	dir, err := os.MkdirTemp(c.dir, "poppler")
	if err != nil {
		return drawn{err: err}, heard{err: err}
	}
	defer func() { _ = os.RemoveAll(dir) }() // the whole folder goes, too
	if c.most > 0 {
		args = append(args, "-l", strconv.Itoa(c.most))
	}
	h := c.ask("pdftoppm", append(args, "-gray", "-cropbox", "-scale-to", "200", path, filepath.Join(dir, "page"))...)
	if h.err != nil {
		return drawn{err: h.err}, h
	}
	return gather(dir), h
}

// mutool does what poppler does.
func (c court) mutool(path string) (drawn, heard) {
	dir, err := os.MkdirTemp(c.dir, "mutool")
	if err != nil {
		return drawn{err: err}, heard{err: err}
	}
	defer func() { _ = os.RemoveAll(dir) }() // the whole folder goes, too
	args := []string{"draw", "-q", "-F", "pgm", "-c", "gray", "-w", "200", "-h", "200", "-o", filepath.Join(dir, "page-%05d.pgm"), path}
	if c.most > 0 {
		args = append(args, "1-"+strconv.Itoa(c.most))
	}
	h := c.ask("mutool", args...)
	if h.err != nil {
		return drawn{err: h.err}, h
	}
	return gather(dir), h
}

func gather(dir string) drawn {
	names, err := filepath.Glob(filepath.Join(dir, "page-*.pgm")) // sorted; numbers have leading zeros
	if err != nil {
		return drawn{err: err}
	}
	var d drawn
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return drawn{err: err}
		}
		page, err := readPGM(data)
		if err != nil {
			return drawn{err: fmt.Errorf("%s: %w", name, err)}
		}
		d.pages = append(d.pages, page)
	}
	return d
}

// compare holds a copy, in which so many pages were announced, against its source.
func (c court) compare(src, out view, pages int) []finding {
	var found []finding
	note := func(rule, format string, args ...any) {
		found = append(found, finding{rule: rule, detail: fmt.Sprintf(format, args...)})
	}
	shown := pages
	if c.most > 0 {
		shown = min(pages, c.most)
	}

	// What stands without the source.
	if out.check.code != 0 && (out.check.code != 3 || src.check.code == 0) {
		note(ruleOpens, "qpdf --check ends with %d, of the source with %d: %.300s%.300s", out.check.code, src.check.code, out.check.out, out.check.said)
	}
	if out.poppler.err != nil {
		note(ruleOpens, "poppler: %v", out.poppler.err)
	} else if len(out.poppler.pages) != shown {
		note(rulePages, "poppler draws %d pages, announced are %d", len(out.poppler.pages), shown)
	}
	if out.mutool.err != nil && (src.mutool.err == nil || len(src.mutool.pages) > 0) {
		note(ruleOpens, "mutool: %v", out.mutool.err)
	} else if out.mutool.err == nil && len(out.mutool.pages) != shown {
		note(rulePages, "mutool draws %d pages, announced are %d", len(out.mutool.pages), shown)
	}
	if out.pages != pages {
		note(rulePages, "qpdf counts %d pages, announced are %d", out.pages, pages)
	}
	found = append(found, oneRevision(out)...)
	if out.object != nil {
		for _, what := range out.object.active() {
			note(ruleActive, "%s", what)
		}
	}

	// What depends on how the source looks.
	if src.pages > 0 && src.pages != pages {
		note(rulePages, "the source has %d, the copy %d", src.pages, pages)
	}
	if len(src.boxes) > 0 && !slices.Equal(src.boxes, out.boxes) {
		note(ruleBoxes, "%s", firstDifference(src.boxes, out.boxes))
	}
	if len(src.text) > 1 && !slices.Equal(src.text, out.text) {
		note(ruleText, "%s", firstDifference(src.text, out.text))
	}
	for line, example := range out.complaints {
		if _, ok := src.complaints[line]; !ok {
			note(ruleQuiet, "%s (%s)", line, example)
		}
	}
	if src.object != nil && out.object != nil && src.pages == out.pages {
		before, after := src.object.features(), out.object.features()
		for _, name := range featureNames {
			if !slices.Equal(before[name], after[name]) {
				note(ruleKept, "%s: %s", name, firstDifference(before[name], after[name]))
			}
		}
	}
	for _, by := range []struct {
		name     string
		src, out drawn
	}{{"poppler", src.poppler, out.poppler}, {"mutool", src.mutool, out.mutool}} {
		if by.src.err != nil || by.out.err != nil || len(by.src.pages) != len(by.out.pages) {
			continue // either noted above, or there is nothing to compare with
		}
		for i := range by.src.pages {
			d := difference(by.src.pages[i], by.out.pages[i])
			if d.changed < visible {
				note(ruleVisible, "%s, page %d: %.4f of it differs from the source", by.name, i+1, d.changed)
			}
			if d.strongly > ruined {
				note(ruleUntouched, "%s, page %d: %.3f of it looks quite different", by.name, i+1, d.strongly)
				found[len(found)-1].by, found[len(found)-1].page = by.name, i+1
			}
		}
	}
	return found
}

// sound reports whether nobody complains of a document.
func (v view) sound() bool {
	for line := range v.complaints {
		if !strings.Contains(line, "ICC support is not available") { // it says so of every file
			return false
		}
	}
	return v.check.code == 0 && v.poppler.err == nil && v.mutool.err == nil
}

// settle drops, of what was found in the copy of a damaged document, that in which readers differ: a copy can be like
// what one of them shows of its source only.
func (c court) settle(src, out view, found []finding) []finding {
	if src.sound() {
		return found
	}
	both := map[int]map[string]bool{}
	for _, f := range found {
		if f.rule == ruleUntouched {
			if both[f.page] == nil {
				both[f.page] = map[string]bool{}
			}
			both[f.page][f.by] = true
		}
	}
	return slices.DeleteFunc(found, func(f finding) bool {
		switch f.rule {
		case ruleQuiet, ruleKept:
			return true
		case ruleUntouched:
			return len(both[f.page]) < 2
		case ruleText:
			return c.alike(src, out, "draw", "-q", "-F", "text", "FILE", "1-"+strconv.Itoa(max(1, c.most)))
		case ruleBoxes:
			return c.alike(src, out, "pages", "FILE")
		}
		return false
	})
}

// alike reports whether mutool says the same of two documents, or cannot say anything of the first.
func (c court) alike(src, out view, args ...string) bool {
	with := func(path string) []string {
		args := slices.Clone(args)
		args[slices.Index(args, "FILE")] = path
		return args
	}
	a, b := c.ask("mutool", with(src.path)...), c.ask("mutool", with(out.path)...)
	return a.err != nil || strings.ReplaceAll(a.out, src.path, "") == strings.ReplaceAll(b.out, out.path, "")
}

// oneRevision looks for what an editor, or a cut, could bring back.
func oneRevision(v view) []finding {
	data, err := os.ReadFile(v.path)
	if err != nil {
		return []finding{{rule: ruleRevision, detail: err.Error()}}
	}
	var found []finding
	if n := bytes.Count(data, []byte("startxref")); n != 1 {
		found = append(found, finding{rule: ruleRevision, detail: fmt.Sprintf("startxref stands %d times", n)})
	}
	if v.object != nil {
		if v.object.trailer["/Prev"] != nil {
			found = append(found, finding{rule: ruleRevision, detail: "an earlier revision is named"})
		}
		if lost := v.object.unreachable(); len(lost) > 0 {
			found = append(found, finding{rule: ruleRevision, detail: fmt.Sprintf("nothing leads to %d objects, %s among them", len(lost), lost[0])})
		}
	}
	return found
}

// leftovers looks for what of the source can be had out of a copy. It takes longer than the other rules.
func (c court) leftovers(src, out view) []finding {
	var found []finding
	original := map[string]bool{}
	was, is := c.ask("qpdf", "--qdf", "--object-streams=disable", "--warning-exit-0", src.path, "-"), c.ask("qpdf", "--qdf", "--object-streams=disable", "--warning-exit-0", out.path, "-")
	if was.err == nil && is.err == nil {
		for _, s := range contents(was.out, true) {
			original[s] = true
		}
		for _, s := range contents(is.out, false) {
			if original[s] {
				found = append(found, finding{rule: ruleLeftovers, detail: fmt.Sprintf("a page's content is there as it was: %.60q", s)})
				break
			}
		}
	}
	if len(src.poppler.pages) == 0 || len(src.mutool.pages) == 0 {
		return found
	}
	data, err := os.ReadFile(out.path)
	if err != nil {
		return []finding{{rule: ruleLeftovers, detail: err.Error()}}
	}
	first := court{ctx: c.ctx, dir: c.dir, most: 1}
	for _, at := range cutRE.FindAllIndex(data, 20) {
		path := filepath.Join(c.dir, "cut.pdf")
		err := os.WriteFile(path, data[:at[0]], 0o600)
		if err != nil {
			return []finding{{rule: ruleLeftovers, detail: err.Error()}}
		}
		p, _ := first.poppler(path)
		m, _ := first.mutool(path)
		for _, by := range []struct {
			name     string
			src, cut drawn
		}{{"poppler", src.poppler, p}, {"mutool", src.mutool, m}} {
			if len(by.cut.pages) > 0 && !blank(by.cut.pages[0]) && difference(by.src.pages[0], by.cut.pages[0]).changed < visible {
				found = append(found, finding{rule: ruleLeftovers, detail: fmt.Sprintf("cut before byte %d, %s shows the page without its mark", at[0], by.name)})
			}
		}
	}
	return found
}

var cutRE = regexp.MustCompile(`%%EOF|startxref|\btrailer\b|\bxref\b|/XRef\b`)

// contents returns the streams of a document in qpdf's open form: those of pages only, or all.
func contents(qdf string, pages bool) []string {
	var out []string
	for {
		at := 0
		if pages {
			at = strings.Index(qdf, "%% Contents for page ")
		}
		if at < 0 {
			return out
		}
		qdf = qdf[at:]
		_, rest, ok := strings.Cut(qdf, "\nstream\n")
		if !ok {
			return out
		}
		data, after, ok := strings.Cut(rest, "\nendstream")
		if !ok {
			return out
		}
		if data = strings.TrimSpace(data); len(data) > 200 {
			out = append(out, data)
		}
		qdf = after
	}
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			x, y := a[i], b[i]
			n := 0
			for n < min(len(x), len(y)) && x[n] == y[n] {
				n++
			}
			n = max(0, n-30)
			return fmt.Sprintf("number %d was %.90q, is %.90q", i+1, x[n:], y[n:])
		}
	}
	if len(a) > len(b) {
		return fmt.Sprintf("there were %d, there are %d; %.120q is missing", len(a), len(b), a[len(b)])
	}
	return fmt.Sprintf("there were %d, there are %d; %.120q is new", len(a), len(b), b[len(a)])
}

// judge has all judges look at a copy and its source, and reports what they find.
func judge(t *testing.T, src, out string, pages int) {
	t.Helper()
	c := court{ctx: t.Context(), dir: t.TempDir()}
	for _, f := range c.compare(c.look(src), c.look(out), pages) {
		t.Errorf("%s: %s", f.rule, f.detail)
	}
}

// raster is a rendered page, one byte of grey a pixel.
type raster struct {
	width, height int
	pixels        []byte
}

func readPGM(data []byte) (raster, error) {
	var r raster
	var depth int
	// mutool puts comments in.
	head := regexp.MustCompile(`#[^\n]*\n`).ReplaceAllString(string(data[:min(len(data), 200)]), "")
	_, err := fmt.Sscanf(head, "P5\n%d %d\n%d", &r.width, &r.height, &depth)
	if err != nil || len(data) < r.width*r.height {
		return r, fmt.Errorf("no PGM: %w", err)
	}
	r.pixels = data[len(data)-r.width*r.height:]
	return r, nil
}

// apart is how much two pages differ.
type apart struct {
	changed  float64 // share of pixels that differ so that an eye sees it
	strongly float64 // share of pixels that differ by more than a mark explains
}

func difference(a, b raster) apart {
	if a.width != b.width || a.height != b.height || len(a.pixels) == 0 {
		return apart{1, 1}
	}
	var d apart
	for i := range a.pixels {
		n := int(a.pixels[i]) - int(b.pixels[i])
		if n > 3 || n < -3 {
			d.changed++
		}
		if n > lightly || n < -lightly {
			d.strongly++
		}
	}
	n := float64(len(a.pixels))
	return apart{d.changed / n, d.strongly / n}
}

func blank(r raster) bool {
	return len(r.pixels) == 0 || len(bytes.Trim(r.pixels, string(r.pixels[:1]))) == 0
}

// tool runs a program and returns what it wrote.
func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	h := court{ctx: t.Context(), dir: t.TempDir()}.ask(name, args...)
	return h.out, h.err
}

// render has poppler draw all pages, small.
func render(t *testing.T, path string, args ...string) ([]raster, error) {
	t.Helper()
	d, _ := court{ctx: t.Context(), dir: t.TempDir()}.poppler(path, args...)
	return d.pages, d.err
}

func needTools(t *testing.T) {
	t.Helper()
	need.Programs(t, "qpdf", "mutool", "pdftoppm", "pdftotext", "pdfinfo")
}
