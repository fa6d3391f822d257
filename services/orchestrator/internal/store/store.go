// Package store keeps distributions in Redis: one Lua script is one transition with everything that must agree with it,
// guarded by the step's state and attempt, so that applying it twice answers "already so". It stores what package plan
// decides and decides nothing itself.
//
// All methods are safe for concurrent use by any number of processes. An error of theirs means that nothing is known of
// the outcome: repeat the call. Time is Redis's.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

var (
	// ErrNotFound: there is no such distribution in that production.
	ErrNotFound = errors.New("distribution not found")
	// ErrConflict: the idempotency key was used for another request.
	ErrConflict = errors.New("idempotency key used for another request")
	// ErrEnded: the distribution has ended.
	ErrEnded = errors.New("distribution has ended")
	// ErrChanged: something changed meanwhile; look again.
	ErrChanged = errors.New("changed meanwhile")
	// ErrCancelled: the distribution was cancelled.
	ErrCancelled = errors.New("distribution was cancelled")
	// ErrTaken: somebody else goes on with this chore.
	ErrTaken = errors.New("chore taken by another")
)

// Lease is how long a worker owns a task without renewing.
const Lease = 10 * time.Second

// slice is how many ids one script touches at most.
const slice = 100

// keepIdempotency is how long an idempotency key is remembered.
const keepIdempotency = 48 * time.Hour

// Store is the orchestrator's part of Redis.
type Store struct {
	c      redis.UniversalClient
	shards int
}

// Open returns the store on c. shards is used on the very first start and fixed then; 0 means 1.
func Open(ctx context.Context, c redis.UniversalClient, shards int) (*Store, error) {
	err := c.HSetNX(ctx, metaKey(), "shards", max(shards, 1)).Err()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	n, err := c.HGet(ctx, metaKey(), "shards").Int()
	if err != nil || n < 1 {
		return nil, fmt.Errorf("open store: read the number of shards: %w", err)
	}
	return &Store{c: c, shards: n}, nil
}

func (s *Store) shardOf(production string) shard { return shardOf(production, s.shards) }

// Ping returns nil if Redis answers.
func (s *Store) Ping(ctx context.Context) error { return s.c.Ping(ctx).Err() }

// Recipient is a person as addressed by one distribution.
type Recipient struct {
	Name   string            `json:"name"`
	Email  string            `json:"email"`
	Fields map[string]string `json:"fields,omitempty"`
	// Revision counts how often a person had something sent to this recipient again; it is part of the delivery's identity.
	Revision int `json:"revision,omitempty"`
	// Mails counts further mails for the same delivery, when a retry made documents that the first one lacked.
	Mails int `json:"mails,omitempty"`
	// Sent is the digest of what was sent last, so that a retry that made nothing new sends nothing again.
	Sent string `json:"sent,omitempty"`
}

// New is a distribution to be created.
type New struct {
	ID         string
	Production string
	// Key and Hash make creation idempotent: the same key with the same hash finds the first one again.
	Key, Hash  string
	Definition *plan.Definition
	Size       plan.Size
	// Spec is kept as it is; the store does not look into it.
	Spec       []byte
	Recipients []Recipient
	// HoldFor is the undo window: what reaches people waits until it is over.
	HoldFor time.Duration
}

