package jpeg

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// bitReader reads the entropy-coded bits of a source, up to the next marker.
type bitReader struct {
	r *bufio.Reader
	// acc has the n bits that come next at its low end. The last beyond of them are zeros after the end.
	acc       uint64
	n, beyond int
	ended     bool
	// half tells, at a marker, that its 0xFF is read already.
	half *bool
}

// fill brings at least 32 bits.
func (b *bitReader) fill() error {
	for b.n <= 32 {
		var next byte
		if !b.ended {
			var err error
			next, err = b.next()
			if err != nil {
				return err
			}
		}
		if b.ended {
			next = 0
			b.beyond += 8
		}
		b.acc = b.acc<<8 | uint64(next)
		b.n += 8
	}
	if b.beyond > 64 {
		return source.Broken("it ends too early")
	}
	return nil
}

// next reads a byte of data; at a marker it sets ended.
func (b *bitReader) next() (byte, error) {
	c, err := b.r.ReadByte()
	if errors.Is(err, io.EOF) {
		b.ended = true
		return 0, nil
	}
	if err != nil || c != 0xFF {
		return c, err
	}
	after, err := b.r.Peek(1)
	if len(after) == 1 && after[0] == 0 {
		_, err = b.r.Discard(1)
		return c, err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	b.ended, *b.half = true, true
	return 0, nil
}

// peek shows the next 16 bits.
func (b *bitReader) peek() (uint32, error) {
	if b.n < 16 {
		err := b.fill()
		if err != nil {
			return 0, err
		}
	}
	return uint32(b.acc>>(b.n-16)) & 0xFFFF, nil
}

// take reads n bits, at most 16.
func (b *bitReader) take(n int) (int, error) {
	if b.n < n {
		err := b.fill()
		if err != nil {
			return 0, err
		}
	}
	b.n -= n
	return int(b.acc>>b.n) & (1<<n - 1), nil
}

// restart begins anew behind what has been read, at a marker.
func (b *bitReader) restart() error {
	if b.n < b.beyond {
		return source.Broken("it ends too early")
	}
	for !b.ended { // there may be more than anybody asked for
		_, err := b.next()
		if err != nil {
			return err
		}
	}
	b.acc, b.n, b.beyond, b.ended = 0, 0, 0, false
	return nil
}

// extend makes of n bits the number that they stand for (T.81, F.2.2.1).
func extend(v, n int) int {
	if n > 0 && v < 1<<(n-1) {
		return v - (1<<n - 1)
	}
	return v
}

// bitWriter collects bits into bytes.
type bitWriter struct {
	w       io.Writer
	buf     []byte
	acc     uint64
	n       uint
	written uint64 // bits, all that were put
	// stuffing makes 0xFF a 0xFF 0x00, as it must be within a JPEG.
	stuffing bool
	err      error
}

const bitBuffer = 32 << 10

func newBitWriter(w io.Writer, stuffing bool) *bitWriter {
	return &bitWriter{w: w, buf: make([]byte, 0, bitBuffer+16), stuffing: stuffing}
}

// put appends the n low bits of v, at most 32; v has no others.
func (b *bitWriter) put(v uint32, n uint) {
	b.acc = b.acc<<n | uint64(v)
	b.n += n
	b.written += uint64(n)
	if b.n < 32 {
		return
	}
	b.n -= 32
	word := uint32(b.acc >> b.n)
	if !b.stuffing || (^word-0x01010101)&word&0x80808080 == 0 { // no byte of it is 0xFF
		b.buf = binary.BigEndian.AppendUint32(b.buf, word)
	} else {
		for shift := 24; shift >= 0; shift -= 8 {
			b.byte(byte(word >> shift))
		}
	}
	if len(b.buf) >= bitBuffer {
		b.flush()
	}
}

func (b *bitWriter) byte(v byte) {
	b.buf = append(b.buf, v)
	if b.stuffing && v == 0xFF {
		b.buf = append(b.buf, 0)
	}
}

// finish writes what is left, filled up with ones to a whole byte.
func (b *bitWriter) finish() error {
	for b.n%8 != 0 {
		b.acc = b.acc<<1 | 1
		b.n++
	}
	for b.n > 0 {
		b.n -= 8
		b.byte(byte(b.acc >> b.n))
	}
	b.flush()
	return b.err
}

func (b *bitWriter) flush() {
	if b.err == nil {
		_, b.err = b.w.Write(b.buf)
	}
	b.buf = b.buf[:0]
}

// bitString is bits to be read from anywhere. There are at least eight bytes more than bits.
type bitString struct {
	data []byte
	bits uint64
}

// padding is how many bytes follow the bits of a bitString.
const padding = 8

// at shows the 57 bits from place on, at the upper end.
func (s *bitString) at(place uint64) uint64 {
	return binary.BigEndian.Uint64(s.data[place>>3:]) << (place & 7)
}

// copyBits appends the bits from one place to another.
func (b *bitWriter) copyBits(s *bitString, from, to uint64) {
	for ; from+32 <= to; from += 32 {
		b.put(uint32(s.at(from)>>32), 32)
	}
	n := uint(to - from)
	if n > 0 {
		b.put(uint32(s.at(from)>>(64-n)), n)
	}
}
