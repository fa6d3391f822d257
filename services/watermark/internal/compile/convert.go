package compile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"

	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
)

// maxDepth bounds how deep objects nest directly.
const maxDepth = 200

// role is what the dictionary at hand is, as far as its keys mean different things.
type role int

const (
	// general: keys have the meaning the standard gives them.
	general role = iota
	// resources: keys are categories, each with names of its own below.
	resources
	// names: keys were chosen by whoever wrote the file, and say nothing.
	names
	// appearance: keys lead to a stream or to names of states.
	appearance
	// annotations is an array of them.
	annotations
)

// below is the role of what a key leads to.
var below = map[types.Name]role{
	"Resources": resources, "DR": resources, "AP": appearance, "CharProcs": names, "Dests": names, "ClassMap": names,
	"RoleMap": names, "Colorants": names, "Annots": annotations,
}

// dropped are keys that are taken over nowhere.
var dropped = map[string]bool{
	"AA": true, "OpenAction": true, "JS": true, "JavaScript": true, "EmbeddedFiles": true, "AF": true, "EF": true, "RF": true,
	"XFA": true, "PieceInfo": true, "Thumb": true, "Metadata": true, "LastModified": true, "Perms": true, "Legal": true,
	"SigFlags": true, "OPI": true, "Ref": true, "URLS": true, "SpiderInfo": true, "Threads": true,
}

// droppedOfStreams are keys by which a stream's data would come from elsewhere, and its length, which is ours.
var droppedOfStreams = map[string]bool{"F": true, "FFilter": true, "FDecodeParms": true, "DL": true, "Length": true}

// banned actions start, fetch or send something, or leave the document.
var banned = map[string]string{
	"JavaScript": noteScripts, "Launch": noteActions, "SubmitForm": noteActions, "ImportData": noteActions,
	"GoToR": noteActions, "GoToE": noteActions, "Thread": noteActions, "Rendition": noteMedia, "Movie": noteMedia,
	"Sound": noteMedia, "RichMediaExecute": noteMedia, "GoTo3DView": noteMedia,
}

// bannedAnnotations carry files or multimedia.
var bannedAnnotations = map[string]string{
	"FileAttachment": noteFiles, "RichMedia": noteMedia, "3D": noteMedia, "Screen": noteMedia, "Movie": noteMedia, "Sound": noteMedia,
}

// converter takes objects over, following references from the pages on.
type converter struct {
	from   *model.XRefTable
	raw    io.ReaderAt // nil if there is none
	limits Limits
	doc    *pdf.Document
	notes  notes

	// origins are the forms as they were read.
	origins map[*pdf.Stream]types.StreamDict

	refs map[use]pdf.Ref
	todo []pending
	// pages are the objects of the page tree's leaves; any other page is one that was removed.
	pages   map[int]pdf.Ref
	visited map[int]bool // nodes of the page tree
	shared  map[int]*Resources
	merged  int // entries of XObject dictionaries, each written again for the mark
	leaves  []leaf
	failed  error
}

// use is an object of the source in one role. An object that two roles lead to becomes two, so that none is converted by
// the laxer rules of another.
type use struct {
	number int
	role   role
}

type pending struct {
	object types.Object
	ref    pdf.Ref
	role   role
}

func newConverter(from *model.XRefTable, limits Limits) *converter {
	return &converter{
		from: from, limits: limits, doc: &pdf.Document{Version: "1.7"}, notes: notes{}, origins: map[*pdf.Stream]types.StreamDict{},
		refs: map[use]pdf.Ref{}, pages: map[int]pdf.Ref{}, visited: map[int]bool{}, shared: map[int]*Resources{},
	}
}

// source converts everything.
func (c *converter) source() (*source, error) {
	root, err := c.from.Catalog()
	if err != nil || root == nil {
		return nil, broken(fmt.Sprintf("no catalogue: %v", err))
	}
	err = c.walk(root["Pages"])
	if err != nil {
		return nil, err
	}
	if len(c.leaves) == 0 {
		return nil, &Error{Reason: "PDF_NO_PAGES", Message: "the PDF has no pages: upload one that shows something"}
	}
	if c.from.HeaderVersion != nil && *c.from.HeaderVersion == model.V20 || c.from.RootVersion != nil && *c.from.RootVersion == model.V20 {
		c.doc.Version = "2.0"
	}
	t := &source{Document: c.doc, origins: c.origins, budget: c.limits.Content, lenient: c.limits.Lenient}
	for _, l := range c.leaves {
		t.Pages = append(t.Pages, c.page(l))
	}
	t.Catalog = c.catalog(root)
	t.Title = c.title()
	c.drain()
	if c.failed != nil {
		return nil, c.failed
	}
	t.Notes = c.notes.sentences()
	return t, nil
}

