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

// Batch is one operation on many distributions of a production.
type Batch struct {
	ID, Production, Operation string
	// Filter is kept as it is; the store does not look into it.
	Filter []byte
	By     string
	State  string // running, paused or done
	// Total is how many distributions there were when it was made; Counts is what became of those looked at.
	Total          int
	Counts         BatchCounts
	Created, Ended time.Time
	// Code and Message are the last failure.
	Code, Message string
	// Cursor is the distribution looked at last, Doing the one that something is being done to.
	Cursor, Doing string
}

// BatchCounts is how many distributions a batch looked at, of those how many it found, and of those how many it changed,
// had nothing to change in, and failed for.
type BatchCounts struct {
	Seen, Found, Changed, Unchanged, Failed int
}

// keepBatch is how long a batch is kept after it last moved.
const keepBatch = 30 * 24 * time.Hour

// CreateBatch stores b and returns its id, or the id of the batch that the same key and hash made before. ErrConflict: the
// key was used with another hash.
func (s *Store) CreateBatch(ctx context.Context, b Batch, key, hash string) (string, error) {
	sh := s.shardOf(b.Production)
	got, err := enlistScript.run(ctx, s.c, []string{sh.batch(b.ID), sh.idempotency(b.Production, "batch/"+key), sh.batchList(b.Production), sh.batches(), sh.list(b.Production)},
		b.ID, hash, int(keepIdempotency.Seconds()), int(keepBatch.Seconds()),
		"production", b.Production, "op", b.Operation, "filter", b.Filter, "by", b.By)
	if err != nil {
		return "", err
	}
	if got.code == 3 {
		return "", ErrConflict
	}
	return got.id, nil
}

// Batch returns a batch. ErrNotFound, also if it is another production's.
func (s *Store) Batch(ctx context.Context, production, id string) (*Batch, error) {
	h, err := s.c.HGetAll(ctx, s.shardOf(production).batch(id)).Result()
	if err != nil {
		return nil, fmt.Errorf("read batch: %w", err)
	}
	if h["production"] != production || len(h) == 0 {
		return nil, ErrNotFound
	}
	return &Batch{ID: id, Production: production, Operation: h["op"], Filter: []byte(h["filter"]), By: h["by"], State: h["state"],
		Total: number(h["total"]), Created: at(h["created"]), Ended: at(h["ended"]), Code: h["code"], Message: h["msg"],
		Counts: BatchCounts{Seen: number(h["seen"]), Found: number(h["found"]), Changed: number(h["changed"]),
			Unchanged: number(h["unchanged"]), Failed: number(h["failed"])},
		Cursor: h["cursor"], Doing: h["doing"]}, nil
}

// ListBatches returns a page of a production's batches, newest first, after the one that cursor names ("" for the first
// page), and the cursor of the next page, empty at the end.
func (s *Store) ListBatches(ctx context.Context, production, cursor string, n int) ([]*Batch, string, error) {
	key := s.shardOf(production).batchList(production)
	start := int64(0)
	if cursor != "" {
		rank, err := s.c.ZRevRank(ctx, key, cursor).Result()
		if errors.Is(err, redis.Nil) {
			return nil, "", ErrNotFound
		}
		if err != nil {
			return nil, "", fmt.Errorf("list batches: %w", err)
		}
		start = rank + 1
	}
	ids, err := s.c.ZRevRange(ctx, key, start, start+int64(n)).Result()
	if err != nil {
		return nil, "", fmt.Errorf("list batches: %w", err)
	}
	next := ""
	if len(ids) > n {
		ids = ids[:n]
		next = ids[n-1]
	}
	var out []*Batch
	for _, id := range ids {
		b, err := s.Batch(ctx, production, id)
		if errors.Is(err, ErrNotFound) {
			continue // kept long enough
		}
		if err != nil {
			return nil, "", err
		}
		out = append(out, b)
	}
	return out, next, nil
}

