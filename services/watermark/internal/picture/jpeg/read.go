package jpeg

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

const (
	// maxScans is more than any encoder makes; each may cost time for every block without having bits.
	maxScans = 100
	// maxProfile is the largest colour profile that is kept, in bytes.
	maxProfile = 4 << 20
)

// reader reads a source.
type reader struct {
	r      *bufio.Reader
	limits source.Limits

	frame       frame
	kind        kind
	progressive bool
	quant       [4]*[blockSize]uint16 // in the order of blocks
	dc, ac      [4]*decoder
	interval    int
	blocks      [maxComponents][]int16
	seen        [maxComponents]bool
	half        bool // a marker's 0xFF is read already
	scans       int

	jfif        []byte // version, unit and density
	adobe       []byte // all of its segment
	profile     []byte // segments of the colour profile, whole
	orientation source.Orientation
	exif        bool
	personal    bool // says something of place, time or camera
	profileCut  bool
}

var (
	jfifName  = []byte("JFIF\x00")
	exifName  = []byte("Exif\x00\x00")
	iccName   = []byte("ICC_PROFILE\x00")
	adobeName = []byte("Adobe")
)

func newReader(r io.Reader, limits source.Limits) *reader {
	return &reader{r: bufio.NewReaderSize(r, 64<<10), limits: limits, orientation: 1}
}

// read reads the source to its end, or, if headers only, up to its first scan.
func (d *reader) read(headersOnly bool) error {
	first, err := d.r.Peek(2)
	if err != nil || first[0] != 0xFF || first[1] != markSOI {
		return source.Broken("it does not begin as a JPEG")
	}
	_, err = d.r.Discard(2)
	if err != nil {
		return err
	}
	for {
		marker, err := d.marker()
		if errors.Is(err, io.EOF) || err == nil && marker == markEOI {
			return d.whole(headersOnly)
		}
		if err != nil {
			return err
		}
		if marker >= markRST0 && marker <= markRST7 || marker == markTEM || marker == markSOI {
			continue
		}
		data, err := d.segment()
		if err != nil {
			return err
		}
		if marker == markSOS && headersOnly {
			return d.whole(true)
		}
		err = d.take(marker, data)
		if err != nil {
			return err
		}
	}
}

// whole checks that there is a picture.
func (d *reader) whole(headersOnly bool) error {
	if d.frame.components == nil {
		return source.Broken("it has no header")
	}
	var ok bool
	d.kind, ok = kindOf(&d.frame, d.jfif != nil, d.adobe != nil, d.transform())
	if !ok {
		return source.Unsupported("the JPEG has four colours and does not say which: save it in RGB")
	}
	if headersOnly {
		return nil
	}
	for i := range d.frame.components {
		if !d.seen[i] {
			return source.Broken("it ends before all its colours are there")
		}
		if d.quant[d.frame.components[i].table] == nil {
			return source.Broken("a table is missing")
		}
	}
	return nil
}

func (d *reader) transform() byte {
	if d.adobe == nil {
		return 0
	}
	return d.adobe[11]
}

// marker reads the next marker, over bytes that are none.
func (d *reader) marker() (byte, error) {
	last := byte(0)
	if d.half {
		last, d.half = 0xFF, false
	}
	for range 1 << 16 {
		c, err := d.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if last == 0xFF && c != 0 && c != 0xFF {
			return c, nil
		}
		last = c
	}
	return 0, source.Broken("it has bytes where none belong")
}

// segment reads what follows a marker.
func (d *reader) segment() ([]byte, error) {
	var length [2]byte
	_, err := io.ReadFull(d.r, length[:])
	n := int(binary.BigEndian.Uint16(length[:])) - 2
	if err != nil || n < 0 {
		return nil, cut(err)
	}
	data := make([]byte, n)
	_, err = io.ReadFull(d.r, data)
	return data, cut(err)
}

// cut makes the end of a file a refusal.
func cut(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if err != nil {
			return source.Broken("it ends too early")
		}
		return nil
	}
	return err
}

func (d *reader) take(marker byte, data []byte) error {
	switch {
	case marker == markSOF0 || marker == markSOF1 || marker == markSOF2:
		return d.start(marker, data)
	case marker == markDHT:
		return d.codes(data)
	case marker == markDQT:
		return d.quantisation(data)
	case marker == markDRI:
		if len(data) != 2 {
			return source.Broken("its restart interval has a wrong length")
		}
		d.interval = int(binary.BigEndian.Uint16(data))
		return nil
	case marker == markSOS:
		return d.scan(data)
	case marker == markDNL:
		return source.Unsupported("the JPEG says its height at its end only: save it anew")
	case marker == markDAC || marker >= 0xC9 && marker <= 0xCB || marker >= 0xCD && marker <= 0xCF:
		return source.Unsupported("the JPEG has arithmetic coding, which few programs can show: save it anew")
	case marker >= 0xC3 && marker <= 0xC7:
		return source.Unsupported("the JPEG is lossless or hierarchical, which few programs can show: save it anew")
	case marker >= markAPP0 && marker <= markAPPF:
		d.application(marker, data)
	case marker == markCOM:
		d.personal = true
	}
	return nil
}

