package watermark_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// document is a PDF's objects as qpdf tells them in JSON. A reference is a string "12 0 R", a name one that begins with
// a slash, a text one that begins with "u:" or "b:".
type document struct {
	objects map[string]any // by reference; of streams their dictionaries
	streams map[string]bool
	trailer map[string]any
	pages   []string // references
	index   map[string]int
	names   map[string]any // named destinations
}

func readDocument(text string) (*document, error) {
	var raw struct {
		Pages []struct{ Object string } `json:"pages"`
		QPDF  []json.RawMessage         `json:"qpdf"`
	}
	err := json.Unmarshal([]byte(text), &raw)
	if err != nil {
		return nil, fmt.Errorf("read qpdf's JSON: %w", err)
	}
	if len(raw.QPDF) < 2 {
		return nil, fmt.Errorf("qpdf's JSON has no objects")
	}
	var objects map[string]struct {
		Value  any `json:"value"`
		Stream *struct {
			Dict map[string]any `json:"dict"`
		} `json:"stream"`
	}
	err = json.Unmarshal(raw.QPDF[1], &objects)
	if err != nil {
		return nil, fmt.Errorf("read qpdf's objects: %w", err)
	}
	d := &document{objects: map[string]any{}, streams: map[string]bool{}, index: map[string]int{}, names: map[string]any{}}
	for key, o := range objects {
		ref := strings.TrimPrefix(key, "obj:")
		switch {
		case key == "trailer":
			d.trailer, _ = o.Value.(map[string]any)
		case o.Stream != nil:
			d.objects[ref], d.streams[ref] = o.Stream.Dict, true
		default:
			d.objects[ref] = o.Value
		}
	}
	for i, p := range raw.Pages {
		d.pages = append(d.pages, p.Object)
		d.index[p.Object] = i + 1
	}
	root := d.dict(d.trailer["/Root"])
	for name, dest := range d.dict(root["/Dests"]) {
		d.names[name] = dest
	}
	d.tree(d.dict(root["/Names"])["/Dests"], "/Names", func(name string, dest any) { d.names[name] = dest })
	return d, nil
}

var isRef = regexp.MustCompile(`^\d+ \d+ R$`).MatchString

// get follows references.
func (d *document) get(v any) any {
	for range 20 {
		ref, ok := v.(string)
		if !ok || !isRef(ref) {
			return v
		}
		v = d.objects[ref]
	}
	return nil
}

func (d *document) dict(v any) map[string]any {
	m, _ := d.get(v).(map[string]any)
	return m
}

func (d *document) list(v any) []any {
	l, _ := d.get(v).([]any)
	return l
}

func (d *document) text(v any) string {
	s, _ := d.get(v).(string)
	return s
}

// tree walks a tree of names or numbers.
func (d *document) tree(v any, key string, leaf func(string, any)) {
	seen := map[string]bool{}
	var walk func(any, int)
	walk = func(v any, depth int) {
		if ref, ok := v.(string); ok {
			if seen[ref] {
				return
			}
			seen[ref] = true
		}
		if depth > 60 {
			return
		}
		node := d.dict(v)
		list := d.list(node[key])
		for i := 0; i+1 < len(list); i += 2 {
			leaf(fmt.Sprint(d.get(list[i])), list[i+1])
		}
		for _, kid := range d.list(node["/Kids"]) {
			walk(kid, depth+1)
		}
	}
	walk(v, 0)
}

// reach visits every dictionary that v leads to, once, and says where it stands.
func (d *document) reach(v any, visit func(where string, dict map[string]any)) map[string]bool {
	seen := map[string]bool{}
	type item struct {
		where string
		v     any
	}
	work := []item{{"trailer", v}}
	for len(work) > 0 {
		it := work[len(work)-1]
		work = work[:len(work)-1]
		switch v := it.v.(type) {
		case string:
			if isRef(v) && !seen[v] {
				seen[v] = true
				work = append(work, item{v, d.objects[v]})
			}
		case []any:
			for _, x := range v {
				work = append(work, item{it.where, x})
			}
		case map[string]any:
			visit(it.where, v)
			for _, x := range v {
				work = append(work, item{it.where, x})
			}
		}
	}
	return seen
}

