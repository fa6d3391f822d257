package stamp

import (
	"encoding/binary"
	"strconv"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// What is woven into each page, between what it paints or right behind it: the strip of the hidden id as a stroked line,
// and the name as an inline image. Both are small, at another place on every page, and differ in every line. Their
// lengths depend on the kind of page only, so that a copy's offsets are known before any of it is made.

// woven is how both are painted: a grey that shows on light and dark grounds, at each level, in percent.
var woven = [template.Levels]int{50, 70, 85}

// wovenOpacity is that opacity beside a mark of tones: with an opaque mark nothing is transparent, so that PostScript,
// which knows no transparency, keeps paths as paths.
func wovenOpacity(level int, tones []mark.Tone) int {
	for _, t := range tones {
		if t.Opacity < 100 {
			return woven[level]
		}
	}
	return 100
}

const (
	micro = 1_000_000 // of a point

	stripUnit = micro / 100 // a strip's unit on the page
	stripLine = 35          // its width, in units
	pixel     = micro * 11 / 20
	room      = 20 * micro // kept from the page's edges, where there is as much
)

// view is a kind of page: what pages alike, at the same level and with the same uses of the mark, have in common.
type view struct {
	page    mark.Page
	upright mark.Upright
	// top is the slot at the end of a page, as stored blocks the last of which is final.
	top    []byte
	topSum adler

	strip, picture plate
}

// plate is how something woven in is printed: at a random place, in a frame that does not change.
type plate struct {
	// a and b turn and scale it, in millionths of a point.
	a, b int64
	// width and height it takes on the page.
	width, height int64
	head          []byte // from q to the matrix's first four numbers
	tail          []byte // behind the matrix's last two
	length        int
}

// fields are the lengths of a number with all its digits, see appendFixed.
const fixedLen = 13

// newView prepares what pages of a kind have in common.
func newView(c *Copy, p mark.Page, uses []mark.Use) *view {
	v := &view{page: p, upright: p.Upright()}
	v.setTop(c, uses)
	u := v.upright
	unit := min(stripUnit, u.Width/(2*hidden.StripWidth)+1, u.Height/(4*hidden.StripHeight)+1) // on a page of nearly no size
	v.strip = plate{a: unit, width: unit * hidden.StripWidth, height: unit * hidden.StripHeight}
	v.strip.frame(u)
	state := template.StateName(c.t.Prefix, p.Level, template.Tones-1)
	v.strip.tail = append(v.strip.tail, " cm/"+state+" gs .5 G "+strconv.Itoa(stripLine)+" w 1 J 1 j[]0 d"...)
	v.strip.length = len(v.strip.head) + 2*fixedLen + 1 + len(v.strip.tail) + hidden.Vertices*len(" 0000 000 l") + len(" S Q\n")

	w, h := int64(c.bitmap.width), int64(c.bitmap.height)
	size := min(pixel, u.Width/(2*w), u.Height/(4*h))
	v.picture = plate{a: size, width: w * size, height: h * size}
	v.picture.stretch(u, w, h)
	v.picture.tail = append(v.picture.tail, " cm/"+state+" gs .5 g BI/W "+strconv.FormatInt(w, 10)+"/H "+strconv.FormatInt(h, 10)+"/BPC 1/IM true/F/A85 ID "...)
	v.picture.length = len(v.picture.head) + 2*fixedLen + 1 + len(v.picture.tail) + c.bitmap.encoded() + len("~> EI Q\n")
	return v
}

// frame writes the matrix's first four numbers for a scale of a along the page.
func (p *plate) frame(u mark.Upright) { p.start(u.Matrix(p.a, 0, 0, 0)) }

// stretch does the same for the unit square of an image of w by h pixels, each a wide.
func (p *plate) stretch(u mark.Upright, w, h int64) {
	m := u.Matrix(p.a, 0, 0, 0)
	p.start([6]int64{m[0] * w, m[1] * w, m[2] * h, m[3] * h})
}

func (p *plate) start(m [6]int64) {
	m[4], m[5] = 0, 0
	p.head = append(p.head[:0], "q "...)
	p.head = mark.AppendMatrix(p.head, m)
	p.head = p.head[:len(p.head)-len("0 0")] // the last two are each page's own
}

// place is where a plate comes to lie on a page, for a random number.
func (p *plate) place(u mark.Upright, random uint32) (e, f int64) {
	x := within(u.Width, p.width, random&0xffff)
	y := within(u.Height, p.height, random>>16)
	m := u.Matrix(0, 0, x, y)
	return m[4], m[5]
}

// within is a position for something of a size on a page of a length, the more to the right the larger random is.
func within(length, size int64, random uint32) int64 {
	free := max(0, length-size)
	edge := min(room, free/2)
	return edge + (free-2*edge)/0x10000*int64(random)
}

// setTop prepares the uses of the mark: outlines on top of everything.
func (v *view) setTop(c *Copy, uses []mark.Use) {
	var text []byte
	for i, u := range uses {
		if i == 0 || u.Tone != uses[i-1].Tone {
			text = append(text, "q/"...)
			text = append(text, template.StateName(c.t.Prefix, v.page.Level, u.Tone)...)
			text = append(text, " gs"...)
			text = appendColor(text, c.tones[v.page.Level][u.Tone].Color)
		}
		last := i+1 == len(uses) || uses[i+1].Tone != u.Tone
		if !last {
			text = append(text, " q"...)
		}
		text = append(text, ' ')
		text = mark.AppendMatrix(text, rounded(u.Matrix))
		text = append(text, " cm/"...)
		text = append(text, template.FormName(c.t.Prefix, u.Shape)...)
		text = append(text, " Do Q\n"...)
	}
	v.top = appendStored(nil, text, true)
	v.topSum = adlerOf(text)
}

// rounded is m to a thousandth, where that makes no difference.
func rounded(m [6]int64) [6]int64 {
	const grain, much = micro / 1000, 4 * micro
	if max(m[0], -m[0], m[1], -m[1]) < much {
		return m
	}
	for i, v := range m {
		m[i] = (v + grain/2) / grain * grain
		if v < 0 {
			m[i] = (v - grain/2) / grain * grain
		}
	}
	return m
}

func appendColor(dst []byte, c [3]uint8) []byte {
	if c[0] == c[1] && c[1] == c[2] {
		dst = append(dst, ' ')
		return append(appendChannel(dst, c[0]), " g"...)
	}
	for _, channel := range c {
		dst = append(dst, ' ')
		dst = appendChannel(dst, channel)
	}
	return append(dst, " rg"...)
}

// appendChannel writes v of 255 as a number to three digits.
func appendChannel(dst []byte, v uint8) []byte {
	thousandths := (int(v)*1000 + 127) / 255
	if thousandths == 1000 {
		return append(dst, '1')
	}
	return append(dst, '.', byte('0'+thousandths/100), byte('0'+thousandths/10%10), byte('0'+thousandths%10))
}

// appendStrip writes the strip of a page as a stored block; r is what the page draws from the seed.
func (c *Copy) appendStrip(dst []byte, v *view, page int, r *[16]byte) ([]byte, adler) {
	p := &v.strip
	dst = appendBlockHead(dst, p.length, false)
	start := len(dst)
	e, f := p.place(v.upright, binary.LittleEndian.Uint32(r[:]))
	dst = append(dst, p.head...)
	dst = appendFixed(dst, e)
	dst = append(dst, ' ')
	dst = appendFixed(dst, f)
	dst = append(dst, p.tail...)
	strip := hidden.Strip(c.code, uint8(page)+r[15])
	for i := range strip {
		dst = append(dst, ' ')
		dst = appendFour(dst, strip[i][0])
		dst = append(dst, ' ')
		dst = appendThree(dst, strip[i][1])
		if i == 0 {
			dst = append(dst, " m"...)
		} else {
			dst = append(dst, " l"...)
		}
	}
	dst = append(dst, " S Q\n"...)
	return dst, adlerOf(dst[start:])
}

// appendPicture writes the name's picture of a page as a stored block.
func (c *Copy) appendPicture(dst []byte, v *view, r *[16]byte) ([]byte, adler) {
	p := &v.picture
	dst = appendBlockHead(dst, p.length, false)
	start := len(dst)
	e, f := p.place(v.upright, binary.LittleEndian.Uint32(r[4:]))
	dst = append(dst, p.head...)
	dst = appendFixed(dst, e)
	dst = append(dst, ' ')
	dst = appendFixed(dst, f)
	dst = append(dst, p.tail...)
	sum := adlerOf(dst[start:]).then(c.bitmap.sum)
	dst = append(dst, c.bitmap.fixed...)
	start = len(dst)
	dst = c.bitmap.appendRest(dst, r[8:])
	dst = append(dst, "~> EI Q\n"...)
	return dst, sum.then(adlerOf(dst[start:]))
}

// appendFixed writes v millionths with all of thirteen places, four of them after the point.
func appendFixed(dst []byte, v int64) []byte {
	const most = 99_999_999_999 // ten-thousandths
	n := max(-most, min(most, v/100))
	at := len(dst)
	dst = append(dst, "0000000000000"...)
	out := dst[at:]
	if n < 0 {
		out[0], n = '-', -n
	}
	for i := fixedLen - 1; i > 0 && n > 0; i-- {
		if i == fixedLen-5 {
			i--
		}
		out[i] = byte('0' + n%10)
		n /= 10
	}
	out[fixedLen-5] = '.'
	return dst
}

// pairs are the numbers from 00 to 99.
var pairs = func() (p [100][2]byte) {
	for i := range p {
		p[i] = [2]byte{byte('0' + i/10), byte('0' + i%10)}
	}
	return p
}()

// appendThree writes v, less than 1,000, with all of three digits.
func appendThree(dst []byte, v int32) []byte {
	lo := pairs[v%100]
	return append(dst, byte('0'+v/100), lo[0], lo[1])
}

// appendFour writes v, less than 10,000, with all of four digits.
func appendFour(dst []byte, v int32) []byte {
	hi, lo := pairs[v/100], pairs[v%100]
	return append(dst, hi[0], hi[1], lo[0], lo[1])
}
