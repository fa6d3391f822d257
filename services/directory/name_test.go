package directory_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/filigreehq/filigree/services/directory"
)

func TestNamesAreCleaned(t *testing.T) {
	for name, want := range map[string]string{
		"script.pdf":                        "script.pdf",
		"Drehbuch – Fassung 7.pdf":          "Drehbuch – Fassung 7.pdf",
		"../../etc/passwd":                  "passwd",
		`C:\Users\kim\call sheet.pdf`:       "call sheet.pdf",
		"a\r\nBcc: x@example.org\x00.pdf":   "aBcc: x@example.org.pdf",
		"invoice\u202efdp.exe":              "invoicefdp.exe",
		"\u2066x\u2069\u200f\ufeff.pdf":     "x.pdf",
		"line\u2028break\u0085.pdf":         "linebreak.pdf",
		"bad\xffutf8.pdf":                   "badutf8.pdf",
		"  spaced.pdf ":                     "spaced.pdf",
		"":                                  "document",
		"..":                                "document",
		"folder/":                           "document",
		" \t ":                              "document",
		"क्\u200dष.pdf":                     "क्\u200dष.pdf",
		"e\u0301.pdf":                       "é.pdf",
		strings.Repeat("a", 300):            strings.Repeat("a", 255),
		strings.Repeat("ä", 200):            strings.Repeat("ä", 127),
		strings.Repeat("a", 253) + "€":      strings.Repeat("a", 253),
		strings.Repeat("a", 254) + " b.pdf": strings.Repeat("a", 254),
	} {
		if got := directory.CleanName(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	for _, s := range []string{"a.pdf", "../x", "\u202e", "\xff\xfe", strings.Repeat("é", 200), "..", "a/\u200d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := directory.CleanName(name)
		if got == "" || len(got) > 255 || !utf8.ValidString(got) || strings.ContainsAny(got, "/\\\x00\r\n\u202e") || got == "." || got == ".." {
			t.Errorf("%q became %q", name, got)
		}
		if again := directory.CleanName(got); again != got {
			t.Errorf("%q became %q and, cleaned again, %q", name, got, again)
		}
	})
}
