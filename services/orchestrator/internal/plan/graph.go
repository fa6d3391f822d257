package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Legend is what a drawing says beside the steps themselves.
type Legend struct {
	// Conditions are conditions of steps as people wrote them.
	Conditions map[string]string
	// Counts are, of an execution, how many of each step are in which state; nil draws the definition alone.
	Counts map[string]map[State]int
}

// headings are how drawings call what is there once for each unit of a scope.
var headings = map[Scope]string{
	ScopeDistribution: "once",
	ScopeFile:         "for each file",
	ScopeRecipient:    "for each recipient",
	ScopeItem:         "for each item: one file to one recipient",
}

// drawn is the order in which scopes are drawn: as work flows.
var drawn = []Scope{ScopeFile, ScopeItem, ScopeRecipient, ScopeDistribution}

// A look is how a step is painted that is mostly in one kind of state.
type look struct{ name, fill, stroke string }

var (
	lookFailed  = look{"failed", "#fde2e1", "#b3261e"}
	lookRunning = look{"running", "#dbeafe", "#1d4ed8"}
	lookDone    = look{"done", "#dcf5e3", "#18794e"}
	lookWaiting = look{"waiting", "#ffffff", "#6b7280"}
	lookOver    = look{"over", "#ececec", "#8a8a8a"} // skipped or cancelled, all of them
)

var looks = []look{lookFailed, lookRunning, lookDone, lookWaiting, lookOver}

// lookOf is the look of a step of which counts are in which state: what needs a person's eye first.
func lookOf(counts map[State]int) look {
	switch {
	case counts[Failed] > 0:
		return lookFailed
	case counts[Running]+counts[Retrying] > 0:
		return lookRunning
	case counts[Pending]+counts[Ready] > 0:
		return lookWaiting
	case counts[Done] > 0:
		return lookDone
	case counts[Skipped]+counts[Cancelled] > 0:
		return lookOver
	}
	return lookWaiting
}

// lines are what a step's box says.
func (l Legend) lines(s *Step) []string {
	lines := []string{s.Name, s.Function}
	if when := l.Conditions[s.Name]; when != "" {
		lines = append(lines, "when "+shorten(when))
	} else if s.Conditional {
		lines = append(lines, "conditional")
	}
	if s.Delivers != "" {
		lines = append(lines, "delivers "+s.Delivers)
	}
	if s.Optional {
		lines = append(lines, "optional")
	}
	if l.Counts != nil {
		var counts []string
		for _, st := range States {
			if n := l.Counts[s.Name][st]; n > 0 {
				counts = append(counts, strconv.Itoa(n)+" "+string(st))
			}
		}
		lines = append(lines, strings.Join(counts, ", "))
	}
	return slices.DeleteFunc(lines, func(s string) bool { return s == "" })
}

// decided reports whether it is not sure that the step runs.
func (l Legend) decided(s *Step) bool { return s.Conditional || l.Conditions[s.Name] != "" }

// shorten makes a condition fit into a box.
func shorten(s string) string {
	const most = 60
	letters := []rune(strings.Join(strings.Fields(s), " "))
	if len(letters) > most {
		return string(letters[:most-1]) + "…"
	}
	return string(letters)
}

// joins says what a step of scope to waits for, if that is many steps of scope from; else it is empty.
func joins(from, to Scope) string {
	switch {
	case from == ScopeItem && to == ScopeRecipient:
		return "all items of the recipient"
	case to == ScopeDistribution && from != ScopeDistribution:
		return "all " + string(from) + "s"
	}
	return ""
}

