package trace

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/pdfcpu/pdfcpu/pkg/filter"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"

	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/picture"
)

var (
	errEncrypted = errors.New("encrypted")
	errNoPDF     = errors.New("no PDF")
)

const (
	maxTreeDepth = 100
	maxSealed    = 100
	// maxCached is how many bytes of forms are kept decoded, for those that many pages use.
	maxCached = 32 << 20
	// maxObjects is how many a document may have.
	maxObjects = 4_000_000
)

// document is an opened suspect.
type document struct {
	table  *model.XRefTable
	limits Limits
	cached map[int][]byte
	room   int // of cached
}

// look opens a suspect and returns what is found in it. It reads what strangers made, and belongs into a sandbox.
func look(ctx context.Context, rs io.ReadSeeker, limits Limits) (Findings, error) {
	id, err := picture.ID(rs)
	if err == nil { // it is a picture, which has nothing but metadata
		f := Findings{Pages: 1}
		if len(id) > 0 {
			f.Sealed = [][]byte{id}
		}
		return f, nil
	}
	err = sniff(rs)
	if err != nil {
		return Findings{}, err
	}
	source, err := pdfcpu.ReadWithContext(ctx, rs, configuration(limits))
	if errors.Is(err, pdfcpu.ErrMalformedEncryption) || errors.Is(err, pdfcpu.ErrUnsupportedEncryptionFeature) || errors.Is(err, pdfcpu.ErrWrongPassword) ||
		err == nil && source.Encrypt != nil {
		return Findings{}, errEncrypted
	}
	if err != nil {
		return Findings{}, fmt.Errorf("read: %w", err)
	}
	d := &document{table: source.XRefTable, limits: limits, cached: map[int][]byte{}, room: maxCached}
	var f Findings
	f.Sealed = d.sealed()
	pages := d.pages(&f)
	s := newScanner(limits, &f)
	for i, p := range pages {
		s.scan(i+1, p)
		for _, a := range d.appearances(p.dict) {
			s.scan(i+1, a)
		}
	}
	f.Pages = len(pages)
	return f, nil
}

// sniff refuses what is no PDF at all. Readers accept a header within the first 1,024 bytes.
func sniff(rs io.ReadSeeker) error {
	_, err := rs.Seek(0, io.SeekStart)
	if err != nil {
		return err
	}
	head := make([]byte, 1024+5)
	n, err := io.ReadFull(rs, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read: %w", err)
	}
	if !bytes.Contains(head[:n], []byte("%PDF-")) {
		return errNoPDF
	}
	_, err = rs.Seek(0, io.SeekStart)
	return err
}

// configuration is pdfcpu's, without the folder of settings it would make in the user's home.
func configuration(limits Limits) *model.Configuration {
	model.ConfigPath = "disable"
	conf := model.NewDefaultConfiguration()
	conf.ValidationMode = model.ValidationRelaxed
	conf.Offline = true
	conf.Limits.MaxDecodeBytes = limits.Content
	conf.Limits.MaxObjectCount = min(conf.Limits.MaxObjectCount, maxObjects)
	return conf
}

// resolve follows references to what they lead to; nil if that is nothing.
func (d *document) resolve(o types.Object) types.Object {
	o, err := d.table.Dereference(o)
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

func (d *document) dict(o types.Object) types.Dict {
	switch o := d.resolve(o).(type) {
	case types.Dict:
		return o
	case types.StreamDict:
		return o.Dict
	}
	return nil
}

func (d *document) name(o types.Object) string {
	n, _ := d.resolve(o).(types.Name)
	return string(n)
}

// sealed returns the sealed entries of all dictionaries that have one: after a merge the one of a part may lie about.
func (d *document) sealed() [][]byte {
	var all [][]byte
	take := func(o types.Object) {
		dict, _ := d.resolve(o).(types.Dict)
		entry, has := dict[hidden.Entry]
		if !has || len(all) >= maxSealed {
			return
		}
		var text []byte
		switch s := d.resolve(entry).(type) {
		case types.StringLiteral:
			var err error
			text, err = types.Unescape(string(s))
			if err != nil {
				return
			}
		case types.HexLiteral:
			var err error
			text, err = s.Bytes()
			if err != nil {
				return
			}
		}
		sealed, err := base64.RawURLEncoding.DecodeString(string(text))
		if err != nil {
			sealed = text // damaged; that it was there says something
		}
		if len(sealed) > 0 && len(sealed) <= hidden.MaxSealed && !slices.ContainsFunc(all, func(b []byte) bool { return bytes.Equal(b, sealed) }) {
			all = append(all, sealed)
		}
	}
	if d.table.Info != nil {
		take(*d.table.Info)
	}
	for _, number := range slices.Sorted(maps.Keys(d.table.Table)) {
		e := d.table.Table[number]
		if e != nil && !e.Free {
			take(e.Object)
		}
	}
	return all
}

// page is a page, a form or an annotation's appearance.
type page struct {
	*document
	dict      types.Dict
	number    int // of its object, 0 if none
	resources types.Object
	streams   []types.StreamDict
	m         matrix
}

// pages walks the page tree; if there is none worth the name, all objects.
func (d *document) pages(f *Findings) []*page {
	root, err := d.table.Catalog()
	var all []*page
	if err == nil {
		all = d.walk(root["Pages"], f)
	}
	if len(all) > 0 {
		return all
	}
	for _, number := range slices.Sorted(maps.Keys(d.table.Table)) {
		e := d.table.Table[number]
		if e == nil || e.Free {
			continue
		}
		dict, _ := d.resolve(e.Object).(types.Dict)
		if dict != nil && d.name(dict["Type"]) == "Page" && len(all) < d.limits.Pages {
			all = append(all, d.leaf(dict, dict["Resources"]))
		}
	}
	return all
}

func (d *document) walk(root types.Object, f *Findings) []*page {
	type step struct {
		object, resources types.Object
		depth             int
	}
	var all []*page
	visited := map[int]bool{}
	stack := []step{{object: root}}
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		dict := d.dict(s.object)
		if dict == nil {
			continue
		}
		if dict["Resources"] != nil {
			s.resources = dict["Resources"]
		}
		kids, isNode := d.resolve(dict["Kids"]).(types.Array)
		if !isNode || d.name(dict["Type"]) == "Page" {
			if len(all) >= d.limits.Pages {
				f.Cut = true
				return all
			}
			all = append(all, d.leaf(dict, s.resources))
			continue
		}
		if ir, ok := s.object.(types.IndirectRef); ok {
			if visited[int(ir.ObjectNumber)] {
				continue
			}
			visited[int(ir.ObjectNumber)] = true
		}
		if s.depth > maxTreeDepth {
			f.Cut = true
			continue
		}
		for i := len(kids) - 1; i >= 0; i-- {
			stack = append(stack, step{kids[i], s.resources, s.depth + 1})
		}
	}
	return all
}

