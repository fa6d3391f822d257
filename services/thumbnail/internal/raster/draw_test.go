package raster

import (
	"math"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
)

func TestOutlinesAreReadStrictly(t *testing.T) {
	t.Parallel()
	got, err := parse([]byte("0 0 m\n4096 0 l\n4096 2048 1024 2048 0 -4096 c\nh\n"))
	if err != nil || len(got) != 4 || got[1].at[0] != (point{1, 0}) || got[2].at[2] != (point{0, -1}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"1 m", "1 2 3 l", "x y m", "1 2 re", "m", "1 2 v", "1.5 2 m", "1 h"} {
		_, err = parse([]byte(bad + "\n"))
		if err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// Each corner of the box comes to the corner of the picture where turning the page puts it.
func TestCornersComeToCorners(t *testing.T) {
	t.Parallel()
	page := mark.Page{Box: [4]float64{100, 200, 300, 600}, Unit: 1}
	for rotate, want := range map[int][2]float64{ // where the lower left corner comes to, as parts of width and height
		0: {0, 1}, 90: {0, 0}, 180: {1, 0}, 270: {1, 1}, -90: {1, 1}, 450: {0, 0},
	} {
		page.Rotate = rotate
		size := Fit(page, 480, 4_000_000)
		v := newView(page, size)
		x, y := v.point(point{100, 200})
		if math.Abs(float64(x)-want[0]*float64(size.Width)) > 1 || math.Abs(float64(y)-want[1]*float64(size.Height)) > 1 {
			t.Errorf("turned by %d: (%g, %g) in %v, want %v of it", rotate, x, y, size, want)
		}
		far, down := v.point(point{300, 600})
		if math.Abs(float64(far+x)-float64(size.Width)) > 1 || math.Abs(float64(down+y)-float64(size.Height)) > 1 {
			t.Errorf("turned by %d: the opposite corner comes to (%g, %g) in %v", rotate, far, down, size)
		}
	}
}

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
