package token_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/services/link/internal/token"
)

var key = bytes.Repeat([]byte{1}, 32)

// What was mailed must open for as long as the key exists, whichever release made it.
func TestTokensStayTheSame(t *testing.T) {
	t.Parallel()
	const want = "kL03GbnMdTSEKQE9qlgPbN6dwaTHpJ_EZPug5o_sz1U"
	if got := token.Make(key, "d1.r7", 1).Reveal(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTokensDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range [][]byte{key, bytes.Repeat([]byte{2}, 32)} {
		for _, link := range []string{"d1.r1", "d1.r2", "d1.r1\x00", "d2.r1"} {
			for generation := range 3 {
				seen[token.Make(k, link, generation).Reveal()] = true
			}
		}
	}
	if len(seen) != 24 {
		t.Errorf("got %d different tokens, want 24", len(seen))
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	made := token.Make(key, "d1.r7", 1)
	s := made.Reveal()
	got, ok := token.Parse(s)
	if !ok || got != made || got.Hash() != made.Hash() {
		t.Error("a token is not read back")
	}
	for _, bad := range []string{"", s[:42], s + "A", s + "=", " " + s[1:], strings.Repeat("+", 43), s[:42] + "_", s[:20] + "\n" + s[20:]} {
		_, ok = token.Parse(bad)
		if ok && bad != s {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, shown := range []string{fmt.Sprint(made), fmt.Sprintf("%v %+v %#v %s", made, made, made, made)} {
		if strings.Contains(shown, s) {
			t.Errorf("a token prints itself: %s", shown)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(token.Make(key, "d1.r7", 1).Reveal())
	f.Add(strings.Repeat("_", 43))
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := token.Parse(s)
		if ok && got.Reveal() != s {
			t.Errorf("%q was taken for %q", s, got.Reveal())
		}
	})
}