// Create stores n and returns its id, or the id of the distribution that the same key and hash made before. Once it has
// returned nil nothing of n is lost. ErrConflict: the key was used with another hash.
func (s *Store) Create(ctx context.Context, n New) (string, error) {
	sh := s.shardOf(n.Production)
	err := s.stage(ctx, sh, n)
	if err != nil {
		return "", fmt.Errorf("create: stage recipients: %w", err)
	}
	args := []any{
		n.ID, n.Hash, int(keepIdempotency.Seconds()), n.Spec,
		plan.Deadline(time.UnixMilli(0), n.Size).UnixMilli(), layoutChore(n.ID), n.HoldFor.Milliseconds(),
		"state", string(plan.Accepted), "production", n.Production,
		"def", n.Definition.Name, "defv", n.Definition.Version,
		"files", n.Size.Files, "recipients", n.Size.Recipients, "items", n.Size.Items(),
		"i:pending", n.Size.Items(),
	}
	steps := 0
	for _, st := range n.Definition.Steps {
		count := n.Size.Count(st.Scope)
		steps += count
		args = append(args, "s:"+st.Name+":"+string(first(n.Definition, &st)), count)
		if st.Delivers != "" {
			args = append(args, "v:"+string(plan.Queued), count)
		}
	}
	args = append(args, "open", steps)
	got, err := createScript.run(ctx, s.c, []string{
		sh.dist(n.ID), sh.events(n.ID), sh.spec(n.ID), sh.recipients(n.ID), sh.idempotency(n.Production, n.Key),
		sh.list(n.Production), sh.chores(), sh.open(), sh.changed(),
	}, args...)
	if err != nil {
		return "", err
	}
	if got.code != 1 && got.id != n.ID {
		_ = s.c.Del(ctx, sh.recipients(n.ID)).Err() // what was staged goes by itself in an hour
	}
	if got.code == 3 {
		return "", ErrConflict
	}
	return got.id, nil
}

// stage writes the recipients in slices before anything refers to them; they vanish by themselves if nobody comes to.
func (s *Store) stage(ctx context.Context, sh shard, n New) error {
	pipe := s.c.Pipeline()
	key := sh.recipients(n.ID)
	for from := 0; from < len(n.Recipients); from += slice {
		var values []any
		for i := from; i < min(from+slice, len(n.Recipients)); i++ {
			raw, err := json.Marshal(n.Recipients[i])
			if err != nil {
				return err
			}
			values = append(values, strconv.Itoa(i+1), raw)
		}
		pipe.HSet(ctx, key, values...)
		if from == 0 {
			pipe.Expire(ctx, key, time.Hour)
		}
	}
	_, err := pipe.Exec(ctx)
	return err
}

// first is the state in which a step is laid out.
func first(d *plan.Definition, st *plan.Step) plan.State {
	if len(st.Needs) == 0 {
		return plan.Ready
	}
	return plan.Pending
}

// Define keeps a definition's source under its name and version, and refuses another source for the same.
func (s *Store) Define(ctx context.Context, d *plan.Definition, source string) error {
	for n := range s.shards {
		key := shard(n).definition(d.Name)
		err := s.c.HSetNX(ctx, key, strconv.Itoa(d.Version), source).Err()
		if err != nil {
			return fmt.Errorf("define %s: %w", d.Name, err)
		}
		kept, err := s.c.HGet(ctx, key, strconv.Itoa(d.Version)).Result()
		if err != nil {
			return fmt.Errorf("define %s: %w", d.Name, err)
		}
		if kept != source {
			return fmt.Errorf("definition %s version %d was changed; a change needs a new version", d.Name, d.Version)
		}
	}
	return nil
}

// DefinitionSource returns the source of a definition as it was defined.
func (s *Store) DefinitionSource(ctx context.Context, production, name string, version int) (string, error) {
	source, err := s.c.HGet(ctx, s.shardOf(production).definition(name), strconv.Itoa(version)).Result()
	if err != nil {
		return "", fmt.Errorf("read definition %s@%d: %w", name, version, err)
	}
	return source, nil
}

// Cancel marks a distribution as cancelled by who: nothing of it starts any more; its steps are ended by a chore.
// Cancelling again is harmless. ErrEnded, ErrNotFound.
func (s *Store) Cancel(ctx context.Context, production, id, who string) error {
	sh := s.shardOf(production)
	args := []any{id, cancelChore(id), production, who}
	for _, st := range plan.DistributionStates {
		if st.Final() {
			args = append(args, string(st))
		}
	}
	code, err := cancelScript.run(ctx, s.c, []string{sh.dist(id), sh.events(id), sh.chores(), sh.changed()}, args...)
	if err != nil {
		return err
	}
	switch code {
	case 3:
		return ErrEnded
	case 4:
		return ErrNotFound
	}
	return nil
}
