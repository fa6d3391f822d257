package stamp

import (
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

const (
	objectHead = " 0 obj\n<<"
	lengthKey  = "/Length "
	streamHead = ">>\nstream\n"
	streamTail = "\nendstream\nendobj\n"
	objectTail = "\nendobj\n"
)

// header begins the file. Revision 6 of encryption came with version 2.0.
func (c *Copy) header() string {
	version := c.t.PDF
	if c.keys != nil {
		version = "2.0"
	}
	return "%PDF-" + version + "\n%\xe2\xe3\xcf\xd3\n"
}

// arrange computes where everything will be.
func (c *Copy) arrange() {
	n := len(c.t.Streams)
	c.offsets = make([]int64, 0, n+len(c.forms)+4)
	at := int64(len(c.header()))
	object := func(size int64) {
		c.offsets = append(c.offsets, at)
		at += size
	}
	for i := range n {
		s := &c.t.Streams[i]
		object(c.streamSize(c.t.Packed+1+i, len(s.Dict), c.dataSize(s)))
	}
	for i := range c.forms {
		object(c.streamSize(c.own.Form(i), len(c.forms[i].dict), int64(c.forms[i].size)))
	}
	object(c.streamSize(c.own.Packed(), len(c.packDict()), int64(len(c.pack))))
	if c.keys != nil {
		object(int64(digits(int64(c.own.Encrypt())) + len(" 0 obj\n") + len(c.keys.dict) + len(objectTail)))
	}
	c.offsets = append(c.offsets, at)
	c.size = at + int64(c.tableSize())
}

// dataSize is the length of a stream's data before it is encrypted.
func (c *Copy) dataSize(s *template.Stream) int64 {
	if !s.Woven() {
		return int64(len(s.Pieces[0].Bytes))
	}
	size := int64(len(zlibHeader) + 4)
	for i := range s.Pieces {
		size += int64(c.pieceSize(&s.Pieces[i]))
	}
	return size
}

func (c *Copy) pieceSize(p *template.Piece) int {
	switch {
	case p.Kind <= template.Deflated:
		return len(p.Bytes)
	case c.blank && p.Kind == template.Top:
		return blockHead
	case c.blank:
		return 0
	}
	v := c.view(p.Page)
	switch p.Kind {
	case template.Strokes:
		return blockHead + v.strip.length
	case template.Picture:
		return blockHead + v.picture.length
	}
	return len(v.top)
}

// streamSize is the length of a stream object.
func (c *Copy) streamSize(number, dict int, data int64) int64 {
	data = c.stored(data)
	return int64(digits(int64(number))+len(objectHead)+dict+len(lengthKey)+digits(data)+len(streamHead)+len(streamTail)) + data
}

// stored is the length of n bytes of data as they stand in the file.
func (c *Copy) stored(n int64) int64 {
	if c.keys == nil {
		return n
	}
	return sealedLen(n)
}

func digits(n int64) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}

func (c *Copy) packDict() []byte {
	d := append([]byte(nil), "/Type/ObjStm/N "...)
	d = strconv.AppendInt(d, int64(len(c.packs)), 10)
	d = append(d, "/First "...)
	return strconv.AppendInt(d, int64(c.packFirst), 10)
}

// entries is how many cross-reference entries follow those of the template: its streams, and the copy's own objects.
func (c *Copy) entries() int { return c.own.Table() - c.t.Packed }

// tableSize is the length of what table writes.
func (c *Copy) tableSize() int {
	data := len(zlibHeader) + len(c.t.Entries.Bytes) + storedLen(template.EntrySize*c.entries()) + 4
	at := c.offsets[len(c.offsets)-1]
	return digits(int64(c.own.Table())) + len(objectHead) + len(c.tableDict(nil)) + len(lengthKey) + digits(int64(data)) + len(streamHead) + data +
		len(streamTail) + len("startxref\n") + digits(at) + len("\n%%EOF\n")
}

