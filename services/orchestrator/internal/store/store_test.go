package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

var definition = plan.Definition{Name: "test", Version: 1, Steps: []plan.Step{
	{Name: "prepare", Scope: plan.ScopeFile, Function: "f.Prepare", Retry: plan.Retry{Attempts: 3}},
	{Name: "watermark", Scope: plan.ScopeItem, Function: "f.Stamp", Needs: []string{"prepare"}, Retry: plan.Retry{Attempts: 3}},
	{Name: "thumbnail", Scope: plan.ScopeItem, Function: "f.Thumb", Needs: []string{"watermark"}, Optional: true, Retry: plan.Retry{Attempts: 2}},
	{Name: "email", Scope: plan.ScopeRecipient, Function: "f.Send", Needs: []string{"watermark"}, Delivers: "email", Retry: plan.Retry{Attempts: 3}},
	{Name: "report", Scope: plan.ScopeDistribution, Function: "f.Report", Needs: []string{"email"}, Optional: true, Retry: plan.Retry{Attempts: 1}},
}}

var functions = []string{"f.Prepare", "f.Stamp", "f.Thumb", "f.Send", "f.Report"}

// Random histories of a distribution on a real server: workers succeed, fail, die, hand back, report twice and too late;
// queues are lost; somebody cancels. After each move every change was one that the table has, final states stayed, and
// the counters are what a recount of the records says; and it always comes to an end.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := redistest.New(t)
	st, err := store.Open(ctx, client, 3)
	if err != nil {
		t.Fatal(err)
	}
	err = st.Define(ctx, &definition, "test")
	if err != nil {
		t.Fatal(err)
	}
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	moves := 0
	for seed := range seeds {
		h := &history{t: t, st: st, c: client, rng: rand.New(rand.NewPCG(uint64(seed), 7)), seed: seed}
		h.run(ctx)
		moves += h.moves
	}
	t.Logf("%d histories, %d moves", seeds, moves)
	if moves < 20*seeds {
		t.Error("the histories are too short to show anything")
	}
}

// history is one distribution and what happens to it.
type history struct {
	t          *testing.T
	st         *store.Store
	c          redis.UniversalClient
	rng        *rand.Rand
	seed       int
	production string
	id         string
	size       plan.Size
	graph      *store.Graph
	join       plan.Join
	held       []store.Claimed
	reported   []store.End
	before     map[string]plan.State
	claims     map[string]int
	cancelled  bool
	moves      int
}

func (h *history) run(ctx context.Context) {
	h.production = fmt.Sprintf("production-%d", h.seed)
	h.id = fmt.Sprintf("D%05d", h.seed)
	h.size = plan.Size{Files: 1 + h.rng.IntN(3), Recipients: 1 + h.rng.IntN(5)}
	join := []plan.Join{plan.JoinAll, plan.JoinAvailable}[h.rng.IntN(2)]
	var err error
	h.graph, err = store.NewGraph(&definition, h.id, store.Rules{Join: join, Recipients: h.size.Recipients * h.rng.IntN(2)})
	h.must(err)
	h.before, h.claims = map[string]plan.State{}, map[string]int{}
	n := store.New{ID: h.id, Production: h.production, Key: "k", Hash: "h", Definition: &definition, Size: h.size, Spec: []byte("{}")}
	for i := range h.size.Recipients {
		n.Recipients = append(n.Recipients, store.Recipient{Name: fmt.Sprint(i), Email: fmt.Sprintf("%d@example.com", i)})
	}
	got, err := h.st.Create(ctx, n)
	h.must(err)
	n.ID = "other"
	again, err := h.st.Create(ctx, n)
	h.must(err)
	if got != h.id || again != h.id {
		h.t.Fatalf("created %s and, by the same key, %s", got, again)
	}
	h.join = join
	policy := []plan.OnUncertain{plan.Hold, plan.Resend}[h.rng.IntN(2)]
	h.untilEnded(ctx, policy)
	for range 2 {
		if !h.again(ctx) {
			return
		}
		h.untilEnded(ctx, policy)
	}
}

func (h *history) untilEnded(ctx context.Context, policy plan.OnUncertain) {
	for range 5000 {
		h.moves++
		h.move(ctx, policy)
		if h.check(ctx) {
			return
		}
	}
	h.t.Fatalf("seed %d: it never ended", h.seed)
}

