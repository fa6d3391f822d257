package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Revoked is a link that a call revoked, or that was revoked before.
type Revoked struct {
	Hash string
	// Ended says that it was active until this call.
	Ended bool
}

// RevokeID revokes the link with this id, also one that is only being made. found is false when there is none to
// revoke, or it is of another distribution.
func (s *Store) RevokeID(ctx context.Context, production, distribution, id string) (r Revoked, found bool, err error) {
	got, err := s.run(ctx, s.scripts.revokeID, 1, []string{indexKey(production, id)}, distribution, tombstone.Milliseconds())
	if err != nil {
		return Revoked{}, false, fmt.Errorf("revoke a link by id: %w", err)
	}
	switch got.code {
	case "other":
		return Revoked{}, false, nil
	case "noted":
	default:
		return Revoked{}, false, got.unexpected()
	}
	hash := got.more[0]
	if hash == "" {
		return Revoked{}, false, nil
	}
	r, err = s.revoke(ctx, hash)
	return r, err == nil, err
}

// RevokeDistribution marks all links of a distribution as revoked, those to come included. It holds when it returns;
// what is left to do is to revoke Members one by one.
func (s *Store) RevokeDistribution(ctx context.Context, production, distribution string) error {
	r, err := s.run(ctx, s.scripts.revokeDistribution, 0,
		[]string{markerKey(production, distribution), membersKey(production, distribution)}, tombstone.Milliseconds())
	if err != nil {
		return fmt.Errorf("revoke a distribution: %w", err)
	}
	if r.code != "marked" {
		return r.unexpected()
	}
	return nil
}

// RevokeMembers revokes the links of a distribution, a page of them per call: those after the hash after. next is the
// after of the following page, empty when there is none.
func (s *Store) RevokeMembers(ctx context.Context, production, distribution, after string) (revoked []Revoked, next string, err error) {
	start := "-"
	if after != "" {
		start = "(" + after
	}
	hashes, err := s.redis.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: membersKey(production, distribution), Start: start, Stop: "+", ByLex: true, Count: page,
	}).Result()
	if err != nil {
		return nil, "", fmt.Errorf("list the links of a distribution: %w", err)
	}
	revoked = make([]Revoked, len(hashes))
	errs := make([]error, len(hashes))
	var wg sync.WaitGroup
	for i, hash := range hashes { // at once, so that they share the write to disk
		wg.Go(func() { revoked[i], errs[i] = s.revoke(ctx, hash) })
	}
	wg.Wait()
	err = errors.Join(errs...)
	if err != nil {
		return nil, "", err
	}
	if len(hashes) == page {
		next = hashes[page-1]
	}
	return revoked, next, nil
}

func (s *Store) revoke(ctx context.Context, hash string) (Revoked, error) {
	r, err := s.run(ctx, s.scripts.revokeLink, 0, []string{linkKey(hash)}, tombstone.Milliseconds())
	if err != nil {
		return Revoked{}, fmt.Errorf("revoke a link: %w", err)
	}
	switch r.code {
	case "ended", "expired", "already":
		return Revoked{Hash: hash, Ended: r.code == "ended"}, nil
	}
	return Revoked{}, r.unexpected()
}
