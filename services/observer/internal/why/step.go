package why

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// credentials are codes that say that we are not let in.
var credentials = []string{"EMAIL_AUTH", "EMAIL_SENDER", "EMAIL_SUSPENDED", "PUSH_AUTH", "DRIVE_DENIED", "DRIVE_SCOPE", "CREDENTIAL_UNKNOWN",
	"CREDENTIAL_UNREADABLE", "CREDENTIAL_EXPIRED", "THIRD_PARTY_AUTH_ERROR"}

// diskCodes are codes that say that something of ours is full.
var diskCodes = []string{"DISK_FULL", "STORE_FULL"}

// unseen is how long a worker may be silent before what it has is in doubt: a lease.
const unseen = 10 * time.Second

// moment is how long a step may wait for its turn before that is worth a word.
const moment = 2 * time.Second

// long is how long an attempt takes at least before it counts as slow.
const long = 20 * time.Second

// step adds why a step has not ended well.
func (b *builder) step(s *Step) {
	n := len(b.causes)
	switch s.State {
	case "failed":
		b.failed(s)
	case "cancelled":
		b.given(s)
	case "retrying":
		b.retrying(s)
	case "ready":
		b.ready(s)
	case "running":
		b.running(s)
	}
	for i := n; i < len(b.causes); i++ {
		b.causes[i].optional = s.Optional
	}
}

// failed adds a failure that nothing tries again by itself.
func (b *builder) failed(s *Step) {
	c := b.failure(s)
	c.Final = true
	tries := ""
	if s.Attempts > 1 {
		tries = fmt.Sprintf(" after %d attempts", s.Attempts)
	}
	why := because(s.Message, s.Code)
	switch {
	case c.Kind == "quarantined":
		c.Clause = fmt.Sprintf("%s kills workers, so it was given up%s%s: %s", orElse(s.File, "the document"), at(s.Ended, b.f.Now), tries, why)
		c.Remedy = "Look at the document, or send another version of it; to have it tried once more: filigree retry " + b.f.ID + b.hint()
	case c.Kind != "":
	case s.Delivers && b.f.Person != nil:
		c.Kind = "refused"
		if b.f.Person.State != "bounced" && b.f.Person.State != "blocked" {
			c.Kind = "failed"
		}
		c.Clause = fmt.Sprintf("%s to %s failed for good%s%s: %s", s.What(), b.f.Person.Email, at(s.Ended, b.f.Now), tries, why)
		if c.Kind == "refused" {
			c.Clause = fmt.Sprintf("%s to %s was refused for good%s%s: %s", s.What(), b.f.Person.Email, at(s.Ended, b.f.Now), tries, why)
		}
		c.Remedy = fmt.Sprintf("If the address is wrong: filigree resend %s %s --email ADDRESS%s; if it is right and the cause is gone: filigree retry %s%s",
			b.f.ID, number(b.f.Person.Number), b.hint(), b.f.ID, b.hint())
	default:
		c.Kind = "failed"
		c.Clause = fmt.Sprintf("%s failed for good%s%s: %s", s.What(), at(s.Ended, b.f.Now), tries, why)
		c.Remedy = "When the cause is gone: filigree retry " + b.f.ID + b.hint()
	}
	if c.Clause == "" {
		c.Clause = fmt.Sprintf("%s failed for good%s%s: %s", s.What(), at(s.Ended, b.f.Now), tries, why)
	}
	b.add(c)
}

func number(n int) string { return fmt.Sprintf("r%d", n) }

