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
	fact := func(name, value string) {
		fmt.Fprintf(t.out, "%-12s%s\n", name, value)
	}
	fact("title", clean(d.GetTitle()))
	fact("id", clean(d.GetId()))
	fact("production", clean(d.GetProduction()))
	fact("state", state+since(t, d))
	if held(t, d) {
		fact("held", fmt.Sprintf("until %s; to undo: filigree cancel %s%s", at(d.GetHeldUntil()), clean(d.GetId()), hint))
	}
	fact("accepted", at(d.GetCreatedAt()))
	if d.GetStartedAt() != nil {
		fact("started", at(d.GetStartedAt()))
	}
	if d.GetEndedAt() != nil {
		fact("ended", at(d.GetEndedAt()))
	}
	names := make([]string, len(d.GetFiles()))
	for i, f := range d.GetFiles() {
		names[i] = fileName(f)
	}
	fact("files", clean(strings.Join(names, ", ")))
	fact("items", counts(d.GetItems()))
	fact("recipients", counts(d.GetRecipients()))
	if hasLinks(d) {
		fact("links", links(recipients))
	}
	showSteps(t, d.GetSteps())
}

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
	case begin == nil:
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
