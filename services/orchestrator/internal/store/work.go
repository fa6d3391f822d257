package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Claimed is one attempt handed to a worker.
type Claimed struct {
	Ref
	Production string
	// Checkpoint is what the last attempt recorded before it ended without a definite result.
	Checkpoint string
}

// Claim hands at most n ready steps of functions to worker, in the functions' order, and starts their leases.
func (s *Store) Claim(ctx context.Context, worker string, functions []string, n int) ([]Claimed, error) {
	var out []Claimed
	for i := range s.shards {
		sh := shard(i)
		keys := []string{sh.leases()}
		for _, f := range functions {
			keys = append(keys, sh.queue(f))
		}
		list, err := claimScript.run(ctx, s.c, keys, worker, Lease.Milliseconds(), min(n-len(out), slice))
		if err != nil {
			return out, err
		}
		for _, e := range list {
			c, err := decodeClaimed(sh, e)
			if err != nil {
				return out, fmt.Errorf("claim: %w", err)
			}
			out = append(out, c)
		}
		if len(out) >= n {
			break
		}
	}
	return out, nil
}

func decodeClaimed(sh shard, r reply) (Claimed, error) {
	f, err := r.strs()
	if err != nil || len(f) != 6 {
		return Claimed{}, errShape
	}
	attempt, err := strconv.Atoi(f[3])
	if err != nil {
		return Claimed{}, errShape
	}
	u, err := plan.ParseUnit(f[1])
	if err != nil {
		return Claimed{}, err
	}
	return Claimed{
		Ref:        Ref{shard: sh, Distribution: f[0], Unit: u, Step: f[2], Attempt: attempt},
		Checkpoint: f[4], Production: f[5],
	}, nil
}

// Verdict is the answer to a worker about one of its tasks.
type Verdict int

const (
	OK      Verdict = iota + 1 // done as asked, now or by the same call before
	Fenced                     // the attempt is over or somebody else's
	Stopped                    // the distribution was cancelled
)

// Checkpoint records what an attempt is about to do and prolongs its lease, unless it may not go on.
func (s *Store) Checkpoint(ctx context.Context, r Ref, worker, state string) (Verdict, error) {
	sh := r.shard
	code, err := checkpointScript.run(ctx, s.c,
		[]string{sh.dist(r.Distribution), sh.unit(r.Distribution, r.Unit.String()), sh.leases()},
		r.member(), r.Step, r.Attempt, worker, state, Lease.Milliseconds())
	return Verdict(code), err
}

// Renew prolongs leases; the verdicts are in the order of refs.
func (s *Store) Renew(ctx context.Context, worker string, refs []Ref) ([]Verdict, error) {
	out := make([]Verdict, len(refs))
	for n := range s.shards {
		var at []int
		for i, r := range refs {
			if int(r.shard) == n {
				at = append(at, i)
			}
		}
		for len(at) > 0 {
			part := at[:min(len(at), slice)]
			at = at[len(part):]
			args := []any{worker, Lease.Milliseconds()}
			for _, i := range part {
				args = append(args, refs[i].member(), refs[i].Attempt)
			}
			list, err := renewScript.run(ctx, s.c, []string{shard(n).leases()}, args...)
			if err != nil {
				return nil, err
			}
			if len(list) != len(part) {
				return nil, fmt.Errorf("renew: %w", errShape)
			}
			for j, e := range list {
				code, err := e.int()
				if err != nil {
					return nil, fmt.Errorf("renew: %w", err)
				}
				out[part[j]] = Verdict(code)
			}
		}
	}
	return out, nil
}

// Due is a step whose time has come.
type Due struct {
	Ref
	Worker     string
	Checkpoint string
	Tally      plan.Tally
}

// Due finds retries whose time has come and attempts whose lease ran out, at most 100 of each per shard.
func (s *Store) Due(ctx context.Context) (due, lost []Due, err error) {
	for n := range s.shards {
		sh := shard(n)
		lists, err := dueScript.run(ctx, s.c, []string{sh.later(), sh.leases()}, slice)
		if err != nil {
			return nil, nil, err
		}
		if len(lists) != 2 {
			return nil, nil, fmt.Errorf("due: %w", errShape)
		}
		d, err := decodeDue(sh, lists[0])
		if err != nil {
			return nil, nil, fmt.Errorf("due: %w", err)
		}
		l, err := decodeDue(sh, lists[1])
		if err != nil {
			return nil, nil, fmt.Errorf("due: %w", err)
		}
		due, lost = append(due, d...), append(lost, l...)
	}
	return due, lost, nil
}

