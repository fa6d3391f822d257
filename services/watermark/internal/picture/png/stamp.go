package png

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/adler32"
	"io"
	"sync"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/ink"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/pack"
)

// copier writes one copy.
type copier struct {
	t      *Template
	strip  *ink.Strip
	inked  []bool // rows of a band
	rows   []byte // of a band, filtered
	plain  []byte // the same, as pixels; before them is an empty row
	unpack io.ReadCloser
	packer *packer
}

// packers are those that nobody uses, by their level: each has a megabyte.
var packers [level + 1]sync.Pool

// Stamp writes a copy under layer, which lies over a picture of t's Size. text, if not empty, is put into a
// text chunk called key. An error is the writer's, or pack.ErrDamaged: then what was written is of no use.
func (t *Template) Stamp(w io.Writer, layer *ink.Layer, key, text string) error {
	front := t.front[:len(t.front):len(t.front)]
	if text != "" {
		front = appendChunk(front, "tEXt", []byte(key+"\x00"+text))
	}
	const zlibHeader = "\x78\x9c" // a window of 32 KiB, the usual effort
	_, err := w.Write(appendChunk(front, "IDAT", []byte(zlibHeader)))
	if err != nil {
		return err
	}
	c := &copier{t: t, strip: layer.NewStrip(t.header.band), inked: make([]bool, t.header.band)}
	defer c.release()
	sum := adler32.Checksum(nil)
	for i := range t.bands {
		b := &t.bands[i]
		clear(c.inked)
		chunk, part := b.chunk, b.adler
		if c.strip.Draw(i*t.header.band, c.mark) {
			chunk, part, err = c.ink(b)
			if err != nil {
				return err
			}
		}
		sum = joined(sum, part, b.rows*t.header.row())
		_, err = w.Write(chunk)
		if err != nil {
			return err
		}
	}
	const lastBlock = "\x03\x00" // empty and final
	end := appendChunk(nil, "IDAT", []byte(lastBlock), binary.BigEndian.AppendUint32(nil, sum))
	_, err = w.Write(appendChunk(end, "IEND"))
	return err
}

// joined is the Adler-32 of two strings, the second of which has n bytes, one after the other.
func joined(first, second uint32, n int) uint32 {
	const base = 65521
	a1, b1, a2, b2 := uint64(first&0xFFFF), uint64(first>>16), uint64(second&0xFFFF), uint64(second>>16)
	a := (a1 + a2 + base - 1) % base
	b := (b1 + b2 + uint64(n)%base*((a1+base-1)%base)) % base
	return uint32(b<<16 | a)
}

func (c *copier) mark(y, _, _ int) { c.inked[y] = true }

func (c *copier) release() {
	if c.packer != nil {
		packers[c.t.header.level()].Put(c.packer)
	}
}

// ink returns a band under the mark, as a chunk, and its Adler-32.
func (c *copier) ink(b *band) ([]byte, uint32, error) {
	err := c.open(b)
	if err != nil {
		return nil, 0, err
	}
	h := c.t.header
	n, step := h.row(), h.step()
	pixels := func(y int) []byte { return c.plain[(y+1)*(n-1) : (y+2)*(n-1)] }
	for y := range b.rows {
		kind := c.rows[y*n]
		if kind > filterPaeth || y == 0 && kind > filterSub {
			return nil, 0, pack.Damaged("a row has an impossible filter")
		}
		copy(pixels(y), c.rows[y*n+1:(y+1)*n])
		unfilter(kind, pixels(y), pixels(y-1), step)
	}
	for y := range b.rows {
		if c.inked[y] {
			h.cover(pixels(y), c.strip.Row(y))
		}
	}
	for y := range b.rows {
		if c.inked[y] || y > 0 && c.inked[y-1] { // others are filtered as they were
			filter(c.rows[y*n], c.rows[y*n+1:(y+1)*n], pixels(y), pixels(y-1), step)
		}
	}
	chunk, err := c.packer.chunk(c.rows)
	return chunk, adler32.Checksum(c.rows), err
}

// open brings the filtered rows of a band into c.rows.
func (c *copier) open(b *band) error {
	h := c.t.header
	data := bytes.NewReader(b.chunk[8 : len(b.chunk)-4])
	if c.unpack == nil {
		c.unpack = flate.NewReader(data)
		c.rows = make([]byte, 0, h.band*h.row())
		c.plain = make([]byte, (1+h.band)*(h.row()-1))
		p, ok := packers[h.level()].Get().(*packer)
		if !ok {
			var err error
			p, err = newPacker(h.level())
			if err != nil {
				return err
			}
		}
		c.packer = p
	} else {
		resetter, ok := c.unpack.(flate.Resetter)
		if !ok {
			return pack.Damaged("a band cannot be read")
		}
		err := resetter.Reset(data, nil)
		if err != nil {
			return err
		}
	}
	c.rows = c.rows[:b.rows*h.row()]
	_, err := io.ReadFull(c.unpack, c.rows)
	if err != nil {
		return pack.Damaged("a band cannot be unpacked: %v", err)
	}
	return nil
}
