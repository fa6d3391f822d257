package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Again is what of a distribution is to run again.
type Again struct {
	Revivals []plan.Revival
	// Attempts is how many attempts each revived step had when the caller looked, in the order of Revivals.
	Attempts []int
	// Phases is the phase that each item had whose steps are revived.
	Phases map[plan.Unit]plan.Phase
	// Others are the steps of the same units that are not revived, and those of files, with the state that they had when the
	// caller looked. One that has ended since has told those that waited for it already, and would tell nobody again; one that
	// had ended and runs again will tell.
	Others []Other
	// Recipient is whose it is, 0 for files; Delivery the state that their delivery had, if it is among the revived.
	Recipient int
	Delivery  plan.Delivery
	// Data replaces the recipient's, if it is not nil.
	Data *Recipient
	// Whole are steps of the whole distribution that are asked for themselves, with how many attempts they had. They run again
	// if they were given up. Whatever else is asked for, those that need it are looked after.
	Whole map[string]int
	// Keys are the exclusive keys of revived steps that have one, Documents what they are about (see End.Document), both in
	// the order of Revivals; nil when there are none.
	Keys, Documents []string
	// Who asked, and the kind of the event that says so.
	Who, Kind string
	// Chore is the retry that this is part of, and Next its cursor once this is done; a zero Chore for none.
	Chore Chore
	Next  string
}

// Other is a step beside those that are revived.
type Other struct {
	plan.StepOf
	State plan.State
	// Optional: it fails no item.
	Optional bool
	// Idle: it must not have been handed out.
	Idle bool
}

// Others are the steps of units that are not among those revived.
func Others(d *plan.Definition, units []plan.UnitState, revived plan.Revived) []Other {
	mine, idle := map[plan.StepOf]bool{}, map[plan.StepOf]bool{}
	for _, r := range revived.Revivals {
		mine[plan.StepOf{Unit: r.Unit, Step: r.Step.Name}] = true
	}
	for _, st := range revived.Idle {
		idle[st] = true
	}
	var out []Other
	for _, u := range units {
		for name, state := range u.Steps {
			st := plan.StepOf{Unit: u.Unit, Step: name}
			step, known := d.Step(name)
			if known && !mine[st] {
				out = append(out, Other{StepOf: st, State: state, Optional: step.Optional, Idle: idle[st]})
			}
		}
	}
	return out
}

// luaOthers are steps that must be in one of the states of their kind still.
type luaOthers struct {
	Steps [][3]string             `json:"steps"`
	Kinds map[string][]plan.State `json:"kinds"`
}

// kind is what o must still be.
func (o Other) kind() string {
	switch {
	case o.State.Final():
		return "ended"
	case o.Idle:
		return "idle"
	}
	return "open"
}

func newOthers() luaOthers {
	o := luaOthers{Steps: [][3]string{}, Kinds: map[string][]plan.State{}}
	for _, st := range plan.States {
		kind := "open"
		if st.Final() {
			kind = "ended"
		}
		o.Kinds[kind] = append(o.Kinds[kind], st)
		if kind == "open" && st != plan.Running {
			o.Kinds["idle"] = append(o.Kinds["idle"], st)
		}
	}
	return o
}

type luaRevival struct {
	Unit     string     `json:"u"`
	Step     string     `json:"s"`
	From     plan.State `json:"from"`
	Attempts int        `json:"a"`
	To       plan.State `json:"to"`
	Waits    int        `json:"w"`
	OK       bool       `json:"ok,omitempty"`
	Bad      bool       `json:"bad,omitempty"`
	Hard     bool       `json:"hard,omitempty"`
	Code     string     `json:"code,omitempty"` // of what failed
	Queue    string     `json:"queue"`
	Rank     int64      `json:"rank"`
	Key      string     `json:"key,omitempty"`
	Document string     `json:"doc,omitempty"`
	Open     bool       `json:"open,omitempty"` // it has not ended
	Keep     bool       `json:"keep,omitempty"` // the checkpoint tells that a message may be out
	Held     bool       `json:"held,omitempty"`
	Starts   bool       `json:"starts,omitempty"`
	Heard    []string   `json:"heard,omitempty"`
	Unheard  []string   `json:"unheard,omitempty"`
}

// luaWhole is what revive.lua needs to know of the steps of the whole distribution.
type luaWhole struct {
	Steps []luaJoin    `json:"steps"`
	Waits []plan.State `json:"waits"`
	Given []plan.State `json:"given"`
	Ended []plan.State `json:"ended"`
	Open  []plan.State `json:"open"`
}

