package paint_test

import (
	"math"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/mark/paint"
)

// Each corner of the box comes to the corner of the picture where turning the page puts it.
func TestCornersComeToCorners(t *testing.T) {
	t.Parallel()
	page := mark.Page{Box: [4]float64{100, 200, 300, 600}, Unit: 1}
	for rotate, want := range map[int][2]float64{ // where the lower left corner comes to, as parts of width and height
		0: {0, 1}, 90: {0, 0}, 180: {1, 0}, 270: {1, 1}, -90: {1, 1}, 450: {0, 0},
	} {
		page.Rotate = rotate
		width, height := 300, 600
		if rotate%180 != 0 {
			width, height = height, width
		}
		v := paint.NewView(page, width, height)
		near := func(what string, x, y, wantX, wantY float64) {
			if math.Abs(x-wantX) > 1e-9 || math.Abs(y-wantY) > 1e-9 {
				t.Errorf("turned by %d: the %s corner comes to (%g, %g) of %d by %d, want (%g, %g)", rotate, what, x, y, width, height, wantX, wantY)
			}
		}
		x, y := v.Point(100, 200)
		near("lower left", x, y, want[0]*float64(width), want[1]*float64(height))
		x, y = v.Point(300, 600)
		near("upper right", x, y, (1-want[0])*float64(width), (1-want[1])*float64(height))
	}
}

// No box makes a view that points cannot be taken through.
func TestBoxesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, box := range [][4]float64{{0, 0, 0, 0}, {5, 5, 0, 0}, {0, 0, 1e-300, 1e300}, {0, 0, math.NaN(), 1}} {
		x, y := paint.NewView(mark.Page{Box: [4]float64{0, 0, box[2] - box[0], box[3] - box[1]}}, 100, 100).Point(0, 0)
		if x != 0 {
			t.Errorf("%v: got (%g, %g)", box, x, y)
		}
	}
}
