package store

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

func scored(member string) redis.Z { return redis.Z{Score: 0, Member: member} }

// Graph is what settle.lua needs to know of a definition under a distribution's policy.
type Graph struct {
	json  []byte
	plan  *plan.Definition
	rules Rules
}

type luaGraph struct {
	Steps    map[string]luaStep `json:"steps"`
	Good     []plan.Delivery    `json:"good"`
	Bad      []plan.Delivery    `json:"bad"`
	Rank     map[plan.Phase]int `json:"rank"`
	Endings  map[string]string  `json:"endings"`
	Tolerate int                `json:"tolerate"`
	Cancel   string             `json:"cancel"`
	From     []plan.State       `json:"from"`
	// People is how many recipients there are when they are few, else 0.
	People int `json:"people"`
}

type luaStep struct {
	Scope    plan.Scope `json:"scope"`
	Queue    string     `json:"queue"`
	Rank     int64      `json:"rank"`
	Limits   []string   `json:"limits"`
	Deps     []string   `json:"deps"`
	Optional bool       `json:"optional"`
	Delivers bool       `json:"delivers"`
	Held     bool       `json:"held"`
	Join     plan.Join  `json:"join"`
	// Alone: it waits for one step, of its own unit, and for no wish that something runs again.
	Alone     bool `json:"alone,omitempty"`
	Exclusive bool `json:"exclusive,omitempty"`
	// Shared: it needs limits that productions share.
	Shared bool `json:"shared,omitempty"`
	// Heard are the steps of its file that an item's step needs, if it needs more than one step: so that it counts the end of
	// each once, also of one that was asked for again.
	Heard []string `json:"heard"`
}

// Rules is what a distribution adds to its definition.
type Rules struct {
	// Join is what a recipient's steps do when something they need has failed.
	Join plan.Join
	// Priority is the distribution's.
	Priority int
	// Recipients is how many there are, if a file's items may be told of its end in the same script when they are few.
	Recipients int
	// Tolerate is how many items may fail before the rest is cancelled; nil: any number.
	Tolerate *int
}

// NewGraph makes the graph of d for the distribution id.
func NewGraph(d *plan.Definition, id string, r Rules) (*Graph, error) {
	g := luaGraph{Steps: map[string]luaStep{}, Good: plan.Reached, Bad: []plan.Delivery{}, Rank: map[plan.Phase]int{},
		Endings: map[string]string{}, Tolerate: -1, Cancel: cancelChore(id), From: []plan.State{plan.Running}}
	if r.Recipients*len(d.Steps) <= slice {
		g.People = r.Recipients
	}
	if r.Tolerate != nil {
		g.Tolerate = *r.Tolerate
	}
	for _, v := range plan.Deliveries {
		if plan.Item(plan.PhaseMade, v) == plan.ItemFailed {
			g.Bad = append(g.Bad, v)
		}
	}
	for i, p := range plan.Phases {
		g.Rank[p] = i
	}
	for _, stop := range []plan.Stop{plan.NotStopped, plan.ByPerson, plan.ByFailures} {
		for _, good := range []bool{false, true} {
			for _, bad := range []bool{false, true} {
				key := cmp.Or(string(stop), "-") + flag(good, "g") + flag(bad, "b")
				g.Endings[key] = string(plan.Ending(stop, good, bad))
			}
		}
	}
	for _, st := range d.Steps {
		ls := luaStep{Scope: st.Scope, Queue: st.Function, Rank: plan.Rank(r.Priority, st.Priority), Limits: own(st.Limits),
			Deps: []string{}, Optional: st.Optional, Delivers: st.Delivers != "", Held: st.Reaches, Join: plan.JoinAll,
			Exclusive: st.Exclusive, Shared: len(shared(st.Limits)) > 0, Heard: []string{}}
		ls.Heard = append(ls.Heard, d.Hears(&st)...)
		if len(st.Needs) == 1 {
			need, ok := d.Step(st.Needs[0])
			ls.Alone = ok && need.Scope == st.Scope && st.Scope != plan.ScopeDistribution
		}
		if st.Scope == plan.ScopeRecipient {
			ls.Join = r.Join
		}
		for _, dep := range d.Dependents(st.Name) {
			ls.Deps = append(ls.Deps, dep.Name)
		}
		g.Steps[st.Name] = ls
	}
	raw, err := json.Marshal(g)
	return &Graph{json: raw, plan: d, rules: r}, err
}

// studio is what limits that productions share are called by.
const studio = "studio/"

// own are those of limits that belong to the production.
func own(limits []string) []string {
	out := []string{}
	for _, name := range limits {
		if !strings.HasPrefix(name, studio) {
			out = append(out, name)
		}
	}
	return out
}

// shared are those of limits that productions share.
func shared(limits []string) []string {
	var out []string
	for _, name := range limits {
		if strings.HasPrefix(name, studio) {
			out = append(out, name)
		}
	}
	return out
}

