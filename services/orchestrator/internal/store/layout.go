package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Keys gives the exclusive keys of a slice of units by step; it is asked only for definitions that have any.
type Keys func(ctx context.Context, units []plan.Unit) (map[plan.Unit]map[string]string, error)

// Layout writes the records of the next slice of a distribution's units, and after all of them, with which the distribution
// runs, queues the steps that are ready at once: a step that is handed out moves others, whose records must be there. It
// returns the cursor after the slice, empty after the last one. A slice that somebody else wrote is left alone.
func (s *Store) Layout(ctx context.Context, c Chore, g *Graph, size plan.Size, keys Keys) (next string, err error) {
	next, args, err := layout(ctx, c, g, size, keys)
	if err != nil {
		return "", err
	}
	mine, err := layoutScript.run(ctx, s.c, layoutKeys(c.shard, c.Distribution), args...)
	if err == nil && mine == 0 {
		return "", ErrTaken
	}
	return next, err
}

func layoutKeys(sh shard, id string) []string {
	return []string{sh.dist(id), sh.events(id), sh.chores(), sh.changed(), sh.passes()}
}

// layout makes the arguments of layout.lua for the next slice.
func layout(ctx context.Context, c Chore, g *Graph, size plan.Size, keys Keys) (next string, args []any, err error) {
	number, queueing := strings.CutPrefix(c.Cursor, queueCursor)
	from, err := strconv.Atoi(number)
	if err != nil {
		return "", nil, fmt.Errorf("layout: cursor %q: %w", c.Cursor, err)
	}
	// Units of one scope begin alike: a record is made for each scope, not for each unit.
	begin := beginnings{graph: g, size: size}
	units, ready, runs := alike{}, alike{}, false
	first := from // of those whose steps are queued now; none while records are missing
	if !queueing {
		to := min(from+slice, size.Units())
		units, err = begin.records(ctx, keys, from, to)
		if err != nil {
			return "", nil, err
		}
		runs, first = to == size.Units(), 0
		next = strconv.Itoa(to)
	}
	if queueing || runs {
		ready, next = begin.starting(first)
	}
	return next, []any{c.Distribution, c.name, c.Cursor, next, units.json(), ready.json(), flag(runs, "runs")}, nil
}

// alike is a list of units for a script, of which many are of a kind: {kinds: [kind, ...], list: [number of its kind, unit, ...]}.
type alike struct {
	kinds [][]byte // each as JSON
	list  []byte
	n     int // how many units
}

// kind adds one and returns its number.
func (a *alike) kind(json []byte) int {
	a.kinds = append(a.kinds, json)
	return len(a.kinds)
}

func (a *alike) add(kind int, u plan.Unit) {
	if a.n > 0 {
		a.list = append(a.list, ',')
	}
	a.list = append(strconv.AppendInt(a.list, int64(kind), 10), `,"`...)
	a.list = append(u.Append(a.list), '"')
	a.n++
}

func (a *alike) json() []byte {
	return slices.Concat([]byte(`{"kinds":[`), bytes.Join(a.kinds, []byte{','}), []byte(`],"list":[`), a.list, []byte(`]}`))
}

// queueCursor begins a layout's cursor once all records are there; the number of the next unit follows.
const queueCursor = "queue/"

// beginnings makes the first records of units.
type beginnings struct {
	graph *Graph
	size  plan.Size
	kinds map[plan.Scope]*beginning
}

// beginning is the first record of the units of a scope, and their steps that are ready at once.
type beginning struct {
	fields []string
	starts []plan.Step
	// Numbers of its kind, and of those of its steps, in the lists that are made; 0 before they are there.
	kind   int
	queued []int
}

func (b *beginnings) of(u plan.Unit) *beginning {
	made := b.kinds[u.Scope()]
	if made == nil {
		made = &beginning{}
		made.fields, made.starts = record(b.graph.plan, u, b.size)
		if b.kinds == nil {
			b.kinds = map[plan.Scope]*beginning{}
		}
		b.kinds[u.Scope()] = made
	}
	return made
}

// records are those of units from to to, with the exclusive keys of their steps.
func (b *beginnings) records(ctx context.Context, keys Keys, from, to int) (alike, error) {
	g, size := b.graph, b.size
	var exclusive map[plan.Unit]map[string]string
	if slices.ContainsFunc(g.plan.Steps, func(st plan.Step) bool { return st.Exclusive }) {
		var units []plan.Unit
		for n := from; n < to; n++ {
			units = append(units, size.UnitAt(n))
		}
		var err error
		exclusive, err = keys(ctx, units)
		if err != nil {
			return alike{}, err
		}
	}
	var out alike
	for n := from; n < to; n++ {
		u := size.UnitAt(n)
		begin := b.of(u)
		if len(begin.fields) == 0 {
			continue
		}
		if len(exclusive[u]) > 0 {
			with := slices.Clone(begin.fields)
			for step, key := range exclusive[u] {
				with = append(with, step+".key", hashed(key))
			}
			raw, err := json.Marshal(with)
			if err != nil {
				return alike{}, err
			}
			out.add(out.kind(raw), u)
			continue
		}
		if begin.kind == 0 {
			raw, err := json.Marshal(begin.fields)
			if err != nil {
				return alike{}, err
			}
			begin.kind = out.kind(raw)
		}
		out.add(begin.kind, u)
	}
	return out, nil
}

// starting lists steps of units from first on that are ready at once, as many as one script takes, and the cursor after
// them; it is empty when there are no more.
func (b *beginnings) starting(first int) (ready alike, next string) {
	g, size := b.graph, b.size
	for n := first; n < size.Units(); n++ {
		u := size.UnitAt(n)
		begin := b.of(u)
		if ready.n+len(begin.starts) > slice {
			return ready, queueCursor + strconv.Itoa(n)
		}
		for i, st := range begin.starts {
			if i == len(begin.queued) {
				raw, _ := json.Marshal([3]any{st.Name, st.Function, g.rank(&st)}) // strings and a number
				begin.queued = append(begin.queued, ready.kind(raw))
			}
			ready.add(begin.queued[i], u)
		}
	}
	return ready, ""
}

// hashed is a key as records hold it: keys can be long.
func hashed(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// record is the first record of unit u, and its steps that are ready at once.
func record(d *plan.Definition, u plan.Unit, size plan.Size) (fields []string, starts []plan.Step) {
	open := 0
	for _, st := range d.Steps {
		if st.Scope != u.Scope() {
			continue
		}
		open++
		state := first(d, &st)
		fields = append(fields, st.Name, string(state))
		if state == plan.Pending {
			// No number is one: what most steps wait for.
			waits := d.Waits(&st, size)
			if waits != 1 {
				fields = append(fields, st.Name+".w", strconv.Itoa(waits))
			}
		} else {
			starts = append(starts, st)
		}
		if st.Delivers != "" {
			fields = append(fields, "v", string(plan.Queued))
		}
	}
	switch u.Scope() {
	case plan.ScopeItem:
		fields = append(fields, "p", string(d.FirstPhase()), "o", strconv.Itoa(open))
	case plan.ScopeRecipient:
		fields = append(fields, "n:"+string(d.FirstPhase()), strconv.Itoa(size.Files))
	}
	return fields, starts
}