// drain converts what was referred to, until nothing new turns up.
func (c *converter) drain() {
	for len(c.todo) > 0 && c.failed == nil {
		p := c.todo[len(c.todo)-1]
		c.todo = c.todo[:len(c.todo)-1]
		c.doc.Set(p.ref, c.object(p.object, p.role, 0))
	}
}

// resolve follows references to what they lead to; nil if that is nothing.
func (c *converter) resolve(o types.Object) types.Object {
	o, err := c.from.Dereference(o)
	if err != nil {
		return nil
	}
	if lazy, ok := o.(types.LazyObjectStreamObject); ok {
		o, err = lazy.DecodedObject(context.Background()) // it is in memory
		if err != nil {
			return nil
		}
	}
	return o
}

func (c *converter) dict(o types.Object) types.Dict {
	switch o := c.resolve(o).(type) {
	case types.Dict:
		return o
	case types.StreamDict:
		return o.Dict
	}
	return nil
}

func (c *converter) name(o types.Object) string {
	n, _ := c.resolve(o).(types.Name)
	return string(n)
}

// object converts o. What is dropped becomes nil.
func (c *converter) object(o types.Object, r role, depth int) pdf.Object {
	if depth > maxDepth {
		c.fail(tooComplex("objects nest too deep"))
		return nil
	}
	switch o := o.(type) {
	case types.Boolean:
		return bool(o)
	case types.Integer:
		return int64(o)
	case types.Float:
		return float64(o)
	case types.Name:
		return pdf.Name(o)
	case types.StringLiteral:
		b, err := types.Unescape(string(o))
		if err != nil {
			b = []byte(o)
		}
		return pdf.String(b)
	case types.HexLiteral:
		return pdf.String(hexBytes(string(o)))
	case types.IndirectRef:
		return c.reference(o, r)
	case types.Array:
		return c.array(o, r, depth)
	case types.Dict:
		d := c.dictionary(o, r, depth)
		if d == nil {
			return nil
		}
		return d
	case types.StreamDict:
		return c.stream(o, depth)
	}
	return nil
}

// lost reports whether the source has an object of that number which could not be read. Where it was repaired already,
// or could not be, a copy goes without it, as readers do.
func (c *converter) lost(number int) bool {
	if c.limits.Lenient {
		return false
	}
	e, ok := c.from.Find(number)
	return ok && e != nil && !e.Free && !e.Compressed && e.Object == nil && e.Offset != nil && *e.Offset != 0
}

// misplaced reports whether the cross-reference leads to something else than the object of that number. Readers find that
// out and look for the object; pdfcpu takes what it finds.
func (c *converter) misplaced(number int) bool {
	e, ok := c.from.Find(number)
	if c.raw == nil || c.limits.Lenient || !ok || e == nil || e.Free || e.Compressed || e.Offset == nil || *e.Offset <= 0 {
		return false
	}
	var head [32]byte
	n, err := c.raw.ReadAt(head[:], *e.Offset)
	if err != nil && n == 0 {
		return true
	}
	var found, generation int
	_, err = fmt.Sscanf(string(bytes.TrimLeft(head[:n], "\x00\t\n\f\r ")), "%d %d obj", &found, &generation)
	return err != nil || found != number
}

func (c *converter) fail(err error) {
	if c.failed == nil {
		c.failed = err
	}
}

