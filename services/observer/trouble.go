package observer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// leaseGrace is how long after a lease ran out an orchestrator may take to notice.
const leaseGrace = 5 * time.Second

// slowAfter is how long a step may run before it is worth a word.
const slowAfter = time.Minute

// A trouble is one thing that is wrong now, with what can be done about it.
type trouble struct {
	kind, subject, sentence, remedy string
	production                      string    // empty: of all
	since                           time.Time // zero: not known from records
	hurt                            harm
}

// key tells it from others, and is the same while it lasts.
func (t trouble) key() string { return t.kind + " " + t.production + " " + t.subject }

// harm is whom it hurts.
type harm struct{ recipients, distributions, steps int }

func (h *harm) add(d readside.Brief, steps int) {
	h.recipients += d.Recipients
	h.distributions++
	h.steps += steps
}

// troubles finds what is wrong in the productions that mine says, worst first.
func (l *look) troubles(mine func(production string) bool) []trouble {
	var open []readside.Brief
	for _, d := range l.open {
		if mine(d.Production) {
			open = append(open, d)
		}
	}
	all := slices.Concat(l.down(open), l.unserved(open, mine), l.stuck(mine), l.blocked(mine), l.full(mine), l.paused(open, mine), l.late(open), l.slow(mine))
	slices.SortStableFunc(all, func(a, b trouble) int { return cmp.Compare(rank(a.kind), rank(b.kind)) })
	return all
}

// severity orders kinds of trouble, the worst first; what only follows from others comes last.
var severity = []string{"redis_down", "orchestrator_down", "no_worker", "old_worker", "stuck_lease", "breaker_open", "failed", "credential",
	"waits_limit", "backing_off", "paused", "slow", "late"}

func rank(kind string) int {
	i := slices.Index(severity, kind)
	if i < 0 {
		return len(severity)
	}
	return i
}

// down says which of the parts that everything needs are gone.
func (l *look) down(open []readside.Brief) []trouble {
	var hurt harm
	for _, d := range open {
		hurt.add(d, 0)
	}
	switch {
	case !l.state.RedisDown.IsZero():
		return []trouble{{kind: "redis_down", subject: "redis", since: l.state.RedisDown, hurt: hurt, sentence: l.state.Note(),
			remedy: "Look whether redis-server runs and has room on its disk; what was accepted goes on by itself when it is back."}}
	case !l.state.Alive:
		return []trouble{{kind: "orchestrator_down", subject: "orchestrator", since: l.state.SeenAt, hurt: hurt, sentence: l.state.Note() + ".",
			remedy: "Start an orchestrator, and look at the end of the last one's log; what was accepted goes on by itself when one is back."}}
	}
	return nil
}

// unserved finds functions that steps wait for and no worker serves.
func (l *look) unserved(open []readside.Brief, mine func(string) bool) []trouble {
	var out []trouble
	for _, f := range l.functions {
		if f.GetReady() == 0 || takes(f) || f.GetBlocked() == "PAUSED" {
			continue
		}
		var hurt harm
		for _, d := range open {
			if n := d.Waiting[f.GetName()]; n > 0 {
				hurt.add(d, n)
			}
		}
		if hurt.distributions == 0 && !mine("*") {
			continue // of others
		}
		t := trouble{kind: "no_worker", subject: f.GetName(), hurt: hurt, since: l.at.Add(-f.GetOldest().AsDuration()),
			sentence: fmt.Sprintf("No worker serves %s: %s.", f.GetName(), l.waits(f, hurt)),
			remedy:   fmt.Sprintf("Start a worker that announces %s; filigree functions lists who serves what.", f.GetName())}
		other := l.otherVersions(f.GetName())
		if n := len(f.GetWorkers()); n > 0 {
			t.sentence = fmt.Sprintf("All that serve %s are drained: %s.", f.GetName(), l.waits(f, hurt))
			t.remedy = fmt.Sprintf("Start a worker that announces %s, or let one of them take work again: filigree undrain %s.", f.GetName(), f.GetWorkers()[0].GetName())
		} else if len(other) > 0 {
			t.kind = "old_worker"
			t.sentence = fmt.Sprintf("No worker serves %s, only another version of it: %s; %s.", f.GetName(), strings.Join(other, ", "), l.waits(f, hurt))
			t.remedy = fmt.Sprintf("Roll out workers that announce %s, or go back with: filigree definition rollout.", f.GetName())
		}
		out = append(out, t)
	}
	return out
}

// takes reports whether some worker of a function takes new work.
func takes(f *controlv1.Function) bool {
	return slices.ContainsFunc(f.GetWorkers(), func(w *controlv1.FunctionWorker) bool { return !w.GetDraining() })
}

// waits says what waits for a function, and since when.
func (l *look) waits(f *controlv1.Function, hurt harm) string {
	steps := max(hurt.steps, 1)
	return fmt.Sprintf("%s of %s for it since %s", count(steps, "step", "steps"), verb(hurt.distributions, "distribution waits", "distributions wait"),
		clock(l.at.Add(-f.GetOldest().AsDuration())))
}

