package removal

import "regexp"

// What is in this file was written with our own code at hand, unlike the rest: it looks for what copies of ours have and
// hardly anything else does. No mark that leaves text as text withstands that, and how it is made is no secret.

var (
	ownForm  = regexp.MustCompile(`^/Fg[a-z]F[0-9]+$`)
	ownState = regexp.MustCompile(`^/Fg[a-z]G[0-9]+$`)
)

// vertices is how many points the line has that carries the hidden id.
const vertices = 30

// Own returns the attacks on our own format: each kind of what copies are marked with alone, and all kinds at once.
func Own() []Attack {
	ways := []way{
		{"our lines", dropOwnLines},
		{"our pictures", dropOwnPictures},
		{"our forms", dropOwnForms},
		{"our document information", dropInformation},
	}
	var attacks []Attack
	for _, w := range ways {
		attacks = append(attacks, newAttack(preparation{}, w))
	}
	behind := newAttack(preparation{}, way{"all behind the page's own content", dropBehind})
	whole := newAttack(preparation{}, ways...)
	whole.Name = "all that is ours, at once"
	return append(attacks, behind, whole)
}

// dropBehind leaves of each page the first group at the top of its content: what was there before it was marked, with
// what is woven in.
func dropBehind(d *document) {
	for _, page := range d.pages {
		ops := d.units[page].ops
		depth := 0
		for i, o := range ops {
			switch o.name {
			case "q":
				depth++
			case "Q":
				depth--
			}
			if depth <= 0 {
				d.setOps(page, ops[:i+1:i+1])
				break
			}
		}
	}
}

// dropOwnLines removes every line of as many points as carry the hidden id, wherever it is stroked.
func dropOwnLines(d *document) {
	for id, u := range d.units {
		var left []op
		changed := false
		for i, o := range u.ops {
			if o.name == "S" && isOwnLine(u.ops[:i]) {
				o = op{name: "n", raw: []byte("\nn"), part: o.part}
				changed = true
			}
			left = append(left, o)
		}
		if changed {
			d.setOps(id, left)
		}
	}
}

// isOwnLine reports whether what ends here is one moveto and 29 lines.
func isOwnLine(before []op) bool {
	n := len(before)
	if n < vertices || before[n-vertices].name != "m" {
		return false
	}
	for _, o := range before[n-vertices+1:] {
		if o.name != "l" {
			return false
		}
	}
	return true
}

// dropOwnPictures removes the masks that are painted after a state of ours was set.
func dropOwnPictures(d *document) {
	d.keep(func(u unit, i int) bool {
		if u.ops[i].name != "BI" || !inlineMask(u.ops[i]) {
			return true
		}
		for j := i - 1; j >= 0 && u.ops[j].name != "q" && u.ops[j].name != "Q"; j-- {
			if u.ops[j].name == "gs" && ownState.MatchString(name(u.ops[j].last())) {
				return false
			}
		}
		return true
	}, onPage, inForm)
}

// dropOwnForms removes the outlines, on pages and on annotations.
func dropOwnForms(d *document) {
	d.keep(func(u unit, i int) bool {
		return u.ops[i].name != "Do" || !ownForm.MatchString(name(u.ops[i].last()))
	}, onPage, inForm, onAnnotation)
}

func dropInformation(d *document) {
	if d.info != "" {
		d.objects[d.info] = dict{}
		d.changed[d.info] = true
	}
}
