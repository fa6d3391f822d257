package define

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Bounds of what a definition may say.
const (
	mostSource    = 256 << 10
	mostVersion   = 1_000_000_000
	mostSteps     = 64
	mostFields    = 64
	mostNames     = 16
	mostAttempts  = 100
	longestWait   = 24 * time.Hour
	longestPeriod = 24 * time.Hour
)

// What is not said.
const (
	defaultTimeout  = 5 * time.Minute
	defaultAttempts = 5
)

var defaultBackoff = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute}

// startFunction is what a step with `starts` calls; the orchestrator itself does it.
const startFunction = "distribution.Start"

var (
	definitionName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
	functionName   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,53}(@[1-9][0-9]{0,8})?$`)
	limitName      = regexp.MustCompile(`^(studio/)?[A-Za-z][A-Za-z0-9.@_-]{0,47}$`)
	requestField   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)
	errorCode      = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,47}$`)
	channelName    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,19}$`)
)

// written is a definition as it stands in its file: the graph, and where everything was said.
type written struct {
	name    string
	version int
	steps   []writtenStep
}

type writtenStep struct {
	plan.Step
	line                  int
	lines                 map[string]int // of each field, by its name; of the parts of a list, by "needs.0"
	when, exclusive, with []expression
}

// label is how messages call the step.
func (s *writtenStep) label(place int) string {
	if s.Name == "" {
		return strconv.Itoa(place + 1)
	}
	return s.Name
}

// at is the line of a field, or of the step when it was not said.
func (s *writtenStep) at(field string) int {
	line, ok := s.lines[field]
	if ok {
		return line
	}
	return s.line
}

// expression is a text that should be CEL.
type expression struct {
	field, text string
	line        int
	// lineOf gives the line of a place in text, counted in letters.
	lineOf func(offset int) int
}

// reader takes a YAML tree apart and collects what is wrong with it.
type reader struct {
	problems
	source []string // its lines
}

// place is where a node belongs, for messages.
type place struct{ step, field string }

func (p place) sub(field string) place {
	if p.field == "" {
		return place{p.step, field}
	}
	return place{p.step, p.field + "." + field}
}

func (r *reader) wrong(n *yaml.Node, p place, format string, args ...any) {
	r.add(n.Line, p.step, p.field, format, args...)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// read makes a tree of source; nil when it is none.
func (r *reader) read(source string) *yaml.Node {
	if len(source) > mostSource {
		r.add(1, "", "", "it is %d KiB long; at most %d KiB make a definition", len(source)>>10, mostSource>>10)
		return nil
	}
	r.source = strings.Split(source, "\n")
	r.lines = len(r.source)
	dec := yaml.NewDecoder(strings.NewReader(source))
	var doc yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		r.add(1, "", "", "it is empty; a definition has a name, a version and steps")
		return nil
	}
	if err != nil {
		r.unreadable(err)
		return nil
	}
	var more yaml.Node
	err = dec.Decode(&more)
	if err == nil {
		r.add(more.Line, "", "", "a second document begins here; each definition is a file of its own")
	} else if !errors.Is(err, io.EOF) {
		r.unreadable(err)
	}
	if len(doc.Content) != 1 {
		r.add(1, "", "", "it is empty; a definition has a name, a version and steps")
		return nil
	}
	return doc.Content[0]
}

func (r *reader) unreadable(err error) {
	line := 1
	m := yamlLine.FindStringSubmatch(err.Error())
	if m != nil && m[1] != "" {
		line, _ = strconv.Atoi(m[1]) // the expression has digits only
	}
	r.add(line, "", "", "this is not YAML: %s", yamlLine.ReplaceAllString(err.Error(), ""))
}

// target is what n stands for: aliases point to something else.
func target(n *yaml.Node) *yaml.Node {
	for range 10 {
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			return n
		}
		n = n.Alias
	}
	return n
}

// kind says what a node is, in words.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a group of fields"
	case yaml.SequenceNode:
		return "a list"
	}
	if absent(n) {
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

// absent reports whether a field is there without a value.
func absent(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// entry is one field of a mapping.
type entry struct {
	key, value *yaml.Node
}

// mapping reads n as fields; those that are not among known are wrong, unless known is nil. Fields without a value are as
// if they were not there.
func (r *reader) mapping(n *yaml.Node, p place, known []string) []entry {
	t := target(n)
	if t.Kind != yaml.MappingNode {
		r.wrong(n, p, "here belong fields, and there is %s", kind(t))
		return nil
	}
	var out []entry
	first := map[string]int{}
	for i := 0; i+1 < len(t.Content); i += 2 {
		key, value := t.Content[i], t.Content[i+1]
		name := target(key).Value
		switch {
		case key.Kind != yaml.ScalarNode:
			r.wrong(key, p, "a field's name is a word, and here is %s", kind(target(key)))
		case first[name] > 0:
			r.wrong(key, p.sub(name), "it is there twice; the first is in line %d", first[name])
		case known != nil && !slices.Contains(known, name):
			r.wrong(key, p, "there is no field %q%s", name, instead(name, known))
		case !absent(target(value)):
			out = append(out, entry{key, value})
		}
		if first[name] == 0 {
			first[name] = key.Line
		}
	}
	return out
}

// sequence reads n as a list; a single word is a list of one.
func (r *reader) sequence(n *yaml.Node, p place, most int) []*yaml.Node {
	t := target(n)
	if t.Kind != yaml.SequenceNode {
		r.wrong(n, p, "here belongs a list, such as [a, b], and there is %s", kind(t))
		return nil
	}
	if len(t.Content) > most {
		r.wrong(n, p, "there are %d; at most %d are allowed", len(t.Content), most)
		return t.Content[:most]
	}
	return t.Content
}

func (r *reader) word(n *yaml.Node, p place) string {
	t := target(n)
	if t.Kind != yaml.ScalarNode {
		r.wrong(n, p, "here belongs a word, and there is %s", kind(t))
		return ""
	}
	return t.Value
}

func (r *reader) flag(n *yaml.Node, p place) bool {
	t := target(n)
	if t.Kind != yaml.ScalarNode || t.Value != "true" && t.Value != "false" {
		r.wrong(n, p, "it is true or false, not %s", kind(t))
		return false
	}
	return t.Value == "true"
}

func (r *reader) number(n *yaml.Node, p place, least, most int) int {
	t := target(n)
	i, err := strconv.Atoi(t.Value)
	if t.Kind != yaml.ScalarNode || err != nil || i < least || i > most {
		r.wrong(n, p, "it is a whole number from %d to %d, not %s", least, most, kind(t))
		return least
	}
	return i
}

func (r *reader) duration(n *yaml.Node, p place, most time.Duration) time.Duration {
	t := target(n)
	d, err := time.ParseDuration(t.Value)
	if t.Kind != yaml.ScalarNode || err != nil || d < time.Millisecond || d > most {
		r.wrong(n, p, "it is a time such as 500ms, 30s or 5m, at most %s, not %s", short(most), kind(t))
		return time.Second
	}
	return d
}

// short writes whole hours as people do.
func short(d time.Duration) string { return strings.TrimSuffix(d.String(), "0m0s") }

// expression reads n as a text that should be CEL.
func (r *reader) expression(n *yaml.Node, p place) []expression {
	t := target(n)
	if t.Kind != yaml.ScalarNode {
		r.wrong(n, p, "here belongs an expression, and there is %s; put quotes around an expression that begins with { or [", kind(t))
		return nil
	}
	line := n.Line
	e := expression{field: p.field, text: t.Value, line: line, lineOf: func(int) int { return line }}
	if n == t {
		e.lineOf = func(offset int) int { return lineIn(r.source, t, offset) }
	}
	return []expression{e}
}

// lineIn is the line of a letter of n's value, counted in letters. YAML folds white space and nothing else, so that the
// letters before it are counted in the source.
func lineIn(source []string, n *yaml.Node, offset int) int {
	before := 0
	for i, c := range []rune(n.Value) {
		if i >= offset {
			break
		}
		if !blank(c) {
			before++
		}
	}
	line, column := n.Line, max(n.Column-1, 0)
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		line, column = line+1, 0
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		column++
	}
	for at := line; at >= 1 && at <= len(source); at++ {
		for _, c := range source[at-1][min(column, len(source[at-1])):] {
			if blank(c) || c == '\\' && n.Style&yaml.DoubleQuotedStyle != 0 {
				continue
			}
			if before == 0 {
				return at
			}
			before--
		}
		column = 0
	}
	return line
}

func blank(c rune) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// definition reads the whole.
func (r *reader) definition(n *yaml.Node) written {
	w := written{}
	seen := map[string]bool{}
	for _, e := range r.mapping(n, place{}, []string{"name", "version", "steps"}) {
		p := place{field: e.key.Value}
		seen[e.key.Value] = true
		switch e.key.Value {
		case "name":
			w.name = r.word(e.value, p)
			if !definitionName.MatchString(w.name) {
				r.wrong(e.value, p, "%q is no name for a definition; it has up to 64 lower-case letters, digits and dashes, a letter first", w.name)
			}
		case "version":
			w.version = r.number(e.value, p, 1, mostVersion)
		case "steps":
			list := r.sequence(e.value, p, mostSteps)
			for i, n := range list {
				if target(n).Kind != yaml.MappingNode {
					r.wrong(n, place{step: strconv.Itoa(i + 1)}, "here belongs a step, and there is %s", kind(target(n)))
					continue
				}
				w.steps = append(w.steps, r.step(n, i))
			}
			seen["steps"] = len(list) > 0 || target(e.value).Kind != yaml.SequenceNode
		}
	}
	for _, name := range []string{"name", "version", "steps"} {
		switch {
		case seen[name] || target(n).Kind != yaml.MappingNode:
		case name == "steps":
			r.wrong(n, place{}, "it has no steps; a definition has at least one")
		default:
			r.wrong(n, place{}, "it has no %s; a definition has a name and a version, counted from 1", name)
		}
	}
	return w
}

// called is the name of the step that n is, as far as it has one: messages about its fields call it so.
func called(n *yaml.Node) string {
	content := target(n).Content
	for i := 0; i+1 < len(content); i += 2 {
		if value := target(content[i+1]); content[i].Value == "name" && value.Kind == yaml.ScalarNode {
			return value.Value
		}
	}
	return ""
}

var stepFields = []string{
	"name", "scope", "function", "starts", "needs", "when", "with", "optional", "delivers", "reaches",
	"retry", "timeout", "priority", "limits", "resources", "exclusive",
}

func (r *reader) step(n *yaml.Node, index int) writtenStep {
	s := writtenStep{line: n.Line, lines: map[string]int{}}
	s.Timeout = defaultTimeout
	s.Retry = plan.Retry{Attempts: defaultAttempts, Backoff: defaultBackoff}
	s.Name = called(n)
	for _, e := range r.mapping(n, place{step: s.label(index)}, stepFields) {
		p := place{s.label(index), e.key.Value}
		s.lines[e.key.Value] = e.key.Line
		switch e.key.Value {
		case "name":
			s.Name = r.word(e.value, p)
		case "scope":
			s.Scope = plan.Scope(r.word(e.value, p))
		case "function":
			s.Function = r.word(e.value, p)
			if !functionName.MatchString(s.Function) {
				r.wrong(e.value, p, "%q is no function; it is a name that a worker announces, such as watermark.Stamp, or with a version watermark.Stamp@2", s.Function)
			}
		case "starts":
			s.Starts = r.flag(e.value, p)
		case "needs":
			s.Needs = r.words(e.value, p, s.lines, mostSteps)
		case "when":
			s.when = r.expression(e.value, p)
		case "exclusive":
			s.exclusive = r.expression(e.value, p)
			s.Exclusive = true
		case "with":
			s.with = r.with(e.value, p)
		case "optional":
			s.Optional = r.flag(e.value, p)
		case "reaches":
			s.Reaches = r.flag(e.value, p)
		case "delivers":
			s.Delivers = r.word(e.value, p)
			if !channelName.MatchString(s.Delivers) {
				r.wrong(e.value, p, "%q is no channel; it is a lower-case word, such as email", s.Delivers)
			}
		case "retry":
			s.Retry = r.retry(e.value, p)
		case "timeout":
			s.Timeout = r.duration(e.value, p, longestPeriod)
		case "priority":
			s.Priority = r.number(e.value, p, 0, 9)
		case "limits", "resources":
			names := r.names(e.value, p, s.Limits, s.lines)
			s.Limits = append(s.Limits, names...)
			if e.key.Value == "resources" {
				s.Resources = names
			}
		}
	}
	s.Reaches = s.Reaches || s.Delivers != ""
	switch label := s.label(index); {
	case s.Starts && s.Function != "":
		r.add(s.at("function"), label, "function", "a step that starts a distribution calls no function of its own; leave out starts or function")
	case s.Starts:
		s.Function = startFunction
	case s.Function == startFunction:
		r.add(s.at("function"), label, "function", "to start another distribution, say `starts: true` instead")
	}
	return s
}

// words reads a list of words, and notes the line of each.
func (r *reader) words(n *yaml.Node, p place, lines map[string]int, most int) []string {
	var out []string
	for _, c := range r.sequence(n, p, most) {
		lines[p.field+"."+strconv.Itoa(len(out))] = c.Line
		out = append(out, r.word(c, p))
	}
	return out
}

// names reads the names of limits or resources, none of which may be among taken.
func (r *reader) names(n *yaml.Node, p place, taken []string, lines map[string]int) []string {
	out := r.words(n, p, lines, mostNames)
	for i, name := range out {
		line := lines[p.field+"."+strconv.Itoa(i)]
		switch {
		case !limitName.MatchString(name):
			r.add(line, p.step, p.field, "%q is no name of a limit or a resource; it has up to 48 letters, digits and the signs . @ _ -, a letter first, and studio/ before it if all productions share it", name)
		case slices.Contains(out[:i], name), slices.Contains(taken, name):
			r.add(line, p.step, p.field, "%q is there twice; a resource is a limit, too, and is named once", name)
		}
	}
	return out
}

func (r *reader) with(n *yaml.Node, p place) []expression {
	var out []expression
	entries := r.mapping(n, p, nil)
	if len(entries) > mostFields {
		r.wrong(n, p, "there are %d fields; at most %d are allowed", len(entries), mostFields)
		entries = entries[:mostFields]
	}
	for _, e := range entries {
		if !requestField.MatchString(e.key.Value) {
			r.wrong(e.key, p, "%q is no name of a field", e.key.Value)
			continue
		}
		out = append(out, r.expression(e.value, p.sub(e.key.Value))...)
	}
	return out
}

func (r *reader) retry(n *yaml.Node, p place) plan.Retry {
	retry := plan.Retry{Attempts: defaultAttempts, Backoff: defaultBackoff}
	var growing *yaml.Node
	for _, e := range r.mapping(n, p, []string{"attempts", "backoff", "permanent"}) {
		at := p.sub(e.key.Value)
		switch e.key.Value {
		case "attempts":
			retry.Attempts = r.number(e.value, at, 1, mostAttempts)
		case "permanent":
			for _, c := range r.sequence(e.value, at, mostNames) {
				code := r.word(c, at)
				if !errorCode.MatchString(code) {
					r.wrong(c, at, "%q is no code of an error; it is a word such as EMAIL_REJECTED", code)
				}
				retry.Permanent = append(retry.Permanent, code)
			}
		case "backoff":
			if target(e.value).Kind == yaml.MappingNode {
				growing = e.value
				continue
			}
			retry.Backoff = nil
			for _, c := range r.sequence(e.value, at, mostAttempts) {
				retry.Backoff = append(retry.Backoff, r.duration(c, at, longestWait))
			}
		}
	}
	if growing != nil {
		retry.Backoff = r.growing(growing, p.sub("backoff"), retry.Attempts)
	}
	return retry
}

// growing reads a back-off that is multiplied with each error: {first: 1s, factor: 2, most: 10m}.
func (r *reader) growing(n *yaml.Node, p place, attempts int) []time.Duration {
	first, factor, most := time.Second, 2, longestWait
	for _, e := range r.mapping(n, p, []string{"first", "factor", "most"}) {
		switch e.key.Value {
		case "first":
			first = r.duration(e.value, p.sub("first"), longestWait)
		case "factor":
			factor = r.number(e.value, p.sub("factor"), 1, 10)
		case "most":
			most = r.duration(e.value, p.sub("most"), longestWait)
		}
	}
	waits := []time.Duration{min(first, most)}
	for len(waits) < attempts-1 && waits[len(waits)-1] < most {
		waits = append(waits, min(waits[len(waits)-1]*time.Duration(factor), most))
		if factor == 1 {
			break
		}
	}
	return waits
}

// graph is the plan of what was written.
func (w *written) graph() plan.Definition {
	d := plan.Definition{Name: w.name, Version: w.version}
	for _, s := range w.steps {
		d.Steps = append(d.Steps, s.Step)
	}
	return d
}

// check adds what is wrong with the graph, at the lines where it was said.
func (r *reader) check(w *written) {
	d := w.graph()
	for _, p := range d.Problems() {
		s := &w.steps[p.Step]
		line := s.at(p.Field)
		if p.Index >= 0 {
			line = s.at(fmt.Sprintf("%s.%d", p.Field, p.Index))
		}
		r.add(line, s.label(p.Step), p.Field, "%s", p.Text)
	}
}
