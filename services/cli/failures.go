package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type failuresCmd struct {
	serverFlags
	ID         string `arg:"" optional:"" help:"A distribution, or a group's fingerprint. Default: all that fails or failed in the last day."`
	Production string `short:"p" placeholder:"ID" help:"Production of the distribution (default: default), or without one: only there."`
	Since      moment `placeholder:"WHEN" help:"Only what failed since then: 30m, 12h or 14d ago, or a time."`
	All        bool   `help:"Also what is over: retried and done."`
	Group      string `placeholder:"FINGERPRINT" help:"Only this group."`
	Act        string `placeholder:"WHAT" enum:",retry,skip,cancel" default:"" help:"Do something to everybody in the group: retry, skip or cancel."`
	Skip       bool   `help:"As --act skip: leave out what fails; whoever waits for it goes on without."`
	Cancel     bool   `help:"As --act cancel: cancel all that has not ended of those it hurts, their mail too."`
	Yes        bool   `help:"Skip or cancel without being asked first."`
	JSON       bool   `name:"json" help:"Print one JSON document: {\"groups\":[…]}, or the server's answer to --act."`
}

var fingerprint = regexp.MustCompile(`^[0-9a-f]{16}$`)

func (c *failuresCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	for act, wanted := range map[string]bool{"skip": c.Skip, "cancel": c.Cancel} {
		if wanted && c.Act != "" && c.Act != act {
			return refuse("USAGE", "say one of retry, skip and cancel")
		}
		if wanted {
			c.Act = act
		}
	}
	production := c.Production
	if fingerprint.MatchString(c.ID) && c.Group == "" {
		c.ID, c.Group = "", c.ID
	}
	if c.ID != "" && production == "" {
		production = "default"
	}
	since := ""
	if c.Since.set {
		since = c.Since.before(t.now()).UTC().Format(time.RFC3339)
	}
	groups, raws, err := client.Failures(ctx, production, c.ID, since, c.All)
	if err != nil {
		return err
	}
	if c.Group != "" {
		groups, raws = only(c.Group, groups, raws)
		if len(groups) == 0 {
			return refuse("FAILURE_UNKNOWN", "nothing fails so that has the fingerprint %s; with --all also what is over is looked at", c.Group)
		}
	}
	switch {
	case c.Act != "":
		return c.act(ctx, t, client, groups)
	case c.JSON:
		return t.list("groups", raws)
	case len(groups) == 0:
		t.say("nothing fails")
		return nil
	}
	for i, g := range groups {
		if i > 0 {
			fmt.Fprintln(t.out)
		}
		showGroup(t, g)
	}
	return nil
}

func only(id string, groups []*observerv1.FailureGroup, raws []json.RawMessage) ([]*observerv1.FailureGroup, []json.RawMessage) {
	for i, g := range groups {
		if g.GetFingerprint() == id {
			return groups[i : i+1], raws[i : i+1]
		}
	}
	return nil, nil
}

// showGroup prints a group: how much, what, since when and how far, whom, and what can be done.
func showGroup(t *term, g *observerv1.FailureGroup) {
	open := "all over"
	if n := g.GetOpen(); n > 0 {
		open = fmt.Sprintf("%d open", n)
	}
	people := plural(int(g.GetRecipients()), "person", "people")
	if n := g.GetDistributions(); n > 1 {
		people += fmt.Sprintf(" in %d distributions", n)
	}
	head := clean(g.GetCode())
	if t.colour && g.GetOpen() > 0 {
		head = red + head + reset
	}
	fmt.Fprintf(t.out, "%s\n", head+clean(fmt.Sprintf("  %s, %s, %s, %s  (%s)", g.GetFunction(), plural(int(g.GetCount()), "failure", "failures"), open, people, g.GetFingerprint())))
	t.paragraph("  ", g.GetExample())
	t.paragraph("  ", g.GetSummary())
	var whom []string
	for _, h := range g.GetHurt()[:min(examples, len(g.GetHurt()))] {
		name := h.GetName()
		if h.GetDetail() != "" {
			name += " (" + h.GetDetail() + ")"
		}
		whom = append(whom, name)
	}
	if more := int(g.GetRecipients()) - len(whom); more > 0 && len(whom) > 0 {
		whom = append(whom, fmt.Sprintf("and %d more", more))
	}
	if len(whom) > 0 {
		t.paragraph("  hurts ", strings.Join(whom, "; "))
	}
	if g.GetOpen() > 0 {
		hint := productionFlag{Production: g.GetProduction()}.hint()
		t.print("  to run what failed again: filigree failures %s%s --group %s --act retry", g.GetDistribution(), hint, g.GetFingerprint())
		t.print("  to go on without it: --skip in place of --act retry; to send these people nothing more: --cancel")
	}
}