func (g *Graph) rank(st *plan.Step) int64 { return plan.Rank(g.rules.Priority, st.Priority) }

func flag(b bool, s string) string {
	if b {
		return s
	}
	return "-"
}

// End is the end of one attempt, or its putting back.
type End struct {
	Ref
	Worker  string
	Outcome plan.Outcome
	// Output is the function's response as JSON, for Done.
	Output string
	// Figures are what the function gave beside it.
	Figures Figures
	// Document names what the attempt was about and what did it, for what may be killing workers; empty if nothing.
	Document string
}

// luaOp is one operation of settle.lua. Many of a batch differ in no more than its first three fields.
type luaOp struct {
	unit    plan.Unit
	attempt int
	output  string
	figures string
	kind    luaKind
}

type luaKind struct {
	Arrive  bool          `json:"arrive,omitempty"`
	Step    string        `json:"s"`
	From    [3]plan.State `json:"from,omitzero"`
	To      plan.State    `json:"to,omitempty"`
	Worker  string        `json:"w,omitempty"`
	Outcome string        `json:"o,omitempty"`
	Code    string        `json:"code,omitempty"`
	Message string        `json:"msg,omitempty"`
	Due     int64         `json:"due,omitempty"`
	Deliver plan.Delivery `json:"dv,omitempty"`
	Dup     bool          `json:"dup,omitempty"`
	Keep    bool          `json:"keep,omitempty"`
	Tally   [4]int        `json:"tally,omitzero"` // 1, errors, crashes, throttles
	Event   bool          `json:"ev,omitempty"`
	State   string        `json:"cp,omitempty"`
	Doc     string        `json:"doc,omitempty"`
	Crash   bool          `json:"crash,omitempty"`
	Alt     luaAlt        `json:"alt,omitzero"`
	Of      string        `json:"of,omitempty"`
	Told    string        `json:"told,omitempty"`
}

// luaAlt replaces what a putting-back does when the distribution was cancelled meanwhile.
type luaAlt struct {
	To      plan.State    `json:"to"`
	Outcome string        `json:"o"`
	Deliver plan.Delivery `json:"dv"`
}

// operations is the third argument of settle.lua.
func operations(ops []luaOp) ([]byte, error) {
	var kinds []luaKind
	number := map[luaKind]int{}
	list := make([]byte, 0, 24*len(ops))
	for i, op := range ops {
		n := number[op.kind]
		if n == 0 {
			kinds = append(kinds, op.kind)
			n = len(kinds)
			number[op.kind] = n
		}
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, int64(n), 10)
		list = append(list, `,"`...)
		list = append(list, op.unit.String()...)
		list = append(list, `",`...)
		list = strconv.AppendInt(list, int64(op.attempt), 10)
		list = append(list, ',')
		if op.output == "" && op.figures == "" {
			list = append(list, `""`...)
			continue
		}
		told := op.output
		if op.figures != "" {
			told += "\n" + op.figures // neither has a line's end in it, being JSON without white space
		}
		raw, err := json.Marshal(told)
		if err != nil {
			return nil, err
		}
		list = append(list, raw...)
	}
	raw, err := json.Marshal(kinds)
	if err != nil || len(kinds) == 0 {
		return []byte(`{"kinds":[],"list":[]}`), err
	}
	return slices.Concat([]byte(`{"kinds":`), raw, []byte(`,"list":[`), list, []byte(`]}`)), nil
}

// outcomeOf is the word for a final state that goes to whatever waits for the step; empty for other states.
func outcomeOf(s plan.State) string {
	switch s {
	case plan.Done, plan.Skipped:
		return "ok"
	case plan.Failed:
		return "bad"
	case plan.Cancelled:
		return "cancelled"
	}
	return ""
}

func (e End) op() luaOp {
	o := e.Outcome
	k := luaKind{
		Step: e.Step, To: o.To, Worker: e.Worker, Outcome: outcomeOf(o.To), Code: o.Code, Message: o.Message,
		Due: o.Wait.Milliseconds(), Deliver: o.Delivery, Dup: o.MaybeSent, Keep: o.KeepCheckpoint, Event: o.Event,
		State: o.Checkpoint, Doc: e.Document, Crash: o.Crashed && e.Document != "",
	}
	if o.Code != "" {
		k.Tally = [4]int{1, o.Tally.Errors, o.Tally.Crashes, o.Tally.Throttles}
	}
	if !o.To.Final() {
		k.Alt = withdrawn
		if o.MaybeSent {
			k.Alt = luaAlt{To: plan.Failed, Outcome: outcomeOf(plan.Failed), Deliver: plan.Uncertain}
		}
	}
	return luaOp{unit: e.Unit, attempt: e.Attempt, output: e.Output, figures: e.Figures.text(), kind: k}
}

// withdrawn is what becomes of a cancelled distribution's steps that would be put back.
var withdrawn = luaAlt{To: plan.Cancelled, Outcome: outcomeOf(plan.Cancelled), Deliver: plan.Withdrawn}

