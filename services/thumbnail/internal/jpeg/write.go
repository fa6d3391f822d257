package jpeg

import "encoding/binary"

// The markers that files have (T.81, table B.1; JFIF is T.871).
const (
	markerSOI  = 0xd8
	markerAPP0 = 0xe0
	markerDQT  = 0xdb
	markerSOF0 = 0xc0
	markerDHT  = 0xc4
	markerSOS  = 0xda
	markerEOI  = 0xd9
)

// headers is the file up to the coded blocks.
func (b *Base) headers(luma, chroma *quantizer) []byte {
	out := []byte{0xff, markerSOI}
	segment := func(marker byte, body ...byte) {
		out = append(out, 0xff, marker)
		out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
		out = append(out, body...)
	}
	segment(markerAPP0, 'J', 'F', 'I', 'F', 0, 1, 2, 0, 0, 1, 0, 1, 0, 0) // version 1.2; square pixels; no picture within
	segment(markerDQT, append([]byte{0}, luma.steps[:]...)...)
	frame := []byte{8}
	frame = binary.BigEndian.AppendUint16(frame, uint16(b.img.Rect.Dy()))
	frame = binary.BigEndian.AppendUint16(frame, uint16(b.img.Rect.Dx()))
	frame = append(frame, byte(len(b.components)))
	scan := []byte{byte(len(b.components))}
	for i, c := range b.components {
		tables := byte(min(i, 1))
		frame = append(frame, byte(i+1), byte(c.across<<4|c.down), tables)
		scan = append(scan, byte(i+1), tables<<4|tables)
	}
	if !b.Grey() {
		segment(markerDQT, append([]byte{1}, chroma.steps[:]...)...)
	}
	segment(markerSOF0, frame...)
	for i, c := range b.components[:min(2, len(b.components))] {
		for class, t := range []*table{c.dc, c.ac} {
			segment(markerDHT, append(append([]byte{byte(class<<4 | i)}, t.lengths[:]...), t.symbols...)...)
		}
	}
	segment(markerSOS, append(scan, 0, side*side-1, 0)...)
	return out
}

// stream is bits, from the highest of each word on.
type stream struct {
	words []uint32
	bits  uint64 // the lowest of them are not in words yet
	rest  uint   // how many: less than 32
}

// put writes the lowest count bits of v, at most 32; the others are 0.
func (s *stream) put(v uint32, count uint) {
	s.bits = s.bits<<count | uint64(v)
	s.rest += count
	if s.rest >= 32 {
		s.rest -= 32
		s.words = append(s.words, uint32(s.bits>>s.rest))
	}
}

// count is how many bits were written.
func (s *stream) count() uint32 { return uint32(len(s.words))*32 + uint32(s.rest) }

// reset forgets all.
func (s *stream) reset() { s.words, s.bits, s.rest = s.words[:0], 0, 0 }

// appendTo appends the words, the last filled up with zeros.
func (s *stream) appendTo(words []uint32) []uint32 {
	words = append(words, s.words...)
	if s.rest > 0 {
		words = append(words, uint32(s.bits<<(32-s.rest)))
	}
	return words
}

// copy writes count bits of words.
func (s *stream) copy(words []uint32, count uint32) {
	for ; count >= 32; count -= 32 {
		s.put(words[0], 32)
		words = words[1:]
	}
	if count > 0 {
		s.put(words[0]>>(32-count), uint(count))
	}
}

// difference writes one of first coefficients.
func (s *stream) difference(t *table, v int32) {
	size := magnitude(v)
	c := t.codes[size]
	s.put(c.bits<<size|low(v, size), c.count+uint(size))
}

// block writes all coefficients but the first.
func (s *stream) block(t *table, b *block) {
	run := 0
	for _, v := range b[1:] {
		if v == 0 {
			run++
			continue
		}
		for ; run > 15; run -= 16 {
			c := t.codes[sixteenZeros]
			s.put(c.bits, c.count)
		}
		size := magnitude(v)
		c := t.codes[byte(run<<4)|size]
		s.put(c.bits<<size|low(v, size), c.count+uint(size))
		run = 0
	}
	if run > 0 {
		c := t.codes[endOfBlock]
		s.put(c.bits, c.count)
	}
}

// end fills the last byte with ones and appends all to dst. After each byte of ones comes one of zeros: it could be taken
// for a marker.
func (s *stream) end(dst []byte) []byte {
	for _, w := range s.words {
		if !hasOnes(w) {
			dst = binary.BigEndian.AppendUint32(dst, w)
			continue
		}
		for shift := 24; shift >= 0; shift -= 8 {
			dst = stuff(dst, byte(w>>shift))
		}
	}
	fill := (8 - s.rest%8) % 8
	last := s.bits<<fill | (1<<fill - 1)
	for n := s.rest + fill; n > 0; n -= 8 {
		dst = stuff(dst, byte(last>>(n-8)))
	}
	return dst
}

func stuff(dst []byte, b byte) []byte {
	if b == 0xff {
		return append(dst, b, 0)
	}
	return append(dst, b)
}

// hasOnes reports whether one of the four bytes of v is 0xff: of its complement, whether one is 0.
func hasOnes(v uint32) bool {
	v = ^v
	return (v-0x01010101)&^v&0x80808080 != 0
}
