package compile

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

const (
	// perStream is how many objects share one object stream.
	perStream = 100
	// perNode is how many children a node of the page tree has.
	perNode = 50
)

// builder makes a template of a source.
type builder struct {
	source   *source
	doc      *pdf.Document
	deflater template.Deflater
	// woven are the pieces of the streams that have slots.
	woven  map[*pdf.Stream][]template.Piece
	prefix string
	known  map[*Resources]pdf.Ref
}

// Objects of a copy's own are referred to by numbers below 0: their distance from the first of them, and one less.
func own(distance int) pdf.Ref { return pdf.Ref(-1 - distance) }

// template makes the template. It uses s up.
func (s *source) template() (*template.Template, error) {
	b := &builder{source: s, doc: s.Document, woven: map[*pdf.Stream][]template.Piece{}, known: map[*Resources]pdf.Ref{}}
	b.prefix = b.unusedPrefix()
	kids := make([]pdf.Ref, len(s.Pages))
	for i, p := range s.Pages {
		b.signatures(p)
		err := b.weave(i, p)
		if err == nil {
			err = b.appearances(i, p)
		}
		if err != nil {
			return nil, err
		}
		kids[i] = p.Ref
	}
	s.Catalog["Pages"] = b.tree(kids)
	root := b.doc.Add(s.Catalog)
	b.hoist()
	return b.assemble(root)
}

// unusedPrefix finds how no resource of any page or form is called.
func (b *builder) unusedPrefix() string {
	used := map[byte]bool{} // what follows the prefix's first two letters in names that begin so
	note := func(d pdf.Dict) {
		for name := range d {
			if strings.HasPrefix(string(name), "Fg") && len(name) > 2 {
				used[name[2]] = true
			}
		}
	}
	for _, p := range b.source.Pages {
		note(p.Resources.XObjects)
		note(b.states(p.Resources))
	}
	for s := range b.source.origins {
		r, _ := b.resolve(s.Dict["Resources"]).(pdf.Dict)
		for _, category := range []pdf.Name{"XObject", "ExtGState"} {
			d, _ := b.resolve(r[category]).(pdf.Dict)
			note(d)
		}
	}
	for c := byte('a'); c <= 'z'; c++ {
		if !used[c] {
			return "Fg" + string(c)
		}
	}
	return "Fgzzzzzzzzzzzzzzzz" // a source that knew all letters may have its own forms drawn instead of ours; the preflight sees it
}

// states are the graphics state parameters among resources.
func (b *builder) states(r *Resources) pdf.Dict {
	d, _ := b.resolve(r.Dict["ExtGState"]).(pdf.Dict)
	return d
}

// resources is r with those of a copy.
func (b *builder) resources(r *Resources) pdf.Ref {
	ref, ok := b.known[r]
	if ok {
		return ref
	}
	d := maps.Clone(r.Dict)
	d["XObject"] = r.XObjects
	ref = b.doc.Add(b.withOwn(d))
	b.known[r] = ref
	return ref
}

// withOwn is a resource dictionary with those of a copy.
func (b *builder) withOwn(resources pdf.Dict) pdf.Dict {
	forms, _ := b.resolve(resources["XObject"]).(pdf.Dict)
	states, _ := b.resolve(resources["ExtGState"]).(pdf.Dict)
	forms, states = maps.Clone(forms), maps.Clone(states)
	if forms == nil {
		forms = pdf.Dict{}
	}
	if states == nil {
		states = pdf.Dict{}
	}
	numbers := template.OwnAfter(-1) // so that numbers are distances
	for i := range template.Forms {
		forms[pdf.Name(template.FormName(b.prefix, i))] = own(numbers.Form(i))
	}
	for level := range template.Levels {
		for tone := range template.Tones {
			states[pdf.Name(template.StateName(b.prefix, level, tone))] = own(numbers.State(level, tone))
		}
	}
	out := maps.Clone(resources)
	out["XObject"], out["ExtGState"] = forms, states
	return out
}

