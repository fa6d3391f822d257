package png

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/pack"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// Magic begins a template, whose frame is that of package pack. Of its parts
//
//	header  is magic (8 bytes), width, height, rows of a band (4 each), orientation, colour type, depth (1 each), length
//	        (4) and bytes of the chunks that copies have after IHDR; the notes (see pack.AppendStrings);
//	data    is the bands, each an IDAT chunk; its data are Deflate blocks (RFC 1951), the last of which is empty and
//	        stored and not final, of the filtered rows;
//	index   has for each band the length of its chunk (4) and the Adler-32 of its rows (4); then the texture (1024), see
//	        source.Texture.
//
// The first row of each band has filter 0 or 1, and no band's blocks refer to what is before it. So a PNG is made of
// these by the signature, IHDR, the chunks, an IDAT with a zlib header, the bands, an IDAT with an empty final block and
// the Adler-32 of all rows, and IEND.
const Magic = "filiPNG1"

// header is the part of a template that says what its data are.
type header struct {
	width, height int
	band          int // rows; the last one may have fewer
	orientation   source.Orientation
	color, depth  int
	kept          []byte
	notes         []string
}

func (h *header) append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = append(dst, Magic...)
	dst = le.AppendUint32(dst, uint32(h.width))
	dst = le.AppendUint32(dst, uint32(h.height))
	dst = le.AppendUint32(dst, uint32(h.band))
	dst = append(dst, byte(h.orientation), byte(h.color), byte(h.depth))
	dst = le.AppendUint32(dst, uint32(len(h.kept)))
	dst = append(dst, h.kept...)
	return pack.AppendStrings(dst, h.notes)
}

func parseHeader(data []byte) (*header, error) {
	f := &pack.Fields{Data: data}
	if string(f.Bytes(len(Magic))) != Magic {
		return nil, pack.Damaged("it is of no version that is known")
	}
	h := &header{width: f.Uint32(), height: f.Uint32(), band: f.Uint32()}
	h.orientation, h.color, h.depth = source.Orientation(f.Byte()), int(f.Byte()), int(f.Byte())
	h.kept = f.Bytes(f.Uint32())
	h.notes = f.Strings()
	err := f.Rest()
	if err != nil {
		return nil, err
	}
	const most = 1 << 16
	if h.width < 1 || h.height < 1 || h.width > most || h.height > most || h.band < 1 || h.band > most {
		return nil, pack.Damaged("it is %d by %d pixels in bands of %d", h.width, h.height, h.band)
	}
	if !slices.Contains([]int{grey, rgb, greyAlpha, rgbAlpha}, h.color) || h.depth != 8 && h.depth != 16 || h.orientation > 8 {
		return nil, pack.Damaged("its kind is unknown")
	}
	if h.band > 1 && h.band*h.row() > 2*bandSize {
		return nil, pack.Damaged("its bands are too large")
	}
	return h, checkChunks(h.kept)
}

// checkChunks checks that data is whole chunks, of kinds that copies may have.
func checkChunks(data []byte) error {
	allowed := []string{"gAMA", "cHRM", "sRGB", "iCCP", "cICP", "pHYs", "eXIf"}
	for len(data) > 0 {
		if len(data) < chunkFrame || !slices.Contains(allowed, string(data[4:8])) {
			return pack.Damaged("its chunks are not possible")
		}
		n := uint64(binary.BigEndian.Uint32(data)) + chunkFrame
		if n > uint64(len(data)) {
			return pack.Damaged("a chunk has a wrong length")
		}
		data = data[n:]
	}
	return nil
}

// step is the size of a pixel, and row that of a filtered row, in bytes.
func (h *header) step() int { return samples(h.color) * h.depth / 8 }
func (h *header) row() int  { return 1 + h.width*h.step() }

// level is that of compression. It follows from what the picture is, so that all copies are compressed alike.
func (h *header) level() int {
	if h.height*h.row() > large {
		return quickLevel
	}
	return level
}

// Template is a source made ready for copies. It is immutable and safe for concurrent use.
type Template struct {
	header  *header
	bands   []band
	front   []byte
	texture source.Texture
	digest  [sha256.Size]byte
}

// band is some rows.
type band struct {
	chunk []byte
	rows  int
	adler uint32
}

const entrySize = 8

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
	n := (h.height + h.band - 1) / h.band
	t := &Template{header: h, digest: parts.Digest}
	if parts.Entries != n || len(parts.Index) != n*entrySize+len(t.texture) {
		return nil, pack.Damaged("its index has a wrong length")
	}
	copy(t.texture[:], parts.Index[n*entrySize:])
	t.bands = make([]band, n)
	rest := parts.Data
	for i := range t.bands {
		entry := parts.Index[i*entrySize:]
		length := uint64(binary.LittleEndian.Uint32(entry))
		if length < chunkFrame || length > uint64(len(rest)) {
			return nil, pack.Damaged("a band has a wrong length")
		}
		chunk := rest[:length:length]
		if uint64(binary.BigEndian.Uint32(chunk)) != length-chunkFrame || string(chunk[4:8]) != "IDAT" {
			return nil, pack.Damaged("a band is none")
		}
		t.bands[i] = band{chunk: chunk, rows: min(h.band, h.height-i*h.band), adler: binary.LittleEndian.Uint32(entry[4:])}
		rest = rest[length:]
	}
	if len(rest) > 0 {
		return nil, pack.Damaged("it has more data than bands")
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(h.width))
	head = binary.BigEndian.AppendUint32(head, uint32(h.height))
	head = append(head, byte(h.depth), byte(h.color), 0, 0, 0)
	t.front = appendChunk([]byte(signature), "IHDR", head)
	t.front = append(t.front, h.kept...)
	return t, nil
}

// Size returns the width and height in pixels as they are stored, and how they are turned to be looked at.
func (t *Template) Size() (width, height int, o source.Orientation) {
	return t.header.width, t.header.height, t.header.orientation
}

// Digest names the template by its content.
func (t *Template) Digest() [sha256.Size]byte { return t.digest }

// Notes say what copies lack that the source has.
func (t *Template) Notes() []string { return t.header.notes }

// Texture tells how restless the picture is.
func (t *Template) Texture() *source.Texture { return &t.texture }
