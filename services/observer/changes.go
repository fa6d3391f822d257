package observer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

// settled is how long after an orchestrator came back workers are given to call again.
const settled = 35 * time.Second

// known is how things were set and who was there. What differs from one look to the next is a change. Of each it has by its
// name what is to be said of it.
type known struct {
	Workers       map[string]string `json:"workers"`
	Orchestrators map[string]string `json:"orchestrators"`
	Definitions   map[string]string `json:"definitions"`
	Limits        map[string]string `json:"limits"` // by production/name
	Pauses        map[string]string `json:"pauses"` // by production/function
	Weights       map[string]string `json:"weights"`
	Productions   map[string]string `json:"productions"`
	// AliveSince is when orchestrators were there again after none was, in ms.
	AliveSince int64 `json:"alive_since,omitempty"`
	Alive      bool  `json:"alive"`
}

// changed is one change, as it is kept.
type changed struct {
	Kind       string `json:"kind"`
	Sentence   string `json:"sentence"`
	Production string `json:"production,omitempty"`
	By         string `json:"by,omitempty"`
}

// knows sums a look up. was is what was known before.
func (l *look) knows(was known) known {
	k := known{
		Workers: map[string]string{}, Orchestrators: map[string]string{}, Definitions: map[string]string{}, Limits: map[string]string{},
		Pauses: map[string]string{}, Weights: map[string]string{}, Productions: map[string]string{},
		Alive: l.state.Alive, AliveSince: was.AliveSince,
	}
	if l.state.Alive && !was.Alive {
		k.AliveSince = l.at.UnixMilli()
	}
	for _, w := range l.topWorkers() {
		k.Workers[w.GetWorker()] = strings.Join(w.GetFunctions(), ", ")
	}
	if !l.state.Alive || l.at.Sub(time.UnixMilli(k.AliveSince)) < settled {
		// Workers cannot call while no orchestrator takes their calls: those that do not are not gone.
		for name, functions := range was.Workers {
			if k.Workers[name] == "" {
				k.Workers[name] = functions
			}
		}
	}
	for name, at := range l.state.Orchestrators {
		if l.at.Sub(at) < 10*time.Second {
			k.Orchestrators[name] = "is there"
		}
	}
	for _, d := range l.definitions {
		k.Definitions[fmt.Sprintf("%s@%d", d.GetName(), d.GetVersion())] = "stored"
	}
	for _, g := range l.limits {
		words := ""
		if g.GetConcurrency() > 0 {
			words = fmt.Sprintf("%d at once", g.GetConcurrency())
		}
		if g.GetRate() > 0 {
			words = strings.TrimPrefix(words+", "+number(g.GetRate())+" a second", ", ")
		}
		k.Limits[g.production+"/"+g.GetName()] = either(words == "", "any number", words)
	}
	for _, h := range l.pauses.GetPauses() {
		k.Pauses[h.GetProduction()+"/"+h.GetFunction()] = "paused"
	}
	for _, w := range l.pauses.GetWeights() {
		k.Weights[w.GetProduction()] = fmt.Sprint(w.GetWeight())
	}
	for _, p := range l.productions {
		k.Productions[p] = "there"
	}
	return k
}

