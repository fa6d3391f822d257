package removal

import (
	"context"
	"fmt"
	"path/filepath"
	"sort"
)

// Compared returns what somebody can do who has the copy of another recipient, too: drop whatever the two do not share.
// These are no part of the criterion. The other copy's first pages are read now, all if pages is 0; dir is for files.
func Compared(ctx context.Context, other, dir string, pages int) ([]Attack, error) {
	file := filepath.Join(dir, "compared.pdf")
	err := firstPages(ctx, other, file, pages)
	if err != nil {
		return nil, err
	}
	d, err := load(ctx, file)
	if err != nil {
		return nil, err
	}
	all, spare := comparison{other: d}, comparison{other: d, spareText: true}
	return []Attack{
		newAttack(preparation{}, way{"what differs from another copy", all.edit}),
		newAttack(preparation{}, way{"what differs from another copy, but for text and settings", spare.edit}),
	}, nil
}

type comparison struct {
	other     *document
	spareText bool
}

func (c comparison) edit(d *document) {
	for i, page := range d.pages {
		if i < len(c.other.pages) {
			c.page(d, page, c.other, c.other.pages[i])
		}
	}
}

// page drops from a page what another's has not, and leaves what holds it together.
func (c comparison) page(d *document, page string, other *document, otherPage string) {
	ops := d.units[page].ops
	mine, theirs := d.essence(page), other.essence(otherPage)
	shared := inBoth(mine, theirs)
	var left []op
	for i, o := range ops {
		painted := paints[o.name]
		keep := shared[i] || bare[o.name] && !painted || o.name == "BDC" || o.name == "BMC"
		if c.spareText {
			keep = keep || !painted || shows[o.name]
		}
		switch {
		case keep:
			left = append(left, o)
		case fills[o.name]:
			left = append(left, op{name: "n", raw: []byte("\nn"), part: o.part})
		}
	}
	if len(left) != len(ops) || c.spareText {
		d.setOps(page, left)
	}
}

// essence is each instruction of a unit, with what it draws or sets in place of the name of it.
func (d *document) essence(id string) []string {
	kinds := map[string]string{"Do": "/XObject", "gs": "/ExtGState", "Tf": "/Font", "cs": "/ColorSpace", "CS": "/ColorSpace", "scn": "/Pattern", "sh": "/Shading"}
	u := d.units[id]
	known := map[string]string{}
	out := make([]string, len(u.ops))
	for i, o := range u.ops {
		if fills[o.name] {
			out[i] = path(u.ops, i)
			continue
		}
		out[i] = o.text()
		k, ok := kinds[o.name]
		if !ok || len(o.args) == 0 {
			continue
		}
		n := o.last()
		if o.name == "Tf" {
			n = o.args[0]
		}
		key := k + n
		_, ok = known[key]
		if !ok {
			known[key] = d.digest(d.dict(u.res[k])[name(n)])
		}
		out[i] = fmt.Sprint(known[key], o.args[1:], o.name)
	}
	return out
}

// inBoth reports which of a are in b, in order: those of a longest common subsequence where a unique one leads there,
// and by their neighbours elsewhere.
func inBoth(a, b []string) []bool {
	shared := make([]bool, len(a))
	match(a, b, shared)
	return shared
}

func match(a, b []string, shared []bool) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		shared[0] = true
		a, b, shared = a[1:], b[1:], shared[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		shared[len(a)-1] = true
		a, b, shared = a[:len(a)-1], b[:len(b)-1], shared[:len(a)-1]
	}
	if len(a) == 0 || len(b) == 0 {
		return
	}
	anchors := anchors(a, b)
	if len(anchors) == 0 {
		greedy(a, b, shared)
		return
	}
	i, j := 0, 0
	for _, p := range anchors {
		match(a[i:p[0]], b[j:p[1]], shared[i:p[0]])
		shared[p[0]] = true
		i, j = p[0]+1, p[1]+1
	}
	match(a[i:], b[j:], shared[i:])
}

// anchors are the places of what is once in both, as far as it is in one order: a longest increasing subsequence.
func anchors(a, b []string) [][2]int {
	type seen struct{ inA, inB, i, j int }
	found := map[string]*seen{}
	for i, t := range a {
		if found[t] == nil {
			found[t] = &seen{}
		}
		found[t].inA++
		found[t].i = i
	}
	for j, t := range b {
		if found[t] != nil {
			found[t].inB++
			found[t].j = j
		}
	}
	var pairs [][2]int
	for i, t := range a {
		s := found[t]
		if s.inA == 1 && s.inB == 1 {
			pairs = append(pairs, [2]int{i, s.j})
		}
	}
	var ends []int // of the best sequence of each length, its last pair
	before := make([]int, len(pairs))
	for n, p := range pairs {
		k := sort.Search(len(ends), func(k int) bool { return pairs[ends[k]][1] >= p[1] })
		before[n] = -1
		if k > 0 {
			before[n] = ends[k-1]
		}
		if k == len(ends) {
			ends = append(ends, n)
		} else {
			ends[k] = n
		}
	}
	if len(ends) == 0 {
		return nil
	}
	out := make([][2]int, len(ends))
	for n, k := ends[len(ends)-1], len(ends)-1; n >= 0; n, k = before[n], k-1 {
		out[k] = pairs[n]
	}
	return out
}

// greedy takes for shared what comes next in b within reach.
func greedy(a, b []string, shared []bool) {
	const reach = 400
	j := 0
	for i, t := range a {
		for k := j; k < min(len(b), j+reach); k++ {
			if b[k] == t {
				shared[i] = true
				j = k + 1
				break
			}
		}
	}
}
