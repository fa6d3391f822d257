package compile

import (
	"slices"

	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
)

// A signature lost its value, but not what it looks like: its appearance becomes an annotation of its own, since a reader
// may draw a field without a signature as one to be signed. The field stays, and is shown nowhere.

// shown are the keys of a widget that are about its looks. kept of them are the annotation's.
var (
	shown = []pdf.Name{"Type", "Subtype", "Rect", "AP", "AS", "F", "P", "MK", "BS", "Border", "C", "OC", "H", "A", "StructParent", "NM", "M"}
	kept  = []pdf.Name{"Rect", "AP", "AS", "F", "P", "OC", "StructParent", "NM"}
)

// signatures makes plain annotations of the signatures on a page.
func (b *builder) signatures(p *Page) {
	page, _ := b.doc.Get(p.Ref).(pdf.Dict)
	annotations, _ := b.resolve(page["Annots"]).(pdf.Array)
	var out pdf.Array
	changed := false
	for _, o := range annotations {
		a, ok := b.resolve(o).(pdf.Dict)
		if !ok || a["Subtype"] != pdf.Name("Widget") || !b.isSignature(a) {
			out = append(out, o)
			continue
		}
		changed = true
		if a["AP"] != nil {
			stamp := pdf.Dict{"Type": pdf.Name("Annot"), "Subtype": pdf.Name("Stamp")}
			for _, key := range kept {
				stamp[key] = a[key]
			}
			out = append(out, b.doc.Add(stamp))
		}
		for _, key := range shown {
			delete(a, key)
		}
		parent, ok := b.resolve(a["Parent"]).(pdf.Dict)
		self, isRef := o.(pdf.Ref)
		kids, isArray := b.resolve(parent["Kids"]).(pdf.Array)
		if ok && isRef && isArray && a["T"] == nil { // a mere widget of its field
			parent["Kids"] = slices.DeleteFunc(slices.Clone(kids), func(kid pdf.Object) bool {
				ref, ok := kid.(pdf.Ref)
				return ok && ref == self
			})
		}
	}
	if changed {
		page["Annots"] = out
	}
}

// signed is a key that no copy has: it marks a field whose signature was left out.
const signed = pdf.Name("")

// isSignature reports whether a widget belongs to a signature that was left out. A field that is still to be signed stays.
func (b *builder) isSignature(a pdf.Dict) bool {
	for range maxTreeDepth {
		if a[signed] != nil {
			return true
		}
		parent, ok := b.resolve(a["Parent"]).(pdf.Dict)
		if !ok {
			return false
		}
		a = parent
	}
	return false
}
