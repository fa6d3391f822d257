// Package mark makes the visible mark of a copy: template and fields become text, text becomes glyph outlines, and
// outlines find their places on a page. It is pure: the same template, fields and page give the same bytes on every
// machine, since all geometry is integer arithmetic and the font is embedded. What draws a mark (a copy, a thumbnail, a
// preview) draws it from here.
//
// Outlines need no font in the document and leave its text as it was for search and screen readers. A character the font
// lacks is an error and never a box or a question mark: whoever reads a copy must be able to read whose it is.
package mark

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Default is the template for who gave none.
const Default = "{name}\n{email}"

const (
	maxLines = 6
	maxRunes = 160 // in one line; a longer one would be too small to read
)

// standard are the fields every mark may name. One that a recipient has no value for is empty.
var standard = []string{"name", "email", "company", "role", "date", "time", "copy", "production", "title"}

// Standard returns the names of the fields every template may use, whether a recipient has a value for them or not.
func Standard() []string { return slices.Clone(standard) }

// Error says why a mark cannot be drawn, for people.
type Error struct {
	// Reason is one of MARK_TEMPLATE_BROKEN, MARK_FIELD_UNKNOWN, MARK_EMPTY, MARK_TOO_LONG, MARK_GLYPH_MISSING.
	Reason  string
	Message string
}

func (e *Error) Error() string { return e.Message }

func refuse(reason, format string, args ...any) error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Validate reports what is wrong with template for recipients who have the fields known besides the standard ones. An
// empty template stands for Default. Errors are *Error.
func Validate(template string, known ...string) error {
	fields := map[string]string{}
	for _, name := range slices.Concat(standard, known) {
		fields[name] = "x"
	}
	_, err := Compose(template, fields)
	return err
}

// Fill puts fields into template and returns the lines of the mark's text, cleaned of what cannot be seen. Names of
// fields are compared without regard to case; "{{" is a brace. Lines left empty are dropped.
func Fill(template string, fields map[string]string) ([]string, error) {
	if strings.TrimSpace(template) == "" {
		template = Default
	}
	values := map[string]string{}
	for _, name := range standard {
		values[name] = ""
	}
	for name, value := range fields {
		values[key(name)] = value
	}
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(template, "\r\n", "\n")) {
		text, err := fillLine(line, values)
		if err != nil {
			return nil, err
		}
		text = clean(text)
		if text != "" {
			lines = append(lines, text)
		}
	}
	return lines, check(lines)
}

func check(lines []string) error {
	if len(lines) == 0 {
		return refuse("MARK_EMPTY", "the mark has no text: all fields it names are empty for this recipient")
	}
	if len(lines) > maxLines {
		return refuse("MARK_TOO_LONG", "the mark has %d lines, more than the %d that can be read on a page", len(lines), maxLines)
	}
	for _, line := range lines {
		n := len([]rune(line))
		if n > maxRunes {
			return refuse("MARK_TOO_LONG", "a line of the mark has %d characters, more than the %d that can be read on a page: break the template into lines", n, maxRunes)
		}
	}
	return nil
}

func fillLine(line string, values map[string]string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(line, "{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
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
		value, known := values[key(name)]
		if !known {
			return "", refuse("MARK_FIELD_UNKNOWN", "the mark names the field {%s}, which nobody has; there are %s", name, list(values))
		}
		b.WriteString(value)
		line = after
	}
}

func key(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func list(values map[string]string) string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, "{"+name+"}")
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// clean makes of text what a reader sees of it: composed characters, single spaces, nothing that only steers its
// display, such as a change of direction.
func clean(text string) string {
	visible := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	return strings.Join(strings.Fields(norm.NFC.String(visible)), " ")
}