// unreachable lists objects that nothing leads to.
func (d *document) unreachable() []string {
	seen := d.reach(map[string]any(d.trailer), func(string, map[string]any) {})
	var out []string
	for ref, o := range d.objects {
		if dict, ok := o.(map[string]any); ok && (dict["/Type"] == "/XRef" || dict["/Type"] == "/ObjStm") {
			continue
		}
		if !seen[ref] && o != nil {
			out = append(out, ref)
		}
	}
	slices.Sort(out)
	return out
}

// started are kinds of actions that start, fetch, send or play something.
var started = []string{"/JavaScript", "/Launch", "/SubmitForm", "/ImportData", "/GoToR", "/GoToE", "/Rendition", "/Movie", "/Sound", "/RichMediaExecute", "/GoTo3DView", "/ResetForm"}

// active lists what the default policy keeps out of copies.
func (d *document) active() []string {
	var out []string
	d.reach(map[string]any(d.trailer), func(where string, m map[string]any) {
		kind, _ := d.get(m["/S"]).(string)
		if slices.Contains(started, kind) && m["/Type"] != "/StructElem" && m["/P"] == nil {
			out = append(out, where+": an action "+kind)
		}
		for _, key := range []string{"/JS", "/AA", "/OpenAction", "/EmbeddedFiles", "/EF", "/XFA", "/RichMediaContent", "/Thumb", "/PieceInfo", "/Metadata", "/JavaScript"} {
			// In resources and such the name may be anybody's.
			if m[key] != nil && d.get(m[key]) != nil && !(key == "/Metadata" && m["/Type"] == nil) {
				out = append(out, where+": an entry "+key)
			}
		}
		if sub := d.text(m["/Subtype"]); slices.Contains([]string{"/RichMedia", "/3D", "/FileAttachment", "/Movie", "/Sound", "/Screen"}, sub) && m["/Rect"] != nil {
			out = append(out, where+": an annotation "+sub)
		}
		if d.streams[where] && m["/Length"] != nil && (m["/F"] != nil || m["/FFilter"] != nil) && isTop(d, where, m) {
			out = append(out, where+": a stream in another file")
		}
	})
	slices.Sort(out)
	return out
}

func isTop(d *document, ref string, m map[string]any) bool {
	top, ok := d.objects[ref].(map[string]any)
	return ok && fmt.Sprintf("%p", top) == fmt.Sprintf("%p", m)
}

// featureNames are what a copy keeps of its source.
var featureNames = []string{"links", "annotations", "outlines", "tags", "form fields", "page labels", "language", "title", "layers"}

// features lists what of each there is, in a form that does not depend on how objects are numbered.
func (d *document) features() map[string][]string {
	root := d.dict(d.trailer["/Root"])
	f := map[string][]string{}
	for i, page := range d.pages {
		for _, a := range d.list(d.dict(page)["/Annots"]) {
			m := d.dict(a)
			kind := d.text(m["/Subtype"])
			switch kind {
			case "", "/RichMedia", "/3D", "/FileAttachment", "/Movie", "/Sound", "/Screen", "/PrinterMark", "/TrapNet":
				continue
			}
			if kind == "/Widget" && d.signed(m) { // its look stays, without a field that is to be signed
				if m["/AP"] == nil {
					continue
				}
				kind = "/Stamp"
			}
			f["annotations"] = append(f["annotations"], fmt.Sprintf("page %d: %s", i+1, kind))
			if kind == "/Link" {
				if to := d.target(m["/Dest"], m["/A"]); to != "" {
					f["links"] = append(f["links"], fmt.Sprintf("page %d: %s", i+1, to))
				}
			}
		}
	}
	seen := map[string]bool{}
	var outline func(v any, depth int)
	outline = func(v any, depth int) {
		for range 100_000 {
			ref, _ := v.(string)
			m := d.dict(v)
			if m == nil || seen[ref] || depth > 100 {
				return
			}
			seen[ref] = true
			f["outlines"] = append(f["outlines"], fmt.Sprintf("%d %s: %s", depth, d.text(m["/Title"]), d.target(m["/Dest"], m["/A"])))
			outline(m["/First"], depth+1)
			v = m["/Next"]
		}
	}
	outline(d.dict(root["/Outlines"])["/First"], 0)
	f["tags"] = d.tags(root)
	f["form fields"] = d.fields(root)
	d.tree(root["/PageLabels"], "/Nums", func(n string, v any) {
		m := d.dict(v)
		f["page labels"] = append(f["page labels"], fmt.Sprintf("%s: %v %v %v", n, d.get(m["/S"]), d.get(m["/P"]), d.get(m["/St"])))
	})
	if s := d.text(root["/Lang"]); s != "" && s != "u:" {
		f["language"] = []string{s}
	}
	if s := d.text(d.dict(d.trailer["/Info"])["/Title"]); s != "" && s != "u:" {
		f["title"] = []string{s}
	}
	oc := d.dict(root["/OCProperties"])
	for _, g := range d.list(oc["/OCGs"]) {
		f["layers"] = append(f["layers"], d.text(d.dict(g)["/Name"]))
	}
	for _, g := range d.list(d.dict(oc["/D"])["/OFF"]) {
		f["layers"] = append(f["layers"], "off: "+d.text(d.dict(g)["/Name"]))
	}
	slices.Sort(f["layers"])
	return f
}

