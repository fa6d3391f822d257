package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/fingerprint"
)

// Cause is one reason, with what can be done about it.
type Cause struct {
	Kind string
	// Clause is the reason in words, without a capital and a full stop.
	Clause                    string
	Remedy                    string
	Since                     time.Time
	Subject                   string
	Recipients, Distributions int
	// Again is when it is tried again by itself; zero if that is not known.
	Again time.Time
	// Final: nothing tries it again by itself.
	Final bool

	optional bool
}

// ranks is the order of causes, the worst first: what explains most of the others comes before them.
var ranks = []string{"redis_down", "orchestrator_down", "disk_full", "cancelled", "paused", "credential", "quarantined", "refused", "failed",
	"old_worker", "no_worker", "breaker_open", "stuck_lease", "waits_limit", "backing_off", "held", "slow", "waits_worker", "late"}

// Causes are the reasons for which what f is about has not come to a good end, worst first; none when all is well.
func Causes(f *Facts) []Cause {
	b := builder{f: f}
	b.world()
	b.distribution()
	for i := range f.Way {
		b.step(&f.Way[i])
	}
	b.late()
	slices.SortStableFunc(b.causes, func(x, y Cause) int {
		return cmp.Or(boolean(x.optional)-boolean(y.optional), slices.Index(ranks, x.Kind)-slices.Index(ranks, y.Kind), cmp.Compare(y.Recipients, x.Recipients))
	})
	return b.causes
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

type builder struct {
	f      *Facts
	causes []Cause
}

// add adds a cause unless it is there; of two alike the earlier since counts.
func (b *builder) add(c Cause) {
	for i := range b.causes {
		had := &b.causes[i]
		if had.Kind == c.Kind && had.Subject == c.Subject && had.optional == c.optional {
			if had.Since.IsZero() || !c.Since.IsZero() && c.Since.Before(had.Since) {
				had.Since = c.Since
			}
			return
		}
	}
	b.causes = append(b.causes, c)
}

// open reports whether anything is still to come.
func (b *builder) open() bool {
	switch b.f.State {
	case "completed", "completed_with_failures", "failed", "cancelled":
		return false
	}
	return true
}

// hint is what a command needs to name the production.
func (b *builder) hint() string {
	if b.f.Production == "default" || b.f.Production == "" {
		return ""
	}
	return " --production " + b.f.Production
}

// everybody counts all who wait for anything.
func (b *builder) everybody() (int, int) {
	return b.f.World.hurt(func(Open) bool { return true })
}

// world adds what keeps everything from going on.
func (b *builder) world() {
	w := &b.f.World
	if !b.open() {
		return
	}
	n, d := b.everybody()
	switch {
	case full(w.Redis):
		b.add(Cause{Kind: "disk_full", Clause: fmt.Sprintf("the disk of Redis is full, so that nothing can be recorded%s: %s", since(w.RedisSince, b.f.Now), w.Redis),
			Remedy: "Free space where Redis keeps its append-only file; it goes on by itself then.", Since: w.RedisSince, Subject: "redis", Recipients: n, Distributions: d})
	case w.Redis != "":
		b.add(Cause{Kind: "redis_down", Clause: fmt.Sprintf("Redis is not reached%s, so that nothing moves on: %s", since(w.RedisSince, b.f.Now), w.Redis),
			Remedy: "Start Redis, after a look whether its disk is full, or mend the way to it; nothing that was accepted is lost, and it goes on by itself then.", Since: w.RedisSince, Subject: "redis", Recipients: n, Distributions: d})
	case !w.Alive:
		b.add(Cause{Kind: "orchestrator_down", Clause: fmt.Sprintf("no orchestrator is there%s, so that nothing moves on", since(w.Orchestrator, b.f.Now)),
			Remedy: "Start an orchestrator; it goes on where the last one stopped.", Since: w.Orchestrator, Subject: "orchestrator", Recipients: n, Distributions: d})
	}
}

// distribution adds what was done to the distribution as a whole.
func (b *builder) distribution() {
	f := b.f
	switch {
	case f.TooMany:
		b.add(Cause{Kind: "cancelled", Clause: fmt.Sprintf("the distribution stopped by itself%s, because more items failed than its policy tolerates", at(f.Cancelled, f.Now)),
			Remedy: "Mend what failed, and send to those who got nothing as a new distribution.", Since: f.Cancelled, Subject: "TOO_MANY_FAILURES", Recipients: f.Waiting, Distributions: 1, Final: true})
	case !f.Cancelled.IsZero() && (f.Person == nil || !got(f.Person.State)):
		b.add(Cause{Kind: "cancelled", Clause: fmt.Sprintf("%s cancelled the distribution%s", Person(f.CancelledBy), at(f.Cancelled, f.Now)),
			Remedy: "What was cancelled stays so; send what is wanted as a new distribution.", Since: f.Cancelled, Subject: f.ID, Recipients: f.Waiting, Distributions: 1, Final: true})
	}
	if !b.open() {
		return
	}
	if f.State == "paused" {
		b.add(Cause{Kind: "paused", Clause: fmt.Sprintf("%s paused the distribution%s", Person(f.PausedBy), at(f.Paused, f.Now)),
			Remedy: "To go on: filigree resume " + f.ID + b.hint(), Since: f.Paused, Subject: f.ID, Recipients: f.Waiting, Distributions: 1})
	}
	if len(f.Way) == 0 && f.State == "accepted" {
		b.add(Cause{Kind: "waits_worker", Clause: "the distribution was accepted" + at(f.Created, f.Now) + " and its steps are being laid out", Since: f.Created, Subject: f.ID})
	}
}

// at is " at 14:03:07 UTC", or nothing when that is not known.
func at(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " at " + clock(t, now)
}

// got reports whether a delivery in that state has reached its recipient's mail server.
func got(delivery string) bool {
	return delivery == "sent" || delivery == "delivered" || delivery == "complained"
}

// late adds that it is past its deadline.
func (b *builder) late() {
	f := b.f
	if f.Deadline.IsZero() || !b.open() || !f.Now.After(f.Deadline) || f.Person != nil && got(f.Person.State) {
		return
	}
	b.add(Cause{Kind: "late", Clause: fmt.Sprintf("it was to be over at %s, %s ago", clock(f.Deadline, f.Now), span(f.Now.Sub(f.Deadline))),
		Remedy: "See where the time goes: filigree status " + f.ID + b.hint(), Since: f.Deadline, Subject: f.ID, Recipients: f.Waiting, Distributions: 1})
}

// group is the group of failures that a step is in.
func (b *builder) group(s *Step) *fingerprint.Group {
	var names []string
	if b.f.Person != nil {
		names = append(names, b.f.Person.Name)
	}
	id := fingerprint.ID(s.Function, s.Code, fingerprint.Signature(s.Message, append(names, s.File)...))
	i := slices.IndexFunc(b.f.Groups, func(g *fingerprint.Group) bool { return g.ID == id })
	if i < 0 {
		return nil
	}
	return b.f.Groups[i]
}

// full reports whether a sentence says that a disk is full.
func full(sentence string) bool {
	s := strings.ToLower(sentence)
	return strings.Contains(s, "no space left on device") || strings.Contains(s, "misconf") && strings.Contains(s, "aof") || strings.Contains(s, "disk quota exceeded")
}
