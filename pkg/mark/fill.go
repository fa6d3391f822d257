package mark

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/filigreehq/filigree/pkg/mark/bidi"
)

// Characters that cannot be seen and yet decide how others are drawn: they join letters and keep them apart.
const (
	zwnj = '\u200c'
	zwj  = '\u200d'
)

// Fill puts fields into template and returns the lines of the mark's text, cleaned of what cannot be seen. Names of
// fields are compared without regard to case; "{{" is a brace. Lines left empty are dropped.
func Fill(template string, fields map[string]string) ([]string, error) {
	lines, err := fillLines(template, fields)
	if err != nil {
		return nil, err
	}
	return plain(lines), nil
}

// plain is the text of lines, without isolates.
func plain(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = withoutIsolates(line)
	}
	return out
}

func withoutIsolates(line string) string {
	if !strings.ContainsRune(line, bidi.Auto) {
		return line
	}
	return strings.Map(func(r rune) rune {
		if r == bidi.Auto || r == bidi.End {
			return -1
		}
		return r
	}, line)
}

// fillLines returns the lines, with each field's value isolated where there may be text from right to left, so that it
// keeps together and its own direction beside text of the other.
func fillLines(template string, fields map[string]string) ([]string, error) {
	if strings.TrimSpace(template) == "" {
		template = Default
	}
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(template, "\r\n", "\n")) {
		text, err := fillLine(line, fields)
		if err != nil {
			return nil, err
		}
		if text != "" {
			lines = append(lines, text)
		}
	}
	return lines, check(lines)
}

func empty() error {
	return refuse("MARK_EMPTY", "the mark has no text: all fields it names are empty for this recipient")
}

func check(lines []string) error {
	if len(lines) == 0 {
		return empty()
	}
	if len(lines) > maxLines {
		return refuse("MARK_TOO_LONG", "the mark has %d lines, more than the %d that can be read on a page", len(lines), maxLines)
	}
	for _, line := range lines {
		if len(line) <= maxRunes {
			continue
		}
		n := 0
		for _, r := range line {
			if r != bidi.Auto && r != bidi.End {
				n++
			}
		}
		if n > maxRunes {
			return refuse("MARK_TOO_LONG", "a line of the mark has %d characters, more than the %d that can be read on a page: break the template into lines", n, maxRunes)
		}
	}
	return nil
}

// fillLine fills a line, cleaned and with isolates; empty if there is nothing to see of it.
func fillLine(line string, fields map[string]string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(line, "{")
		b.WriteString(visible(before))
		if !found {
			break
		}
		if strings.HasPrefix(rest, "{") {
			b.WriteByte('{')
			line = rest[1:]
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", refuse("MARK_TEMPLATE_BROKEN", "the mark's template has a \"{\" without its \"}\": write {name}, or {{ for a brace itself")
		}
		value, known := lookUp(fields, name)
		if !known {
			return "", refuse("MARK_FIELD_UNKNOWN", "the mark names the field {%s}, which nobody has; there are %s", name, list(fields))
		}
		isolate(&b, clean(value))
		line = after
	}
	text := collapse(b.String()) // its parts are visible
	if !strings.ContainsFunc(text, inked) {
		return "", nil
	}
	if !strings.ContainsFunc(text, func(r rune) bool { return r >= 0x590 && r != bidi.Auto && r != bidi.End }) {
		return withoutIsolates(text), nil
	}
	return text, nil
}

func isolate(b *strings.Builder, value string) {
	if value == "" {
		return
	}
	b.WriteRune(bidi.Auto)
	b.WriteString(value)
	b.WriteRune(bidi.End)
}

// inked reports whether there is something to see of a character, as far as it tells by itself.
func inked(r rune) bool {
	return r != ' ' && r != bidi.Auto && r != bidi.End && !invisible(r)
}

// lookUp returns the value of the field called name. Of names that differ in case only, the first in order counts.
func lookUp(fields map[string]string, name string) (string, bool) {
	value, ok := fields[name]
	if ok && name == key(name) {
		return value, true
	}
	name = key(name)
	for _, other := range slices.Sorted(maps.Keys(fields)) {
		if key(other) == name {
			return fields[other], true
		}
	}
	return "", slices.Contains(standard, name)
}

func key(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func list(fields map[string]string) string {
	names := slices.Clone(standard)
	for name := range fields {
		names = append(names, key(name))
	}
	slices.Sort(names)
	return "{" + strings.Join(slices.Compact(names), "} {") + "}"
}

// clean makes of text what a reader sees of it: composed characters, single spaces.
func clean(text string) string {
	return collapse(visible(text))
}

func collapse(text string) string {
	if plainASCII(text) {
		return text
	}
	return strings.Join(strings.Fields(norm.NFC.String(text)), " ")
}

// plainASCII reports whether text is clean for the plainest of reasons.
func plainASCII(text string) bool {
	space := true
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c >= 0x7f || c == ' ' && space {
			return false
		}
		space = c == ' '
	}
	return !space
}

// visible drops from text what cannot be seen and only steers its display, such as a change of direction, and makes
// spaces of what stands for white space. What isolates is ours only.
func visible(text string) string {
	if plainASCII(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x7f && r >= ' ':
			return r
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return ' '
		case dropped(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
}

// dropped reports whether r has neither a form nor a say in another's.
func dropped(r rune) bool {
	switch {
	case r == zwj || r == zwnj || r == '\u200e' || r == '\u200f' || r == '\u061c' || r == '\u180e': // joining, direction of what is beside
		return false
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r): // signs under numbers, which are seen
		return false
	case r == '\ufe0e' || r == '\ufe0f': // ask for the character before as text or as an emoji
		return true
	case r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0' || r == '\u17b4' || r == '\u17b5': // letters without a form
		return true
	}
	return unicode.Is(unicode.Cf, r)
}
