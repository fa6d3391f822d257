package picture_test

import (
	"image"
	"image/color"
	"image/draw"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
)

// A mark is drawn stronger where it would be lost, and only there.
func TestLevel(t *testing.T) {
	t.Parallel()
	noise := func(strength int) *image.RGBA {
		m := image.NewRGBA(image.Rect(0, 0, 900, 700))
		for y := range 700 {
			for x := range 900 {
				v := uint8(128 + (((x*7919+y*104729+x*y*31)>>3)&255-128)*strength/100)
				m.SetRGBA(x, y, color.RGBA{v, v, v, 255})
			}
		}
		return m
	}
	flat := image.NewGray(image.Rect(0, 0, 900, 700))
	island := noise(100) // with a calm middle, where the mark is
	draw.Draw(island, image.Rect(100, 100, 800, 600), image.White, image.Point{}, draw.Src)
	for name, c := range map[string]struct {
		m    image.Image
		want int
	}{
		"black": {flat, 0}, "photo": {photo(900, 700), 0}, "page": {page(900, 1200), 0}, "calm middle": {island, 0},
		"grain": {noise(10), 0}, "foliage": {noise(40), 1}, "noise": {noise(100), 2},
	} {
		for kind, src := range map[string][]byte{"png": encodePNG(t, c.m), "jpeg": encodeJPEG(t, c.m, 90)} {
			tpl, _ := compile(t, src)
			got, err := tpl.Level(compose(t, mark.Spec{}))
			if err != nil || got != c.want {
				t.Errorf("%s as %s: got level %d, %v, want %d", name, kind, got, err, c.want)
			}
		}
	}
}
