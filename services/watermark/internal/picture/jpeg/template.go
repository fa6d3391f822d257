package jpeg

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/pack"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// MediaType is what is read and written.
const MediaType = "image/jpeg"

// Magic begins a template, whose frame is that of package pack. Of its parts
//
//	header  is magic (8 bytes), width, height (4 each), orientation, kind, marker of the frame's header (1 each);
//	        the number of components (1) and for each: id, h, v, number of its quantisation table, number of its
//	        alphabet (1 each);
//	        four quantisation tables, each 1 and 64 numbers (2 each) in the order of blocks, or 0;
//	        the number of alphabets (1) and for each two codes: counts (16), symbols;
//	        length (4) and bytes of the segments that copies begin with after SOI; the notes (see pack.AppendStrings);
//	data    is the bits of the scan, without stuffing, and at least 8 bytes more;
//	index   has for each MCU, and for the end, the place of its first bit (4), and what its first coefficients are
//	        predicted from, one for each component (2 each, signed); then the texture (1024), see source.Texture.
//
// The kinds are 1 grey, 2 YCbCr, 3 RGB, 4 CMYK, 5 YCCK. The alphabets have codes for all symbols that an 8-bit picture can
// need, and the index makes any MCU readable alone.
const Magic = "filiJPG1"

// header is the part of a template that says what its data are.
type header struct {
	frame       frame
	kind        kind
	marker      byte
	orientation source.Orientation
	classes     [maxComponents]int // alphabet of each component
	quant       [4]*[blockSize]uint16
	alphabets   []alphabet
	kept        []byte
	notes       []string
}

func (h *header) append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = append(dst, Magic...)
	dst = le.AppendUint32(dst, uint32(h.frame.width))
	dst = le.AppendUint32(dst, uint32(h.frame.height))
	dst = append(dst, byte(h.orientation), byte(h.kind), h.marker, byte(len(h.frame.components)))
	for i, c := range h.frame.components {
		dst = append(dst, c.id, byte(c.h), byte(c.v), byte(c.table), byte(h.classes[i]))
	}
	for _, table := range h.quant {
		if table == nil {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, 1)
		for _, v := range table {
			dst = le.AppendUint16(dst, v)
		}
	}
	dst = append(dst, byte(len(h.alphabets)))
	for _, a := range h.alphabets {
		for _, c := range []code{a.dc, a.ac} {
			dst = append(dst, c.counts[:]...)
			dst = append(dst, c.symbols...)
		}
	}
	dst = le.AppendUint32(dst, uint32(len(h.kept)))
	dst = append(dst, h.kept...)
	return pack.AppendStrings(dst, h.notes)
}

func parseHeader(data []byte) (*header, error) {
	f := &pack.Fields{Data: data}
	if string(f.Bytes(len(Magic))) != Magic {
		return nil, pack.Damaged("it is of no version that is known")
	}
	h := &header{}
	h.frame.width, h.frame.height = f.Uint32(), f.Uint32()
	h.orientation, h.kind, h.marker = source.Orientation(f.Byte()), kind(f.Byte()), f.Byte()
	if h.frame.width < 1 || h.frame.height < 1 || h.frame.width > 1<<16 || h.frame.height > 1<<16 {
		return nil, pack.Damaged("it is %d by %d pixels", h.frame.width, h.frame.height)
	}
	if h.kind < kindGrey || h.kind > kindYCCK || h.marker != markSOF0 && h.marker != markSOF1 || h.orientation > 8 {
		return nil, pack.Damaged("its kind is unknown")
	}
	n := int(f.Byte())
	if n != h.kind.components() {
		return nil, pack.Damaged("it has %d components", n)
	}
	for i := range n {
		c := component{id: f.Byte(), h: int(f.Byte()), v: int(f.Byte()), table: int(f.Byte())}
		h.classes[i] = int(f.Byte())
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.table > 3 || h.classes[i] > 1 {
			return nil, pack.Damaged("component %d is not possible", i)
		}
		h.frame.components = append(h.frame.components, c)
	}
	h.frame.layOut()
	err := h.parseTables(f)
	if err != nil {
		return nil, err
	}
	h.kept = f.Bytes(f.Uint32())
	h.notes = f.Strings()
	err = f.Rest()
	if err != nil {
		return nil, err
	}
	return h, checkSegments(h.kept)
}

func (h *header) parseTables(f *pack.Fields) error {
	for i := range h.quant {
		if f.Byte() == 0 {
			continue
		}
		table := &[blockSize]uint16{}
		for k := range table {
			table[k] = f.Uint16()
			if table[k] == 0 || table[k] > 255 && h.marker == markSOF0 {
				return pack.Damaged("a quantisation table is not possible")
			}
		}
		h.quant[i] = table
	}
	n := int(f.Byte())
	if n < 1 || n > 2 {
		return pack.Damaged("it has %d alphabets", n)
	}
	for range n {
		var codes [2]code
		for i := range codes {
			c, rest, err := parseCode(f.Data)
			if err != nil {
				return pack.Damaged("a code is cut off")
			}
			f.Data = rest
			_, err = newDecoder(c)
			if err != nil {
				return pack.Damaged("a code is not possible")
			}
			codes[i] = c
		}
		if !newEncoder(codes[0]).covers(dcSymbols) || !newEncoder(codes[1]).covers(acSymbols) {
			return pack.Damaged("a code lacks symbols")
		}
		h.alphabets = append(h.alphabets, alphabet{dc: codes[0], ac: codes[1]})
	}
	for i, c := range h.frame.components {
		if h.quant[c.table] == nil || h.classes[i] >= n {
			return pack.Damaged("component %d has no tables", i)
		}
	}
	return nil
}

