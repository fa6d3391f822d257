package preflight

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// picture is a page as rendered, in shades of grey, the uppermost row first.
type picture struct {
	pix           []byte
	width, height int

	row []byte // of the picture read last, as it came
}

var errPicture = errors.New("the renderer wrote something else than a picture")

// read reads the next picture of r, which is in colour as pdftoppm writes it, and turns it to grey. No side may be longer
// than side. io.EOF says that there is none any more; one that ends before its time is io.ErrUnexpectedEOF.
func (p *picture) read(r *bufio.Reader, side int) error {
	_, err := r.Peek(1)
	if err != nil {
		return err
	}
	// fmt.Fscan would swallow pixels that look like white space.
	magic, err1 := word(r)
	width, err2 := number(r)
	height, err3 := number(r)
	most, err4 := number(r)
	err = errors.Join(err1, err2, err3, err4)
	if err != nil {
		return err
	}
	if magic != "P6" || most != 255 || width < 1 || height < 1 || width > side || height > side {
		return fmt.Errorf("%w: %q, %d by %d up to %d", errPicture, magic, width, height, most)
	}
	p.width, p.height = width, height
	p.pix = grown(p.pix, width*height)
	p.row = grown(p.row, width*3)
	for y := range height {
		_, err = io.ReadFull(r, p.row)
		if err != nil {
			return cut(err)
		}
		toGrey(p.pix[y*width:][:width], p.row)
	}
	return nil
}

// toGrey makes of red, green and blue what JPEG calls their luma, in 256ths.
func toGrey(grey, rgb []byte) {
	for i := range grey {
		c := rgb[i*3 : i*3+3 : i*3+3]
		grey[i] = byte((77*uint(c[0]) + 150*uint(c[1]) + 29*uint(c[2]) + 128) >> 8)
	}
}

func grown(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// word reads up to the next white space, and that.
func word(r *bufio.Reader) (string, error) {
	var s []byte
	for range 12 {
		c, err := r.ReadByte()
		if err != nil {
			return "", cut(err)
		}
		if c == ' ' || c == '\n' {
			return string(s), nil
		}
		s = append(s, c)
	}
	return "", fmt.Errorf("%w: %q", errPicture, s)
}

func number(r *bufio.Reader) (int, error) {
	s, err := word(r)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' || n > 1<<20 {
			return 0, fmt.Errorf("%w: %q is no number", errPicture, s)
		}
		n = n*10 + int(c-'0')
	}
	return n, nil
}

// cut is the end of a picture that has begun.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
