package preflight

import (
	"bufio"
	"image"
	"io"

	"github.com/filigreehq/filigree/pkg/mark"
)

// ScorePictures scores pictures of shades of grey.
func ScorePictures(plain, marked []byte, ink *image.Alpha) Score {
	w, h := ink.Rect.Dx(), ink.Rect.Dy()
	return score(&picture{pix: plain, width: w, height: h}, &picture{pix: marked, width: w, height: h}, ink)
}

// Judge judges a score.
func Judge(s Score, p mark.Page, pixels int) Outcome { return judge(s, p, pixels) }

// ReadPictures reads all pictures of r, no side longer than side, and returns their widths, heights and first pixels.
func ReadPictures(r io.Reader, side int) (seen [][3]int, err error) {
	b := bufio.NewReader(r)
	var p picture
	for {
		err = p.read(b, side)
		if err != nil {
			return seen, err
		}
		seen = append(seen, [3]int{p.width, p.height, int(p.pix[0])})
	}
}

// ErrPicture is what is said of bytes that are no picture.
var ErrPicture = errPicture

// Batches returns the first and the last page of each batch, and its longer side.
func Batches(pages []Expect) [][3]int {
	var out [][3]int
	for _, b := range batches(pages) {
		out = append(out, [3]int{b.first, b.last, b.side})
	}
	return out
}
