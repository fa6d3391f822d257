// Package people reads a list of recipients as spreadsheets write it: CSV with a header row, separated by commas,
// semicolons or tabs, with or without a byte order mark, with either kind of line end.
//
// It is pure. Text is trimmed and otherwise left as it is. Either every line is good and there is a person for each, or
// there is an *Error that names every bad line, so that a list is corrected in one go.
package people

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a distribution takes.
const (
	maxPeople = 10_000
	maxFields = 32
	maxName   = 255
	maxEmail  = 320
	maxValue  = 255
)

// Person is one line of the list.
type Person struct {
	Name, Email string
	// Fields holds the other columns that have a value on this line, by normalised header. Nil if there is none.
	Fields map[string]string
	// Line is where the person's row starts, counted from 1.
	Line int
}

// Problem is one thing that is wrong with a list.
type Problem struct {
	Line   int // where, counted from 1; 0 when it is about the whole list
	Reason string
}

// Error is everything that is wrong with a list, in the order of its lines.
type Error struct {
	Problems []Problem
	// Whole: no line can be taken, whatever is in it, as the list or its header is bad.
	Whole bool
}

func (e *Error) Error() string {
	var lines []string
	for _, p := range e.Problems {
		if p.Line == 0 {
			lines = append(lines, p.Reason)
			continue
		}
		lines = append(lines, fmt.Sprintf("line %d: %s", p.Line, p.Reason))
	}
	return strings.Join(lines, "\n")
}

func (e *Error) add(line int, format string, args ...any) {
	e.Problems = append(e.Problems, Problem{Line: line, Reason: fmt.Sprintf(format, args...)})
}

// Parse reads a list. Its error is always an *Error.
func Parse(data []byte) ([]Person, error) {
	list, bad := Read(data)
	if len(bad.Problems) > 0 {
		return nil, bad
	}
	return list, nil
}

// Read reads a list as far as it can be: the people of the good lines, and what is wrong with the others. Of a list that is
// bad as a whole, or whose header is, there is nobody.
func Read(data []byte) ([]Person, *Error) {
	bad := &Error{Whole: true}
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		bad.add(0, "it is UTF-16, not UTF-8: save it as “CSV UTF-8”")
		return nil, bad
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	rows := read(data, delimiter(data), bad)
	if len(rows) == 0 {
		if len(bad.Problems) == 0 {
			bad.add(0, "it is empty: it needs a header row with name and email, then a row for each person")
		}
		return nil, bad
	}
	cols := columns(rows[0], bad)
	if cols == nil {
		return nil, bad
	}
	list := persons(rows[1:], cols, bad)
	bad.Whole = false
	if len(list) == 0 && len(bad.Problems) == 0 {
		bad.Whole = true
		bad.add(0, "nobody is in it: after the header there is no row")
	}
	if len(rows)-1 > maxPeople {
		bad.add(0, "%d people are in it, and one distribution takes at most %d: split it", len(rows)-1, maxPeople)
		list, bad.Whole = nil, true
	}
	bad.sort()
	return list, bad
}

// row is one record that is not blank, its cells trimmed.
type row struct {
	line  int
	cells []string
}

// read splits data into rows. Lines that cannot be read are reported and left out.
func read(data []byte, comma rune, bad *Error) []row {
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma = comma
	r.FieldsPerRecord = -1
	// With tabs, "leading space" would include the delimiter itself and eat empty cells.
	r.TrimLeadingSpace = comma != '\t'
	var rows []row
	for {
		cells, err := r.Read()
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			bad.add(parse.StartLine, "%s", quoteReason(parse))
			continue
		}
		if err != nil { // io.EOF: a bytes.Reader has no other
			return rows
		}
		line, _ := r.FieldPos(0)
		blank := true
		for i, c := range cells {
			cells[i] = strings.TrimSpace(c)
			blank = blank && cells[i] == ""
		}
		if blank {
			continue
		}
		if !utf8.ValidString(strings.Join(cells, "")) {
			bad.add(line, "it is not UTF-8: save the list as “CSV UTF-8”")
			continue
		}
		rows = append(rows, row{line: line, cells: cells})
	}
}

func quoteReason(err *csv.ParseError) string {
	if err.Line != err.StartLine {
		return fmt.Sprintf("a quotation mark opens and is not closed properly (seen at line %d)", err.Line)
	}
	return `a quotation mark stands where none can be: quote the whole cell and double the marks inside ("a ""b"" c")`
}

// delimiter picks what separates the cells: the one under which the first row has both columns that are needed, else
// the one the row has most of.
func delimiter(data []byte) rune {
	best, most := ',', 1
	for _, comma := range []rune{',', ';', '\t'} {
		rows := read(firstLines(data), comma, &Error{})
		if len(rows) == 0 {
			continue
		}
		var name, email bool
		for _, c := range rows[0].cells {
			field, _ := normalise(c)
			name = name || field == "name"
			email = email || field == "email"
		}
		if name && email {
			return comma
		}
		if len(rows[0].cells) > most {
			best, most = comma, len(rows[0].cells)
		}
	}
	return best
}