// otherVersions lists workers that serve the same function by another version's name: "watermark.Stamp@1 by 3 workers".
func (l *look) otherVersions(function string) []string {
	var out []string
	for _, f := range l.functions {
		if f.GetName() != function && base(f.GetName()) == base(function) && len(f.GetWorkers()) > 0 {
			names := make([]string, 0, 3)
			for _, w := range f.GetWorkers()[:min(3, len(f.GetWorkers()))] {
				names = append(names, w.GetName())
			}
			out = append(out, fmt.Sprintf("%s by %s", f.GetName(), strings.Join(names, ", ")))
		}
	}
	return out
}

// stuck finds steps whose worker went silent and that nobody took back.
func (l *look) stuck(mine func(string) bool) []trouble {
	by := map[string]*trouble{}
	var order []string
	for _, h := range l.held {
		if !mine(h.Production) || !h.LeaseEnds.Before(l.at.Add(-leaseGrace)) {
			continue
		}
		t := by[h.Worker]
		if t == nil {
			t = &trouble{kind: "stuck_lease", subject: h.Worker, since: h.LeaseEnds}
			by[h.Worker] = t
			order = append(order, h.Worker)
		}
		t.hurt.steps++
		t.hurt.distributions = 1
		if h.LeaseEnds.Before(t.since) {
			t.since = h.LeaseEnds
		}
	}
	var out []trouble
	for _, name := range order {
		t := by[name]
		t.sentence = fmt.Sprintf("Worker %s went silent at %s with %s, and nobody has taken %s back.", name, clock(t.since),
			count(t.hurt.steps, "step", "steps"), either(t.hurt.steps == 1, "it", "them"))
		t.remedy = "Orchestrators take back what a worker lost 10 s after its last word: look whether one runs, and at its log."
		out = append(out, *t)
	}
	return out
}

// blocked finds resources that are shut off, or could not be made.
func (l *look) blocked(mine func(string) bool) []trouble {
	var out []trouble
	for _, g := range l.limits {
		r := g.resource
		if r == nil || g.production != "" && !mine(g.production) {
			continue
		}
		t := trouble{subject: g.called(), production: g.production, hurt: harm{steps: int(g.GetWaiting())}}
		last := strings.TrimSuffix(strings.TrimSpace(r.GetLastCode()+" "+r.GetLastMessage()), ".")
		reset := fmt.Sprintf("Mend it, then: filigree resource reset %s%s.", r.GetLimit().GetName(), scope(g.production))
		switch {
		case r.GetState() == "failed":
			t.kind, t.remedy = "failed", reset
			t.sentence = fmt.Sprintf("The resource %s could not be made: %s. %s for it.", g.called(), last, waitFor(g.GetWaiting()))
		case r.GetBreaker() == "open":
			t.kind, t.remedy = "breaker_open", reset
			t.sentence = fmt.Sprintf("The resource %s is shut off until %s, since it failed %s in a row: %s. %s for it.", g.called(),
				clock(r.GetBlockedUntil().AsTime()), count(int(r.GetBreakerFailures()), "time", "times"), last, waitFor(g.GetWaiting()))
		case r.GetBlockedUntil() != nil && g.GetWaiting() > 0:
			t.kind, t.remedy = "backing_off", "It goes on by itself then."
			t.sentence = fmt.Sprintf("The resource %s said that it is too busy, and is left alone until %s. %s for it.", g.called(),
				clock(r.GetBlockedUntil().AsTime()), waitFor(g.GetWaiting()))
		default:
			continue
		}
		out = append(out, t)
	}
	return out
}

// full finds limits at which steps wait.
func (l *look) full(mine func(string) bool) []trouble {
	var out []trouble
	for _, g := range l.limits {
		if g.GetWaiting() == 0 || g.production != "" && !mine(g.production) {
			continue
		}
		if r := g.resource; r != nil && (r.GetBreaker() == "open" || r.GetState() == "failed" || r.GetBlockedUntil() != nil) {
			continue
		}
		t := trouble{kind: "waits_limit", subject: g.called(), production: g.production, hurt: harm{steps: int(g.GetWaiting())},
			remedy: fmt.Sprintf("To let more through: filigree limit set %s --concurrency N%s.", g.GetName(), scope(g.production))}
		if g.resource != nil {
			t.remedy = strings.Replace(t.remedy, "filigree limit set", "filigree resource set", 1)
		}
		switch {
		case g.GetConcurrency() > 0 && g.GetTaken() >= g.GetConcurrency():
			t.sentence = fmt.Sprintf("The limit %s is full: %d of %d places are taken, and %s.", g.called(), g.GetTaken(), g.GetConcurrency(),
				count(int(g.GetWaiting()), "step waits", "steps wait"))
		case g.GetRate() > 0:
			t.sentence = fmt.Sprintf("The limit %s lets %s start in a second, and %s.", g.called(), number(g.GetRate()), count(int(g.GetWaiting()), "step waits", "steps wait"))
			t.remedy = strings.Replace(t.remedy, "--concurrency N", "--rate N", 1)
		default:
			continue
		}
		out = append(out, t)
	}
	return out
}

