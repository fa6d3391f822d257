package figures_test

import (
	"bytes"
	"compress/zlib"
	stdcontext "context"
	"fmt"
	"image"
	"image/jpeg"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark/internal/compile"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
)

func context() stdcontext.Context { return stdcontext.Background() }

func TestMain(m *testing.M) {
	sandbox.Main()
	name := os.Getenv(workVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	err := serve(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// TestFigures prints the table of docs/benchmarks.md. FILIGREE_FIGURES is the number of rounds; 20 and more say something.
func TestFigures(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv("FILIGREE_FIGURES"))
	if err != nil || rounds < 1 {
		t.Skip("FILIGREE_FIGURES is not set: times are taken by make bench, on a machine that does nothing else")
	}
	dir := t.TempDir()
	written := filepath.Join(dir, "script.pdf")
	scan := filepath.Join(dir, "scan.pdf")
	for path, data := range map[string][]byte{written: script(120), scan: scans(t, 10)} {
		err := os.WriteFile(path, data, 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &series{t: t, rounds: rounds}
	for _, name := range []string{"ours", "ours locked", "ours ten files", "pdfcpu", "pdfcpu locked", "sha-256", "aes and sha-256", "two slow hashes", "compile in place"} {
		s.workers = append(s.workers, start(t, name, written))
	}
	s.tools = []tool{
		{"qpdf", []string{written, "--overlay", overlay(t, dir), "--repeat=1", "--", filepath.Join(dir, "out.pdf")}},
		{"qpdf locked", []string{written, "--overlay", overlay(t, dir), "--repeat=1", "--", "--encrypt", "0123456789abcdef", "0123456789abcdef", "256", "--", filepath.Join(dir, "out.pdf")}},
	}
	s.run()
	script := s.medians()
	t.Logf("script of 120 pages, %d rounds, processor time of one copy:", rounds)
	for _, name := range s.names() {
		t.Logf("  %-18s %10s   %8d bytes allocated", name, script[name].Round(time.Microsecond), s.memory[name])
	}
	over := func(a, b time.Duration) float64 { return float64(a) / float64(b) }
	t.Logf("  plain: pdfcpu / ours %.0f, qpdf / ours %.0f, ours / sha-256 %.2f", over(script["pdfcpu"], script["ours"]), over(script["qpdf"], script["ours"]), over(script["ours"], script["sha-256"]))
	beyond := script["ours locked"] - script["two slow hashes"]
	t.Logf("  locked: pdfcpu / ours %.0f, qpdf / ours %.0f; beyond the hashes ours / floor %.2f", over(script["pdfcpu locked"], script["ours locked"]), over(script["qpdf locked"], script["ours locked"]), over(beyond, script["aes and sha-256"]))
	t.Logf("  ten files each, locked: pdfcpu / ours %.0f", over(script["pdfcpu locked"], script["ours ten files"]))
	t.Logf("  compile: ours / pdfcpu's one stamp %.2f", over(script["compile in place"], script["pdfcpu"]))

	inSandbox, prove := sandboxed(t, written, rounds)
	t.Logf("  compile in the sandbox, its start included: ours / pdfcpu's one stamp %.2f (%s of the processor)", over(inSandbox, script["pdfcpu"]), inSandbox.Round(time.Millisecond))
	t.Logf("  preflight: %s", prove)

	s = &series{t: t, rounds: max(5, rounds/4)}
	for _, name := range []string{"ours", "sha-256", "ours locked", "aes and sha-256", "two slow hashes"} {
		s.workers = append(s.workers, start(t, name, scan))
	}
	s.run()
	scanned := s.medians()
	t.Logf("scan of 20 MB: ours %s, floor %s, ratio %.2f; locked beyond the hashes %s, floor %s, ratio %.2f",
		scanned["ours"], scanned["sha-256"], over(scanned["ours"], scanned["sha-256"]),
		scanned["ours locked"]-scanned["two slow hashes"], scanned["aes and sha-256"], over(scanned["ours locked"]-scanned["two slow hashes"], scanned["aes and sha-256"]))
}

// sandboxed compiles the source as the service does, and then proves that a mark shows on it.
func sandboxed(t *testing.T, path string, rounds int) (compiling time.Duration, proving string) {
	e := engine.New(engine.Config{
		Limits:  compile.Limits{Pages: 5000, Objects: 1e6, Content: 1 << 28},
		Sandbox: sandbox.Limits{Memory: 512 << 20, CPU: 20 * time.Second, Wall: 90 * time.Second}, Parallel: 2,
	}, slog.New(slog.DiscardHandler))
	src, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	spent := func() time.Duration {
		return processorTime(syscall.RUSAGE_SELF) + processorTime(syscall.RUSAGE_CHILDREN)
	}
	var all []time.Duration
	var raw []byte
	for range rounds {
		before := spent()
		raw, err = e.Compile(t.Context(), src, false)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, spent()-before)
	}
	slices.Sort(all)
	source, err := engine.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mark.Compose(mark.Spec{}, map[string]string{"name": "Sample Recipient", "email": "sample@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	began, before := time.Now(), spent()
	_, err = e.Check(t.Context(), source, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all[len(all)/2], fmt.Sprintf("%s, %s of the processor", time.Since(began).Round(10*time.Millisecond), (spent() - before).Round(10*time.Millisecond))
}

// series has several work in turn.
type series struct {
	t       *testing.T
	rounds  int
	workers []*worker
	tools   []tool
	used    map[string][]time.Duration
	memory  map[string]int64
}

type tool struct {
	name string
	args []string
}

func (s *series) run() {
	s.used, s.memory = map[string][]time.Duration{}, map[string]int64{}
	for range s.rounds {
		for _, w := range s.workers {
			cpu, memory := w.round(s.t)
			s.used[w.name] = append(s.used[w.name], cpu)
			s.memory[w.name] = memory
		}
		for _, tool := range s.tools {
			before := processorTime(syscall.RUSAGE_CHILDREN)
			out, err := exec.CommandContext(s.t.Context(), "qpdf", tool.args...).CombinedOutput()
			if err != nil {
				s.t.Fatalf("%s: %v\n%s", tool.name, err, out)
			}
			s.used[tool.name] = append(s.used[tool.name], processorTime(syscall.RUSAGE_CHILDREN)-before)
		}
	}
}

func (s *series) names() []string {
	var names []string
	for _, w := range s.workers {
		names = append(names, w.name)
	}
	for _, tool := range s.tools {
		names = append(names, tool.name)
	}
	return names
}

func (s *series) medians() map[string]time.Duration {
	out := map[string]time.Duration{}
	for name, used := range s.used {
		slices.Sort(used)
		out[name] = used[len(used)/2]
	}
	return out
}

// document is a PDF under construction; the catalogue is object 1, the page tree 2.
type document struct {
	objects [][]byte
	kids    bytes.Buffer
	pages   int
}

func newDocument() *document {
	return &document{objects: [][]byte{[]byte("<</Type/Catalog/Pages 2 0 R>>"), nil}}
}

func (d *document) add(format string, args ...any) int {
	d.objects = append(d.objects, fmt.Appendf(nil, format, args...))
	return len(d.objects)
}

func (d *document) page(content []byte, resources string) {
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, _ = z.Write(content) // a buffer takes everything
	_ = z.Close()
	c := d.add("<</Length %d/Filter/FlateDecode>>\nstream\n%s\nendstream", packed.Len(), packed.Bytes())
	fmt.Fprintf(&d.kids, "%d 0 R ", d.add("<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R/Resources<<%s>>>>", c, resources))
	d.pages++
}

func (d *document) bytes() []byte {
	d.objects[1] = fmt.Appendf(nil, "<</Type/Pages/Count %d/Kids[%s]>>", d.pages, d.kids.Bytes())
	out := []byte("%PDF-1.7\n")
	var table bytes.Buffer
	for i, o := range d.objects {
		fmt.Fprintf(&table, "%010d 00000 n \n", len(out))
		out = fmt.Appendf(out, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	at := len(out)
	return fmt.Appendf(out, "xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(d.objects)+1, table.Bytes(), len(d.objects)+1, at)
}

// script is a document of so many pages full of text, some 1.3 kB of it a page once deflated.
func script(pages int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	d := newDocument()
	font := d.add("<</Type/Font/Subtype/Type1/BaseFont/Courier>>")
	for range pages {
		var text bytes.Buffer
		text.WriteString("BT /F1 12 Tf 1 0 0 1 108 720 Tm 12 TL\n")
		for range 54 {
			text.WriteByte('(')
			for range 2 + r.IntN(9) {
				for range 2 + r.IntN(7) {
					text.WriteByte("etaoinshrdlucm"[r.IntN(14)])
				}
				text.WriteByte(' ')
			}
			text.WriteString(") Tj T*\n")
		}
		text.WriteString("ET\n")
		d.page(text.Bytes(), fmt.Sprintf("/Font<</F1 %d 0 R>>", font))
	}
	return d.bytes()
}

// scans is a document whose pages are pictures of 2 MB each.
func scans(t *testing.T, pages int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	d := newDocument()
	for range pages {
		picture := image.NewGray(image.Rect(0, 0, 1700, 2200))
		for i := range picture.Pix {
			picture.Pix[i] = byte(200 + r.IntN(56))
		}
		var data bytes.Buffer
		err := jpeg.Encode(&data, picture, &jpeg.Options{Quality: 86})
		if err != nil {
			t.Fatal(err)
		}
		o := d.add("<</Type/XObject/Subtype/Image/Width 1700/Height 2200/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/DCTDecode/Length %d>>\nstream\n%s\nendstream", data.Len(), data.Bytes())
		d.page([]byte("q 612 0 0 792 0 0 cm /I Do Q"), fmt.Sprintf("/XObject<</I %d 0 R>>", o))
	}
	return d.bytes()
}

// overlay is a page that qpdf lays over others.
func overlay(t *testing.T, dir string) string {
	d := newDocument()
	font := d.add("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
	d.page([]byte("BT .7 .7 -.7 .7 100 100 Tm /F1 24 Tf (Confidential copy of Zoe Mueller-Angstroem, 204) Tj ET"), fmt.Sprintf("/Font<</F1 %d 0 R>>", font))
	path := filepath.Join(dir, "overlay.pdf")
	err := os.WriteFile(path, d.bytes(), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
