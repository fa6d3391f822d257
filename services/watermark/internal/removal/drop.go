package removal

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// keep makes a filter of instructions into an edit of all units of the kinds.
func (d *document) keep(keep func(u unit, i int) bool, kinds ...kind) {
	wanted := map[kind]bool{}
	for _, k := range kinds {
		wanted[k] = true
	}
	for id, u := range d.units {
		if !wanted[u.kind] {
			continue
		}
		var left []op
		for i, o := range u.ops {
			if keep(u, i) {
				left = append(left, o)
			}
		}
		if len(left) != len(u.ops) {
			d.setOps(id, left)
		}
	}
}

func dropAnnotations(d *document) {
	for _, page := range d.pages {
		if d.dict(page)["/Annots"] != nil {
			d.set(page, "/Annots", nil)
		}
	}
}

// dropLayers removes all that belongs to a layer, and the layers.
func dropLayers(d *document) {
	d.dropMarked("/OC")
	d.keep(func(u unit, i int) bool {
		_, x := d.target(u, u.ops[i])
		return x["/OC"] == nil
	}, onPage, inForm, inPattern, inGlyph)
	for _, page := range d.pages {
		annots, _ := d.value(d.dict(page)["/Annots"]).([]any)
		var left []any
		for _, a := range annots {
			if d.dict(a)["/OC"] == nil {
				left = append(left, a)
			}
		}
		if len(left) != len(annots) {
			d.set(page, "/Annots", left)
		}
	}
	if d.dict(d.root)["/OCProperties"] != nil {
		d.set(d.root, "/OCProperties", nil)
	}
}

func dropArtifacts(d *document) { d.dropMarked("/Artifact") }

// dropMarked removes marked content of a tag, with all that is within.
func (d *document) dropMarked(tag string) {
	for id, u := range d.units {
		var left []op
		var opened []int // where in left the open ones begin; -1 if of another tag
		for _, o := range u.ops {
			switch o.name {
			case "BMC", "BDC":
				start := -1
				if len(o.args) > 0 && name(o.args[0]) == tag {
					start = len(left)
				}
				opened = append(opened, start)
			case "EMC":
				if len(opened) == 0 {
					break
				}
				start := opened[len(opened)-1]
				opened = opened[:len(opened)-1]
				if start >= 0 {
					left = append(left[:start:start], unbalanced(left[start:])...)
					continue
				}
			}
			left = append(left, o)
		}
		if len(left) != len(u.ops) {
			d.setOps(id, left)
		}
	}
}

// unbalanced returns those of the instructions without which what is before and after them would nest no more.
func unbalanced(ops []op) []op {
	closes := map[string]string{"Q": "q", "ET": "BT", "EMC": "BDC"}
	dropped := make([]bool, len(ops))
	opened := map[string][]int{}
	for i, o := range ops {
		opener, isCloser := closes[o.name]
		switch {
		case o.name == "q" || o.name == "BT" || o.name == "BDC":
			opened[o.name] = append(opened[o.name], i)
		case o.name == "BMC":
			opened["BDC"] = append(opened["BDC"], i)
		case isCloser:
			stack := opened[opener]
			if len(stack) > 0 {
				dropped[i], dropped[stack[len(stack)-1]] = true, true
				opened[opener] = stack[:len(stack)-1]
			}
		default:
			dropped[i] = true
		}
	}
	var left []op
	for i, o := range ops {
		if !dropped[i] {
			left = append(left, o)
		}
	}
	return left
}

// dropForms removes the drawing of forms that more than half of the pages draw: the same form, or one that is the same.
func dropForms(d *document) {
	names := map[string][2]string{}
	pages := map[string]int{}
	for _, page := range d.pages {
		onThis := map[string]bool{}
		d.forms(page, names, onThis, map[string]bool{})
		for id := range onThis {
			pages[id]++
		}
	}
	d.keep(func(u unit, i int) bool {
		id, _ := d.target(u, u.ops[i])
		for _, known := range names[id] {
			if d.common(pages[known]) {
				return false
			}
		}
		return true
	}, onPage, inForm, inPattern, inGlyph)
}

// common reports whether n pages are more than half of them.
func (d *document) common(n int) bool { return 2*n > len(d.pages) }

// forms notes in onThis by what names the forms that a unit draws are known.
func (d *document) forms(id string, names map[string][2]string, onThis, seen map[string]bool) {
	if seen[id] {
		return
	}
	seen[id] = true
	u := d.units[id]
	for _, o := range u.ops {
		form, x := d.target(u, o)
		if x["/Subtype"] != "/Form" {
			continue
		}
		_, known := names[form]
		if !known {
			names[form] = [2]string{form, d.contentName(form)}
		}
		for _, n := range names[form] {
			onThis[n] = true
		}
		d.forms(form, names, onThis, seen)
	}
}

