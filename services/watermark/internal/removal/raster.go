package removal

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
)

// raster is a page as it is seen: a byte of grey for each pixel.
type raster struct {
	width, height int
	pixels        []byte
}

// resolution at which pages are compared, in dots per inch.
const resolution = 100

// render has poppler draw a page, counted from 1.
func render(ctx context.Context, path string, page int) (raster, error) {
	n := strconv.Itoa(page)
	out, err := run(ctx, "pdftoppm", "-r", strconv.Itoa(resolution), "-gray", "-cropbox", "-f", n, "-l", n, path)
	if err != nil {
		return raster{}, err
	}
	var r raster
	var depth int
	_, err = fmt.Sscanf(string(out[:min(len(out), 40)]), "P5\n%d %d\n%d", &r.width, &r.height, &depth)
	if err != nil || depth != 255 || r.width < 1 || r.height < 1 || len(out) < r.width*r.height {
		return raster{}, fmt.Errorf("page %d of %s is no PGM: %w", page, path, err)
	}
	r.pixels = out[len(out)-r.width*r.height:]
	return r, nil
}

func (r raster) equal(o raster) bool {
	return r.width == o.width && r.height == o.height && bytes.Equal(r.pixels, o.pixels)
}

// A page is looked at in blocks of so many pixels a side, a twelfth of an inch: text that was moved by a part of a pixel,
// as a hidden id may, makes many pixels differ, and no block. A block differs visibly by so many levels of grey. Of a
// letter, in shares of its blocks, a third of a square centimetre may be seen, and three are plain.
const (
	block   = 8
	visible = 8
	seen    = 0.0005
	plainly = 0.005
)

// differs returns the share of blocks that differ visibly; all do where the sizes do.
func (r raster) differs(o raster) float64 {
	if r.width != o.width || r.height != o.height {
		return 1
	}
	n, all := 0, 0
	for y := 0; y < r.height; y += block {
		for x := 0; x < r.width; x += block {
			d := r.mean(x, y) - o.mean(x, y)
			if d > visible || d < -visible {
				n++
			}
			all++
		}
	}
	return float64(n) / float64(all)
}

// mean is the level of the block that begins at a place.
func (r raster) mean(x, y int) float64 {
	sum, n := 0, 0
	for row := y; row < min(y+block, r.height); row++ {
		for _, p := range r.pixels[row*r.width+x : row*r.width+min(x+block, r.width)] {
			sum += int(p)
			n++
		}
	}
	return float64(sum) / float64(n)
}

// blank reports whether all pixels are the same.
func (r raster) blank() bool {
	for _, p := range r.pixels {
		if p != r.pixels[0] {
			return false
		}
	}
	return true
}
