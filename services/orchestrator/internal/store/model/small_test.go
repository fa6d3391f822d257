package model_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store/model"
)

// smallDefinition has one step of each kind that a document goes through.
var smallDefinition = plan.Definition{Name: "small", Version: 1, Steps: []plan.Step{
	{Name: "prepare", Scope: plan.ScopeFile, Function: "f.A", Retry: plan.Retry{Attempts: 2, Backoff: []time.Duration{time.Hour}}},
	{Name: "stamp", Scope: plan.ScopeItem, Function: "f.B", Needs: []string{"prepare"}, Retry: plan.Retry{Attempts: 2, Backoff: []time.Duration{time.Hour}}},
	{Name: "email", Scope: plan.ScopeRecipient, Function: "f.C", Needs: []string{"stamp"}, Delivers: "email", Retry: plan.Retry{Attempts: 2, Backoff: []time.Duration{time.Hour}}},
}}

var smallSize = plan.Size{Files: 1, Recipients: 2}

// task is an attempt that a worker knows of: it may report it at any time, and more than once.
type task struct {
	model.Ref
	attempt int
	worker  string
}

// small is a state of a distribution of two items and of three workers.
type small struct {
	d     *model.Distribution
	tasks []task // in order
}

// move is one thing that happens.
type move struct {
	kind   string // claim, done, fail, lost, due, fan, crash
	worker string
	fn     string
	ref    model.Ref
	n      int
}

func (m move) String() string {
	return fmt.Sprintf("%s %s %s %s %d", m.kind, m.worker, m.fn, m.ref, m.n)
}

func newSmall() small {
	d := model.New("D1", "p", &smallDefinition, smallSize, plan.JoinAll)
	d.Lay(smallSize.Units())
	return small{d: d}
}

func (s small) clone() small {
	d := *s.d
	d.Steps = map[model.Ref]*model.Step{}
	for r, st := range s.d.Steps {
		c := *st
		c.Waits, c.Told = maps.Clone(st.Waits), slices.Clone(st.Told)
		d.Steps[r] = &c
	}
	d.Deliveries, d.Begun, d.Fans = maps.Clone(s.d.Deliveries), maps.Clone(s.d.Begun), map[model.Ref]*model.Fan{}
	for r, f := range s.d.Fans {
		c := *f
		d.Fans[r] = &c
	}
	return small{d: &d, tasks: slices.Clone(s.tasks)}
}

// key is the same for states that nothing that follows can tell apart.
func (s small) key(refs []model.Ref) string {
	var b strings.Builder
	fmt.Fprint(&b, s.d.State)
	for _, r := range refs {
		st := s.d.Steps[r]
		fmt.Fprint(&b, "|", st.State, st.Attempt, st.Worker, st.Tally, len(st.Waits), st.Word, st.Dup, len(st.Checkpoint))
	}
	fmt.Fprint(&b, "|", s.d.Deliveries, len(s.d.Fans), s.tasks)
	return b.String()
}

// moves are all that can happen. What a worker reports twice or late is among them, as it keeps its tasks until it dies.
func (s small) moves(refs []model.Ref) []move {
	var out []move
	for _, fn := range []string{"f.A", "f.B", "f.C"} {
		if s.first(refs, fn) != nil {
			for _, w := range workers[:3] {
				out = append(out, move{kind: "claim", worker: w, fn: fn})
			}
		}
	}
	for _, t := range s.tasks {
		out = append(out, move{kind: "done", worker: t.worker, ref: t.Ref, n: t.attempt}, move{kind: "fail", worker: t.worker, ref: t.Ref, n: t.attempt})
	}
	for _, w := range workers[:3] {
		if slices.ContainsFunc(s.tasks, func(t task) bool { return t.worker == w }) {
			out = append(out, move{kind: "crash", worker: w})
		}
	}
	for _, r := range refs {
		switch s.d.Steps[r].State {
		case plan.Running:
			out = append(out, move{kind: "lost", ref: r})
		case plan.Retrying:
			out = append(out, move{kind: "due", ref: r})
		}
		if s.d.Fans[r] != nil {
			out = append(out, move{kind: "fan", ref: r})
		}
	}
	return out
}

// first is the ready step of a function that is handed out first.
func (s small) first(refs []model.Ref, fn string) *model.Ref {
	for _, r := range refs {
		if s.d.Steps[r].Def.Function == fn && s.d.Barred(r) == "" {
			return &r
		}
	}
	return nil
}

