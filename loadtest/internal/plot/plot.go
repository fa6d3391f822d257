// Package plot draws figures as small SVG pictures that need nothing else.
package plot

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Point is one measurement.
type Point struct{ X, Y float64 }

// Line is measurements that belong together.
type Line struct {
	Name   string
	Points []Point
	// Dashed is drawn thin and without marks: something to compare with.
	Dashed bool
}

const (
	width, height = 720, 460
	left, right   = 80, 30
	top, bottom   = 60, 60
)

// colours tell lines apart, also for most who do not see all colours (Okabe and Ito's).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

// picture is an SVG being drawn.
type picture struct{ strings.Builder }

func begin(height int, title string) *picture {
	p := &picture{}
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13" role="img" aria-label="%s">`+"\n",
		width, height, width, height, escape(title))
	fmt.Fprintf(p, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	p.text(left, 28, "start", 16, title)
	return p
}

func (p *picture) end() string {
	p.WriteString("</svg>\n")
	return p.String()
}

func (p *picture) text(x, y float64, anchor string, size int, s string) {
	fmt.Fprintf(p, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="#222">%s</text>`+"\n", x, y, anchor, size, escape(s))
}

func (p *picture) line(x1, y1, x2, y2 float64, stroke string) {
	fmt.Fprintf(p, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, stroke)
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace

// LogLog draws lines over two logarithmic axes. Values must be above zero; others are left out.
func LogLog(title, x, y string, lines []Line) string {
	p := begin(height, title)
	var xs, ys []float64
	for _, l := range lines {
		for _, pt := range l.Points {
			if pt.X > 0 && pt.Y > 0 {
				xs, ys = append(xs, pt.X), append(ys, pt.Y)
			}
		}
	}
	xFrom, xTo := decades(xs)
	yFrom, yTo := decades(ys)
	atX := func(v float64) float64 {
		return left + (math.Log10(v)-float64(xFrom))/float64(xTo-xFrom)*(width-left-right)
	}
	atY := func(v float64) float64 {
		return height - bottom - (math.Log10(v)-float64(yFrom))/float64(yTo-yFrom)*(height-top-bottom)
	}
	for d := xFrom; d <= xTo; d++ {
		v := math.Pow10(d)
		p.line(atX(v), top, atX(v), height-bottom, "#ddd")
		p.text(atX(v), height-bottom+20, "middle", 13, number(v))
	}
	for d := yFrom; d <= yTo; d++ {
		v := math.Pow10(d)
		p.line(left, atY(v), width-right, atY(v), "#ddd")
		p.text(left-8, atY(v)+4, "end", 13, number(v))
	}
	p.text((left+width-right)/2, height-14, "middle", 13, x)
	fmt.Fprintf(p, `<text transform="translate(20 %d) rotate(-90)" text-anchor="middle" fill="#222">%s</text>`+"\n", (top+height-bottom)/2, escape(y))
	for i, l := range lines {
		colour, dash, thick := colours[i%len(colours)], "", 2.0
		if l.Dashed {
			colour, dash, thick = "#888", ` stroke-dasharray="5 4"`, 1.0
		}
		var path []string
		for _, pt := range l.Points {
			if pt.X <= 0 || pt.Y <= 0 {
				continue
			}
			path = append(path, fmt.Sprintf("%.1f,%.1f", atX(pt.X), atY(pt.Y)))
			if l.Dashed {
				continue
			}
			fmt.Fprintf(p, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", atX(pt.X), atY(pt.Y), colour)
			p.text(atX(pt.X)-6, atY(pt.Y)-9, "end", 12, number(pt.Y))
		}
		fmt.Fprintf(p, `<polyline points="%s" fill="none" stroke="%s" stroke-width="%.1f"%s/>`+"\n", strings.Join(path, " "), colour, thick, dash)
		at := float64(left + 12)
		p.line(at, float64(top+14+18*i), at+24, float64(top+14+18*i), colour)
		p.text(at+32, float64(top+18+18*i), "start", 12, l.Name)
	}
	return p.end()
}

// decades are the powers of ten around values.
func decades(values []float64) (from, to int) {
	if len(values) == 0 {
		return 0, 1
	}
	low, high := values[0], values[0]
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	from, to = int(math.Floor(math.Log10(low))), int(math.Ceil(math.Log10(high)))
	if from == to {
		to++
	}
	return from, to
}

// number is v with three figures, as people write it.
func number(v float64) string {
	s := strconv.FormatFloat(v, 'g', 3, 64)
	if v >= 1000 {
		s = strconv.FormatFloat(math.Round(v), 'f', 0, 64)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
	}
	return s
}

// Bar is one row of Bars: the bar ends at the largest of Values, and each of them is a shade of it.
type Bar struct {
	Label  string
	Values []float64 // in the order of the shades' names, ascending
}

// Bars draws rows of bars from zero on; shades names what their parts mean.
func Bars(title, x string, shades []string, rows []Bar) string {
	const row = 26
	high := top + 20 + row*len(rows) + bottom
	p := begin(high, title)
	most := 0.0
	for _, b := range rows {
		for _, v := range b.Values {
			most = max(most, v)
		}
	}
	step := nice(most)
	ticks := max(1, math.Ceil(most/step))
	const from = left + 60.0
	at := func(v float64) float64 { return from + v/(step*ticks)*(width-right-40-from) }
	base := float64(high - bottom)
	for v := 0.0; v <= ticks; v++ {
		p.line(at(v*step), top+14, at(v*step), base, "#ddd")
		p.text(at(v*step), base+20, "middle", 13, number(v*step))
	}
	p.text((from+width-right)/2, float64(high-14), "middle", 13, x)
	for i, shade := range shades {
		fmt.Fprintf(p, `<rect x="%.1f" y="%d" width="14" height="10" fill="%s" fill-opacity="%.2f"/>`+"\n", from+float64(90*i), top-16, colours[0], opacity(i, len(shades)))
		p.text(from+20+float64(90*i), top-6, "start", 12, shade)
	}
	for i, b := range rows {
		y := float64(top + 20 + row*i)
		p.text(from-8, y+13, "end", 13, b.Label)
		before := 0.0
		for k, v := range b.Values {
			fmt.Fprintf(p, `<rect x="%.1f" y="%.1f" width="%.1f" height="16" fill="%s" fill-opacity="%.2f"/>`+"\n", at(before), y, max(0, at(v)-at(before)), colours[0], opacity(k, len(shades)))
			before = max(before, v)
		}
		p.text(at(before)+6, y+13, "start", 12, number(before))
	}
	return p.end()
}

func opacity(i, of int) float64 { return 1 - 0.7*float64(i)/float64(max(1, of-1)) }

// nice is a round distance between ticks so that there are five to ten of them up to most.
func nice(most float64) float64 {
	if most <= 0 {
		return 1
	}
	ten := math.Pow10(int(math.Floor(math.Log10(most / 5))))
	for _, m := range []float64{1, 2, 5, 10} {
		if most/(m*ten) <= 8 {
			return m * ten
		}
	}
	return 10 * ten
}
