package removal

import (
	"bytes"
	"strings"
)

// bare are instructions that stand on lines of their own in almost any content. A tool that took them would break all.
var bare = set("q Q BT ET EMC n W W* h f F f* S s B B* b b* T*")

// dropLines removes the lines that the contents of more than half of the pages have.
func dropLines(d *document) {
	count := map[string]int{}
	texts := map[string][]string{}
	for _, page := range d.pages {
		texts[page] = strings.FieldsFunc(string(join(d.units[page].ops)), func(r rune) bool { return r == '\n' || r == '\r' })
		onThis := map[string]bool{}
		for _, line := range texts[page] {
			line = strings.TrimSpace(line)
			if !isBare(line) {
				onThis[line] = true
			}
		}
		for line := range onThis {
			count[line]++
		}
	}
	for _, page := range d.pages {
		var left []string
		for _, line := range texts[page] {
			if !d.common(count[strings.TrimSpace(line)]) {
				left = append(left, line)
			}
		}
		if len(left) != len(texts[page]) {
			d.setOps(page, parse([]byte(strings.Join(left, "\n")+"\n")))
		}
	}
}

func isBare(line string) bool {
	for _, word := range strings.Fields(line) {
		if !bare[word] {
			return false
		}
	}
	return true
}

// dropInstructions removes the instructions with operands that the contents of more than half of the pages have. Those
// that open marked content stay, so that what closes it does.
func dropInstructions(d *document) {
	d.dropRepeated(func(u unit, i int) string {
		o := u.ops[i]
		if len(o.args) == 0 && o.name != "BI" || o.name == "BDC" || o.name == "BMC" {
			return ""
		}
		return o.text()
	}, onPage)
}

// dropObjects removes what more than half of the pages paint: the same path, text, image or form, wherever it is put. The
// settings around it stay, so that less of what is the page's own is broken.
func dropObjects(d *document) {
	d.dropRepeated(func(u unit, i int) string {
		o := u.ops[i]
		form, _ := d.target(u, o)
		switch {
		case fills[o.name]:
			return path(u.ops, i)
		case form != "":
			return form
		case paints[o.name]:
			return o.text()
		}
		return ""
	}, onPage, inForm)
}

// path is the text of a path that is painted by ops[i].
func path(ops []op, i int) string {
	start := i
	for start > 0 && (lines[ops[start-1].name] || ops[start-1].name == "W" || ops[start-1].name == "W*") {
		start--
	}
	var b bytes.Buffer
	for _, o := range ops[start : i+1] {
		b.WriteString(o.text())
		b.WriteByte('\n')
	}
	return b.String()
}

// dropRepeated removes the instructions whose text more than half of the pages have in the units of the kinds that they
// draw. An instruction that paints a path becomes one that does not.
func (d *document) dropRepeated(text func(u unit, i int) string, kinds ...kind) {
	wanted := map[kind]bool{}
	for _, k := range kinds {
		wanted[k] = true
	}
	count := map[string]int{}
	texts := map[string][]string{}
	for _, page := range d.pages {
		onThis := map[string]bool{}
		for id := range d.drawn(page) {
			u := d.units[id]
			if !wanted[u.kind] {
				continue
			}
			if texts[id] == nil {
				texts[id] = make([]string, len(u.ops))
				for i := range u.ops {
					texts[id][i] = text(u, i)
				}
			}
			for _, t := range texts[id] {
				if t != "" {
					onThis[t] = true
				}
			}
		}
		for t := range onThis {
			count[t]++
		}
	}
	for id, list := range texts {
		var left []op
		changed := false
		for i, o := range d.units[id].ops {
			if d.common(count[list[i]]) {
				changed = true
				if !fills[o.name] {
					continue
				}
				o = op{name: "n", raw: []byte("\nn"), part: o.part}
			}
			left = append(left, o)
		}
		if changed {
			d.setOps(id, left)
		}
	}
}

// drawn are the units that a page draws, itself included.
func (d *document) drawn(page string) map[string]bool {
	seen := map[string]bool{}
	d.forms(page, map[string][2]string{}, map[string]bool{}, seen)
	return seen
}