func (d *document) leaf(dict types.Dict, resources types.Object) *page {
	p := &page{document: d, dict: dict, resources: resources, m: identity}
	switch o := d.resolve(dict["Contents"]).(type) {
	case types.StreamDict:
		p.streams = []types.StreamDict{o}
	case types.Array:
		for _, e := range o {
			s, ok := d.resolve(e).(types.StreamDict)
			if ok {
				p.streams = append(p.streams, s)
			}
		}
	}
	return p
}

// appearances are what a page's annotations look like. Where on the page does not matter.
func (d *document) appearances(dict types.Dict) []*page {
	var all []*page
	annots, _ := d.resolve(dict["Annots"]).(types.Array)
	for _, a := range annots {
		normal := d.dict(d.dict(a)["AP"])["N"]
		f := d.xobject(normal, nil)
		if f != nil {
			all = append(all, f)
		}
	}
	return all
}

// xobject is the form that o leads to, nil if it is none.
func (d *document) xobject(o types.Object, inherited types.Object) *page {
	s, ok := d.resolve(o).(types.StreamDict)
	if !ok || d.name(s.Dict["Subtype"]) == "Image" {
		return nil
	}
	p := &page{document: d, dict: s.Dict, resources: s.Dict["Resources"], streams: []types.StreamDict{s}, m: identity}
	if p.resources == nil {
		p.resources = inherited
	}
	if ir, ok := o.(types.IndirectRef); ok {
		p.number = int(ir.ObjectNumber)
	}
	a, _ := d.resolve(s.Dict["Matrix"]).(types.Array)
	if len(a) == len(p.m) {
		for i := range a {
			p.m[i] = d.number(a[i])
		}
	}
	return p
}

func (d *document) number(o types.Object) float64 {
	switch o := d.resolve(o).(type) {
	case types.Integer:
		return float64(o)
	case types.Float:
		return float64(o)
	}
	return 0
}

func (p *page) matrix() matrix { return p.m }

func (p *page) form(name string) form {
	x := p.document.dict(p.document.dict(p.resources)["XObject"])
	f := p.xobject(x[name], p.resources)
	if f == nil {
		return nil
	}
	return f
}

func (p *page) content() []byte {
	if p.number != 0 {
		data, ok := p.cached[p.number]
		if ok {
			return data
		}
	}
	var out []byte
	for i := range p.streams {
		data := p.decode(&p.streams[i])
		if len(out) > 0 {
			out = append(out, '\n')
		}
		out = append(out, data...)
	}
	if p.number != 0 && len(out) <= p.room {
		p.room -= len(out)
		p.cached[p.number] = out
	}
	return out
}

// maxStream is how long one stream may be when it is decoded. Of a longer one, the beginning is read.
const maxStream = 32 << 20

// decode returns what can be read of a stream.
func (d *document) decode(s *types.StreamDict) []byte {
	var r io.Reader = bytes.NewReader(s.Raw)
	for _, f := range s.FilterPipeline {
		predictor := f.DecodeParms.IntEntry("Predictor")
		if f.Name != filter.Flate || predictor != nil && *predictor > 1 {
			probe := *s // pdfcpu keeps what it decoded
			err := probe.DecodeWithLimit(maxStream)
			if err != nil {
				return nil
			}
			return probe.Content
		}
		r = &inflater{from: r}
	}
	data, _ := io.ReadAll(io.LimitReader(r, maxStream)) // an inflater ends quietly
	return data
}

// inflater inflates and ends quietly where its data breaks.
type inflater struct {
	from io.Reader
	z    io.Reader
}

func (i *inflater) Read(p []byte) (int, error) {
	if i.z == nil {
		head := make([]byte, 2)
		n, _ := io.ReadFull(i.from, head) // a short head is a broken stream, seen below
		rest := io.MultiReader(bytes.NewReader(head[:n]), i.from)
		i.z = flate.NewReader(rest)
		if n == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
			z, err := zlib.NewReader(rest)
			if err != nil {
				return 0, io.EOF
			}
			i.z = z
		}
	}
	n, err := i.z.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}