// act does to a group what was asked for.
func (c *failuresCmd) act(ctx context.Context, t *term, client *api.Client, groups []*observerv1.FailureGroup) error {
	if len(groups) != 1 {
		return refuse("USAGE", "say which group: there are %d; --group FINGERPRINT, as filigree failures shows it", len(groups))
	}
	g := groups[0]
	if c.ID == "" && g.GetDistributions() > 1 {
		return refuse("USAGE", "the group hurts %d distributions: name the one to act on, such as filigree failures %s --group %s --act %s",
			g.GetDistributions(), g.GetDistribution(), g.GetFingerprint(), c.Act)
	}
	err := c.confirm(ctx, t, g)
	if err != nil {
		return err
	}
	answer, raw, err := client.ActOnFailures(ctx, &observerv1.ActOnFailuresRequest{Production: g.GetProduction(), Distribution: g.GetDistribution(),
		Fingerprint: g.GetFingerprint(), Action: c.Act})
	if err != nil {
		return unsure(err, "it was done", "filigree failures "+g.GetDistribution())
	}
	if c.JSON {
		return t.document(raw)
	}
	d := answer.GetDistribution()
	what := map[string]string{"retry": "what failed runs again for %s", "skip": "what failed is left out for %s", "cancel": "what has not ended is cancelled for %s"}[c.Act]
	t.print("%s %s: "+what+"; items %s", d.GetId(), word(d), plural(int(answer.GetRecipients()), "recipient", "recipients"), counts(d.GetItems()))
	return nil
}

// consequences says what giving a group up will do, before it is done.
func consequences(act string, g *observerv1.FailureGroup) string {
	people := plural(int(g.GetRecipients()), "person", "people")
	if act == "cancel" {
		return fmt.Sprintf("cancel: all that has not ended of %s in %s is cancelled, their mail too; what failed stays failed, what was sent stays sent, and a mail that is being sent now may be sent. A retry brings it back.",
			people, g.GetDistribution())
	}
	return fmt.Sprintf("skip: the step %s, which failed with %s, is left out for %s in %s, and so is what cannot do without it. Mail that waits for it goes now, without that document, which it names as missing; who has nothing left to get gets none. The items left out count as skipped.",
		g.GetStep(), g.GetCode(), people, g.GetDistribution())
}

// confirm asks before a group is given up.
func (c *failuresCmd) confirm(ctx context.Context, t *term, g *observerv1.FailureGroup) error {
	if c.Act == "retry" || c.Yes {
		return nil
	}
	if c.JSON || !t.live || !isatty.IsTerminal(t.in.Fd()) {
		return refuse("CONFIRM", "%s Nothing was changed: say --yes if that is what you want", consequences(c.Act, g))
	}
	t.say("%s", consequences(c.Act, g))
	fmt.Fprint(t.err, "Go on? [y/N] ")
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(t.in).ReadString('\n') // an end of the input is no yes
		answer <- line
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-answer:
		if s := strings.ToLower(strings.TrimSpace(line)); s != "y" && s != "yes" {
			return refuse("NOT_CONFIRMED", "nothing was changed")
		}
	}
	return nil
}
