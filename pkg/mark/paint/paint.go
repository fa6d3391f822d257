// Package paint draws marks on pixels. What is drawn, and where, comes from package mark, as in copies: the outlines,
// the order in which they are painted, the matrices and the tones are those that a copy carries. So a picture of a page
// with a mark painted on it looks like a picture of that page's copy.
//
// What differs is the antialiasing, which every renderer has its own of: here, what a shape covers of a pixel is its
// share, exactly. (Poppler counts samples and then makes thin strokes lighter.) The woven marks of a copy, which are
// small and meant not to be seen, are not drawn.
//
// Outlines are taken apart once for as long as somebody holds them. Everything is safe for concurrent use, except that
// nobody else may touch the pixels that are drawn on.
package paint

import (
	"image"
	"image/color"
	"sync"

	"github.com/filigreehq/filigree/pkg/mark"
)

// Canvas is a picture of a page that a mark is drawn on.
type Canvas struct {
	// Pix are rows of pixels, the uppermost first.
	Pix []byte
	// Width and Height are in pixels, Stride in bytes from row to row.
	Width, Height, Stride int
	// Depth is the number of bytes a pixel: 1 is grey, 4 is red, green, blue and one that stays as it is.
	Depth int
}

// Draw draws the visible mark m on a picture of page p, the number-th of its document counted from 1. The canvas shows
// the page as View says.
func (c Canvas) Draw(m *mark.Mark, p mark.Page, number int) {
	pixels := layer{pix: c.Pix, stride: c.Stride, step: c.Depth, grey: c.Depth == 1}
	var inks [mark.MaxTones]ink
	for i, t := range m.Tones(p.Level) {
		if pixels.grey {
			v, _, _ := color.RGBToYCbCr(t.Color[0], t.Color[1], t.Color[2])
			t.Color = [3]uint8{v, v, v}
		}
		inks[i].set(t.Color, t.Opacity)
	}
	size := image.Rect(0, 0, c.Width, c.Height)
	each(m, p, number, NewView(p, c.Width, c.Height), size, func(mask *image.Alpha, tone int) {
		pixels.blend(mask, &inks[tone])
	})
}

// Coverage returns where the ink of the mark is on a picture of page p, whatever its tone: 255 where a pixel is covered
// as a whole by at least one of the mark's shapes, 0 where by none.
func Coverage(m *mark.Mark, p mark.Page, number, width, height int) *image.Alpha {
	all := image.NewAlpha(image.Rect(0, 0, width, height))
	each(m, p, number, NewView(p, width, height), all.Rect, func(mask *image.Alpha, _ int) {
		unite(all, mask)
	})
	return all
}

// each calls ink with each mask within frame that the mark is made of, in painting order. The mask lies where its
// rectangle says, and is valid during the call.
func each(m *mark.Mark, p mark.Page, number int, view View, frame image.Rectangle, ink func(mask *image.Alpha, tone int)) {
	t := pens.Get().(*pen)
	defer pens.Put(t)
	t.frame = frame
	shapes := m.Shapes()
	for _, use := range m.On(p, number) {
		shape := &shapes[use.Shape]
		to := view.after(use.Matrix)
		if shape.Rule != nil {
			mask := t.glyph(shape.Rule, to)
			if mask != nil {
				ink(mask, use.Tone)
			}
		}
		if shape.Overlaps {
			mask := t.group(shape, to)
			if mask != nil {
				ink(mask, use.Tone)
			}
			continue
		}
		for i := range shape.Glyphs {
			mask := t.glyph(&shape.Glyphs[i], to)
			if mask != nil {
				ink(mask, use.Tone)
			}
		}
	}
}

var pens = sync.Pool{New: func() any { return &pen{} }}

// unite adds to all what mask covers. Of a pixel that both cover in part, they are taken to cover independent parts, as
// the union of PDF's transparency groups has it (ISO 32000-2, 11.3.7.2).
func unite(all, mask *image.Alpha) {
	r := mask.Rect
	for y := r.Min.Y; y < r.Max.Y; y++ {
		from := mask.Pix[mask.PixOffset(r.Min.X, y):][:r.Dx()]
		to := all.Pix[all.PixOffset(r.Min.X, y):][:r.Dx()]
		for x, covered := range from {
			switch {
			case covered == 0:
			case to[x] == 0:
				to[x] = covered
			default:
				free := int(255-to[x]) * int(255-covered)
				to[x] = byte(255 - (free+127)/255)
			}
		}
	}
}
