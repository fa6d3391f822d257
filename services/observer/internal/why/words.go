package why

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// clock is a time for people, with the day when it is not today's.
func clock(t, now time.Time) string {
	if t.UTC().Format(time.DateOnly) != now.UTC().Format(time.DateOnly) {
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	return t.UTC().Format("15:04:05 UTC")
}

// since is " since 14:03:07 UTC", or nothing when that is not known.
func since(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " since " + clock(t, now)
}

// span is a duration for people.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Sentence makes a sentence of a clause.
func Sentence(clause string) string {
	if clause == "" {
		return ""
	}
	r, size := utf8.DecodeRuneInString(clause)
	text := string(unicode.ToUpper(r)) + clause[size:]
	if strings.ContainsRune(".!?…", rune(text[len(text)-1])) {
		return text
	}
	return text + "."
}

// What is a step for people.
func (s *Step) What() string {
	of := ""
	if s.File != "" {
		of = " of " + s.File
	}
	base, _, _ := strings.Cut(s.Function, "@")
	switch base {
	case "watermark.Prepare":
		return "reading " + orElse(s.File, "the document")
	case "watermark.Stamp":
		return "the copy" + of
	case "thumbnail.Render":
		return "the picture" + of
	case "link.Create":
		return "the link"
	case "email.Send":
		return "the mail"
	case "push.Send":
		return "the push message"
	}
	return "the step " + s.Name + of
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// because is the sentence of a failure with its code.
func because(message, code string) string {
	message = strings.TrimSuffix(message, ".")
	switch {
	case message == "":
		return code
	case code == "":
		return message
	}
	return message + " (" + code + ")"
}

// Person is who did something: records name people's tokens.
func Person(by string) string {
	switch {
	case by == "":
		return "somebody"
	case strings.HasPrefix(by, "tok_"):
		return "somebody with the token " + by
	}
	return by
}