// tree builds the page tree over kids and returns its root.
func (b *builder) tree(kids []pdf.Ref) pdf.Ref {
	counts := make([]int64, len(kids))
	for i := range counts {
		counts[i] = 1
	}
	for {
		var nodes []pdf.Ref
		var sums []int64
		for len(kids) > 0 {
			n := min(len(kids), perNode)
			node := b.doc.Add(nil)
			children := make(pdf.Array, n)
			var sum int64
			for i, kid := range kids[:n] {
				children[i] = kid
				sum += counts[i]
				d, ok := b.doc.Get(kid).(pdf.Dict)
				if ok {
					d["Parent"] = node
				}
			}
			b.doc.Set(node, pdf.Dict{"Type": pdf.Name("Pages"), "Kids": children, "Count": sum})
			nodes, sums = append(nodes, node), append(sums, sum)
			kids, counts = kids[n:], counts[n:]
		}
		if len(nodes) == 1 {
			return nodes[0]
		}
		kids, counts = nodes, sums
	}
}

// hoist makes objects of their own of the strings in streams' dictionaries. Object streams are encrypted as a whole, so
// that encryption need not look into anything.
func (b *builder) hoist() {
	for i := range b.doc.Len() {
		s, ok := b.doc.Get(pdf.Ref(i + 1)).(*pdf.Stream)
		if !ok {
			continue
		}
		b.withoutStrings(s.Dict)
	}
}

func (b *builder) withoutStrings(o pdf.Object) pdf.Object {
	switch o := o.(type) {
	case pdf.String:
		return b.doc.Add(o)
	case pdf.Array:
		for i := range o {
			o[i] = b.withoutStrings(o[i])
		}
	case pdf.Dict:
		for _, key := range slices.Sorted(maps.Keys(o)) { // whose numbers are the same each time
			o[key] = b.withoutStrings(o[key])
		}
	}
	return o
}

// assemble numbers the objects and writes them.
func (b *builder) assemble(root pdf.Ref) (*template.Template, error) {
	numbers := make([]int, b.doc.Len()+1)
	used := b.reachable(root)
	var packed, streams []pdf.Ref
	for i := range b.doc.Len() {
		ref := pdf.Ref(i + 1)
		if !used[ref] {
			continue
		}
		_, isStream := b.doc.Get(ref).(*pdf.Stream)
		if isStream {
			streams = append(streams, ref)
		} else {
			packed = append(packed, ref)
			numbers[ref] = len(packed)
		}
	}
	for i, ref := range streams {
		numbers[ref] = len(packed) + 1 + i
	}
	packs := (len(packed) + perStream - 1) / perStream
	first := template.OwnAfter(len(packed) + len(streams) + packs).Form(0)
	w := pdf.Writer{Number: func(ref pdf.Ref) int {
		if ref < 0 {
			return first - 1 - int(ref)
		}
		return numbers[ref]
	}}
	t := &template.Template{
		PDF: b.doc.Version, Root: numbers[root], Packed: len(packed), PerStream: perStream, First: len(streams), Prefix: b.prefix,
		Notes: b.source.Notes, Streams: make([]template.Stream, 0, len(streams)+packs),
	}
	if b.source.Title != nil {
		t.Info = w.AppendEntries(nil, pdf.Dict{"Title": b.source.Title})
	}
	b.runs(t)
	for _, ref := range streams {
		s, ok := b.doc.Get(ref).(*pdf.Stream)
		if !ok {
			return nil, fmt.Errorf("object %d is no stream any more", ref)
		}
		pieces, woven := b.woven[s]
		if !woven {
			pieces = []template.Piece{{Kind: template.Kept, Bytes: b.filtered(s)}}
		}
		t.Streams = append(t.Streams, template.Stream{Dict: w.AppendEntries(nil, s.Dict), Pieces: pieces})
	}
	t.Entries = b.entries(len(packed), len(packed)+1+len(streams))
	for len(packed) > 0 {
		n := min(len(packed), perStream)
		t.Streams = append(t.Streams, b.pack(w, numbers, packed[:n]))
		packed = packed[n:]
	}
	return t, nil
}

