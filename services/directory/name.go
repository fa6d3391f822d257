package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// nameless is the name of a document that came without a usable one.
const nameless = "document"

const maxNameBytes = 255

// cleanName makes of what a client calls a document a name that is safe to show and to save under: the base name,
// without anything that cannot be seen or turns the reading order around, and at most 255 bytes of whole characters.
func cleanName(name string) string {
	name = norm.NFC.String(visible(name))
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.TrimSpace(cut(strings.TrimSpace(name), maxNameBytes))
	if strings.Trim(name, ".") == "" {
		return nameless
	}
	return name
}

// visible drops control characters, line and paragraph separators, marks of the reading order, and bytes that are not
// UTF-8. The joiners stay: scripts of India and emoji need them.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
		switch {
		case r == zeroWidthNonJoiner, r == zeroWidthJoiner:
			return r
		case r == utf8.RuneError, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs):
			return -1
		}
		return r
	}, s)
}

// cut shortens s to at most n bytes of whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
