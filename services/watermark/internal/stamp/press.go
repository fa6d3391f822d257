package stamp

import (
	"crypto/aes"
	"crypto/cipher"
	"io"
	"strconv"
	"sync"

	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// press writes a copy, through a buffer in which it encrypts. It keeps its first error and does nothing after it.
type press struct {
	c       *Copy
	w       io.Writer
	buf     []byte
	written int64
	err     error

	scratch []byte
	random  [16]byte // what page draws from the seed
	page    int
	iv      [aes.BlockSize]byte
	cbc     cipher.BlockMode
	// sealing says that buf is being filled with what is to be encrypted; everything in it is.
	sealing bool
}

// bufferSize is a multiple of the cipher's blocks. Two of it fit into the processor's first cache.
const bufferSize = 16 << 10

// buffers are pairs: one that is written from, and one for whatever else.
var buffers = sync.Pool{New: func() any { return &[2][]byte{make([]byte, 0, bufferSize)} }}

func newPress(c *Copy, w io.Writer) *press {
	b := buffers.Get().(*[2][]byte)
	p := &press{c: c, w: w, buf: b[0][:0], scratch: b[1], page: -1}
	if c.keys != nil {
		p.cbc = cipher.NewCBCEncrypter(c.keys.block, make([]byte, aes.BlockSize))
	}
	return p
}

func (p *press) release() {
	buffers.Put(&[2][]byte{p.buf[:0], p.scratch[:0]})
	p.buf, p.scratch = nil, nil
}

// flush writes what is in the buffer, of what is to be encrypted whole blocks only.
func (p *press) flush() {
	n := len(p.buf)
	if p.sealing {
		n = n / aes.BlockSize * aes.BlockSize
		if n > 0 {
			p.cbc.CryptBlocks(p.buf[:n], p.buf[:n])
			p.c.encrypted.Add(int64(n))
		}
	}
	p.send(p.buf[:n])
	p.buf = p.buf[:copy(p.buf, p.buf[n:])]
}

func (p *press) send(b []byte) {
	if p.err != nil || len(b) == 0 {
		return
	}
	n, err := p.w.Write(b)
	p.written += int64(n)
	p.err = err
}

// add appends b.
func (p *press) add(b []byte) {
	if !p.sealing && len(b) >= bufferSize/2 {
		p.flush()
		p.send(b)
		return
	}
	for len(b) > 0 && p.err == nil {
		n := min(len(b), bufferSize-len(p.buf))
		p.buf = append(p.buf, b[:n]...)
		b = b[n:]
		if len(p.buf) == bufferSize {
			p.flush()
		}
	}
}

// reserve makes room for n bytes in the buffer, fewer than it holds.
func (p *press) reserve(n int) {
	if bufferSize-len(p.buf) < n {
		p.flush()
	}
}

func (p *press) text(s string) {
	p.reserve(len(s))
	p.buf = append(p.buf, s...)
}

func (p *press) number(n int64) {
	p.reserve(20)
	p.buf = strconv.AppendInt(p.buf, n, 10)
}

// seal begins what is to be encrypted for stream number index of the copy; whatever comes until unseal.
func (p *press) seal(index int) {
	if p.c.keys == nil {
		return
	}
	p.c.keys.ivs.at(index, p.iv[:])
	p.add(p.iv[:])
	p.flush()
	p.sealing = true
	setter, ok := p.cbc.(interface{ SetIV([]byte) })
	if ok {
		setter.SetIV(p.iv[:])
	} else {
		p.cbc = cipher.NewCBCEncrypter(p.c.keys.block, p.iv[:])
	}
}

// unseal fills up the last block.
func (p *press) unseal() {
	if !p.sealing {
		return
	}
	fill := aes.BlockSize - len(p.buf)%aes.BlockSize
	for range fill {
		p.buf = append(p.buf, byte(fill))
	}
	p.flush()
	p.sealing = false
}

// all writes the objects that reach into the part from an offset to another; the writer throws away what is too much of
// the first and the last.
func (p *press) all(from, to int64) {
	c := p.c
	next := 0
	// reached reports whether the next object is to be written; what lies before the part is skipped.
	reached := func() bool {
		next++
		if p.err != nil || c.offsets[next-1] >= to {
			return false
		}
		if next < len(c.offsets) && c.offsets[next] <= from {
			p.leave(c.offsets[next] - c.offsets[next-1])
			return false
		}
		return true
	}
	p.text(c.header())
	for i := range c.t.Streams {
		if reached() {
			p.woven(i)
		}
	}
	for i := range c.forms {
		if reached() {
			p.form(c.own.Form(i), &c.forms[i])
		}
	}
	if reached() {
		p.whole(c.own.Packed(), c.packDict(), c.pack)
	}
	if c.keys != nil && reached() {
		p.number(int64(c.own.Encrypt()))
		p.text(" 0 obj\n")
		p.add(c.keys.dict)
		p.text(objectTail)
	}
	if reached() {
		p.table()
	}
	p.flush()
}

// leave skips n bytes, which a window would throw away.
func (p *press) leave(n int64) {
	p.flush()
	window, ok := p.w.(*window)
	if ok {
		window.skip -= n
	}
}

// head begins a stream object with data of n bytes before they are encrypted.
func (p *press) head(number int, dict []byte, n int64) {
	p.number(int64(number))
	p.text(objectHead)
	p.add(dict)
	p.text(lengthKey)
	p.number(p.c.stored(n))
	p.text(streamHead)
	p.seal(number)
}

func (p *press) tail() {
	p.unseal()
	p.text(streamTail)
}

// whole writes a stream whose data are at hand.
func (p *press) whole(number int, dict, data []byte) {
	p.head(number, dict, int64(len(data)))
	p.add(data)
	p.tail()
}

// woven writes stream i of the template.
func (p *press) woven(i int) {
	c := p.c
	s := &c.t.Streams[i]
	number := c.t.Packed + 1 + i
	if !s.Woven() {
		p.whole(number, s.Dict, s.Pieces[0].Bytes)
		return
	}
	p.head(number, s.Dict, c.dataSize(s))
	p.text(zlibHeader)
	sum := none
	for j := range s.Pieces {
		sum = sum.then(p.piece(&s.Pieces[j]))
	}
	p.reserve(4)
	p.buf = appendSum(p.buf, sum)
	p.tail()
}

// piece writes a piece and returns the sum of what it stands for.
func (p *press) piece(piece *template.Piece) adler {
	c := p.c
	if piece.Kind == template.Deflated {
		p.add(piece.Bytes)
		return adler{piece.Adler, piece.Length}
	}
	if c.blank {
		if piece.Kind == template.Top {
			p.reserve(blockHead)
			p.buf = appendBlockHead(p.buf, 0, true)
		}
		return none
	}
	v := c.view(piece.Page)
	if piece.Kind == template.Top {
		p.add(v.top)
		return v.topSum
	}
	// Straight into the buffer, which holds any of them.
	p.reserve(c.pieceSize(piece))
	if p.page != piece.Page {
		p.page = piece.Page
		c.places.at(p.page, p.random[:])
	}
	var sum adler
	if piece.Kind == template.Strokes {
		p.buf, sum = c.appendStrip(p.buf, v, piece.Page, &p.random)
	} else {
		p.buf, sum = c.appendPicture(p.buf, v, &p.random)
	}
	return sum
}