// Mermaid draws the graph as a Mermaid flow chart: a frame for each scope, optional steps dashed, conditional ones as
// hexagons, joins of many as thick arrows.
func (d *Definition) Mermaid(l Legend) string {
	var b strings.Builder
	fmt.Fprintf(&b, "---\ntitle: %s, version %d\n---\nflowchart TD\n", d.Name, d.Version)
	optional := []string{}
	looking := map[string][]string{}
	for _, scope := range drawn {
		steps := d.of(scope)
		if len(steps) == 0 {
			continue
		}
		fmt.Fprintf(&b, "  subgraph each_%s[%q]\n", scope, headings[scope])
		for _, s := range steps {
			left, right := "[", "]"
			if l.decided(s) {
				left, right = "{{", "}}"
			}
			lines := l.lines(s)
			for i := range lines {
				lines[i] = mermaidText.Replace(lines[i])
			}
			fmt.Fprintf(&b, "    %s%s\"%s\"%s\n", mermaidID(s.Name), left, strings.Join(lines, "<br>"), right)
			if s.Optional {
				optional = append(optional, mermaidID(s.Name))
			}
			if l.Counts != nil {
				look := lookOf(l.Counts[s.Name]).name
				looking[look] = append(looking[look], mermaidID(s.Name))
			}
		}
		b.WriteString("  end\n")
	}
	d.edges(func(from, to *Step, join string) {
		if join != "" {
			fmt.Fprintf(&b, "  %s ==>|%s| %s\n", mermaidID(from.Name), join, mermaidID(to.Name))
			return
		}
		fmt.Fprintf(&b, "  %s --> %s\n", mermaidID(from.Name), mermaidID(to.Name))
	})
	for _, k := range looks {
		if len(looking[k.name]) > 0 {
			fmt.Fprintf(&b, "  classDef %s fill:%s,stroke:%s,color:#111111\n  class %s %s\n",
				k.name, k.fill, k.stroke, strings.Join(looking[k.name], ","), k.name)
		}
	}
	if len(optional) > 0 {
		fmt.Fprintf(&b, "  classDef optional stroke-dasharray:5 4\n  class %s optional\n", strings.Join(optional, ","))
	}
	return b.String()
}

// mermaidID is how a step is called where Mermaid would take some words, such as end, for its own.
func mermaidID(name string) string { return "s_" + strings.ReplaceAll(name, "-", "_") }

var mermaidText = strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;", "&", "#amp;", "#", "#35;", "`", "#96;")

// DOT draws the graph for Graphviz, as Mermaid does.
func (d *Definition) DOT(l Legend) string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph \"%s\" {\n  label=\"%s, version %d\";\n  labelloc=t;\n  fontname=\"sans-serif\";\n", d.Name, d.Name, d.Version)
	b.WriteString("  node [shape=box, style=\"filled\", fillcolor=\"#ffffff\", fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\"];\n")
	for _, scope := range drawn {
		steps := d.of(scope)
		if len(steps) == 0 {
			continue
		}
		fmt.Fprintf(&b, "  subgraph \"cluster_%s\" {\n    label=\"%s\";\n", scope, headings[scope])
		for _, s := range steps {
			lines := l.lines(s)
			for i := range lines {
				lines[i] = dotText.Replace(lines[i])
			}
			fmt.Fprintf(&b, "    \"%s\" [label=\"%s\"", s.Name, strings.Join(lines, `\n`))
			if l.decided(s) {
				b.WriteString(", shape=hexagon")
			}
			if s.Optional {
				b.WriteString(", style=\"filled,dashed\"")
			}
			if l.Counts != nil {
				look := lookOf(l.Counts[s.Name])
				fmt.Fprintf(&b, ", fillcolor=\"%s\", color=\"%s\"", look.fill, look.stroke)
			}
			b.WriteString("];\n")
		}
		b.WriteString("  }\n")
	}
	d.edges(func(from, to *Step, join string) {
		fmt.Fprintf(&b, "  \"%s\" -> \"%s\"", from.Name, to.Name)
		if join != "" {
			fmt.Fprintf(&b, " [style=bold, label=\"%s\"]", join)
		}
		b.WriteString(";\n")
	})
	b.WriteString("}\n")
	return b.String()
}

var dotText = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// of lists the steps of a scope.
func (d *Definition) of(scope Scope) []*Step {
	var steps []*Step
	for i := range d.Steps {
		if d.Steps[i].Scope == scope {
			steps = append(steps, &d.Steps[i])
		}
	}
	return steps
}

// edges visits who waits for whom, and what the wait joins if it is for many.
func (d *Definition) edges(visit func(from, to *Step, join string)) {
	for i := range d.Steps {
		for _, n := range d.Steps[i].Needs {
			from, ok := d.Step(n)
			if ok {
				visit(from, &d.Steps[i], joins(from.Scope, d.Steps[i].Scope))
			}
		}
	}
}
