package stamp

import (
	"encoding/binary"

	"github.com/filigreehq/filigree/pkg/mark"
)

// bitmap is the name as an inline image mask, in ASCII base 85 (ISO 32000-2, 7.4.3), which no reader takes for content.
// A line of dots beneath it differs from page to page.
type bitmap struct {
	width, height int
	fixed         []byte // encoded, all but the last bytes
	sum           adler  // of fixed
	rest          []byte // bytes before the dots that fill no group of four
	dots          int    // bytes of the line of dots
}

func newBitmap(m mark.Bitmap) bitmap {
	stride := (m.Width + 7) / 8
	b := bitmap{width: m.Width, height: m.Height + 1, dots: stride}
	plain := make([]byte, 0, len(m.Rows)+stride)
	for _, c := range m.Rows {
		plain = append(plain, ^c) // 0 is painted
	}
	whole := len(plain) / 4 * 4
	b.fixed = appendBase85(make([]byte, 0, whole/4*5), plain[:whole])
	b.sum = adlerOf(b.fixed)
	b.rest = plain[whole:]
	return b
}

// encoded is the length of the data.
func (b *bitmap) encoded() int { return len(b.fixed) + (len(b.rest)+b.dots+3)/4*5 }

// appendRest writes what follows the fixed part of the data; the dots repeat random.
func (b *bitmap) appendRest(dst, random []byte) []byte {
	var tail [64]byte // a bitmap is 112 wide at most
	n := copy(tail[:], b.rest)
	for i := range b.dots {
		tail[n+i] = 0xaa | random[i%len(random)] // every other pixel at most
	}
	n += b.dots
	return appendBase85(dst, tail[:(n+3)/4*4]) // what is behind the last line is not looked at
}

// appendBase85 encodes p, a multiple of four bytes. It never abbreviates, so that the length depends on p's only.
func appendBase85(dst, p []byte) []byte {
	for ; len(p) >= 4; p = p[4:] {
		v := binary.BigEndian.Uint32(p)
		var g [5]byte
		for i := 4; i >= 0; i-- {
			g[i] = byte('!' + v%85)
			v /= 85
		}
		dst = append(dst, g[:]...)
	}
	return dst
}
