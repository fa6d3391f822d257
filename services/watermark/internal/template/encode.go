package template

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math"
)

const magic = "FGTPL\r\n\x01"

// Write writes t. It does not look at t's Digest and Size.
func Write(w io.Writer, t *Template) error {
	h := sha256.New()
	out := &sink{w: w, h: h}
	d := t.directory()
	out.write([]byte(magic))
	out.write(binary.AppendUvarint(nil, uint64(len(d))))
	out.write(d)
	out.write(t.Entries.Bytes)
	for i := range t.Streams {
		for _, p := range t.Streams[i].Pieces {
			out.write(p.Bytes)
		}
	}
	out.write(h.Sum(nil))
	if out.err != nil {
		return fmt.Errorf("write template: %w", out.err)
	}
	return nil
}

// sink keeps its first error and does nothing after it.
type sink struct {
	w   io.Writer
	h   hash.Hash
	err error
}

func (s *sink) write(p []byte) {
	if s.err != nil || len(p) == 0 {
		return
	}
	_, s.err = s.w.Write(p)
	s.h.Write(p)
}

func (t *Template) directory() []byte {
	var d encoder
	d.text(t.PDF)
	d.number(t.Root)
	d.number(t.Packed)
	d.number(t.PerStream)
	d.number(t.First)
	d.text(t.Prefix)
	d.text(string(t.Info))
	d.piece(t.Entries)
	d.number(len(t.Runs))
	for _, r := range t.Runs {
		d.number(r.Count)
		for _, v := range r.Page.Box {
			d.real(v)
		}
		d.number(r.Page.Rotate / 90)
		d.real(r.Page.Unit)
	}
	d.number(len(t.Notes))
	for _, n := range t.Notes {
		d.text(n)
	}
	d.number(len(t.Streams))
	for i := range t.Streams {
		s := &t.Streams[i]
		d.text(string(s.Dict))
		d.number(len(s.Pieces))
		for _, p := range s.Pieces {
			d.piece(p)
		}
	}
	return d.out
}

type encoder struct{ out []byte }

func (e *encoder) number(n int) { e.out = binary.AppendUvarint(e.out, uint64(n)) }

func (e *encoder) real(v float64) {
	e.out = binary.LittleEndian.AppendUint64(e.out, math.Float64bits(v))
}

func (e *encoder) text(s string) {
	e.number(len(s))
	e.out = append(e.out, s...)
}

func (e *encoder) piece(p Piece) {
	e.number(int(p.Kind))
	switch p.Kind {
	case Kept:
		e.number(len(p.Bytes))
	case Deflated:
		e.number(len(p.Bytes))
		e.number(int(p.Length))
		e.number(int(p.Adler))
	default:
		e.number(p.Page)
	}
}
