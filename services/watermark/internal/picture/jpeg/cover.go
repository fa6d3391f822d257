package jpeg

// cover puts the mark over a block of component i, whose upper left corner is the pixel x of the picture and y of the
// strip. A block that it does not touch stays as it is.
func (c *copier) cover(i int, b *[blockSize]int16, x, y int) {
	var shade, opacity [blockSize]uint8
	if !c.shade(i, x, y, &shade, &opacity) {
		return
	}
	quant := c.t.header.quant[c.t.header.frame.components[i].table]
	var s [blockSize]int32
	for k, v := range b {
		if v != 0 {
			s[k] = min(2047, max(-2047, int32(v)*int32(quant[k])))
		}
	}
	inverse(&s)
	for k := range s {
		v := min(255, max(0, s[k]+128))
		s[k] = min(255, (v*(255-int32(opacity[k]))+127)/255+int32(shade[k])) - 128
	}
	forward(&s)
	for k, v := range s {
		q := 8 * int32(quant[k])
		if v < 0 {
			v = (v - q/2) / q
		} else {
			v = (v + q/2) / q
		}
		if k > 0 {
			b[k] = clamp(int(v))
		} else {
			b[k] = clampDC(int(v))
		}
	}
}

// shade tells what the mark does to each sample of a block of component i: shade is its colour, multiplied by its
// opacity. It reports whether there is any.
func (c *copier) shade(i, x, y int, shade, opacity *[blockSize]uint8) bool {
	f := &c.t.header.frame
	part := &f.components[i]
	any := false
	for v := range 8 {
		y0 := y + v*f.v/part.v
		y1 := max(y0+1, y+(v+1)*f.v/part.v)
		for h := range 8 {
			x0 := x + h*f.h/part.h
			x1 := max(x0+1, x+(h+1)*f.h/part.h)
			r, g, b, a := c.mean(x0, y0, x1, y1)
			if a == 0 {
				continue
			}
			any = true
			shade[8*v+h] = uint8(c.t.header.kind.convert(r, g, b, a)[i])
			opacity[8*v+h] = uint8(a)
		}
	}
	return any
}

// mean is that of the mark over some pixels. Beyond the picture there is no ink.
func (c *copier) mean(x0, y0, x1, y1 int) (r, g, b, a int) {
	width := c.t.header.frame.width
	n := (x1 - x0) * (y1 - y0)
	if n == 1 {
		if x0 >= width {
			return 0, 0, 0, 0
		}
		p := c.strip.Row(y0)[4*x0:]
		return int(p[0]), int(p[1]), int(p[2]), int(p[3])
	}
	for y := y0; y < y1; y++ {
		row := c.strip.Row(y)
		for x := x0; x < min(x1, width); x++ {
			p := row[4*x:][:4]
			r, g, b, a = r+int(p[0]), g+int(p[1]), b+int(p[2]), a+int(p[3])
		}
	}
	half := n / 2
	return (r + half) / n, (g + half) / n, (b + half) / n, (a + half) / n
}