// checkSegments checks that data is whole segments, of kinds that copies may have.
func checkSegments(data []byte) error {
	allowed := []byte{markAPP0, markAPP0 + 1, markAPP0 + 2, markAPP0 + 14}
	for len(data) > 0 {
		if len(data) < 4 || data[0] != 0xFF || !slices.Contains(allowed, data[1]) {
			return pack.Damaged("its segments are not possible")
		}
		n := 2 + int(binary.BigEndian.Uint16(data[2:]))
		if n < 4 || n > len(data) {
			return pack.Damaged("a segment has a wrong length")
		}
		data = data[n:]
	}
	return nil
}

// Template is a source made ready for copies. It is immutable and safe for concurrent use.
type Template struct {
	header   *header
	bits     bitString
	index    []byte
	entry    int // bytes of an entry
	front    []byte
	tables   []byte
	texture  source.Texture
	digest   [sha256.Size]byte
	decoders [2]struct{ dc, ac *decoder }
	encoders [2]struct{ dc, ac *encoder }
}

// Open reads a template, whose bytes must stay as they are. Errors are pack.ErrDamaged.
func Open(data []byte) (*Template, error) {
	parts, err := pack.Split(data)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(parts.Header)
	if err != nil {
		return nil, err
	}
	t := &Template{header: h, entry: 4 + 2*len(h.frame.components), index: parts.Index, digest: parts.Digest}
	units := h.frame.across * h.frame.down
	if parts.Entries != units+1 || len(t.index) != parts.Entries*t.entry+len(t.texture) || len(parts.Data) < padding {
		return nil, pack.Damaged("its parts have wrong lengths")
	}
	copy(t.texture[:], t.index[parts.Entries*t.entry:])
	t.bits.data = parts.Data
	err = t.checkIndex(parts.Entries, 8*uint64(len(parts.Data)-padding))
	if err != nil {
		return nil, err
	}
	for i, a := range h.alphabets {
		t.decoders[i].dc, err = newDecoder(a.dc)
		if err == nil {
			t.decoders[i].ac, err = newDecoder(a.ac)
		}
		if err != nil {
			return nil, pack.Damaged("%v", err)
		}
		t.encoders[i].dc, t.encoders[i].ac = newEncoder(a.dc), newEncoder(a.ac)
	}
	t.front = append([]byte{0xFF, markSOI}, h.kept...)
	t.tables = h.segments()
	return t, nil
}

func (t *Template) checkIndex(entries int, bits uint64) error {
	last := uint64(0)
	for i := range entries {
		place := t.place(i)
		if place < last || place > bits {
			return pack.Damaged("its index is not in order")
		}
		last = place
		for c := range t.header.frame.components {
			p := t.prediction(i, c)
			if p < minDC || p > maxDC {
				return pack.Damaged("its index has an impossible value")
			}
		}
	}
	t.bits.bits = last
	return nil
}

// place is that of the first bit of MCU i.
func (t *Template) place(i int) uint64 {
	return uint64(binary.LittleEndian.Uint32(t.index[i*t.entry:]))
}

// prediction is what the first coefficient of a component in MCU i is predicted from.
func (t *Template) prediction(i, component int) int {
	return int(int16(binary.LittleEndian.Uint16(t.index[i*t.entry+4+2*component:])))
}

// Size returns the width and height in pixels as they are stored, and how they are turned to be looked at.
func (t *Template) Size() (width, height int, o source.Orientation) {
	return t.header.frame.width, t.header.frame.height, t.header.orientation
}

// Digest names the template by its content.
func (t *Template) Digest() [sha256.Size]byte { return t.digest }

// Notes say what copies lack that the source has.
func (t *Template) Notes() []string { return t.header.notes }

// Texture tells how restless the picture is.
func (t *Template) Texture() *source.Texture { return &t.texture }

// segments are those between what is kept and the scan.
func (h *header) segments() []byte {
	var out []byte
	for i, table := range h.quant {
		if table == nil {
			continue
		}
		wide := slices.Max(table[:]) > 255
		data := []byte{byte(i)}
		if wide {
			data[0] |= 1 << 4
		}
		for _, at := range zigzag {
			if wide {
				data = append(data, byte(table[at]>>8))
			}
			data = append(data, byte(table[at]))
		}
		out = appendSegment(out, markDQT, data)
	}
	f := &h.frame
	start := []byte{8, byte(f.height >> 8), byte(f.height), byte(f.width >> 8), byte(f.width), byte(len(f.components))}
	scan := []byte{byte(len(f.components))}
	for i, c := range f.components {
		start = append(start, c.id, byte(c.h<<4|c.v), byte(c.table))
		scan = append(scan, c.id, byte(h.classes[i]<<4|h.classes[i]))
	}
	out = appendSegment(out, h.marker, start)
	for i, a := range h.alphabets {
		out = appendSegment(out, markDHT, slices.Concat([]byte{byte(i)}, a.dc.counts[:], a.dc.symbols))
		out = appendSegment(out, markDHT, slices.Concat([]byte{0x10 | byte(i)}, a.ac.counts[:], a.ac.symbols))
	}
	return appendSegment(out, markSOS, append(scan, 0, blockSize-1, 0))
}
