package removal

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
)

// look is a digest of all that decides how a page looks. Pages of two versions of one document with the same look are
// rendered once: most attacks leave most pages as they were, or as another attack left them.
type look [sha256.Size]byte

// offPage are the entries that lead away from a page, or say nothing about how it looks.
var offPage = map[string]bool{
	"/Parent": true, "/P": true, "/Popup": true, "/A": true, "/AA": true, "/Dest": true, "/B": true, "/StructParent": true,
	"/StructParents": true, "/Metadata": true, "/PieceInfo": true, "/IRT": true, "/Contents": true, "/LastModified": true,
	"/Length": true, "/Filter": true, "/DecodeParms": true,
}

type looker struct {
	d    *document
	h    hash.Hash
	seen map[string]int
}

// look returns what page i looks like.
func (d *document) look(i int) look {
	l := looker{d: d, h: sha256.New(), seen: map[string]int{}}
	id := d.pages[i]
	l.ops(d.units[id].ops)
	l.dict(d.dict(id))
	l.value(d.dict(d.root)["/OCProperties"], 0)
	form := maps.Clone(d.dict(d.dict(d.root)["/AcroForm"])) // its resources and look of fields without one
	delete(form, "/Fields")
	delete(form, "/XFA")
	l.dict(form)
	return look(l.h.Sum(nil))
}

func (l *looker) write(s string) { _, _ = io.WriteString(l.h, s+"\n") } // a hash takes all

func (l *looker) ops(ops []op) {
	for _, o := range ops {
		l.write(o.text())
	}
}

func (l *looker) dict(m dict) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !offPage[key] {
			l.write(key)
			l.value(m[key], 0)
		}
	}
	l.write("end")
}

func (l *looker) value(v any, depth int) {
	if depth > 100 {
		return
	}
	switch v := v.(type) {
	case string:
		if !reference.MatchString(v) {
			l.write(v)
			return
		}
		n, known := l.seen[v]
		if known {
			l.write(fmt.Sprint("again ", n))
			return
		}
		l.seen[v] = len(l.seen)
		u, isUnit := l.d.units[v]
		if isUnit {
			l.ops(u.ops)
		}
		l.value(l.d.objects[v], depth+1)
	case dict:
		l.dict(v)
	case []any:
		l.write("[")
		for _, item := range v {
			l.value(item, depth+1)
		}
		l.write("]")
	default:
		l.write(fmt.Sprint(v))
	}
}

// digest is what a value is, all that it leads to included, whatever the numbers of objects.
func (d *document) digest(v any) string {
	l := looker{d: d, h: sha256.New(), seen: map[string]int{}}
	l.value(v, 0)
	return fmt.Sprintf("%x", l.h.Sum(nil))
}
