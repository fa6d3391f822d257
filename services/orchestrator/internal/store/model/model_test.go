package model_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store/model"
)

var retry = plan.Retry{Attempts: 3, Backoff: []time.Duration{time.Hour}}

// definitions have between them everything that a definition can have.
var definitions = []*plan.Definition{
	{Name: "chain", Version: 1, Steps: []plan.Step{
		{Name: "prepare", Scope: plan.ScopeFile, Function: "f.A", Retry: retry},
		{Name: "stamp", Scope: plan.ScopeItem, Function: "f.B", Needs: []string{"prepare"}, Retry: retry},
		{Name: "thumb", Scope: plan.ScopeItem, Function: "f.C", Needs: []string{"stamp"}, Optional: true, Retry: plan.Retry{Attempts: 2, Backoff: []time.Duration{time.Hour}}},
		{Name: "email", Scope: plan.ScopeRecipient, Function: "f.D", Needs: []string{"stamp"}, Delivers: "email", Reaches: true, Retry: retry, Priority: 2},
		{Name: "push", Scope: plan.ScopeRecipient, Function: "f.E", Needs: []string{"email"}, Optional: true, Reaches: true, Retry: retry},
		{Name: "report", Scope: plan.ScopeDistribution, Function: "f.E", Needs: []string{"email"}, Optional: true, Retry: plan.Retry{Attempts: 1}},
	}},
	{Name: "diamond", Version: 1, Steps: []plan.Step{
		{Name: "left", Scope: plan.ScopeFile, Function: "f.A", Retry: retry},
		{Name: "right", Scope: plan.ScopeFile, Function: "f.B", Retry: retry},
		{Name: "after", Scope: plan.ScopeFile, Function: "f.A", Needs: []string{"left"}, Retry: retry},
		{Name: "one", Scope: plan.ScopeItem, Function: "f.B", Needs: []string{"left", "right"}, Retry: retry},
		{Name: "two", Scope: plan.ScopeItem, Function: "f.C", Needs: []string{"after"}, Conditional: true, Retry: retry},
		{Name: "both", Scope: plan.ScopeItem, Function: "f.D", Needs: []string{"one", "two"}, Retry: retry, Priority: 5},
		{Name: "send", Scope: plan.ScopeRecipient, Function: "f.E", Needs: []string{"both"}, Delivers: "email", Retry: retry},
	}},
	{Name: "roots", Version: 1, Steps: []plan.Step{
		{Name: "whole", Scope: plan.ScopeDistribution, Function: "f.A", Retry: retry},
		{Name: "per-person", Scope: plan.ScopeRecipient, Function: "f.B", Conditional: true, Retry: retry},
		{Name: "per-item", Scope: plan.ScopeItem, Function: "f.C", Retry: retry},
		{Name: "other", Scope: plan.ScopeItem, Function: "f.D", Conditional: true, Retry: retry},
		{Name: "deliver", Scope: plan.ScopeRecipient, Function: "f.E", Needs: []string{"per-person", "per-item"}, Delivers: "email", Retry: retry},
		{Name: "end", Scope: plan.ScopeDistribution, Function: "f.A", Needs: []string{"whole", "deliver"}, Retry: retry},
	}},
	{Name: "limited", Version: 1, Steps: []plan.Step{
		{Name: "read", Scope: plan.ScopeFile, Function: "f.A", Limits: []string{"disk"}, Retry: retry},
		{Name: "make", Scope: plan.ScopeItem, Function: "f.B", Needs: []string{"read"}, Limits: []string{"disk", "cpu"}, Retry: retry},
		{Name: "upload", Scope: plan.ScopeItem, Function: "f.C", Needs: []string{"make"}, Limits: []string{"cpu", "studio/drive"}, Retry: retry},
		{Name: "mail", Scope: plan.ScopeRecipient, Function: "f.D", Needs: []string{"upload"}, Delivers: "email",
			Limits: []string{"studio/relay", "studio/drive"}, Exclusive: true, Retry: retry},
	}},
	{Name: "exclusive", Version: 1, Steps: []plan.Step{
		{Name: "edit", Scope: plan.ScopeItem, Function: "f.B", Exclusive: true, Retry: retry},
		{Name: "show", Scope: plan.ScopeItem, Function: "f.C", Needs: []string{"edit"}, Exclusive: true, Conditional: true, Limits: []string{"cpu"}, Retry: retry},
		{Name: "tell", Scope: plan.ScopeRecipient, Function: "f.D", Needs: []string{"show"}, Priority: 5, Retry: retry},
	}},
	{Name: "parent", Version: 1, Steps: []plan.Step{
		{Name: "begin", Scope: plan.ScopeDistribution, Function: "f.start", Starts: true, Retry: retry},
		{Name: "each", Scope: plan.ScopeItem, Function: "f.A", Retry: retry},
		{Name: "finish", Scope: plan.ScopeDistribution, Function: "f.E", Needs: []string{"begin", "each"}, Retry: retry},
	}},
	{Name: "joins", Version: 1, Steps: []plan.Step{
		{Name: "prep", Scope: plan.ScopeFile, Function: "f.A", Retry: retry},
		{Name: "scan", Scope: plan.ScopeFile, Function: "f.B", Optional: true, Retry: retry},
		{Name: "merge", Scope: plan.ScopeFile, Function: "f.C", Needs: []string{"prep", "scan"}, Retry: retry},
		{Name: "cut", Scope: plan.ScopeItem, Function: "f.B", Needs: []string{"prep", "scan"}, Retry: retry},
		{Name: "weave", Scope: plan.ScopeItem, Function: "f.D", Needs: []string{"cut", "scan", "merge"}, Retry: retry},
		{Name: "post", Scope: plan.ScopeRecipient, Function: "f.E", Needs: []string{"weave"}, Delivers: "email", Retry: retry},
		{Name: "sum", Scope: plan.ScopeDistribution, Function: "f.A", Needs: []string{"scan", "weave", "post"}, Optional: true, Reaches: true, Retry: retry},
		{Name: "bill", Scope: plan.ScopeDistribution, Function: "f.C", Needs: []string{"sum", "cut"}, Exclusive: true, Retry: retry},
		{Name: "close", Scope: plan.ScopeDistribution, Function: "f.start", Needs: []string{"bill"}, Starts: true, Retry: retry},
	}},
}

var (
	functions    = []string{"f.A", "f.B", "f.C", "f.D", "f.E", "f.start"}
	productions  = []string{"alpha", "beta", "gamma"}
	workers      = []string{"w1", "w2", "w3", "w4"}
	ownLimits    = []string{"disk", "cpu", "db", "f.B", "f.D"}
	studioLimits = []string{"relay", "drive"}
)

// transitions is how many operations that changed something the random histories have together.
func transitions(t *testing.T) int64 {
	text := os.Getenv("FILIGREE_TRANSITIONS")
	switch {
	case text != "":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatalf("FILIGREE_TRANSITIONS: %v", err)
		}
		return n
	case testing.Short():
		return 10_000
	}
	return 100_000
}

