package watermark_test

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/filigreehq/filigree/services/watermark"
)

// For somebody's own eyes: the first page of each file of the corpus beside its copy's, and the last one's where there
// are several, nine pairs a sheet, as PNGs in the folder that FILIGREE_LOOK names. mutool draws every second pair.
func TestLook(t *testing.T) {
	dir := os.Getenv("FILIGREE_LOOK")
	if dir == "" {
		t.Skip("FILIGREE_LOOK names no folder for pictures")
	}
	files := corpus(t)
	needTools(t)
	local := newLocal(t)
	c := court{ctx: t.Context(), dir: t.TempDir()}
	var s sheet
	for i, path := range files {
		out := filepath.Join(c.dir, "copy.pdf")
		made, err := stampFile(t.Context(), local, path, out, watermark.Copy{Fields: somebody})
		if err != nil {
			t.Logf("%s: %v", filepath.Base(path), err)
			continue
		}
		numbers := []int{1}
		if made.Pages > 1 {
			numbers = append(numbers, made.Pages)
		}
		for j, n := range numbers {
			name := fmt.Sprintf("%.44s, %d of %d", filepath.Base(path), n, made.Pages)
			s.add(name, c.picture(path, n, (i+j)%2), c.picture(out, n, (i+j)%2))
			if s.pairs == 9 {
				s.write(t, dir)
			}
		}
	}
	if s.pairs > 0 {
		s.write(t, dir)
	}
}

// picture draws a page, or nothing where that cannot be done.
func (c court) picture(path string, page, by int) image.Image {
	to := filepath.Join(c.dir, "picture")
	n := strconv.Itoa(page)
	if by == 0 {
		_ = c.ask("pdftoppm", "-png", "-cropbox", "-singlefile", "-f", n, "-l", n, "-scale-to", "440", path, to) // there is no picture then
	} else {
		_ = c.ask("mutool", "draw", "-q", "-w", "440", "-h", "440", "-o", to+".png", path, n) // there is no picture then
	}
	f, err := os.Open(to + ".png")
	if err != nil {
		return image.NewUniform(color.Gray{80})
	}
	defer f.Close()
	defer os.Remove(to + ".png")
	img, err := png.Decode(f)
	if err != nil {
		return image.NewUniform(color.Gray{80})
	}
	return img
}

// sheet is a picture of up to nine pairs of pages.
type sheet struct {
	img    *image.RGBA
	pairs  int
	number int
}

func (s *sheet) add(name string, before, after image.Image) {
	const side, head = 300, 18
	if s.img == nil {
		s.img = image.NewRGBA(image.Rect(0, 0, 3*(2*side+20), 3*(side+head+10)))
		draw.Draw(s.img, s.img.Rect, image.NewUniform(color.RGBA{120, 130, 150, 255}), image.Point{}, draw.Src)
	}
	x, y := s.pairs%3*(2*side+20), s.pairs/3*(side+head+10)
	pen := font.Drawer{Dst: s.img, Src: image.White, Face: basicfont.Face7x13, Dot: fixed.P(x+6, y+13)}
	pen.DrawString(name)
	for i, img := range []image.Image{before, after} {
		shrink(s.img, image.Rect(0, 0, side, side).Add(image.Pt(x+6+i*(side+4), y+head)), img)
	}
	s.pairs++
}

// shrink draws img into r, keeping its shape, each pixel the mean of those it stands for.
func shrink(dst *image.RGBA, r image.Rectangle, img image.Image) {
	size := img.Bounds().Size()
	if size.X > 10_000 { // no picture
		size = image.Pt(1, 1)
	}
	scale := float64(r.Dx()) / float64(max(size.X, size.Y))
	for y := range int(float64(size.Y) * scale) {
		for x := range int(float64(size.X) * scale) {
			var sum [3]uint32
			var n uint32
			for v := int(float64(y) / scale); v < min(size.Y, max(int(float64(y)/scale)+1, int(float64(y+1)/scale))); v++ {
				for u := int(float64(x) / scale); u < min(size.X, max(int(float64(x)/scale)+1, int(float64(x+1)/scale))); u++ {
					r, g, b, _ := img.At(img.Bounds().Min.X+u, img.Bounds().Min.Y+v).RGBA()
					sum[0], sum[1], sum[2], n = sum[0]+r>>8, sum[1]+g>>8, sum[2]+b>>8, n+1
				}
			}
			if n > 0 {
				dst.SetRGBA(r.Min.X+x, r.Min.Y+y, color.RGBA{uint8(sum[0] / n), uint8(sum[1] / n), uint8(sum[2] / n), 255})
			}
		}
	}
}

func (s *sheet) write(t *testing.T, dir string) {
	t.Helper()
	s.number++
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("sheet-%02d.png", s.number)))
	if err != nil {
		t.Fatal(err)
	}
	err = png.Encode(f, s.img)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.img, s.pairs = nil, 0
}