// firstLines returns data up to the end of its first line that is not blank. (A header with a line break inside a
// quoted cell is judged by its first line.)
func firstLines(data []byte) []byte {
	for at := 0; at < len(data); {
		end := bytes.IndexByte(data[at:], '\n')
		if end < 0 {
			return data
		}
		if len(bytes.TrimSpace(data[at:at+end])) > 0 {
			return data[:at+end+1]
		}
		at += end + 1
	}
	return data
}

// columns names the columns of the header; a column without header is "", and may only hold empty cells. It returns nil
// when rows cannot be read by them.
func columns(header row, bad *Error) []string {
	before := len(bad.Problems)
	cols := make([]string, len(header.cells))
	seen := map[string]string{}
	for i, title := range header.cells {
		if title == "" {
			continue
		}
		field, ok := normalise(title)
		if !ok {
			bad.add(header.line, "the column %q cannot be a field: name it with letters a-z, digits and _, at most 32, a letter first", title)
			continue
		}
		if other, double := seen[field]; double {
			bad.add(header.line, "the columns %q and %q are both the field %s: rename one", other, title, field)
			continue
		}
		seen[field] = title
		cols[i] = field
	}
	for _, need := range []string{"name", "email"} {
		if _, ok := seen[need]; !ok {
			bad.add(header.line, "the header has no column %s; it has: %s", need, strings.Join(header.cells, ", "))
		}
	}
	if extra := len(seen) - 2; extra > maxFields {
		bad.add(header.line, "%d columns beside name and email; at most %d are taken", extra, maxFields)
	}
	if len(bad.Problems) > before {
		return nil
	}
	return cols
}

// normalise makes a field's name of a header: "Company name" is company_name. ok is false if it would be none.
func normalise(title string) (field string, ok bool) {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	field = strings.Trim(b.String(), "_")
	if field == "e_mail" {
		return "email", true
	}
	ok = field != "" && len(field) <= 32 && field[0] >= 'a'
	return field, ok
}

func persons(rows []row, cols []string, bad *Error) []Person {
	var list []Person
	lines := map[string]int{}
	for _, row := range rows {
		p := Person{Line: row.line}
		before := len(bad.Problems)
		for i, value := range row.cells {
			if value == "" {
				continue
			}
			if i >= len(cols) {
				bad.add(row.line, "it has %d cells, and the header only %d: quote cells that contain the separator", len(row.cells), len(cols))
				break
			}
			p.set(cols[i], value, i, bad)
		}
		p.check(bad)
		if p.Email != "" {
			key := strings.ToLower(p.Email)
			if first, double := lines[key]; double {
				bad.add(row.line, "the address %s stands in line %d already", p.Email, first)
			} else {
				lines[key] = row.line
			}
		}
		if len(bad.Problems) == before {
			list = append(list, p)
		}
	}
	return list
}

func (p *Person) set(field, value string, column int, bad *Error) {
	switch field {
	case "":
		bad.add(p.Line, "column %d has a value and its header has none", column+1)
	case "name":
		p.Name = value
	case "email":
		p.Email = value
	default:
		if len(value) > maxValue {
			bad.add(p.Line, "%s is %d bytes long; at most %d are taken", field, len(value), maxValue)
		}
		if p.Fields == nil {
			p.Fields = map[string]string{}
		}
		p.Fields[field] = value
	}
}

func (p *Person) check(bad *Error) {
	switch {
	case p.Name == "":
		bad.add(p.Line, "the name is missing")
	case len(p.Name) > maxName:
		bad.add(p.Line, "the name is %d bytes long; at most %d are taken", len(p.Name), maxName)
	case strings.ContainsFunc(p.Name, unicode.IsControl):
		bad.add(p.Line, "the name %q has a line break or another control character in it", p.Name)
	}
	switch {
	case p.Email == "":
		bad.add(p.Line, "the address is missing")
	case !Address(p.Email):
		bad.add(p.Line, "%q is not a mail address", p.Email)
	}
}

// Address reports whether s is a bare mail address: no display name, no comment, nothing quoted.
func Address(s string) bool {
	if len(s) > maxEmail || strings.ContainsFunc(s, unicode.IsControl) {
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Name == "" && a.Address == s
}

// Key is address in the form in which addresses are compared: what stands after the @ is the same in either case, and what
// stands before it is not.
func Key(address string) string {
	at := strings.LastIndexByte(address, '@')
	return address[:at+1] + strings.ToLower(address[at+1:])
}

// sort orders the problems by line, those about the whole list first: they were found pass by pass.
func (e *Error) sort() {
	slices.SortStableFunc(e.Problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
}