// again asks for everything that failed once more, and for one recipient's copies and delivery whatever became of them. It
// reports whether there was anything to do. It can be asked for at any time.
func (h *history) again(ctx context.Context) bool {
	read := func(units []plan.Unit) ([]store.UnitRecord, []plan.UnitState) {
		records, err := h.st.Units(ctx, h.production, h.id, units)
		h.must(err)
		states := make([]plan.UnitState, len(records))
		for i, rec := range records {
			states[i] = plan.UnitState{Unit: rec.Unit, Phase: rec.Phase, Steps: map[string]plan.State{}, Codes: map[string]string{}}
			for name, s := range rec.Steps {
				states[i].Steps[name], states[i].Codes[name] = s.State, s.Code
			}
		}
		return records, states
	}
	revive := func(records []store.UnitRecord, states []plan.UnitState, revived plan.Revived, n int) bool {
		if len(revived.Revivals) == 0 || revived.Busy {
			return false
		}
		a := store.Again{Revivals: revived.Revivals, Phases: map[plan.Unit]plan.Phase{}, Recipient: n, Who: "somebody", Kind: "retry",
			Others: store.Others(&definition, states, revived)}
		had := map[plan.Unit]store.UnitRecord{}
		for _, rec := range records {
			had[rec.Unit] = rec
			a.Phases[rec.Unit] = rec.Phase
			if rec.Unit == (plan.Unit{Recipient: n}) {
				a.Delivery = rec.Delivery
			}
		}
		for _, r := range revived.Revivals {
			a.Attempts = append(a.Attempts, had[r.Unit].Steps[r.Step.Name].Attempts)
			err := plan.CheckRevival(r.From, r.To)
			if err != nil {
				h.t.Fatalf("seed %d: %v", h.seed, err)
			}
		}
		err := h.st.Revive(ctx, h.graph, h.production, h.id, a)
		if errors.Is(err, store.ErrCancelled) && h.cancelled || errors.Is(err, store.ErrChanged) && h.fanning(ctx) {
			return false
		}
		h.must(err)
		if revived.Revivals[0].From != revived.Revivals[0].To {
			err = h.st.Revive(ctx, h.graph, h.production, h.id, a)
			if !errors.Is(err, store.ErrChanged) {
				h.t.Fatalf("seed %d: reviving the same again: %v", h.seed, err)
			}
		}
		h.before = map[string]plan.State{}
		return true
	}
	var files []plan.Unit
	for f := range h.size.Files {
		files = append(files, plan.Unit{File: f + 1})
	}
	records, states := read(files)
	any := revive(records, states, plan.Revived{Revivals: plan.ReviveFiles(&definition, states)}, 0)
	resent := 1 + h.rng.IntN(h.size.Recipients)
	for n := 1; n <= h.size.Recipients; n++ {
		units := slices.Clone(files)
		for _, f := range files {
			units = append(units, plan.Unit{File: f.File, Recipient: n})
		}
		records, states := read(append(units, plan.Unit{Recipient: n}))
		redo := plan.Redo{Delivery: n == resent, Copies: n == resent && h.rng.IntN(2) == 0}
		if n == resent && h.rng.IntN(2) == 0 {
			redo.Changed = func(step *plan.Step) bool { return step.Name == "watermark" }
		}
		k := h.size.Files
		any = revive(records, states, plan.Revive(&definition, h.join, redo, states[:k], states[k:2*k], states[2*k]), n) || any
	}
	if any {
		h.check(ctx)
	}
	return any
}

// fanning reports whether items are still being told how a file's step ended.
func (h *history) fanning(ctx context.Context) bool {
	for shard := range 3 {
		fields, err := h.c.HKeys(ctx, fmt.Sprintf("{%d}:d:%s", shard, h.id)).Result()
		h.must(err)
		for _, f := range fields {
			if strings.HasPrefix(f, "c:fan/") {
				return true
			}
		}
	}
	return false
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("seed %d: %v", h.seed, err)
	}
}

