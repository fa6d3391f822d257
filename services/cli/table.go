package cli

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// cells measures text as terminals draw it, independent of the environment.
var cells = &runewidth.Condition{}

const gap = "  "

// table is aligned columns below a header. Columns are as wide as their widest cell; the last is never padded.
type table struct {
	head  []string
	rows  [][]string
	right map[int]bool // columns of numbers
	state int          // the column that holds a state word, and is coloured by it; -1 for none
}

func newTable(head ...string) *table { return &table{head: head, state: -1} }

func (b *table) add(row ...string) {
	for i := range row {
		row[i] = clean(row[i])
	}
	b.rows = append(b.rows, row)
}

// write prints the table to t.out, each line after indent.
func (b *table) write(t *term, indent string) {
	widths := make([]int, len(b.head))
	for _, row := range append([][]string{b.head}, b.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], cells.StringWidth(cell))
		}
	}
	b.line(t, indent, widths, b.head, true)
	for _, row := range b.rows {
		b.line(t, indent, widths, row, false)
	}
}

func (b *table) line(t *term, indent string, widths []int, row []string, head bool) {
	var s strings.Builder
	s.WriteString(indent)
	for i, cell := range row {
		pad := strings.Repeat(" ", widths[i]-cells.StringWidth(cell))
		if t.colour && head {
			cell = dim + cell + reset
		} else if t.colour && i == b.state {
			cell = paint(cell)
		}
		switch {
		case b.right[i]:
			s.WriteString(pad + cell)
		case i == len(row)-1:
			s.WriteString(cell)
		default:
			s.WriteString(cell + pad)
		}
		if i < len(row)-1 {
			s.WriteString(gap)
		}
	}
	_, _ = t.out.Write([]byte(strings.TrimRight(s.String(), " ") + "\n")) // a closed pipe ends us by SIGPIPE
}

const (
	red, green, yellow, dim, reset = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
)

// paint colours a state word; one it does not know stays as it is.
func paint(state string) string {
	switch state {
	case "done", "sent", "delivered", "completed", "ok":
		return green + state + reset
	case "failed", "bounced", "blocked", "complained", "completed_with_failures", "refused":
		return red + state + reset
	case "retrying", "uncertain", "deferred", "cancelled", "paused":
		return yellow + state + reset
	}
	return state
}
