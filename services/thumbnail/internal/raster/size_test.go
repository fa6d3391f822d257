package raster

import (
	"math"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
)

func TestNoBoxMakesALargePicture(t *testing.T) {
	t.Parallel()
	inf, nan := math.Inf(1), math.NaN()
	for _, box := range [][4]float64{
		{0, 0, 0, 0}, {0, 0, -5, 5}, {0, 0, inf, 5}, {0, 0, 5, inf}, {nan, 0, 5, 5}, {0, 0, 1e-300, 1e300}, {0, 0, 1e300, 1e-300}, {-1e9, 0, 1e9, 1}, {0, 0, 1, 1e9},
	} {
		for _, rotate := range []int{0, 90} {
			for _, width := range []int{1, 480, 2000} {
				size := Fit(mark.Page{Box: box, Rotate: rotate}, width, 4_000_000)
				if size.Width < 1 || size.Height < 1 || size.Width > width || size.Width*size.Height > 4_010_000 {
					t.Errorf("%v turned by %d, %d wide: %v", box, rotate, width, size)
				}
			}
		}
	}
}
