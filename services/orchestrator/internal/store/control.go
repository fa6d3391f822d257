package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Function is how a function stands.
type Function struct {
	Name           string
	Ready, Running int
	// Oldest is how long the first ready step has waited past what it was due by; 0 when none is ready.
	Oldest  time.Duration
	Workers []FunctionWorker
	// Paused for all productions.
	Paused bool
}

// FunctionWorker is a worker that serves a function.
type FunctionWorker struct {
	Name    string
	Running int
	Seen    time.Time
	// Draining: it takes nothing new.
	Draining bool
}

// servingFor is how long a worker counts as there after it last called. One that is full calls every third of a lease.
const servingFor = 30 * time.Second

// Functions lists every function that definitions name or workers announce.
func (s *Store) Functions(ctx context.Context) ([]Function, error) {
	byName := map[string]*Function{}
	now, err := s.c.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("list functions: %w", err)
	}
	for n := range s.shards {
		err := s.functionsOf(ctx, shard(n), now, byName)
		if err != nil {
			return nil, fmt.Errorf("list functions: %w", err)
		}
	}
	var workers []string
	for _, f := range byName {
		for _, w := range f.Workers {
			workers = append(workers, w.Name)
		}
	}
	slices.Sort(workers)
	draining, err := s.Draining(ctx, slices.Compact(workers))
	if err != nil {
		return nil, fmt.Errorf("list functions: %w", err)
	}
	var out []Function
	for _, f := range byName {
		for i, w := range f.Workers {
			f.Workers[i].Draining = draining[w.Name]
		}
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (s *Store) functionsOf(ctx context.Context, sh shard, now time.Time, byName map[string]*Function) error {
	names, err := s.c.SMembers(ctx, sh.functions()).Result()
	if err != nil {
		return err
	}
	paused, err := s.c.SMembers(ctx, sh.paused()).Result()
	if err != nil {
		return err
	}
	for _, name := range names {
		f := byName[name]
		if f == nil {
			f = &Function{Name: name}
			byName[name] = f
		}
		f.Paused = f.Paused || slices.Contains(paused, "f "+name)
		productions, err := s.c.ZRange(ctx, sh.index(name), 0, -1).Result()
		if err != nil {
			return err
		}
		for _, p := range productions {
			n, err := s.c.ZCard(ctx, sh.queue(name, p)).Result()
			if err != nil {
				return err
			}
			f.Ready += int(n)
			first, err := s.c.ZRange(ctx, sh.queue(name, p), 0, 0).Result()
			if err != nil {
				return err
			}
			for _, member := range first {
				f.Oldest = max(f.Oldest, s.waited(ctx, sh, member, now))
			}
		}
		workers, err := s.c.ZRangeByScoreWithScores(ctx, sh.serving(name), &redis.ZRangeBy{
			Min: strconv.FormatInt(now.Add(-servingFor).UnixMilli(), 10), Max: "+inf"}).Result()
		if err != nil {
			return err
		}
		for _, w := range workers {
			worker, _ := w.Member.(string)
			n, err := s.c.ZCard(ctx, sh.leases(worker)).Result()
			if err != nil {
				return err
			}
			f.Running += int(n)
			i := slices.IndexFunc(f.Workers, func(had FunctionWorker) bool { return had.Name == worker })
			if i < 0 {
				f.Workers = append(f.Workers, FunctionWorker{Name: worker, Seen: time.UnixMilli(int64(w.Score))})
				i = len(f.Workers) - 1
			}
			f.Workers[i].Running += int(n)
		}
	}
	return nil
}

// waited is for how long a ready step has been so, as far as its record tells: since its distribution began, or since it
// was tried last.
func (s *Store) waited(ctx context.Context, sh shard, member string, now time.Time) time.Duration {
	ref, err := parseMember(sh, member, 0)
	if err != nil {
		return 0
	}
	last, err := s.c.HGet(ctx, sh.unit(ref.Distribution, ref.Unit.String()), ref.Step+".at").Result()
	if err != nil || last == "" {
		last, err = s.c.HGet(ctx, sh.dist(ref.Distribution), "created").Result()
	}
	if err != nil {
		return 0
	}
	return max(0, now.Sub(at(last)))
}

// Announce remembers that definitions or workers know functions, so that Functions lists them.
func (s *Store) Announce(ctx context.Context, functions []string) error {
	for n := range s.shards {
		members := make([]any, len(functions))
		for i, f := range functions {
			members[i] = f
		}
		err := s.c.SAdd(ctx, shard(n).functions(), members...).Err()
		if err != nil {
			return fmt.Errorf("announce functions: %w", err)
		}
	}
	return nil
}

// Hold stops handing out steps, or, with on false, lets them go on: of a function, a production, or of a function in a
// production. Doing so again is harmless.
func (s *Store) Hold(ctx context.Context, production, function string, on bool) error {
	shards := []shard{}
	member := "f " + function
	if production != "" {
		shards = append(shards, s.shardOf(production))
		member = "p " + production
		if function != "" {
			member = "b " + function + " " + production
		}
	} else {
		for n := range s.shards {
			shards = append(shards, shard(n))
		}
	}
	for _, sh := range shards {
		err := s.holdIn(ctx, sh, production, function, member, on)
		if err != nil {
			return fmt.Errorf("hold %s: %w", member, err)
		}
	}
	return nil
}

func (s *Store) holdIn(ctx context.Context, sh shard, production, function, member string, on bool) error {
	if on {
		return s.c.SAdd(ctx, sh.paused(), member).Err()
	}
	_, err := releaseScript.run(ctx, s.c, []string{sh.paused(), sh.passes(), sh.functions()}, member, production, function)
	return err
}

// Held is one pause; an empty field means all.
type Held struct{ Production, Function string }

// Holds lists what is paused, and the weights that were set, by production.
func (s *Store) Holds(ctx context.Context) ([]Held, map[string]int, error) {
	seen := map[Held]bool{}
	weights := map[string]int{}
	for n := range s.shards {
		members, err := s.c.SMembers(ctx, shard(n).paused()).Result()
		if err != nil {
			return nil, nil, fmt.Errorf("list pauses: %w", err)
		}
		for _, m := range members {
			f := strings.Fields(m)
			switch {
			case len(f) == 2 && f[0] == "f":
				seen[Held{Function: f[1]}] = true
			case len(f) == 2 && f[0] == "p":
				seen[Held{Production: f[1]}] = true
			case len(f) == 3:
				seen[Held{Function: f[1], Production: f[2]}] = true
			}
		}
		set, err := s.c.HGetAll(ctx, shard(n).weights()).Result()
		if err != nil {
			return nil, nil, fmt.Errorf("list weights: %w", err)
		}
		for p, w := range set {
			weights[p] = number(w)
		}
	}
	var out []Held
	for h := range seen {
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b Held) int {
		return strings.Compare(a.Production+" "+a.Function, b.Production+" "+b.Function)
	})
	return out, weights, nil
}

