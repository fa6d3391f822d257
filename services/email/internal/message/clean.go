package message

import (
	"fmt"
	"mime"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName    = 255 // bytes, of a person's, a production's or a file's name
	maxSubject = 255
	foldAt     = 76
)

// Line makes one line of s, of at most limit bytes: controls, line and paragraph separators become spaces, runs of
// spaces one; characters that turn the direction of text or take no room are dropped, since they make a text look like
// another; "=?" is parted, so that no reader takes it for an encoded word and finds a line break in it.
func Line(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), r == '\u2028', r == '\u2029':
			space = true
			continue
		case deceptive(r):
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	return strings.TrimRight(cut(strings.ReplaceAll(b.String(), "=?", "= ?"), limit), " ")
}

// Text makes plain text of s: line ends become "\n", controls other than tabs are dropped, blank lines at the ends too.
func Text(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n\n", "\u0085", "\n").Replace(s)
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case unicode.IsControl(r), deceptive(r):
			return -1
		}
		return r
	}, s)
	return strings.Trim(s, "\n \t")
}

// deceptive characters change how others look. The joiners stay: Persian, Hindi and family emoji are written with them.
func deceptive(r rune) bool {
	switch r {
	case '\u200C', '\u200D':
		return false
	case '\u00AD', '\u061C', '\uFFFC':
		return true
	}
	return unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) && !tag(r)
}

// tag characters spell the flags of Scotland, Wales and others.
func tag(r rune) bool { return r >= 0xE0020 && r <= 0xE007F }

// FileName makes a name that every mail reader and file system takes, at most 255 bytes, its extension kept.
func FileName(s string) string {
	s = Line(s, 4*maxName)
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\<>:"|?*`, r) {
			return '_'
		}
		return r
	}, s)
	s = strings.Trim(s, ". ")
	stem, ext := split(s)
	stem = strings.TrimRight(cut(stem, maxName-len(ext)), ". ")
	if stem == "" {
		stem = "document"
	}
	if reserved(stem) {
		stem = "_" + cut(stem, maxName-len(ext)-1)
	}
	return stem + ext
}

// split parts a name before its extension; what is longer than extensions are belongs to the name.
func split(name string) (stem, ext string) {
	ext = path.Ext(name)
	if len(ext) > 16 || strings.ContainsRune(ext, ' ') {
		ext = ""
	}
	return strings.TrimSuffix(name, ext), ext
}

// reserved reports whether Windows takes a file of this name for a device.
func reserved(stem string) bool {
	stem, _, _ = strings.Cut(strings.ToUpper(stem), ".")
	switch stem {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(stem) == 4 && (stem[:3] == "COM" || stem[:3] == "LPT") && stem[3] >= '1' && stem[3] <= '9'
}

// fileNames cleans the names of all documents and tells equal ones apart: "Script.pdf", "Script (2).pdf".
func fileNames(docs []Document) []string {
	taken := map[string]bool{}
	names := make([]string, len(docs))
	for i, d := range docs {
		name := FileName(d.Name)
		stem, ext := split(name)
		for n := 2; taken[strings.ToLower(name)]; n++ {
			suffix := fmt.Sprintf(" (%d)%s", n, ext)
			name = cut(stem, maxName-len(suffix)) + suffix
		}
		taken[strings.ToLower(name)] = true
		names[i] = name
	}
	return names
}

// cut shortens s to at most limit bytes, between characters.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// encode is unstructured text as a header field has it.
func encode(s string) string { return mime.QEncoding.Encode("utf-8", s) }

// phrase is a display name as an address has it: a quoted string, or encoded words.
func phrase(s string) string {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return mime.BEncoding.Encode("utf-8", s)
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// field is one header field, folded at spaces to lines of 76 where that can be done.
func field(name, value string) string {
	var b strings.Builder
	b.WriteString(name)
	b.WriteByte(':')
	used := len(name) + 1
	for word := range strings.SplitSeq(value, " ") {
		if used+1+len(word) > foldAt && used > len(name)+1 {
			b.WriteString("\r\n")
			used = 0
		}
		b.WriteByte(' ')
		b.WriteString(word)
		used += 1 + len(word)
	}
	b.WriteString("\r\n")
	return b.String()
}
