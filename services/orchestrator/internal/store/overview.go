package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Unended lists distributions that have not ended, by production; at most n.
func (s *Store) Unended(ctx context.Context, n int) ([]*Summary, error) {
	var out []*Summary
	for i := range s.shards {
		sh := shard(i)
		ids, err := s.c.ZRange(ctx, sh.open(), 0, int64(n-len(out))-1).Result()
		if err != nil {
			return nil, fmt.Errorf("list open distributions: %w", err)
		}
		got, err := s.inShard(ctx, sh, ids)
		if err != nil {
			return nil, err
		}
		out = append(out, got...)
		if len(out) >= n {
			break
		}
	}
	return out, nil
}

// sameMoment is how many more than were asked for are read where a page begins: those of the moment at which the page before ended.
const sameMoment = 100

// UnendedAfter lists distributions of all productions that have not ended, shard by shard, the first first: about n that come
// after a place, and the place after them. "" is before the first, and after the last. What is accepted meanwhile may be left to
// the next time around.
func (s *Store) UnendedAfter(ctx context.Context, place string, n int) (all []*Summary, next string, err error) {
	first, since, last := 0, int64(0), ""
	if place != "" {
		_, err = fmt.Sscanf(place, "%d.%d.%s", &first, &since, &last)
		if err != nil {
			return nil, "", fmt.Errorf("list open distributions: %q is no place in them: %w", place, err)
		}
	}
	for i := first; i < s.shards; i++ {
		sh := shard(i)
		got, err := s.c.ZRangeByScoreWithScores(ctx, sh.open(), &redis.ZRangeBy{Min: strconv.FormatInt(since, 10), Max: "+inf", Count: int64(n + sameMoment)}).Result()
		if err != nil {
			return nil, "", fmt.Errorf("list open distributions: %w", err)
		}
		var ids []string
		next = ""
		for j, z := range got {
			id, _ := z.Member.(string)
			if int64(z.Score) == since && id <= last {
				continue
			}
			ids = append(ids, id)
			if len(all)+len(ids) >= n && j+1 < len(got) {
				next = fmt.Sprintf("%d.%d.%s", i, int64(z.Score), id)
				break
			}
		}
		read, err := s.inShard(ctx, sh, ids)
		if err != nil {
			return nil, "", err
		}
		all = append(all, read...)
		if next != "" {
			return all, next, nil
		}
		since, last = 0, ""
		if len(all) >= n && i+1 < s.shards {
			return all, fmt.Sprintf("%d.0.-", i+1), nil
		}
	}
	return all, "", nil
}

// inShard reads distributions whose production only their record tells.
func (s *Store) inShard(ctx context.Context, sh shard, ids []string) ([]*Summary, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	pipe := s.c.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		cmds[i] = pipe.HGetAll(ctx, sh.dist(id))
	}
	_, err := pipe.Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("read distributions: %w", err)
	}
	var out []*Summary
	for i, cmd := range cmds {
		if len(cmd.Val()) > 0 {
			out = append(out, summary(ids[i], cmd.Val()))
		}
	}
	return out, nil
}

// Ended lists distributions of all productions that ended after a moment, the first first; at most n of each shard.
func (s *Store) Ended(ctx context.Context, after time.Time, n int) ([]*Summary, error) {
	var out []*Summary
	for i := range s.shards {
		sh := shard(i)
		ids, err := s.c.ZRangeByScore(ctx, sh.ended(), &redis.ZRangeBy{
			Min: "(" + strconv.FormatInt(after.UnixMilli(), 10), Max: "+inf", Count: int64(n)}).Result()
		if err != nil {
			return nil, fmt.Errorf("list ended distributions: %w", err)
		}
		got, err := s.inShard(ctx, sh, ids)
		if err != nil {
			return nil, err
		}
		out = append(out, got...)
	}
	return out, nil
}

// Leased is a step that a worker has.
type Leased struct {
	Ref         Ref
	Worker      string
	Since, Ends time.Time
}

// Leases lists steps that workers have, of each worker those whose lease ends first; at most n of each.
func (s *Store) Leases(ctx context.Context, n int) ([]Leased, error) {
	var out []Leased
	for i := range s.shards {
		sh := shard(i)
		workers, err := s.c.ZRange(ctx, sh.workers(), 0, -1).Result()
		if err != nil {
			return nil, fmt.Errorf("list leases: %w", err)
		}
		if len(workers) == 0 {
			continue
		}
		pipe := s.c.Pipeline()
		held := make([]*redis.ZSliceCmd, len(workers))
		for j, w := range workers {
			held[j] = pipe.ZRangeWithScores(ctx, sh.leases(w), 0, int64(n-1))
		}
		_, err = pipe.Exec(ctx)
		if err != nil {
			return nil, fmt.Errorf("list leases: %w", err)
		}
		for j, cmd := range held {
			for _, z := range cmd.Val() {
				member, _ := z.Member.(string)
				ref, err := parseMember(sh, member, 0)
				if err != nil {
					return nil, err
				}
				out = append(out, Leased{Ref: ref, Worker: workers[j], Ends: time.UnixMilli(int64(z.Score))})
			}
		}
	}
	return out, s.since(ctx, out)
}

