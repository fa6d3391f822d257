package raster

import (
	"math"

	"github.com/filigreehq/filigree/pkg/mark"
)

// Size is a picture's, in pixels.
type Size struct {
	Width, Height int
}

// tallest is how many times its width a picture may be high; of a longer strip the picture is narrower.
const tallest = 4

// Fit returns the size of a picture of page that is width wide, or as wide as it can be without being too high or having
// more than pixels.
func Fit(page mark.Page, width, pixels int) Size {
	w, h := seen(page)
	out := float64(width)
	out = min(out, float64(width)*tallest*w/h)
	out = min(out, math.Sqrt(float64(pixels)*w/h))
	return Size{Width: max(1, int(math.Round(out))), Height: max(1, int(math.Round(out*h/w)))}
}

// seen is what page measures as it is looked at, in user space units. A box that is none counts as square.
func seen(page mark.Page) (w, h float64) {
	w, h = page.Box[2]-page.Box[0], page.Box[3]-page.Box[1]
	if page.Rotate%180 != 0 {
		w, h = h, w
	}
	if !(w > 0 && h > 0) || math.IsInf(w/h, 0) || w/h == 0 {
		return 1, 1
	}
	return w, h
}
