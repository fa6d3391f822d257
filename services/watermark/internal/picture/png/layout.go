package png

import (
	"encoding/binary"
	"slices"
)

// layout is how pixels lie in copies, and how they come to lie so.
type layout struct {
	color int // grey, rgb, greyAlpha or rgbAlpha
	depth int // 8 or 16
	// convert turns n pixels of the source into as many of copies.
	convert func(dst, src []byte, n int)
	// flat tells that pixels came from few colours, for which filters are of no use.
	flat bool
}

// size is that of a pixel, in bytes.
func (l *layout) size() int { return samples(l.color) * l.depth / 8 }

// layout chooses what fits the source.
func (d *reader) layout() *layout {
	switch d.color {
	case palette:
		return d.paletteLayout()
	case grey:
		return d.greyLayout()
	case rgb:
		if d.transparent != nil {
			return d.keyedLayout(rgbAlpha)
		}
	}
	l := &layout{color: d.color, depth: d.depth}
	l.convert = func(dst, src []byte, n int) { copy(dst, src[:n*l.size()]) }
	return l
}

// unpack calls pixel with each of n numbers of depth bits, at most 8.
func unpack(src []byte, depth, n int, pixel func(i, v int)) {
	per := 8 / depth
	for i := range n {
		shift := 8 - depth*(i%per+1)
		pixel(i, int(src[i/per]>>shift)&(1<<depth-1))
	}
}

func (d *reader) paletteLayout() *layout {
	type entry [4]byte
	var entries [256]entry // what is beyond the palette is black, as other readers have it
	allGrey, opaque := !d.profile, true
	for i := range entries {
		entries[i][3] = 255
		if 3*i < len(d.palette) {
			copy(entries[i][:3], d.palette[3*i:])
		}
		if i < len(d.transparent) {
			entries[i][3] = d.transparent[i]
		}
		e := entries[i]
		allGrey = allGrey && e[0] == e[1] && e[1] == e[2]
		opaque = opaque && e[3] == 255
	}
	depth := d.depth
	l := &layout{depth: 8, flat: true}
	switch {
	case allGrey && opaque:
		l.color = grey
		l.convert = func(dst, src []byte, n int) {
			unpack(src, depth, n, func(i, v int) { dst[i] = entries[v][0] })
		}
	case opaque:
		l.color = rgb
		l.convert = func(dst, src []byte, n int) {
			unpack(src, depth, n, func(i, v int) { copy(dst[3*i:], entries[v][:3]) })
		}
	default:
		l.color = rgbAlpha
		l.convert = func(dst, src []byte, n int) {
			unpack(src, depth, n, func(i, v int) { copy(dst[4*i:], entries[v][:]) })
		}
	}
	return l
}

func (d *reader) greyLayout() *layout {
	if d.transparent != nil && d.depth >= 8 {
		return d.keyedLayout(greyAlpha)
	}
	l := &layout{color: grey, depth: max(8, d.depth)}
	if d.depth >= 8 {
		l.convert = func(dst, src []byte, n int) { copy(dst, src[:n*l.size()]) }
		return l
	}
	l.flat = true
	depth, spread := d.depth, 255/(1<<d.depth-1)
	if d.transparent == nil {
		l.convert = func(dst, src []byte, n int) {
			unpack(src, depth, n, func(i, v int) { dst[i] = byte(v * spread) })
		}
		return l
	}
	key := int(binary.BigEndian.Uint16(d.transparent))
	l.color = greyAlpha
	l.convert = func(dst, src []byte, n int) {
		unpack(src, depth, n, func(i, v int) {
			dst[2*i], dst[2*i+1] = byte(v*spread), 255
			if v == key {
				dst[2*i+1] = 0
			}
		})
	}
	return l
}

// keyedLayout gives pixels an opacity, which is none for those of the one transparent colour.
func (d *reader) keyedLayout(color int) *layout {
	from, width := samples(d.color)*d.depth/8, d.depth/8
	key := make([]byte, 0, from)
	for i := range samples(d.color) {
		key = append(key, d.transparent[2*i+2-width:2*i+2]...)
	}
	l := &layout{color: color, depth: d.depth}
	size := from + width
	l.convert = func(dst, src []byte, n int) {
		for i := range n {
			p, q := src[i*from:(i+1)*from], dst[i*size:(i+1)*size]
			copy(q, p)
			opacity := byte(255)
			if slices.Equal(p, key) {
				opacity = 0
			}
			for j := from; j < size; j++ {
				q[j] = opacity
			}
		}
	}
	return l
}
