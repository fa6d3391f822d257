// Package pack is the frame of the templates of pictures. A template has four parts, one after the other: a header, data,
// an index of equal entries with what follows it, and a trailer of 48 bytes that says how long they are. Numbers are
// little-endian:
//
//	length of header (4), length of data (8), number of entries (4), SHA-256 of all before (32)
//
// What the parts hold is up to the kind of picture; its header begins with a magic word.
package pack

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// ErrDamaged is that of a template that is none, or damaged.
var ErrDamaged = errors.New("damaged template of a picture")

// Damaged says what is wrong with a template.
func Damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

const trailerSize = 4 + 8 + 4 + sha256.Size

// Writer writes a template's parts, and sums them.
type Writer struct {
	w   io.Writer
	n   uint64
	sum hash.Hash
}

// NewWriter returns a Writer of a template to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w, sum: sha256.New()} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.n += uint64(n)
	w.sum.Write(p[:n])
	return n, err
}

// Finish writes the index and the trailer, after a header of head bytes and the data.
func (w *Writer) Finish(head int, index []byte, entries int) error {
	le := binary.LittleEndian
	data := w.n - uint64(head)
	_, err := w.Write(index)
	if err != nil {
		return err
	}
	trailer := le.AppendUint32(nil, uint32(head))
	trailer = le.AppendUint64(trailer, data)
	trailer = le.AppendUint32(trailer, uint32(entries))
	_, err = w.Write(trailer)
	if err != nil {
		return err
	}
	_, err = w.Write(w.sum.Sum(nil))
	return err
}

// Parts are a template taken apart. They lie in the template's bytes.
type Parts struct {
	Header, Data, Index []byte
	Entries             int
	// Digest names the template by its content.
	Digest [sha256.Size]byte
}

// Split takes a template apart. Its error is ErrDamaged.
func Split(template []byte) (Parts, error) {
	if len(template) < trailerSize {
		return Parts{}, Damaged("it is cut off")
	}
	le := binary.LittleEndian
	body, trailer := template[:len(template)-trailerSize], template[len(template)-trailerSize:]
	sum := sha256.Sum256(template[:len(template)-sha256.Size])
	if sum != [sha256.Size]byte(trailer[16:]) {
		return Parts{}, Damaged("its checksum is wrong")
	}
	head, data := uint64(le.Uint32(trailer)), le.Uint64(trailer[4:])
	if head > uint64(len(body)) || data > uint64(len(body))-head {
		return Parts{}, Damaged("its parts have wrong lengths")
	}
	return Parts{
		Header: body[:head], Data: body[head : head+data : head+data], Index: body[head+data:], Entries: int(le.Uint32(trailer[12:])), Digest: sum,
	}, nil
}

// AppendStrings appends strings: their number (1), and of each the length (2) and the bytes.
func AppendStrings(dst []byte, s []string) []byte {
	dst = append(dst, byte(len(s)))
	for _, v := range s {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(v)))
		dst = append(dst, v...)
	}
	return dst
}

// Fields reads numbers from the front of Data. After its end all are 0, and Short is set.
type Fields struct {
	Data  []byte
	Short bool
}

// Bytes reads n bytes; fewer, all of them 0, where there are not as many.
func (f *Fields) Bytes(n int) []byte {
	if n < 0 || n > len(f.Data) {
		f.Data, f.Short = nil, true
		return make([]byte, min(max(n, 0), 8))
	}
	out := f.Data[:n:n]
	f.Data = f.Data[n:]
	return out
}

// Byte reads one byte.
func (f *Fields) Byte() byte { return f.Bytes(1)[0] }

// Uint16 reads two.
func (f *Fields) Uint16() uint16 { return binary.LittleEndian.Uint16(f.Bytes(2)) }

// Uint32 reads four, as an int.
func (f *Fields) Uint32() int { return int(binary.LittleEndian.Uint32(f.Bytes(4))) }

// Strings reads what AppendStrings appended.
func (f *Fields) Strings() []string {
	var out []string
	for range f.Byte() {
		out = append(out, string(f.Bytes(int(f.Uint16()))))
	}
	return out
}

// Rest tells whether everything was read, and no more.
func (f *Fields) Rest() error {
	if f.Short || len(f.Data) > 0 {
		return Damaged("its header has a wrong length")
	}
	return nil
}
