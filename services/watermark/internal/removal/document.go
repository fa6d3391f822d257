package removal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// document is a PDF as qpdf's JSON shows it, with the contents of its pages, and of all that they draw with, split into
// instructions. Values of objects are never changed in place, so a clone costs little.
type document struct {
	path    string
	objects map[string]any // by reference: "5 0 R"
	streams map[string]bool
	root    string
	info    string // the document information, if there is one
	pages   []string
	units   map[string]unit // by reference of the page or the stream
	changed map[string]bool
	last    int // the highest object number
}

// kind is what a piece of content is for.
type kind int

const (
	onPage kind = iota
	inForm
	inPattern
	inGlyph
	onAnnotation
)

// unit is a piece of content with resources of its own.
type unit struct {
	kind kind
	ops  []op
	res  map[string]any
	// shape tells forms apart besides their content.
	shape string
}

type dict = map[string]any

var reference = regexp.MustCompile(`^[0-9]+ [0-9]+ R$`)

// load reads a document that qpdf can read. There must be no object streams: of what is in one, qpdf 11.3 forgets that it
// was changed as soon as it reads something else of the stream.
func load(ctx context.Context, path string) (*document, error) {
	d := &document{path: path, objects: map[string]any{}, streams: map[string]bool{}, units: map[string]unit{}, changed: map[string]bool{}}
	objects, err := readJSON(ctx, path, "--json-stream-data=none")
	if err != nil {
		return nil, err
	}
	for key, o := range objects {
		id, ok := strings.CutPrefix(key, "obj:")
		switch {
		case key == "trailer":
			trailer, _ := o.Value.(dict)
			if trailer["/Type"] == "/XRef" {
				return nil, fmt.Errorf("%s may have object streams", path)
			}
			d.root, _ = trailer["/Root"].(string)
			d.info, _ = trailer["/Info"].(string)
		case ok && o.Stream != nil:
			d.objects[id], d.streams[id] = o.Stream.Dict, true
		case ok:
			d.objects[id] = o.Value
		}
		n, _, _ := strings.Cut(id, " ")
		number, err := strconv.Atoi(n)
		if err == nil {
			d.last = max(d.last, number)
		}
	}
	d.findPages(d.dict(d.root)["/Pages"], dict{}, map[string]bool{})
	if len(d.pages) == 0 {
		return nil, fmt.Errorf("%s has no pages", path)
	}
	return d, d.readContents(ctx)
}

type object struct {
	Value  any
	Stream *struct {
		Data []byte
		Dict dict
	}
}

func readJSON(ctx context.Context, path string, args ...string) (map[string]object, error) {
	out, err := run(ctx, "qpdf", append(append([]string{"--json-output"}, args...), path, "-")...)
	if err != nil {
		return nil, err
	}
	var file struct{ QPDF []json.RawMessage }
	err = json.Unmarshal(out, &file)
	if err != nil || len(file.QPDF) != 2 {
		return nil, fmt.Errorf("qpdf's view of %s: %w", path, err)
	}
	var objects map[string]object
	dec := json.NewDecoder(bytes.NewReader(file.QPDF[1]))
	dec.UseNumber()
	err = dec.Decode(&objects)
	if err != nil {
		return nil, fmt.Errorf("qpdf's view of %s: %w", path, err)
	}
	return objects, nil
}

// clone returns a document that can be changed without d.
func (d *document) clone() *document {
	c := *d
	c.objects, c.units, c.changed, c.streams = maps.Clone(d.objects), maps.Clone(d.units), maps.Clone(d.changed), maps.Clone(d.streams)
	return &c
}

// value resolves a reference.
func (d *document) value(v any) any {
	for range 32 {
		s, ok := v.(string)
		if !ok || !reference.MatchString(s) {
			return v
		}
		v = d.objects[s]
	}
	return nil
}

// dict resolves v to a dictionary, which may be nil, or that of a stream.
func (d *document) dict(v any) dict {
	m, _ := d.value(v).(dict)
	return m
}