func (h *history) move(ctx context.Context, policy plan.OnUncertain) {
	switch p := h.rng.IntN(100); {
	case p < 15:
		h.chores(ctx)
	case p < 40:
		claimed, err := h.st.Claim(ctx, "w", functions, 1+h.rng.IntN(4))
		h.must(err)
		for _, c := range claimed {
			h.claims[c.Unit.String()+"/"+c.Step]++
			if c.Attempt != h.claims[c.Unit.String()+"/"+c.Step] {
				h.t.Fatalf("seed %d: %s is attempt %d, want %d", h.seed, c.Ref, c.Attempt, h.claims[c.Unit.String()+"/"+c.Step])
			}
		}
		h.held = append(h.held, claimed...)
	case p < 75 && len(h.held) > 0:
		i := h.rng.IntN(len(h.held))
		c := h.held[i]
		h.held = slices.Delete(h.held, i, i+1)
		h.report(ctx, c, policy)
	case p < 80 && len(h.reported) > 0:
		// The same again, and too late: it must change nothing, which check sees.
		_, _, err := h.st.Settle(ctx, h.graph, h.production, h.id, h.reported[h.rng.IntN(len(h.reported)):][:1])
		h.must(err)
	case p < 85:
		h.time(ctx, policy)
	case p < 88:
		h.loseQueues(ctx)
	case p < 93:
		_, err := h.st.Sweep(ctx, func(context.Context, string, string) (*store.Graph, plan.Size, error) {
			return h.graph, h.size, nil
		})
		h.must(err)
	case p < 95 && len(h.held) > 0:
		c := h.held[h.rng.IntN(len(h.held))]
		v, err := h.st.Checkpoint(ctx, c.Ref, "w", "dot")
		h.must(err)
		if v == store.OK && h.cancelled {
			h.t.Fatalf("seed %d: told to go on after a cancellation", h.seed)
		}
	case p == 98 && h.seed%2 == 0:
		h.again(ctx)
	case p == 99 && h.seed%3 == 0 && h.rng.IntN(4) == 0:
		err := h.st.Cancel(ctx, h.production, h.id, "somebody")
		if !errors.Is(err, store.ErrEnded) {
			h.must(err)
			h.cancelled = true
		}
	}
}

func (h *history) report(ctx context.Context, c store.Claimed, policy plan.OnUncertain) {
	step, _ := definition.Step(c.Step)
	attempts, err := h.st.Attempts(ctx, []store.Ref{c.Ref})
	h.must(err)
	end := store.End{Ref: c.Ref, Worker: "w", Outcome: plan.Succeeded(step, attempts[0].Tally), Output: "{}"}
	switch h.rng.IntN(8) {
	case 0:
		end.Outcome, end.Output = plan.HandedBack(step, attempts[0].Tally), ""
	case 1, 2:
		class := plan.Class(1 + h.rng.IntN(4))
		if class == plan.Unsure && step.Delivers == "" {
			class = plan.Transient
		}
		end.Outcome, end.Output = plan.Failing(step, attempts[0].Tally, plan.Failure{Class: class, Code: "X", Message: "x"}, policy, h.rng.Float64()), ""
	}
	rec, err := h.st.Units(ctx, h.production, h.id, []plan.Unit{c.Unit})
	h.must(err)
	verdicts, _, err := h.st.Settle(ctx, h.graph, h.production, h.id, []store.End{end})
	h.must(err)
	if now := rec[0].Steps[c.Step]; verdicts[0] == store.OK && now.Attempts != c.Attempt {
		h.t.Fatalf("seed %d: a report of attempt %d was taken while attempt %d is %s", h.seed, c.Attempt, now.Attempts, now.State)
	}
	h.reported = append(h.reported, end)
}

func (h *history) chores(ctx context.Context) {
	chores, err := h.st.Chores(ctx)
	h.must(err)
	for _, c := range chores {
		if c.Distribution != h.id {
			continue
		}
		if c.Kind == "cancel" {
			sum, err := h.st.Get(ctx, h.production, h.id)
			h.must(err)
			if sum.State == plan.Accepted {
				continue
			}
		}
		for {
			var next string
			switch c.Kind {
			case "layout":
				next, err = h.st.Layout(ctx, c, h.graph, h.size, nil)
			case "fan":
				next, err = h.st.Fan(ctx, c, h.graph, h.size)
			case "cancel":
				next, err = h.st.EndCancelled(ctx, c, h.graph, h.size)
			}
			h.must(err)
			if next == "" {
				break
			}
			c.Cursor = next
			if h.rng.IntN(3) == 0 {
				break // whoever did it died: it is handed out again later
			}
		}
	}
	h.age(ctx, "chores")
}