// since adds when attempts began.
func (s *Store) since(ctx context.Context, all []Leased) error {
	if len(all) == 0 {
		return nil
	}
	pipe := s.c.Pipeline()
	began := make([]*redis.SliceCmd, len(all))
	for i, l := range all {
		began[i] = pipe.HMGet(ctx, l.Ref.shard.unit(l.Ref.Distribution, l.Ref.Unit.String()), l.Ref.Step+".at")
	}
	_, err := pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	for i, cmd := range began {
		ms, _ := cmd.Val()[0].(string)
		all[i].Since = at(ms)
	}
	return nil
}

// Aside says how many steps of a function wait at a limit.
type Aside struct {
	Production, Limit, Function string // Production is empty of a limit that productions share
	Steps                       int
}

// mostAside bounds how many steps are looked at that wait at one limit.
const mostAside = 1000

// SetAside counts steps that wait at limits of productions, and at those that productions share; at most 1,000 of each limit.
func (s *Store) SetAside(ctx context.Context, productions []string) ([]Aside, error) {
	type where struct{ key, production, limit string }
	var places []where
	for _, p := range productions {
		sh := s.shardOf(p)
		names, err := s.c.SMembers(ctx, sh.limits(p)).Result()
		if err != nil {
			return nil, fmt.Errorf("list steps at limits: %w", err)
		}
		for _, name := range names {
			places = append(places, where{sh.aside(p, name), p, name})
		}
	}
	for i := range s.shards {
		names, err := s.c.SMembers(ctx, shard(i).waitedFor()).Result()
		if err != nil {
			return nil, fmt.Errorf("list steps at limits: %w", err)
		}
		for _, name := range names {
			places = append(places, where{shard(i).asideStudio(name), "", name})
		}
	}
	counts := map[Aside]int{}
	for _, w := range places {
		functions, err := s.standing(ctx, w.key)
		if err != nil {
			return nil, err
		}
		for f, n := range functions {
			counts[Aside{Production: w.production, Limit: w.limit, Function: f}] += n
		}
	}
	var out []Aside
	for a, n := range counts {
		a.Steps = n
		out = append(out, a)
	}
	return out, nil
}

// standing counts by function the steps that were put aside under key.
func (s *Store) standing(ctx context.Context, key string) (map[string]int, error) {
	members, err := s.c.ZRange(ctx, key, 0, mostAside-1).Result()
	if err != nil {
		return nil, fmt.Errorf("list steps at limits: %w", err)
	}
	out := map[string]int{}
	for _, m := range members { // "<function> <step>"
		function, _, _ := strings.Cut(m, " ")
		out[function]++
	}
	return out, nil
}

// mostLimits bounds at how many limits of a shard it is looked for steps that wait.
const mostLimits = 1000

// AtLimits counts by function the steps that were put aside at a limit or an exclusive key: of the limits that are looked at
// soonest, at most 1,000 a shard and 1,000 steps each.
func (s *Store) AtLimits(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	for i := range s.shards {
		sh := shard(i)
		timed, err := s.c.ZRange(ctx, sh.timed(), 0, mostLimits-1).Result()
		if err != nil {
			return nil, fmt.Errorf("list steps at limits: %w", err)
		}
		studio, err := s.c.SMembers(ctx, sh.waitedFor()).Result()
		if err != nil {
			return nil, fmt.Errorf("list steps at limits: %w", err)
		}
		var keys []string
		for _, id := range timed {
			production, name, _ := strings.Cut(id, ":")
			keys = append(keys, sh.aside(production, name))
		}
		for _, name := range studio {
			keys = append(keys, sh.asideStudio(name))
		}
		for _, key := range keys {
			functions, err := s.standing(ctx, key)
			if err != nil {
				return nil, err
			}
			for f, n := range functions {
				out[f] += n
			}
		}
	}
	return out, nil
}

// roomKept is how long it is known how much room a worker had.
const roomKept = time.Minute

// mostRoom bounds of how many workers it is kept.
const mostRoom = 1000

// SetRoom keeps how many slots workers have.
func (s *Store) SetRoom(ctx context.Context, slots map[string]int) error {
	if len(slots) == 0 {
		return nil
	}
	n, err := s.c.HLen(ctx, roomKey()).Result()
	if err != nil {
		return fmt.Errorf("keep room: %w", err)
	}
	pipe := s.c.Pipeline()
	if n > mostRoom {
		pipe.Del(ctx, roomKey()) // most of them are gone; those that are there say it again soon
	}
	for worker, n := range slots {
		pipe.HSet(ctx, roomKey(), worker, n)
	}
	pipe.Expire(ctx, roomKey(), roomKept)
	_, err = pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep room: %w", err)
	}
	return nil
}

// Room returns how many slots workers have.
func (s *Store) Room(ctx context.Context) (map[string]int, error) {
	got, err := s.c.HGetAll(ctx, roomKey()).Result()
	if err != nil {
		return nil, fmt.Errorf("read room: %w", err)
	}
	out := map[string]int{}
	for worker, n := range got {
		out[worker] = number(n)
	}
	return out, nil
}