func decodeDue(sh shard, r reply) ([]Due, error) {
	list, err := r.list()
	if err != nil {
		return nil, err
	}
	var out []Due
	for _, e := range list {
		f, err := e.strs()
		if err != nil || len(f) != 7 {
			return nil, errShape
		}
		var numbers [4]int
		for i, at := range []int{1, 4, 5, 6} {
			numbers[i], err = strconv.Atoi(f[at])
			if err != nil {
				return nil, errShape
			}
		}
		ref, err := parseMember(sh, f[0], numbers[0])
		if err != nil {
			return nil, err
		}
		out = append(out, Due{Ref: ref, Worker: f[2], Checkpoint: f[3],
			Tally: plan.Tally{Errors: numbers[1], Crashes: numbers[2], Throttles: numbers[3]}})
	}
	return out, nil
}

// Chore is work on a distribution that is done in slices.
type Chore struct {
	Kind         string // layout, fan, cancel
	Distribution string
	Step         string    // for fan: the step that ended
	Unit         plan.Unit // for fan: the file it was about
	// Cursor is where to go on; it ends with what the chore needs to know besides.
	Cursor string

	shard shard
	name  string
}

// choreHold is how long a chore is kept from others once handed out.
const choreHold = 5 * time.Second

// Chores hands out at most ten chores per shard.
func (s *Store) Chores(ctx context.Context) ([]Chore, error) {
	var out []Chore
	for n := range s.shards {
		sh := shard(n)
		list, err := choresScript.run(ctx, s.c, []string{sh.chores()}, choreHold.Milliseconds(), 10)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			f, err := e.strs()
			if err != nil || len(f) != 2 {
				return nil, fmt.Errorf("chores: %w", errShape)
			}
			c := Chore{name: f[0], Cursor: f[1], shard: sh}
			parts := strings.Split(f[0], "/")
			if len(parts) < 2 {
				return nil, fmt.Errorf("chores: %q is not a chore", f[0])
			}
			c.Kind, c.Distribution = parts[0], parts[1]
			if len(parts) == 4 {
				c.Step = parts[2]
				c.Unit, err = plan.ParseUnit(parts[3])
				if err != nil {
					return nil, fmt.Errorf("chores: %w", err)
				}
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// Layout writes the records of the next slice of a distribution's units and returns the cursor after it; it is empty
// after the last one, which sets the distribution running. A slice that somebody else wrote is left alone.
func (s *Store) Layout(ctx context.Context, c Chore, d *plan.Definition, size plan.Size) (next string, err error) {
	from, err := strconv.Atoi(c.Cursor)
	if err != nil {
		return "", fmt.Errorf("layout: cursor %q: %w", c.Cursor, err)
	}
	to := min(from+slice, size.Units())
	if to < size.Units() {
		next = strconv.Itoa(to)
	}
	units := [][2]any{}
	ready := [][3]string{}
	for n := from; n < to; n++ {
		u := size.UnitAt(n)
		fields, starts := record(d, u, size)
		if len(fields) > 0 {
			units = append(units, [2]any{u.String(), fields})
		}
		for _, st := range starts {
			ready = append(ready, [3]string{u.String(), st.Name, st.Function})
		}
	}
	unitsJSON, err := json.Marshal(units)
	if err != nil {
		return "", err
	}
	readyJSON, err := json.Marshal(ready)
	if err != nil {
		return "", err
	}
	sh := c.shard
	mine, err := layoutScript.run(ctx, s.c, []string{sh.dist(c.Distribution), sh.events(c.Distribution), sh.chores(), sh.changed()},
		c.Distribution, c.name, c.Cursor, next, unitsJSON, readyJSON)
	if err == nil && mine == 0 {
		return "", ErrTaken
	}
	return next, err
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
			fields = append(fields, st.Name+".w", strconv.Itoa(d.Waits(&st, size)))
		} else {
			starts = append(starts, st)
		}
		if st.Delivers != "" {
			fields = append(fields, "dstep", st.Name, "v", string(plan.Queued))
		}
	}
	switch u.Scope() {
	case plan.ScopeItem:
		fields = append(fields, "p", string(plan.PhasePending), "o", strconv.Itoa(open))
	case plan.ScopeRecipient:
		fields = append(fields, "n:"+string(plan.PhasePending), strconv.Itoa(size.Files))
	}
	return fields, starts
}

// Production tells whose distribution an attempt belongs to.
func (s *Store) Production(ctx context.Context, r Ref) (string, error) {
	if int(r.shard) >= s.shards {
		return "", ErrNotFound
	}
	p, err := s.c.HGet(ctx, r.shard.dist(r.Distribution), "production").Result()
	if errors.Is(err, redis.Nil) {
		return "", ErrNotFound
	}
	return p, err
}

// ProductionOf tells whose distribution a chore belongs to.
func (s *Store) ProductionOf(ctx context.Context, c Chore) (string, error) {
	return s.Production(ctx, Ref{shard: c.shard, Distribution: c.Distribution})
}

// Tallies reads what happened in earlier attempts at the steps of refs.
func (s *Store) Tallies(ctx context.Context, refs []Ref) ([]plan.Tally, error) {
	pipe := s.c.Pipeline()
	cmds := make([]*redis.SliceCmd, len(refs))
	for i, r := range refs {
		cmds[i] = pipe.HMGet(ctx, r.shard.unit(r.Distribution, r.Unit.String()), r.Step+".err", r.Step+".crash", r.Step+".thr")
	}
	_, err := pipe.Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("read tallies: %w", err)
	}
	out := make([]plan.Tally, len(refs))
	for i, cmd := range cmds {
		var n [3]int
		for j, v := range cmd.Val() {
			text, _ := v.(string)
			n[j] = number(text)
		}
		out[i] = plan.Tally{Errors: n[0], Crashes: n[1], Throttles: n[2]}
	}
	return out, nil
}

