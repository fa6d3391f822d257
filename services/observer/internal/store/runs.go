package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrNotFound: nobody told of it.
	ErrNotFound = errors.New("not found")
	// ErrEnded: it had ended; what was told then stands.
	ErrEnded = errors.New("ended before")
)

// RunsKept is how long a run is kept after it was last told of.
const RunsKept = 90 * 24 * time.Hour

// Run is something that a program did itself, as it told of it. Told is kept as it is; the store does not look into it.
type Run struct {
	Production, ID string
	State          string
	Told           []byte
	At             time.Time // when it was told
}

var runScript = source("run")

func runKey(production, id string) string { return key("run", production, id) }
func runsKey(production string) string    { return key("runs", production) } // zset: id → when told
func allRunsKey() string                  { return key("runs") }             // zset: production/id → when told

// PutRun keeps what is told of a run; ended says that it is the last word. ErrEnded comes with what was told before.
func (s *Store) PutRun(ctx context.Context, r Run, ended bool) ([]byte, error) {
	last := "0"
	if ended {
		last = "1"
	}
	code, text, err := s.run(ctx, runScript, []string{runKey(r.Production, r.ID), runsKey(r.Production), allRunsKey()},
		r.Told, r.State, r.ID, r.Production+"/"+r.ID, last, int(RunsKept.Seconds()))
	if err != nil {
		return nil, fmt.Errorf("keep run %s: %w", r.ID, err)
	}
	if code == 2 {
		return []byte(text), ErrEnded
	}
	return r.Told, nil
}

// Run returns a run. ErrNotFound.
func (s *Store) Run(ctx context.Context, production, id string) (Run, error) {
	got, err := s.runs(ctx, []string{production + "/" + id})
	if err != nil {
		return Run{}, err
	}
	if len(got) == 0 {
		return Run{}, ErrNotFound
	}
	return got[0], nil
}

func (s *Store) runs(ctx context.Context, names []string) ([]Run, error) {
	if len(names) == 0 {
		return nil, nil
	}
	pipe := s.c.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(names))
	for i, name := range names {
		production, id, _ := strings.Cut(name, "/")
		cmds[i] = pipe.HGetAll(ctx, runKey(production, id))
	}
	_, err := pipe.Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	var out []Run
	for i, cmd := range cmds {
		h := cmd.Val()
		if len(h) == 0 {
			continue // kept long enough
		}
		production, id, _ := strings.Cut(names[i], "/")
		ms, _ := strconv.ParseInt(h["at"], 10, 64) // written by run.lua
		out = append(out, Run{Production: production, ID: id, State: h["state"], Told: []byte(h["told"]), At: time.UnixMilli(ms)})
	}
	return out, nil
}

// RunsSince lists at most n runs of all productions that were told of at a moment or later, the first first. Whoever goes on
// from the moment of the last one may see some again.
func (s *Store) RunsSince(ctx context.Context, since time.Time, n int) ([]Run, error) {
	names, err := s.c.ZRangeByScore(ctx, allRunsKey(), &redis.ZRangeBy{
		Min: strconv.FormatInt(since.UnixMilli(), 10), Max: "+inf", Count: int64(n)}).Result()
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return s.runs(ctx, names)
}

// RunsLately lists at most n runs of all productions that were told of at a moment or later, the last first.
func (s *Store) RunsLately(ctx context.Context, since time.Time, n int) ([]Run, error) {
	names, err := s.c.ZRevRangeByScore(ctx, allRunsKey(), &redis.ZRangeBy{
		Min: strconv.FormatInt(since.UnixMilli(), 10), Max: "+inf", Count: int64(n)}).Result()
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return s.runs(ctx, names)
}

// Runs lists a production's runs, those told of last first, from the nth on; at most n.
func (s *Store) Runs(ctx context.Context, production string, from, n int) ([]Run, error) {
	ids, err := s.c.ZRevRange(ctx, runsKey(production), int64(from), int64(from+n-1)).Result()
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	for i, id := range ids {
		ids[i] = production + "/" + id
	}
	return s.runs(ctx, ids)
}

// ForgetRuns drops from the lists what was kept long enough.
func (s *Store) ForgetRuns(ctx context.Context) error {
	now, err := s.c.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("forget runs: %w", err)
	}
	before := strconv.FormatInt(now.Add(-RunsKept).UnixMilli(), 10)
	for {
		names, err := s.c.ZRangeByScore(ctx, allRunsKey(), &redis.ZRangeBy{Min: "-inf", Max: before, Count: 100}).Result()
		if err != nil {
			return fmt.Errorf("forget runs: %w", err)
		}
		if len(names) == 0 {
			return nil
		}
		pipe := s.c.Pipeline()
		for _, name := range names {
			production, id, _ := strings.Cut(name, "/")
			pipe.ZRem(ctx, runsKey(production), id)
			pipe.ZRem(ctx, allRunsKey(), name)
		}
		_, err = pipe.Exec(ctx)
		if err != nil {
			return fmt.Errorf("forget runs: %w", err)
		}
	}
}
