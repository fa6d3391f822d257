package pdf

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"strconv"
)

// perObjectStream is how many objects share one object stream.
const perObjectStream = 100

// Options is how a document is written.
type Options struct {
	Seed Seed
	// Password locks the file if it is not empty.
	Password string
}

// Write writes d as one revision: streams, then all other objects packed into object streams, then the
// cross-reference stream. The same document and options give the same bytes.
func Write(w io.Writer, d *Document, opt Options) error {
	id, err := opt.Seed.Derive("id", 16)
	if err != nil {
		return err
	}
	out := &writer{w: w, doc: d, entries: make([]entry, d.Len()+1)}
	if opt.Password != "" {
		out.lock, err = newLock(opt.Seed, opt.Password)
		if err != nil {
			return err
		}
	}
	out.printf("%%PDF-%s\n%%\xe2\xe3\xcf\xd3\n", d.Version)
	out.streams()
	out.packed()
	out.finish(String(id))
	if out.err != nil {
		return fmt.Errorf("write copy: %w", out.err)
	}
	return nil
}

// entry is where an object is: at an offset, or in an object stream.
type entry struct {
	offset int64
	in     int // number of the object stream, 0 for none
	index  int
}

// writer keeps its first error and does nothing after it.
type writer struct {
	w       io.Writer
	err     error
	offset  int64
	doc     *Document
	lock    *lock
	entries []entry
	buf     []byte
}

func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.w.Write(p)
	w.offset += int64(n)
	w.err = err
	return n, err
}

func (w *writer) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...) // Write keeps the error
}

func (w *writer) sealer() sealer {
	if w.lock == nil {
		return nil
	}
	return w.lock.string
}

func (w *writer) streams() {
	for i, o := range w.doc.objects {
		if s, ok := o.(*Stream); ok {
			w.stream(i+1, s, w.lock)
		}
	}
}

// stream writes an indirect stream, encrypted if lock is not nil.
func (w *writer) stream(number int, s *Stream, lock *lock) {
	for len(w.entries) <= number {
		w.entries = append(w.entries, entry{})
	}
	w.entries[number] = entry{offset: w.offset}
	length := len(s.Data)
	var seal sealer
	if lock != nil {
		length, seal = sealedLen(length), lock.string
	}
	dict := Dict{}
	for k, v := range s.Dict {
		dict[k] = v
	}
	dict["Length"] = int64(length)
	w.buf = append(strconv.AppendInt(w.buf[:0], int64(number), 10), " 0 obj\n"...)
	w.buf = appendDict(w.buf, dict, seal)
	w.buf = append(w.buf, "\nstream\n"...)
	_, _ = w.Write(w.buf)
	if lock != nil {
		err := lock.write(w, s.Data)
		if err != nil && w.err == nil {
			w.err = err
		}
	} else {
		_, _ = w.Write(s.Data)
	}
	w.printf("\nendstream\nendobj\n")
}

// packed writes what is no stream into object streams, whose strings need no encryption of their own.
func (w *writer) packed() {
	var numbers []int
	for i, o := range w.doc.objects {
		if _, ok := o.(*Stream); !ok {
			numbers = append(numbers, i+1)
		}
	}
	next := w.doc.Len() + 1
	for len(numbers) > 0 {
		some := numbers[:min(len(numbers), perObjectStream)]
		numbers = numbers[len(some):]
		var index, body []byte
		for i, number := range some {
			index = strconv.AppendInt(index, int64(number), 10)
			index = append(index, ' ')
			index = strconv.AppendInt(index, int64(len(body)), 10)
			index = append(index, ' ')
			body = appendObject(body, w.doc.objects[number-1], nil)
			body = append(body, '\n')
			w.entries[number] = entry{in: next, index: i}
		}
		s := w.doc.Flate(append(index, body...))
		s.Dict["Type"] = Name("ObjStm")
		s.Dict["N"] = int64(len(some))
		s.Dict["First"] = int64(len(index))
		w.stream(next, s, w.lock)
		next++
	}
}

// finish writes the encryption dictionary, the cross-reference stream, which is its trailer too, and the end.
func (w *writer) finish(id String) {
	trailer := Dict{
		"Type": Name("XRef"), "Root": w.doc.Root, "ID": Array{id, id}, "W": Array{int64(1), int64(5), int64(2)},
	}
	if w.doc.Info != 0 {
		trailer["Info"] = w.doc.Info
	}
	if w.lock != nil {
		number := len(w.entries)
		w.entries = append(w.entries, entry{offset: w.offset})
		w.buf = append(strconv.AppendInt(w.buf[:0], int64(number), 10), " 0 obj\n"...)
		w.buf = appendDict(w.buf, w.lock.dict, nil)
		w.buf = append(w.buf, "\nendobj\n"...)
		_, _ = w.Write(w.buf)
		trailer["Encrypt"] = Ref(number)
	}
	number := len(w.entries)
	at := w.offset
	w.entries = append(w.entries, entry{offset: at})
	trailer["Size"] = int64(number + 1)
	table := make([]byte, 0, 8*len(w.entries))
	for i, e := range w.entries {
		switch {
		case i == 0:
			table = append(table, 0, 0, 0, 0, 0, 0, 0xff, 0xff)
		case e.in != 0:
			table = append(table, 2)
			table = appendField(table, int64(e.in), 5)
			table = appendField(table, int64(e.index), 2)
		default:
			table = append(table, 1)
			table = appendField(table, e.offset, 5)
			table = appendField(table, 0, 2)
		}
	}
	s := w.doc.Flate(table)
	for k, v := range trailer {
		s.Dict[k] = v
	}
	w.stream(number, s, nil)
	w.printf("startxref\n%d\n%%%%EOF\n", at)
}

func appendField(dst []byte, v int64, width int) []byte {
	for shift := 8 * (width - 1); shift >= 0; shift -= 8 {
		dst = append(dst, byte(v>>shift))
	}
	return dst
}

// Flate returns a stream of data, deflated.
func (d *Document) Flate(data []byte) *Stream {
	var b bytes.Buffer
	b.Grow(len(data)/3 + 64)
	if d.deflate == nil { // a compressor is large: one for all streams
		d.deflate = zlib.NewWriter(&b)
	} else {
		d.deflate.Reset(&b)
	}
	_, err := d.deflate.Write(data)
	if err == nil {
		err = d.deflate.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("deflate to memory: %v", err)) // a buffer takes everything
	}
	return &Stream{Dict: Dict{"Filter": Name("FlateDecode")}, Data: b.Bytes()}
}
