package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// readsOnly are scripts that change nothing where nothing is to be cleared away.
var readsOnly = map[string]bool{"due": true, "strays": true}

func newRepeated(t *testing.T, st *store.Store, c redis.UniversalClient) *repeated {
	r := &repeated{history: &history{t: t, st: st, c: c, production: "p", id: "D1", size: plan.Size{Files: 1, Recipients: 2}}}
	r.setGraph(store.Rules{})
	return r
}

func (r *repeated) ctx() context.Context { return r.t.Context() }

func (r *repeated) setGraph(rules store.Rules) {
	g, err := store.NewGraph(&definition, r.id, rules)
	r.must(err)
	r.graph = g
}

// create creates a distribution of so many recipients by one key.
func (r *repeated) create(id string, recipients int) error {
	r.size.Recipients = recipients
	n := store.New{ID: id, Production: r.production, Key: "k", Hash: "h", Definition: &definition, Size: r.size, Spec: []byte("{}"),
		Quota: store.Quota{Items: new(recipients), Minute: new(1)}}
	for i := range recipients {
		n.Recipients = append(n.Recipients, store.Recipient{Name: fmt.Sprint(i), Email: fmt.Sprintf("%d@example.com", i)})
	}
	_, err := r.st.Create(r.ctx(), n)
	return err
}

func (r *repeated) claim(n int) {
	got, err := r.st.Claim(r.ctx(), "w", functions, n)
	r.must(err)
	r.claimed = append(r.claimed, got...)
}

// end ends what was claimed last.
func (r *repeated) end(o func(*plan.Step, plan.Tally) plan.Outcome) error {
	c := r.claimed[len(r.claimed)-1]
	step, _ := definition.Step(c.Step)
	v, _, err := r.st.Settle(r.ctx(), r.graph, r.production, r.id, []store.End{{Ref: c.Ref, Worker: "w", Outcome: o(step, plan.Tally{}), Output: `{"a":1}`}})
	if err == nil && v[0] != store.OK {
		return fmt.Errorf("the verdict is %d, want OK", v[0])
	}
	return err
}

func failing(class plan.Class) func(*plan.Step, plan.Tally) plan.Outcome {
	return func(s *plan.Step, t plan.Tally) plan.Outcome {
		return plan.Failing(s, t, plan.Failure{Class: class, Code: "C", Message: "m"}, plan.Hold, 0)
	}
}

// ready creates a distribution and has its first step with the worker.
func (r *repeated) ready() {
	r.must(r.create(r.id, 2))
	r.claim(1)
}

// take takes the chore of a kind.
func (r *repeated) take(kind string) {
	all, err := r.st.Chores(r.ctx())
	r.must(err)
	for _, c := range all {
		if c.Kind == kind {
			r.chore = c
			return
		}
	}
	r.t.Fatalf("there is no chore %q among %v", kind, all)
}

// failed has the distribution end with everything failed.
func (r *repeated) failed() {
	r.ready()
	r.must(r.end(failing(plan.Permanent)))
	for range 20 {
		d, err := r.st.Get(r.ctx(), r.production, r.id)
		r.must(err)
		if d.State.Final() {
			return
		}
		all, err := r.st.Chores(r.ctx())
		r.must(err)
		for _, c := range all {
			_, err = r.st.Fan(r.ctx(), c, r.graph, r.size)
			r.must(err)
		}
		r.claim(1)
		if n := len(r.claimed); n > 1 {
			r.must(r.end(plan.Succeeded))
			r.claimed = r.claimed[:n-1]
		}
	}
	r.t.Fatal("it does not end")
}

// resource puts one that lives, whose breaker opens at the third failure.
func (r *repeated) resource() {
	r.must(r.st.PutResource(r.ctx(), store.Resource{Production: r.production, Limit: store.Limit{Name: "relay", Concurrency: 1, Burst: 1},
		Words: store.Words{Kind: "relay", Create: "relay.Create"}, BreakerFailures: 3, BreakerOpen: time.Minute, Check: "relay.Check"}))
	res, err := r.st.Limit(r.ctx(), r.production, "relay")
	r.must(err)
	r.res = res
}

func (r *repeated) schedule() error {
	return r.st.PutSchedule(r.ctx(), store.Schedule{Production: r.production, Name: "daily", Cron: "* * * * *", Zone: "UTC", Start: []byte("s"), By: "me",
		Next: time.Now().Add(-time.Second)})
}

func (r *repeated) advance(st store.Step) error {
	_, err := r.st.Advance(r.ctx(), r.batch, st)
	return err
}

func (r *repeated) enlist(id string) error {
	_, err := r.st.CreateBatch(r.ctx(), store.Batch{ID: id, Production: r.production, Operation: "retry", Filter: []byte("{}"), By: "me"}, "k", "h")
	return err
}