type luaJoin struct {
	Step   string    `json:"s"`
	Queue  string    `json:"queue"`
	Rank   int64     `json:"rank"`
	Held   bool      `json:"held,omitempty"`
	Starts bool      `json:"starts,omitempty"`
	Needs  []luaNeed `json:"needs"`
	Wanted *int      `json:"wanted,omitempty"`
}

type luaNeed struct {
	Step     string `json:"s"`
	Optional bool   `json:"optional,omitempty"`
}

// whole describes the steps of the whole distribution, of which wanted are asked for themselves.
func (g *Graph) whole(wanted map[string]int) luaWhole {
	w := luaWhole{Steps: []luaJoin{}, Waits: plan.WaitsAgain, Given: plan.GivenUp}
	for _, st := range plan.States {
		if st.Final() {
			w.Ended = append(w.Ended, st)
		} else {
			w.Open = append(w.Open, st)
		}
	}
	for _, st := range g.plan.Whole() {
		j := luaJoin{Step: st.Name, Queue: st.Function, Rank: g.rank(st), Held: st.Reaches, Starts: st.Starts, Needs: []luaNeed{}}
		for _, name := range st.Needs {
			need, _ := g.plan.Step(name)
			j.Needs = append(j.Needs, luaNeed{name, need.Optional})
		}
		attempts, ok := wanted[st.Name]
		if ok {
			j.Wanted = &attempts
		}
		w.Steps = append(w.Steps, j)
	}
	return w
}

type luaItem struct {
	Unit  string     `json:"u"`
	Phase plan.Phase `json:"p"`
	Open  int        `json:"o"`
	Worst plan.Phase `json:"z,omitempty"`
}

// phaseOf is what an item's step that has ended makes of its item.
func phaseOf(s plan.State, optional bool) plan.Phase {
	switch {
	case s == plan.Skipped:
		return plan.PhaseSkipped
	case s == plan.Done || optional:
		return plan.PhaseMade
	}
	return plan.PhaseFailed
}

// Revive makes steps run again, all of a or none of it. ErrChanged: somebody was faster; look again. ErrCancelled: a
// cancelled distribution stays cancelled. ErrTaken: somebody else goes on with the chore.
func (s *Store) Revive(ctx context.Context, g *Graph, production, id string, a Again) error {
	steps := []luaRevival{}
	items := []luaItem{}
	queued := []string{}
	at := map[plan.Unit]int{} // where each item stands in items
	for i, r := range a.Revivals {
		steps = append(steps, luaRevival{Unit: r.Unit.String(), Step: r.Step.Name, From: r.From, Attempts: a.Attempts[i], To: r.To,
			Waits: r.Waits, OK: r.AnyOK, Bad: r.AnyBad, Hard: r.AnyHard, Code: r.Code, Queue: r.Step.Function, Rank: g.rank(r.Step),
			Open: !r.From.Final(), Keep: r.From == plan.Retrying && r.Step.Delivers != "", Held: r.Step.Reaches,
			Starts: r.Step.Starts && r.From.Final(), Heard: r.Heard, Unheard: r.Unheard})
		if a.Keys != nil && a.Keys[i] != "" {
			steps[i].Key = hashed(a.Keys[i])
		}
		if a.Documents != nil {
			steps[i].Document = a.Documents[i]
		}
		if r.Step.Delivers != "" {
			queued = []string{r.Unit.String(), string(a.Delivery)}
		}
		if r.Scope() != plan.ScopeItem {
			continue
		}
		n, ok := at[r.Unit]
		if !ok {
			n = len(items)
			at[r.Unit] = n
			items = append(items, luaItem{Unit: r.Unit.String(), Phase: a.Phases[r.Unit]})
		}
		items[n].Open++
	}
	others := newOthers()
	for _, o := range a.Others {
		others.Steps = append(others.Steps, [3]string{o.Unit.String(), o.Step, o.kind()})
		n, ours := at[o.Unit]
		switch {
		case !ours:
		case !o.State.Final():
			items[n].Open++
		default:
			phase := phaseOf(o.State, o.Optional)
			if slices.Index(plan.Phases, phase) > slices.Index(plan.Phases, items[n].Worst) {
				items[n].Worst = phase
			}
		}
	}
	othersJSON, err5 := json.Marshal(others)
	stepsJSON, err1 := json.Marshal(steps)
	itemsJSON, err2 := json.Marshal(items)
	queuedJSON, err3 := json.Marshal(queued)
	number, data := "", []byte{}
	var err4 error
	if a.Data != nil {
		number = strconv.Itoa(a.Recipient)
		data, err4 = json.Marshal(a.Data)
	}
	wholeJSON, err6 := json.Marshal(g.whole(a.Whole))
	for _, err := range []error{err1, err2, err3, err4, err5, err6} {
		if err != nil {
			return err
		}
	}
	sh := s.shardOf(production)
	about := plan.Unit{Recipient: a.Recipient}
	if len(a.Revivals) > 0 {
		about = a.Revivals[0].Unit
	}
	args := []any{id, stepsJSON, itemsJSON, queuedJSON, number, data, a.Who, a.Kind, othersJSON, about.String(), a.Chore.name, a.Chore.Cursor, a.Next, wholeJSON}
	for _, st := range plan.DistributionStates {
		if st.Final() {
			args = append(args, string(st))
		}
	}
	code, err := reviveScript.run(ctx, s.c, []string{sh.dist(id), sh.events(id), sh.changed(), sh.open(), sh.recipients(id),
		sh.passes(), sh.ended(), sh.crashes(production), sh.later(), sh.asks(id)}, args...)
	switch {
	case err != nil:
		return err
	case code == 0:
		return ErrChanged
	case code == 2:
		return ErrCancelled
	case code == 3:
		return ErrTaken
	}
	return nil
}

