package png

import (
	"encoding/binary"
	"hash/adler32"
	"io"

	"github.com/klauspost/compress/flate"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/pack"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

const (
	// bandSize is about how much a band has before it is compressed, in bytes: some times the window of the compressor, so
	// that beginning it anew costs little, and few enough that a mark leaves bands untouched.
	bandSize = 256 << 10
	// plain is how many times smaller a band must become for rows without filters to be tried, too: text and drawings
	// often have more repetitions than filters leave of them.
	plain = 4
	// level is that of compression, and quickLevel that of pictures of more than large bytes, of which there is a copy in
	// seconds all the same.
	level      = 6
	quickLevel = 3
	large      = 160 << 20
)

// Inspect reads a picture up to its pixels. Errors are *source.Error, or the reader's.
func Inspect(r io.Reader, limits source.Limits) (source.Report, error) {
	d := newReader(r, limits)
	err := d.head()
	if err != nil {
		return source.Report{}, err
	}
	return d.report(), nil
}

// Compile reads a picture and writes its template, see Magic. Errors are *source.Error, or those of r and dst.
func Compile(r io.Reader, dst io.Writer, limits source.Limits) (source.Report, error) {
	d := newReader(r, limits)
	err := d.head()
	if err != nil {
		return source.Report{}, err
	}
	to := d.layout()
	h := &header{
		width: d.width, height: d.height, orientation: d.orientation, color: to.color, depth: to.depth, kept: d.kept, notes: d.report().Notes,
	}
	h.band = max(1, min(d.height, bandSize/h.row()))
	out := pack.NewWriter(dst)
	head := h.append(nil)
	_, err = out.Write(head)
	if err != nil {
		return source.Report{}, err
	}
	b, err := newBander(h, out, to.flat)
	if err != nil {
		return source.Report{}, err
	}
	err = d.rows(to, b.add)
	if err == nil {
		err = b.flush()
	}
	if err != nil {
		return source.Report{}, err
	}
	b.meter.close()
	texture := b.meter.to.Texture()
	return d.report(), out.Finish(len(head), append(b.index, texture[:]...), len(b.index)/entrySize)
}

// bander makes bands of rows.
type bander struct {
	h      *header
	out    io.Writer
	flat   bool
	choose chooser
	above  []byte
	plain  []byte // rows without filters
	rows   []byte // the same, filtered
	packer *packer
	other  *packer
	index  []byte
	meter  *meter
}

func newBander(h *header, out io.Writer, flat bool) (*bander, error) {
	b := &bander{h: h, out: out, flat: flat, above: make([]byte, h.row()-1), meter: newMeter(h)}
	var err error
	b.packer, err = newPacker(h.level())
	if err == nil {
		b.other, err = newPacker(h.level())
	}
	return b, err
}

func (b *bander) add(row []byte) error {
	b.meter.add(row)
	b.plain = append(b.plain, filterNone)
	b.plain = append(b.plain, row...)
	if !b.flat {
		at := len(b.rows)
		b.rows = append(b.rows, filterNone)
		b.rows = append(b.rows, row...)
		b.rows[at] = b.choose.choose(b.rows[at+1:], row, b.above, b.h.step(), at == 0)
		copy(b.above, row)
	}
	if len(b.plain) < b.h.band*b.h.row() {
		return nil
	}
	return b.flush()
}

// flush writes the band that is under way.
func (b *bander) flush() error {
	if len(b.plain) == 0 {
		return nil
	}
	rows := b.rows
	if b.flat {
		rows = b.plain
	}
	chunk, err := b.packer.chunk(rows)
	if err == nil && !b.flat && b.h.level() == level && plain*len(chunk) < len(rows) {
		var other []byte
		other, err = b.other.chunk(b.plain)
		if len(other) < len(chunk) {
			chunk, rows = other, b.plain
		}
	}
	if err != nil {
		return err
	}
	b.index = binary.LittleEndian.AppendUint32(b.index, uint32(len(chunk)))
	b.index = binary.LittleEndian.AppendUint32(b.index, adler32.Checksum(rows))
	b.rows, b.plain = b.rows[:0], b.plain[:0]
	_, err = b.out.Write(chunk)
	return err
}

// packer compresses bands.
type packer struct {
	w   *flate.Writer
	out sliceWriter
}

type sliceWriter []byte

func (s *sliceWriter) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}

func newPacker(level int) (*packer, error) {
	p := &packer{}
	var err error
	p.w, err = flate.NewWriter(&p.out, level)
	return p, err
}

// chunk returns rows as an IDAT chunk. It is used again.
func (p *packer) chunk(rows []byte) ([]byte, error) {
	p.out = append(p.out[:0], "\x00\x00\x00\x00IDAT"...)
	p.w.Reset(&p.out)
	_, err := p.w.Write(rows)
	if err == nil {
		err = p.w.Flush()
	}
	p.out = closeChunk(p.out, 0)
	return p.out, err
}
