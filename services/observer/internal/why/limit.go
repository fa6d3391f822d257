package why

import (
	"fmt"
	"slices"
	"strings"
)

// blocked adds resources of a step that let nothing start, whether it waits at them or not.
func (b *builder) blocked(s *Step) {
	for _, name := range s.Limits {
		l := b.f.World.limit(b.f.Production, name)
		if l == nil || l.Kind == "" {
			continue
		}
		n, d := b.f.World.hurt(func(o Open) bool { return b.uses(o, l) })
		c := Cause{Since: s.Since, Subject: l.Called(), Recipients: n, Distributions: d, Again: l.BlockedUntil}
		last := ""
		if l.Code != "" {
			last = ": " + because(l.Message, l.Code)
		}
		reset := fmt.Sprintf("filigree resource reset %s%s", l.Name, scope(l))
		switch {
		case l.Code != "" && (l.Breaker != "closed" || !l.BlockedUntil.IsZero()) && (slices.Contains(credentials, l.Code) || refusesCredential(l.Code)):
			c.Kind = "credential"
			c.Clause = fmt.Sprintf("the resource %s is not let in any more%s", l.Called(), last)
			c.Remedy = "Put its credential right, then: " + reset
			if l.Credential != "" {
				c.Clause = fmt.Sprintf("the credential %s of the resource %s is not accepted%s", l.Credential, l.Called(), last)
				c.Remedy = fmt.Sprintf("Renew it: filigree credential set %s%s; then: %s", l.Credential, scope(l), reset)
			}
		case l.Breaker == "open" || l.Breaker == "half_open":
			c.Kind = "breaker_open"
			c.Clause = fmt.Sprintf("the circuit breaker of the resource %s is %s%s", l.Called(), strings.ReplaceAll(l.Breaker, "_", " "), last)
			c.Remedy = "One step tries by itself when its time is over; after a repair: " + reset
		case l.State == "failed":
			c.Kind = "breaker_open"
			c.Clause = fmt.Sprintf("the resource %s could not be made%s", l.Called(), last)
			c.Remedy = "It is tried again by itself; after a repair: " + reset
		case l.BlockedUntil.After(b.f.Now):
			c.Kind = "backing_off"
			c.Clause = fmt.Sprintf("the resource %s asked us to wait until %s%s", l.Called(), clock(l.BlockedUntil, b.f.Now), last)
			c.Remedy = "It goes on by itself then; to try at once: " + reset
		default:
			continue
		}
		b.add(c)
	}
}

// uses reports whether a distribution has steps that a limit may hold.
func (b *builder) uses(o Open, l *Limit) bool {
	return (l.Production == "" || o.Production == l.Production) && (slices.Contains(o.Limits, l.Called()) || o.Left[l.Name] > 0)
}

// limit adds the limit that a step waits at.
func (b *builder) limit(s *Step) {
	if strings.HasPrefix(s.Limit, "k/") {
		b.add(Cause{Kind: "waits_limit", Clause: fmt.Sprintf("%s waits until another step with the same exclusive key has ended%s", s.What(), since(s.Since, b.f.Now)),
			Remedy: "It goes on by itself then.", Since: s.Since, Subject: "key", Recipients: 1, Distributions: 1})
		return
	}
	l := b.f.World.limit(b.f.Production, s.Limit)
	if l == nil {
		b.add(Cause{Kind: "waits_limit", Clause: fmt.Sprintf("%s waits at the limit %s%s", s.What(), s.Limit, since(s.Since, b.f.Now)),
			Remedy: "See what holds it: filigree limit list", Since: s.Since, Subject: s.Limit, Recipients: 1, Distributions: 1})
		return
	}
	if slices.ContainsFunc(b.causes, func(c Cause) bool { return c.Subject == l.Called() }) {
		return // its resource is told of
	}
	what := "limit"
	raise := "filigree limit set " + l.Name
	if l.Kind != "" {
		what, raise = "resource", "filigree resource set "+l.Name
	}
	n, d := b.f.World.hurt(func(o Open) bool { return b.uses(o, l) })
	rule, flag := "", ""
	switch {
	case l.Concurrency > 0:
		rule, flag = fmt.Sprintf("lets %d at once, and %s taken", l.Concurrency, are(l.Taken)), fmt.Sprintf(" --concurrency %d", 2*l.Concurrency)
	case l.Rate > 0:
		rule, flag = fmt.Sprintf("lets %g start in a second", l.Rate), fmt.Sprintf(" --rate %g", 2*l.Rate)
	default:
		rule, flag = "lets nothing start now", " --concurrency N"
	}
	b.add(Cause{Kind: "waits_limit", Clause: fmt.Sprintf("%s waits at the %s %s%s: it %s, while %s", s.What(), what, l.Called(), since(s.Since, b.f.Now),
		rule, plural(max(l.Waiting, 1), "step waits", "steps wait")),
		Remedy: "If more can be borne: " + raise + scope(l) + flag, Since: s.Since, Subject: l.Called(), Recipients: n, Distributions: d})
}

func are(n int) string {
	if n == 1 {
		return "1 is"
	}
	return fmt.Sprintf("%d are", n)
}