// Ask is a person's wish that a distribution's steps run again, or that what fails is given up.
type Ask struct {
	// Leaves: it is given up, and Kind is that of the event; else it runs again.
	Leaves bool
	Kind   string
	// ID is the same for the same wish; while that is being fulfilled it is not begun anew.
	ID string
	// Choice is kept until it is fulfilled; the store does not look into it.
	Choice []byte
	// Who asked, and what for, for the event.
	Who, Text string
}

// AskAgain begins the chore that fulfils a. Until that has come to its end the distribution does not end. ErrCancelled,
// ErrNotFound.
func (s *Store) AskAgain(ctx context.Context, production, id string, a Ask) error {
	sh := s.shardOf(production)
	chore, kind := retryChore(id, a.ID), "retry_requested"
	if a.Leaves {
		chore, kind = leaveChore(id, a.ID), a.Kind
	}
	args := []any{id, chore, production, a.ID, a.Choice, a.Who, a.Text, FirstCursor, kind}
	for _, st := range plan.DistributionStates {
		if st.Final() {
			args = append(args, string(st))
		}
	}
	code, err := askScript.run(ctx, s.c, []string{sh.dist(id), sh.events(id), sh.chores(), sh.changed(), sh.asks(id), sh.open(), sh.ended()}, args...)
	switch {
	case err != nil:
		return err
	case code == 3:
		return ErrCancelled
	case code == 4:
		return ErrNotFound
	}
	return nil
}

// FirstCursor is where a retry begins.
const FirstCursor = "-"

// Choice is what an Ask was given as Choice. ErrTaken: somebody else has fulfilled it.
func (s *Store) Choice(ctx context.Context, c Chore) ([]byte, error) {
	raw, err := s.c.HGet(ctx, c.shard.asks(c.Distribution), c.Ask).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, ErrTaken
	}
	if err != nil {
		return nil, fmt.Errorf("read choice: %w", err)
	}
	return raw, nil
}

// Proceed moves the cursor of a retry; with next empty it is fulfilled, and the distribution ends if nothing else is open.
func (s *Store) Proceed(ctx context.Context, c Chore, g *Graph, next string) (ended string, err error) {
	got, err := s.settle(ctx, g, c.Production, c.Distribution, nil, c, next)
	if err == nil && !got.mine {
		return "", ErrTaken
	}
	return got.ended, err
}

// PutBack lets anybody go on with a chore after a while, before its hold is over.
func (s *Store) PutBack(ctx context.Context, c Chore, after time.Duration) error {
	now, err := s.c.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("put chore back: %w", err)
	}
	err = s.c.ZAddXX(ctx, c.shard.chores(), redis.Z{Score: float64(now.Add(after).UnixMilli()), Member: c.name}).Err()
	if err != nil {
		return fmt.Errorf("put chore back: %w", err)
	}
	return nil
}
