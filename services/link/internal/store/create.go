package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Claim is what a link's id stands for, from the first Create on.
type Claim struct {
	Hash       string // of the token
	Key        int    // number of the key that it is made with
	Generation int
}

// Content is what a link shows to its recipient.
type Content struct {
	Name      string     `json:"name"`
	Title     string     `json:"title"`
	Sender    string     `json:"sender"`
	Text      string     `json:"text"`
	Locked    bool       `json:"locked"`
	Missing   []string   `json:"missing"`
	Documents []Document `json:"documents"`
}

// Document is one copy.
type Document struct {
	Name      string `json:"name"`
	Key       string `json:"key"`
	SHA256    string `json:"sha256"`
	Size      int64  `json:"size"`
	Pages     int    `json:"pages"`
	MediaType string `json:"media_type"`
	Thumbnail string `json:"thumbnail"`
}

// Spec is a link to be made.
type Spec struct {
	Production, ID, Distribution, Mode string
	// Person is who it is for. It is stored as a digest.
	Person   string
	Lifetime time.Duration
	Content  Content
}

// Claim ties the id of a link to be made to candidate, or to what it was tied to before, and enters it among those of
// its distribution. ErrRevoked if it, or its distribution, was revoked; ErrOther if it is one of another distribution.
func (s *Store) Claim(ctx context.Context, spec Spec, candidate Claim) (Claim, error) {
	keep := max(spec.Lifetime+retention, tombstone)
	r, err := s.run(ctx, s.scripts.claim, 3, []string{indexKey(spec.Production, spec.ID)},
		candidate.Hash, candidate.Key, candidate.Generation, spec.Distribution, keep.Milliseconds())
	if err != nil {
		return Claim{}, fmt.Errorf("claim link: %w", err)
	}
	switch r.code {
	case "claimed", "exists":
	case "other":
		return Claim{}, ErrOther
	case "revoked":
		return Claim{}, ErrRevoked
	default:
		return Claim{}, r.unexpected()
	}
	claim, err := claimOf(r.more[0], r.more[1], r.more[2])
	if err != nil {
		return Claim{}, err
	}
	r, err = s.run(ctx, s.scripts.join, 0,
		[]string{markerKey(spec.Production, spec.Distribution), membersKey(spec.Production, spec.Distribution)},
		claim.Hash, keep.Milliseconds())
	if err != nil {
		return Claim{}, fmt.Errorf("enter link in its distribution: %w", err)
	}
	switch r.code {
	case "joined":
		return claim, nil
	case "revoked":
		return Claim{}, ErrRevoked
	}
	return Claim{}, r.unexpected()
}

// Put writes the record of a claimed link and returns when it expires. The same spec again changes nothing; another for
// the same person brings it up to date. ErrRevoked, ErrOther as for Claim.
func (s *Store) Put(ctx context.Context, spec Spec, claim Claim) (expires time.Time, err error) {
	content, err := json.Marshal(spec.Content)
	if err != nil {
		return time.Time{}, fmt.Errorf("put link: %w", err)
	}
	person := digest("person", spec.Production, spec.ID, spec.Person)
	r, err := s.run(ctx, s.scripts.put, 1, []string{linkKey(claim.Hash), contentKey(claim.Hash)},
		spec.ID, spec.Production, spec.Distribution, spec.Mode, claim.Generation, claim.Key, person,
		digest("request", spec.Lifetime.String(), string(content)), len(spec.Content.Documents),
		spec.Lifetime.Milliseconds(), retention.Milliseconds(), content)
	if err != nil {
		return time.Time{}, fmt.Errorf("put link: %w", err)
	}
	switch r.code {
	case "put", "exists":
		n, err := strconv.ParseInt(r.more[0], 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("put link: its end: %w", err)
		}
		return time.UnixMilli(n), nil
	case "other":
		return time.Time{}, ErrOther
	case "revoked":
		return time.Time{}, ErrRevoked
	}
	return time.Time{}, r.unexpected()
}

// Content returns what the link under hash shows, or ErrUnknown.
func (s *Store) Content(ctx context.Context, hash string) (Content, error) {
	data, err := s.redis.Get(ctx, contentKey(hash)).Bytes()
	if errors.Is(err, redis.Nil) {
		return Content{}, ErrUnknown
	}
	if err != nil {
		return Content{}, fmt.Errorf("read a link's content: %w", err)
	}
	var c Content
	err = json.Unmarshal(data, &c)
	if err != nil {
		return Content{}, fmt.Errorf("read a link's content: %w", err)
	}
	return c, nil
}

// Claims returns what ids stand for in production, in their order; the zero Claim for one that nobody made.
func (s *Store) Claims(ctx context.Context, production string, ids []string) ([]Claim, error) {
	claims := make([]Claim, len(ids))
	for start := 0; start < len(ids); start += page {
		end := min(start+page, len(ids))
		read := make([]*redis.SliceCmd, end-start)
		_, err := s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, id := range ids[start:end] {
				read[i] = p.HMGet(ctx, indexKey(production, id), "hash", "key", "generation")
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for links by id: %w", err)
		}
		for i, cmd := range read {
			v := cmd.Val()
			hash, _ := v[0].(string)
			key, _ := v[1].(string)
			generation, _ := v[2].(string)
			if hash == "" {
				continue // unknown, or revoked before it was made
			}
			claims[start+i], err = claimOf(hash, key, generation)
			if err != nil {
				return nil, err
			}
		}
	}
	return claims, nil
}

func claimOf(hash, key, generation string) (Claim, error) {
	n, err := strconv.Atoi(key)
	g, err2 := strconv.Atoi(generation)
	err = errors.Join(err, err2)
	if err != nil {
		return Claim{}, fmt.Errorf("entry of a link id: %w", err)
	}
	return Claim{Hash: hash, Key: n, Generation: g}, nil
}
