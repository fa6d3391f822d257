package store

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

func scored(member string) redis.Z { return redis.Z{Score: 0, Member: member} }

// Graph is what settle.lua needs to know of a definition under a distribution's policy.
type Graph struct {
	json []byte
	plan *plan.Definition
}

type luaGraph struct {
	Steps   map[string]luaStep `json:"steps"`
	Good    []plan.Delivery    `json:"good"`
	Rank    map[plan.Phase]int `json:"rank"`
	Endings map[string]string  `json:"endings"`
}

type luaStep struct {
	Scope    plan.Scope `json:"scope"`
	Queue    string     `json:"queue"`
	Deps     []string   `json:"deps"`
	Optional bool       `json:"optional"`
	Delivers bool       `json:"delivers"`
	Held     bool       `json:"held"`
	Join     plan.Join  `json:"join"`
}

// NewGraph makes the graph of d; join is what the delivering step does when something it needs has failed.
func NewGraph(d *plan.Definition, join plan.Join) (*Graph, error) {
	g := luaGraph{Steps: map[string]luaStep{}, Good: plan.Reached, Rank: map[plan.Phase]int{}, Endings: map[string]string{}}
	for i, p := range plan.Phases {
		g.Rank[p] = i
	}
	for _, cancelled := range []bool{false, true} {
		for _, good := range []bool{false, true} {
			for _, bad := range []bool{false, true} {
				key := flag(cancelled, "c") + flag(good, "g") + flag(bad, "b")
				g.Endings[key] = string(plan.Ending(cancelled, good, bad))
			}
		}
	}
	for _, st := range d.Steps {
		ls := luaStep{Scope: st.Scope, Queue: st.Function, Deps: []string{}, Optional: st.Optional,
			Delivers: st.Delivers != "", Held: st.Reaches, Join: plan.JoinAll}
		if st.Scope == plan.ScopeRecipient {
			ls.Join = join
		}
		for _, dep := range d.Dependents(st.Name) {
			ls.Deps = append(ls.Deps, dep.Name)
		}
		g.Steps[st.Name] = ls
	}
	raw, err := json.Marshal(g)
	return &Graph{json: raw, plan: d}, err
}

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
}

type luaOp struct {
	Arrive  bool          `json:"arrive,omitempty"`
	Unit    string        `json:"u"`
	Step    string        `json:"s"`
	From    []plan.State  `json:"from,omitempty"`
	To      plan.State    `json:"to,omitempty"`
	Attempt int           `json:"a"`
	Worker  string        `json:"w"`
	Outcome string        `json:"o"`
	Code    string        `json:"code"`
	Message string        `json:"msg"`
	Output  string        `json:"out"`
	Due     int64         `json:"due"`
	Deliver plan.Delivery `json:"dv"`
	Dup     bool          `json:"dup,omitempty"`
	Keep    bool          `json:"keep,omitempty"`
	Tally   []int         `json:"tally,omitempty"`
	Event   bool          `json:"ev,omitempty"`
	Alt     *luaAlt       `json:"alt,omitempty"`
}

// luaAlt replaces what a putting-back does when the distribution was cancelled meanwhile.
type luaAlt struct {
	To      plan.State    `json:"to"`
	Outcome string        `json:"o"`
	Deliver plan.Delivery `json:"dv"`
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
	op := luaOp{
		Unit: e.Unit.String(), Step: e.Step, From: []plan.State{plan.Running}, To: o.To, Attempt: e.Attempt, Worker: e.Worker,
		Outcome: outcomeOf(o.To), Code: o.Code, Message: o.Message, Output: e.Output, Due: o.Wait.Milliseconds(),
		Deliver: o.Delivery, Dup: o.MaybeSent, Keep: o.KeepCheckpoint, Event: o.Event,
	}
	if o.Code != "" {
		op.Tally = []int{o.Tally.Errors, o.Tally.Crashes, o.Tally.Throttles}
	}
	if !o.To.Final() {
		op.Alt = &luaAlt{To: plan.Cancelled, Outcome: outcomeOf(plan.Cancelled), Deliver: plan.Withdrawn}
		if o.MaybeSent {
			op.Alt = &luaAlt{To: plan.Failed, Outcome: outcomeOf(plan.Failed), Deliver: plan.Uncertain}
		}
	}
	return op
}

// Settle ends or puts back attempts of one distribution (at most 100) and moves what waits for them. The verdicts are in
// the order of ends: OK (also for a repeat) or Fenced. ended is the state the distribution ended in by this, or empty.
func (s *Store) Settle(ctx context.Context, g *Graph, production, id string, ends []End) (verdicts []Verdict, ended string, err error) {
	ops := make([]luaOp, len(ends))
	for i, e := range ends {
		ops[i] = e.op()
	}
	got, err := s.settle(ctx, g, s.shardOf(production), id, ops, Chore{}, "")
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
	return verdicts, got.ended, nil
}

// Promote makes retries whose time has come ready again.
func (s *Store) Promote(ctx context.Context, g *Graph, production, id string, due []Due) error {
	ops := make([]luaOp, len(due))
	for i, d := range due {
		ops[i] = luaOp{Unit: d.Unit.String(), Step: d.Step, From: []plan.State{plan.Retrying}, To: plan.Ready, Keep: true,
			Alt: &luaAlt{To: plan.Cancelled, Outcome: outcomeOf(plan.Cancelled), Deliver: plan.Withdrawn}}
	}
	_, err := s.settle(ctx, g, s.shardOf(production), id, ops, Chore{}, "")
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
			ops = append(ops, luaOp{Arrive: true, Unit: plan.Unit{File: c.Unit.File, Recipient: r}.String(), Step: dep,
				Outcome: parts[1], Code: parts[2]})
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
			op := luaOp{Unit: u.String(), Step: st.Name, To: plan.Cancelled, Outcome: outcomeOf(plan.Cancelled), Code: "CANCELLED",
				From: []plan.State{plan.Pending, plan.Ready, plan.Retrying}}
			if st.Delivers != "" {
				op.Deliver = plan.Withdrawn
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
	got, err := s.settle(ctx, g, c.shard, c.Distribution, ops, c, next)
	if err == nil && !got.mine {
		return ErrTaken
	}
	return err
}

// settle runs settle.lua; with a chore, only if the chore's cursor is still where the caller read it.
func (s *Store) settle(ctx context.Context, g *Graph, sh shard, id string, ops []luaOp, c Chore, next string) (settled, error) {
	if ops == nil {
		ops = []luaOp{}
	}
	raw, err := json.Marshal(ops)
	if err != nil {
		return settled{}, err
	}
	return settleScript.run(ctx, s.c, []string{
		sh.dist(id), sh.events(id), sh.changed(), sh.leases(), sh.later(), sh.chores(), sh.open(),
	}, id, g.json, raw, c.name, c.Cursor, next)
}