// HaltBatch pauses a batch, or lets it go on. ErrEnded: it is done. ErrNotFound.
func (s *Store) HaltBatch(ctx context.Context, production, id string, on bool) error {
	sh := s.shardOf(production)
	pause := ""
	if on {
		pause = "1"
	}
	code, err := haltScript.run(ctx, s.c, []string{sh.batch(id), sh.batches()}, id, production, pause, int(keepBatch.Seconds()))
	if err != nil {
		return err
	}
	return ended(code)
}

// Batches hands out at most ten batches under way per shard.
func (s *Store) Batches(ctx context.Context) ([]*Batch, error) {
	var out []*Batch
	for n := range s.shards {
		list, err := batchesScript.run(ctx, s.c, []string{shard(n).batches()}, choreHold.Milliseconds(), 10)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			f, err := e.strs()
			if err != nil || len(f) != 2 {
				return nil, fmt.Errorf("batches: %w", errShape)
			}
			b, err := s.Batch(ctx, f[1], f[0])
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
	}
	return out, nil
}

// Step is what becomes of a batch next.
type Step struct {
	// Cursor and Doing from now on.
	Cursor, Doing string
	Done          bool
	Counts        BatchCounts // added
	Code, Message string      // of a failure
	// Free lets anybody go on at once.
	Free bool
}

// Advance moves b, which it brings up to date. It reports whether to go on: not when the batch was paused. What was begun
// then is counted, and nothing is begun. ErrTaken: somebody else goes on.
func (s *Store) Advance(ctx context.Context, b *Batch, st Step) (bool, error) {
	sh := s.shardOf(b.Production)
	done, hold := "", choreHold.Milliseconds()
	if st.Done {
		done = "1"
	}
	if st.Free {
		hold = 0
	}
	args := []any{b.ID, b.Cursor, b.Doing, st.Cursor, st.Doing, done, int(keepBatch.Seconds()), hold, st.Code, st.Message}
	for _, c := range []struct {
		name string
		by   int
	}{{"seen", st.Counts.Seen}, {"found", st.Counts.Found}, {"changed", st.Counts.Changed}, {"unchanged", st.Counts.Unchanged}, {"failed", st.Counts.Failed}} {
		if c.by > 0 {
			args = append(args, c.name, c.by)
		}
	}
	code, err := advanceScript.run(ctx, s.c, []string{sh.batch(b.ID), sh.batches()}, args...)
	if err != nil {
		return false, err
	}
	if code == 0 {
		return false, ErrTaken
	}
	if code == 1 || st.Doing == "" {
		b.Cursor, b.Doing = st.Cursor, st.Doing
	}
	return code == 1, nil
}

// Next lists at most n distributions of a production after cursor, oldest first, that were there at a time, with the
// cursor of each.
func (s *Store) Next(ctx context.Context, production, cursor string, until time.Time, n int) ([]*Summary, []string, error) {
	sh := s.shardOf(production)
	from, after := "-inf", ""
	if cursor != "" {
		from, after, _ = strings.Cut(cursor, "/")
	}
	var ids, cursors []string
	// Those made in one millisecond are in the order of their ids; the first may have been seen.
	for offset := int64(0); len(ids) < n; {
		page, err := s.c.ZRangeByScoreWithScores(ctx, sh.list(production), &redis.ZRangeBy{
			Min: from, Max: strconv.FormatInt(until.UnixMilli(), 10), Offset: offset, Count: int64(n)}).Result()
		if err != nil {
			return nil, nil, fmt.Errorf("list: %w", err)
		}
		for _, z := range page {
			id, _ := z.Member.(string)
			score := strconv.FormatInt(int64(z.Score), 10)
			if len(ids) < n && (score != from || id > after) {
				ids, cursors = append(ids, id), append(cursors, score+"/"+id)
			}
		}
		if len(page) < n {
			break
		}
		offset += int64(n)
	}
	all, err := s.getAll(ctx, production, ids)
	return all, cursors, err
}
