package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxFileName is what file systems take, in bytes, with room for a temporary file's addition.
const maxFileName = 240

// outNames gives each copy a file name of its own: "<base> - <name>.pdf".
type outNames struct {
	base  string
	taken map[string]bool
}

func newOutNames(base string) *outNames {
	return &outNames{base: fileSafe(base), taken: map[string]bool{}}
}

// of returns names of another base that are none of o's.
func (o *outNames) of(base string) *outNames {
	return &outNames{base: fileSafe(base), taken: o.taken}
}

// next returns the name for a person. Names that a file system could take for the same (by case, or by how letters are
// composed) get a number.
func (o *outNames) next(person string) string {
	person = fileSafe(person)
	for n := 1; ; n++ {
		number := ""
		if n > 1 {
			number = fmt.Sprintf(" (%d)", n)
		}
		name := cut(o.base+" - "+person, maxFileName-len(number)-len(".pdf")) + number + ".pdf"
		key := strings.ToLower(norm.NFC.String(name))
		if !o.taken[key] {
			o.taken[key] = true
			return name
		}
	}
}

// fileSafe replaces what has a meaning in paths on any system, or cannot be seen.
func fileSafe(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError {
			return '_'
		}
		return r
	}, s)
	return strings.Trim(s, " .")
}

// cut shortens s to at most n bytes at a letter's end.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimRight(s[:n], " .")
}