// filtered is the stream's data, deflated if nothing was done to them yet, so that what a source holds in plain text, such
// as the end of another file, is no part of the copy's own structure.
func (b *builder) filtered(s *pdf.Stream) []byte {
	filters, _ := b.resolve(s.Dict["Filter"]).(pdf.Array)
	if s.Dict["Filter"] != nil && (filters == nil || len(filters) > 0) {
		return s.Data
	}
	p := b.deflater.Piece(s.Data)
	if len(p.Bytes) >= len(s.Data) {
		return s.Data // noise, such as pixels of a scan, and much of it
	}
	s.Dict["Filter"] = pdf.Name("FlateDecode")
	delete(s.Dict, "DecodeParms")
	return wrapped(p)
}

// reachable marks the objects that the root leads to. Others were left behind when something took their place.
func (b *builder) reachable(root pdf.Ref) []bool {
	used := make([]bool, b.doc.Len()+1)
	todo := []pdf.Ref{root}
	used[root] = true
	var visit func(o pdf.Object)
	visit = func(o pdf.Object) {
		switch o := o.(type) {
		case pdf.Ref:
			if o > 0 && !used[o] {
				used[o] = true
				todo = append(todo, o)
			}
		case pdf.Array:
			for _, e := range o {
				visit(e)
			}
		case pdf.Dict:
			for _, e := range o {
				visit(e)
			}
		case *pdf.Stream:
			visit(o.Dict)
		}
	}
	for len(todo) > 0 {
		ref := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		visit(b.doc.Get(ref))
	}
	return used
}

// runs folds consecutive pages that are alike.
func (b *builder) runs(t *template.Template) {
	for _, p := range b.source.Pages {
		page := mark.Page{Box: p.Box, Rotate: p.Rotate, Unit: p.Unit}
		if n := len(t.Runs); n > 0 && t.Runs[n-1].Page == page {
			t.Runs[n-1].Count++
			continue
		}
		t.Runs = append(t.Runs, template.Run{Count: 1, Page: page})
	}
}

// pack makes an object stream (ISO 32000-2, 7.5.7).
func (b *builder) pack(w pdf.Writer, numbers []int, refs []pdf.Ref) template.Stream {
	var index, body []byte
	for _, ref := range refs {
		index = strconv.AppendInt(index, int64(numbers[ref]), 10)
		index = append(index, ' ')
		index = strconv.AppendInt(index, int64(len(body)), 10)
		index = append(index, ' ')
		body = w.Append(body, b.doc.Get(ref))
		body = append(body, '\n')
	}
	dict := pdf.Dict{
		"Type": pdf.Name("ObjStm"), "N": int64(len(refs)), "First": int64(len(index)), "Filter": pdf.Name("FlateDecode"),
	}
	return template.Stream{
		Dict:   w.AppendEntries(nil, dict),
		Pieces: []template.Piece{{Kind: template.Kept, Bytes: wrapped(b.deflater.Piece(append(index, body...)))}},
	}
}

// wrapped makes a whole stream (RFC 1950) of a piece.
func wrapped(p template.Piece) []byte {
	out := make([]byte, 0, len(p.Bytes)+11)
	out = append(out, 0x78, 0x9c)
	out = append(out, p.Bytes...)
	out = append(out, 1, 0, 0, 0xff, 0xff) // an empty block, the last
	return binary.BigEndian.AppendUint32(out, p.Adler)
}

// entries are those of the cross-reference for objects 0 to packed; first is the number of the first object stream.
func (b *builder) entries(packed, first int) template.Piece {
	table := make([]byte, 0, template.EntrySize*(packed+1))
	table = append(table, 0, 0, 0, 0, 0, 0, 0xff, 0xff)
	for i := range packed {
		stream := uint64(first + i/perStream)
		table = append(table, 2, byte(stream>>32), byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
		table = binary.BigEndian.AppendUint16(table, uint16(i%perStream))
	}
	return b.deflater.Piece(table)
}
