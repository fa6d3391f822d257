package paint

import "image"

// layer is pixels to blend with.
type layer struct {
	pix          []byte
	stride, step int
	grey         bool
}

// ink is a tone, worked out for each coverage there is: what it keeps of a pixel, in 1/65536, and what it adds to each
// channel, in 1/65536 too, half a step for rounding included.
type ink struct {
	keep [256]uint32
	add  [256][3]uint32
}

const one = 1 << 16

// set makes i the ink of a colour that covers by opacity percent where it covers all of a pixel.
func (i *ink) set(color [3]uint8, opacity int) {
	for part := range i.keep {
		alpha := uint32(part*opacity*one+255*100/2) / (255 * 100)
		i.keep[part] = one - alpha
		for c, v := range color {
			i.add[part][c] = uint32(v)*alpha + one/2
		}
	}
}

// blend covers pixels with an ink as far as mask says. The mask lies within the picture.
func (l layer) blend(mask *image.Alpha, i *ink) {
	r := mask.Rect
	for y := r.Min.Y; y < r.Max.Y; y++ {
		covered := mask.Pix[mask.PixOffset(r.Min.X, y):][:r.Dx()]
		row := l.pix[y*l.stride+r.Min.X*l.step:]
		if l.grey {
			row = row[:len(covered)]
			for x, part := range covered {
				if part != 0 {
					row[x] = byte((uint32(row[x])*i.keep[part] + i.add[part][0]) / one)
				}
			}
			continue
		}
		for x, part := range covered {
			if part == 0 {
				continue
			}
			keep, add, pixel := i.keep[part], &i.add[part], (*[3]byte)(row[x*l.step:])
			pixel[0] = byte((uint32(pixel[0])*keep + add[0]) / one)
			pixel[1] = byte((uint32(pixel[1])*keep + add[1]) / one)
			pixel[2] = byte((uint32(pixel[2])*keep + add[2]) / one)
		}
	}
}
