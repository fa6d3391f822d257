package define

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a definition.
type Problem struct {
	// Line is where, counted from 1.
	Line int
	// Step is the step's name, or its place ("3") when it has none; empty outside of steps.
	Step string
	// Field is the field as it is written: "needs", "with.mark", "retry.attempts"; empty when it is the whole.
	Field string
	// Text says what is wrong, and where it can be told what to do.
	Text string
}

func (p Problem) String() string {
	where := fmt.Sprintf("line %d", p.Line)
	if p.Step != "" {
		where += fmt.Sprintf(", step %q", p.Step)
	}
	if p.Field != "" {
		where += ", " + p.Field
	}
	return where + ": " + p.Text
}

// Error is all that is wrong with a definition, in the order of its lines; never empty.
type Error struct {
	Problems []Problem
	// More is how many there are beside these.
	More int
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", e.More))
	}
	return strings.Join(lines, "\n")
}

// mostProblems bounds a report: after so many it is another file than was meant.
const mostProblems = 50

// problems collects what is wrong.
type problems struct {
	all   []Problem
	lines int // that the source has
}

// add notes a problem. YAML knows ends of lines that editors do not, and may count one line too many at the end.
func (p *problems) add(line int, step, field, format string, args ...any) {
	p.all = append(p.all, Problem{Line: max(1, min(line, p.lines)), Step: step, Field: field, Text: fmt.Sprintf(format, args...)})
}

// err is nil when nothing is wrong.
func (p *problems) err() error {
	if len(p.all) == 0 {
		return nil
	}
	slices.SortStableFunc(p.all, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	all := slices.Compact(p.all)
	shown := min(len(all), mostProblems)
	return &Error{Problems: all[:shown], More: len(all) - shown}
}

// instead is "; did you mean …?" with the one of known that wrong is a slip of, else "; " and what there is.
func instead(wrong string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		d := distance(wrong, k)
		if d < least && d < len(k) {
			best, least = k, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(known) == 0:
		return ""
	case len(known) == 1:
		return "; there is " + known[0]
	}
	return "; there are " + list(known)
}

// distance is how many letters must be added, left out, changed, or swapped with their neighbours to make b of a.
func distance(a, b string) int {
	const far = 99
	if len(a) > 32 || len(b) > 32 {
		return far
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			changed := 1
			if a[i-1] == b[j-1] {
				changed = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+changed)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// list writes words as people do: "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
