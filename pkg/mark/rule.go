package mark

import (
	"fmt"
	"sync"
)

// Where the rule under a shape's text is, in the shape's units, measured from the lower edge of its box. It begins at the
// box's left edge and is a whole number of ems long, at least two.
const (
	RuleBottom, RuleTop = -90, -30

	shortestRule, longestRule = 2 * em, 128 * em
)

// rules are the rules there are, by length.
var rules sync.Map // of int32 to *Glyph

// rule is the one under text of a width.
func rule(width int32) *Glyph {
	width = min(max(width/em*em, shortestRule), longestRule)
	known, ok := rules.Load(width)
	if !ok {
		known, _ = rules.LoadOrStore(width, &Glyph{Outline: &Outline{
			Path:  fmt.Appendf(nil, "0 %d m\n%d %d l\n%d %d l\n0 %d l\nh\n", RuleBottom, width, RuleBottom, width, RuleTop, RuleTop),
			First: [2]int32{0, RuleBottom},
		}})
	}
	return known.(*Glyph)
}
