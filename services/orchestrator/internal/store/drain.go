package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrDraining says that a worker is to get nothing new.
var ErrDraining = errors.New("the worker is drained")

// drainKept is how long a worker stays drained that does not call any more: longer than an outage in which it lives on, as
// the same process comes back under the same name.
const drainKept = 10 * time.Minute

// Drain hands nothing new to a worker, or, with on false, hands it steps again. Doing so again is harmless. One that failed
// half-way holds for a part of the productions, and is not shown until it is repeated.
func (s *Store) Drain(ctx context.Context, worker string, on bool) error {
	for n := s.shards - 1; n >= 0; n-- { // Draining looks at the first
		var err error
		if on {
			err = s.c.Set(ctx, shard(n).drained(worker), drainKept.Milliseconds(), drainKept).Err()
		} else {
			err = s.c.Del(ctx, shard(n).drained(worker)).Err()
		}
		if err != nil {
			return fmt.Errorf("drain a worker: %w", err)
		}
	}
	return nil
}

// Draining says which of workers take nothing new.
func (s *Store) Draining(ctx context.Context, workers []string) (map[string]bool, error) {
	out := map[string]bool{}
	for len(workers) > 0 {
		part := workers[:min(len(workers), slice)]
		workers = workers[len(part):]
		pipe := s.c.Pipeline()
		for _, w := range part {
			pipe.Exists(ctx, shard(0).drained(w))
		}
		cmds, err := pipe.Exec(ctx)
		if err != nil {
			return nil, fmt.Errorf("which workers are drained: %w", err)
		}
		for i, cmd := range cmds {
			n, ok := cmd.(interface{ Val() int64 })
			out[part[i]] = ok && n.Val() > 0
		}
	}
	return out, nil
}
