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

// Schema is the version of the records: their keys, their fields and what these mean. It grows when somebody who reads them
// by an older one would misread them; what is merely added leaves it alone.
const Schema = 1

var (
	// ErrSchema: the records are of a version that this release does not know.
	ErrSchema = errors.New("records of another version")
	// ErrEmpty: no orchestrator has ever run on this Redis.
	ErrEmpty = errors.New("no orchestrator has run on this Redis yet")
)

// OpenReader returns the store on c for whoever only reads; nothing is written, so that c may be a replica. ErrEmpty,
// ErrSchema.
func OpenReader(ctx context.Context, c redis.UniversalClient) (*Store, error) {
	n, err := read(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Store{c: c, shards: n}, nil
}

// read returns the number of shards, and refuses records of another version.
func read(ctx context.Context, c redis.UniversalClient) (int, error) {
	got, err := c.HMGet(ctx, metaKey(), "shards", "schema").Result()
	if err != nil {
		return 0, err
	}
	shards, _ := got[0].(string)
	if shards == "" {
		return 0, ErrEmpty
	}
	n, err := strconv.Atoi(shards)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("the number of shards is %q", shards)
	}
	// What releases before there was a version wrote is of the first.
	schema, ok := got[1].(string)
	if ok && schema != strconv.Itoa(Schema) {
		return 0, fmt.Errorf("%w: they are of version %s, and this release knows version %d", ErrSchema, schema, Schema)
	}
	return n, nil
}

// beatsKept is how long an orchestrator that is gone is remembered, the newest excepted.
const beatsKept = 24 * time.Hour

// Beat says that orchestrator name is there.
func (s *Store) Beat(ctx context.Context, name string) error {
	now, err := s.c.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("beat: %w", err)
	}
	pipe := s.c.Pipeline()
	pipe.ZAdd(ctx, beatsKey(), redis.Z{Score: float64(now.UnixMilli()), Member: name})
	pipe.ZRemRangeByScore(ctx, beatsKey(), "-inf", strconv.FormatInt(now.Add(-beatsKept).UnixMilli(), 10))
	_, err = pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("beat: %w", err)
	}
	return nil
}

// Beats returns Redis's time, and when each orchestrator was there last.
func (s *Store) Beats(ctx context.Context) (now time.Time, seen map[string]time.Time, err error) {
	now, err = s.c.Time(ctx).Result()
	if err != nil {
		return now, nil, fmt.Errorf("read beats: %w", err)
	}
	got, err := s.c.ZRangeWithScores(ctx, beatsKey(), 0, -1).Result()
	if err != nil {
		return now, nil, fmt.Errorf("read beats: %w", err)
	}
	seen = map[string]time.Time{}
	for _, z := range got {
		name, _ := z.Member.(string)
		seen[name] = time.UnixMilli(int64(z.Score))
	}
	return now, seen, nil
}

// Change is one word that a distribution changed.
type Change struct {
	Production, Distribution string
	Time                     time.Time
}

// Changed returns at most n words of each shard that came after a position ("" is the oldest that is kept, "$" is now), and
// the position after them. gap says that words between were thrown away before they were read. When there is none it
// waits so long, less when ctx ends.
func (s *Store) Changed(ctx context.Context, after string, n int, wait time.Duration) (all []Change, next string, gap bool, err error) {
	at, err := s.positions(ctx, after)
	if err != nil {
		return nil, after, false, err
	}
	until := time.Now().Add(wait)
	for {
		for i := range s.shards {
			got, lost, err := s.changedIn(ctx, shard(i), &at[i], n)
			if err != nil {
				return nil, after, false, err
			}
			all, gap = append(all, got...), gap || lost
		}
		// A look now and then, since a blocking read of several shards is no single command in a cluster.
		left := min(time.Until(until), 200*time.Millisecond)
		if len(all) > 0 || gap || left <= 0 {
			return all, strings.Join(at, ","), gap, nil
		}
		t := time.NewTimer(left)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, after, false, ctx.Err()
		case <-t.C:
		}
	}
}

// positions reads a position, or finds that of now.
func (s *Store) positions(ctx context.Context, after string) ([]string, error) {
	at := strings.Split(after, ",")
	if len(at) == s.shards && after != "" && after != "$" {
		return at, nil
	}
	at = make([]string, s.shards)
	for i := range at {
		at[i] = "0-0"
		if after != "$" {
			continue
		}
		last, err := s.c.XRevRangeN(ctx, shard(i).changed(), "+", "-", 1).Result()
		if err != nil {
			return nil, fmt.Errorf("follow changes: %w", err)
		}
		if len(last) > 0 {
			at[i] = last[0].ID
		}
	}
	return at, nil
}

func (s *Store) changedIn(ctx context.Context, sh shard, at *string, n int) (all []Change, lost bool, err error) {
	msgs, err := s.c.XRangeN(ctx, sh.changed(), "("+*at, "+", int64(n)).Result()
	if err != nil {
		return nil, false, fmt.Errorf("follow changes: %w", err)
	}
	if len(msgs) > 0 && *at != "0-0" {
		// Where the last word read is not there any more, others after it may have gone with it.
		had, err := s.c.XRangeN(ctx, sh.changed(), *at, *at, 1).Result()
		if err != nil {
			return nil, false, fmt.Errorf("follow changes: %w", err)
		}
		lost = len(had) == 0
	}
	for _, m := range msgs {
		c := Change{Time: Event{ID: m.ID}.Time()}
		c.Distribution, _ = m.Values["d"].(string)
		c.Production, _ = m.Values["p"].(string)
		all = append(all, c)
		*at = m.ID
	}
	return all, lost, nil
}
