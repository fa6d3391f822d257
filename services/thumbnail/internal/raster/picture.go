package raster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg" // what image.Decode reads
	_ "image/png"
	"io"
	"os"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/sandbox"
)

// child is the function that reads pictures, in a process of its own.
const child = "thumbnail.picture"

func init() {
	sandbox.Register(child, func(files []*os.File, args []byte) ([]byte, error) { return shrink(files[0], args) })
}

// largestPicture is how many pixels one may have that is shrunk: those that copies are made of.
const largestPicture = 50_000_000

// Picture makes the base of a source that is a picture itself. Errors are like Page's.
func (r *Renderer) Picture(ctx context.Context, src *os.File, size Size) (*Base, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	limits := r.cfg.Sandbox
	limits.Output = int64(size.Width)*int64(size.Height)*3 + 64<<10
	args := binary.BigEndian.AppendUint32(nil, uint32(size.Width))
	args = binary.BigEndian.AppendUint32(args, uint32(size.Height))
	rgb, err := sandbox.Run(ctx, child, sandbox.Request{Args: args, Files: []*os.File{src}, Limits: limits})
	var failed *sandbox.Error
	switch {
	case errors.As(err, &failed) && failed.Kind == sandbox.Failed:
		return nil, fault.New(fault.Invalid, "IMAGE_UNRENDERABLE", "no smaller picture could be made of this one; copies of it are not concerned").Because(err)
	case err != nil:
		return nil, childFault(err)
	case len(rgb) != size.Width*size.Height*3:
		return nil, fmt.Errorf("a child made %d bytes of a picture of %d by %d", len(rgb), size.Width, size.Height)
	}
	return newBase(rgb, size, &r.scratch), nil
}

// shrink reads a picture and returns it as it is looked at, in the size that args say, in red, green and blue. What can be
// seen through is on white.
func shrink(src io.ReaderAt, args []byte) ([]byte, error) {
	if len(args) != 8 {
		return nil, errors.New("no size")
	}
	size := Size{int(binary.BigEndian.Uint32(args)), int(binary.BigEndian.Uint32(args[4:]))}
	whole := func() *bufio.Reader { return bufio.NewReader(io.NewSectionReader(src, 0, 1<<40)) }
	cfg, _, err := image.DecodeConfig(whole())
	if err != nil {
		return nil, err
	}
	if int64(cfg.Width)*int64(cfg.Height) > largestPicture {
		return nil, fmt.Errorf("%d by %d pixels are too many", cfg.Width, cfg.Height)
	}
	turned := readOrientation(whole())
	img, _, err := image.Decode(whole())
	if err != nil {
		return nil, err
	}
	stored := size
	if turned >= 5 {
		stored.Width, stored.Height = size.Height, size.Width
	}
	return turned.look(scale(img, stored), stored), nil
}

