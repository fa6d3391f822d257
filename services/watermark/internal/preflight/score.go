package preflight

import (
	"encoding/binary"
	"image"
)

// What a mark is measured by. Grey levels are those of sRGB, in which equal steps look about equally large: 255 of them
// make 100 of CIE L*, so that one that can just be told is 2 to 3.
const (
	// visible is the change in grey levels from which ink is seen: about four steps that can just be told. The default
	// mark changes white by 37, black by 59, and the middling grey that it changes least by nothing.
	visible = 10
	// still is the change up to which a pixel counts as left as it was: renderers round.
	still = 1
	// thin is the coverage from which a pixel is expected to show ink; its share of a pixel counts as such, so that
	// strokes thinner than a pixel are weighed, and the frayed rest of an edge is not.
	thin = 32
	// solid is the coverage from which a pixel is taken to lie under the ink, for what becomes of text there.
	solid = 160

	// reach is how far, in pixels, a ground is looked for around a pixel of text: about 9 pt at the usual scale, which is
	// more than the width of a letter's stem and of the space beside it.
	reach = 3
	// contrast is the difference between text and its ground, in grey levels, that counts as text. Letters of 8 pt in
	// black on white have 100 and more at the usual scale.
	contrast = 64
	// keptNum / keptDen is the part of that difference which must be left for text to be legible. Black on white under a grey
	// veil then keeps a contrast of 4 to 1, between what WCAG 2 asks for of large print (3) and of small (4.5); the default
	// mark keeps 0.62 of it. As a share it is the same for a renderer's blurred letters and for sharp ones.
	keptNum, keptDen = 2, 5
	// halo is how far from ink, in pixels, a change is still that of its edge: antialiasing, and a renderer that adjusts
	// strokes to its grid.
	halo = 2
	// strange is the change from which a pixel far from ink counts as changed.
	strange = 3
)

// Score is what became of a page by its mark.
type Score struct {
	// Ink is the area that the mark covers, in pixels; 0 if it has none on this page, and then Shown is 1.
	Ink float64
	// Shown is the share of the ink that can be seen, 0 to 1, and Still the share where the page is as it was: something
	// is painted over the mark there, or the ground has the mark's tone.
	Shown, Still float64
	// Text is the number of pixels under the ink that lie in or beside text or other detail, and Lost the number of those
	// where it kept too little of its contrast.
	Text, Lost int
	// Strange is the number of pixels away from the ink that changed, of Free that lie there.
	Strange, Free int
}

// score compares the picture of a page as it is with that of the page as marked, where ink says what the mark covers.
// All three have the same size.
func score(plain, marked *picture, ink *image.Alpha) Score {
	s := Score{Shown: 1}
	m := measure{plain: plain.pix, marked: marked.pix, ink: ink, width: plain.width, height: plain.height}
	var shown, unmoved int
	for y := range m.height {
		cover := ink.Pix[y*ink.Stride:][:m.width]
		row := m.width * y
		for x := 0; x < m.width; x++ {
			if x+8 <= m.width && eight(cover[x:]) == 0 && eight(m.plain[row+x:]) == eight(m.marked[row+x:]) {
				// Most of a page is neither covered nor changed.
				s.Free += 8
				x += 7
				continue
			}
			alpha := cover[x]
			change := distance(m.plain[row+x], m.marked[row+x])
			if alpha == 0 {
				s.Free++
				if change >= strange {
					s.Strange++
					if m.nearInk(x, y) {
						s.Strange--
						s.Free--
					}
				}
				continue
			}
			if alpha < thin {
				continue
			}
			s.Ink += float64(alpha)
			if alpha < solid && change*255 < visible*int(alpha) {
				// A stroke thinner than a pixel, or an edge, may have come to lie in the next one.
				change = max(change, m.around(x, y))
			}
			if change*255 >= visible*int(alpha) && change > still {
				shown += int(alpha)
			} else if change <= still {
				unmoved += int(alpha)
			}
			if alpha >= solid {
				before, after := m.contrast(x, y)
				if before >= contrast {
					s.Text++
					if after*keptDen < before*keptNum {
						s.Lost++
					}
				}
			}
		}
	}
	if s.Ink > 0 {
		s.Shown = float64(shown) / s.Ink
		s.Still = float64(unmoved) / s.Ink
		s.Ink /= 255
	}
	return s
}

// eight are the first eight bytes of b.
func eight(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// measure is a comparison at work.
type measure struct {
	plain, marked []byte
	ink           *image.Alpha
	width, height int
}

// window is the part of the page within n pixels of (x, y); x1 and y1 are beyond it.
func (m *measure) window(x, y, n int) (x0, y0, x1, y1 int) {
	return max(x-n, 0), max(y-n, 0), min(x+n+1, m.width), min(y+n+1, m.height)
}

// around is the largest change at (x, y) and beside.
func (m *measure) around(x, y int) int {
	largest := 0
	x0, y0, x1, y1 := m.window(x, y, 1)
	for v := y0; v < y1; v++ {
		for i := v*m.width + x0; i < v*m.width+x1; i++ {
			largest = max(largest, distance(m.plain[i], m.marked[i]))
		}
	}
	return largest
}

func (m *measure) nearInk(x, y int) bool {
	x0, y0, x1, y1 := m.window(x, y, halo)
	for v := y0; v < y1; v++ {
		for _, alpha := range m.ink.Pix[v*m.ink.Stride+x0 : v*m.ink.Stride+x1] {
			if alpha > 0 {
				return true
			}
		}
	}
	return false
}

// contrast is the largest difference of the plain page among the pixels around (x, y) that lie under the ink as it does,
// and what is left of that very difference in the marked page: less than 0 if dark and light changed places. Pixels
// beside the ink are left out, or text that an opaque mark covers would be read from the mark's own edge.
func (m *measure) contrast(x, y int) (before, after int) {
	dark, light := m.width*y+x, m.width*y+x
	x0, y0, x1, y1 := m.window(x, y, reach)
	for v := y0; v < y1; v++ {
		cover := m.ink.Pix[v*m.ink.Stride+x0 : v*m.ink.Stride+x1]
		for j, alpha := range cover {
			if alpha < solid {
				continue
			}
			i := v*m.width + x0 + j
			if m.plain[i] < m.plain[dark] {
				dark = i
			}
			if m.plain[i] > m.plain[light] {
				light = i
			}
		}
	}
	return int(m.plain[light]) - int(m.plain[dark]), int(m.marked[light]) - int(m.marked[dark])
}

func distance(a, b byte) int {
	if a < b {
		return int(b - a)
	}
	return int(a - b)
}
