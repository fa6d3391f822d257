package png

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

const (
	// maxProfile is the largest colour profile that is kept, in bytes, compressed.
	maxProfile = 1 << 20
	// maxChunk is more than any other chunk that is read has.
	maxChunk = 64 << 10
)

// Colour types (ISO/IEC 15948, 11.2.2).
const (
	grey      = 0
	rgb       = 2
	palette   = 3
	greyAlpha = 4
	rgbAlpha  = 6
)

// samples is how many numbers a pixel has.
func samples(color int) int {
	switch color {
	case rgb:
		return 3
	case greyAlpha:
		return 2
	case rgbAlpha:
		return 4
	}
	return 1
}

// reader reads a source.
type reader struct {
	chunks chunks
	limits source.Limits

	width, height int
	depth, color  int
	interlaced    bool
	palette       []byte // three bytes a colour
	transparent   []byte // of tRNS
	kept          []byte // chunks that copies have, too
	profile       bool
	orientation   source.Orientation
	personal      bool
	animated      bool
	profileCut    bool
}

func newReader(r io.Reader, limits source.Limits) *reader {
	return &reader{chunks: chunks{r: bufio.NewReaderSize(r, 64<<10)}, limits: limits, orientation: 1}
}

// head reads up to the first pixels.
func (d *reader) head() error {
	var start [len(signature)]byte
	_, err := io.ReadFull(d.chunks.r, start[:])
	if err != nil || string(start[:]) != signature {
		return source.Broken("it does not begin as a PNG")
	}
	err = d.chunks.next()
	if err != nil {
		return err
	}
	if d.chunks.kind != "IHDR" {
		return source.Broken("it does not begin with its header")
	}
	data, err := d.chunks.data(maxChunk)
	if err != nil {
		return err
	}
	err = d.header(data)
	for err == nil {
		err = d.chunks.next()
		if err != nil {
			return err
		}
		if d.chunks.kind == "IDAT" {
			if d.color == palette && d.palette == nil {
				return source.Broken("its palette is missing")
			}
			return nil
		}
		err = d.take()
	}
	return err
}

func (d *reader) header(data []byte) error {
	if len(data) != 13 {
		return source.Broken("its header has a wrong length")
	}
	w, h := binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:])
	if w > 1<<31-1 || h > 1<<31-1 {
		return source.Broken("its size is not possible")
	}
	err := d.limits.Check(int(w), int(h))
	if err != nil {
		return err
	}
	d.width, d.height, d.depth, d.color, d.interlaced = int(w), int(h), int(data[8]), int(data[9]), data[12] == 1
	possible := map[int][]int{grey: {1, 2, 4, 8, 16}, rgb: {8, 16}, palette: {1, 2, 4, 8}, greyAlpha: {8, 16}, rgbAlpha: {8, 16}}
	for _, depth := range possible[d.color] {
		if depth == d.depth && data[10] == 0 && data[11] == 0 && data[12] <= 1 {
			return nil
		}
	}
	return source.Broken("its header has a combination that is not possible")
}

// take reads a chunk before the pixels.
func (d *reader) take() error {
	kind := d.chunks.kind
	limit := uint32(maxChunk)
	if kind == "iCCP" {
		limit = maxProfile
	}
	switch kind {
	case "PLTE", "tRNS", "gAMA", "cHRM", "sRGB", "iCCP", "cICP", "pHYs", "eXIf":
	case "tEXt", "iTXt", "zTXt", "tIME":
		d.personal = true
		return nil
	case "acTL":
		d.animated = true
		return nil
	case "IHDR", "IEND":
		return source.Broken("it has no pixels")
	default:
		if kind[0] >= 'A' && kind[0] <= 'Z' {
			return source.Unsupported("the PNG has something in it that is essential and unknown: save it anew")
		}
		return nil
	}
	data, err := d.chunks.data(limit)
	if err != nil {
		return err
	}
	if data == nil && kind == "iCCP" {
		d.profileCut = true
	}
	if data == nil {
		return nil // too long to be of use
	}
	return d.keep(kind, data)
}

