package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

var (
	// ErrOpen: the distribution has not ended.
	ErrOpen = errors.New("distribution has not ended")
	// ErrOutdated: it ended again since.
	ErrOutdated = errors.New("distribution ended at another time")
	// ErrOther: another archive was told of.
	ErrOther = errors.New("another archive of the same events is known")
	// ErrArchived: the events that were asked for are in the archive.
	ErrArchived = errors.New("events are in the archive")
)

// An Archive says what of a distribution is in the archive.
type Archive struct {
	Ended     time.Time // the end that it is of
	LastEvent string    // id of the last event that it has
	SHA256    string    // of its last segment
}

// Archived deletes a distribution's events that are in its archive, and says whether more happened since. Doing so again is
// harmless. ErrNotFound, ErrOpen, ErrOutdated, ErrOther.
func (s *Store) Archived(ctx context.Context, production, id string, a Archive) (more bool, err error) {
	next, err := nextID(a.LastEvent)
	if err != nil {
		return false, err
	}
	sh := s.shardOf(production)
	args := []any{production, a.Ended.UnixMilli(), a.LastEvent, next, a.SHA256}
	for _, st := range plan.DistributionStates {
		if st.Final() {
			args = append(args, string(st))
		}
	}
	got, err := archivedScript.run(ctx, s.c, []string{sh.dist(id), sh.events(id)}, args...)
	if err != nil {
		return false, err
	}
	if len(got) != 2 {
		return false, errShape
	}
	code, err := got[0].int()
	if err != nil {
		return false, err
	}
	later, err := got[1].int()
	if err != nil {
		return false, err
	}
	switch code {
	case 3:
		return false, ErrOpen
	case 4:
		return false, ErrNotFound
	case 5:
		return false, ErrOutdated
	case 6:
		return false, ErrOther
	}
	return later > 0, nil
}

// splitID is the two numbers of an event's id; of what is none the second is false.
func splitID(id string) (ms, n uint64, ok bool) {
	a, b, _ := strings.Cut(id, "-")
	ms, err1 := strconv.ParseUint(a, 10, 64)
	n, err2 := strconv.ParseUint(b, 10, 64)
	return ms, n, err1 == nil && (err2 == nil || b == "")
}

func nextID(id string) (string, error) {
	ms, n, ok := splitID(id)
	if !ok {
		return "", fmt.Errorf("%q is no event's id", id)
	}
	return fmt.Sprintf("%d-%d", ms, n+1), nil
}

// before says whether one event's id comes before another's.
func before(id, than string) bool {
	a, n, _ := splitID(id) // what is none comes first
	b, m, _ := splitID(than)
	return a < b || a == b && n < m
}

// Kept lists distributions that ended after a moment and of which there are events here, at most n of each shard that ended
// then, and up to when it looked: whoever goes on there misses none. Zero: there are no more.
func (s *Store) Kept(ctx context.Context, after time.Time, n int) (kept []*Summary, next time.Time, err error) {
	for i := range s.shards {
		sh := shard(i)
		found, err := s.c.ZRangeByScoreWithScores(ctx, sh.ended(), &redis.ZRangeBy{
			Min: "(" + strconv.FormatInt(after.UnixMilli(), 10), Max: "+inf", Count: int64(n)}).Result()
		if err != nil {
			return nil, next, fmt.Errorf("list ended distributions: %w", err)
		}
		if len(found) == 0 {
			continue
		}
		pipe := s.c.Pipeline()
		sizes := make([]*redis.IntCmd, len(found))
		for j, z := range found {
			id, _ := z.Member.(string)
			sizes[j] = pipe.XLen(ctx, sh.events(id))
		}
		_, err = pipe.Exec(ctx)
		if err != nil {
			return nil, next, fmt.Errorf("look for events: %w", err)
		}
		var ids []string
		for j, z := range found {
			if sizes[j].Val() > 0 {
				id, _ := z.Member.(string)
				ids = append(ids, id)
			}
		}
		got, err := s.inShard(ctx, sh, ids)
		if err != nil {
			return nil, next, err
		}
		kept = append(kept, got...)
		if len(found) < n {
			continue // all of this shard
		}
		last := time.UnixMilli(int64(found[len(found)-1].Score))
		first := time.UnixMilli(int64(found[0].Score))
		if last.After(first) {
			last = last.Add(-time.Millisecond) // others may have ended in the same one
		}
		if next.IsZero() || last.Before(next) {
			next = last
		}
	}
	return kept, next, nil
}
