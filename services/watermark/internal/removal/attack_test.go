package removal_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pdfcpu/pdfcpu/pkg/api"

	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/services/watermark/internal/removal"
)

// Each attack takes off, without a trace, a mark of the kind it is made for: the suite bites.
func TestAttacksSucceedOnNaiveMarks(t *testing.T) {
	need.Programs(t, "qpdf", "pdftoppm")
	for _, n := range naives {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			unmarked, marked := filepath.Join(dir, "unmarked.pdf"), filepath.Join(dir, "marked.pdf")
			ownDocument(t, unmarked, marked, n)
			wantRemoved(t, unmarked, marked, n.attack, n.raw)
		})
	}
}

func TestPdfcpuAttackSucceedsOnItsStamp(t *testing.T) {
	need.Programs(t, "qpdf", "pdftoppm")
	dir := t.TempDir()
	unmarked, marked := filepath.Join(dir, "unmarked.pdf"), filepath.Join(dir, "marked.pdf")
	ownDocument(t, unmarked, marked, naive{})
	api.DisableConfigDir()
	err := api.AddTextWatermarksFile(unmarked, marked, nil, true, "CONFIDENTIAL", "scale:0.8, opacity:0.5", nil)
	if err != nil {
		t.Fatal(err)
	}
	// qpdf's coalescing moves the stamp from where pdfcpu looks for it.
	wantRemoved(t, unmarked, marked, "pdfcpu stamp remove", true)
}

// wantRemoved has the attack tried by itself and after what qpdf does first, and wants every page as if never marked;
// an attack that has nothing to do with the mark is to leave it.
func wantRemoved(t *testing.T, unmarked, marked, attack string, raw bool) {
	t.Helper()
	other := "image masks"
	if attack == other {
		other = "annotations"
	}
	var attacks []removal.Attack
	for _, a := range removal.Attacks() {
		prepared, plain, ok := strings.Cut(a.Name, ": ")
		if !ok {
			plain = a.Name
		}
		if a.Name == other || plain == attack && (!ok || !raw && prepared != "") {
			attacks = append(attacks, a)
		}
	}
	if len(attacks) < 2 {
		t.Fatalf("there is no attack %q", attack)
	}
	r, err := removal.Judge(t.Context(), removal.Case{Copy: marked, Unmarked: unmarked, Dir: t.TempDir(), Attacks: attacks})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Unmarked) > 0 || r.Pages != 3 {
		t.Fatalf("%d pages, of which %v show no plain mark even before: no test", r.Pages, r.Unmarked)
	}
	for _, f := range r.Findings {
		switch {
		case f.Attack == other && (f.Equal || f.Did || !f.Plain):
			t.Errorf("%s took the mark of page %d, too, though it is none of its kind", f.Attack, f.Page)
		case f.Attack != other && !f.Equal:
			t.Errorf("%s left page %d different in %.4f of it", f.Attack, f.Page, f.Differs)
		}
	}
}

// What attacks write is valid: a copy must not get away with a mark that stays since the attack broke the file. And it
// looks as the judge says, who renders alike pages once.
func TestAttacksWriteWhatTheJudgeSees(t *testing.T) {
	need.Programs(t, "qpdf", "pdftoppm")
	dir := t.TempDir()
	unmarked, marked := filepath.Join(dir, "unmarked.pdf"), filepath.Join(dir, "marked.pdf")
	ownDocument(t, unmarked, marked, severalMarks)
	r, err := removal.Judge(t.Context(), removal.Case{Copy: marked, Unmarked: unmarked, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	equal := map[string]bool{}
	for _, f := range r.Findings {
		if f.Page == 2 {
			equal[f.Attack] = f.Equal
		}
	}
	want := secondPage(t, unmarked)
	for i, a := range removal.Attacks() {
		if !all() && i%5 != 0 {
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.pdf")
			err := a.Run(t.Context(), marked, out)
			if err != nil {
				t.Fatal(err)
			}
			said, err := exec.CommandContext(t.Context(), "qpdf", "--check", out).CombinedOutput()
			if err != nil {
				t.Errorf("qpdf --check: %v\n%s", err, said)
			}
			same := bytes.Equal(secondPage(t, out), want)
			if same != equal[a.Name] {
				t.Errorf("the page equals the unmarked one: %v, says the judge: %v", same, equal[a.Name])
			}
		})
	}
}

func secondPage(t *testing.T, path string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "pdftoppm", "-r", "100", "-gray", "-cropbox", "-f", "2", "-l", "2", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
