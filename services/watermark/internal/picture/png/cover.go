package png

import (
	"encoding/binary"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/ink"
)

// cover puts ink, as a strip has it, over a row of pixels.
func (h *header) cover(row, ink []byte) {
	step := h.step()
	colours := samples(h.color)
	opacity := h.color == greyAlpha || h.color == rgbAlpha
	if opacity {
		colours--
	}
	for x := range h.width {
		i := ink[4*x : 4*x+4 : 4*x+4]
		if i[3] == 0 {
			continue
		}
		shade := [3]byte{i[0], i[1], i[2]}
		if colours == 1 {
			shade[0] = luma(i)
		}
		p := row[x*step : (x+1)*step]
		switch {
		case h.depth == 8 && opacity:
			cover8(p, shade[:colours], i[3])
		case h.depth == 8:
			over8(p, shade[:colours], i[3])
		case opacity:
			cover16(p, shade[:colours], i[3])
		default:
			over16(p, shade[:colours], i[3])
		}
	}
}

// luma is the grey of a colour, as JPEG has it.
func luma(i []byte) byte {
	return byte((19595*int(i[0]) + 38470*int(i[1]) + 7471*int(i[2]) + 1<<15) >> 16)
}

func over8(p, shade []byte, opacity byte) {
	for c, s := range shade {
		p[c] = ink.Over(p[c], s, opacity)
	}
}

func over16(p, shade []byte, opacity byte) {
	rest := 257 * (255 - uint32(opacity))
	for c, s := range shade {
		v := uint32(binary.BigEndian.Uint16(p[2*c:]))
		v = min(65535, uint32((uint64(v)*uint64(rest)+32767)/65535)+257*uint32(s))
		binary.BigEndian.PutUint16(p[2*c:], uint16(v))
	}
}

// cover8 puts ink over a pixel with an opacity of its own, its last byte: what shows of the pixel is what the ink leaves
// of its opacity, and both together are its new one.
func cover8(p, shade []byte, opacity byte) {
	n := len(shade)
	below := uint32(p[n]) * (255 - uint32(opacity))
	all := uint32(opacity)*255 + below
	for c, s := range shade {
		p[c] = byte(min(255, (uint32(s)*255*255+uint32(p[c])*below+all/2)/all))
	}
	p[n] = byte((all + 127) / 255)
}

func cover16(p, shade []byte, opacity byte) {
	n := 2 * len(shade)
	const most = 65535
	own := 257 * uint64(opacity)
	below := uint64(binary.BigEndian.Uint16(p[n:])) * (most - own)
	all := own*most + below
	for c, s := range shade {
		v := (257*uint64(s)*most*most + uint64(binary.BigEndian.Uint16(p[2*c:]))*below + all/2) / all
		binary.BigEndian.PutUint16(p[2*c:], uint16(min(most, v)))
	}
	binary.BigEndian.PutUint16(p[n:], uint16((all+most/2)/most))
}