func (d *reader) start(marker byte, data []byte) error {
	if d.frame.components != nil {
		return source.Broken("it has two headers")
	}
	f, err := parseFrame(data, d.limits)
	if err != nil {
		return err
	}
	var bytes int64
	for _, c := range f.components {
		bytes += 2 * blockSize * int64(c.wide) * int64(c.high)
	}
	err = d.limits.CheckMemory(bytes, "save it smaller, or in fewer colours")
	if err != nil {
		return err
	}
	d.frame, d.progressive = f, marker == markSOF2
	return nil
}

func (d *reader) codes(data []byte) error {
	for len(data) > 0 {
		class, at := data[0]>>4, data[0]&15
		if class > 1 || at > 3 {
			return source.Broken("a table of codes is not possible")
		}
		c, rest, err := parseCode(data[1:])
		if err != nil {
			return err
		}
		table, err := newDecoder(c)
		if err != nil {
			return source.Broken("%v", err)
		}
		if class == 0 {
			d.dc[at] = table
		} else {
			d.ac[at] = table
		}
		data = rest
	}
	return nil
}

func (d *reader) quantisation(data []byte) error {
	for len(data) > 0 {
		wide, at := data[0]>>4, data[0]&15
		size := blockSize * (1 + int(wide))
		if wide > 1 || at > 3 || len(data) < 1+size {
			return source.Broken("a table is not possible")
		}
		table := &[blockSize]uint16{}
		for k, to := range zigzag {
			v := uint16(0)
			if wide == 1 {
				v = binary.BigEndian.Uint16(data[1+2*k:])
			} else {
				v = uint16(data[1+k])
			}
			if v == 0 {
				return source.Broken("a table has a zero")
			}
			table[to] = v
		}
		// A component takes its table with its first scan; one that comes later is another's.
		if d.quant[at] != nil && d.scans > 0 && *d.quant[at] != *table {
			return source.Unsupported("the JPEG changes its tables on the way: save it anew")
		}
		d.quant[at] = table
		data = data[1+size:]
	}
	return nil
}

func (d *reader) scan(data []byte) error {
	d.scans++
	if d.scans > maxScans {
		return &source.Error{Reason: "IMAGE_TOO_COMPLEX", Message: "the picture is made up of too many layers: save it anew"}
	}
	s, err := d.parseScan(data)
	if err != nil {
		return err
	}
	if d.blocks[0] == nil {
		for i, c := range d.frame.components {
			d.blocks[i] = make([]int16, blockSize*c.wide*c.high)
		}
	}
	return s.read()
}

// application takes from application segments what a picture needs to look as it does.
func (d *reader) application(marker byte, data []byte) {
	is := func(m byte, name []byte) bool {
		return marker == m && len(data) > len(name) && slices.Equal(data[:len(name)], name)
	}
	switch {
	case is(markAPP0, jfifName) && len(data) >= 12 && d.jfif == nil:
		d.jfif = data[5:12]
	case is(markAPP0+1, exifName) && !d.exif:
		d.exif, d.personal = true, true
		d.orientation = source.ReadOrientation(data[len(exifName):])
	case is(markAPP0+2, iccName):
		if len(d.profile)+len(data) > maxProfile {
			d.profileCut = true
			return
		}
		d.profile = appendSegment(d.profile, marker, data)
	case is(markAPP0+14, adobeName) && len(data) >= 12 && d.adobe == nil:
		d.adobe = data[:12]
	case marker == markAPP0+1 || marker == markAPP0+13: // XMP, IPTC
		d.personal = true
	}
}

func appendSegment(dst []byte, marker byte, data []byte) []byte {
	dst = append(dst, 0xFF, marker)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(data)+2))
	return append(dst, data...)
}

// kept are the segments that copies have, too, in their order.
func (d *reader) kept() []byte {
	var out []byte
	if d.jfif != nil {
		out = appendSegment(out, markAPP0, slices.Concat(jfifName, d.jfif, []byte{0, 0})) // no thumbnail
	}
	if !d.orientation.Plain() {
		out = appendSegment(out, markAPP0+1, slices.Concat(exifName, d.orientation.EXIF()))
	}
	if !d.profileCut {
		out = append(out, d.profile...)
	}
	if d.adobe != nil {
		out = appendSegment(out, markAPP0+14, d.adobe)
	}
	return out
}

// report says what is known.
func (d *reader) report() source.Report {
	r := source.Report{MediaType: MediaType, Width: d.frame.width, Height: d.frame.height, Orientation: d.orientation}
	if d.orientation.Turned() {
		r.Width, r.Height = r.Height, r.Width
	}
	if d.personal {
		r.Notes = append(r.Notes, "what the picture says of its place, time and camera is not in copies")
	}
	if d.profileCut {
		r.Notes = append(r.Notes, "the picture's colour profile is too large and is not in copies, whose colours may look different")
	}
	return r
}