// signed reports whether a widget is that of a signature.
func (d *document) signed(widget map[string]any) bool {
	var kind string
	var value any
	for range 50 {
		if widget == nil {
			break
		}
		if kind == "" {
			kind = d.text(widget["/FT"])
		}
		if value == nil {
			value = d.get(widget["/V"])
		}
		widget = d.dict(widget["/Parent"])
	}
	return kind == "/Sig" && value != nil
}

// target says where a link or an outline leads, if it leads somewhere copies may lead.
func (d *document) target(dest, action any) string {
	if a := d.dict(action); dest == nil && a != nil {
		switch kind := d.text(a["/S"]); kind {
		case "/GoTo":
			dest = a["/D"]
		case "/URI":
			return d.text(a["/URI"])
		case "/Named":
			return d.text(a["/N"])
		default:
			return ""
		}
	}
	v := d.get(dest)
	if name, ok := v.(string); ok {
		v = d.get(d.names[name])
	}
	if m, ok := v.(map[string]any); ok {
		v = d.get(m["/D"])
	}
	l, ok := v.([]any)
	if !ok || len(l) == 0 {
		return ""
	}
	ref, ok := l[0].(string)
	if !ok || d.index[ref] == 0 {
		return ""
	}
	return fmt.Sprintf("to page %d", d.index[ref])
}

// tags counts the elements of the structure tree by kind, those with a replacement text apart.
func (d *document) tags(root map[string]any) []string {
	count := map[string]int{}
	seen := map[string]bool{}
	work := []any{d.dict(root["/StructTreeRoot"])["/K"]}
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		if ref, ok := v.(string); ok {
			if seen[ref] {
				continue
			}
			seen[ref] = true
		}
		switch v := d.get(v).(type) {
		case []any:
			work = append(work, v...)
		case map[string]any:
			if kind := d.text(v["/S"]); kind != "" {
				count[kind]++
				if v["/Alt"] != nil || v["/ActualText"] != nil {
					count[kind+" with text"]++
				}
			}
			work = append(work, v["/K"])
		}
	}
	var out []string
	for kind, n := range count {
		out = append(out, fmt.Sprintf("%s: %d", kind, n))
	}
	slices.Sort(out)
	return out
}

// fields lists form fields with their kinds and values. Signatures have lost theirs.
func (d *document) fields(root map[string]any) []string {
	var out []string
	seen := map[string]bool{}
	var walk func(v any, name, kind string, value any, depth int)
	walk = func(v any, name, kind string, value any, depth int) {
		if ref, ok := v.(string); ok {
			if seen[ref] {
				return
			}
			seen[ref] = true
		}
		m := d.dict(v)
		if m == nil || depth > 50 {
			return
		}
		if s := d.text(m["/FT"]); s != "" {
			kind = s
		}
		if m["/V"] != nil {
			value = d.get(m["/V"])
		}
		if m["/T"] != nil {
			name += "." + d.text(m["/T"])
			if kind == "/Sig" || d.streamed(m["/V"]) {
				value = nil
			}
			out = append(out, fmt.Sprintf("%s %s %v", name, kind, value))
		}
		for _, kid := range d.list(m["/Kids"]) {
			walk(kid, name, kind, value, depth+1)
		}
	}
	for _, v := range d.list(d.dict(root["/AcroForm"])["/Fields"]) {
		walk(v, "", "", nil, 0)
	}
	slices.Sort(out)
	return out
}

func (d *document) streamed(v any) bool {
	ref, ok := v.(string)
	return ok && d.streams[ref]
}