// time lets every lease run out and every retry come due, at once.
func (h *history) time(ctx context.Context, policy plan.OnUncertain) {
	h.age(ctx, "w:w")
	h.age(ctx, "later")
	due, lost, err := h.st.Due(ctx)
	h.must(err)
	mine := func(all []store.Due) []store.Due {
		return slices.DeleteFunc(all, func(d store.Due) bool { return d.Distribution != h.id })
	}
	due, lost = mine(due), mine(lost)
	if len(due) > 0 {
		h.must(h.st.Promote(ctx, h.graph, h.production, h.id, due))
	}
	var ends []store.End
	for _, l := range lost {
		step, _ := definition.Step(l.Step)
		ends = append(ends, store.End{Ref: l.Ref, Worker: l.Worker, Outcome: plan.Lost(step, l.Tally, l.Checkpoint, policy)})
	}
	if len(ends) > 0 {
		_, _, err = h.st.Settle(ctx, h.graph, h.production, h.id, ends)
		h.must(err)
	}
}

// age makes all scores of a sorted set lie in the past.
func (h *history) age(ctx context.Context, name string) {
	for shard := range 3 {
		key := fmt.Sprintf("{%d}:%s", shard, name)
		members, err := h.c.ZRange(ctx, key, 0, -1).Result()
		h.must(err)
		for _, m := range members {
			h.must(h.c.ZAddXX(ctx, key, redis.Z{Score: 1, Member: m}).Err())
		}
	}
}

func (h *history) loseQueues(ctx context.Context) {
	for shard := range 3 {
		names := []string{"w:w", "workers", "later", "chores", "sweeping"}
		for _, f := range functions {
			names = append(names, "f:"+f, "q:"+f+":"+h.production)
		}
		for _, name := range names {
			h.must(h.c.Del(ctx, fmt.Sprintf("{%d}:%s", shard, name)).Err())
		}
	}
}

// check holds the records against the table and the counters, and reports whether it has ended.
func (h *history) check(ctx context.Context) bool {
	sum, err := h.st.Get(ctx, h.production, h.id)
	h.must(err)
	if sum.State == plan.Accepted {
		return false
	}
	units := make([]plan.Unit, h.size.Units())
	for n := range units {
		units[n] = h.size.UnitAt(n)
	}
	records, err := h.st.Units(ctx, h.production, h.id, units)
	h.must(err)
	steps := map[string]map[plan.State]int{}
	items := map[plan.ItemState]int{}
	deliveries := map[plan.Delivery]int{}
	delivery := map[int]plan.Delivery{}
	open := 0
	for _, rec := range records {
		for name, s := range rec.Steps {
			key := rec.Unit.String() + "/" + name
			was, known := h.before[key]
			if known && was != s.State {
				h.legal(key, was, s.State)
			}
			h.before[key] = s.State
			if steps[name] == nil {
				steps[name] = map[plan.State]int{}
			}
			steps[name][s.State]++
			if !s.State.Final() {
				open++
			}
		}
		if rec.Scope() == plan.ScopeRecipient {
			deliveries[rec.Delivery]++
			delivery[rec.Recipient] = rec.Delivery
		}
	}
	for _, rec := range records {
		if rec.Scope() == plan.ScopeItem {
			items[plan.Item(rec.Phase, delivery[rec.Recipient])]++
		}
	}
	for what, diff := range map[string]string{
		"steps":      cmp.Diff(steps, nonzero2(sum.Steps)),
		"items":      cmp.Diff(items, nonzero(sum.Items)),
		"deliveries": cmp.Diff(deliveries, nonzero(sum.Deliveries)),
	} {
		if diff != "" {
			h.t.Fatalf("seed %d, move %d: counters of %s differ from the records (-records +counters):\n%s", h.seed, h.moves, what, diff)
		}
	}
	if (open == 0) != sum.State.Final() {
		h.t.Fatalf("seed %d: %d steps are open and the distribution is %s", h.seed, open, sum.State)
	}
	if sum.State.Final() {
		stop := plan.NotStopped
		if h.cancelled {
			stop = plan.ByPerson
		}
		want := plan.Ending(stop, items[plan.ItemDone] > 0, items[plan.ItemDone] < h.size.Items())
		if sum.State != want {
			h.t.Fatalf("seed %d: ended %s, want %s", h.seed, sum.State, want)
		}
	}
	return sum.State.Final()
}

