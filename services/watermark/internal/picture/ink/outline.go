package ink

import (
	"bytes"
	"fmt"

	"github.com/filigreehq/filigree/pkg/mark"
)

// placing takes units of a shape to the stored pixels, fixed-point.
type placing struct {
	matrix [6]int64
	to     func(x, y int64) (int64, int64)
}

// point places (x, y), both in units.
func (p *placing) point(x, y int64) (int64, int64) {
	const micro = 1_000_000
	m := &p.matrix
	ux := floor(m[0]*x+m[2]*y, mark.PerEm) + m[4]
	uy := floor(m[1]*x+m[3]*y, mark.PerEm) + m[5]
	return p.to(floor(ux*sub, micro), floor(uy*sub, micro))
}

// glyph adds the outline of g.
func (c *cells) glyph(g *mark.Glyph, p *placing) error {
	var at, start [2]int64
	var n [6]int64
	for line := range bytes.Lines(g.Outline.Path) {
		count, op, err := operands(line, &n)
		if err != nil {
			return err
		}
		var q [3][2]int64
		for i := range count / 2 {
			q[i][0], q[i][1] = p.point(n[2*i]+int64(g.X), n[2*i+1]+int64(g.Y))
		}
		switch {
		case op == 'm' && count == 2:
			c.line(at[0], at[1], start[0], start[1])
			at, start = q[0], q[0]
		case op == 'l' && count == 2:
			c.line(at[0], at[1], q[0][0], q[0][1])
			at = q[0]
		case op == 'c' && count == 6:
			c.curve(at, q[0], q[1], q[2])
			at = q[2]
		case op == 'h' && count == 0:
			c.line(at[0], at[1], start[0], start[1])
			at = start
		default:
			return fmt.Errorf("outline: %q is no line of one", line)
		}
	}
	c.line(at[0], at[1], start[0], start[1]) // filling closes what is open
	return nil
}

// operands reads the whole numbers of a line and the letter after them.
func operands(line []byte, n *[6]int64) (count int, op byte, err error) {
	for field := range bytes.FieldsSeq(line) {
		last := field[len(field)-1]
		if last >= 'a' && len(field) == 1 {
			return count, last, nil
		}
		v, sign := int64(0), int64(1)
		for i, d := range field {
			switch {
			case d == '-' && i == 0:
				sign = -1
			case d >= '0' && d <= '9' && len(field) < 10:
				v = v*10 + int64(d-'0')
			default:
				return 0, 0, fmt.Errorf("outline: %q is no whole number", field)
			}
		}
		if count == len(n) {
			break
		}
		n[count] = sign * v
		count++
	}
	return 0, 0, fmt.Errorf("outline: %q is no line of one", line)
}

// flat is how far a curve may lie from the lines that are drawn for it: 1/64 pixel.
const flat = sub / 64

// curve adds a cubic curve as lines.
func (c *cells) curve(a, b, d, e [2]int64) {
	// The second differences of the control points bound how far a piece of 1/n lies from its chord: by their length
	// times 3/4 (of n squared).
	far := max(abs(a[0]-2*b[0]+d[0]), abs(a[1]-2*b[1]+d[1]), abs(b[0]-2*d[0]+e[0]), abs(b[1]-2*d[1]+e[1]))
	n := int64(1)
	for n < 256 && far*3/4 > flat*n*n {
		n *= 2
	}
	last := a
	for i := int64(1); i <= n; i++ {
		next := e
		if i < n {
			j := n - i
			for k := range next {
				next[k] = floor(j*j*j*a[k]+3*j*j*i*b[k]+3*j*i*i*d[k]+i*i*i*e[k], n*n*n)
			}
		}
		c.line(last[0], last[1], next[0], next[1])
		last = next
	}
}

func abs(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}
