package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxFileName is what file systems take, in bytes, with room for a temporary file's addition.
const maxFileName = 240

// outNames gives each copy a file name of its own, with the ending of its source: "<base> - <name>.pdf".
type outNames struct {
	base, ending string
	taken        map[string]bool
}

func newOutNames(source string) *outNames {
	return (&outNames{taken: map[string]bool{}}).of(source)
}

// of returns names for copies of another source that are none of o's.
func (o *outNames) of(source string) *outNames {
	base, ending := splitName(source)
	return &outNames{base: fileSafe(base), ending: ending, taken: o.taken}
}

// splitName parts a file's name before its ending, such as ".pdf"; "Draft 1.2" has none.
func splitName(name string) (base, ending string) {
	const longest = 5
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
	ending = filepath.Ext(name)
	if len(ending) > 1+longest || !strings.ContainsFunc(ending, letter) || fileSafe(ending[1:]) != ending[1:] || strings.Contains(ending, " ") {
		ending = ""
	}
	return strings.TrimSuffix(name, ending), ending
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
		name := cut(o.base+" - "+person, maxFileName-len(number)-len(o.ending)) + number + o.ending
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