func (d *reader) keep(kind string, data []byte) error {
	switch kind {
	case "PLTE":
		if len(data) == 0 || len(data)%3 != 0 || len(data) > 3*256 || d.palette != nil {
			return source.Broken("its palette is not possible")
		}
		d.palette = data
	case "tRNS":
		if d.color == grey && len(data) != 2 || d.color == rgb && len(data) != 6 || len(data) > 256 {
			return source.Broken("its transparent colour is not possible")
		}
		d.transparent = data
	case "eXIf":
		d.personal = true
		d.orientation = source.ReadOrientation(data)
		if !d.orientation.Plain() {
			d.kept = appendChunk(d.kept, kind, d.orientation.EXIF())
		}
	default:
		if bytes.Contains(d.kept, []byte(kind)) {
			return nil // each is allowed once
		}
		if kind == "iCCP" {
			d.profile = true
		}
		d.kept = appendChunk(d.kept, kind, data)
	}
	return nil
}

// report says what is known.
func (d *reader) report() source.Report {
	r := source.Report{MediaType: MediaType, Width: d.width, Height: d.height, Orientation: d.orientation}
	if d.orientation.Turned() {
		r.Width, r.Height = r.Height, r.Width
	}
	if d.personal {
		r.Notes = append(r.Notes, "what the picture says of its place, time and camera is not in copies")
	}
	if d.animated {
		r.Notes = append(r.Notes, "the picture moves, and copies show its first view only")
	}
	if d.profileCut {
		r.Notes = append(r.Notes, "the picture's colour profile is too large and is not in copies, whose colours may look different")
	}
	return r
}

// rows calls row with each row in the layout of to, from the first to the last. The row is used again.
func (d *reader) rows(to *layout, row func(pixels []byte) error) error {
	z, err := zlib.NewReader(pixels{&d.chunks})
	if err != nil {
		return unpacked(err)
	}
	if d.interlaced {
		return d.interlacedRows(z, to, row)
	}
	out := make([]byte, d.width*to.size())
	return d.pass(z, d.width, d.height, func(_ int, native []byte) error {
		to.convert(out, native, d.width)
		return row(out)
	})
}

// pass reads rows of a picture, or of a part of an interlaced one.
func (d *reader) pass(r io.Reader, width, height int, row func(y int, native []byte) error) error {
	bits := d.depth * samples(d.color)
	step := max(1, bits/8)
	n := (width*bits + 7) / 8
	now, last := make([]byte, 1+n), make([]byte, 1+n)
	for y := range height {
		_, err := io.ReadFull(r, now)
		if err != nil {
			return unpacked(err)
		}
		if now[0] > 4 {
			return source.Broken("a row of it is written in a way that is not known")
		}
		unfilter(now[0], now[1:], last[1:], step)
		err = row(y, now[1:])
		if err != nil {
			return err
		}
		now, last = last, now
	}
	return nil
}

// adam7 are the passes of an interlaced picture: the first pixel of each, and the distances.
var adam7 = [...]struct{ x, y, dx, dy int }{
	{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2},
}

func (d *reader) interlacedRows(r io.Reader, to *layout, row func([]byte) error) error {
	size := to.size()
	stride := d.width * size
	err := d.limits.CheckMemory(int64(stride)*int64(d.height), "save it without interlacing")
	if err != nil {
		return err
	}
	all, part := make([]byte, stride*d.height), make([]byte, stride)
	for _, p := range adam7 {
		w, h := (d.width-p.x+p.dx-1)/p.dx, (d.height-p.y+p.dy-1)/p.dy
		if w < 1 || h < 1 {
			continue
		}
		err = d.pass(r, w, h, func(y int, native []byte) error {
			to.convert(part, native, w)
			line := all[(p.y+y*p.dy)*stride:][:stride]
			for x := range w {
				copy(line[(p.x+x*p.dx)*size:], part[x*size:(x+1)*size])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for y := range d.height {
		err = row(all[y*stride : (y+1)*stride])
		if err != nil {
			return err
		}
	}
	return nil
}

// unpacked says what an error of the decompressor means.
func unpacked(err error) error {
	var refused *source.Error
	if errors.As(err, &refused) {
		return refused
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return source.Broken("it ends too early")
	}
	return source.Broken("its pixels cannot be unpacked")
}
