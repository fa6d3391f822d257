package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type alertsCmd struct {
	List alertsListCmd `cmd:"" default:"withargs" help:"List alerts, open ones first."`
	Ack  alertsAckCmd  `cmd:"" help:"Say that you have it: it is told no further, and stays until its cause is gone."`
}

type alertsListCmd struct {
	serverFlags
	Production string `placeholder:"NAME" help:"Only this production's."`
	State      string `enum:",open,acknowledged,resolved" default:"" help:"Only open, acknowledged or resolved ones."`
	JSON       bool   `name:"json" help:"Print one JSON document: {\"alerts\":[…]}."`
}

func (c *alertsListCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	list, raws, err := client.Alerts(ctx, c.Production, c.State)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("alerts", raws)
	}
	open := 0
	for _, a := range list {
		if a.GetState() != "resolved" {
			open++
		}
	}
	if open == 0 {
		t.print("nothing is wrong")
	}
	for _, a := range list {
		tellAlert(t, a)
	}
	return nil
}

// tellAlert prints an alert: what is wrong, since when, and what was done about it.
func tellAlert(t *term, a *observerv1.Alert) {
	state := a.GetState()
	if by := a.GetAcknowledgedBy(); by != "" {
		state += " by " + by
	}
	when := "since " + at(a.GetSince())
	if a.GetResolvedAt() != nil {
		when = fmt.Sprintf("%s to %s", at(a.GetSince()), at(a.GetResolvedAt()))
	}
	about := []string{a.GetSeverity(), state, when}
	if a.GetProduction() != "" {
		about = append(about, a.GetProduction())
	}
	if a.GetCount() > 1 {
		about = append(about, fmt.Sprintf("%d findings", a.GetCount()))
	}
	t.print("%s  %s", a.GetId(), clean(a.GetTitle()))
	t.print("    %s", clean(a.GetSentence()))
	t.print("    %s (rule %s)", strings.Join(about, ", "), a.GetRule())
	for _, d := range a.GetDone() {
		word := "done"
		if d.GetError() != "" {
			word = "failed: " + clean(d.GetError())
		}
		if d.GetTries() > 1 {
			word += fmt.Sprintf(", try %d", d.GetTries())
		}
		t.print("    %s %s %s", at(d.GetTime()), d.GetAction(), word)
	}
}

type alertsAckCmd struct {
	serverFlags
	Alert string `arg:"" help:"Its id."`
	JSON  bool   `name:"json" help:"Print the alert as one JSON document."`
}

func (c *alertsAckCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	a, raw, err := client.AcknowledgeAlert(ctx, c.Alert)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	tellAlert(t, a)
	return nil
}

type ruleCmd struct {
	Apply  ruleApplyCmd  `cmd:"" help:"Set the rules of a YAML file; what is wrong with them is told with the line, and none is set then."`
	List   ruleListCmd   `cmd:"" help:"List rules, those that are there from the start, too."`
	Delete ruleDeleteCmd `cmd:"" help:"Remove a rule."`
}

type ruleApplyCmd struct {
	serverFlags
	File string `arg:"" help:"Its YAML: a list of rules; - is standard input."`
	JSON bool   `name:"json" help:"Print the rules as one JSON document."`
}

func (c *ruleApplyCmd) Run(ctx context.Context, t *term) error {
	source, err := readText(t, c.File)
	if err != nil {
		return err
	}
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	resp, raw, err := client.ApplyRules(ctx, source)
	var answer *api.Error
	if errors.As(err, &answer) && answer.Code == "RULE_INVALID" {
		problems := strings.Split(answer.Message, "\n")
		r := refuse(answer.Code, "%s cannot be used: %s; nothing was set", c.File, plural(len(problems), "problem", "problems"))
		r.Details = problems
		return r
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	for _, r := range resp.GetRules() {
		t.print("rule %s is set", r.GetName())
	}
	return nil
}

type ruleListCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print one JSON document: {\"rules\":[…]}."`
}

func (c *ruleListCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	list, raws, err := client.Rules(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("rules", raws)
	}
	b := newTable("RULE", "LOOKS AT", "SEVERITY", "FROM", "WHEN")
	for _, r := range list {
		from := r.GetSource()
		switch {
		case r.GetProblem() != "":
			from = "broken"
		case r.GetDisabled():
			from = "switched off"
		case from == "":
			from = "you"
		}
		when := r.GetWhen()
		if d := r.GetFor().AsDuration(); d > 0 {
			when += ", for " + span(d)
		}
		if d := r.GetAbsent().AsDuration(); d > 0 {
			when = "none for " + span(d) + ": " + when
		}
		if r.GetProblem() != "" {
			when = r.GetProblem()
		}
		b.add(r.GetName(), r.GetOn(), r.GetSeverity(), from, when)
	}
	b.write(t, "")
	return nil
}

type ruleDeleteCmd struct {
	serverFlags
	Name string `arg:"" help:"Its name."`
}

func (c *ruleDeleteCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	err = client.DeleteRule(ctx, c.Name)
	if err != nil {
		return err
	}
	t.print("rule %s is gone", c.Name)
	return nil
}