// outcome is how a report ends an attempt.
func outcome(st *model.Step, kind string) plan.Outcome {
	switch kind {
	case "fail":
		return plan.Failing(st.Def, st.Tally, plan.Failure{Class: plan.Transient, Code: "X"}, plan.Hold, 0)
	case "lost":
		return plan.Lost(st.Def, st.Tally, st.Checkpoint, plan.Hold)
	}
	return plan.Succeeded(st.Def, st.Tally)
}

// apply does a move, and returns the answer to a report.
func (s *small) apply(refs []model.Ref, m move) model.Answer {
	st := s.d.Steps[m.ref]
	running := []plan.State{plan.Running}
	switch m.kind {
	case "claim":
		r := *s.first(refs, m.fn)
		s.d.Start(r, m.worker)
		s.tasks = append(s.tasks, task{r, s.d.Steps[r].Attempt, m.worker})
		slices.SortFunc(s.tasks, func(a, b task) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	case "done", "fail":
		return s.d.Settle(model.End{Ref: m.ref, Attempt: m.n, Worker: m.worker, From: running, Outcome: outcome(st, m.kind)})[0]
	case "lost":
		return s.d.Settle(model.End{Ref: m.ref, Attempt: st.Attempt, Worker: st.Worker, From: running, Outcome: outcome(st, m.kind)})[0]
	case "due":
		s.d.Promote(m.ref)
	case "fan":
		s.d.Tell(m.ref, 100)
	case "crash":
		s.tasks = slices.DeleteFunc(s.tasks, func(t task) bool { return t.worker == m.worker })
	}
	return 0
}

// wrong says what must not be in a state, or is empty.
func (s small) wrong(before small, m move, a model.Answer) string {
	if len(s.d.Violations) > 0 {
		return s.d.Violations[0]
	}
	for r, st := range s.d.Steps {
		was := before.d.Steps[r]
		if was.State.Final() && was.State != st.State {
			return fmt.Sprintf("%s was %s and is %s", r, was.State, st.State)
		}
		if m.kind != "done" && m.kind != "fail" && m.kind != "lost" || m.ref != r || was.State == st.State {
			continue
		}
		if m.n != 0 && (was.Attempt != m.n || was.Worker != m.worker || a != model.Applied) {
			return fmt.Sprintf("a report of attempt %d by %s ended attempt %d by %s of %s", m.n, m.worker, was.Attempt, was.Worker, r)
		}
	}
	// A join: whoever has left pending saw all that it needs end; whoever has not still waits for some.
	for f := 1; f <= smallSize.Files; f++ {
		for n := 1; n <= smallSize.Recipients; n++ {
			prepare := s.d.Steps[model.Ref{Unit: plan.Unit{File: f}, Step: "prepare"}].State
			stamp := s.d.Steps[model.Ref{Unit: plan.Unit{File: f, Recipient: n}, Step: "stamp"}].State
			email := s.d.Steps[model.Ref{Unit: plan.Unit{Recipient: n}, Step: "email"}].State
			if stamp != plan.Pending && !prepare.Final() || stamp == plan.Pending && prepare.Final() && len(s.d.Fans) == 0 {
				return fmt.Sprintf("stamp is %s and prepare %s", stamp, prepare)
			}
			if (email != plan.Pending) != stamp.Final() {
				return fmt.Sprintf("email is %s and stamp %s", email, stamp)
			}
		}
	}
	open := slices.ContainsFunc(slices.Collect(maps.Values(s.d.Steps)), func(st *model.Step) bool { return !st.State.Final() })
	if open == s.d.State.Final() {
		return fmt.Sprintf("it is %s, and steps are open: %v", s.d.State, open)
	}
	return ""
}

// ends reports whether an end can be reached: leases run out, retries come due, and one worker does all that it is given.
func (s small) ends(refs []model.Ref) bool {
	s = s.clone()
	s.tasks = nil
	for range 100 {
		if s.d.State.Final() {
			return true
		}
		for _, m := range s.moves(refs) {
			if m.kind == "claim" && m.worker == workers[0] || m.kind == "lost" || m.kind == "due" || m.kind == "fan" ||
				m.kind == "done" && s.d.Holds(m.ref, m.n, m.worker) {
				s.apply(refs, m)
				break
			}
		}
	}
	return false
}

// Every way in which 3 workers can go about 2 items, with crashes, leases that run out, and results that come twice or too
// late, up to a number of moves: in each state what is promised holds, and from each an end can be reached. Then some of the
// ways are gone on a real Redis, which must be in the model's state after each move.
func TestSmallCase(t *testing.T) {
	t.Parallel()
	depth := 10
	if testing.Short() {
		depth = 7
	}
	start := newSmall()
	refs := start.d.Refs()
	type node struct {
		small
		path []move
	}
	seen := map[string]bool{start.key(refs): true}
	level := []node{{start, nil}}
	var sample [][]move
	rng := rand.New(rand.NewPCG(1, 2))
	moves := 0
	for n := 0; n < depth; n++ {
		var next []node
		for _, at := range level {
			for _, m := range at.moves(refs) {
				to := at.clone()
				a := to.apply(refs, m)
				moves++
				path := append(slices.Clone(at.path), m)
				why := to.wrong(at.small, m, a)
				if why != "" {
					t.Fatalf("after %v: %s", path, why)
				}
				key := to.key(refs)
				if seen[key] {
					continue
				}
				seen[key] = true
				if !to.ends(refs) {
					t.Fatalf("after %v no end can be reached", path)
				}
				next = append(next, node{to, path})
				if n == depth-1 && rng.IntN(150) == 0 {
					sample = append(sample, path)
				}
			}
		}
		level = next
	}
	rng.Shuffle(len(sample), func(i, j int) { sample[i], sample[j] = sample[j], sample[i] })
	sample = sample[:min(len(sample), 100)]
	t.Logf("%d states, %d moves, up to %d in a row; %d ways gone on Redis", len(seen), moves, depth, len(sample))
	h := &history{t: t, ctx: t.Context(), c: redistest.New(t), rng: rng, seed: 0, counts: map[string]int{}}
	for _, path := range sample {
		h.walk(refs, path)
		if t.Failed() {
			return
		}
	}
}

// walk goes one way on a real Redis.
func (h *history) walk(refs []model.Ref, path []move) {
	defer func() {
		why := recover()
		f, ok := why.(failure)
		switch {
		case ok:
			h.t.Errorf("on the way %v: %s", path, f)
		case why != nil:
			panic(why)
		}
	}()
	h.must(h.c.FlushAll(h.ctx).Err())
	h.shards = 1
	st, err := store.Open(h.ctx, h.c, 1)
	h.must(err)
	h.stores = []*store.Store{st}
	s := newSmall()
	graph, err := store.NewGraph(&smallDefinition, "D1", store.Rules{Join: plan.JoinAll})
	h.must(err)
	d := &distribution{Distribution: s.d, graph: graph, children: map[model.Ref]string{}}
	n := store.New{ID: "D1", Production: "p", Key: "k", Hash: "h", Definition: &smallDefinition, Size: smallSize, Spec: []byte("{}"),
		Deadline: time.UnixMilli(1), Recipients: []store.Recipient{{Name: "a", Email: "a@example.com"}, {Name: "b", Email: "b@example.com"}}}
	_, err = st.Create(h.ctx, n)
	h.must(err)
	h.age("chores", nil)
	chores, err := st.Chores(h.ctx)
	h.must(err)
	for _, c := range chores {
		_, err = st.Layout(h.ctx, c, graph, smallSize, nil)
		h.must(err)
	}
	for _, m := range path {
		ref := func(attempt int) store.Ref {
			r, err := store.ParseRef(fmt.Sprintf("0/D1/%s/%s/%d", m.ref.Unit, m.ref.Step, attempt))
			h.must(err)
			return r
		}
		switch m.kind {
		case "claim":
			got, err := st.Claim(h.ctx, m.worker, []string{m.fn}, 1)
			h.must(err)
			want := *s.first(refs, m.fn)
			if len(got) != 1 || got[0].Unit != want.Unit {
				h.fail("%s was handed %v, want %s", m.worker, got, want)
			}
		case "done", "fail", "lost":
			attempt, worker := m.n, m.worker
			if m.kind == "lost" {
				attempt, worker = s.d.Steps[m.ref].Attempt, s.d.Steps[m.ref].Worker
			}
			got, _, err := st.Settle(h.ctx, graph, "p", "D1", []store.End{{Ref: ref(attempt), Worker: worker, Outcome: outcome(s.d.Steps[m.ref], m.kind)}})
			h.must(err)
			copied := s.clone()
			if (copied.apply(refs, m) == model.Refused) != (got[0] == store.Fenced) {
				h.fail("the answer to %s is %d", m, got[0])
			}
		case "due":
			h.must(st.Promote(h.ctx, graph, "p", "D1", []store.Due{{Ref: ref(1)}}))
		case "fan":
			h.age("chores", nil)
			list, err := st.Chores(h.ctx)
			h.must(err)
			for _, c := range list {
				if c.Unit == m.ref.Unit && c.Kind == "fan" {
					_, err = st.Fan(h.ctx, c, graph, smallSize)
					h.must(err)
				}
			}
		}
		s.apply(refs, m)
		h.records(d)
	}
}