// tableDict writes the dictionary of the cross-reference stream, which is the trailer too, without its length.
func (c *Copy) tableDict(dst []byte) []byte {
	dst = append(dst, "/Type/XRef/W[1 5 2]/Filter/FlateDecode/Size "...)
	dst = strconv.AppendInt(dst, int64(c.own.Table()+1), 10)
	dst = append(dst, "/Root "...)
	dst = strconv.AppendInt(dst, int64(c.t.Root), 10)
	dst = append(dst, " 0 R/Info "...)
	dst = strconv.AppendInt(dst, int64(c.own.Info()), 10)
	dst = append(dst, " 0 R/ID["...)
	for range 2 {
		dst = append(dst, '<')
		dst = hex.AppendEncode(dst, c.id[:])
		dst = append(dst, '>')
	}
	dst = append(dst, ']')
	if c.keys != nil {
		dst = append(dst, "/Encrypt "...)
		dst = strconv.AppendInt(dst, int64(c.own.Encrypt()), 10)
		dst = append(dst, " 0 R"...)
	}
	return dst
}

// table writes the end of the file: the cross-reference stream, which is never encrypted, and its offset.
func (p *press) table() {
	c := p.c
	t := c.t
	at := c.offsets[len(c.offsets)-1]
	rest := slices.Grow(p.scratch[:0], template.EntrySize*c.entries())
	next := 0
	inFile := func() {
		rest = appendEntry(rest, 1, c.offsets[next], 0)
		next++
	}
	free := func() { rest = appendEntry(rest, 0, 0, 0xffff) }
	for range t.Streams {
		inFile()
	}
	for i := range template.Forms {
		if i < len(c.forms) {
			inFile()
		} else {
			free()
		}
	}
	packed := 0
	for number := c.own.State(0, 0); number <= c.own.Info(); number++ {
		if packed < len(c.packs) && c.packs[packed] == number {
			rest = appendEntry(rest, 2, int64(c.own.Packed()), packed)
			packed++
		} else {
			free()
		}
	}
	inFile() // the object stream
	if c.keys != nil {
		inFile()
	} else {
		free()
	}
	inFile() // the table itself
	p.scratch = rest

	p.number(int64(c.own.Table()))
	p.text(objectHead)
	p.reserve(512)
	p.buf = c.tableDict(p.buf)
	p.text(lengthKey)
	p.number(int64(len(zlibHeader) + len(t.Entries.Bytes) + storedLen(len(rest)) + 4))
	p.text(streamHead)
	p.text(zlibHeader)
	p.add(t.Entries.Bytes)
	p.stored(rest, true)
	p.reserve(4)
	p.buf = appendSum(p.buf, adler{t.Entries.Adler, t.Entries.Length}.then(adlerOf(rest)))
	p.text(streamTail)
	p.text("startxref\n")
	p.number(at)
	p.text("\n%%EOF\n")
}

func appendEntry(dst []byte, kind byte, field int64, last int) []byte {
	return append(dst, kind, byte(field>>32), byte(field>>24), byte(field>>16), byte(field>>8), byte(field), byte(last>>8), byte(last))
}

// WriteTo writes the copy.
func (c *Copy) WriteTo(w io.Writer) (int64, error) {
	out := newPress(c, w)
	defer out.release()
	out.all(0, c.size)
	return out.written, out.err
}

// Range writes n bytes of the copy from an offset on; fewer where it ends. Only streams that the range touches are made.
func (c *Copy) Range(w io.Writer, offset, n int64) error {
	if offset < 0 || n < 0 {
		return errors.New("stamp: a range begins or ends before the copy")
	}
	window := &window{w: w, skip: offset, left: n}
	out := newPress(c, window)
	defer out.release()
	out.all(offset, min(n, c.size)+offset)
	if errors.Is(out.err, errWindow) {
		return nil
	}
	return out.err
}

// window lets through a part of what is written to it.
type window struct {
	w          io.Writer
	skip, left int64
}

var errWindow = errors.New("all was written that was asked for")

func (w *window) Write(p []byte) (int, error) {
	n := len(p)
	cut := min(w.skip, int64(len(p)))
	w.skip -= cut
	p = p[cut:]
	if int64(len(p)) > w.left {
		p = p[:w.left]
	}
	if len(p) > 0 {
		_, err := w.w.Write(p)
		if err != nil {
			return 0, err
		}
		w.left -= int64(len(p))
	}
	if w.left == 0 {
		return 0, errWindow
	}
	return n, nil
}
