// Package rule decides when something is wrong: rules as data, with conditions in CEL (cel.dev), over what the observer
// sees. It is pure: rows and the time go in, alerts come out.
package rule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"
)

// Rule is one, as observer.v1.Rule describes it.
type Rule struct {
	Name, Title, On, When, Group, Sentence, Severity string
	For, Absent                                      time.Duration
	Productions                                      []string
	Disabled                                         bool
	Source                                           string // "" a person's, "built in", "file"
	Actions                                          []Action
}

// Action is what is done when an alert opens; one of its fields is set.
type Action struct {
	Slack, Webhook *Webhook `json:",omitempty"`
	Mail           []string `json:",omitempty"`
	Pause          string   `json:",omitempty"`
	Retry          bool     `json:",omitempty"`
	Start          *Start   `json:",omitempty"`
}

// Webhook is an address, and the credential with the secret that a call is signed with.
type Webhook struct{ URL, Credential string }

// Start is a distribution to be created.
type Start struct{ Production, Definition, Request string }

// Row is one thing that a rule looks at, with the fields of its kind (see Fields).
type Row map[string]any

// field is a field of a row, and what it says.
type field struct {
	name string
	kind *cel.Type
	says string
}

// kind is what rules can look at.
type kind struct {
	says   string
	fields []field
	group  string // what makes two findings one, unless the rule says otherwise
	tells  string // the sentence, unless the rule has one
}

var kinds = map[string]kind{
	"event": {"each event of a distribution, as it happens", []field{
		{"kind", cel.StringType, "accepted planned started attempt paused resumed cancel_requested stopped retry_requested retry resend skip_requested skip skipped end_requested cancelled ended"},
		{"production", cel.StringType, ""}, {"distribution", cel.StringType, "its id"}, {"title", cel.StringType, "the distribution's"},
		{"step", cel.StringType, "of an attempt"}, {"unit", cel.StringType, "of an attempt"}, {"attempt", cel.IntType, "which, from 1"},
		{"worker", cel.StringType, ""}, {"state", cel.StringType, "entered: done failed retrying ready skipped cancelled, or the distribution's"},
		{"code", cel.StringType, "of what went wrong"}, {"message", cel.StringType, "the sentence to it"}, {"took", cel.DurationType, "with the worker"},
		{"limit", cel.StringType, "that it waited for"}, {"limited", cel.DurationType, "how long"},
		{"metrics", cel.MapType(cel.StringType, cel.DoubleType), "numbers that the function gave"},
	}, `production + " " + step + " " + code`, "{production}: {step} {state} {code}: {message}"},
	"distribution": {"each distribution that is open or ended in the last hour", []field{
		{"id", cel.StringType, ""}, {"production", cel.StringType, ""}, {"title", cel.StringType, ""}, {"state", cel.StringType, ""},
		{"definition", cel.StringType, ""}, {"mode", cel.StringType, ""}, {"items", cel.IntType, "all"}, {"done", cel.IntType, "items"},
		{"failed", cel.IntType, "items"}, {"recipients", cel.IntType, "all"}, {"age", cel.DurationType, "since it was accepted"},
		{"late", cel.DurationType, "past its deadline"}, {"idle", cel.DurationType, "since anything happened to it"},
	}, "id", "{production}: {title} is {state}, {done} of {items} items done, {failed} failed"},
	"failures": {"each group of failures that are alike and open", []field{
		{"fingerprint", cel.StringType, ""}, {"function", cel.StringType, ""}, {"step", cel.StringType, ""}, {"code", cel.StringType, ""},
		{"signature", cel.StringType, "the sentence without names and numbers"}, {"production", cel.StringType, "of the newest"},
		{"distribution", cel.StringType, "the newest"}, {"count", cel.IntType, ""}, {"open", cel.IntType, "not dealt with"}, {"recipients", cel.IntType, "whom it hurts"},
		{"distributions", cel.IntType, ""}, {"age", cel.DurationType, "since the first"}, {"since", cel.DurationType, "since the last"}, {"summary", cel.StringType, ""},
	}, "fingerprint", "{recipients} people are hurt by {code}: {signature} {summary}"},
	"function": {"each function that steps wait for or that a worker serves", []field{
		{"name", cel.StringType, ""}, {"workers", cel.IntType, "that serve it"}, {"running", cel.IntType, "steps"}, {"ready", cel.IntType, "steps"},
		{"at_limit", cel.IntType, "ready, and held by a limit"}, {"oldest", cel.DurationType, "how long the oldest has been ready"}, {"paused", cel.BoolType, ""},
	}, "name", "{name}: {ready} steps are ready, {workers} workers serve it, the oldest has waited {oldest}"},
	"worker": {"each worker of the last hour", []field{
		{"name", cel.StringType, ""}, {"functions", cel.ListType(cel.StringType), ""}, {"running", cel.IntType, ""}, {"free", cel.IntType, "slots"},
		{"silent", cel.DurationType, "since it was heard of"},
	}, "name", "worker {name} has not been heard of for {silent}"},
	"resource": {"each shared resource", []field{
		{"production", cel.StringType, "empty: the studio's"}, {"name", cel.StringType, ""}, {"kind", cel.StringType, ""}, {"state", cel.StringType, ""},
		{"breaker", cel.StringType, "closed open half_open"}, {"blocked", cel.DurationType, "for how long it still backs off"},
		{"code", cel.StringType, "of the last failure"}, {"message", cel.StringType, "the sentence to it"}, {"detail", cel.StringType, "what its check said"},
	}, `production + "/" + name`, "resource {name}: its breaker is {breaker}: {message}"},
	"limit": {"each limit", []field{
		{"production", cel.StringType, "empty: the studio's"}, {"name", cel.StringType, ""}, {"concurrency", cel.IntType, "0: any"}, {"rate", cel.DoubleType, "a second; 0: any"},
		{"taken", cel.IntType, ""}, {"waiting", cel.IntType, "steps"},
	}, `production + "/" + name`, "limit {name}: {taken} of {concurrency} taken, {waiting} steps wait"},
	"run": {"each run that was reported and is open or ended in the last hour", []field{
		{"production", cel.StringType, ""}, {"id", cel.StringType, ""}, {"name", cel.StringType, ""}, {"state", cel.StringType, ""},
		{"age", cel.DurationType, "since it began"}, {"late", cel.DurationType, "past its deadline"}, {"silent", cel.DurationType, "since it was told of"},
		{"total", cel.IntType, ""}, {"done", cel.IntType, ""}, {"code", cel.StringType, ""}, {"message", cel.StringType, ""},
		{"metrics", cel.MapType(cel.StringType, cel.DoubleType), ""}, {"labels", cel.MapType(cel.StringType, cel.StringType), ""},
	}, `production + " " + name`, "{production}: run {name} {id} is {state}: {message}"},
	"heartbeat": {"orchestrators, Redis, the observer and its peer", []field{
		{"what", cel.StringType, "orchestrator redis observer peer"}, {"name", cel.StringType, "which"}, {"silent", cel.DurationType, "since it was heard of"},
		{"slow", cel.DurationType, "how long it took to answer last"}, {"alive", cel.IntType, "how many of the kind there are"}, {"message", cel.StringType, "what it said last"},
	}, `what`, "{what} {name} has not answered for {silent}: {message}"},
}