// differ says what changed from was to now.
func differ(was, now known) []changed {
	var out []changed
	each := func(was, now map[string]string, say func(name, before, after string) (changed, bool)) {
		names := slices.Sorted(maps.Keys(now))
		for name := range was {
			if _, ok := now[name]; !ok {
				names = append(names, name)
			}
		}
		for _, name := range names {
			if was[name] == now[name] {
				continue
			}
			c, ok := say(name, was[name], now[name])
			if ok {
				out = append(out, c)
			}
		}
	}
	each(was.Orchestrators, now.Orchestrators, func(name, before, _ string) (changed, bool) {
		return changed{Kind: "release", Sentence: fmt.Sprintf("Orchestrator %s %s.", name, either(before == "", "started", "is gone"))}, true
	})
	each(was.Workers, now.Workers, func(name, before, after string) (changed, bool) {
		switch {
		case before == "":
			return changed{Kind: "worker", Sentence: fmt.Sprintf("Worker %s came, for %s.", name, after)}, true
		case after == "":
			return changed{Kind: "worker", Sentence: fmt.Sprintf("Worker %s went; it served %s.", name, before)}, true
		}
		return changed{Kind: "worker", Sentence: fmt.Sprintf("Worker %s serves %s now.", name, after)}, true
	})
	each(was.Definitions, now.Definitions, func(name, before, _ string) (changed, bool) {
		return changed{Kind: "definition", Sentence: fmt.Sprintf("Definition %s was %s.", name, either(before == "", "stored", "deleted"))}, true
	})
	each(was.Limits, now.Limits, func(name, before, after string) (changed, bool) {
		production, limit, _ := strings.Cut(name, "/")
		what := either(production == "", "studio/"+limit, limit)
		c := changed{Kind: "limit", Production: production, Sentence: fmt.Sprintf("Limit %s was set to %s.", what, after)}
		switch {
		case after == "":
			c.Sentence = fmt.Sprintf("Limit %s was deleted; it was %s.", what, before)
		case before != "":
			c.Sentence = fmt.Sprintf("Limit %s was set to %s; it was %s.", what, after, before)
		}
		return c, true
	})
	each(was.Pauses, now.Pauses, func(name, before, _ string) (changed, bool) {
		production, function, _ := strings.Cut(name, "/")
		what := strings.TrimSpace(either(function == "", "", "Function "+function))
		switch {
		case what == "":
			what = "Production " + production
		case production != "":
			what += " in the production " + production
		}
		return changed{Kind: "pause", Production: production, Sentence: fmt.Sprintf("%s %s.", what, either(before == "", "was paused", "goes on"))}, true
	})
	each(was.Weights, now.Weights, func(name, before, after string) (changed, bool) {
		return changed{Kind: "production", Production: name, Sentence: fmt.Sprintf("Production %s has weight %s; it had %s.", name,
			either(after == "", "1", after), either(before == "", "1", before))}, true
	})
	each(was.Productions, now.Productions, func(name, before, _ string) (changed, bool) {
		return changed{Kind: "production", Production: name, Sentence: fmt.Sprintf("Production %s was made.", name)}, before == ""
	})
	return out
}

// noteChanges writes down what changed since the last look of any observer.
func (s *Server) noteChanges(ctx context.Context, l *look) error {
	before, err := s.store.Known(ctx)
	if err != nil {
		return err
	}
	var was known
	if before != "" {
		err = json.Unmarshal([]byte(before), &was)
		if err != nil {
			return fmt.Errorf("read what is known: %w", err)
		}
	}
	now := l.knows(was)
	raw, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if string(raw) == before {
		return nil
	}
	var lines []string
	if before != "" { // the first look of all has nothing to compare with
		for _, c := range differ(was, now) {
			line, err := json.Marshal(c)
			if err != nil {
				return err
			}
			lines = append(lines, string(line))
		}
	}
	_, err = s.store.SetKnown(ctx, before, string(raw), lines)
	return err
}

// changes lists what changed lately where mine says, newest first.
func (s *Server) changes(ctx context.Context, mine func(production string) bool) []*observerv1.Change {
	all, err := s.store.Changes(ctx, 10*mostChanges)
	if err != nil {
		s.deps.Log.WarnContext(ctx, "what changed is not known now", "err", err)
		return nil
	}
	var out []*observerv1.Change
	for _, a := range all {
		var c changed
		err = json.Unmarshal([]byte(a.Said), &c)
		if err != nil || c.Production != "" && !mine(c.Production) || len(out) == mostChanges {
			continue
		}
		out = append(out, &observerv1.Change{Time: timestamppb.New(a.Time), Kind: c.Kind, Sentence: c.Sentence, Production: c.Production, By: c.By})
	}
	return out
}
