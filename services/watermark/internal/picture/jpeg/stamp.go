package jpeg

import (
	"io"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/ink"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/pack"
)

// copier writes one copy.
type copier struct {
	t     *Template
	out   *writer
	strip *ink.Strip
	// predicted is what the next MCU of the copy is predicted from.
	predicted [maxComponents]int
	row       int // of MCUs
}

// Stamp writes a copy under layer, which lies over a picture of t's Size. text, if not empty, is put into a comment,
// after key and a space; both have at most 65,000 bytes. An error is the writer's, or pack.ErrDamaged: then what was written is of no
// use.
func (t *Template) Stamp(w io.Writer, layer *ink.Layer, key, text string) error {
	front := t.front[:len(t.front):len(t.front)]
	if text != "" {
		front = appendSegment(front, markCOM, []byte(key+" "+text))
	}
	_, err := w.Write(append(front, t.tables...))
	if err != nil {
		return err
	}
	c := &copier{t: t, out: &writer{bitWriter: newBitWriter(w, true)}, strip: layer.NewStrip(8 * t.header.frame.v)}
	for i := range t.header.alphabets {
		c.out.dcs[i], c.out.acs[i] = t.encoders[i].dc, t.encoders[i].ac
	}
	err = c.units()
	if err != nil {
		return err
	}
	err = c.out.finish()
	if err != nil {
		return err
	}
	_, err = w.Write([]byte{0xFF, markEOI})
	return err
}

// units writes all MCUs: in runs those that the mark does not touch.
func (c *copier) units() error {
	f := &c.t.header.frame
	inked := make([]bool, f.across)
	wide := 8 * f.h
	same := 0 // first of the run that goes on
	for c.row = range f.down {
		clear(inked)
		any := c.strip.Draw(c.row*8*f.v, func(_, x0, x1 int) {
			for i := x0 / wide; i <= (x1-1)/wide; i++ {
				inked[i] = true
			}
		})
		if !any {
			continue
		}
		for x, is := range inked {
			if !is {
				continue
			}
			i := c.row*f.across + x
			err := c.keep(same, i)
			if err == nil {
				err = c.ink(i, x)
			}
			if err != nil {
				return err
			}
			same = i + 1
		}
		if c.out.err != nil {
			return c.out.err
		}
	}
	return c.keep(same, f.across*f.down)
}

// keep copies the MCUs from one to before another as they are. The first of them may be predicted from something new.
func (c *copier) keep(from, to int) error {
	if from == to {
		return nil
	}
	t := c.t
	for i := range t.header.frame.components {
		if t.prediction(from, i) != c.predicted[i] {
			err := c.repredict(from)
			if err != nil {
				return err
			}
			from++
			break
		}
	}
	c.out.copyBits(&t.bits, t.place(from), t.place(to))
	for i := range t.header.frame.components {
		c.predicted[i] = t.prediction(to, i)
	}
	return nil
}

// cursor is a place in a template's bits.
type cursor struct {
	t  *Template
	at uint64
}

// symbol reads a code, and the bits that follow it; class is whose it is.
func (s *cursor) symbol(d *decoder, extra func(symbol uint8) uint) (uint8, int, error) {
	if s.at >= s.t.bits.bits {
		return 0, 0, pack.Damaged("its data end too early")
	}
	window := s.t.bits.at(s.at)
	symbol, length := d.find(uint32(window >> 48))
	if length == 0 {
		return 0, 0, pack.Damaged("its data have a code that means nothing")
	}
	size := extra(symbol)
	s.at += uint64(length) + uint64(size)
	if size == 0 {
		return symbol, 0, nil
	}
	return symbol, extend(int(window<<length>>(64-size)), int(size)), nil
}

func dcSize(symbol uint8) uint { return uint(symbol & 15) }
func acSize(symbol uint8) uint { return uint(symbol & 15) }

// dc reads the difference of a first coefficient.
func (s *cursor) dc(class int) (int, error) {
	_, v, err := s.symbol(s.t.decoders[class].dc, dcSize)
	return v, err
}

// skipAC passes over the other coefficients of a block.
func (s *cursor) skipAC(class int) error {
	for k := 1; k < blockSize; k++ {
		symbol, _, err := s.symbol(s.t.decoders[class].ac, acSize)
		if err != nil {
			return err
		}
		if symbol == endOfBlock {
			return nil
		}
		k += int(symbol >> 4)
	}
	return nil
}

// ac reads the other coefficients of a block.
func (s *cursor) ac(class int, b *[blockSize]int16) error {
	for k := 1; k < blockSize; k++ {
		symbol, v, err := s.symbol(s.t.decoders[class].ac, acSize)
		if err != nil {
			return err
		}
		if symbol == endOfBlock {
			return nil
		}
		k += int(symbol >> 4)
		if k >= blockSize {
			return pack.Damaged("a block has more than 64 values")
		}
		b[zigzag[k]] = clamp(v)
	}
	return nil
}

// repredict copies MCU i with its first coefficients predicted from those of the copy.
func (c *copier) repredict(i int) error {
	in := cursor{t: c.t, at: c.t.place(i)}
	for j := range c.t.header.frame.components {
		part := &c.t.header.frame.components[j]
		class := c.t.header.classes[j]
		value, before := c.t.prediction(i, j), c.predicted[j]
		for range part.h * part.v {
			d, err := in.dc(class)
			if err != nil {
				return err
			}
			value = int(clampDC(value + d))
			size, extra := magnitude(value - before)
			c.out.dc(class, size, extra)
			before = value
			from := in.at
			err = in.skipAC(class)
			if err != nil {
				return err
			}
			c.out.copyBits(&c.t.bits, from, min(in.at, c.t.bits.bits))
		}
	}
	return nil
}

// ink writes MCU i, the x-th of its row, with what the mark covers of it.
func (c *copier) ink(i, x int) error {
	in := cursor{t: c.t, at: c.t.place(i)}
	f := &c.t.header.frame
	for j := range f.components {
		part := &f.components[j]
		class := c.t.header.classes[j]
		value := c.t.prediction(i, j)
		for v := range part.v {
			for h := range part.h {
				var b [blockSize]int16
				d, err := in.dc(class)
				if err == nil {
					err = in.ac(class, &b)
				}
				if err != nil {
					return err
				}
				value = int(clampDC(value + d))
				b[0] = int16(value)
				c.cover(j, &b, x*8*f.h+h*8*f.h/part.h, v*8*f.v/part.v)
				size, extra := magnitude(int(b[0]) - c.predicted[j])
				c.out.dc(class, size, extra)
				emitAC(c.out, class, &b)
				c.predicted[j] = int(b[0])
			}
		}
	}
	return nil
}