// paused finds pauses that something waits for.
func (l *look) paused(open []readside.Brief, mine func(string) bool) []trouble {
	var out []trouble
	for _, h := range l.pauses.GetPauses() {
		if h.GetProduction() != "" && !mine(h.GetProduction()) {
			continue
		}
		t := trouble{kind: "paused", subject: h.GetFunction(), production: h.GetProduction()}
		for _, d := range open {
			if h.GetProduction() != "" && d.Production != h.GetProduction() {
				continue
			}
			n := d.Ready
			if h.GetFunction() != "" {
				n = d.Waiting[h.GetFunction()]
			}
			if n > 0 {
				t.hurt.add(d, n)
			}
		}
		if t.hurt.steps == 0 {
			continue
		}
		what, flags := "The production "+h.GetProduction(), scope(h.GetProduction())
		if h.GetFunction() != "" {
			what, flags = "The function "+h.GetFunction(), " --function "+h.GetFunction()
			if h.GetProduction() != "" {
				what, flags = what+" in the production "+h.GetProduction(), flags+" --production "+h.GetProduction()
			}
		} else {
			t.subject = h.GetProduction()
			flags = " --production " + h.GetProduction()
		}
		t.sentence = fmt.Sprintf("%s is paused, and %s.", what, count(t.hurt.steps, "step waits", "steps wait"))
		t.remedy = fmt.Sprintf("To go on: filigree resume%s.", flags)
		out = append(out, t)
	}
	t := trouble{kind: "paused", subject: "distributions"}
	first := ""
	for _, d := range open {
		if d.State == "paused" {
			t.hurt.add(d, d.Ready)
			first = either(first == "", d.ID+scope(d.Production), first)
		}
	}
	if t.hurt.distributions > 0 {
		t.sentence = fmt.Sprintf("%s paused.", count(t.hurt.distributions, "distribution is", "distributions are"))
		t.remedy = fmt.Sprintf("To go on: filigree resume %s.", first)
		out = append(out, t)
	}
	return out
}

// late finds distributions that are past their deadline.
func (l *look) late(open []readside.Brief) []trouble {
	t := trouble{kind: "late", subject: "deadline"}
	worst := time.Duration(0)
	worstID := ""
	for _, d := range open {
		if d.Deadline.IsZero() || !l.at.After(d.Deadline) {
			continue
		}
		t.hurt.add(d, d.Ready+d.Running)
		if by := l.at.Sub(d.Deadline); by > worst {
			worst, worstID, t.since = by, d.ID+scope(d.Production), d.Deadline
		}
	}
	if t.hurt.distributions == 0 {
		return nil
	}
	t.sentence = fmt.Sprintf("%s past the deadline, the worst by %s.", count(t.hurt.distributions, "distribution is", "distributions are"), worst.Round(time.Second))
	t.remedy = fmt.Sprintf("Ask what holds it up: filigree why %s.", worstID)
	return []trouble{t}
}

// slow finds steps that have run for long.
func (l *look) slow(mine func(string) bool) []trouble {
	type at struct{ function, worker string }
	by := map[at]*trouble{}
	var order []at
	for _, h := range l.held {
		if !mine(h.Production) || h.Since.IsZero() || l.at.Sub(h.Since) < slowAfter || h.LeaseEnds.Before(l.at.Add(-leaseGrace)) {
			continue
		}
		k := at{h.Function, h.Worker}
		if by[k] == nil {
			by[k] = &trouble{kind: "slow", subject: h.Function + " " + h.Worker, since: h.Since}
			order = append(order, k)
		}
		by[k].hurt.steps++
		if h.Since.Before(by[k].since) {
			by[k].since = h.Since
		}
	}
	var out []trouble
	for _, k := range order {
		t := by[k]
		t.sentence = fmt.Sprintf("Worker %s has been at %s of %s since %s.", k.worker, count(t.hurt.steps, "step", "steps"), k.function, clock(t.since))
		t.remedy = "It still says that it works: look at its log, and at what it waits for."
		out = append(out, *t)
	}
	return out
}

// cause is a trouble as it is told.
func (t trouble) cause() *observerv1.Cause {
	c := &observerv1.Cause{Kind: t.kind, Sentence: t.sentence, Remedy: t.remedy, Subject: t.subject,
		Recipients: int32(t.hurt.recipients), Distributions: int32(t.hurt.distributions)}
	if !t.since.IsZero() {
		c.Since = timestamppb.New(t.since)
	}
	return c
}