// Settle ends or puts back attempts of one distribution (at most 100) and moves what waits for them. The verdicts are in
// the order of ends: OK (also for a repeat) or Fenced. ended is the state the distribution ended in by this, or empty.
func (s *Store) Settle(ctx context.Context, g *Graph, production, id string, ends []End) (verdicts []Verdict, ended string, err error) {
	ops := make([]luaOp, len(ends))
	for i, e := range ends {
		ops[i] = e.op()
	}
	got, err := s.settle(ctx, g, production, id, ops, Chore{}, "")
	if err != nil {
		return nil, "", err
	}
	for _, code := range got.codes {
		v := OK
		if code == 3 {
			v = Fenced
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, got.ended, s.giveBack(ctx, g, ends, got.codes)
}

// Promote makes retries whose time has come ready again.
func (s *Store) Promote(ctx context.Context, g *Graph, production, id string, due []Due) error {
	ops := make([]luaOp, len(due))
	for i, d := range due {
		ops[i] = luaOp{unit: d.Unit, kind: luaKind{Step: d.Step, From: [3]plan.State{plan.Retrying}, To: plan.Ready, Keep: true,
			Alt: withdrawn}}
	}
	_, err := s.settle(ctx, g, production, id, ops, Chore{}, "")
	return err
}

// Fan tells the next slice of a file's items that a step of the file has ended. It returns the cursor after it, empty
// after the last one.
func (s *Store) Fan(ctx context.Context, c Chore, g *Graph, size plan.Size) (next string, err error) {
	parts := strings.SplitN(c.Cursor, ":", 3) // items told so far, outcome, code
	if len(parts) != 3 {
		return "", errShape
	}
	from, err := strconv.Atoi(parts[0])
	if err != nil {
		return "", errShape
	}
	var deps []string
	for _, dep := range g.plan.Dependents(c.Step) {
		if dep.Scope == plan.ScopeItem {
			deps = append(deps, dep.Name)
		}
	}
	to := min(from+max(1, slice/max(1, len(deps))), size.Recipients)
	var ops []luaOp
	for r := from + 1; r <= to; r++ {
		for _, dep := range deps {
			ops = append(ops, luaOp{unit: plan.Unit{File: c.Unit.File, Recipient: r},
				kind: luaKind{Arrive: true, Step: dep, Outcome: parts[1], Code: parts[2], Of: c.Step}})
		}
	}
	if to < size.Recipients {
		next = strconv.Itoa(to) + ":" + parts[1] + ":" + parts[2]
	}
	return next, s.settleChore(ctx, g, ops, c, next)
}

// EndCancelled cancels the steps of the next slice of units that are not with a worker. It returns the cursor after it,
// empty after the last one.
func (s *Store) EndCancelled(ctx context.Context, c Chore, g *Graph, size plan.Size) (next string, err error) {
	from, err := strconv.Atoi(c.Cursor)
	if err != nil {
		return "", errShape
	}
	to := min(from+max(1, slice/len(g.plan.Steps)), size.Units())
	var ops []luaOp
	for n := from; n < to; n++ {
		u := size.UnitAt(n)
		for _, st := range g.plan.Steps {
			if st.Scope != u.Scope() {
				continue
			}
			op := luaOp{unit: u, kind: luaKind{Step: st.Name, To: plan.Cancelled, Outcome: outcomeOf(plan.Cancelled),
				Code: plan.CodeCancelled, From: [3]plan.State(plan.Leaving)}}
			if st.Delivers != "" {
				op.kind.Deliver = plan.Withdrawn
			}
			ops = append(ops, op)
		}
	}
	if to < size.Units() {
		next = strconv.Itoa(to)
	}
	return next, s.settleChore(ctx, g, ops, c, next)
}

func (s *Store) settleChore(ctx context.Context, g *Graph, ops []luaOp, c Chore, next string) error {
	got, err := s.settle(ctx, g, c.Production, c.Distribution, ops, c, next)
	if err == nil && !got.mine {
		return ErrTaken
	}
	return err
}

// settle runs settle.lua; with a chore, only if the chore's cursor is still where the caller read it.
func (s *Store) settle(ctx context.Context, g *Graph, production, id string, ops []luaOp, c Chore, next string) (settled, error) {
	raw, err := operations(ops)
	if err != nil {
		return settled{}, err
	}
	sh := s.shardOf(production)
	got, err := settleScript.run(ctx, s.c, []string{
		sh.dist(id), sh.events(id), sh.changed(), sh.later(), sh.chores(), sh.open(), sh.ended(), sh.passes(), sh.crashes(production),
	}, id, g.json, raw, c.name, c.Cursor, next)
	if err == nil && got.ended != "" && s.OnEnd != nil {
		s.OnEnd(production, id, got.ended)
	}
	return got, err
}
