package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/mattn/go-isatty"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// term is where a command writes, and what that can show.
type term struct {
	in       *os.File // what the command is given to read
	out, err io.Writer
	colour   bool // out is a terminal that wants colours
	live     bool // err is a terminal: bars may move on it
	now      func() time.Time
}

func newTerm(out, err *os.File) *term {
	dumb := os.Getenv("TERM") == "dumb"
	return &term{
		in: os.Stdin, out: out, err: err,
		colour: isatty.IsTerminal(out.Fd()) && os.Getenv("NO_COLOR") == "" && !dumb,
		live:   isatty.IsTerminal(err.Fd()) && !dumb,
		now:    time.Now,
	}
}

// say prints a line for people beside the result.
func (t *term) say(format string, args ...any) {
	fmt.Fprintf(t.err, "%s\n", clean(fmt.Sprintf(format, args...)))
}

// print prints a line of the result.
func (t *term) print(format string, args ...any) {
	fmt.Fprintf(t.out, "%s\n", clean(fmt.Sprintf(format, args...)))
}

// fact prints what is known of one side of something.
func (t *term) fact(name, value string) {
	t.print("%-12s%s", name, value)
}

// text prints lines of the result.
func (t *term) text(s string) error {
	for line := range strings.Lines(s) {
		t.print("%s", strings.TrimSuffix(line, "\n"))
	}
	return nil
}

// document prints one JSON document, its content untouched.
func (t *term) document(raw []byte) error {
	var b bytes.Buffer
	err := json.Indent(&b, raw, "", "  ")
	if err != nil {
		return fmt.Errorf("the server's answer is no JSON: %w", err)
	}
	b.WriteByte('\n')
	_, err = t.out.Write(b.Bytes())
	return err
}

// list prints {"<field>":[…]}.
func (t *term) list(field string, raws []json.RawMessage) error {
	raw, err := json.Marshal(map[string][]json.RawMessage{field: raws})
	if err != nil {
		return err
	}
	return t.document(raw)
}

// clean takes the teeth out of text that others wrote: no control character reaches a terminal, and nothing that turns
// the direction of what stands around it.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// at shows a time where the reader is; an absent one as "-".
func at(ts *timestamppb.Timestamp) string {
	if ts == nil {
		return "-"
	}
	return ts.AsTime().Local().Format("2006-01-02 15:04:05 MST")
}

// span shows a duration in the unit that fits.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// plural counts a noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
