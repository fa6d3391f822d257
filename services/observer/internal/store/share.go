package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

func shareKey() string { return key("share") } // hash: production/id → how often addresses of it were taken back

// ShareGeneration is how often addresses by which a distribution is shared were taken back.
func (s *Store) ShareGeneration(ctx context.Context, production, id string) (uint32, error) {
	n, err := s.c.HGet(ctx, shareKey(), production+"/"+id).Uint64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("read how often %s was unshared: %w", id, err)
	}
	return uint32(n), nil
}

// Unshare takes back all addresses by which a distribution is shared.
func (s *Store) Unshare(ctx context.Context, production, id string) error {
	err := s.c.HIncrBy(ctx, shareKey(), production+"/"+id, 1).Err()
	if err != nil {
		return fmt.Errorf("unshare %s: %w", id, err)
	}
	return nil
}
