package preflight_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
)

// encrypted has qpdf encrypt data with AES-256.
func encrypted(t *testing.T, data []byte, password string) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pdf"), filepath.Join(dir, "out.pdf")
	err := os.WriteFile(in, data, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), "qpdf", "--encrypt", password, "owner", "256", "--", in, out).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	data, err = os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestProveFindsDamage(t *testing.T) {
	need.Programs(t, "qpdf", "pdfinfo")
	m := somebody(t, mark.Style{})
	sound := assemble([]sheet{{under: text("0 g")}, {}, {rotate: 90}}, ink{mark: m})
	// change changes the first place that pattern matches, and no offset before the cross-reference.
	change := func(pattern, to string) []byte {
		at := regexp.MustCompile(pattern).FindIndex(sound)
		if at == nil || at[1]-at[0] != len(to) && at[0] < bytes.LastIndex(sound, []byte("xref\n0")) {
			t.Fatalf("%q is not to be replaced by %q", pattern, to)
		}
		return slices.Concat(sound[:at[0]], []byte(to), sound[at[1]:])
	}
	secret := encrypted(t, sound, "open sesame")
	large := assemble([]sheet{{}, {}, {entries: "/X (" + string(bytes.Repeat([]byte("x"), 1<<20)) + ")"}}, ink{mark: m})
	for _, c := range []struct {
		name string
		data []byte
		want preflight.Want
		ok   bool
	}{
		{"sound", sound, preflight.Want{Pages: 3}, true},
		{"long", large, preflight.Want{Pages: 3}, true},
		{"fewer pages than it ought to have", sound, preflight.Want{Pages: 4}, false},
		{"more pages than it ought to have", sound, preflight.Want{Pages: 2}, false},
		{"cut off", sound[:len(sound)-300], preflight.Want{Pages: 3}, false},
		{"long and cut off", large[:len(large)-300], preflight.Want{Pages: 3}, false},
		{"a wrong offset", change("0000000009", "0000000019"), preflight.Want{Pages: 3}, false},
		{"a length that is wrong", change(`Decode/Length [1-9]`, "Decode/Length 0"), preflight.Want{Pages: 3}, false},
		{"a stream that does not decode", change("stream\nx", "stream\nX"), preflight.Want{Pages: 3}, true},
		{"a page that is none", change(`/Kids\[7`, "/Kids[3"), preflight.Want{Pages: 3}, false},
		{"a title that lies", change("trailer\n<<", "trailer\n<</Info<</Title(A\nPages: 3\nPage 1 size: 1 x 1 pts)>>"), preflight.Want{Pages: 3}, true},
		{"nothing", nil, preflight.Want{Pages: 3}, false},
		{"encrypted", secret, preflight.Want{Pages: 3, Password: "open sesame"}, true},
		{"encrypted with another password", secret, preflight.Want{Pages: 3, Password: "open"}, false},
		{"encrypted, no password given", secret, preflight.Want{Pages: 3}, false},
		{"encrypted and damaged", bytes.Replace(secret, []byte("/Type /Pages"), []byte("/Type /Pagen"), 1), preflight.Want{Pages: 4, Password: "open sesame"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := preflight.Prove(t.Context(), file(t, c.data), c.want, config())
			var unsound *preflight.Unsound
			switch {
			case c.ok && err != nil:
				t.Errorf("got %v, want none", err)
			case !c.ok && !errors.As(err, &unsound):
				t.Errorf("got %v, want it called unsound", err)
			case !c.ok:
				t.Log(err)
			}
		})
	}
}
