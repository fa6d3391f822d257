// Package fingerprint finds failures that are alike. It is pure: the same failures give the same groups, in whatever order
// they are told, wherever it runs, and a fingerprint stays what it is from one version to the next.
package fingerprint

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
)

// longest bounds what of a sentence is looked at.
const longest = 1000

// A kind is what a variable part of a sentence is replaced by.
type kind struct {
	// any: a sentence without one of these, each a string in full, has none of it, which is quicker to see.
	any []string
	is  *regexp.Regexp
	put string
}

var (
	quotes  = []string{`"`, "“", "«", "`", "'"}
	slashes = []string{"/", `\`}
	digits  = []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
)

// The first that fits takes the text, so what is made of others comes before them.
var kinds = []kind{
	{quotes, regexp.MustCompile(`"[^"]{0,300}"|“[^”]{0,300}”|«[^»]{0,300}»|` + "`[^`]{0,300}`" + `|\B'[^']{1,300}'\B`), "<name>"},
	{[]string{"://"}, regexp.MustCompile(`\b[a-z][a-z0-9+.-]{1,15}://[^\s<>"]+`), "<url>"},
	{[]string{"@"}, regexp.MustCompile(`<?[^\s<>"(),;:]+@[\p{L}\p{N}.-]+\p{L}>?`), "<address>"},
	{[]string{"-"}, regexp.MustCompile(`\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d| UTC| [A-Z]{3,4}\b)?)?`), "<time>"},
	{[]string{":"}, regexp.MustCompile(`\b\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?(?: UTC)?\b`), "<time>"},
	{[]string{"."}, regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b`), "<host>"},
	{[]string{":"}, regexp.MustCompile(`\[?(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4}){0,7}\]?(?::\d+)?`), "<host>"},
	{[]string{"."}, regexp.MustCompile(`\b[\p{L}\p{N}_-]+(?:[ _-]?\(\d+\))?\.(?i:pdf|png|jpe?g|tiff?|gif|docx?|xlsx?|fdx|fountain|txt|csv|eml|zip)\b`), "<name>"},
	{slashes, regexp.MustCompile(`(?:\b[A-Za-z]:\\|(?:^|[\s(=,:])(?:\.{0,2}/))[^\s"'<>,;:()]+`), " <path>"},
	{[]string{"-"}, regexp.MustCompile(`\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b`), "<id>"},
	{digits, regexp.MustCompile(`\b[0-7][0-9A-HJKMNP-TV-Z]{25}(?:\.[rif]?\d+){0,2}\b`), "<id>"},
	{digits, regexp.MustCompile(`\b(?:0x[0-9a-fA-F]+|[0-9a-fA-F]{16,})\b`), "<id>"},
	{digits, regexp.MustCompile(`\b(?:[a-f]+\d+|\d+[a-f]+)[0-9a-f]{4,}\b`), "<id>"},
	{digits, regexp.MustCompile(`\bi\d+\.\d+\b|\b[fr]\d+\b`), "<unit>"},
	{[]string{"."}, regexp.MustCompile(`\b(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}(?::\d{1,5})?\b`), "<host>"},
	{digits, regexp.MustCompile(`\b(?:\d+(?:\.\d+)?(?:ns|µs|us|ms|s|m|h))+\b`), "<time>"},
	{digits, regexp.MustCompile(`\b\d+(?:[.,]\d+)*(?:[KMGT]i?B|[kMG]b)?\b`), "<n>"},
}

// kept are numbers that say what kind of failure it is: a mail server's reply with its enhanced status, an HTTP status.
var kept = regexp.MustCompile(`\b[245]\d\d[ -][245]\.\d{1,3}\.\d{1,3}\b|\bHTTP(?:/\d(?:\.\d)?)? \d{3}\b|\bstatus(?: code)? \d{3}\b`)

var (
	lists  = regexp.MustCompile(`(<[a-z]+>)(?:(?:, | and |; )<[a-z]+>)+`)
	spaces = regexp.MustCompile(`\s+`)
)

// Signature is a sentence without what differs from one case to the next. names are parts that are known to: the
// recipient's name, the file's.
func Signature(sentence string, names ...string) string {
	if len(sentence) > longest {
		sentence = strings.ToValidUTF8(sentence[:longest], "")
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		// Addresses are found as such, whether they are known or not.
		if len(name) > 2 && !strings.Contains(name, "@") {
			sentence = strings.ReplaceAll(sentence, name, "<name>")
		}
	}
	// What stays is passed over; what is between is looked at.
	var out strings.Builder
	from := 0
	for _, at := range kept.FindAllStringIndex(sentence, -1) {
		out.WriteString(normal(sentence[from:at[0]]))
		out.WriteString(sentence[at[0]:at[1]])
		from = at[1]
	}
	out.WriteString(normal(sentence[from:]))
	s := lists.ReplaceAllString(out.String(), "$1…")
	return strings.TrimSpace(spaces.ReplaceAllString(s, " "))
}

func normal(text string) string {
	for _, k := range kinds {
		if slices.ContainsFunc(k.any, func(s string) bool { return strings.Contains(text, s) }) {
			text = k.is.ReplaceAllString(text, k.put)
		}
	}
	return text
}

// ID is the fingerprint of a function's failures with a code and a signature: 16 hex digits.
func ID(function, code, signature string) string {
	sum := sha256.Sum256([]byte(function + "\x00" + code + "\x00" + signature))
	return hex.EncodeToString(sum[:8])
}