// failure is what all causes share that come of a failure: of what kind it is where the code says so, and whom it hurts.
func (b *builder) failure(s *Step) Cause {
	c := Cause{Since: s.Since, Subject: s.Code, Recipients: max(1, boolean(b.f.Person == nil)*b.f.Waiting), Distributions: 1}
	if c.Since.IsZero() {
		c.Since = s.Ended
	}
	g := b.group(s)
	if g != nil {
		c.Recipients, c.Distributions = max(c.Recipients, g.Recipients), max(c.Distributions, g.Distributions)
	}
	switch {
	case slices.Contains(diskCodes, s.Code) || full(s.Message) && !strings.HasPrefix(s.Code, "EMAIL_"):
		c.Kind = "disk_full"
		c.Remedy = "Free space where documents and records are kept; then: filigree retry " + b.f.ID + b.hint()
	case slices.Contains(credentials, s.Code) || refusesCredential(s.Code):
		c.Kind = "credential"
		c.Remedy = "Put the credential right: in the configuration, or by filigree credential set NAME; then: filigree retry " + b.f.ID + b.hint()
		if resource := b.resource(s); resource != nil && resource.Credential != "" {
			c.Remedy = fmt.Sprintf("Renew the credential: filigree credential set %s%s; then: filigree resource reset %s%s", resource.Credential, scope(resource), resource.Name, scope(resource))
		}
	case s.Code == "FILE_QUARANTINED" || s.Code == "WORKER_CRASHED":
		c.Kind = "quarantined"
		c.Subject = orElse(s.File, s.Code)
	}
	return c
}

// refusesCredential reports whether a code of somebody's own function says that it was not let in.
func refusesCredential(code string) bool {
	return strings.Contains(code, "CREDENTIAL") || strings.HasSuffix(code, "_AUTH") || strings.HasSuffix(code, "_EXPIRED") || strings.Contains(code, "UNAUTHENTICATED")
}

// scope is the flag that names where a limit or resource is.
func scope(l *Limit) string {
	switch l.Production {
	case "":
		return " --studio"
	case "default":
		return ""
	}
	return " --production " + l.Production
}

// resource is the first resource that a step shares.
func (b *builder) resource(s *Step) *Limit {
	for _, name := range s.Limits {
		l := b.f.World.limit(b.f.Production, name)
		if l != nil && l.Kind != "" {
			return l
		}
	}
	return nil
}

// given adds a step that was given up; the failure that led to it is told where it happened.
func (b *builder) given(s *Step) {
	if s.Code == "" || s.Code == "CANCELLED" || s.Optional {
		return
	}
	held := strings.HasPrefix(s.Message, "held back")
	for i := range b.f.Way {
		o := &b.f.Way[i]
		if o.State == "failed" && o.Code == s.Code && !held {
			return
		}
	}
	c := b.failure(s)
	c.Kind, c.Final = "failed", true
	c.Clause = fmt.Sprintf("%s was given up%s: %s", s.What(), at(s.Ended, b.f.Now), because(s.Message, s.Code))
	c.Remedy = "When the cause is gone: filigree retry " + b.f.ID + b.hint()
	if held {
		c.Kind, c.Subject = "held", s.Name
	}
	b.add(c)
}

// retrying adds what a step waits to be tried again for.
func (b *builder) retrying(s *Step) {
	switch {
	case s.Code == "" && !b.f.HeldUntil.IsZero() && !s.RetryAt.After(b.f.HeldUntil):
		b.add(Cause{Kind: "held", Clause: fmt.Sprintf("the undo window is open until %s, and nothing goes out before", clock(b.f.HeldUntil, b.f.Now)),
			Remedy: "It goes out by itself then; to undo: filigree cancel " + b.f.ID + b.hint(), Since: b.f.Created, Subject: "undo", Recipients: b.f.Waiting, Distributions: 1, Again: b.f.HeldUntil})
		return
	case s.Code == "":
		b.add(Cause{Kind: "slow", Clause: fmt.Sprintf("%s was begun elsewhere%s and has not been answered", s.What(), at(s.Started, b.f.Now)),
			Since: s.Since, Subject: s.Function, Again: s.RetryAt, Recipients: 1, Distributions: 1})
		return
	}
	c := b.failure(s)
	c.Again = s.RetryAt
	if c.Kind == "" || c.Kind == "quarantined" {
		c.Kind = "backing_off"
		c.Remedy = "It is tried again by itself; what it is about and whom it hurts: filigree failures " + b.f.ID + b.hint()
	}
	c.Clause = fmt.Sprintf("%s has failed %s%s: %s", s.What(), times(s.Attempts), since(c.Since, b.f.Now), because(s.Message, s.Code))
	if g := b.group(s); g != nil && len(g.Spread) > 0 {
		c.Clause += ", " + strings.Join(g.Spread, ", ")
	}
	b.add(c)
	b.blocked(s)
}