// Sweep puts steps of open distributions back where their records say they belong; see sweep.lua. load gives the
// definition and size of a distribution. Only one process sweeps a shard at a time. It returns how many were put back.
func (s *Store) Sweep(ctx context.Context, load func(ctx context.Context, production, id string) (*plan.Definition, plan.Size, error)) (int, error) {
	put := 0
	var errs []error
	for n := range s.shards {
		sh := shard(n)
		mine, err := s.c.SetNX(ctx, sh.sweeping(), "1", 8*time.Second).Result()
		if err != nil {
			return put, fmt.Errorf("sweep: %w", err)
		}
		if !mine {
			continue
		}
		ids, err := s.c.ZRange(ctx, sh.open(), 0, -1).Result()
		if err != nil {
			return put, fmt.Errorf("sweep: %w", err)
		}
		for _, id := range ids {
			n, err := s.sweepOne(ctx, sh, id, load)
			put += n
			if err != nil {
				// One that cannot be read must not keep the others from being swept.
				errs = append(errs, fmt.Errorf("sweep %s: %w", id, err))
			}
		}
	}
	return put, errors.Join(errs...)
}

func (s *Store) sweepOne(ctx context.Context, sh shard, id string, load func(context.Context, string, string) (*plan.Definition, plan.Size, error)) (int, error) {
	about, err := s.c.HMGet(ctx, sh.dist(id), "state", "production").Result()
	if err != nil {
		return 0, err
	}
	state, _ := about[0].(string)
	production, _ := about[1].(string)
	if state == string(plan.Accepted) {
		// Its chore may have been lost with the queues; the cursor is in the record.
		return 0, s.c.ZAddNX(ctx, sh.chores(), scored(layoutChore(id))).Err()
	}
	if plan.DistributionState(state).Final() {
		return 0, s.c.ZRem(ctx, sh.open(), id).Err()
	}
	err = s.restoreChores(ctx, sh, id)
	if err != nil {
		return 0, err
	}
	d, size, err := load(ctx, production, id)
	if err != nil {
		return 0, err
	}
	scopes := map[plan.Scope][][2]string{}
	for _, st := range d.Steps {
		scopes[st.Scope] = append(scopes[st.Scope], [2]string{st.Name, st.Function})
	}
	scopesJSON, err := json.Marshal(scopes)
	if err != nil {
		return 0, err
	}
	put := 0
	for from := 0; from < size.Units(); from += slice {
		args := []any{id, Lease.Milliseconds(), scopesJSON}
		for n := from; n < min(from+slice, size.Units()); n++ {
			args = append(args, size.UnitAt(n).String())
		}
		n, err := sweepScript.run(ctx, s.c, []string{sh.dist(id), sh.leases(), sh.later()}, args...)
		if err != nil {
			return put, err
		}
		put += n
	}
	return put, nil
}

// restoreChores puts chores whose cursor is in the record back into the queue of chores.
func (s *Store) restoreChores(ctx context.Context, sh shard, id string) error {
	fields, err := s.c.HKeys(ctx, sh.dist(id)).Result()
	if err != nil {
		return err
	}
	for _, f := range fields {
		name, ok := strings.CutPrefix(f, "c:")
		if !ok {
			continue
		}
		err = s.c.ZAddNX(ctx, sh.chores(), scored(name)).Err()
		if err != nil {
			return err
		}
	}
	return nil
}
