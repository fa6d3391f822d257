package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type statusCmd struct {
	serverFlags
	productionFlag
	ID   string `arg:"" help:"The distribution."`
	JSON bool   `name:"json" help:"Print the distribution as one JSON document."`
}

func (c *statusCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	d, raw, err := client.Distribution(ctx, c.Production, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	var recipients []*distributionv1.Recipient
	if hasLinks(d) || hurt(d) {
		recipients, _, err = client.Recipients(ctx, c.Production, c.ID)
		if err != nil {
			return err
		}
	}
	troubles, err := findTroubles(ctx, client, d, recipients)
	if err != nil {
		return err
	}
	showStatus(t, d, recipients, c.hint())
	showTroubles(t, troubles)
	if stuck(d) {
		return showBlocked(ctx, t, client, d)
	}
	return nil
}

// word is a distribution's state for people.
func word(d *distributionv1.Distribution) string {
	if d.GetCancelRequested() && !ended(d) {
		return d.GetState() + ", being cancelled"
	}
	return d.GetState()
}

// ended reports whether a distribution has come to its end. A state that is not known has an end time, or goes on.
func ended(d *distributionv1.Distribution) bool {
	switch d.GetState() {
	case "completed", "completed_with_failures", "failed", "cancelled":
		return true
	}
	return d.GetEndedAt() != nil
}

// held reports whether d's undo window is open.
func held(t *term, d *distributionv1.Distribution) bool {
	return d.GetHeldUntil() != nil && t.now().Before(d.GetHeldUntil().AsTime()) && !ended(d) && !d.GetCancelRequested()
}

// hasLinks reports whether recipients of d fetch their copies, so that links can be counted, and ended.
func hasLinks(d *distributionv1.Distribution) bool {
	return d.GetMode() != "" && d.GetMode() != "attachment"
}

// showStatus prints what is known of d; recipients are there if it has links. hint is what a further command needs.
func showStatus(t *term, d *distributionv1.Distribution, recipients []*distributionv1.Recipient, hint string) {
	state := word(d)
	if t.colour {
		state = strings.Replace(state, d.GetState(), paint(d.GetState()), 1)
	}
	t.fact("title", d.GetTitle())
	t.fact("id", d.GetId())
	t.fact("production", d.GetProduction())
	fmt.Fprintf(t.out, "%-12s%s%s\n", "state", state, since(t, d))
	if d.GetState() == "paused" {
		t.fact("paused", fmt.Sprintf("no step of it starts; to go on: filigree resume %s%s", d.GetId(), hint))
	}
	if d.GetError() != nil {
		t.fact("stopped", why(d.GetError()))
	}
	if held(t, d) {
		t.fact("held", fmt.Sprintf("until %s; to undo: filigree cancel %s%s", at(d.GetHeldUntil()), d.GetId(), hint))
	}
	if d.GetLateBy() != nil {
		t.fact("late", fmt.Sprintf("by %s: it was to be over at %s", span(d.GetLateBy().AsDuration()), at(d.GetDeadline())))
	}
	showOrigin(t, d)
	t.fact("accepted", at(d.GetCreatedAt()))
	if d.GetStartedAt() != nil {
		t.fact("started", at(d.GetStartedAt()))
	}
	if d.GetEndedAt() != nil {
		t.fact("ended", at(d.GetEndedAt()))
	}
	names := make([]string, len(d.GetFiles()))
	for i, f := range d.GetFiles() {
		names[i] = fileName(f)
	}
	t.fact("files", strings.Join(names, ", "))
	t.fact("items", counts(d.GetItems()))
	t.fact("recipients", counts(d.GetRecipients()))
	if hasLinks(d) {
		t.fact("links", links(recipients))
	}
	showSteps(t, d.GetSteps())
}

// showOrigin prints what d runs, where it is out of the ordinary, and which distributions started which.
func showOrigin(t *term, d *distributionv1.Distribution) {
	if name := d.GetDefinition().GetName(); name != "" && name != ordinary {
		t.fact("definition", versioned(name, d.GetDefinition().GetVersion()))
	}
	if d.GetPriority() > 0 {
		t.fact("priority", fmt.Sprint(d.GetPriority()))
	}
	if d.GetParent() != "" {
		t.fact("part of", fmt.Sprintf("%s, as its step %s", d.GetParent(), d.GetParentStep()))
	}
	if all := d.GetChildren(); len(all) > 0 {
		text := strings.Join(all[:min(examples, len(all))], ", ")
		if more := len(all) - examples; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		t.fact("parts", text)
	}
}

// ordinary is the definition that distributions run unless another is named.
const ordinary = "send-documents"

// stuck reports whether steps of d wait and nobody has one of their kind: there may be something in their way.
func stuck(d *distributionv1.Distribution) bool {
	for _, s := range d.GetSteps() {
		if s.GetReady() > 0 && s.GetRunning() == 0 {
			return !ended(d) && d.GetState() != "paused"
		}
	}
	return false
}

// showBlocked prints what may be in the way of a distribution from outside: pauses, functions that nobody serves, limits
// and shared resources that steps wait for.
func showBlocked(ctx context.Context, t *term, client *api.Client, d *distributionv1.Distribution) error {
	var lines []string
	pauses, _, err := client.Pauses(ctx)
	if err != nil {
		return err
	}
	for _, p := range pauses.GetPauses() {
		if p.GetProduction() == "" || p.GetProduction() == d.GetProduction() {
			what, args := paused(p.GetFunction(), p.GetProduction())
			lines = append(lines, what+" is paused; to go on: filigree resume "+args)
		}
	}
	functions, _, err := client.Functions(ctx)
	if err != nil {
		return err
	}
	for _, f := range functions {
		if f.GetBlocked() == "NO_WORKER" {
			lines = append(lines, fmt.Sprintf("no worker serves the function %s; %s", f.GetName(), waiting(f.GetReady())))
		}
	}
	for _, production := range []string{d.GetProduction(), ""} {
		limits, _, err := client.Limits(ctx, production)
		if err != nil {
			return err
		}
		for _, l := range limits {
			if l.GetWaiting() > 0 {
				lines = append(lines, fmt.Sprintf("the limit %s lets %s; %s", called(production, l.GetName()), limitWords(l), waiting(l.GetWaiting())))
			}
		}
		resources, _, err := client.Resources(ctx, production)
		if err != nil {
			return err
		}
		for _, r := range resources {
			if n := r.GetLimit().GetWaiting(); n > 0 {
				name := called(production, r.GetLimit().GetName())
				line := fmt.Sprintf("the resource %s is %s (%s); %s", name, health(r), limitWords(r.GetLimit()), waiting(n))
				if r.GetLastCode() != "" {
					line += "; its last failure: " + lastFailure(r)
				}
				lines = append(lines, line)
			}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	fmt.Fprintln(t.out, "\nWhat stands in the way")
	for _, line := range lines {
		t.print("  %s", line)
	}
	return nil
}

func waiting(n int32) string { return plural(int(n), "step waits", "steps wait") }

// links counts what became of links: "20: 18 active, 2 expired; 12 viewed, 5 downloaded".
func links(recipients []*distributionv1.Recipient) string {
	var total, viewed, downloaded int
	by := map[string]int{}
	for _, r := range recipients {
		v := r.GetDelivery()
		if v.GetAccess() != "" {
			total++
			by[v.GetAccess()]++
		}
		if v.GetViewedAt() != nil {
			viewed++
		}
		if v.GetDownloadedAt() != nil {
			downloaded++
		}
	}
	if total == 0 {
		return "0"
	}
	var parts []string
	for _, access := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%d %s", by[access], clean(access)))
	}
	return fmt.Sprintf("%d: %s; %d viewed, %d downloaded", total, strings.Join(parts, ", "), viewed, downloaded)
}

// since says how long a distribution has been in its state, or took.
func since(t *term, d *distributionv1.Distribution) string {
	begin := d.GetStartedAt()
	if begin == nil {
		begin = d.GetCreatedAt()
	}
	switch {
	case begin == nil, d.GetState() == "paused": // since when it is paused is in its events
		return ""
	case d.GetEndedAt() != nil:
		return ", took " + span(d.GetEndedAt().AsTime().Sub(begin.AsTime()))
	}
	return ", for " + span(max(0, t.now().Sub(begin.AsTime()).Truncate(time.Second)))
}

// counts shows the numbers of a message that are not zero, in its order: "20: 12 sent, 8 queued".
func counts(m proto.Message) string {
	r := m.ProtoReflect()
	fields := r.Descriptor().Fields()
	total := "0"
	var parts []string
	for i := range fields.Len() {
		f := fields.Get(i)
		n := r.Get(f).Int()
		switch {
		case f.Name() == "total":
			total = fmt.Sprint(n)
		case n > 0:
			parts = append(parts, fmt.Sprintf("%d %s", n, f.Name()))
		}
	}
	if len(parts) == 0 {
		return total
	}
	return total + ": " + strings.Join(parts, ", ")
}

// showSteps prints the steps with a column for each state that any of them is in.
func showSteps(t *term, steps []*distributionv1.StepCounts) {
	if len(steps) == 0 {
		return
	}
	fields := steps[0].ProtoReflect().Descriptor().Fields()
	b := newTable("STEP")
	b.right = map[int]bool{}
	var shown []int
	for i := 1; i < fields.Len(); i++ { // the first is the name
		used := fields.Get(i).Name() == "done"
		for _, s := range steps {
			used = used || s.ProtoReflect().Get(fields.Get(i)).Int() > 0
		}
		if used {
			shown = append(shown, i)
			b.right[len(b.head)] = true
			b.head = append(b.head, strings.ToUpper(string(fields.Get(i).Name())))
		}
	}
	for _, s := range steps {
		row := []string{s.GetName()}
		for _, i := range shown {
			row = append(row, fmt.Sprint(s.ProtoReflect().Get(fields.Get(i)).Int()))
		}
		b.add(row...)
	}
	fmt.Fprintln(t.out)
	b.write(t, "")
}
