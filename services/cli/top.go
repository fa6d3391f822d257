package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type topCmd struct {
	serverFlags
	Every period `default:"2s" placeholder:"TIME" help:"How often it looks anew, on a terminal. Default: 2s."`
	Once  bool   `help:"Print it once and end, as it does where the output is no terminal."`
	JSON  bool   `name:"json" help:"Print what there is now as one JSON document."`
}

func (c *topCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	if c.JSON {
		_, raw, err := client.Top(ctx)
		if err != nil {
			return err
		}
		return t.document(raw)
	}
	if c.Once || !t.colour || !t.live {
		return show(ctx, t, client)
	}
	return c.follow(ctx, t, client)
}

// home moves a terminal's cursor to its beginning, rest clears what is right of it or below it.
const (
	home      = "\x1b[H"
	clearLine = "\x1b[K"
	clearRest = "\x1b[J"
)

// follow draws it anew until somebody ends it. A server that is away for a while is waited for.
func (c *topCmd) follow(ctx context.Context, t *term, client *api.Client) error {
	fmt.Fprint(t.out, home+clearRest)
	for {
		var page bytes.Buffer
		screen := *t
		screen.out = &page
		err := show(ctx, &screen, client)
		var gone *api.UnreachableError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &gone):
			fmt.Fprintf(&page, "%v; it is asked again\n", err)
		case err != nil:
			return err
		}
		fmt.Fprint(t.out, home+strings.ReplaceAll(page.String(), "\n", clearLine+"\n")+clearRest)
		wait := time.NewTimer(max(time.Duration(c.Every), 200*time.Millisecond))
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
	}
}

// show prints what goes on: whether anything is wrong, then who has work, who does it, and what holds it.
func show(ctx context.Context, t *term, client *api.Client) error {
	top, _, err := client.Top(ctx)
	if err != nil {
		return err
	}
	overview, _, err := client.Overview(ctx, "")
	if err != nil {
		return err
	}
	showOverview(t, overview)
	showProductions(t, top.GetProductions())
	showFunctions(t, top.GetFunctions())
	showWorkers(t, top.GetWorkers())
	showLimits(t, top.GetLimits())
	return nil
}

// most is how many lines of each a screen has.
const most = 15

func showOverview(t *term, o *observerv1.GetOverviewResponse) {
	mark := "ok"
	if !o.GetWell() {
		mark = "failed"
	}
	word := strings.ToUpper(map[bool]string{true: "well", false: "wrong"}[o.GetWell()])
	if t.colour {
		word = strings.Replace(paint(mark), mark, word, 1)
	}
	fmt.Fprintf(t.out, "%s  %s\n", word, clean(o.GetSentence()))
	if note := o.GetFreshness().GetNote(); note != "" {
		t.paragraph("note: ", note)
	}
	causes := o.GetCauses()
	for _, c := range causes[:min(5, len(causes))] {
		t.paragraph("  "+pad(strings.ReplaceAll(c.GetKind(), "_", " "), 14), c.GetSentence()+" "+c.GetRemedy())
	}
}

func showProductions(t *term, list []*observerv1.TopProduction) {
	b := newTable("PRODUCTION", "OPEN", "RUNNING", "READY", "FAILING", "WEIGHT", "")
	b.right = map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}
	for _, p := range list[:min(most, len(list))] {
		paused := ""
		if p.GetPaused() {
			paused = "paused"
		}
		b.add(p.GetProduction(), fmt.Sprint(p.GetOpen()), fmt.Sprint(p.GetRunning()), fmt.Sprint(p.GetReady()), fmt.Sprint(p.GetFailing()), fmt.Sprint(p.GetWeight()), paused)
	}
	b.section(t)
}

func showFunctions(t *term, list []*observerv1.TopFunction) {
	b := newTable("FUNCTION", "WORKERS", "RUNNING", "READY", "AT LIMIT", "OLDEST", "")
	b.right = map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}
	for _, f := range list[:min(most, len(list))] {
		oldest, state := "", ""
		if f.GetReady() > 0 {
			oldest = span(f.GetOldest().AsDuration())
		}
		switch {
		case f.GetPaused():
			state = "paused"
		case f.GetWorkers() == 0 && f.GetReady() > 0:
			state = "no worker"
		}
		b.add(f.GetFunction(), fmt.Sprint(f.GetWorkers()), fmt.Sprint(f.GetRunning()), fmt.Sprint(f.GetReady()), fmt.Sprint(f.GetAtLimit()), oldest, state)
	}
	b.section(t)
}

func showWorkers(t *term, list []*observerv1.TopWorker) {
	b := newTable("WORKER", "RUNNING", "FREE", "SEEN", "", "SERVES")
	b.right = map[int]bool{1: true, 2: true, 3: true}
	for _, w := range list[:min(most, len(list))] {
		b.add(w.GetWorker(), fmt.Sprint(w.GetRunning()), fmt.Sprint(w.GetFree()), t.ago(w.GetSeenAt()), draining(w.GetDraining()), strings.Join(w.GetFunctions(), ", "))
	}
	b.section(t)
}

func showLimits(t *term, list []*observerv1.TopLimit) {
	b := newTable("LIMIT", "TAKEN", "OF", "A SECOND", "WAITING", "")
	b.right = map[int]bool{1: true, 2: true, 3: true, 4: true}
	for _, l := range list[:min(most, len(list))] {
		of, rate, state := "", "", l.GetBreaker()
		if l.GetConcurrency() > 0 {
			of = fmt.Sprint(l.GetConcurrency())
		}
		if l.GetRate() > 0 {
			rate = number(l.GetRate())
		}
		switch {
		case state == "closed":
			state = ""
		case state != "":
			state = "breaker " + strings.ReplaceAll(state, "_", " ")
		}
		if l.GetBlockedUntil() != nil {
			state = strings.TrimSpace(state + " until " + l.GetBlockedUntil().AsTime().Local().Format("15:04:05"))
		}
		name := called(l.GetProduction(), l.GetName())
		if l.GetProduction() != "" && l.GetProduction() != "default" {
			name += " of " + l.GetProduction()
		}
		b.add(name, fmt.Sprint(l.GetTaken()), of, rate, fmt.Sprint(l.GetWaiting()), state)
	}
	b.section(t)
}

// section prints a table after an empty line, if it has rows.
func (b *table) section(t *term) {
	if len(b.rows) > 0 {
		fmt.Fprintln(t.out)
		b.write(t, "")
	}
}
