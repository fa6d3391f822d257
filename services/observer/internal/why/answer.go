package why

import (
	"fmt"
	"strings"
)

// Answer says it in a few sentences: who has not got what, why, since when, whom else it hurts, when it is tried again.
func Answer(f *Facts, causes []Cause) string {
	title := orElse(f.Title, f.ID)
	if len(causes) == 0 || causes[0].optional && settled(f) {
		return strings.Join(append([]string{Sentence(well(f, title))}, besides(causes)...), " ")
	}
	c := causes[0]
	parts := []string{Sentence(missing(f, title) + ": " + c.Clause)}
	if others := c.others(f); others != "" {
		parts = append(parts, others)
	}
	switch {
	case c.Again.After(f.Now):
		parts = append(parts, "It is tried again at "+clock(c.Again, f.Now)+".")
	case c.Final:
		parts = append(parts, "Nothing tries it again by itself.")
	}
	return strings.Join(append(parts, besides(causes[1:])...), " ")
}

// settled reports whether what f is about has come to its good end.
func settled(f *Facts) bool {
	if f.Person != nil {
		return got(f.Person.State)
	}
	return f.State == "completed"
}

// besides names a second cause of another kind.
func besides(causes []Cause) []string {
	for _, c := range causes {
		if c.Kind != "late" {
			return []string{Sentence("besides, " + c.Clause)}
		}
	}
	return nil
}

// missing says what has not happened.
func missing(f *Facts, title string) string {
	switch {
	case f.Person != nil && got(f.Person.State):
		return fmt.Sprintf("%s has got %q, but not all of it is well", f.Person.Name, title)
	case f.Person != nil && f.Person.State == "uncertain":
		return fmt.Sprintf("it is not known whether %s has got %q", f.Person.Name, title)
	case f.Person != nil:
		return fmt.Sprintf("%s has not got %q", f.Person.Name, title)
	case f.File != "":
		return fmt.Sprintf("%s of %q is not with everybody", f.File, title)
	case f.Waiting == 0 && !f.Ended.IsZero():
		return fmt.Sprintf("%q is over, and not all of it is well", title)
	case f.Waiting == 0:
		return fmt.Sprintf("%q is not over", title)
	}
	return fmt.Sprintf("%q is not with %d of %s", title, f.Waiting, plural(f.Recipients, "recipient", "recipients"))
}

// well says that nothing is wrong, and where it stands.
func well(f *Facts, title string) string {
	switch {
	case f.Person != nil && got(f.Person.State):
		when := at(f.Person.SentAt, f.Now)
		if f.Person.State == "delivered" {
			return fmt.Sprintf("%s has got %q: it was delivered, and the mail server took it%s", f.Person.Name, title, when)
		}
		return fmt.Sprintf("%s has got %q: the mail server took it%s", f.Person.Name, title, when)
	case f.Person != nil && f.State == "cancelled":
		return fmt.Sprintf("%s has not got %q: it was cancelled", f.Person.Name, title)
	case f.Person != nil && f.Person.State != "" && f.State == "completed":
		return fmt.Sprintf("%s: the delivery of %q is %s", f.Person.Name, title, f.Person.State)
	case f.Person != nil:
		return fmt.Sprintf("%s has not got %q yet, and nothing is wrong: it is on its way%s", f.Person.Name, title, doing(f))
	case f.State == "completed":
		return fmt.Sprintf("%q is with all %s%s", title, plural(f.Recipients, "recipient", "recipients"), at(f.Ended, f.Now))
	}
	return fmt.Sprintf("%q is %s, and nothing is wrong%s", title, f.State, doing(f))
}

// doing says what is being done right now.
func doing(f *Facts) string {
	for i := range f.Way {
		s := &f.Way[i]
		if s.State == "running" {
			return fmt.Sprintf("; %s works on %s%s", s.Worker, s.What(), since(s.Started, f.Now))
		}
	}
	return ""
}

// others says whom else a cause hurts.
func (c *Cause) others(f *Facts) string {
	own := 0
	if f.Person != nil {
		own = 1
	}
	n := c.Recipients - own
	if n <= 0 || f.Person == nil && c.Distributions <= 1 {
		if f.Person != nil && c.Recipients == 1 {
			return "Nobody else is hurt by it."
		}
		return ""
	}
	people := plural(n, "other person", "other people")
	if f.Person == nil {
		people = plural(n, "person", "people") + " in all"
	}
	verb := "wait for the same"
	if n == 1 {
		verb = "waits for the same"
	}
	if c.Final {
		verb = "are hurt by the same"
		if n == 1 {
			verb = "is hurt by the same"
		}
	}
	if c.Distributions > 1 {
		return fmt.Sprintf("%s in %d distributions %s.", people, c.Distributions, verb)
	}
	return fmt.Sprintf("%s %s.", people, verb)
}
