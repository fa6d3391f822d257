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
	Function   string
	// Checkpoint is what the last attempt recorded before it ended without a definite result.
	Checkpoint string
}

// patience is how long a worker with room counts among those that share ready steps, after it last asked.
const patience = 2 * time.Second

// Claim hands at most n ready steps of functions to worker, which has room for so many, and starts their leases. One that is
// drained gets ErrDraining.
func (s *Store) Claim(ctx context.Context, worker string, functions []string, n int) ([]Claimed, error) {
	var out []Claimed
	// Each call begins with another shard, so that none is always served last.
	first := int(s.turn.Add(1) % int64(s.shards))
	draining := false
	for i := range s.shards {
		sh := shard((first + i) % s.shards)
		got, wants, err := s.claim(ctx, sh, worker, functions, n-len(out), nil)
		out = append(out, got...)
		if errors.Is(err, ErrDraining) {
			draining = true // the others are to know that it is there
			continue
		}
		if err != nil {
			return out, err
		}
		if len(wants) > 0 {
			got, err = s.claimShared(ctx, sh, worker, wants, n-len(out))
			out = append(out, got...)
			if err != nil {
				return out, err
			}
		}
		if len(out) >= n {
			break
		}
	}
	if draining && len(out) == 0 {
		return nil, ErrDraining
	}
	return out, nil
}

// wanted is a ready step that needs limits which productions share.
type wanted struct {
	member, function, production string
	limits                       []string
}

func (s *Store) claim(ctx context.Context, sh shard, worker string, functions []string, n int, granted [][4]string) ([]Claimed, []wanted, error) {
	if granted == nil {
		granted = [][4]string{}
	}
	raw, err := json.Marshal(granted)
	if err != nil {
		return nil, nil, err
	}
	keys := []string{sh.workers(), sh.leases(worker), sh.paused(), sh.weights(), sh.passes(), sh.timed(), sh.drained(worker)}
	args := []any{worker, Lease.Milliseconds(), n, min(n, slice), patience.Milliseconds(), raw}
	for _, f := range functions {
		keys = append(keys, sh.index(f), sh.awaiting(f), sh.serving(f))
		args = append(args, f)
	}
	lists, err := claimScript.run(ctx, s.c, keys, args...)
	if err != nil {
		return nil, nil, err
	}
	if len(lists) != 3 {
		return nil, nil, fmt.Errorf("claim: %w", errShape)
	}
	draining, err := lists[2].int()
	if err != nil {
		return nil, nil, fmt.Errorf("claim: %w", err)
	}
	if draining == 1 {
		return nil, nil, ErrDraining
	}
	tasks, err1 := lists[0].list()
	waiting, err2 := lists[1].list()
	err = errors.Join(err1, err2)
	if err != nil {
		return nil, nil, fmt.Errorf("claim: %w", err)
	}
	var out []Claimed
	for _, group := range tasks {
		out, err = decodeClaimed(out, sh, group)
		if err != nil {
			return out, nil, fmt.Errorf("claim: %w", err)
		}
	}
	var wants []wanted
	for _, e := range waiting {
		f, err := e.strs()
		if err != nil || len(f) != 4 {
			return out, nil, fmt.Errorf("claim: %w", errShape)
		}
		wants = append(wants, wanted{member: f[0], function: f[1], production: f[2], limits: strings.Fields(f[3])})
	}
	return out, wants, nil
}

// decodeClaimed appends what was claimed of one function and production: {function, production, then of each member, attempt,
// checkpoint}.
func decodeClaimed(out []Claimed, sh shard, group reply) ([]Claimed, error) {
	list, ok := group.v.([]any)
	if !ok || len(list) < 5 || len(list)%3 != 2 {
		return out, errShape
	}
	words := make([]string, len(list))
	for i, v := range list {
		words[i], ok = v.(string)
		if !ok {
			return out, errShape
		}
	}
	for i := 2; i < len(words); i += 3 {
		attempt, err := strconv.Atoi(words[i+1])
		if err != nil {
			return out, errShape
		}
		ref, err := parseMember(sh, words[i], attempt)
		if err != nil {
			return out, err
		}
		out = append(out, Claimed{Ref: ref, Checkpoint: words[i+2], Production: words[1], Function: words[0]})
	}
	return out, nil
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
		[]string{sh.dist(r.Distribution), sh.unit(r.Distribution, r.Unit.String()), sh.leases(worker)},
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
			list, err := renewScript.run(ctx, s.c, []string{shard(n).leases(worker), shard(n).workers(), shard(n).drained(worker)}, args...)
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
				if code > 10 {
					code -= 10
					err = s.keepSlots(ctx, refs[part[j]])
					if err != nil {
						return nil, err
					}
				}
				out[part[j]] = Verdict(code)
			}
		}
	}
	return out, nil
}

// Strays lists attempts that were handed to worker and that it does not know of: it prolonged others and not these.
// leaving: it stops, so all that it was handed are.
func (s *Store) Strays(ctx context.Context, worker string, leaving bool) ([]Ref, error) {
	before := Lease / 3 // two thirds of a lease without a word
	if leaving {
		before = 2 * Lease
	}
	var out []Ref
	for n := range s.shards {
		sh := shard(n)
		list, err := straysScript.run(ctx, s.c, []string{sh.leases(worker)}, before.Milliseconds(), slice)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			f, err := e.strs()
			if err != nil || len(f) != 2 {
				return nil, fmt.Errorf("strays: %w", errShape)
			}
			attempt, err := strconv.Atoi(f[1])
			if err != nil {
				return nil, fmt.Errorf("strays: %w", errShape)
			}
			ref, err := parseMember(sh, f[0], attempt)
			if err != nil {
				return nil, err
			}
			out = append(out, ref)
		}
	}
	return out, nil
}

