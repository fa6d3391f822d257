package rule

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed builtin.yaml
var builtin string

// Builtin are the rules that are there from the start. They are not to be changed.
var Builtin = sync.OnceValue(func() []*Compiled {
	rules, err := Parse(builtin)
	if err != nil {
		panic(fmt.Sprintf("builtin.yaml: %v", err)) // a test reads it
	}
	for _, r := range rules {
		r.Source = "built in"
	}
	return rules
})

// Parse reads rules as YAML: a list, each with the fields of a Rule in small letters, times as "30s". The *Error names
// lines.
func Parse(text string) ([]*Compiled, error) {
	var doc yaml.Node
	err := yaml.NewDecoder(strings.NewReader(text)).Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{[]string{strings.TrimPrefix(err.Error(), "yaml: ")}}
	}
	list := doc.Content[0]
	if list.Kind != yaml.SequenceNode {
		return nil, &Error{[]string{fmt.Sprintf("line %d: it is no list; each rule begins with a dash", list.Line)}}
	}
	var out []*Compiled
	var problems []string
	seen := map[string]int{}
	for _, n := range list.Content {
		r, wrong := one(n)
		problems = append(problems, wrong...)
		if len(wrong) > 0 {
			continue
		}
		if at := seen[r.Name]; at > 0 {
			problems = append(problems, fmt.Sprintf("line %d: there is a rule %s already, on line %d", n.Line, r.Name, at))
		}
		seen[r.Name] = n.Line
		c, err := Compile(r)
		var e *Error
		if errors.As(err, &e) {
			for _, p := range e.Problems {
				problems = append(problems, fmt.Sprintf("line %d, rule %s: %s", lineOf(n, p), r.Name, p))
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(problems) > 0 {
		return nil, &Error{problems}
	}
	return out, nil
}

// written is a rule as people write it.
type written struct {
	Name, Title, On, When, Group, Sentence, Severity string
	For, Absent                                      string
	Productions                                      []string
	Disabled                                         bool
	Actions                                          []struct {
		Slack   string
		Webhook *struct{ URL, Credential string }
		Mail    []string
		Pause   string
		Retry   bool
		Start   *struct{ Production, Definition, Request string }
	}
}

// allowed are the fields that a rule may have.
var allowed = " name title on when group sentence severity for absent productions disabled actions "

func one(n *yaml.Node) (Rule, []string) {
	var problems []string
	add := func(line int, format string, args ...any) {
		problems = append(problems, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
	}
	if n.Kind != yaml.MappingNode {
		add(n.Line, "it is no rule; write its fields as name: value")
		return Rule{}, problems
	}
	for i := 0; i < len(n.Content); i += 2 {
		if !strings.Contains(allowed, " "+n.Content[i].Value+" ") {
			add(n.Content[i].Line, "a rule has no %q; it has%s", n.Content[i].Value, strings.TrimRight(allowed, " "))
		}
	}
	var w written
	err := n.Decode(&w)
	if err != nil {
		add(n.Line, "%s", strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", ""), "yaml: unmarshal errors:"))
	}
	r := Rule{Name: w.Name, Title: w.Title, On: w.On, When: w.When, Group: w.Group, Sentence: w.Sentence, Severity: w.Severity,
		Productions: w.Productions, Disabled: w.Disabled}
	for _, t := range []struct {
		name, text string
		to         *time.Duration
	}{{"for", w.For, &r.For}, {"absent", w.Absent, &r.Absent}} {
		if t.text == "" {
			continue
		}
		*t.to, err = time.ParseDuration(t.text)
		if err != nil {
			add(lineOf(n, t.name+":"), "%s: %q is no time; write it as 30s, 5m or 2h", t.name, t.text)
		}
	}
	if r.Severity != "" && r.Severity != "page" && r.Severity != "warn" && r.Severity != "info" {
		add(lineOf(n, "severity:"), "severity: it is page, warn or info, not %q", r.Severity)
	}
	for _, a := range w.Actions {
		act := Action{Mail: a.Mail, Pause: a.Pause, Retry: a.Retry}
		if a.Slack != "" {
			act.Slack = &Webhook{URL: a.Slack}
		}
		if a.Webhook != nil {
			act.Webhook = &Webhook{URL: a.Webhook.URL, Credential: a.Webhook.Credential}
		}
		if a.Start != nil {
			act.Start = &Start{Production: a.Start.Production, Definition: a.Start.Definition, Request: a.Start.Request}
		}
		r.Actions = append(r.Actions, act)
	}
	return r, problems
}

// lineOf is the line of the field that a problem begins with.
func lineOf(n *yaml.Node, problem string) int {
	for i := 0; i < len(n.Content); i += 2 {
		if strings.HasPrefix(problem, n.Content[i].Value+":") || strings.HasPrefix(problem, n.Content[i].Value+",") {
			return n.Content[i].Line
		}
	}
	return n.Line
}