// scale returns img in another size: each pixel is the mean of those it covers.
func scale(img image.Image, size Size) []byte {
	b := img.Bounds()
	out := make([]byte, 0, size.Width*size.Height*3)
	for y := range size.Height {
		top, bottom := part(y, size.Height, b.Dy())
		strip := image.NewRGBA(image.Rect(0, 0, b.Dx(), bottom-top))
		draw.Draw(strip, strip.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
		draw.Draw(strip, strip.Rect, img, image.Pt(b.Min.X, b.Min.Y+top), draw.Over)
		for x := range size.Width {
			left, right := part(x, size.Width, b.Dx())
			var sum [3]int
			for v := range bottom - top {
				row := strip.Pix[v*strip.Stride+4*left : v*strip.Stride+4*right]
				for ; len(row) >= 4; row = row[4:] {
					sum[0], sum[1], sum[2] = sum[0]+int(row[0]), sum[1]+int(row[1]), sum[2]+int(row[2])
				}
			}
			n := (bottom - top) * (right - left)
			for _, v := range sum {
				out = append(out, byte((v+n/2)/n))
			}
		}
	}
	return out
}

// part is which of n pixels the i-th of m covers: at least one.
func part(i, m, n int) (from, to int) {
	from = i * n / m
	return from, max(from+1, (i+1)*n/m)
}

// orientation is how stored pixels are turned to be looked at, as EXIF numbers it: 1 is as they are.
type orientation int

// look turns pixels in red, green and blue, stored in size, to what is looked at.
func (o orientation) look(rgb []byte, size Size) []byte {
	if o < 2 || o > 8 {
		return rgb
	}
	w, h := size.Width, size.Height
	if o >= 5 {
		w, h = h, w
	}
	out := make([]byte, 0, len(rgb))
	for y := range h {
		for x := range w {
			sx, sy := x, y
			switch o {
			case 2:
				sx = w - 1 - x
			case 3:
				sx, sy = w-1-x, h-1-y
			case 4:
				sy = h - 1 - y
			case 5:
				sx, sy = y, x
			case 6:
				sx, sy = y, w-1-x
			case 7:
				sx, sy = h-1-y, w-1-x
			case 8:
				sx, sy = h-1-y, x
			}
			at := 3 * (sy*size.Width + sx)
			out = append(out, rgb[at:at+3]...)
		}
	}
	return out
}

// longestEXIF is more than EXIF data has before its first directory's end.
const longestEXIF = 1 << 16

// readOrientation finds what a JPEG or PNG says of it. What cannot be read is as it is stored.
func readOrientation(r *bufio.Reader) orientation {
	head, err := r.Peek(8)
	if err != nil {
		return 1
	}
	if bytes.HasPrefix(head, []byte("\x89PNG")) {
		_, _ = r.Discard(8) // was seen
		return exifOrientation(chunk(r))
	}
	_, _ = r.Discard(2) // was seen
	return exifOrientation(segment(r))
}

// chunk is the EXIF data of a PNG.
func chunk(r *bufio.Reader) []byte {
	for {
		var head [8]byte
		_, err := io.ReadFull(r, head[:])
		if err != nil {
			return nil
		}
		length := int(binary.BigEndian.Uint32(head[:]) & (1<<31 - 1))
		if string(head[4:]) == "eXIf" && length < longestEXIF {
			return read(r, length)
		}
		_, err = io.CopyN(io.Discard, r, int64(length)+4) // and its checksum
		if err != nil {
			return nil
		}
	}
}

// segment is the EXIF data of a JPEG.
func segment(r *bufio.Reader) []byte {
	const app1, startOfScan = 0xe1, 0xda
	for {
		var head [4]byte
		_, err := io.ReadFull(r, head[:])
		if err != nil || head[0] != 0xff || head[1] == startOfScan {
			return nil
		}
		body := read(r, max(0, int(binary.BigEndian.Uint16(head[2:]))-2))
		exif, ok := bytes.CutPrefix(body, []byte("Exif\x00\x00"))
		if head[1] == app1 && ok {
			return exif
		}
	}
}

func read(r io.Reader, n int) []byte {
	data := make([]byte, n)
	_, err := io.ReadFull(r, data)
	if err != nil {
		return nil
	}
	return data
}

// exifOrientation reads EXIF data (CIPA DC-008), which is a TIFF file.
func exifOrientation(exif []byte) orientation {
	const tag, entry = 0x0112, 12
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(exif, []byte("MM\x00*")):
		order = binary.BigEndian
	case !bytes.HasPrefix(exif, []byte("II*\x00")):
		return 1
	}
	if len(exif) < 8 {
		return 1
	}
	at := int(order.Uint32(exif[4:]) & (1<<30 - 1))
	if at+2 > len(exif) {
		return 1
	}
	n := int(order.Uint16(exif[at:]))
	for at += 2; n > 0 && at+entry <= len(exif); n, at = n-1, at+entry {
		if order.Uint16(exif[at:]) == tag {
			return orientation(order.Uint16(exif[at+8:]))
		}
	}
	return 1
}