// contentName names a form by what it is.
func (d *document) contentName(id string) string {
	h := sha256.New()
	u := d.units[id]
	for _, o := range u.ops {
		_, _ = fmt.Fprintln(h, o.text()) // a hash takes all
	}
	return fmt.Sprintf("%s%x", u.shape, h.Sum(nil))
}

// dropStream removes the first or last content stream of each page that has several.
func dropStream(last bool) func(*document) {
	return func(d *document) {
		for _, page := range d.pages {
			ops := d.units[page].ops
			if len(ops) == 0 || len(d.contents(page)) < 2 {
				continue
			}
			part, end := ops[0].part, ops[len(ops)-1].part
			if part == end {
				continue
			}
			if last {
				part = end
			}
			var before, in, after []op
			for _, o := range ops {
				switch {
				case o.part < part:
					before = append(before, o)
				case o.part == part:
					in = append(in, o)
				default:
					after = append(after, o)
				}
			}
			d.setOps(page, append(append(before, unbalanced(in)...), after...))
		}
	}
}

// dropGroup removes the first or last group q … Q at the top of each page's content. Where all is in one group, those
// within it are looked at.
func dropGroup(last bool) func(*document) {
	return func(d *document) {
		for _, page := range d.pages {
			ops := d.units[page].ops
			groups := topGroups(ops, 0, len(ops))
			if len(groups) == 0 {
				continue
			}
			g := groups[0]
			if last {
				g = groups[len(groups)-1]
			}
			d.setOps(page, append(ops[:g[0]:g[0]], ops[g[1]:]...))
		}
	}
}

// topGroups returns the outermost groups of ops[from:to], from q to behind Q.
func topGroups(ops []op, from, to int) [][2]int {
	var groups [][2]int
	depth, start, outside := 0, 0, false
	for i := from; i < to; i++ {
		switch ops[i].name {
		case "q":
			if depth == 0 {
				start = i
			}
			depth++
		case "Q":
			if depth == 1 {
				groups = append(groups, [2]int{start, i + 1})
			}
			depth = max(depth-1, 0)
		default:
			outside = outside || depth == 0 && paints[ops[i].name]
		}
	}
	if len(groups) == 1 && !outside {
		inner := topGroups(ops, groups[0][0]+1, groups[0][1]-1)
		if len(inner) > 0 {
			return inner
		}
	}
	return groups
}

var (
	shows = set("Tj TJ ' \"")
	fills = set("S s f F f* B B* b b*")
	lines = set("m l c v y h re")
	// paints are the operators that leave something on the page.
	paints = set("Tj TJ ' \" S s f F f* B B* b b* sh Do BI")
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// dropText removes text that is shown in a state.
func dropText(when func(s state, rotate float64) bool) func(*document) {
	return func(d *document) {
		found := map[place]bool{}
		for _, page := range d.pages {
			rotate := number(d.value(d.dict(page)["/Rotate"]))
			d.walk(page, func(p place, o op, s state) {
				if shows[o.name] && when(s, rotate) {
					found[p] = true
				}
			})
		}
		d.dropPlaces(found)
	}
}

func (d *document) dropPlaces(found map[place]bool) {
	units := map[string]bool{}
	for p := range found {
		units[p.unit] = true
	}
	for id := range units {
		var left []op
		for i, o := range d.units[id].ops {
			if !found[place{id, i}] {
				left = append(left, o)
			}
		}
		d.setOps(id, left)
	}
}

var (
	dropRotated = dropText(func(s state, rotate float64) bool { return !s.upright(rotate) })
	dropSheer   = dropText(func(s state, _ float64) bool { return s.sheer })
)

// dropPaths leaves all paths of units of the kinds unpainted. What is clipped stays clipped.
func dropPaths(kinds ...kind) func(*document) {
	return func(d *document) {
		for id, u := range d.units {
			for _, k := range kinds {
				if u.kind == k {
					d.unpaint(id, func(o op) bool { return fills[o.name] })
				}
			}
		}
	}
}

// unpaint makes n of the path painting operators that which picks.
func (d *document) unpaint(id string, which func(op) bool) {
	ops := d.units[id].ops
	var out []op
	for i, o := range ops {
		if which(o) {
			if out == nil {
				out = append(make([]op, 0, len(ops)), ops...)
			}
			out[i] = op{name: "n", raw: []byte("\nn"), part: o.part}
		}
	}
	if out != nil {
		d.setOps(id, out)
	}
}

func dropMasks(d *document) {
	d.keep(func(u unit, i int) bool {
		o := u.ops[i]
		if o.name == "BI" {
			return !inlineMask(o)
		}
		_, x := d.target(u, o)
		return d.value(x["/ImageMask"]) != true
	}, onPage, inForm, inPattern, inGlyph)
}

func inlineMask(o op) bool {
	for i, a := range o.args {
		key := name(a)
		if (key == "/IM" || key == "/ImageMask") && i+1 < len(o.args) && o.args[i+1] == "true" {
			return true
		}
	}
	return false
}
