package compile

import (
	"maps"
	"math"

	"github.com/filigreehq/filigree/services/watermark/internal/content"
	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// Annotations paint after all content of their page. The large ones get the mark on their own appearance, too, so that
// none of them hides it.

const (
	// large is the share of a page from which on an annotation does.
	large = 1.0 / 25
	// mostAppearances is how many of a page get the mark, since each adds to every copy.
	mostAppearances = 16
)

// Flags of annotations (ISO 32000-2, 12.5.3) by which none is seen.
const unseen = 1<<1 | 1<<5 // Hidden, NoView

// appearances puts slots into the appearances of large annotations of a page.
func (b *builder) appearances(number int, p *Page) error {
	page, _ := b.doc.Get(p.Ref).(pdf.Dict)
	annotations, _ := b.resolve(page["Annots"]).(pdf.Array)
	area := (p.Box[2] - p.Box[0]) * (p.Box[3] - p.Box[1])
	done := 0
	for _, o := range annotations {
		a, ok := b.resolve(o).(pdf.Dict)
		if !ok || done == mostAppearances {
			continue
		}
		flags, _ := a["F"].(int64)
		rect, ok := b.rectangle(a["Rect"])
		if !ok || flags&unseen != 0 || a["Subtype"] == pdf.Name("Popup") || (rect[2]-rect[0])*(rect[3]-rect[1]) < large*area {
			continue
		}
		marked, err := b.appearance(number, p, a, rect)
		if err != nil {
			return err
		}
		if marked {
			done++
		}
	}
	return nil
}

// appearance gives an annotation an appearance of its own that ends with a slot, and reports whether it could.
func (b *builder) appearance(number int, p *Page, a pdf.Dict, rect [4]float64) (bool, error) {
	ap, ok := b.resolve(a["AP"]).(pdf.Dict)
	if !ok {
		return false, nil
	}
	s, ok := b.resolve(ap["N"]).(*pdf.Stream)
	if !ok {
		return false, nil
	}
	from, ok := b.source.origins[s]
	if !ok {
		return false, nil // it has slots already: two annotations share it
	}
	back, area, ok := b.pageToAppearance(s, rect)
	if !ok {
		return false, nil
	}
	data, err := b.source.decoded(&from)
	if err != nil {
		return false, err
	}
	e := content.Enclose(data, content.View{Area: area, Image: func(string) bool { return false }})
	if !e.Covers { // text on a ground of the page's: the mark shows, and would be there twice
		return false, nil
	}
	text := append(back.Append(e.Content), " cm\n"...)
	own := &pdf.Stream{Dict: maps.Clone(s.Dict)}
	own.Dict["Filter"] = pdf.Name("FlateDecode")
	delete(own.Dict, "DecodeParms")
	resources, ok := b.resolve(own.Dict["Resources"]).(pdf.Dict)
	if ok {
		own.Dict["Resources"] = b.withOwn(resources)
	} else {
		own.Dict["Resources"] = b.resources(p.Resources) // which is where a reader looks
	}
	b.woven[own] = []template.Piece{b.deflater.Piece(text), {Kind: template.Top, Page: number}}
	ap = maps.Clone(ap)
	ap["N"] = b.doc.Add(own)
	a["AP"] = ap
	return true, nil
}

// pageToAppearance is the matrix from the page's space to that of an appearance's content (12.5.5, algorithm 8.1), and the
// area of its box there.
func (b *builder) pageToAppearance(s *pdf.Stream, rect [4]float64) (back content.Matrix, area float64, ok bool) {
	box, ok := b.rectangle(s.Dict["BBox"])
	if !ok {
		return back, 0, false
	}
	m := content.Matrix{1, 0, 0, 1, 0, 0}
	given, ok := b.resolve(s.Dict["Matrix"]).(pdf.Array)
	if ok && len(given) == len(m) {
		for i := range m {
			m[i], ok = number(given[i])
			if !ok {
				return back, 0, false
			}
		}
	}
	seen := [4]float64{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
	for _, c := range [4][2]float64{{box[0], box[1]}, {box[2], box[1]}, {box[0], box[3]}, {box[2], box[3]}} {
		x, y := m.Point(c[0], c[1])
		seen = [4]float64{min(seen[0], x), min(seen[1], y), max(seen[2], x), max(seen[3], y)}
	}
	w, h := seen[2]-seen[0], seen[3]-seen[1]
	if !(w > 0 && h > 0) {
		return back, 0, false
	}
	sx, sy := (rect[2]-rect[0])/w, (rect[3]-rect[1])/h
	to := m.Times(content.Matrix{sx, 0, 0, sy, rect[0] - float64(seen[0]*sx), rect[1] - float64(seen[1]*sy)})
	back, ok = to.Invert()
	return back, (box[2] - box[0]) * (box[3] - box[1]), ok
}

// resolve follows a reference.
func (b *builder) resolve(o pdf.Object) pdf.Object {
	ref, ok := o.(pdf.Ref)
	if ok && ref > 0 {
		return b.doc.Get(ref)
	}
	return o
}

// rectangle reads one and puts its corners in order.
func (b *builder) rectangle(o pdf.Object) (r [4]float64, ok bool) {
	a, ok := b.resolve(o).(pdf.Array)
	if !ok || len(a) != len(r) {
		return r, false
	}
	for i := range r {
		r[i], ok = number(b.resolve(a[i]))
		if !ok || math.Abs(r[i]) > maxCoordinate {
			return r, false
		}
	}
	r = [4]float64{min(r[0], r[2]), min(r[1], r[3]), max(r[0], r[2]), max(r[1], r[3])}
	return r, r[2] > r[0] && r[3] > r[1]
}

func number(o pdf.Object) (float64, bool) {
	switch v := o.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return 0, false
}