// SetWeight sets a production's share of the workers, relative to others'.
func (s *Store) SetWeight(ctx context.Context, production string, weight int) error {
	err := s.c.HSet(ctx, s.shardOf(production).weights(), production, weight).Err()
	if err != nil {
		return fmt.Errorf("set weight: %w", err)
	}
	return nil
}

// Held lists the steps that workers have now, without their attempts: those of one production, of one worker, or both; empty
// is any. Of a worker with very many it lists the first.
func (s *Store) Held(ctx context.Context, production, worker string) ([]Ref, error) {
	var out []Ref
	for n := range s.shards {
		sh := shard(n)
		if production != "" && sh != s.shardOf(production) {
			continue
		}
		workers, most := []string{worker}, int64(slice-1)
		if worker == "" {
			most = -1
			var err error
			workers, err = s.c.ZRange(ctx, sh.workers(), 0, -1).Result()
			if err != nil {
				return nil, fmt.Errorf("list held: %w", err)
			}
		}
		for _, w := range workers {
			members, err := s.c.ZRange(ctx, sh.leases(w), 0, most).Result()
			if err != nil {
				return nil, fmt.Errorf("list held: %w", err)
			}
			for _, m := range members {
				ref, err := parseMember(sh, m, 0)
				if err != nil {
					return nil, err
				}
				if production != "" {
					of, err := s.Production(ctx, ref)
					if err != nil || of != production {
						continue
					}
				}
				out = append(out, ref)
			}
		}
	}
	return out, nil
}
