package trace_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark/internal/trace"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

func find(t testing.TB, path, password string) trace.Findings {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found, err := trace.New(trace.Config{TempDir: t.TempDir()}, slog.New(slog.DiscardHandler)).Find(t.Context(), f, password)
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(path), err)
	}
	return found
}

func judge(t testing.TB, f trace.Findings, finder trace.Finder) trace.Result {
	t.Helper()
	r, err := trace.Judge(context.Background(), f, keys, finder)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// save writes data to a file of its own.
func save(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.pdf")
	err := os.WriteFile(path, data, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// attack runs a command whose words IN and OUT stand for files.
func attack(t testing.TB, in string, words ...string) string {
	t.Helper()
	need.Programs(t, words[0])
	out := filepath.Join(t.TempDir(), "out.pdf")
	args := make([]string, 0, len(words)-1)
	for _, word := range words[1:] {
		switch word {
		case "IN":
			word = in
		case "OUT":
			word = out
		case "-sOutputFile=OUT":
			word = "-sOutputFile=" + out
		}
		args = append(args, word)
	}
	said, err := exec.CommandContext(t.Context(), words[0], args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %.500s", words, err, said)
	}
	return out
}

var gs = []string{"gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=pdfwrite", "-sOutputFile=OUT"}

var attacks = map[string][][]string{
	"nothing":              {},
	"qpdf, object streams": {{"qpdf", "--object-streams=generate", "--recompress-flate", "--compression-level=9", "IN", "OUT"}},
	"qpdf, linearized":     {{"qpdf", "--linearize", "IN", "OUT"}},
	"qpdf, qdf":            {{"qpdf", "--qdf", "--normalize-content=y", "--warning-exit-0", "IN", "OUT"}},
	"qpdf, coalesced":      {{"qpdf", "--coalesce-contents", "IN", "OUT"}},
	"re-encrypted":         {{"qpdf", "--encrypt", "", "owner", "256", "--", "IN", "OUT"}},
	"mutool clean":         {{"mutool", "clean", "-gggg", "-z", "-s", "IN", "OUT"}},
	"pdftocairo":           {{"pdftocairo", "-pdf", "IN", "OUT"}},
	"gs":                   {append(gs, "IN")},
	"pdftocairo, gs":       {{"pdftocairo", "-pdf", "IN", "OUT"}, append(gs, "IN")},
	"gs, pdftocairo":       {append(gs, "IN"), {"pdftocairo", "-pdf", "IN", "OUT"}},
	"pdftocairo to A4":     {{"pdftocairo", "-pdf", "-paper", "A4", "-expand", "IN", "OUT"}},
	"pdftocairo to A5":     {{"pdftocairo", "-pdf", "-paperw", "420", "-paperh", "595", "IN", "OUT"}},
	"gs to A4":             {{"gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=pdfwrite", "-sPAPERSIZE=a4", "-dFIXEDMEDIA", "-dPDFFitPage", "-sOutputFile=OUT", "IN"}},
	"pdftops, ps2pdf":      {{"pdftops", "IN", "OUT"}, append(gs, "IN")},
	"pdf2ps, ps2pdf":       {{"pdf2ps", "IN", "OUT"}, append(gs, "IN")},
	"mutool convert":       {{"mutool", "convert", "-o", "OUT", "IN"}},
}

// Every page of a document is somebody else's, so that one document tells of many copies.
func TestRoutes(t *testing.T) {
	pages := 12
	if testing.Short() {
		pages = 4
	}
	for _, transparent := range []bool{false, true} {
		var sheets []sheet
		for i := range pages {
			s := sheet{id: ours(uint64(1000 + i)), strip: true, ribbon: true, transparent: transparent}
			switch i % 4 {
			case 1:
				s.box = [4]float64{0, 0, 612, 792}
			case 2:
				s.box, s.rotate = [4]float64{10, -20, 1200, 870}, 90
			case 3:
				s.box = [4]float64{0, 0, 842, 1191}
			}
			sheets = append(sheets, s)
		}
		in := save(t, write(t, sheets, nil))
		for name, steps := range attacks {
			if transparent {
				name += ", transparent"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if transparent && strings.Contains(name, "ps2pdf") {
					t.Skip("PostScript has no transparency: such pages become pictures, a limit that is told")
				}
				out := in
				for _, step := range steps {
					out = attack(t, out, step...)
				}
				allRight(t, sheets, judge(t, find(t, out, ""), nil))
			})
		}
	}
}

// allRight checks that every channel says the truth about every page.
func allRight(t *testing.T, sheets []sheet, r trace.Result) {
	t.Helper()
	right := map[trace.Channel]int{}
	for _, c := range r.Copies {
		for _, e := range c.Evidence {
			for _, p := range e.Pages {
				if want := fmt.Sprintf("%012x", sheets[p-1].id.Number); c.Number != want {
					t.Errorf("page %d: %s says %s, want %s", p, e.Channel, c.Number, want)
				}
				right[e.Channel]++
			}
		}
	}
	n := len(sheets)
	want := map[trace.Channel]int{trace.Strokes: n, trace.Ribbon: n, trace.Glyphs: n}
	if diff := cmp.Diff(want, right); diff != "" {
		t.Errorf("pages read by each channel: %s", diff)
	}
	if len(r.Doubts) > 0 {
		t.Errorf("doubts: %v", r.Doubts)
	}
}

// What is not ours, or not whole, is told as that behind other programs, too.
func TestForgedAndDamagedBehindOtherPrograms(t *testing.T) {
	var sheets []sheet
	want := map[trace.Outcome][]int{}
	for i := range 12 {
		s := sheet{strip: true, id: ours(uint64(i))}
		outcome := trace.Forged
		switch i % 3 {
		case 0:
			s.id.MAC ^= 1 << i
		case 1:
			s.id.Key, outcome = 77, trace.UnknownKey
		case 2:
			s.damaged, outcome = true, trace.Damaged
		}
		sheets = append(sheets, s)
		want[outcome] = append(want[outcome], i+1)
	}
	in := save(t, write(t, sheets, nil))
	for _, name := range []string{"nothing", "pdftocairo", "gs", "pdftocairo, gs", "gs to A4", "re-encrypted", "pdf2ps, ps2pdf"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := in
			for _, step := range attacks[name] {
				out = attack(t, out, step...)
			}
			r := judge(t, find(t, out, ""), nil)
			if r.Outcome != trace.Forged || len(r.Copies) > 0 {
				t.Errorf("got %s, %v", r.Outcome, r.Copies)
			}
			got := map[trace.Outcome][]int{}
			for _, d := range r.Doubts {
				got[d.Outcome] = append(got[d.Outcome], d.Pages...)
			}
			for _, pages := range got {
				slices.Sort(pages)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