// Error is what is wrong with a rule, all of it.
type Error struct{ Problems []string }

func (e *Error) Error() string { return strings.Join(e.Problems, "; ") }

// Compiled is a rule that works.
type Compiled struct {
	Rule
	kind  kind
	when  cel.Program
	group cel.Program
}

var (
	nameOK  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	inBrace = regexp.MustCompile(`\{([a-z_]*)\}`)
)

// costLimit is what no condition in earnest comes near.
const costLimit = 100_000

// Compile checks a rule; an *Error says everything that is wrong with it.
func Compile(r Rule) (*Compiled, error) {
	c := &Compiled{Rule: r}
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !nameOK.MatchString(r.Name) {
		add("name: %q is not small letters, digits and dashes, at most 63", r.Name)
	}
	k, known := kinds[r.On]
	if !known {
		add("on: there is no %q; there are %s", r.On, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		return nil, &Error{problems}
	}
	c.kind = k
	if r.For < 0 || r.Absent < 0 || r.For > 30*24*time.Hour || r.Absent > 30*24*time.Hour {
		add("for, absent: a time is from 0 to 720h")
	}
	if r.For > 0 && r.Absent > 0 {
		add("absent: it is a time already; leave `for` out")
	}
	if r.For > 0 && r.On == "event" {
		add("for: an event happens and is over; leave it out, or look at failures or distributions")
	}
	c.Sentence = cmp.Or(r.Sentence, k.tells)
	for _, m := range inBrace.FindAllStringSubmatch(c.Sentence, -1) {
		if !slices.ContainsFunc(k.fields, func(f field) bool { return f.name == m[1] }) {
			add("sentence: %s has no {%s}; it has %s", r.On, m[1], names(k))
		}
	}
	c.Severity = cmp.Or(r.Severity, "warn")
	c.Title = cmp.Or(r.Title, r.Name)
	options := []cel.EnvOption{ext.Strings(), cel.Variable("now", cel.TimestampType)}
	for _, f := range k.fields {
		options = append(options, cel.Variable(f.name, f.kind))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("prepare conditions: %w", err)
	}
	program := func(label, text string, want *cel.Type) cel.Program {
		tree, issues := env.Compile(text)
		if issues.Err() != nil {
			for _, is := range issues.Errors() {
				text, found := strings.CutPrefix(is.Message, "undeclared reference to ")
				if found {
					text = fmt.Sprintf("%s has no %s; it has %s", r.On, strings.TrimSuffix(text, " (in container '')"), names(k))
				}
				add("%s: line %d, column %d: %s", label, is.Location.Line(), is.Location.Column()+1, text)
			}
			return nil
		}
		if !tree.OutputType().IsExactType(want) {
			add("%s: it gives %s, not %s", label, cel.FormatCELType(tree.OutputType()), cel.FormatCELType(want))
			return nil
		}
		p, err := env.Program(tree, cel.CostLimit(costLimit))
		if err != nil {
			add("%s: %v", label, err)
		}
		return p
	}
	c.when = program("when", r.When, cel.BoolType)
	c.group = program("group", cmp.Or(r.Group, k.group), cel.StringType)
	for i, a := range r.Actions {
		switch {
		case a.Retry && r.On != "failures":
			add("actions, the %s: only groups of failures can be retried; this rule looks at %s", nth(i), r.On)
		case a.Pause == "distribution" && r.On != "distribution" && r.On != "event" && r.On != "failures",
			a.Pause == "function" && r.On != "function" && r.On != "failures",
			a.Pause == "production" && !slices.ContainsFunc(k.fields, func(f field) bool { return f.name == "production" }):
			add("actions, the %s: %s is about no %s that could be paused", nth(i), r.On, a.Pause)
		}
	}
	if len(problems) > 0 {
		return nil, &Error{problems}
	}
	return c, nil
}

func nth(i int) string { return fmt.Sprintf("%d.", i+1) }

func names(k kind) string {
	var out []string
	for _, f := range k.fields {
		out = append(out, f.name)
	}
	return strings.Join(out, ", ")
}

// Blind is the field of a row of which nobody can say how it stands now: what was found of it stays as it is.
const Blind = "?"

// found is what a rule found of one row.
type found struct {
	group, production, sentence string
	row                         Row
	blind                       bool
}

var errNot = errors.New("not a row of this kind")

// look holds a rule against a row.
func (c *Compiled) look(r Row, now time.Time) (found, bool, error) {
	production, _ := r["production"].(string)
	if len(c.Productions) > 0 && !slices.Contains(c.Productions, production) {
		return found{}, false, nil
	}
	vars := map[string]any{"now": now}
	for _, f := range c.kind.fields {
		v, ok := r[f.name]
		if !ok {
			return found{}, false, fmt.Errorf("%s: %w: it has no %s", c.On, errNot, f.name)
		}
		vars[f.name] = v
	}
	if r[Blind] == nil {
		out, _, err := c.when.Eval(vars)
		if err != nil {
			return found{}, false, fmt.Errorf("rule %s: %w", c.Name, err)
		}
		if hit, _ := out.Value().(bool); !hit {
			return found{}, false, nil
		}
	}
	group, _, err := c.group.Eval(vars)
	if err != nil {
		return found{}, false, fmt.Errorf("rule %s: group: %w", c.Name, err)
	}
	f := found{production: production, sentence: c.Tell(r), row: r, blind: r[Blind] != nil}
	f.group, _ = group.Value().(string)
	return f, true, nil
}

// Tell is the rule's sentence about a row.
func (c *Compiled) Tell(r Row) string { return Fill(c.Sentence, r) }

// Fill puts a row's fields in the place of their {names}.
func Fill(template string, r Row) string {
	text := inBrace.ReplaceAllStringFunc(template, func(m string) string {
		v := r[m[1:len(m)-1]]
		if d, ok := v.(time.Duration); ok {
			return d.Round(time.Second).String()
		}
		return fmt.Sprint(v)
	})
	return strings.TrimRight(strings.TrimSpace(text), " :")
}

// FillJSON is Fill for a template that is JSON: what is put in is quoted as inside a string.
func FillJSON(template string, r Row) string {
	return inBrace.ReplaceAllStringFunc(template, func(m string) string {
		v, ok := r[m[1:len(m)-1]]
		if !ok {
			return m // a brace of the JSON's own
		}
		text, err := json.Marshal(fmt.Sprint(v))
		if err != nil {
			return ""
		}
		return string(text[1 : len(text)-1])
	})
}
