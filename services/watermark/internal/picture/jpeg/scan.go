package jpeg

import (
	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// limits of what is kept, so that all of it can be written again.
const (
	maxAC = 1<<10 - 1
	minDC = -1 << 10
	maxDC = 1<<10 - 1
)

// scan is one pass over some components.
type scan struct {
	d          *reader
	components []int // indexes
	dc, ac     []*decoder
	from, to   int // coefficients
	high, low  int // bit positions: the one before, and this one's
	bits       bitReader
	predicted  [maxComponents]int
	run        int // blocks that end at once
}

// parseScan reads the header of a scan.
func (d *reader) parseScan(data []byte) (*scan, error) {
	if d.frame.components == nil {
		return nil, source.Broken("its pixels come before its header")
	}
	if len(data) < 1 || len(data) != 4+2*int(data[0]) {
		return nil, source.Broken("the header of a scan has a wrong length")
	}
	n := int(data[0])
	if n < 1 || n > len(d.frame.components) {
		return nil, source.Broken("a scan has %d colours", n)
	}
	s := &scan{d: d, from: int(data[1+2*n]), to: int(data[2+2*n]), high: int(data[3+2*n] >> 4), low: int(data[3+2*n] & 15)}
	if !d.progressive {
		s.from, s.to, s.high, s.low = 0, blockSize-1, 0, 0
	}
	if s.from > s.to || s.to >= blockSize || s.low > 13 || s.high > 0 && s.high != s.low+1 || d.progressive && s.from == 0 && s.to > 0 || s.from > 0 && n > 1 {
		return nil, source.Broken("a scan is not possible")
	}
	for i := range n {
		id, tables := data[1+2*i], data[2+2*i]
		at := -1
		for j, c := range d.frame.components {
			if c.id == id {
				at = j
			}
		}
		for _, other := range s.components {
			if other >= at {
				return nil, source.Broken("the colours of a scan are not in order")
			}
		}
		if at < 0 || tables>>4 > 3 || tables&15 > 3 {
			return nil, source.Broken("a scan has a colour that is not there")
		}
		s.components = append(s.components, at)
		s.dc, s.ac = append(s.dc, d.dc[tables>>4]), append(s.ac, d.ac[tables&15])
		if s.from == 0 && s.high == 0 && s.dc[i] == nil || s.to > 0 && s.ac[i] == nil {
			return nil, source.Broken("a scan has no table of codes")
		}
	}
	return s, s.order()
}

// order checks that a scan brings what was not there before.
func (s *scan) order() error {
	for _, i := range s.components {
		seen := &s.d.seen[i]
		first := s.from == 0 && s.high == 0
		if first && *seen || !first && !*seen {
			return source.Broken("its scans are not in order")
		}
		*seen = true
	}
	return nil
}

// read reads the scan's blocks.
func (s *scan) read() error {
	s.bits = bitReader{r: s.d.r, half: &s.d.half}
	f := &s.d.frame
	across, down := f.across, f.down
	if len(s.components) == 1 {
		c := f.components[s.components[0]]
		across, down = c.within.wide, c.within.high
	}
	done := 0
	for y := range down {
		for x := range across {
			if s.d.interval > 0 && done > 0 && done%s.d.interval == 0 {
				err := s.restart(done/s.d.interval - 1)
				if err != nil {
					return err
				}
			}
			done++
			err := s.unit(x, y)
			if err != nil {
				return err
			}
		}
	}
	return s.bits.restart()
}

// unit reads an MCU, which is one block if there is one component.
func (s *scan) unit(x, y int) error {
	if len(s.components) == 1 {
		return s.block(0, x, y)
	}
	for i, at := range s.components {
		c := &s.d.frame.components[at]
		for v := range c.v {
			for h := range c.h {
				err := s.block(i, x*c.h+h, y*c.v+v)
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// restart expects the restart marker of a number.
func (s *scan) restart(number int) error {
	err := s.bits.restart()
	if err != nil {
		return err
	}
	marker, err := s.d.marker()
	if err != nil {
		return cut(err)
	}
	if int(marker) != markRST0+number%8 {
		return source.Broken("a part of it is missing")
	}
	s.predicted, s.run = [maxComponents]int{}, 0
	return nil
}

func (s *scan) block(i, x, y int) error {
	at := s.components[i]
	b := (*[blockSize]int16)(s.d.blocks[at][(y*s.d.frame.components[at].wide+x)*blockSize:])
	if !s.d.progressive {
		err := s.firstDC(i, b)
		if err != nil {
			return err
		}
		return s.sequentialAC(i, b)
	}
	switch {
	case s.from == 0 && s.high == 0:
		return s.firstDC(i, b)
	case s.from == 0:
		bit, err := s.bits.take(1)
		b[0] |= int16(bit << s.low)
		return err
	case s.high == 0:
		return s.firstAC(i, b)
	}
	return s.moreAC(i, b)
}

// symbol reads a Huffman code.
func (s *scan) symbol(d *decoder) (uint8, error) {
	peek, err := s.bits.peek()
	if err != nil {
		return 0, err
	}
	symbol, length := d.find(peek)
	if length == 0 {
		return 0, source.Broken("it has a code that means nothing")
	}
	s.bits.n -= length
	return symbol, nil
}

func (s *scan) firstDC(i int, b *[blockSize]int16) error {
	size, err := s.symbol(s.dc[i])
	if err != nil {
		return err
	}
	if size > 11 {
		return source.Broken("it has a colour beyond all colours")
	}
	v, err := s.bits.take(int(size))
	s.predicted[i] += extend(v, int(size))
	b[0] = clampDC(s.predicted[i] << s.low)
	return err
}

func (s *scan) sequentialAC(i int, b *[blockSize]int16) error {
	ac := s.ac[i]
	for k := 1; k < blockSize; k++ {
		symbol, err := s.symbol(ac)
		if err != nil {
			return err
		}
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if run != 15 {
				return nil
			}
			k += 15
			continue
		}
		k += run
		if k >= blockSize {
			return source.Broken("a block has more than 64 values")
		}
		v, err := s.bits.take(size)
		if err != nil {
			return err
		}
		b[zigzag[k]] = clamp(extend(v, size))
	}
	return nil
}

// clamp and clampDC bring a coefficient into what can be written.
func clamp(v int) int16   { return int16(min(maxAC, max(-maxAC, v))) }
func clampDC(v int) int16 { return int16(min(maxDC, max(minDC, v))) }

// firstAC reads the upper bits of coefficients (T.81, G.1.2.2).
func (s *scan) firstAC(i int, b *[blockSize]int16) error {
	if s.run > 0 {
		s.run--
		return nil
	}
	ac := s.ac[i]
	for k := s.from; k <= s.to; k++ {
		symbol, err := s.symbol(ac)
		if err != nil {
			return err
		}
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 && run != 15 {
			extra, err := s.bits.take(run)
			s.run = 1<<run + extra - 1
			return err
		}
		k += run
		if size == 0 {
			continue
		}
		if k > s.to {
			return source.Broken("a block has more values than its scan")
		}
		v, err := s.bits.take(size)
		if err != nil {
			return err
		}
		b[zigzag[k]] = clamp(extend(v, size) << s.low)
	}
	return nil
}

// moreAC reads one more bit of coefficients (T.81, G.1.2.3): a correction of those that are something already, and those
// that become something.
func (s *scan) moreAC(i int, b *[blockSize]int16) error {
	k := s.from
	ac := s.ac[i]
	for s.run == 0 && k <= s.to {
		symbol, err := s.symbol(ac)
		if err != nil {
			return err
		}
		run, size := int(symbol>>4), int(symbol&15)
		value := int16(0)
		switch {
		case size == 1:
			bit, err := s.bits.take(1)
			if err != nil {
				return err
			}
			value = clamp((2*bit - 1) << s.low)
		case size > 1:
			return source.Broken("a block has a value where there can be a bit only")
		case run != 15:
			extra, err := s.bits.take(run)
			if err != nil {
				return err
			}
			s.run = 1<<run + extra
		}
		if s.run > 0 {
			break
		}
		k, err = s.correct(b, k, run)
		if err != nil {
			return err
		}
		if k > s.to && value != 0 {
			return source.Broken("a block has more values than its scan")
		}
		if k <= s.to {
			b[zigzag[k]] = value
		}
		k++
	}
	if s.run == 0 {
		return nil
	}
	s.run--
	_, err := s.correct(b, k, blockSize)
	return err
}

// correct goes on from coefficient k over those that are something, correcting them, and over zeros that are nothing,
// and returns the place of the zero after those.
func (s *scan) correct(b *[blockSize]int16, k, zeros int) (int, error) {
	for ; k <= s.to; k++ {
		c := &b[zigzag[k]]
		if *c == 0 {
			if zeros == 0 {
				return k, nil
			}
			zeros--
			continue
		}
		bit, err := s.bits.take(1)
		if err != nil {
			return 0, err
		}
		switch {
		case bit == 0:
		case *c > 0:
			*c = clamp(int(*c) + 1<<s.low)
		default:
			*c = clamp(int(*c) - 1<<s.low)
		}
	}
	return k, nil
}
