// Package mark makes the visible mark of a copy: template and fields become text, text becomes glyph outlines, and
// outlines find their places on a page. It is pure: the same template, fields and page give the same bytes on every
// machine, since all geometry is integer arithmetic and the fonts are embedded. What draws a mark (a copy, a thumbnail, a
// preview) draws it from here.
//
// Outlines need no font in the document and leave its text as it was for search and screen readers. A character the fonts
// lack is an error and never a box or a question mark: whoever reads a copy must be able to read whose it is.
package mark

import (
	"fmt"
	"slices"
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
	// Reason is one of MARK_TEMPLATE_BROKEN, MARK_FIELD_UNKNOWN, MARK_EMPTY, MARK_TOO_LONG, MARK_GLYPH_MISSING,
	// MARK_STYLE_BAD.
	Reason  string
	Message string
}

func (e *Error) Error() string { return e.Message }

func refuse(reason, format string, args ...any) error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Spec is a mark before it is filled for a recipient.
type Spec struct {
	// Template is the text, with fields in braces; Default if empty.
	Template string
	Style    Style
}

// Validate reports what is wrong with template for recipients who have the fields known besides the standard ones. An
// empty template stands for Default. Errors are *Error.
func Validate(template string, known ...string) error {
	fields := map[string]string{}
	for _, name := range slices.Concat(standard, known) {
		fields[name] = "x"
	}
	_, err := Compose(Spec{Template: template}, fields)
	return err
}