// set replaces an entry of an object that is a dictionary or stream; nil deletes it.
func (d *document) set(id, key string, v any) {
	m := maps.Clone(d.dict(id))
	if v == nil {
		delete(m, key)
	} else {
		m[key] = v
	}
	d.objects[id] = m
	d.changed[id] = true
}

// setOps replaces the content of a unit.
func (d *document) setOps(id string, ops []op) {
	u := d.units[id]
	u.ops = ops
	d.units[id] = u
	d.changed[id] = true
}

func (d *document) findPages(v any, inherited dict, seen map[string]bool) {
	id, _ := v.(string)
	m := d.dict(v)
	if m == nil || id == "" || seen[id] || len(seen) > 1<<16 {
		return
	}
	seen[id] = true
	own := maps.Clone(inherited)
	for _, key := range []string{"/Resources", "/Rotate", "/MediaBox", "/CropBox"} {
		if m[key] != nil {
			own[key] = m[key]
		}
	}
	kids, ok := d.value(m["/Kids"]).([]any)
	if !ok {
		full := maps.Clone(m)
		maps.Copy(full, own)
		d.objects[id] = full
		d.pages = append(d.pages, id)
		return
	}
	for _, kid := range kids {
		d.findPages(kid, own, seen)
	}
}

// contents are the references of the content streams of a page.
func (d *document) contents(page string) []string {
	v := d.dict(page)["/Contents"]
	list, ok := d.value(v).([]any)
	if !ok {
		list = []any{v}
	}
	var ids []string
	for _, item := range list {
		id, ok := item.(string)
		if ok && d.streams[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// readContents fetches and parses what the pages draw.
func (d *document) readContents(ctx context.Context) error {
	found := map[string]unit{}
	wanted := map[string]bool{}
	for _, page := range d.pages {
		res := d.dict(d.dict(page)["/Resources"])
		found[page] = unit{kind: onPage, res: res}
		d.findUnits(res, found)
		d.findAppearances(page, found)
		for _, id := range d.contents(page) {
			wanted[id] = true
		}
	}
	for id, u := range found {
		if u.kind != onPage {
			wanted[id] = true
		}
	}
	data, err := d.fetch(ctx, slices.Sorted(maps.Keys(wanted)))
	if err != nil {
		return err
	}
	for id, u := range found {
		if u.kind != onPage {
			text, ok := data[id]
			if ok {
				u.ops = parse(text)
				d.units[id] = u
			}
			continue
		}
		parts := d.contents(id)
		if slices.ContainsFunc(parts, func(part string) bool { return data[part] == nil }) {
			continue // nobody can read it, so it stays
		}
		u.ops = d.parseParts(parts, data)
		d.units[id] = u
	}
	return nil
}

// parseParts parses streams that are one content, and notes in which each instruction begins.
func (d *document) parseParts(ids []string, data map[string][]byte) []op {
	var all []byte
	var ends []int
	for _, id := range ids {
		all = append(append(all, data[id]...), '\n')
		ends = append(ends, len(all))
	}
	ops := parse(all)
	at, part := 0, 0
	for i := range ops {
		s := scanner{data: ops[i].raw}
		s.skip()
		for part < len(ends)-1 && at+s.at >= ends[part] {
			part++
		}
		ops[i].part = part
		at += len(ops[i].raw)
	}
	return ops
}

// fetch returns the decoded data of streams, without those that qpdf cannot decode.
func (d *document) fetch(ctx context.Context, ids []string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for chunk := range slices.Chunk(ids, 2000) {
		args := []string{"--json-stream-data=inline", "--decode-level=generalized"}
		for _, id := range chunk {
			args = append(args, "--json-object="+strings.Replace(strings.TrimSuffix(id, " R"), " ", ",", 1))
		}
		objects, err := readJSON(ctx, d.path, args...)
		if err != nil {
			return nil, err
		}
		for _, id := range chunk {
			o := objects["obj:"+id]
			if o.Stream != nil && o.Stream.Dict["/Filter"] == nil {
				out[id] = append([]byte{}, o.Stream.Data...)
			}
		}
	}
	return out, nil
}

// findUnits notes the forms, patterns and glyphs that resources lead to.
func (d *document) findUnits(res dict, found map[string]unit) {
	note := func(v any, k kind, fallback dict) {
		id, ok := v.(string)
		_, known := found[id]
		if !ok || known || !d.streams[id] {
			return
		}
		m := d.dict(id)
		own := d.dict(m["/Resources"])
		if own == nil {
			own = fallback
		}
		found[id] = unit{kind: k, res: own, shape: fmt.Sprint(m["/BBox"], m["/Matrix"])}
		d.findUnits(own, found)
	}
	for _, v := range d.dict(res["/XObject"]) {
		if d.dict(v)["/Subtype"] == "/Form" {
			note(v, inForm, res)
		}
	}
	for _, v := range d.dict(res["/Pattern"]) {
		note(v, inPattern, res)
	}
	for _, v := range d.dict(res["/ExtGState"]) {
		note(d.dict(d.dict(v)["/SMask"])["/G"], inForm, res)
	}
	for _, v := range d.dict(res["/Font"]) {
		font := d.dict(v)
		own := d.dict(font["/Resources"])
		if own == nil {
			own = res
		}
		for _, glyph := range d.dict(font["/CharProcs"]) {
			note(glyph, inGlyph, own)
		}
	}
}

// findAppearances notes how the annotations of a page look.
func (d *document) findAppearances(page string, found map[string]unit) {
	annots, _ := d.value(d.dict(page)["/Annots"]).([]any)
	for _, a := range annots {
		id, ok := d.dict(d.dict(a)["/AP"])["/N"].(string)
		_, known := found[id]
		if ok && !known && d.streams[id] {
			found[id] = unit{kind: onAnnotation, res: d.dict(d.dict(id)["/Resources"])}
		}
	}
}

// target returns the XObject that an instruction Do of a unit draws.
func (d *document) target(u unit, o op) (id string, xobject dict) {
	if o.name != "Do" {
		return "", nil
	}
	v := d.dict(u.res["/XObject"])[name(o.last())]
	id, _ = v.(string)
	return id, d.dict(v)
}

// save writes the document as a PDF.
func (d *document) save(ctx context.Context, out string) error {
	changes := map[string]any{}
	for id := range d.changed {
		u, isUnit := d.units[id]
		switch {
		case isUnit && u.kind == onPage:
			d.last++
			content := fmt.Sprintf("%d 0 R", d.last)
			changes["obj:"+content] = streamJSON(dict{}, join(u.ops))
			page := maps.Clone(d.dict(id))
			page["/Contents"] = content
			changes["obj:"+id] = dict{"value": page}
		case isUnit:
			changes["obj:"+id] = streamJSON(d.dict(id), join(u.ops))
		case d.streams[id]:
			changes["obj:"+id] = dict{"stream": dict{"dict": d.objects[id]}}
		default:
			changes["obj:"+id] = dict{"value": d.objects[id]}
		}
	}
	text, err := json.Marshal(dict{"qpdf": []any{
		dict{"jsonversion": 2, "pdfversion": "1.7", "pushedinheritedpageresources": false, "calledgetallpages": false, "maxobjectid": d.last},
		changes,
	}})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(out), "changes")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the caller's folder goes, too
	file := filepath.Join(dir, "changes.json")
	err = os.WriteFile(file, text, 0o600)
	if err != nil {
		return err
	}
	_, err = run(ctx, "qpdf", "--update-from-json="+file, d.path, out)
	return err
}

func streamJSON(m dict, data []byte) dict {
	m = maps.Clone(m)
	for _, key := range []string{"/Filter", "/DecodeParms", "/Length", "/F", "/FFilter", "/FDecodeParms"} {
		delete(m, key)
	}
	return dict{"stream": dict{"dict": m, "data": append([]byte{}, data...)}} // nil would be null
}