func times(n int) string {
	switch n {
	case 0, 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// ready adds what keeps a step that could begin from beginning.
func (b *builder) ready(s *Step) {
	if b.paused(s) {
		return
	}
	b.blocked(s)
	if s.Limit != "" {
		b.limit(s)
		return
	}
	fn := b.f.World.function(s.Function)
	n, d := b.f.World.hurt(func(o Open) bool { return o.Left[s.Function] > 0 })
	others := b.f.World.served(s.Function)
	switch {
	case fn != nil && len(fn.Workers) > 0:
		b.busy(s, fn, n, d)
	case len(others) > 0:
		names := make([]string, len(others))
		for i, o := range others {
			names[i] = o.Workers[0].Name + " announces " + o.Name
		}
		b.add(Cause{Kind: "old_worker", Clause: fmt.Sprintf("%s asks for %s, which no worker serves%s: %s", b.named(), s.Function, since(s.Since, b.f.Now), strings.Join(names, ", ")),
			Remedy: fmt.Sprintf("Start a worker that announces %s, or roll the definition back: filigree definition rollout %s --help", s.Function, b.f.Definition),
			Since:  s.Since, Subject: s.Function, Recipients: n, Distributions: d})
	default:
		clause := fmt.Sprintf("no worker serves the function %s%s", s.Function, since(s.Since, b.f.Now))
		if s.Code == "WORKER_LOST" {
			clause = fmt.Sprintf("the worker %s was lost with %s, and no other serves the function %s%s", s.Worker, s.What(), s.Function, since(s.Since, b.f.Now))
		}
		b.add(Cause{Kind: "no_worker", Clause: clause,
			Remedy: "Start a worker that announces it, or find out why it ended; who serves what: filigree functions",
			Since:  s.Since, Subject: s.Function, Recipients: n, Distributions: d})
	}
}

func (b *builder) named() string {
	if b.f.Definition == "" {
		return "the definition"
	}
	return fmt.Sprintf("the definition %s@%d", b.f.Definition, b.f.Version)
}

// busy adds that a step waits for its turn, once that takes longer than a moment.
func (b *builder) busy(s *Step, fn *Function, n, d int) {
	silent := silence(fn, b.f.Now)
	if silent != "" && b.f.World.Alive {
		b.add(Cause{Kind: "stuck_lease", Clause: fmt.Sprintf("the only workers of %s have not been heard of for a while: %s", s.Function, silent),
			Remedy: "Restart them; what they had goes to others by itself.", Since: s.Since, Subject: s.Function, Recipients: n, Distributions: d})
		return
	}
	if !b.f.World.Alive || b.f.World.Redis != "" || b.f.Now.Sub(s.Since) < moment {
		return
	}
	b.add(Cause{Kind: "waits_worker", Clause: fmt.Sprintf("%s waits for its turn%s: %s has %s, busy with %s, and %s", s.What(), since(s.Since, b.f.Now),
		s.Function, plural(len(fn.Workers), "worker", "workers"), plural(fn.Running, "step", "steps"), plural(fn.Ready, "step waits", "steps wait")),
		Remedy: "It goes on by itself; more workers of " + s.Function + " make it faster, a higher priority brings it forward.",
		Since:  s.Since, Subject: s.Function, Recipients: n, Distributions: d})
}

// silence names the workers of a function if none of them was heard of within a lease.
func silence(fn *Function, now time.Time) string {
	var names []string
	for _, w := range fn.Workers {
		if now.Sub(w.Seen) < unseen {
			return ""
		}
		names = append(names, w.Name+" since "+clock(w.Seen, now))
	}
	return strings.Join(names, ", ")
}

// paused adds the pauses that hold a step, and reports whether there are any.
func (b *builder) paused(s *Step) bool {
	found := b.f.State == "paused"
	for _, p := range b.f.World.Pauses {
		if p.Production != "" && p.Production != b.f.Production || p.Function != "" && p.Function != s.Function {
			continue
		}
		found = true
		n, d := b.f.World.hurt(func(o Open) bool {
			return (p.Production == "" || o.Production == p.Production) && (p.Function == "" || o.Left[p.Function] > 0)
		})
		what, args := "the production "+p.Production, " --production "+p.Production
		switch {
		case p.Function != "" && p.Production != "":
			what, args = "the function "+p.Function+" in the production "+p.Production, " --function "+p.Function+" --production "+p.Production
		case p.Function != "":
			what, args = "the function "+p.Function+" in all productions", " --function "+p.Function
		}
		b.add(Cause{Kind: "paused", Clause: fmt.Sprintf("%s is paused, so that %s does not start%s", what, s.What(), sinceReady(s, b.f.Now)),
			Remedy: "To go on: filigree resume" + args, Since: s.Since, Subject: strings.TrimSpace(p.Production + " " + p.Function), Recipients: n, Distributions: d})
	}
	return found
}

func sinceReady(s *Step, now time.Time) string {
	if s.Since.IsZero() {
		return ""
	}
	return "; it could have at " + clock(s.Since, now)
}

// running adds what is wrong with an attempt that goes on.
func (b *builder) running(s *Step) {
	now := b.f.Now
	took := now.Sub(s.Started)
	if s.Started.IsZero() || took < unseen || !b.f.World.Alive {
		return // nobody calls anybody while no orchestrator is there
	}
	fn := b.f.World.function(s.Function)
	n, d := b.f.World.hurt(func(o Open) bool { return o.Left[s.Function] > 0 })
	renewed := s.LeaseEnds.After(now)
	if s.Timeout > 0 && (renewed || s.LeaseEnds.IsZero()) && took > s.Timeout+moment {
		b.add(Cause{Kind: "stuck_lease", Clause: fmt.Sprintf("the worker %s has had %s since %s, past the step's time limit of %s, and does not let go of it", s.Worker, s.What(), clock(s.Started, now), span(s.Timeout)),
			Remedy: "Restart " + s.Worker + ": what it has goes to another worker when its lease is over, 10 s later.",
			Since:  s.Started, Subject: s.Worker, Recipients: n, Distributions: d})
		return
	}
	seen := ""
	if fn != nil && !renewed {
		i := slices.IndexFunc(fn.Workers, func(w Worker) bool { return w.Name == s.Worker })
		switch {
		case i < 0:
			seen = "has not been heard of for half a minute"
		case now.Sub(fn.Workers[i].Seen) >= unseen:
			seen = "has not been heard of since " + clock(fn.Workers[i].Seen, now)
		}
	}
	over := !s.LeaseEnds.IsZero() && now.Sub(s.LeaseEnds) > moment
	if seen != "" || over {
		lease := "so its lease is over"
		if over {
			lease = "its lease was over at " + clock(s.LeaseEnds, now)
		}
		b.add(Cause{Kind: "stuck_lease", Clause: fmt.Sprintf("the worker %s has had %s since %s and %s, %s", s.Worker, s.What(), clock(s.Started, now), orElse(seen, "nobody has taken it over"), lease),
			Remedy: "Another worker takes it over by itself within seconds of the lease's end; if none does, see who serves " + s.Function + ": filigree functions. Restart " + s.Worker + ".",
			Since:  s.Started, Subject: s.Worker, Recipients: n, Distributions: d})
		return
	}
	usual, known := b.f.Usual[s.Function]
	if took < long || known && took < 5*usual {
		return
	}
	clause := fmt.Sprintf("%s is being worked on by %s for %s", s.What(), s.Worker, span(took))
	if known {
		clause += fmt.Sprintf(", where %s is usual", span(usual))
	}
	if blobs(s.Function) {
		clause += "; it reads and writes documents, so the blob store may be slow"
	}
	b.add(Cause{Kind: "slow", Clause: clause, Remedy: "See the worker's log, and what else is slow: filigree top",
		Since: s.Started, Subject: s.Function, Recipients: n, Distributions: d})
}

// blobs reports whether a function spends its time on documents.
func blobs(function string) bool {
	base, _, _ := strings.Cut(function, ".")
	return base == "watermark" || base == "thumbnail" || base == "email"
}