// Random histories of many distributions at once, on a real server, held against the model after every operation: see
// history.operations for what happens, history.check for what must hold. Then work goes on undisturbed, and all must come
// to an end. FILIGREE_SEED repeats one history.
func TestModel(t *testing.T) {
	t.Parallel()
	want := transitions(t)
	var made, seeds atomic.Int64
	var mu sync.Mutex
	counts, replies := map[string]int{}, map[string]int{}
	only := os.Getenv("FILIGREE_SEED")
	if only != "" {
		seed, err := strconv.Atoi(only)
		if err != nil {
			t.Fatalf("FILIGREE_SEED: %v", err)
		}
		run(t, redistest.Start(t), seed)
		return
	}
	began := time.Now()
	var all sync.WaitGroup
	for range 2 {
		server := redistest.Start(t)
		all.Go(func() {
			for made.Load() < want && !t.Failed() {
				h := run(t, server, int(seeds.Add(1)))
				mu.Lock()
				for name, n := range h.counts {
					counts[name] += n
					made.Add(int64(n))
				}
				for name, n := range h.replies {
					replies[name] += n
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%s %d", name, counts[name]))
	}
	t.Logf("%d operations that changed something, in %d histories, in %.0f s: %s", made.Load(), seeds.Load(), time.Since(began).Seconds(), strings.Join(lines, ", "))
	t.Logf("replies lost and asked for again: %v", replies)
	if t.Failed() {
		return
	}
	for _, op := range operations {
		if counts[op.name] == 0 && want >= 20_000 {
			t.Errorf("%s never changed anything", op.name)
		}
	}
}

// run is one history; what it finds fails t.
func run(t *testing.T, server *redistest.Server, seed int) (h *history) {
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{server.Socket}})
	defer client.Close()
	h = &history{t: t, ctx: t.Context(), c: client, rng: rand.New(rand.NewPCG(uint64(seed), 11)), seed: seed, counts: map[string]int{}}
	defer func() {
		why := recover()
		if why == nil {
			return
		}
		f, ok := why.(failure)
		if !ok {
			panic(why)
		}
		n := len(h.log)
		t.Errorf("seed %d, operation %d: %s\nlast operations:\n%s", seed, n, f, strings.Join(h.last(), "\n"))
	}()
	l := &lost{scripts: store.Digests(), rng: rand.New(rand.NewPCG(uint64(seed), 12)), counts: map[string]int{}}
	client.AddHook(l)
	h.replies = l.counts
	h.begin()
	for range 150 + h.rng.IntN(300) {
		h.step()
	}
	h.quiet()
	return h
}

type failure string

// history is some distributions and what happens to them.
type history struct {
	t      *testing.T
	ctx    context.Context
	c      redis.UniversalClient
	rng    *rand.Rand
	seed   int
	shards int
	// Two orchestrators.
	stores []*store.Store
	dists  []*distribution
	byID   map[string]*distribution
	limits map[string]int // "production/name", "/name" for those that productions share → concurrency
	paused map[string]bool
	slots  map[string]slot // by limit and holder
	crash  map[string]string
	hands  map[string][]hand // what each worker knows that it has
	lost   map[string][]hand // what workers had when they died, or forgot
	ends   []reported
	// disturbed: queues were lost and not swept since.
	disturbed bool
	calm      bool // work goes on undisturbed
	touched   map[*distribution]bool
	counts    map[string]int
	replies   map[string]int // lost, by script
	log       []string
}

type distribution struct {
	*model.Distribution
	graph *store.Graph
	new   store.New
	// loose: steps are not all queued, as it was paused and the chore that queues them is not done.
	loose bool
	// laying: what starts at once is not all queued yet.
	laying   bool
	children map[model.Ref]string
	// asked: somebody asked for something again.
	asked bool
}

type hand struct {
	store.Claimed
	d *distribution
}

func (h hand) ref() model.Ref { return model.Ref{Unit: h.Unit, Step: h.Step} }

type reported struct {
	d   *distribution
	end store.End
}

type slot struct {
	o      store.Occupied
	d      *distribution
	worker string
}

type operation struct {
	name   string
	weight int
	do     func(*history) int // how many things it changed
}

var operations []operation

func init() {
	operations = []operation{
		{"create", 4, (*history).create},
		{"chores", 12, (*history).chores},
		{"claim", 22, (*history).claim},
		{"report", 24, (*history).report},
		{"repeat", 3, (*history).repeat},
		{"checkpoint", 4, (*history).checkpoint},
		{"renew", 2, (*history).renew},
		{"strays", 2, (*history).strays},
		{"crash", 1, (*history).die},
		{"time-out", 3, (*history).timeOut},
		{"due", 4, (*history).due},
		{"cancel", 1, (*history).cancel},
		{"pause", 2, (*history).pause},
		{"hold", 2, (*history).hold},
		{"limit", 3, (*history).limit},
		{"gather", 3, (*history).gather},
		{"occupy", 3, (*history).occupy},
		{"vacate", 2, (*history).vacate},
		{"retry", 3, (*history).revive},
		{"ask", 2, (*history).ask},
		{"sweep", 2, (*history).sweep},
		{"lose queues", 1, (*history).lose},
		{"forget", 1, (*history).forget},
		{"flush scripts", 1, (*history).flush},
	}
}

func (h *history) fail(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

func (h *history) must(err error) {
	if err != nil {
		h.fail("%v", err)
	}
}

func (h *history) say(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *history) store() *store.Store { return h.stores[h.rng.IntN(len(h.stores))] }

func (h *history) begin() {
	h.must(h.c.FlushAll(h.ctx).Err())
	h.must(h.c.ConfigSet(h.ctx, "appendfsync", "no").Err())
	h.shards = []int{1, 2, 3}[h.rng.IntN(3)]
	for range 2 {
		st, err := store.Open(h.ctx, h.c, h.shards)
		h.must(err)
		h.stores = append(h.stores, st)
	}
	h.byID, h.limits, h.paused, h.slots = map[string]*distribution{}, map[string]int{}, map[string]bool{}, map[string]slot{}
	h.crash, h.hands, h.lost, h.touched = map[string]string{}, map[string][]hand{}, map[string][]hand{}, map[*distribution]bool{}
	h.must(h.stores[0].Announce(h.ctx, functions))
	h.create()
}

// step does one operation and holds Redis against the model.
func (h *history) step() {
	all := 0
	for _, op := range operations {
		all += op.weight
	}
	n := h.rng.IntN(all)
	for _, op := range operations {
		n -= op.weight
		if n >= 0 {
			continue
		}
		h.do(op)
		return
	}
}

func (h *history) do(op operation) {
	before := len(h.log)
	n := op.do(h)
	if len(h.log) == before {
		h.say("%s", op.name)
	}
	h.counts[op.name] += n
	if len(h.log)%16 == 0 {
		for _, d := range h.dists {
			h.touched[d] = true
		}
	}
	h.check()
}

// pick draws one; ok is false when there is none.
func pick[T any](h *history, from []T) (one T, ok bool) {
	if len(from) == 0 {
		return one, false
	}
	return from[h.rng.IntN(len(from))], true
}

func (h *history) create() int {
	open := 0
	for _, d := range h.dists {
		if !d.State.Final() {
			open++
		}
	}
	if open >= 5 || len(h.dists) >= 12 {
		return 0
	}
	def, _ := pick(h, definitions)
	h.make(def, "", nil)
	return 1
}

func (h *history) make(def *plan.Definition, production string, parent *store.Ref) *distribution {
	size := plan.Size{Files: 1 + h.rng.IntN(2), Recipients: 1 + h.rng.IntN(4)}
	if h.rng.IntN(40) == 0 {
		size = plan.Size{Files: 2, Recipients: 60} // more than one slice
	}
	join := []plan.Join{plan.JoinAll, plan.JoinAvailable}[h.rng.IntN(2)]
	if production == "" {
		production, _ = pick(h, productions)
	}
	id := fmt.Sprintf("D%03d", len(h.dists)+1)
	m := model.New(id, production, def, size, join)
	n := store.New{ID: id, Production: production, Key: "key-" + id, Hash: "hash-" + id, Definition: def, Size: size, Spec: []byte("{}"),
		Priority: h.rng.IntN(3), Parent: parent}
	m.Priority = n.Priority
	now, err := h.c.Time(h.ctx).Result()
	h.must(err)
	n.Deadline = now.Add(time.Duration(h.rng.IntN(10)) * time.Minute).Truncate(time.Millisecond)
	m.Deadline = n.Deadline.UnixMilli()
	if h.rng.IntN(4) == 0 {
		n.HoldFor, m.Hold = time.Hour, true
	}
	if h.rng.IntN(4) == 0 {
		some := h.rng.IntN(3)
		m.Tolerate = &some
	}
	for i := range size.Recipients {
		n.Recipients = append(n.Recipients, store.Recipient{Name: fmt.Sprint(i), Email: fmt.Sprintf("%d@example.com", i)})
	}
	rules := store.Rules{Join: join, Priority: m.Priority, Tolerate: m.Tolerate}
	if h.rng.IntN(2) == 0 {
		rules.Recipients = size.Recipients
		m.Prompt = size.Recipients*len(def.Steps) <= 100
	}
	graph, err := store.NewGraph(def, id, rules)
	h.must(err)
	for r, s := range m.Steps {
		if s.Def.Exclusive {
			s.Key = key(r)
		}
	}
	if parent != nil {
		m.Parent = strings.Join(strings.Split(parent.String(), "/")[1:4], "/")
	}
	d := &distribution{laying: true, Distribution: m, graph: graph, new: n, children: map[model.Ref]string{}}
	h.say("create %s of %s in %s, %d × %d, hold %v, tolerate %v, join %s", id, def.Name, production, size.Files, size.Recipients, m.Hold, m.Tolerate != nil, join)
	got, err := h.store().Create(h.ctx, n)
	h.must(err)
	again := n
	again.ID = "Z"
	same, err := h.store().Create(h.ctx, again)
	h.must(err)
	again.Hash = "other"
	_, err = h.store().Create(h.ctx, again)
	if got != id || same != id || !errors.Is(err, store.ErrConflict) {
		h.fail("created %q, by the same key %q, by the same key for another request %v", got, same, err)
	}
	// A small one may be laid out at once.
	state, err := h.c.HGet(h.ctx, h.tag(production)+"d:"+id, "state").Result()
	h.must(err)
	if state != string(plan.Accepted) {
		d.Lay(size.Units())
		d.laying = false
	}
	h.dists = append(h.dists, d)
	h.byID[id] = d
	h.touched[d] = true
	return d
}

// key is the exclusive key of a step: people share them, across distributions, too.
func key(r model.Ref) string { return fmt.Sprintf("%s of %d", r.Step[:1], r.Unit.Recipient%2) }

func (h *history) keys(d *distribution) store.Keys {
	return func(_ context.Context, units []plan.Unit) (map[plan.Unit]map[string]string, error) {
		out := map[plan.Unit]map[string]string{}
		for _, u := range units {
			out[u] = map[string]string{}
			for _, st := range d.Def.Steps {
				if st.Exclusive && st.Scope == u.Scope() {
					out[u][st.Name] = key(model.Ref{Unit: u, Step: st.Name})
				}
			}
		}
		return out, nil
	}
}

func (h *history) chores() int {
	h.age("chores", nil)
	list, err := h.store().Chores(h.ctx)
	h.must(err)
	changed := 0
	for _, c := range list {
		d := h.byID[c.Distribution]
		if d == nil {
			h.fail("a chore %s of %s, which is not there", c.Kind, c.Distribution)
		}
		if !h.calm && h.rng.IntN(6) == 0 {
			continue // whoever took it died
		}
		if c.Kind == "cancel" && d.State == plan.Accepted {
			continue
		}
		for {
			before := c
			next := h.chore(c, d)
			changed++
			if h.rng.IntN(4) == 0 {
				// The same slice again, by somebody who was slow.
				h.again(before, d)
			}
			if next == "" || !h.calm && h.rng.IntN(4) == 0 {
				break
			}
			c.Cursor = next
		}
	}
	return changed
}

func (h *history) chore(c store.Chore, d *distribution) string {
	h.say("chore %s of %s, %s of %s at %s", c.Kind, d.ID, c.Step, c.Unit, c.Cursor)
	h.touched[d] = true
	var next string
	var err error
	switch c.Kind {
	case "layout":
		next, err = h.store().Layout(h.ctx, c, d.graph, d.Size, h.keys(d))
		if !strings.HasPrefix(c.Cursor, "queue/") {
			d.Lay(min(d.LaidOut+100, d.Size.Units()))
		}
		d.laying = next != ""
		d.loose = d.loose || d.State == plan.Paused
	case "fan":
		next, err = h.store().Fan(h.ctx, c, d.graph, d.Size)
		n := 0
		for _, dep := range d.Def.Dependents(c.Step) {
			if dep.Scope == plan.ScopeItem {
				n++
			}
		}
		d.Tell(model.Ref{Unit: c.Unit, Step: c.Step}, 100/n)
	case "cancel":
		first, _ := strconv.Atoi(c.Cursor)
		next, err = h.store().EndCancelled(h.ctx, c, d.graph, d.Size)
		d.EndCancelled(first, 100/len(d.Def.Steps))
	case "retry":
		d.Fulfil(c.Ask)
		d.asked = true
		_, err = h.store().Proceed(h.ctx, c, d.graph, "")
	case "resume":
		err = h.store().Resume(h.ctx, c, d.graph, d.Size)
		if d.State != plan.Paused {
			d.loose = false
		}
	default:
		h.fail("chore %s", c.Kind)
	}
	h.must(err)
	return next
}

func (h *history) again(c store.Chore, d *distribution) {
	var err error
	switch c.Kind {
	case "layout":
		_, err = h.store().Layout(h.ctx, c, d.graph, d.Size, h.keys(d))
	case "fan":
		_, err = h.store().Fan(h.ctx, c, d.graph, d.Size)
	case "cancel":
		_, err = h.store().EndCancelled(h.ctx, c, d.graph, d.Size)
	case "retry":
		_, err = h.store().Proceed(h.ctx, c, d.graph, "")
	default:
		return
	}
	if !errors.Is(err, store.ErrTaken) {
		h.fail("doing a slice of %s twice: %v", c.Kind, err)
	}
}

func (h *history) claim() int {
	worker, _ := pick(h, workers)
	return h.claimAs(worker, 1+h.rng.IntN(6))
}

func (h *history) claimAs(worker string, n int) int {
	mine := slices.Clone(functions)
	if !h.calm {
		h.rng.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
		mine = mine[:2+h.rng.IntN(len(mine)-1)]
	}
	got, err := h.store().Claim(h.ctx, worker, mine, n)
	h.must(err)
	h.say("claim by %s of %v, up to %d: %s", worker, mine, n, names(got))
	if len(got) > n {
		h.fail("%d were handed out to one with room for %d", len(got), n)
	}
	last := map[string]float64{} // the highest rank handed out by queue
	for _, c := range got {
		d := h.byID[c.Distribution]
		r := model.Ref{Unit: c.Unit, Step: c.Step}
		if d == nil {
			h.fail("%s was handed out, of a distribution that is not there", c.Ref)
		}
		h.mayStart(d, r, c, mine)
		d.Start(r, worker)
		h.touched[d] = true
		if c.Attempt != d.Steps[r].Attempt {
			h.fail("%s was handed out as attempt %d, want %d", c.Ref, c.Attempt, d.Steps[r].Attempt)
		}
		if c.Checkpoint != d.Steps[r].Checkpoint {
			h.fail("%s was handed out with checkpoint %q, want %q", c.Ref, c.Checkpoint, d.Steps[r].Checkpoint)
		}
		h.hands[worker] = append(h.hands[worker], hand{c, d})
		if !h.studio(d.Steps[r]) {
			q := h.queue(d, r)
			last[q] = max(last[q], d.rank(r))
		}
	}
	h.inOrder(last)
	return len(got)
}

func names(got []store.Claimed) string {
	var out []string
	for _, c := range got {
		out = append(out, c.String())
	}
	return strings.Join(out, " ")
}

// mayStart fails when a step must not be handed out.
func (h *history) mayStart(d *distribution, r model.Ref, c store.Claimed, mine []string) {
	s := d.Steps[r]
	why := d.Barred(r)
	if why != "" {
		h.fail("%s was handed out: %s", c.Ref, why)
	}
	fn := s.Def.Function
	if c.Production != d.Production || c.Function != fn || !slices.Contains(mine, fn) {
		h.fail("%s was handed out as %s of %s, want %s of %s", c.Ref, c.Function, c.Production, fn, d.Production)
	}
	for _, what := range []string{"f " + fn, "p " + d.Production, "b " + fn + " " + d.Production} {
		if h.paused[what] {
			h.fail("%s was handed out while %q is paused", c.Ref, what)
		}
	}
	for _, l := range d.limitsOf(r) {
		most := h.limits[l]
		if strings.Contains(l, "/key ") {
			most = 1
		}
		n := h.holders(l)
		if most > 0 && n >= most {
			h.fail("%s was handed out while %d have a place in %q, which allows %d", c.Ref, n, l, most)
		}
	}
}

// limitsOf names everything that a step takes a place in.
func (d *distribution) limitsOf(r model.Ref) []string {
	s := d.Steps[r]
	out := []string{d.Production + "/" + s.Def.Function}
	for _, l := range s.Def.Limits {
		bare, shared := strings.CutPrefix(l, "studio/")
		if shared {
			out = append(out, "/"+bare)
		} else {
			out = append(out, d.Production+"/"+l)
		}
	}
	if s.Key != "" {
		out = append(out, d.Production+"/key "+s.Key)
	}
	return out
}

// holders is how many running steps and occupied slots of running steps have a place.
func (h *history) holders(limit string) int {
	n := 0
	for _, d := range h.dists {
		for r, s := range d.Steps {
			if s.State == plan.Running && slices.Contains(d.limitsOf(r), limit) {
				n++
			}
		}
	}
	for _, s := range h.slots {
		if h.nameOf(s.o) == limit && s.d.Holds(model.Ref{Unit: s.o.Unit, Step: s.o.Step}, s.o.Attempt, s.worker) {
			n += s.o.Slots
		}
	}
	return n
}

func (h *history) nameOf(o store.Occupied) string {
	bare, shared := strings.CutPrefix(o.Limit, "studio/")
	if shared {
		return "/" + bare
	}
	return o.Production + "/" + o.Limit
}

func (h *history) studio(s *model.Step) bool {
	return slices.ContainsFunc(s.Def.Limits, func(l string) bool { return strings.HasPrefix(l, "studio/") })
}

func (d *distribution) rank(r model.Ref) float64 {
	return float64(plan.Rank(d.Priority, d.Steps[r].Def.Priority) + d.Deadline)
}

func (h *history) report() int {
	worker, _ := pick(h, workers)
	mine := h.hands[worker]
	if len(mine) == 0 {
		return 0
	}
	i := h.rng.IntN(len(mine))
	d := mine[i].d
	var some, rest []hand
	for j, m := range mine {
		if j == i || m.d == d && h.rng.IntN(2) == 0 {
			some = append(some, m)
		} else {
			rest = append(rest, m)
		}
	}
	h.hands[worker] = rest
	return h.reportAll(worker, d, some)
}

func (h *history) reportAll(worker string, d *distribution, some []hand) int {
	var ends []store.End
	for _, m := range some {
		ends = append(ends, h.outcome(worker, m))
	}
	n := h.settle(d, ends)
	for _, e := range ends {
		h.ends = append(h.ends, reported{d, e})
	}
	return n
}

// outcome draws how an attempt ends.
func (h *history) outcome(worker string, m hand) store.End {
	d, r := m.d, m.ref()
	step := d.Steps[r].Def
	attempts, err := h.store().Attempts(h.ctx, []store.Ref{m.Ref})
	h.must(err)
	t := attempts[0].Tally
	end := store.End{Ref: m.Ref, Worker: worker, Outcome: plan.Succeeded(step, t), Output: "{}", Document: document(r, step)}
	if step.Starts {
		child := d.children[r]
		if child == "" {
			ref := m.Ref
			c := h.make(definitions[h.rng.IntN(5)], d.Production, &ref)
			d.children[r] = c.ID
			end.Outcome, end.Output = plan.Submitted(t, time.Hour, "started "+c.ID), ""
			return end
		}
		c := h.byID[child]
		if c != nil && !c.State.Final() {
			end.Outcome, end.Output = plan.Submitted(t, time.Hour, "started "+child), ""
		}
		return end
	}
	if h.calm {
		return end
	}
	p := h.rng.IntN(14)
	policy := []plan.OnUncertain{plan.Hold, plan.Resend}[h.rng.IntN(2)]
	switch {
	case p == 0:
		end.Outcome = plan.HandedBack(step, t)
	case p == 1:
		end.Outcome = plan.Submitted(t, time.Hour, strings.Repeat("job ", 1+h.rng.IntN(30)))
	case p == 2 && step.Conditional, p == 3 && step.Conditional:
		end.Outcome = plan.LeftOut(step, t)
	case p >= 4 && p <= 7:
		class := plan.Class(p - 3)
		if class == plan.Unsure && step.Delivers == "" {
			class = plan.Transient
		}
		end.Outcome = plan.Failing(step, t, plan.Failure{Class: class, Code: fmt.Sprintf("X%d", h.rng.IntN(9)), Message: "x"}, policy, h.rng.Float64())
	default:
		return end
	}
	end.Output = ""
	return end
}

// document is what an attempt is about, if that may kill workers.
func document(r model.Ref, step *plan.Step) string {
	if r.Unit.File == 0 {
		return ""
	}
	return fmt.Sprintf("doc%d/%s", r.Unit.File, step.Function)
}

// settle ends attempts in Redis and in the model, and compares the answers. It returns how many were applied.
func (h *history) settle(d *distribution, ends []store.End) int {
	var text []string
	var mine []model.End
	for _, e := range ends {
		text = append(text, fmt.Sprintf("%s by %s: %s %s", e.Ref, e.Worker, e.Outcome.To, e.Outcome.Code))
		mine = append(mine, model.End{Ref: model.Ref{Unit: e.Unit, Step: e.Step}, Attempt: e.Attempt, Worker: e.Worker,
			From: []plan.State{plan.Running}, Outcome: e.Outcome})
	}
	h.say("settle %s", strings.Join(text, "; "))
	verdicts, ended, err := h.store().Settle(h.ctx, d.graph, d.Production, d.ID, ends)
	h.must(err)
	h.touched[d] = true
	if h.byID[d.ID] == nil {
		for i, v := range verdicts {
			if v != store.Fenced {
				h.fail("%s was taken, of a distribution that is gone", ends[i].Ref)
			}
		}
		return 0
	}
	was := d.State
	answers := d.Settle(mine...)
	applied := 0
	for i, a := range answers {
		want := store.OK
		if a == model.Refused {
			want = store.Fenced
		}
		if verdicts[i] != want {
			h.fail("the answer to %s is %d, want %d", text[i], verdicts[i], want)
		}
		if a == model.Applied {
			applied++
			h.suspect(d, ends[i])
		}
	}
	want := ""
	if d.State != was {
		want = string(d.State)
	}
	if ended != want {
		h.fail("%s ended as %q, want %q", d.ID, ended, want)
	}
	return applied
}

// suspect counts the workers in a row that were lost with a document.
func (h *history) suspect(d *distribution, e store.End) {
	if e.Document == "" {
		return
	}
	key := d.Production + " " + e.Document
	switch {
	case e.Outcome.Crashed:
		n, by, _ := strings.Cut(h.crash[key], " ")
		if by != e.Worker {
			count, _ := strconv.Atoi(n)
			h.crash[key] = fmt.Sprintf("%d %s", count+1, e.Worker)
		}
	case e.Outcome.To == plan.Done:
		delete(h.crash, key)
	}
}

// repeat reports something again that was reported before, or late what a dead worker had.
func (h *history) repeat() int {
	if h.rng.IntN(2) == 0 {
		worker, _ := pick(h, workers)
		late := h.lost[worker]
		m, ok := pick(h, late)
		if !ok {
			return 0
		}
		return h.settle(m.d, []store.End{h.outcome2(worker, m)})
	}
	e, ok := pick(h, h.ends)
	if !ok {
		return 0
	}
	ends := []store.End{e.end}
	if h.rng.IntN(3) == 0 {
		ends = append(ends, e.end)
	}
	return h.settle(e.d, ends)
}

// outcome2 is an outcome without side effects.
func (h *history) outcome2(worker string, m hand) store.End {
	return store.End{Ref: m.Ref, Worker: worker, Outcome: plan.Succeeded(m.d.Steps[m.ref()].Def, plan.Tally{}), Document: document(m.ref(), m.d.Steps[m.ref()].Def)}
}

func (h *history) checkpoint() int {
	worker, _ := pick(h, workers)
	m, ok := pick(h, append(slices.Clone(h.hands[worker]), h.lost[worker]...))
	if !ok {
		return 0
	}
	v, err := h.store().Checkpoint(h.ctx, m.Ref, worker, "dot")
	h.must(err)
	h.say("checkpoint %s by %s: %d", m.Ref, worker, v)
	h.touched[m.d] = true
	want := store.OK
	switch {
	case h.byID[m.d.ID] == nil || !m.d.Holds(m.ref(), m.Attempt, worker):
		want = store.Fenced
	case m.d.Cancelled:
		want = store.Stopped
	}
	if v != want {
		h.fail("the answer to a checkpoint of %s by %s is %d, want %d", m.Ref, worker, v, want)
	}
	if v == store.OK {
		m.d.Steps[m.ref()].Checkpoint = "dot"
		return 1
	}
	return 0
}

func (h *history) renewOf(worker string, some []hand) int {
	refs := make([]store.Ref, len(some))
	limits := make([][]string, len(some))
	for i, m := range some {
		refs[i], limits[i] = m.Ref, m.d.Steps[m.ref()].Def.Limits
	}
	h.must(h.store().Keep(h.ctx, refs, limits))
	got, err := h.store().Renew(h.ctx, worker, refs)
	h.must(err)
	n := 0
	for i, m := range some {
		want := store.Fenced
		if h.byID[m.d.ID] != nil && m.d.Holds(m.ref(), m.Attempt, worker) {
			want = store.OK
			if m.d.Cancelled {
				want = store.Stopped
			}
			n++
		}
		if got[i] != want {
			h.fail("the answer to a renewal of %s by %s is %d, want %d", m.Ref, worker, got[i], want)
		}
	}
	return n
}

func (h *history) renew() int {
	worker, _ := pick(h, workers)
	some := append(slices.Clone(h.hands[worker]), h.lost[worker]...)
	return h.renewOf(worker, some[:min(len(some), 30)])
}

// strays: a worker does not know of some that it was handed; they are taken back.
func (h *history) strays() int {
	worker, _ := pick(h, workers)
	leaving := h.rng.IntN(3) == 0
	var known, forgotten []hand
	for _, m := range h.hands[worker] {
		if !leaving && h.rng.IntN(2) == 0 {
			known = append(known, m)
		} else {
			forgotten = append(forgotten, m)
		}
	}
	forget := map[string]bool{}
	for _, m := range forgotten {
		forget[m.member()] = true
	}
	if !leaving {
		now, err := h.c.Time(h.ctx).Result()
		h.must(err)
		h.set("w:"+worker, float64(now.UnixMilli()+1000), func(member string) bool { return forget[member] })
	}
	h.renewOf(worker, known)
	got, err := h.store().Strays(h.ctx, worker, leaving)
	h.must(err)
	if leaving {
		h.must(h.store().Leave(h.ctx, worker))
	}
	named := map[string]bool{}
	for _, m := range known {
		named[m.String()] = true
	}
	found := map[string]bool{}
	groups := map[*distribution][]store.End{}
	for _, r := range got {
		if named[r.String()] {
			h.fail("%s is a stray, though %s prolonged it just now", r, worker)
		}
		found[r.String()] = true
		d := h.byID[r.Distribution]
		if d == nil {
			continue
		}
		groups[d] = append(groups[d], store.End{Ref: r, Worker: worker, Outcome: plan.HandedBack(d.Steps[model.Ref{Unit: r.Unit, Step: r.Step}].Def, plan.Tally{})})
	}
	for _, m := range forgotten {
		if !h.disturbed && m.d.Holds(m.ref(), m.Attempt, worker) && !found[m.String()] {
			h.fail("%s was forgotten by %s and is no stray", m.Ref, worker)
		}
	}
	n := 0
	for _, d := range h.dists {
		if len(groups[d]) > 0 {
			n += h.settle(d, groups[d])
		}
	}
	h.hands[worker] = known
	h.lost[worker] = append(h.lost[worker], forgotten...)
	return n
}

func (m hand) member() string { return m.Distribution + "/" + m.Unit.String() + "/" + m.Step }

// die: a worker dies with all that it has.
func (h *history) die() int {
	worker, _ := pick(h, workers)
	n := len(h.hands[worker])
	h.say("%s dies", worker)
	h.lost[worker] = append(h.lost[worker], h.hands[worker]...)
	h.hands[worker] = nil
	return min(n, 1)
}

// timeOut lets leases run out, of one worker or of all.
func (h *history) timeOut() int {
	worker, _ := pick(h, workers)
	h.say("the leases of %s run out", worker)
	dead := map[string]bool{}
	for _, m := range h.lost[worker] {
		dead[m.member()] = true
	}
	all := h.rng.IntN(3) == 0 // it hangs, and will report too late
	h.age("w:"+worker, func(member string) bool { return all || dead[member] })
	return h.tick()
}

// due lets retries come due.
func (h *history) due() int {
	h.say("retries are due")
	h.age("later", func(string) bool { return h.calm || h.rng.IntN(3) > 0 })
	return h.tick()
}

// tick does what an orchestrator does ten times a second.
func (h *history) tick() int {
	due, lost, err := h.store().Due(h.ctx)
	h.must(err)
	n := 0
	byDist := map[string][]store.Due{}
	for _, d := range due {
		byDist[d.Distribution] = append(byDist[d.Distribution], d)
	}
	for _, id := range slices.Sorted(maps.Keys(byDist)) {
		d := h.byID[id]
		if d == nil {
			continue
		}
		h.say("promote %d of %s", len(byDist[id]), id)
		h.must(h.store().Promote(h.ctx, d.graph, d.Production, id, byDist[id]))
		h.touched[d] = true
		var refs []model.Ref
		for _, due := range byDist[id] {
			r := model.Ref{Unit: due.Unit, Step: due.Step}
			if d.Steps[r].State == plan.Retrying {
				n++
			}
			refs = append(refs, r)
		}
		d.Promote(refs...)
	}
	ends := map[string][]store.End{}
	for _, l := range lost {
		d := h.byID[l.Distribution]
		if d == nil {
			continue
		}
		s := d.Steps[model.Ref{Unit: l.Unit, Step: l.Step}]
		if s.State == plan.Running && (l.Tally != s.Tally || l.Checkpoint != s.Checkpoint && l.Checkpoint != "@") {
			h.fail("%s is lost with %v and checkpoint %q, want %v and %q", l.Ref, l.Tally, l.Checkpoint, s.Tally, s.Checkpoint)
		}
		policy := []plan.OnUncertain{plan.Hold, plan.Resend}[h.rng.IntN(2)]
		ends[l.Distribution] = append(ends[l.Distribution], store.End{Ref: l.Ref, Worker: l.Worker,
			Outcome: plan.Lost(s.Def, l.Tally, l.Checkpoint, policy), Document: document(model.Ref{Unit: l.Unit, Step: l.Step}, s.Def)})
	}
	for _, id := range slices.Sorted(maps.Keys(ends)) {
		n += h.settle(h.byID[id], ends[id])
	}
	return n
}

func (h *history) cancel() int {
	d, ok := pick(h, h.dists)
	if !ok || h.rng.IntN(3) > 0 {
		return 0
	}
	err := h.store().Cancel(h.ctx, d.Production, d.ID, "somebody")
	h.say("cancel %s: %v", d.ID, err)
	h.touched[d] = true
	switch {
	case h.byID[d.ID] == nil:
		if !errors.Is(err, store.ErrNotFound) {
			h.fail("cancelling what is gone: %v", err)
		}
		return 0
	case d.State.Final() && !d.Cancelled:
		if !errors.Is(err, store.ErrEnded) {
			h.fail("cancelling what has ended: %v", err)
		}
		return 0
	}
	h.must(err)
	was := d.Cancelled
	d.Cancelled = true
	if was {
		return 0
	}
	return 1
}

func (h *history) pause() int {
	d, ok := pick(h, h.dists)
	if !ok {
		return 0
	}
	return h.pauseTo(d, !d.Paused)
}

func (h *history) pauseTo(d *distribution, on bool) int {
	err := h.store().Pause(h.ctx, d.Production, d.ID, "somebody", on)
	h.say("pause %s %v: %v", d.ID, on, err)
	h.touched[d] = true
	switch {
	case h.byID[d.ID] == nil:
		if !errors.Is(err, store.ErrNotFound) {
			h.fail("pausing what is gone: %v", err)
		}
		return 0
	case d.State.Final():
		if !errors.Is(err, store.ErrEnded) {
			h.fail("pausing what has ended: %v", err)
		}
		return 0
	}
	h.must(err)
	changed := d.Paused != on
	d.Paused = on
	if d.State != plan.Accepted {
		d.State = plan.InProgress
		if on {
			d.State = plan.Paused
			d.loose = true
		}
	}
	if changed {
		return 1
	}
	return 0
}

// hold pauses or resumes a production, a function, or one in the other.
func (h *history) hold() int {
	production, _ := pick(h, productions)
	fn, _ := pick(h, functions)
	what := ""
	switch h.rng.IntN(3) {
	case 0:
		what, production = "f "+fn, ""
	case 1:
		what, fn = "p "+production, ""
	case 2:
		what = "b " + fn + " " + production
	}
	on := !h.paused[what]
	if on && len(h.paused) > 2 {
		return 0
	}
	h.say("hold %q %v", what, on)
	h.must(h.store().Hold(h.ctx, production, fn, on))
	if on {
		h.paused[what] = true
	} else {
		delete(h.paused, what)
	}
	return 1
}

func (h *history) limit() int {
	production, _ := pick(h, productions)
	name, _ := pick(h, ownLimits)
	if h.rng.IntN(3) == 0 {
		production = ""
		name, _ = pick(h, studioLimits)
	}
	if h.disturbed && strings.HasPrefix(name, "f.") {
		return 0 // who runs a function's steps, to be counted from now on, is known by their leases
	}
	most, set := h.limits[production+"/"+name]
	if set && h.rng.IntN(3) == 0 {
		h.say("delete limit %q of %q", name, production)
		h.must(h.store().DeleteLimit(h.ctx, production, name))
		delete(h.limits, production+"/"+name)
		return 1
	}
	next := h.rng.IntN(4)
	h.setLimit(production, name, next)
	if set && most == next {
		return 0
	}
	return 1
}

func (h *history) setLimit(production, name string, most int) {
	var adopt []store.Ref
	if production != "" {
		running, err := h.store().Held(h.ctx, production, "")
		h.must(err)
		for _, r := range running {
			d := h.byID[r.Distribution]
			if d != nil && d.Steps[model.Ref{Unit: r.Unit, Step: r.Step}].Def.Function == name {
				adopt = append(adopt, r)
			}
		}
	}
	h.say("limit %q of %q to %d, adopting %d", name, production, most, len(adopt))
	h.must(h.store().SetLimit(h.ctx, production, store.Limit{Name: name, Concurrency: most}, adopt))
	h.limits[production+"/"+name] = most
}

// gather: the time has come to look at limits again.
func (h *history) gather() int {
	h.say("gather")
	before := h.aside()
	h.age("gt", nil)
	h.must(h.store().Gather(h.ctx))
	return max(0, before-h.aside())
}

// aside is how many steps are put aside with limits.
func (h *history) aside() int {
	n := 0
	for _, key := range h.find(":gw:") {
		c, err := h.c.ZCard(h.ctx, key).Result()
		h.must(err)
		n += int(c)
	}
	return n
}

func (h *history) find(part string) []string {
	var out []string
	for n := range h.shards {
		keys, err := h.c.Keys(h.ctx, fmt.Sprintf("{%d}%s*", n, part)).Result()
		h.must(err)
		out = append(out, keys...)
	}
	return out
}

func (h *history) occupy() int {
	worker, _ := pick(h, workers)
	m, ok := pick(h, append(slices.Clone(h.hands[worker]), h.lost[worker]...))
	if !ok {
		return 0
	}
	o := store.Occupied{Ref: m.Ref, Production: m.d.Production, Limit: []string{"db", "studio/relay", "cpu"}[h.rng.IntN(3)],
		Key: fmt.Sprint(h.rng.IntN(2)), Slots: 1 + h.rng.IntN(2)}
	name := h.nameOf(o)
	id := name + " " + o.String() + " " + o.Key
	had, has := h.slots[id]
	if has {
		o.Slots = had.o.Slots
	}
	v, err := h.store().Occupy(h.ctx, worker, o)
	h.must(err)
	h.say("%s occupies %d of %s: %d", o.Ref, o.Slots, name, v)
	holds := h.byID[m.d.ID] != nil && m.d.Holds(m.ref(), m.Attempt, worker)
	if (v == store.Fenced) != !holds {
		h.fail("the answer to occupying %s by %s is %d, and it is its task: %v", name, m.Ref, v, holds)
	}
	if v != store.OK || has {
		return 0
	}
	n, most := h.holders(name), h.limits[name]
	if most > 0 && n+o.Slots > most {
		h.fail("%d slots of %s were given while %d have a place, and it allows %d", o.Slots, name, n, most)
	}
	h.slots[id] = slot{o: o, d: m.d, worker: worker}
	return 1
}

func (h *history) vacate() int {
	ids := slices.Sorted(maps.Keys(h.slots))
	id, ok := pick(h, ids)
	if !ok {
		return 0
	}
	h.say("vacate %s", id)
	h.must(h.store().Vacate(h.ctx, h.slots[id].o))
	delete(h.slots, id)
	return 1
}

// revive: somebody asks for what failed once more, or for one recipient's delivery whatever became of it.
func (h *history) revive() int {
	d, ok := pick(h, h.dists)
	if !ok || h.byID[d.ID] == nil || d.State == plan.Accepted {
		return 0
	}
	st := h.store()
	var files []plan.Unit
	for f := range d.Size.Files {
		files = append(files, plan.Unit{File: f + 1})
	}
	n := 0
	if h.rng.IntN(2) == 0 {
		n += h.reviveSome(d, st, files, 0, func(states []plan.UnitState) []plan.Revival { return plan.ReviveFiles(d.Def, states) })
	}
	r := 1 + h.rng.IntN(d.Size.Recipients)
	units := slices.Clone(files)
	for _, f := range files {
		units = append(units, plan.Unit{File: f.File, Recipient: r})
	}
	units = append(units, plan.Unit{Recipient: r})
	redo := plan.Redo{Delivery: h.rng.IntN(3) == 0}
	redo.Copies = redo.Delivery && h.rng.IntN(2) == 0
	k := d.Size.Files
	return n + h.reviveSome(d, st, units, r, func(s []plan.UnitState) []plan.Revival {
		all := plan.Revive(d.Def, d.Join, redo, s[:k], s[k:2*k], s[2*k])
		if all.Busy {
			return nil // it waits for the end of what is with a worker
		}
		return all.Revivals
	})
}

// ask: somebody's wish begins; it is fulfilled by a chore, and meanwhile steps are revived as if they were of it.
func (h *history) ask() int {
	d, ok := pick(h, h.dists)
	if !ok || h.byID[d.ID] == nil {
		return 0
	}
	id := fmt.Sprintf("wish-%d", h.rng.IntN(3))
	err := h.store().AskAgain(h.ctx, d.Production, d.ID, store.Ask{ID: id, Choice: []byte("{}"), Who: "somebody", Text: "all"})
	h.say("%s of %s: %v", id, d.ID, err)
	h.touched[d] = true
	if d.Cancelled != errors.Is(err, store.ErrCancelled) {
		h.fail("cancelled %v, and asking answers: %v", d.Cancelled, err)
	}
	if d.Cancelled {
		return 0
	}
	h.must(err)
	if d.Asks[id] {
		return 0
	}
	d.Ask(id)
	return 1
}

func (h *history) reviveSome(d *distribution, st *store.Store, units []plan.Unit, recipient int, decide func([]plan.UnitState) []plan.Revival) int {
	records, err := st.Units(h.ctx, d.Production, d.ID, units)
	h.must(err)
	revivals := decide(states(records))
	if len(revivals) == 0 {
		return 0
	}
	var wanted []string
	a := store.Again{Revivals: revivals, Phases: map[plan.Unit]plan.Phase{}, Recipient: recipient, Who: "somebody", Kind: "retry",
		Documents: make([]string, len(revivals)), Keys: make([]string, len(revivals))}
	had := map[plan.Unit]store.UnitRecord{}
	for _, rec := range records {
		had[rec.Unit] = rec
		a.Phases[rec.Unit] = rec.Phase
		if recipient > 0 && rec.Unit == (plan.Unit{Recipient: recipient}) {
			a.Delivery = rec.Delivery
		}
	}
	var text []string
	for i, r := range revivals {
		ref := model.Ref{Unit: r.Unit, Step: r.Step.Name}
		a.Attempts = append(a.Attempts, had[r.Unit].Steps[r.Step.Name].Attempts)
		a.Documents[i] = document(ref, r.Step)
		if r.Step.Exclusive {
			a.Keys[i] = key(ref)
		}
		text = append(text, fmt.Sprintf("%s %s→%s", ref, r.From, r.To))
	}
	if recipient > 0 {
		a.Others = store.Others(d.Def, states(records), plan.Revived{Revivals: revivals})
	}
	if len(d.Asks) > 0 && h.rng.IntN(2) == 0 {
		a.Whole = map[string]int{}
		for _, step := range d.Def.Whole() {
			if h.rng.IntN(2) == 0 {
				a.Whole[step.Name] = d.Steps[model.Ref{Step: step.Name}].Attempt
				wanted = append(wanted, step.Name)
			}
		}
	}
	err = st.Revive(h.ctx, d.graph, d.Production, d.ID, a)
	h.say("revive of %s %s, %s: %v", d.ID, strings.Join(text, ", "), wanted, err)
	h.touched[d] = true
	if d.Cancelled != errors.Is(err, store.ErrCancelled) {
		h.fail("cancelled %v, and reviving answers: %v", d.Cancelled, err)
	}
	if errors.Is(err, store.ErrCancelled) || errors.Is(err, store.ErrChanged) && len(d.Fans) > 0 {
		return 0
	}
	h.must(err)
	d.Revive(revivals, wanted...)
	d.asked = true
	for i := range revivals {
		if a.Documents[i] != "" {
			delete(h.crash, d.Production+" "+a.Documents[i])
		}
	}
	if !slices.ContainsFunc(revivals, func(r plan.Revival) bool { return r.From != r.To }) {
		return 1 // it makes no difference how often that is done
	}
	err = st.Revive(h.ctx, d.graph, d.Production, d.ID, a)
	if !errors.Is(err, store.ErrChanged) {
		h.fail("reviving the same again: %v", err)
	}
	return 1
}

func states(records []store.UnitRecord) []plan.UnitState {
	out := make([]plan.UnitState, len(records))
	for i, rec := range records {
		out[i] = plan.UnitState{Unit: rec.Unit, Phase: rec.Phase, Steps: map[string]plan.State{}, Codes: map[string]string{}, Heard: rec.Heard}
		for name, s := range rec.Steps {
			out[i].Steps[name], out[i].Codes[name] = s.State, s.Code
		}
	}
	return out
}

func (h *history) sweep() int {
	for n := range h.shards {
		h.must(h.c.Del(h.ctx, fmt.Sprintf("{%d}:sweeping", n)).Err())
	}
	put, err := h.store().Sweep(h.ctx, func(_ context.Context, _ string, id string) (*store.Graph, plan.Size, error) {
		d := h.byID[id]
		if d == nil {
			return nil, plan.Size{}, errors.New("there is no " + id)
		}
		return d.graph, d.Size, nil
	})
	h.must(err)
	h.say("sweep: %d", put)
	h.disturbed = false
	for _, d := range h.dists {
		if d.State != plan.Paused {
			d.loose = false
		}
		h.touched[d] = true
	}
	return min(put, 1)
}

// lose deletes every queue, or half of them.
func (h *history) lose() int {
	keep := h.rng.IntN(2) == 0
	var gone []string
	for _, part := range []string{":q:", ":f:", ":w:", ":gw:", ":gt", ":gws", ":a:", ":s:", ":pass", ":workers", ":later", ":chores"} {
		for _, key := range h.find(part) {
			if !keep || h.rng.IntN(2) == 0 {
				gone = append(gone, key)
			}
		}
	}
	h.say("lost: %s", strings.Join(gone, " "))
	for _, key := range gone {
		h.must(h.c.Del(h.ctx, key).Err())
	}
	h.disturbed = true
	return min(len(gone), 1)
}

// forget deletes what has ended; parents are left alone while children run.
func (h *history) forget() int {
	n, err := h.store().Forget(h.ctx, 0, 100)
	h.must(err)
	h.say("forget: %d", n)
	for _, d := range slices.Clone(h.dists) {
		if !d.State.Final() {
			continue
		}
		h.gone(d)
	}
	return min(n, 1)
}

func (h *history) gone(d *distribution) {
	delete(h.byID, d.ID)
	keys, err := h.c.Keys(h.ctx, "*:"+d.ID+"*").Result()
	h.must(err)
	for _, key := range keys {
		h.fail("%s was forgotten, and %s is there", d.ID, key)
	}
	h.must(err)
}

func (h *history) flush() int {
	h.must(h.c.ScriptFlush(h.ctx).Err())
	return 1
}

// age makes scores of sorted sets lie in the past, of the members that which says.
func (h *history) age(name string, which func(member string) bool) { h.set(name, 1, which) }

func (h *history) set(name string, score float64, which func(member string) bool) {
	pipe := h.c.Pipeline()
	keys := make([]string, h.shards)
	got := make([]*redis.StringSliceCmd, h.shards)
	for n := range h.shards {
		keys[n] = fmt.Sprintf("{%d}:%s", n, name)
		got[n] = pipe.ZRange(h.ctx, keys[n], 0, -1)
	}
	_, err := pipe.Exec(h.ctx)
	h.must(err)
	for n, key := range keys {
		var some []redis.Z
		for _, m := range got[n].Val() {
			if which == nil || which(m) {
				some = append(some, redis.Z{Score: score, Member: m})
			}
		}
		if len(some) > 0 {
			h.must(h.c.ZAddXX(h.ctx, key, some...).Err())
		}
	}
}

// quiet lets work go on undisturbed until all has ended, and fails if it does not.
func (h *history) quiet() {
	h.say("from now on nothing disturbs")
	h.calm = true
	for _, what := range slices.Sorted(maps.Keys(h.paused)) {
		f := strings.Fields(what)
		switch f[0] {
		case "f":
			h.must(h.store().Hold(h.ctx, "", f[1], false))
		case "p":
			h.must(h.store().Hold(h.ctx, f[1], "", false))
		default:
			h.must(h.store().Hold(h.ctx, f[2], f[1], false))
		}
	}
	clear(h.paused)
	for _, d := range h.dists {
		if d.Paused && !d.State.Final() && h.byID[d.ID] != nil {
			h.pauseTo(d, false)
		}
	}
	for _, w := range workers {
		h.lost[w] = append(h.lost[w], h.hands[w]...)
		h.hands[w] = nil
	}
	if h.disturbed {
		h.sweep()
	}
	h.check()
	for range 500 {
		open := 0
		for _, d := range h.dists {
			if !d.State.Final() {
				open++
			}
		}
		if open == 0 {
			h.over()
			return
		}
		h.chores()
		for _, w := range workers {
			h.age("w:"+w, nil)
		}
		h.expire()
		h.due()
		h.gather()
		for _, w := range workers {
			h.claimAs(w, 20)
			groups := map[*distribution][]hand{}
			for _, m := range h.hands[w] {
				groups[m.d] = append(groups[m.d], m)
			}
			h.hands[w] = nil
			for _, d := range slices.Clone(h.dists) {
				if len(groups[d]) > 0 {
					h.reportAll(w, d, groups[d])
				}
			}
		}
		h.check()
	}
	var open []string
	for _, d := range h.dists {
		if d.State.Final() {
			continue
		}
		for _, r := range d.Refs() {
			if !d.Steps[r].State.Final() {
				open = append(open, fmt.Sprintf("%s/%s %s", d.ID, r, d.Steps[r].State))
			}
		}
	}
	h.fail("nothing disturbs, and it does not come to an end: %s\n%s", strings.Join(open, ", "), h.dump())
}

// dump shows all queues.
func (h *history) dump() string {
	var out []string
	for _, key := range append(h.find(":"), "{limit:relay}:holders", "{limit:drive}:holders") {
		members, err := h.c.ZRangeWithScores(h.ctx, key, 0, -1).Result()
		if err != nil || len(members) == 0 {
			continue // no sorted set
		}
		if strings.Contains(key, ":a:") || strings.Contains(key, ":s:") || strings.Contains(key, ":p:") {
			continue
		}
		out = append(out, fmt.Sprintf("%s %v", key, members))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// expire ends the leases of slots and places whose holders are not there any more.
func (h *history) expire() {
	keys := h.find(":gh:")
	for _, name := range studioLimits {
		keys = append(keys, "{limit:"+name+"}:holders")
	}
	for _, key := range keys {
		got, err := h.c.ZRangeWithScores(h.ctx, key, 0, -1).Result()
		h.must(err)
		for _, z := range got {
			member, _ := z.Member.(string)
			if z.Score < 1e15 && !h.runs(member) {
				h.must(h.c.ZAddXX(h.ctx, key, redis.Z{Score: 1, Member: member}).Err())
			}
		}
	}
	clear(h.slots)
}

// runs reports whether a holder is a step that runs.
func (h *history) runs(holder string) bool {
	f := strings.Split(holder, "/")
	if strings.Contains(holder, "#") || len(f) == 4 {
		return false // a slot, or a place of who was after a step and went without a word
	}
	if len(f) == 5 {
		f = f[1:] // an attempt, in a limit that productions share
	}
	d := h.byID[f[0]]
	u, err := plan.ParseUnit(f[1])
	h.must(err)
	return d != nil && d.Steps[model.Ref{Unit: u, Step: f[2]}].State == plan.Running
}

// over looks whether anything is left when all has ended.
func (h *history) over() {
	for range 2 {
		h.chores()
		h.due()
		h.gather()
		h.claimAs(workers[0], 100)
		h.expire()
	}
	for n := range h.shards {
		for _, name := range []string{"later", "chores", "open"} {
			members, err := h.c.ZRange(h.ctx, fmt.Sprintf("{%d}:%s", n, name), 0, -1).Result()
			h.must(err)
			for _, m := range members {
				h.fail("all has ended, and %s is in %s", m, name)
			}
		}
	}
	for _, key := range h.find(":w:") {
		members, err := h.c.ZRange(h.ctx, key, 0, -1).Result()
		h.must(err)
		h.fail("all has ended, and %v is in %s", members, key)
	}
	h.vacant()
	h.forget()
}

// last is the end of what happened; FILIGREE_HISTORY names a part of the lines to be shown instead.
func (h *history) last() []string {
	about := os.Getenv("FILIGREE_HISTORY")
	if about == "" {
		return h.log[max(0, len(h.log)-25):]
	}
	var out []string
	for i, line := range h.log {
		if strings.Contains(line, about) {
			out = append(out, fmt.Sprintf("%d %s", i, line))
		}
	}
	return out
}
