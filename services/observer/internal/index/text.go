package index

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// Fold is how texts are compared: without case, accents and the width of white space.
func Fold(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if !ascii {
		folded, _, err := transform.String(transform.Chain(norm.NFKD, runes.Remove(runes.In(unicode.Mn)), norm.NFC), s)
		if err == nil {
			s = cases.Fold().String(folded)
		}
	} else {
		s = strings.ToLower(s)
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// text is how texts stand in words: folded, each between ends of lines, with a space before and after, so that a search for a
// space and something finds beginnings of words, and one for a whole line the whole.
func text(parts ...string) string {
	var b strings.Builder
	b.WriteString("\n")
	for _, p := range parts {
		b.WriteString(" " + Fold(p) + " \n")
	}
	return b.String()
}

// A class is how well something fits.
type class int

const (
	whole class = iota + 1 // it is what was asked for
	begin                  // a word of it begins with that
	part                   // all of the words are in it somewhere
	classes
)

// phrase quotes what is to be found for FTS5.
func phrase(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// An expression is what FTS5 is to find: all phrases in one text, in one of columns ("title", "{title file}"), and not one.
type expression struct {
	columns string
	all     []string
	not     string
}

// far is more than any text is long.
const far = 1_000_000

// in writes an expression for texts with all signs, and one of some, unless there are none. Signs stand in each text like words
// of it: FTS5 walks no further through what it finds of one word than where all others of a NEAR are, too.
func (e expression) in(signs, some []string) string {
	near := func(phrases ...string) string {
		var quoted []string
		for _, p := range phrases {
			quoted = append(quoted, phrase(p))
		}
		return fmt.Sprintf("%s : NEAR(%s, %d)", e.columns, strings.Join(quoted, " "), far)
	}
	one := func(signs []string) string {
		s := near(append(slices.Clone(signs), e.all...)...)
		if e.not != "" {
			s = "(" + s + ") NOT (" + near(append(slices.Clone(signs), e.not)...) + ")"
		}
		return s
	}
	if len(some) == 0 {
		return one(signs)
	}
	var all []string
	for _, s := range some {
		all = append(all, "("+one(append([]string{s}, signs...))+")")
	}
	return strings.Join(all, " OR ")
}

// sign is a word of three private letters, for the number of a production or of a slice. Each of its letters is of a range of its
// own, so that no part of one and its neighbour is another.
func sign(kind, number int64) string {
	const private, letters = 0xE000, 1024
	at := private + kind*3*letters
	return string([]rune{rune(at + number>>20&(letters-1)), rune(at + letters + number>>10&(letters-1)), rune(at + 2*letters + number&(letters-1))})
}

// Kinds of signs.
const (
	ofProduction = iota
	ofSlice
)

// match is for what begins with q or has parts of it, in columns; nothing when nothing can. What it finds must be held against
// fits: it may fit better, and of addresses it looks for the beginnings alone.
func (c class) match(columns, q string) (e expression, ok bool) {
	q = Fold(q)
	if q == "" {
		return expression{}, false
	}
	two := opening(local(q))
	if c == begin {
		return expression{columns: columns, all: []string{two}}, true
	}
	all := parts(q, local)
	switch {
	case len(all) == 1 && all[0] == two:
		return expression{}, false
	case local(q) != q:
		return expression{columns: columns, all: all}, true
	}
	return expression{columns: columns, all: all, not: two}, true
}

// fits says whether a text as Text writes it fits q as well as c and not better.
func (c class) fits(text, q string) bool {
	q = Fold(q)
	one, two := strings.Contains(text, "\n "+q+" \n"), strings.Contains(text, opening(q))
	switch c {
	case whole:
		return one
	case begin:
		return two && !one
	}
	for _, w := range strings.Fields(q) {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return !two
}

// local is q up to the beginning of an address's domain: that is in so many addresses that looking for it takes long, and tells
// little.
func local(q string) string {
	at := strings.IndexByte(q, '@')
	if at < 3 || at+2 >= len(q) {
		return q
	}
	return strings.ToValidUTF8(q[:at+2], "")
}

// anywhere is for what fits q in any way; false: nothing does.
func anywhere(column, q string) (e expression, ok bool) {
	q = Fold(q)
	if q == "" {
		return expression{}, false
	}
	return expression{columns: column, all: parts(q, func(s string) string { return s })}, true
}

// parts are phrases for all words of q, as cut leaves them, anywhere; of words of two letters only beginnings, as three are what
// is indexed. With a word of a single letter, of which nothing is, it must be all of q in a row.
func parts(q string, cut func(string) string) []string {
	var all []string
	words := strings.Fields(q)
	for _, w := range words {
		n := len([]rune(w))
		if n == 1 && len(words) > 1 {
			return []string{cut(q)}
		}
		w = cut(w)
		if n < 3 {
			w = opening(w)
		}
		all = append(all, w)
	}
	return all
}

// opening finds q at the beginning of a word, or of a line when it is a single letter.
func opening(q string) string {
	if len([]rune(q)) < 2 {
		return "\n " + q
	}
	return " " + q
}
