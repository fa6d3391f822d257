package template

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrDamaged is what a template is refused with that is none, or not whole, or not of this version.
var ErrDamaged = errors.New("template is damaged or of another version")

// Is reports whether data begin like a template.
func Is(data []byte) bool {
	return len(data) >= len(magic) && string(data[:len(magic)-1]) == magic[:len(magic)-1]
}

// Parse reads a template, whose bytes it keeps: they must not change any more. A damaged one is refused with ErrDamaged.
// One that was made on purpose can do no harm beyond a copy that readers refuse: every length and number in it is held
// against what there is.
func Parse(data []byte) (*Template, error) {
	t, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return t, nil
}

func parse(data []byte) (*Template, error) {
	if len(data) < len(magic)+sha256.Size || string(data[:len(magic)]) != magic {
		return nil, errors.New("it does not begin like one")
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	digest := sha256.Sum256(body)
	if !bytes.Equal(digest[:], sum) {
		return nil, errors.New("its sum is not the one it had")
	}
	d := decoder{in: body[len(magic):]}
	directory := d.bytes()
	if d.err != nil {
		return nil, d.err
	}
	data = d.in
	d = decoder{in: directory, data: data}
	t := d.template()
	if d.err == nil && (len(d.in) > 0 || len(d.data) > 0) {
		d.err = errors.New("there is more in it than its directory says")
	}
	if d.err == nil {
		d.err = t.check()
	}
	if d.err != nil {
		return nil, d.err
	}
	t.Digest, t.Size = digest, int64(len(body)+sha256.Size)
	return t, nil
}

// check holds the parts against each other.
func (t *Template) check() error {
	objects := t.Packed + len(t.Streams)
	packs := 0
	if t.PerStream > 0 {
		packs = (t.Packed + t.PerStream - 1) / t.PerStream
	}
	switch {
	case t.PDF != "1.7" && t.PDF != "2.0":
		return fmt.Errorf("version %q of PDF", t.PDF)
	case t.PerStream < 1 || t.PerStream > math.MaxUint16 || t.First < 0 || t.First+packs > len(t.Streams):
		return fmt.Errorf("%d packed objects by %d in streams from %d of %d", t.Packed, t.PerStream, t.First, len(t.Streams))
	case t.Root < 1 || t.Root > objects:
		return fmt.Errorf("catalogue %d of %d objects", t.Root, objects)
	case len(t.Prefix) == 0 || len(t.Prefix) > 64:
		return fmt.Errorf("names begin with %q", t.Prefix)
	case t.Entries.Kind != Deflated || t.Entries.Length != int64(EntrySize*(t.Packed+1)):
		return errors.New("entries of another number of objects")
	}
	for _, c := range []byte(t.Prefix) {
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9') {
			return fmt.Errorf("names begin with %q", t.Prefix)
		}
	}
	pages := t.Pages()
	if pages < 1 {
		return errors.New("no pages")
	}
	for i := range t.Streams {
		s := &t.Streams[i]
		if len(s.Pieces) == 0 {
			return fmt.Errorf("stream %d has no pieces", i)
		}
		for j, p := range s.Pieces {
			if p.Kind == Kept && len(s.Pieces) > 1 || p.Kind > Deflated && p.Page >= pages {
				return fmt.Errorf("stream %d: piece %d is of kind %d, page %d", i, j, p.Kind, p.Page)
			}
		}
		if s.Woven() && s.Pieces[len(s.Pieces)-1].Kind <= Deflated {
			return fmt.Errorf("stream %d does not end with a slot", i)
		}
	}
	return nil
}

// EntrySize is the length of a cross-reference entry.
const EntrySize = 8

// decoder keeps its first error and returns zeros after it.
type decoder struct {
	in   []byte
	data []byte // of pieces not met yet
	err  error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = errors.New(what)
	}
	d.in = nil
}

// most is beyond all numbers there are, and small enough for sums.
const most = 1 << 48

func (d *decoder) number() int {
	v, n := binary.Uvarint(d.in)
	if n <= 0 || v > most {
		d.fail("a number is missing or too large")
		return 0
	}
	d.in = d.in[n:]
	return int(v)
}

// count is a number of things of which each takes at least one byte.
func (d *decoder) count() int {
	n := d.number()
	if n > len(d.in) {
		d.fail("more is announced than there is")
		return 0
	}
	return n
}

func (d *decoder) bytes() []byte {
	n := d.count()
	b := d.in[:n:n]
	d.in = d.in[n:]
	return b
}

func (d *decoder) real() float64 {
	if len(d.in) < 8 {
		d.fail("a real is missing")
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(d.in))
	d.in = d.in[8:]
	if math.IsNaN(v) || math.Abs(v) > 1e7 {
		d.fail("a real is none")
		return 0
	}
	return v
}

func (d *decoder) piece() Piece {
	p := Piece{Kind: Kind(d.number())}
	switch p.Kind {
	case Kept, Deflated:
		n := d.number()
		if n > len(d.data) {
			d.fail("a piece goes beyond the data")
			return p
		}
		p.Bytes = d.data[:n:n]
		d.data = d.data[n:]
		if p.Kind == Deflated {
			p.Length = int64(d.number())
			adler := d.number()
			if adler > math.MaxUint32 {
				d.fail("a checksum is none")
			}
			p.Adler = uint32(adler)
		}
	case Strokes, Picture, Top:
		p.Page = d.number()
	default:
		d.fail("a piece is of no known kind")
	}
	return p
}

func (d *decoder) template() *Template {
	t := &Template{
		PDF: string(d.bytes()), Root: d.number(), Packed: d.number(), PerStream: d.number(), First: d.number(), Prefix: string(d.bytes()),
		Info: d.bytes(),
	}
	t.Entries = d.piece()
	t.Runs = make([]Run, d.count())
	for i := range t.Runs {
		t.Runs[i] = d.run()
	}
	t.Notes = make([]string, d.count())
	for i := range t.Notes {
		t.Notes[i] = string(d.bytes())
	}
	t.Streams = make([]Stream, d.count())
	for i := range t.Streams {
		t.Streams[i].Dict = d.bytes()
		pieces := d.count()
		if d.err != nil {
			return t
		}
		t.Streams[i].Pieces = make([]Piece, pieces)
		for j := range t.Streams[i].Pieces {
			t.Streams[i].Pieces[j] = d.piece()
		}
	}
	return t
}

// maxPages is more than any configuration allows.
const maxPages = 1 << 24

func (d *decoder) run() Run {
	r := Run{Count: d.number()}
	if r.Count < 1 || r.Count > maxPages {
		d.fail("a run of no pages, or of too many")
	}
	for i := range r.Page.Box {
		r.Page.Box[i] = d.real()
	}
	turns := d.number()
	r.Page.Rotate, r.Page.Unit = 90*turns, d.real()
	if turns > 3 || !(r.Page.Unit > 0) || r.Page.Box[0] >= r.Page.Box[2] || r.Page.Box[1] >= r.Page.Box[3] {
		d.fail("a page lies nowhere")
	}
	return r
}
