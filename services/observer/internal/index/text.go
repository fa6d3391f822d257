package index

import (
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

// match is the FTS5 expression for what begins with q or has parts of it, in columns ("title", "{title file}"); empty when
// nothing can. What it finds must be held against fits: it may fit better, and of addresses it looks for the beginnings alone.
func (c class) match(columns, q string) string {
	q = Fold(q)
	if q == "" {
		return ""
	}
	two := columns + " : " + phrase(opening(local(q)))
	if c == begin {
		return two
	}
	all := parts(columns, q, local)
	switch {
	case all == two:
		return ""
	case local(q) != q:
		return all
	}
	return "(" + all + ") NOT " + two
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

// anywhere is the expression for what fits q in any way.
func anywhere(columns, q string) string {
	q = Fold(q)
	if q == "" {
		return ""
	}
	return parts(columns, q, func(s string) string { return s })
}

// parts finds all words of q, as cut leaves them, anywhere; of words of two letters only beginnings, as three are what is indexed. With a word of
// a single letter, of which nothing is, it must be all of q in a row.
func parts(columns, q string, cut func(string) string) string {
	var all []string
	words := strings.Fields(q)
	for _, w := range words {
		n := len([]rune(w))
		if n == 1 && len(words) > 1 {
			return columns + " : " + phrase(cut(q))
		}
		w = cut(w)
		if n < 3 {
			w = opening(w)
		}
		all = append(all, columns+" : "+phrase(w))
	}
	return strings.Join(all, " AND ")
}

// opening finds q at the beginning of a word, or of a line when it is a single letter.
func opening(q string) string {
	if len([]rune(q)) < 2 {
		return "\n " + q
	}
	return " " + q
}
