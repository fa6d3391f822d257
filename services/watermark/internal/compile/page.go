package compile

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"

	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
)

// maxTreeDepth bounds the page tree; a sane one has a handful of levels.
const maxTreeDepth = 100

// maxCoordinate is more than any page has; readers themselves give up long before.
const maxCoordinate = 200_000

// leaf is a page of the source with what it inherits.
type leaf struct {
	dict      types.Dict
	ref       pdf.Ref
	inherited inherited
}

type inherited struct {
	resources, media, crop, rotate types.Object
}

func (in inherited) with(d types.Dict) inherited {
	for key, field := range map[string]*types.Object{
		"Resources": &in.resources, "MediaBox": &in.media, "CropBox": &in.crop, "Rotate": &in.rotate,
	} {
		if d[key] != nil {
			*field = d[key]
		}
	}
	return in
}

// walk collects the pages below a node. It visits each node once, however it is linked.
func (c *converter) walk(root types.Object) error {
	type step struct {
		object types.Object
		in     inherited
		depth  int
	}
	stack := []step{{object: root}}
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		number := 0
		if ir, ok := s.object.(types.IndirectRef); ok {
			number = int(ir.ObjectNumber)
		}
		d := c.dict(s.object)
		if d == nil && s.depth > 0 { // a copy that lacks pages is worse than none
			return broken(fmt.Sprintf("object %d of the page tree cannot be read", number))
		}
		if d == nil || c.visited[number] && number != 0 {
			continue
		}
		if number != 0 && c.misplaced(number) {
			return broken(fmt.Sprintf("object %d of the page tree is elsewhere", number))
		}
		in := s.in.with(d)
		kids, isNode := c.resolve(d["Kids"]).(types.Array)
		if !isNode || c.name(d["Type"]) == "Page" {
			if c.name(d["Type"]) == "Pages" {
				continue // without kids
			}
			err := c.leaf(number, d, in)
			if err != nil {
				return err
			}
			continue
		}
		if s.depth > maxTreeDepth {
			return tooComplex("page tree too deep")
		}
		if number != 0 {
			c.visited[number] = true
		}
		for i := len(kids) - 1; i >= 0; i-- {
			stack = append(stack, step{kids[i], in, s.depth + 1})
		}
	}
	return nil
}

func (c *converter) leaf(number int, d types.Dict, in inherited) error {
	if len(c.leaves) >= c.limits.Pages {
		return &Error{
			Reason:  "PDF_TOO_MANY_PAGES",
			Message: fmt.Sprintf("the PDF has more than %d pages, the most that one file may have: split it", c.limits.Pages),
		}
	}
	ref := c.doc.Add(nil)
	_, twice := c.pages[number]
	if number != 0 && !twice {
		c.pages[number] = ref
	}
	c.leaves = append(c.leaves, leaf{d, ref, in})
	return nil
}

// pageKeys are what is taken over of a page as it is. Its boxes, content and resources are written anew.
var pageKeys = []string{"BleedBox", "TrimBox", "ArtBox", "Group", "Annots", "StructParents", "Tabs", "Dur", "Trans"}

func (c *converter) page(l leaf) *Page {
	p := &Page{Ref: l.ref, Unit: 1, Rotate: c.rotation(l.inherited.rotate)}
	if unit, ok := c.number(l.dict["UserUnit"]); ok && unit > 0 && unit <= 75_000 {
		p.Unit = unit
	}
	media, ok := c.box(l.inherited.media)
	if !ok {
		media = [4]float64{0, 0, 612, 792}
	}
	p.Box = media
	crop, ok := c.box(l.inherited.crop)
	if ok {
		crop, ok = intersect(crop, media)
	}
	d := pdf.Dict{"Type": pdf.Name("Page"), "MediaBox": rectangle(media)}
	if ok {
		p.Box = crop
		d["CropBox"] = rectangle(crop)
	}
	if p.Rotate != 0 {
		d["Rotate"] = int64(p.Rotate)
	}
	if p.Unit != 1 {
		d["UserUnit"] = p.Unit
		c.doc.Version = "2.0" // newer than 1.6, where it came
	}
	for _, key := range pageKeys {
		if value, has := l.dict[key]; has {
			o := c.object(value, below[types.Name(key)], 0)
			if o != nil {
				d[pdf.Name(key)] = o
			}
		}
	}
	for _, key := range []string{"AA", "Thumb", "PieceInfo", "AF", "Metadata"} {
		if l.dict[key] != nil {
			c.notes.dropped(key)
		}
	}
	c.doc.Set(l.ref, d)
	p.Resources = c.resources(l.inherited.resources)
	p.contents = c.contents(l.dict["Contents"])
	return p
}

// resources converts a resource dictionary, once for all pages that refer to the same.
func (c *converter) resources(o types.Object) *Resources {
	number := 0
	if ir, ok := o.(types.IndirectRef); ok {
		number = int(ir.ObjectNumber)
		if r := c.shared[number]; r != nil {
			return r
		}
	}
	r := &Resources{Dict: pdf.Dict{}, XObjects: pdf.Dict{}}
	d := c.dict(o)
	for _, key := range slices.Sorted(maps.Keys(d)) {
		if key != "XObject" {
			r.Dict[pdf.Name(key)] = c.object(d[key], names, 0)
			continue
		}
		x := c.dict(d[key])
		for _, name := range slices.Sorted(maps.Keys(x)) {
			r.XObjects[pdf.Name(name)] = c.object(x[name], general, 0)
		}
	}
	c.merged += len(r.XObjects)
	if c.merged > c.limits.Objects {
		c.fail(tooComplex("too many resources"))
	}
	if number != 0 {
		c.shared[number] = r
	}
	return r
}

// contents collects the streams of a page's content.
func (c *converter) contents(o types.Object) []types.StreamDict {
	switch o := c.resolve(o).(type) {
	case types.StreamDict:
		return []types.StreamDict{o}
	case types.Array:
		var all []types.StreamDict
		for _, e := range o {
			s, ok := c.resolve(e).(types.StreamDict)
			if ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

func (c *converter) number(o types.Object) (float64, bool) {
	switch o := c.resolve(o).(type) {
	case types.Integer:
		return float64(o), true
	case types.Float:
		return float64(o), !math.IsNaN(float64(o)) && !math.IsInf(float64(o), 0)
	}
	return 0, false
}

func (c *converter) rotation(o types.Object) int {
	v, ok := c.number(o)
	if !ok || math.Abs(v) > 1e6 {
		return 0
	}
	quarters := int(math.Round(v/90)) % 4
	return (quarters + 4) % 4 * 90
}

// box reads a rectangle and puts its corners in order. One without area, or beyond all measure, is none.
func (c *converter) box(o types.Object) ([4]float64, bool) {
	var b [4]float64
	a, ok := c.resolve(o).(types.Array)
	if !ok || len(a) < 4 {
		return b, false
	}
	for i := range b {
		b[i], ok = c.number(a[i])
		if !ok || math.Abs(b[i]) > maxCoordinate {
			return b, false
		}
	}
	b = [4]float64{min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])}
	return b, b[2]-b[0] > 0.01 && b[3]-b[1] > 0.01
}

func intersect(a, b [4]float64) ([4]float64, bool) {
	r := [4]float64{max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])}
	return r, r[2]-r[0] > 0.01 && r[3]-r[1] > 0.01
}

func rectangle(b [4]float64) pdf.Array {
	return pdf.Array{b[0], b[1], b[2], b[3]}
}