// late has every lease of the worker be over.
func (r *repeated) late() {
	for _, c := range r.claimed {
		r.must(r.c.ZAdd(r.ctx(), "{0}:w:w", redis.Z{Score: 1, Member: fmt.Sprintf("%s/%s/%s", c.Distribution, c.Unit, c.Step)}).Err())
	}
}

var repeats = []repeat{
	{script: "create", name: "few recipients", before: func(*repeated) {}, call: func(r *repeated, _ int) error { return r.create("D1", 2) }},
	{script: "create", name: "many recipients", before: func(*repeated) {}, call: func(r *repeated, _ int) error { return r.create("D1", 150) }},
	{script: "define", before: func(*repeated) {}, call: func(r *repeated, _ int) error { return r.st.Define(r.ctx(), &definition, "source") }},
	{script: "layout", before: func(r *repeated) {
		r.must(r.create(r.id, 150))
		r.take("layout")
	}, call: func(r *repeated, _ int) error {
		_, err := r.st.Layout(r.ctx(), r.chore, r.graph, r.size, nil)
		return err
	}, again: store.ErrTaken, why: "the slice is written, by the caller as far as anybody knows; the chore goes on from its cursor"},
	{script: "claim", before: func(r *repeated) { r.must(r.create(r.id, 2)) }, call: func(r *repeated, _ int) error {
		_, err := r.st.Claim(r.ctx(), "w", functions, 1)
		return err
	}, except: `^\{0\}:(a|f|pass)\b`, why: "the second answer is empty, so the worker waits with those that have room, and the queue that ran dry left its index; what it was handed and does not know of goes back (strays)"},
	{script: "settle", name: "done", before: (*repeated).ready, call: func(r *repeated, _ int) error { return r.end(plan.Succeeded) }},
	{script: "settle", name: "failed", before: (*repeated).ready, call: func(r *repeated, _ int) error { return r.end(failing(plan.Permanent)) }},
	{script: "settle", name: "to be tried again", before: (*repeated).ready, call: func(r *repeated, _ int) error { return r.end(failing(plan.Transient)) }},
	{script: "settle", name: "handed back", before: (*repeated).ready, call: func(r *repeated, _ int) error { return r.end(plan.HandedBack) }},
	{script: "settle", name: "the last step", before: func(r *repeated) {
		r.must(r.create(r.id, 2))
		r.must(r.st.Cancel(r.ctx(), r.production, r.id, "me"))
		r.take("cancel")
	}, call: func(r *repeated, _ int) error {
		_, err := r.st.EndCancelled(r.ctx(), r.chore, r.graph, r.size)
		return err
	}, again: store.ErrTaken, why: "the chore is over"},
	{script: "settle", name: "a due retry", before: func(r *repeated) {
		r.ready()
		r.must(r.end(failing(plan.Transient)))
		r.lost = []store.Due{{Ref: r.claimed[0].Ref}}
	}, call: func(r *repeated, _ int) error {
		return r.st.Promote(r.ctx(), r.graph, r.production, r.id, r.lost)
	}},
	{script: "checkpoint", before: (*repeated).ready, call: func(r *repeated, _ int) error {
		v, err := r.st.Checkpoint(r.ctx(), r.claimed[0].Ref, "w", "dot")
		if err == nil && v != store.OK {
			err = errors.New("it may not go on")
		}
		return err
	}},
	{script: "renew", before: func(r *repeated) {
		r.ready()
		r.late()
	}, call: func(r *repeated, _ int) error {
		v, err := r.st.Renew(r.ctx(), "w", []store.Ref{r.claimed[0].Ref})
		if err == nil && v[0] != store.OK {
			err = errors.New("the lease is lost")
		}
		return err
	}},
	{script: "due", before: func(r *repeated) {
		r.ready()
		r.late()
	}, call: func(r *repeated, _ int) error {
		_, lost, err := r.st.Due(r.ctx())
		if err == nil && len(lost) != 1 {
			err = fmt.Errorf("%d are lost, want 1", len(lost))
		}
		return err
	}},
	{script: "strays", before: (*repeated).ready, call: func(r *repeated, _ int) error {
		all, err := r.st.Strays(r.ctx(), "w", true)
		if err == nil && len(all) != 1 {
			err = fmt.Errorf("%d strays, want 1", len(all))
		}
		return err
	}},
	{script: "chores", before: func(r *repeated) {
		r.must(r.create(r.id, 150))
		r.must(r.c.ZAdd(r.ctx(), "{0}:chores", redis.Z{Score: 1, Member: "layout/" + r.id}).Err())
	}, call: func(r *repeated, _ int) error {
		_, err := r.st.Chores(r.ctx())
		return err
	}},
	{script: "cancel", before: (*repeated).ready, call: func(r *repeated, _ int) error { return r.st.Cancel(r.ctx(), r.production, r.id, "me") }},
	{script: "pause", before: (*repeated).ready, call: func(r *repeated, _ int) error { return r.st.Pause(r.ctx(), r.production, r.id, "me", true) }},
	{script: "pause", name: "resumed", before: func(r *repeated) {
		r.ready()
		r.must(r.st.Pause(r.ctx(), r.production, r.id, "me", true))
	}, call: func(r *repeated, _ int) error { return r.st.Pause(r.ctx(), r.production, r.id, "me", false) }},
	{script: "ask", before: (*repeated).failed, call: func(r *repeated, _ int) error {
		return r.st.AskAgain(r.ctx(), r.production, r.id, store.Ask{ID: "a", Choice: []byte("c"), Who: "me", Text: "all"})
	}},
	{script: "revive", before: func(r *repeated) {
		r.failed()
		u := plan.Unit{File: 1}
		records, err := r.st.Units(r.ctx(), r.production, r.id, []plan.Unit{u})
		r.must(err)
		s := records[0].Steps["prepare"]
		states := []plan.UnitState{{Unit: u, Steps: map[string]plan.State{"prepare": s.State}, Codes: map[string]string{"prepare": s.Code}}}
		r.again = store.Again{Revivals: plan.ReviveFiles(&definition, states), Attempts: []int{s.Attempts}, Who: "me", Kind: "retry"}
	}, call: func(r *repeated, _ int) error {
		return r.st.Revive(r.ctx(), r.graph, r.production, r.id, r.again)
	}, again: store.ErrChanged, why: "the caller looks again, and there is nothing more to revive"},
	{script: "enlist", before: func(*repeated) {}, call: func(r *repeated, _ int) error { return r.enlist("B1") }},
	{script: "batches", before: func(r *repeated) {
		r.must(r.enlist("B1"))
		r.must(r.c.ZAdd(r.ctx(), "{0}:batches", redis.Z{Score: 1, Member: "B1"}).Err())
	}, call: func(r *repeated, _ int) error {
		_, err := r.st.Batches(r.ctx())
		return err
	}},
	{script: "advance", before: func(r *repeated) {
		r.must(r.enlist("B1"))
		b, err := r.st.Batch(r.ctx(), r.production, "B1")
		r.must(err)
		r.batch = b
	}, call: func(r *repeated, _ int) error {
		return r.advance(store.Step{Cursor: "1/D1", Counts: store.BatchCounts{Seen: 1, Found: 1, Changed: 1}})
	}, again: store.ErrTaken, why: "it is counted; whoever takes the batch next goes on from its cursor"},
	{script: "halt", before: func(r *repeated) { r.must(r.enlist("B1")) }, call: func(r *repeated, _ int) error {
		return r.st.HaltBatch(r.ctx(), r.production, "B1", true)
	}},
	{script: "halt", name: "goes on", before: func(r *repeated) {
		r.must(r.enlist("B1"))
		r.must(r.st.HaltBatch(r.ctx(), r.production, "B1", true))
	}, call: func(r *repeated, _ int) error { return r.st.HaltBatch(r.ctx(), r.production, "B1", false) }},
	{script: "sweep", before: func(r *repeated) {
		r.must(r.create(r.id, 2))
		r.must(r.c.Del(r.ctx(), "{0}:q:f.Prepare:p", "{0}:f:f.Prepare").Err())
	}, call: func(r *repeated, _ int) error {
		_, err := r.st.Sweep(r.ctx(), func(context.Context, string, string) (*store.Graph, plan.Size, error) { return r.graph, r.size, nil })
		return err
	}, between: func(r *repeated) {
		r.must(r.c.Del(r.ctx(), "{0}:sweeping").Err()) // eight seconds later
	}},
	{script: "release", before: func(r *repeated) {
		r.must(r.create(r.id, 2))
		r.must(r.st.Hold(r.ctx(), r.production, "f.Prepare", true))
		_, err := r.st.Claim(r.ctx(), "w", []string{"f.Prepare"}, 1)
		r.must(err)
	}, call: func(r *repeated, _ int) error { return r.st.Hold(r.ctx(), r.production, "f.Prepare", false) }},
	{script: "gather", before: func(r *repeated) {
		r.must(r.create(r.id, 2))
		// One step was put aside with a limit that has room again.
		r.must(r.c.HSet(r.ctx(), "{0}:g:p:desk", "max", 1, "rate", 0, "burst", 1).Err())
		r.must(r.c.Del(r.ctx(), "{0}:q:f.Prepare:p").Err())
		r.must(r.c.ZAdd(r.ctx(), "{0}:gw:p:desk", redis.Z{Score: 5, Member: "f.Prepare " + r.id + "/f1/prepare"}).Err())
	}, call: func(r *repeated, _ int) error { return r.st.Look(r.ctx(), r.production, "desk") }},
	{script: "occupy", before: func(r *repeated) {
		r.ready()
		r.must(r.st.SetLimit(r.ctx(), r.production, store.Limit{Name: "desk", Concurrency: 2, Burst: 1}, nil))
	}, call: func(r *repeated, _ int) error { return r.occupy("desk") }},
	{script: "permit", before: func(r *repeated) {
		r.ready()
		r.must(r.st.SetLimit(r.ctx(), "", store.Limit{Name: "desk", Concurrency: 2, Rate: 5, Burst: 2}, nil))
	}, call: func(r *repeated, _ int) error { return r.occupy("studio/desk") }},
	{script: "heed", name: "a failure", before: (*repeated).resource, call: func(r *repeated, _ int) error {
		return r.st.Heed(r.ctx(), r.production, "relay", store.Told{Kind: "fail", Code: "C", Message: "m", About: "t1"})
	}},
	{script: "heed", name: "a throttle", before: (*repeated).resource, call: func(r *repeated, _ int) error {
		return r.st.Heed(r.ctx(), r.production, "relay", store.Told{Kind: "throttle", Wait: time.Minute, Code: "C", Message: "m", About: "t1"})
	}},
	{script: "heed", name: "a reset", before: func(r *repeated) {
		r.resource()
		for _, about := range []string{"t1", "t2", "t3"} {
			r.must(r.st.Heed(r.ctx(), r.production, "relay", store.Told{Kind: "fail", Code: "C", Message: "m", About: about}))
		}
	}, call: func(r *repeated, _ int) error {
		return r.st.Heed(r.ctx(), r.production, "relay", store.Told{Kind: "reset"})
	}},
	{script: "lifecycle", before: (*repeated).resource, call: func(r *repeated, n int) error {
		moved, err := r.st.MoveResource(r.ctx(), r.res, store.Moved{Move: plan.MoveCreate, Task: "T1"})
		if err == nil && !moved {
			return store.ErrChanged
		}
		return err
	}, again: store.ErrChanged, why: "it has moved; whoever looks next sees what is to be done and who does it"},
	{script: "starter_put", name: "a schedule", before: func(*repeated) {}, call: func(r *repeated, _ int) error { return r.schedule() }},
	{script: "starter_put", name: "a webhook", before: func(*repeated) {}, call: func(r *repeated, _ int) error {
		_, err := r.st.PutHook(r.ctx(), store.Hook{Production: r.production, Name: "h", Start: []byte("s"), By: "me"})
		return err
	}, why: "the second call does not call it new; that it has no secret yet says so as well"},
	{script: "schedule_due", before: func(r *repeated) { r.must(r.schedule()) }, call: func(r *repeated, _ int) error {
		_, err := r.st.DueSchedules(r.ctx())
		return err
	}, why: "the second answer is empty: it is kept from others for RunHold, then handed out again with the note that somebody set about it"},
	{script: "schedule_move", before: func(r *repeated) {
		r.must(r.schedule())
		due, err := r.st.DueSchedules(r.ctx())
		r.must(err)
		r.due = due
	}, call: func(r *repeated, _ int) error {
		d := r.due[0]
		_, err := r.st.MoveSchedule(r.ctx(), d, store.Move{To: d.Next.Add(time.Minute), Skipped: 3, Over: true, Distribution: "D1"})
		return err
	}},
	{script: "archived", before: (*repeated).failed, call: func(r *repeated, _ int) error {
		d, err := r.st.Get(r.ctx(), r.production, r.id)
		r.must(err)
		last, _, err := r.st.LastEvent(r.ctx(), r.production, r.id)
		r.must(err)
		more, err := r.st.Archived(r.ctx(), r.production, r.id, store.Archive{Ended: d.Ended, LastEvent: last, SHA256: "a"})
		if err == nil && more {
			err = errors.New("there is more")
		}
		return err
	}},
	{script: "hook_fired", before: func(r *repeated) {
		_, err := r.st.PutHook(r.ctx(), store.Hook{Production: r.production, Name: "h", Start: []byte("s"), By: "me"})
		r.must(err)
	}, call: func(r *repeated, _ int) error { return r.st.HookFired(r.ctx(), r.production, "h", "D1") }},
}

func (r *repeated) occupy(limit string) error {
	v, err := r.st.Occupy(r.ctx(), "w", store.Occupied{Ref: r.claimed[0].Ref, Production: r.production, Limit: limit, Key: "k", Slots: 2})
	if err == nil && v != store.OK {
		err = errors.New("there is no room")
	}
	return err
}
