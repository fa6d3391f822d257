package paint

import (
	"image"
	"image/color"

	"github.com/filigreehq/filigree/pkg/mark"
)

// DrawYCbCr draws like Canvas.Draw on a picture as JPEGs have it: brightness, and colour in half the resolution (4:2:0)
// or, if Cb and Cr are empty, none. Its rectangle begins at (0, 0). Where the planes go on beyond it, so does the mark,
// since JPEGs code whole blocks.
func DrawYCbCr(img *image.YCbCr, m *mark.Mark, p mark.Page, number int) {
	luma := layer{pix: img.Y, stride: img.YStride, step: 1, grey: true}
	blue := layer{pix: img.Cb, stride: img.CStride, step: 1, grey: true}
	red := layer{pix: img.Cr, stride: img.CStride, step: 1, grey: true}
	var inks [mark.MaxTones][3]ink
	for i, t := range m.Tones(p.Level) {
		y, cb, cr := color.RGBToYCbCr(t.Color[0], t.Color[1], t.Color[2])
		for c, v := range [3]uint8{y, cb, cr} {
			inks[i][c].set([3]uint8{v}, t.Opacity)
		}
	}
	planes := image.Rect(0, 0, img.YStride, len(img.Y)/img.YStride)
	var half image.Alpha
	coloured := len(img.Cb) > 0
	if coloured {
		planes = planes.Intersect(image.Rect(0, 0, 2*img.CStride, 2*(len(img.Cb)/img.CStride)))
	}
	view := NewView(p, img.Rect.Dx(), img.Rect.Dy())
	each(m, p, number, view, planes, func(mask *image.Alpha, tone int) {
		luma.blend(mask, &inks[tone][0])
		if !coloured {
			return
		}
		halve(&half, mask)
		blue.blend(&half, &inks[tone][1])
		red.blend(&half, &inks[tone][2])
	})
}

// halve makes of mask one of half the resolution: the means of four.
func halve(half, mask *image.Alpha) {
	r := mask.Rect
	resize(half, image.Rect(r.Min.X/2, r.Min.Y/2, (r.Max.X+1)/2, (r.Max.Y+1)/2))
	for y := half.Rect.Min.Y; y < half.Rect.Max.Y; y++ {
		row := half.Pix[half.PixOffset(half.Rect.Min.X, y):][:half.Stride]
		for x := range row {
			sum := 2
			at := image.Pt(2*(half.Rect.Min.X+x), 2*y)
			for _, p := range [4]image.Point{at, at.Add(image.Pt(1, 0)), at.Add(image.Pt(0, 1)), at.Add(image.Pt(1, 1))} {
				if p.In(r) {
					sum += int(mask.Pix[mask.PixOffset(p.X, p.Y)])
				}
			}
			row[x] = byte(sum / 4)
		}
	}
}
