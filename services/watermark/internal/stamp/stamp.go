// Package stamp writes a copy: a template's pages, each with the mark drawn last in its own content.
package stamp

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// Engine names the version of what writes copies. It changes with anything that changes a copy's bytes.
const Engine = "filigree-1"

// perNode is how many children a node of the page tree has.
const perNode = 50

// Write writes the copy of t that carries m. It uses t up. The same template, mark and options give the same bytes.
func Write(w io.Writer, t *template.Template, m *mark.Mark, opt pdf.Options) error {
	doc := t.Document
	d, err := newDrawer(doc, m, opt.Seed)
	if err != nil {
		return err
	}
	kids := make([]pdf.Ref, len(t.Pages))
	for i, p := range t.Pages {
		content, err := t.Content(p)
		if err != nil {
			return err
		}
		page, ok := doc.Get(p.Ref).(pdf.Dict)
		if !ok {
			return fmt.Errorf("page %d is no dictionary", i+1)
		}
		page["Contents"] = doc.Add(doc.Flate(d.draw(pdf.Enclose(content), p)))
		page["Resources"] = d.resources(p.Resources)
		kids[i] = p.Ref
	}
	t.Catalog["Pages"] = tree(doc, kids)
	if opt.Password != "" && doc.Version == "1.7" { // revision 6 came after 1.7
		t.Catalog["Extensions"] = pdf.Dict{"ADBE": pdf.Dict{"BaseVersion": pdf.Name("1.7"), "ExtensionLevel": int64(8)}}
	}
	doc.Root = doc.Add(t.Catalog)
	doc.Info = doc.Add(pdf.Dict{"Producer": pdf.String("Filigree")})
	return pdf.Write(w, doc, opt)
}

// tree builds the page tree over kids and returns its root.
func tree(doc *pdf.Document, kids []pdf.Ref) pdf.Ref {
	counts := make([]int64, len(kids))
	for i := range counts {
		counts[i] = 1
	}
	for {
		var nodes []pdf.Ref
		var sums []int64
		for len(kids) > 0 {
			n := min(len(kids), perNode)
			node := doc.Add(nil)
			children := make(pdf.Array, n)
			var sum int64
			for i, kid := range kids[:n] {
				children[i] = kid
				sum += counts[i]
				if d, ok := doc.Get(kid).(pdf.Dict); ok {
					d["Parent"] = node
				}
			}
			doc.Set(node, pdf.Dict{"Type": pdf.Name("Pages"), "Kids": children, "Count": sum})
			nodes, sums = append(nodes, node), append(sums, sum)
			kids, counts = kids[n:], counts[n:]
		}
		if len(nodes) == 1 {
			return nodes[0]
		}
		kids, counts = nodes, sums
	}
}

// drawer puts the mark on pages. Its shapes are forms that all pages share.
type drawer struct {
	doc   *pdf.Document
	mark  *mark.Mark
	forms map[form]named
	known map[*template.Resources]pdf.Ref
	// prefix of the forms' names in resources: drawn from the seed, so that no source can have used it before.
	prefix string
}

type form struct {
	shape int
	tone  mark.Tone
}

type named struct {
	name pdf.Name
	ref  pdf.Ref
}

func newDrawer(doc *pdf.Document, m *mark.Mark, seed pdf.Seed) (*drawer, error) {
	prefix, err := seed.Derive("names", 4)
	if err != nil {
		return nil, err
	}
	d := &drawer{
		doc: doc, mark: m, forms: map[form]named{}, known: map[*template.Resources]pdf.Ref{}, prefix: "F" + hex.EncodeToString(prefix),
	}
	// Every form any page uses must be known before the first resources are written.
	for _, u := range m.On(mark.Page{Box: [4]float64{0, 0, 612, 792}}) {
		d.form(form{u.Shape, u.Tone})
	}
	return d, nil
}

// draw appends the mark to a page's content.
func (d *drawer) draw(content []byte, p *template.Page) []byte {
	for _, u := range d.mark.On(mark.Page{Box: p.Box, Rotate: p.Rotate, Unit: p.Unit}) {
		content = append(content, "q "...)
		content = mark.AppendMatrix(content, u.Matrix)
		content = append(content, " cm /"...)
		content = append(content, d.form(form{u.Shape, u.Tone}).name...)
		content = append(content, " Do Q\n"...)
	}
	return content
}

// form returns the form of a shape in a tone.
func (d *drawer) form(f form) named {
	n, ok := d.forms[f]
	if ok {
		return n
	}
	s := d.mark.Shapes()[f.shape]
	content := append([]byte("/G gs "), percent(f.tone.Gray)...)
	content = append(content, " g\n"...)
	content = append(content, s.Path...)
	content = append(content, "f\n"...)
	stream := d.doc.Flate(content)
	// Letters may reach out of the line's box, but not by an em.
	const margin, unit = mark.PerEm, 1.0 / mark.PerEm
	opacity := float64(f.tone.Opacity) / 100
	stream.Dict["Type"] = pdf.Name("XObject")
	stream.Dict["Subtype"] = pdf.Name("Form")
	stream.Dict["BBox"] = pdf.Array{int64(-margin), int64(-margin), s.Width + margin, s.Height + margin}
	stream.Dict["Matrix"] = pdf.Array{unit, int64(0), int64(0), unit, int64(0), int64(0)}
	stream.Dict["Resources"] = pdf.Dict{"ExtGState": pdf.Dict{"G": pdf.Dict{
		"Type": pdf.Name("ExtGState"), "ca": opacity, "CA": opacity, "BM": pdf.Name("Normal"), "SMask": pdf.Name("None"), "AIS": false,
	}}}
	n = named{pdf.Name(d.prefix + strconv.Itoa(len(d.forms))), d.doc.Add(stream)}
	d.forms[f] = n
	return n
}

// percent writes p hundredths as a PDF number.
func percent(p int) string { return strconv.FormatFloat(float64(p)/100, 'f', -1, 64) }

// resources is r with the mark's forms.
func (d *drawer) resources(r *template.Resources) pdf.Ref {
	ref, ok := d.known[r]
	if ok {
		return ref
	}
	objects := pdf.Dict{}
	for name, o := range r.XObjects {
		objects[name] = o
	}
	for _, n := range d.forms {
		objects[n.name] = n.ref
	}
	out := pdf.Dict{"XObject": objects}
	for name, o := range r.Dict {
		out[name] = o
	}
	ref = d.doc.Add(out)
	d.known[r] = ref
	return ref
}
