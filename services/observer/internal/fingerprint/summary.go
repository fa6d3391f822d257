package fingerprint

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// before is how long before the first failure a change counts as one that may be why.
const before = 10 * time.Minute

// surroundings is what went on around failures: who else did the same, to whom, and when each worker was first seen.
type surroundings struct {
	by    map[string][]*Attempt // by function
	first map[string]time.Time  // of each worker
	start time.Time             // of all that is known
}

func newSurroundings(sorted []*Attempt) *surroundings {
	s := &surroundings{by: map[string][]*Attempt{}, first: map[string]time.Time{}}
	for i, a := range sorted {
		if i == 0 {
			s.start = a.At
		}
		s.by[a.Function] = append(s.by[a.Function], a)
		if a.Worker != "" && s.first[a.Worker].IsZero() {
			s.first[a.Worker] = a.At
		}
	}
	return s
}

// summary is the first cause, spread, and what changed: "Since 14:03:07, on all 3 workers, only at example.com; just before:
// worker mail-2 began at 14:02:50."
func (s *surroundings) summary(g *Group, changes []Change) string {
	words := []string{"Since " + clock(g.First, g.Last)}
	if g.Open == 0 {
		words[0] = "From " + clock(g.First, g.Last) + " to " + clock(g.Last, g.Last)
		if g.First.Equal(g.Last) {
			words[0] = "At " + clock(g.First, g.Last)
		}
	}
	words = append(words, g.Spread...)
	text := strings.Join(words, ", ")
	just := s.before(g, changes)
	if len(just) > 0 {
		text += "; just before: " + strings.Join(just, ", ")
	}
	return text + "."
}

// clock is a time of day, with the day when that is another than of's.
func clock(t, of time.Time) string {
	if t.UTC().Format(time.DateOnly) != of.UTC().Format(time.DateOnly) {
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	return t.UTC().Format("15:04:05 UTC")
}

// spread says what those that failed have in common that those which went well have not.
func (s *surroundings) spread(g *Group) []string {
	var out []string
	// What went well long before says nothing of how it is since.
	same := slices.DeleteFunc(slices.Clone(s.by[g.Function]), func(a *Attempt) bool {
		return a.At.Before(g.First.Add(-before))
	})
	well := slices.DeleteFunc(slices.Clone(same), func(a *Attempt) bool { return a.Code != "" })
	since := slices.DeleteFunc(slices.Clone(well), func(a *Attempt) bool { return a.At.Before(g.First) })
	out = append(out, workers(g, same, since)...)
	say := func(of func(*Attempt) string, only string) {
		mine := distinct(g.all, of)
		if len(mine) != 1 || mine[0] == "" {
			return
		}
		for _, a := range same {
			if v := of(a); v != "" && v != mine[0] {
				out = append(out, fmt.Sprintf(only, mine[0]))
				return
			}
		}
	}
	say((*Attempt).domain, "only at %s")
	say(func(a *Attempt) string { return name(a) }, "only of the file %s")
	say(func(a *Attempt) string { return a.Production }, "only in the production %s")
	say(func(a *Attempt) string { return a.Version }, "only under %s")
	domains := distinct(g.all, (*Attempt).domain)
	if len(domains) > 1 && domains[0] != "" && len(since) == 0 {
		out = append(out, fmt.Sprintf("at all %d domains", len(domains)))
	}
	if len(since) == 0 && g.Count > 1 {
		out = append(out, "nothing of "+g.Function+" has gone well since")
	}
	return out
}

func name(a *Attempt) string {
	if a.FileName != "" {
		return a.FileName
	}
	return a.File
}

// workers says on which workers it fails.
func workers(g *Group, same, well []*Attempt) []string {
	mine := distinct(g.all, worker)
	mine = slices.DeleteFunc(mine, func(w string) bool { return w == "" })
	all := slices.DeleteFunc(distinct(same, worker), func(w string) bool { return w == "" })
	switch {
	case len(mine) == 0:
		return nil
	case len(mine) == 1 && len(all) > 1:
		return []string{"only on the worker " + mine[0]}
	case len(mine) == 1:
		return []string{"on its one worker, " + mine[0]}
	case len(mine) == len(all):
		return []string{fmt.Sprintf("on all %d workers", len(mine))}
	}
	return []string{fmt.Sprintf("on %d of %d workers", len(mine), len(all))}
}

func worker(a *Attempt) string { return a.Worker }

func distinct(list []*Attempt, of func(*Attempt) string) []string {
	seen := map[string]bool{}
	var out []string
	for _, a := range list {
		v := of(a)
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// before says what changed shortly before the first failure, the latest first.
func (s *surroundings) before(g *Group, changes []Change) []string {
	type said struct {
		at   time.Time
		what string
	}
	var all []said
	for _, w := range distinct(g.all, worker) {
		at := s.first[w]
		// Whoever is seen first when everything is has not come then.
		if w != "" && at.After(s.start.Add(time.Second)) && !at.After(g.First) && g.First.Sub(at) <= before {
			all = append(all, said{at, "worker " + w + " began at " + clock(at, g.First)})
		}
	}
	for _, c := range changes {
		if (c.Production == "" || c.Production == g.Production) && !c.Time.After(g.First) && g.First.Sub(c.Time) <= before {
			all = append(all, said{c.Time, c.Sentence + " at " + clock(c.Time, g.First)})
		}
	}
	slices.SortFunc(all, func(a, b said) int {
		if c := b.at.Compare(a.at); c != 0 {
			return c
		}
		return strings.Compare(a.what, b.what)
	})
	var out []string
	for _, c := range all {
		if !slices.Contains(out, c.what) && len(out) < 3 {
			out = append(out, c.what)
		}
	}
	return out
}