// Leave forgets that worker waits for steps.
func (s *Store) Leave(ctx context.Context, worker string) error {
	for n := range s.shards {
		sh := shard(n)
		functions, err := s.c.SMembers(ctx, sh.functions()).Result()
		if err != nil {
			return fmt.Errorf("leave: %w", err)
		}
		pipe := s.c.Pipeline()
		for _, f := range functions {
			pipe.ZRem(ctx, sh.awaiting(f), worker)
			pipe.ZRem(ctx, sh.serving(f), worker)
		}
		pipe.Del(ctx, sh.drained(worker))
		_, err = pipe.Exec(ctx)
		if err != nil {
			return fmt.Errorf("leave: %w", err)
		}
	}
	return nil
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
		lists, err := dueScript.run(ctx, s.c, []string{sh.later(), sh.workers()}, slice)
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
	Kind         string // layout, fan, cancel, resume, retry
	Distribution string
	Production   string
	Step         string    // for fan: the step that ended
	Unit         plan.Unit // for fan: the file it was about
	Ask          string    // for retry: which
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
			if err != nil || len(f) != 3 {
				return nil, fmt.Errorf("chores: %w", errShape)
			}
			c := Chore{name: f[0], Cursor: f[1], Production: f[2], shard: sh}
			parts := strings.Split(f[0], "/")
			if len(parts) < 2 {
				return nil, fmt.Errorf("chores: %q is not a chore", f[0])
			}
			c.Kind, c.Distribution = parts[0], parts[1]
			if len(parts) == 3 {
				c.Ask = parts[2]
			}
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

// Attempt is what is known of an attempt when its end is reported.
type Attempt struct {
	// Tally is what happened in earlier attempts at its step.
	Tally plan.Tally
	// Runs: it has not ended, as far as the store knows. What is reported of one that has is reported again, or too late.
	Runs bool
}

// Attempts reads what is known of the attempts refs.
func (s *Store) Attempts(ctx context.Context, refs []Ref) ([]Attempt, error) {
	pipe := s.c.Pipeline()
	cmds := make([]*redis.SliceCmd, len(refs))
	for i, r := range refs {
		cmds[i] = pipe.HMGet(ctx, r.shard.unit(r.Distribution, r.Unit.String()), r.Step+".err", r.Step+".crash", r.Step+".thr", r.Step, r.Step+".a")
	}
	_, err := pipe.Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	out := make([]Attempt, len(refs))
	for i, cmd := range cmds {
		var text [5]string
		for j, v := range cmd.Val() {
			text[j], _ = v.(string)
		}
		out[i] = Attempt{Tally: plan.Tally{Errors: number(text[0]), Crashes: number(text[1]), Throttles: number(text[2])},
			Runs: plan.State(text[3]) == plan.Running && number(text[4]) == refs[i].Attempt}
	}
	return out, nil
}

// Load gives the graph and size of a distribution.
type Load func(ctx context.Context, production, id string) (*Graph, plan.Size, error)

// Sweep puts steps of open distributions back where their records say they belong; see sweep.lua. load gives the
// definition and size of a distribution. Only one process sweeps a shard at a time. It returns how many were put back.
func (s *Store) Sweep(ctx context.Context, load Load) (int, error) {
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
		err = s.restoreClock(ctx, sh)
		if err != nil {
			errs = append(errs, fmt.Errorf("sweep schedules: %w", err))
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

func (s *Store) sweepOne(ctx context.Context, sh shard, id string, load Load) (int, error) {
	about, err := s.c.HMGet(ctx, sh.dist(id), "state", "production").Result()
	if err != nil {
		return 0, err
	}
	state, _ := about[0].(string)
	production, _ := about[1].(string)
	if plan.DistributionState(state).Final() {
		return 0, s.c.ZRem(ctx, sh.open(), id).Err()
	}
	err = s.restoreChores(ctx, sh, id)
	if err != nil || state == string(plan.Accepted) {
		return 0, err // it has no queues yet
	}
	g, size, err := load(ctx, production, id)
	if err != nil {
		return 0, err
	}
	return s.requeue(ctx, sh, id, g, size)
}

// requeue puts the steps of one distribution back where their records say they belong.
func (s *Store) requeue(ctx context.Context, sh shard, id string, g *Graph, size plan.Size) (int, error) {
	scopes := map[plan.Scope][][3]any{}
	for _, st := range g.plan.Steps {
		scopes[st.Scope] = append(scopes[st.Scope], [3]any{st.Name, st.Function, g.rank(&st)})
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
		n, err := sweepScript.run(ctx, s.c, []string{sh.dist(id), sh.workers(), sh.later(), sh.passes()}, args...)
		if err != nil {
			return put, err
		}
		put += n
	}
	return put, nil
}

// Resume queues the steps of a distribution that was paused.
func (s *Store) Resume(ctx context.Context, c Chore, g *Graph, size plan.Size) error {
	_, err := s.requeue(ctx, c.shard, c.Distribution, g, size)
	if err != nil {
		return err
	}
	return s.settleChore(ctx, g, nil, c, "")
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
