package typeface

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/go-text/typesetting/language"
	"github.com/google/go-cmp/cmp"
)

// What is embedded is what make.py made, byte for byte: other bytes would draw other marks.
func TestThePackIsWhatItsSumsSay(t *testing.T) {
	t.Parallel()
	sums, err := os.ReadFile("SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	version := sha256.Sum256(sums)
	if got := hex.EncodeToString(version[:6]); got != Version {
		t.Errorf("the pack's version is %s, but it says %s", got, Version)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		want[name] = sum
	}
	got := map[string]string{}
	var total int
	files, err := fs.ReadDir(noto, "noto")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := noto.ReadFile("noto/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		got[f.Name()] = hex.EncodeToString(sum[:])
		total += len(data)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if total > 22<<20 {
		t.Errorf("the pack has %d bytes, more than 22 MiB", total)
	}
}

// Each script's font is there, can be read, and has letters of it; and no font is there for nothing.
func TestEveryScriptHasItsFont(t *testing.T) {
	t.Parallel()
	used := map[string]bool{"regions.bin": true}
	letters := map[*Typeface]map[language.Script]int{}
	for script, f := range scripts {
		used[f.Name] = true
		if letters[f] != nil {
			continue
		}
		letters[f] = map[language.Script]int{}
		parsed, err := f.Font()
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		for it := parsed.Cmap.Iter(); it.Next(); {
			r, _ := it.Char()
			letters[f][language.LookupScript(r)]++
		}
	}
	for script, f := range scripts {
		if letters[f][script] < 15 {
			t.Errorf("%s has only %d characters of %s", f.Name, letters[f][script], script)
		}
	}
	files, err := fs.ReadDir(noto, "noto")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !used[f.Name()] {
			t.Errorf("%s is embedded and never used", f.Name())
		}
	}
}

func TestLanguageIsGuessedFromTheCompanyOfHan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]language.Language{
		"Zoë":    other,
		"Иван":   other,
		"王芳":     simplified,
		"张伟":     simplified,
		"張偉":     traditional,
		"陳大文 王芳": traditional,
		"田中さくら":  japanese,
		"黒沢":     japanese,
		"キム 張":   japanese,
		"김 金":    korean,
		"محمد":   other,
	} {
		if got := Language([]string{text}); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func BenchmarkReadTheLargestFont(b *testing.B) {
	for b.Loop() {
		_, err := read(Han.Name)
		if err != nil {
			b.Fatal(err)
		}
	}
}