// reference gives the object referred to a number, and puts it on the list when it is new.
func (c *converter) reference(ir types.IndirectRef, r role) pdf.Object {
	number := int(ir.ObjectNumber)
	if ref, ok := c.pages[number]; ok {
		return ref
	}
	if c.misplaced(number) {
		c.fail(broken(fmt.Sprintf("object %d is elsewhere", number)))
		return nil
	}
	o := c.resolve(ir)
	if o == nil && c.lost(number) {
		c.fail(broken(fmt.Sprintf("object %d cannot be read", number)))
		return nil
	}
	if _, ok := o.(types.StreamDict); ok {
		r = general
	}
	if ref, ok := c.refs[use{number, r}]; ok {
		return ref
	}
	if o == nil || c.visited[number] {
		return nil
	}
	if d, ok := o.(types.Dict); ok && (c.name(d["Type"]) == "Page" || c.forbidden(d)) {
		return nil
	}
	if s, ok := o.(types.StreamDict); ok && c.forbidden(s.Dict) { // which somebody made of an action
		return nil
	}
	if c.doc.Len() >= c.limits.Objects {
		c.fail(tooComplex(fmt.Sprintf("more than %d objects", c.limits.Objects)))
		return nil
	}
	ref := c.doc.Add(nil)
	c.refs[use{number, r}] = ref
	c.todo = append(c.todo, pending{o, ref, r})
	return ref
}

func (c *converter) array(a types.Array, r role, depth int) pdf.Object {
	out := make(pdf.Array, 0, len(a))
	below := r
	if r == annotations {
		below = general
	}
	for _, e := range a {
		o := c.object(e, below, depth+1)
		if o == nil && r == annotations {
			continue
		}
		out = append(out, o)
	}
	return out
}

func (c *converter) stream(s types.StreamDict, depth int) pdf.Object {
	d := pdf.Dict{}
	for _, key := range slices.Sorted(maps.Keys(s.Dict)) {
		if droppedOfStreams[key] || dropped[key] {
			continue
		}
		d[pdf.Name(key)] = c.object(s.Dict[key], c.child(general, key), depth+1)
	}
	out := &pdf.Stream{Dict: d, Data: s.Raw}
	if d["Subtype"] == pdf.Name("Form") {
		c.origins[out] = s
	}
	return out
}

func (c *converter) child(r role, key string) role {
	switch r {
	case resources, appearance:
		return names
	case names:
		return general
	}
	return below[types.Name(key)]
}

// bare reports whether o is a name tree (ISO 32000-2, 7.9.6) without names and branches.
func (c *converter) bare(o types.Object) bool {
	tree := c.dict(o)
	names, _ := c.resolve(tree["Names"]).(types.Array)
	kids, _ := c.resolve(tree["Kids"]).(types.Array)
	return len(names) == 0 && len(kids) == 0
}

// dictionary converts d, or returns nil if it may not be taken over.
func (c *converter) dictionary(d types.Dict, r role, depth int) pdf.Dict {
	if r == annotations { // one where many are expected
		r = general
	}
	if r == general && c.forbidden(d) {
		return nil
	}
	out := pdf.Dict{}
	signature := r == general && c.name(d["FT"]) == "Sig"
	for _, key := range slices.Sorted(maps.Keys(d)) {
		if r == general && dropped[key] {
			c.notes.dropped(key)
			continue
		}
		if signature && (key == "V" || key == "Lock" || key == "SV") {
			if key == "V" && c.resolve(d[key]) != nil {
				c.notes.add(noteSignatures)
				out[signed] = true
			}
			continue
		}
		o := c.object(d[key], c.child(r, key), depth+1)
		if o != nil {
			out[pdf.Name(key)] = o
		}
	}
	return out
}

// forbidden reports whether d is an action, an annotation or a value that is never taken over.
func (c *converter) forbidden(d types.Dict) bool {
	if s, ok := d["S"]; ok {
		note, bad := banned[c.name(s)]
		if bad {
			c.notes.add(note)
			return true
		}
	}
	if s, ok := d["Subtype"]; ok && d["Rect"] != nil {
		note, bad := bannedAnnotations[c.name(s)]
		if bad {
			c.notes.add(note)
			return true
		}
	}
	if d["ByteRange"] != nil && d["Contents"] != nil {
		c.notes.add(noteSignatures)
		return true
	}
	return false
}

// hexBytes decodes the digits of a hexadecimal string; a missing last one is 0.
func hexBytes(s string) []byte {
	out := make([]byte, 0, (len(s)+1)/2)
	var have bool
	var high byte
	for i := range len(s) {
		c := s[i]
		var v byte
		switch {
		case c >= '0' && c <= '9':
			v = c - '0'
		case c >= 'a' && c <= 'f':
			v = c - 'a' + 10
		case c >= 'A' && c <= 'F':
			v = c - 'A' + 10
		default:
			continue
		}
		if have {
			out = append(out, high<<4|v)
		}
		high, have = v, !have
	}
	if have {
		out = append(out, high<<4)
	}
	return out
}
