package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Forget deletes distributions that ended longer than after ago, at most n of each shard, and returns how many. What is cut
// short goes on with the next call.
func (s *Store) Forget(ctx context.Context, after time.Duration, n int) (int, error) {
	now, err := s.c.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("forget: %w", err)
	}
	gone := 0
	for i := range s.shards {
		sh := shard(i)
		ids, err := s.c.ZRangeByScore(ctx, sh.ended(), &redis.ZRangeBy{
			Min: "-inf", Max: strconv.FormatInt(now.Add(-after).UnixMilli(), 10), Count: int64(n)}).Result()
		if err != nil {
			return gone, fmt.Errorf("forget: %w", err)
		}
		for _, id := range ids {
			err = s.forget(ctx, sh, id)
			if err != nil {
				return gone, fmt.Errorf("forget %s: %w", id, err)
			}
			gone++
		}
	}
	return gone, nil
}

// forget deletes everything of one distribution, its own record last, since that says how much there is.
func (s *Store) forget(ctx context.Context, sh shard, id string) error {
	h, err := s.c.HMGet(ctx, sh.dist(id), "production", "files", "recipients", "state").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	production, _ := h[0].(string)
	text := func(i int) int { v, _ := h[i].(string); return number(v) }
	state, _ := h[3].(string)
	if production == "" || !plan.DistributionState(state).Final() {
		return s.c.ZRem(ctx, sh.ended(), id).Err() // deleted before, or revived since
	}
	err = s.c.ZRem(ctx, sh.list(production), id).Err()
	if err != nil {
		return err
	}
	size := plan.Size{Files: text(1), Recipients: text(2)}
	for from := 0; from < size.Units(); from += slice {
		var keys []string
		for n := from; n < min(from+slice, size.Units()); n++ {
			u := size.UnitAt(n).String()
			keys = append(keys, sh.unit(id, u), sh.long(id, u))
		}
		err = s.c.Unlink(ctx, keys...).Err()
		if err != nil {
			return err
		}
	}
	err = s.c.Unlink(ctx, sh.events(id), sh.spec(id), sh.recipients(id), sh.kids(id), sh.asks(id), sh.dist(id)).Err()
	if err != nil {
		return err
	}
	return s.c.ZRem(ctx, sh.ended(), id).Err()
}
