package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

type whyCmd struct {
	serverFlags
	Query      []string `arg:"" help:"Whom or what it is about: a recipient's name or address, a file's name, a title, or the id of a distribution, item, recipient, mail or trace."`
	Production string   `short:"p" placeholder:"ID" help:"Only in this production. Default: in all that the token is for."`
	In         string   `placeholder:"ID" help:"Only in this distribution; recipients and items can be named by their numbers then, such as r7."`
	Full       bool     `help:"Show log lines, what each step was asked with and what it answered, too."`
	JSON       bool     `name:"json" help:"Print the answer as one JSON document."`
}

func (c *whyCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	answer, raw, err := client.Why(ctx, strings.Join(c.Query, " "), c.Production, c.In)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	showWhy(t, answer, c.Full)
	return nil
}

// width is how wide sentences are set.
const width = 100

func showWhy(t *term, answer *observerv1.WhyResponse, full bool) {
	t.paragraph("", answer.GetAnswer())
	if note := answer.GetFreshness().GetNote(); note != "" {
		t.paragraph("note: ", note)
	}
	causes := answer.GetCauses()
	if len(causes) > 0 && causes[0].GetRemedy() != "" {
		fmt.Fprintln(t.out, "\nWhat to do")
		t.paragraph("  ", causes[0].GetRemedy())
	}
	if len(causes) > 1 {
		fmt.Fprintln(t.out, "\nAll that is wrong")
		for _, cause := range causes {
			t.paragraph("  "+pad(strings.ReplaceAll(cause.GetKind(), "_", " "), 14), cause.GetSentence())
		}
	}
	if ledger := answer.GetLedger(); ledger.GetSentence() != "" {
		fmt.Fprintln(t.out, "\nWhere the time went")
		t.paragraph("  ", ledger.GetSentence())
	}
	showExpectation(t, answer.GetExpectation())
	showStory(t, answer.GetStory(), full)
	if others := answer.GetOthers(); len(others) > 0 {
		fmt.Fprintln(t.out, "\nIt could also be")
		b := newTable("WHAT", "NAME", "", "STATE", "ASK")
		b.state = 3
		for _, h := range others {
			b.add(h.GetKind(), h.GetName(), h.GetDetail(), h.GetState(), "filigree why "+address(h))
		}
		b.write(t, "  ")
	}
}

// address is how a hit is named in a command.
func address(h *observerv1.Hit) string {
	id, unit := h.GetDistribution(), h.GetUnit()
	switch {
	case unit == "" || unit == "d":
		return id
	case strings.HasPrefix(unit, "i"):
		return id + "." + unit[1:]
	}
	return id + "." + unit
}

func showExpectation(t *term, e *observerv1.Expectation) {
	if e.GetEtaP50() == nil && len(e.GetMissing()) == 0 {
		return
	}
	fmt.Fprintln(t.out, "\nWhat to expect")
	if e.GetEtaP50() != nil {
		line := "over at about " + at(e.GetEtaP50())
		if e.GetEtaP90() != nil {
			line += ", nine times of ten by " + at(e.GetEtaP90())
		}
		t.paragraph("  ", line)
	}
	for _, m := range e.GetMissing() {
		t.paragraph("  ", "missing since "+at(m.GetExpectedBy())+": "+m.GetWhat())
	}
}

// showStory prints chapters, each with how long it took.
func showStory(t *term, s *observerv1.Story, full bool) {
	if len(s.GetChapters()) == 0 {
		return
	}
	head := "What happened to " + s.GetName()
	if s.GetTraceId() != "" {
		head += ", trace " + s.GetTraceId()
	}
	fmt.Fprintln(t.out, "\n"+clean(head))
	cut := -1
	if s.GetLeftOut() > 0 {
		cut = len(s.GetChapters()) / 5
	}
	for i, c := range s.GetChapters() {
		if i == cut {
			t.print("  %8s  %s", "…", plural(int(s.GetLeftOut()), "chapter is left out", "chapters are left out"))
		}
		when := "-"
		if c.GetFrom() != nil {
			when = c.GetFrom().AsTime().Local().Format("15:04:05.000")
		}
		t.paragraph("  "+when+"  "+pad(took(t, c), 8)+"  ", c.GetSentence())
		for _, line := range c.GetLog() {
			if full || c.GetError() != nil && line.GetLevel() != "debug" {
				t.print("  %24s%s %s", "", pad(line.GetLevel(), 5), line.GetText())
			}
		}
		if !full {
			continue
		}
		if c.GetInputNote() != "" {
			t.paragraph(strings.Repeat(" ", 26), c.GetInputNote())
		}
		for _, payload := range []struct{ name, json string }{{"asked", c.GetInputJson()}, {"answered", c.GetOutputJson()}} {
			if payload.json != "" {
				t.print("  %24s%s %s", "", pad(payload.name, 8), payload.json)
			}
		}
	}
}

// took is how long a chapter lasted, or has so far; empty for what happens in an instant.
func took(t *term, c *observerv1.Chapter) string {
	switch {
	case c.GetFrom() == nil || c.GetKind() == "life":
		return ""
	case c.GetUntil() == nil:
		return span(max(0, t.now().Sub(c.GetFrom().AsTime()).Truncate(time.Second))) + " …"
	}
	return span(c.GetUntil().AsTime().Sub(c.GetFrom().AsTime()))
}

// pad fills text with spaces.
func pad(text string, n int) string {
	text = clean(text)
	return text + strings.Repeat(" ", max(0, n-cells.StringWidth(text)))
}

// paragraph prints text in lines of width, the first after a lead, the others below it.
func (t *term) paragraph(lead, text string) {
	indent := strings.Repeat(" ", cells.StringWidth(lead))
	line := lead
	fresh := true
	for _, word := range strings.Fields(clean(text)) {
		if !fresh && cells.StringWidth(line)+1+cells.StringWidth(word) > width {
			fmt.Fprintln(t.out, strings.TrimRight(line, " "))
			line, fresh = indent, true
		}
		if !fresh {
			line += " "
		}
		line += word
		fresh = false
	}
	fmt.Fprintln(t.out, strings.TrimRight(line, " "))
}
