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

// Change is one thing that changed, as it was written; the store does not look into it.
type Change struct {
	Time time.Time
	Said string
}

var changesScript = source("changes")

func knownKey() string   { return key("known") }   // string: how things were set and who was there
func changesKey() string { return key("changes") } // capped stream: what changed

// Known returns what SetKnown was given last; empty when it never was.
func (s *Store) Known(ctx context.Context) (string, error) {
	known, err := s.c.Get(ctx, knownKey()).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read what is known: %w", err)
	}
	return known, nil
}

// SetKnown keeps what is known now, and what changed since was, and reports whether it did: of several observers the first
// one does, and a change is written once.
func (s *Store) SetKnown(ctx context.Context, was, now string, changes []string) (bool, error) {
	args := []any{was, now}
	for _, c := range changes {
		args = append(args, c)
	}
	code, _, err := s.run(ctx, changesScript, []string{knownKey(), changesKey()}, args...)
	if err != nil {
		return false, fmt.Errorf("keep what changed: %w", err)
	}
	return code == 1, nil
}

// Changes lists the last n things that changed, the last first.
func (s *Store) Changes(ctx context.Context, n int) ([]Change, error) {
	msgs, err := s.c.XRevRangeN(ctx, changesKey(), "+", "-", int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("list what changed: %w", err)
	}
	out := make([]Change, len(msgs))
	for i, m := range msgs {
		ms, _, _ := strings.Cut(m.ID, "-")
		at, _ := strconv.ParseInt(ms, 10, 64) // Redis's own
		out[i].Time = time.UnixMilli(at)
		out[i].Said, _ = m.Values["c"].(string)
	}
	return out, nil
}