// legal reports a change that no way through the table explains; a move can take several steps at once.
func (h *history) legal(key string, from, to plan.State) {
	reach := map[plan.State]bool{from: true}
	for range plan.States {
		for s := range maps.Clone(reach) {
			for _, next := range plan.States {
				if plan.Check(s, next) == nil {
					reach[next] = true
				}
			}
		}
	}
	if from.Final() || !reach[to] {
		h.t.Fatalf("seed %d, move %d: %s went from %s to %s", h.seed, h.moves, key, from, to)
	}
}

func nonzero[K comparable](m map[K]int) map[K]int {
	out := maps.Clone(m)
	maps.DeleteFunc(out, func(_ K, n int) bool { return n == 0 })
	return out
}

func nonzero2(m map[string]map[plan.State]int) map[string]map[plan.State]int {
	out := map[string]map[plan.State]int{}
	for k, v := range m {
		out[k] = nonzero(v)
	}
	return out
}

// Another production's distribution is unknown, whatever is asked of it.
func TestAnotherProductionsDistributionIsUnknown(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st, err := store.Open(ctx, redistest.New(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	_, err = st.Create(ctx, store.New{ID: "D1", Production: "mine", Key: "k", Hash: "h", Definition: &definition,
		Size: plan.Size{Files: 1, Recipients: 1}, Spec: []byte("{}"), Recipients: []store.Recipient{{Name: "a", Email: "a@example.com"}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = st.Get(ctx, "theirs", "D1")
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	err = st.Cancel(ctx, "theirs", "D1", "x")
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Cancel: %v", err)
	}
	_, _, err = st.List(ctx, "theirs", "D1", 10)
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("List: %v", err)
	}
}

// Every script says what it is for, what it takes and what it returns, and makes Redis check its keys' slot.
func TestScriptsAreDocumented(t *testing.T) {
	for name, source := range store.Scripts(t) {
		if !strings.HasPrefix(source, "#!lua\n-- ") {
			t.Errorf("%s does not begin with #!lua and a sentence", name)
		}
		for _, part := range []string{`(?m)^-- KEYS  1 `, `(?m)^-- ARGV  1 `, `(?m)^-- Returns `} {
			if !regexp.MustCompile(part).MatchString(source) {
				t.Errorf("%s lacks a line like %s", name, part)
			}
		}
	}
}

// Workers that look while a distribution is being laid out are handed nothing of it yet, and take nothing out of its
// queues: when it is laid out, every step that can start is there.
func TestLayoutKeepsWhatStartsAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st, err := store.Open(ctx, redistest.New(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	d := plan.Definition{Name: "at-once", Version: 1, Steps: []plan.Step{
		{Name: "first", Scope: plan.ScopeItem, Function: "f.First", Retry: plan.Retry{Attempts: 1}},
		{Name: "join", Scope: plan.ScopeDistribution, Function: "f.Join", Needs: []string{"first"}, Retry: plan.Retry{Attempts: 1}},
	}}
	size := plan.Size{Files: 2, Recipients: 130}
	g, err := store.NewGraph(&d, "D1", store.Rules{Join: plan.JoinAll})
	if err != nil {
		t.Fatal(err)
	}
	n := store.New{ID: "D1", Production: "p", Key: "k", Hash: "h", Definition: &d, Size: size, Spec: []byte("{}")}
	for i := range size.Recipients {
		n.Recipients = append(n.Recipients, store.Recipient{Name: fmt.Sprint(i), Email: fmt.Sprintf("%d@example.com", i)})
	}
	_, err = st.Create(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	chores, err := st.Chores(ctx)
	if err != nil || len(chores) != 1 {
		t.Fatalf("got chores %v, %v, want the layout", chores, err)
	}
	claimed := map[plan.Unit]bool{}
	claim := func() int {
		got, err := st.Claim(ctx, "w", []string{"f.First", "f.Join"}, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range got {
			claimed[c.Unit] = true
		}
		return len(got)
	}
	for c := chores[0]; ; {
		next, err := st.Layout(ctx, c, g, size, nil)
		if err != nil {
			t.Fatal(err)
		}
		claim()
		if next == "" {
			break
		}
		c.Cursor = next
	}
	for claim() > 0 {
	}
	if len(claimed) != size.Items() {
		t.Errorf("%d of %d items were handed out, want all without a sweep", len(claimed), size.Items())
	}
}
