package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

type historyCmd struct {
	serverFlags
	Production string `short:"p" placeholder:"ID" help:"Only this production's."`
	Definition string `placeholder:"NAME" help:"Only of this definition."`
	Weeks      int    `default:"12" help:"So many weeks back, this one is the last."`
	JSON       bool   `name:"json" help:"Print one JSON document: {\"weeks\":[…]}."`
}

func (c *historyCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	got, raw, err := client.History(ctx, c.Production, c.Definition, c.Weeks)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	if len(got.GetWeeks()) == 0 {
		t.say("nothing ended in these weeks")
		return nil
	}
	b := newTable("WEEK FROM", "PRODUCTION", "DEFINITION", "ENDED", "FAILED", "LATE", "PEOPLE", "ITEMS", "ITEMS FAILED", "HALF IN", "9 OF 10 IN", "READ", "MADE")
	for _, w := range got.GetWeeks() {
		what := w.GetDefinition()
		if w.GetKind() == "run" {
			what = "run " + what
		}
		b.add(w.GetFrom().AsTime().Format(time.DateOnly), w.GetProduction(), what, fmt.Sprint(w.GetDistributions()),
			fmt.Sprint(w.GetDistributionsFailed()), fmt.Sprint(w.GetLate()), fmt.Sprint(w.GetRecipients()), fmt.Sprint(w.GetItems()),
			fmt.Sprint(w.GetItemsFailed()), span(w.GetDurationP50().AsDuration()), span(w.GetDurationP90().AsDuration()), told(w, w.GetBytesIn()), told(w, w.GetBytesOut()))
	}
	b.write(t, "")
	return nil
}

// told is a sum of bytes in words; + says that of some nothing was told, "not told" that of none anything was.
func told(w *observerv1.HistoryWeek, n int64) string {
	if w.GetBytesUnknown() >= w.GetDistributions() {
		return "not told"
	}
	text := bytesOf(n)
	if w.GetBytesUnknown() > 0 {
		text += "+"
	}
	return text
}

type auditCmd struct {
	serverFlags
	Production   string `short:"p" placeholder:"ID" help:"Only what was about this production."`
	Distribution string `placeholder:"ID" help:"Only what was about this distribution."`
	By           string `placeholder:"WHO" help:"Only by this token, link or service."`
	Last         int    `default:"50" placeholder:"N" help:"So many lines, at most 1,000. Default: 50."`
	Verify       bool   `help:"Say whether the whole chain is as it was written, and its last hash, to be compared with one written down elsewhere."`
	JSON         bool   `name:"json" help:"Print the server's answer: {\"lines\":[…],\"intact\":…,\"broken_at\":…}."`
}

// errAltered ends a check that found something.
var errAltered = errors.New("the audit was altered")

func (c *auditCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	last := c.Last
	if c.Verify {
		last = 1
	}
	got, raw, err := client.Audit(ctx, c.Production, c.Distribution, c.By, last, "")
	if err != nil {
		return err
	}
	altered := func() error {
		return refuse("AUDIT_ALTERED", "%v: from line %d on it is not as it was written", errAltered, got.GetBrokenAt())
	}
	if c.JSON {
		err = t.document(raw)
		if err == nil && c.Verify && !got.GetIntact() {
			err = altered()
		}
		return err
	}
	if !c.Verify {
		b := newTable("LINE", "TIME", "PRODUCTION", "WHO", "WHAT", "TO WHAT", "")
		for _, l := range got.GetLines() {
			b.add(fmt.Sprint(l.GetNumber()), at(l.GetTime()), l.GetProduction(), l.GetSubject(), l.GetAction(), l.GetObject(), l.GetDetail())
		}
		b.write(t, "")
	}
	switch {
	case !got.GetIntact():
		return altered()
	case c.Verify && len(got.GetLines()) > 0:
		t.print("the audit is as it was written; line %d has hash %s", got.GetLines()[0].GetNumber(), got.GetLines()[0].GetHash())
	case c.Verify:
		t.print("the audit is as it was written, and nothing in it is about that")
	}
	return nil
}

// bytesOf is a number of bytes for people.
func bytesOf(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1000, 0
	for f >= 999.95 && unit < 4 {
		f, unit = f/1000, unit+1
	}
	return fmt.Sprintf("%.1f %cB", f, "kMGTP"[unit])
}
