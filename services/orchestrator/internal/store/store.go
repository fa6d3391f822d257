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
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
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

var inf = math.Inf(1)

// keepIdempotency is how long an idempotency key is remembered.
const keepIdempotency = 48 * time.Hour

// keepHidden is that of hidden distributions, which are many, and whose keys nobody repeats for long.
const keepHidden = time.Hour

// Store is the orchestrator's part of Redis.
type Store struct {
	// Clock is the time of schedules and webhooks in tests, set before use; nil is Redis's.
	Clock func() time.Time
	// OnEnd, set before use, is told of each distribution that ended by this store's doing, in which state; it must not wait.
	OnEnd func(production, id, state string)

	c      redis.UniversalClient
	shards int
	turn   atomic.Int64 // which shard a claim begins with
}

// Open returns the store on c. shards is used on the very first start and fixed then; 0 means 1.
func Open(ctx context.Context, c redis.UniversalClient, shards int) (*Store, error) {
	err := c.HSetNX(ctx, metaKey(), "shards", max(shards, 1)).Err()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	err = c.HSetNX(ctx, metaKey(), "schema", Schema).Err()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return OpenReader(ctx, c)
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
	// Asked is the digest of the key by which something was sent again last.
	Asked string `json:"asked,omitempty"`
	// Look is a mark of their own, given by a retry; nil: the distribution's.
	Look *Look `json:"look,omitempty"`
}

// Look is a mark: its template and its style.
type Look struct {
	Template string `json:"template"`
	Layout   string `json:"layout,omitempty"`
	Color    string `json:"color,omitempty"`
	Opacity  int32  `json:"opacity,omitempty"`
	Size     int32  `json:"size,omitempty"`
	Pages    string `json:"pages,omitempty"`
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
	// Priority is 0 to 9; Deadline is zero for that which its size gives.
	Priority int
	Deadline time.Time
	// Parent is the step that starts it; nil when a person does.
	Parent *Ref
	// Hidden leaves it out of the production's list: nobody sends anything by it.
	Hidden bool
	// Quota is what applies where the production has none of its own. What a step starts and what is hidden is never refused:
	// it belongs to what was accepted.
	Quota Quota
}

// Create stores n and returns its id, or the id of the distribution that the same key and hash made before. Once it has
// returned nil nothing of n is lost. ErrConflict: the key was used with another hash; *Beyond: the quota is used up, and
// nothing is kept of n.
func (s *Store) Create(ctx context.Context, n New) (string, error) {
	sh := s.shardOf(n.Production)
	// A few recipients go with the rest; many are staged first, so that no script is long.
	few := ""
	if len(n.Recipients) > 0 && len(n.Recipients) <= slice {
		raw, err := json.Marshal(numbered(n.Recipients))
		if err != nil {
			return "", err
		}
		few = string(raw)
	} else {
		err := s.stage(ctx, sh, n)
		if err != nil {
			return "", fmt.Errorf("create: stage recipients: %w", err)
		}
	}
	var functions []string
	for _, st := range n.Definition.Steps {
		functions = append(functions, st.Function)
	}
	deadline := strconv.FormatInt(plan.Deadline(time.UnixMilli(0).Add(n.HoldFor), n.Size).UnixMilli(), 10)
	if !n.Deadline.IsZero() {
		deadline = "=" + strconv.FormatInt(n.Deadline.UnixMilli(), 10)
	}
	listed, keep := "-", keepIdempotency
	if n.Hidden {
		listed, keep = "hidden", keepHidden
	}
	items, minute := n.Quota.args()
	if n.Parent != nil || n.Hidden {
		items = "-"
	}
	args := []any{
		n.ID, n.Hash, int(keep.Seconds()), n.Spec,
		deadline, layoutChore(n.ID), n.HoldFor.Milliseconds(),
		few, strings.Join(functions, " "), listed, n.Size.Items(), items, minute,
		"state", string(plan.Accepted), "production", n.Production,
		"def", n.Definition.Name, "defv", n.Definition.Version,
		"files", n.Size.Files, "recipients", n.Size.Recipients, "items", n.Size.Items(),
	}
	// As the counters of settle: what is made is counted by its recipient's delivery.
	if n.Definition.FirstPhase() == plan.PhaseMade {
		delivery := plan.NoDelivery
		_, delivers := n.Definition.Delivering()
		if delivers {
			delivery = plan.Queued
		}
		args = append(args, "m:"+string(delivery), n.Size.Items())
	} else {
		args = append(args, "i:"+string(plan.PhasePending), n.Size.Items())
	}
	steps := 0
	for _, st := range n.Definition.Steps {
		count := n.Size.Count(st.Scope)
		steps += count
		args = append(args, "s:"+st.Name+":"+string(first(n.Definition, &st)), count)
		if st.Delivers != "" {
			args = append(args, "v:"+string(plan.Queued), count, "dstep", st.Name)
		}
		if len(st.Limits) > 0 {
			args = append(args, "g:"+st.Name, strings.Join(st.Limits, " "))
		}
	}
	args = append(args, "open", steps)
	if n.Priority > 0 {
		args = append(args, "priority", n.Priority)
	}
	siblings := sh.list(n.Production)
	if n.Parent != nil {
		args = append(args, "parent", n.Parent.member())
		siblings = sh.kids(n.Parent.Distribution)
	}
	got, err := s.create(ctx, n, []string{
		sh.dist(n.ID), sh.events(n.ID), sh.spec(n.ID), sh.recipients(n.ID), sh.idempotency(n.Production, n.Key),
		sh.list(n.Production), sh.chores(), sh.open(), sh.changed(), siblings, sh.functions(),
		sh.quota(n.Production), sh.used(n.Production),
	}, args)
	if err != nil {
		return "", err
	}
	if got.code != 1 && got.id != n.ID {
		_ = s.c.Del(ctx, sh.recipients(n.ID)).Err() // what was staged goes by itself in an hour
	}
	switch got.code {
	case 3:
		return "", ErrConflict
	case 4, 5:
		return "", beyond(got, n.Size.Items())
	}
	return got.id, nil
}

// stage writes the recipients in slices before anything refers to them; they vanish by themselves if nobody comes to.
func (s *Store) stage(ctx context.Context, sh shard, n New) error {
	made, err := s.c.Exists(ctx, sh.dist(n.ID)).Result()
	if err != nil || made > 0 {
		return err // a repeat: what is there is in use, and must not be given an end
	}
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
	_, err = pipe.Exec(ctx)
	return err
}

// numbered are recipients by number, each as it is stored.
func numbered(all []Recipient) map[string]string {
	out := map[string]string{}
	for i, r := range all {
		raw, err := json.Marshal(r)
		if err != nil {
			panic(err) // strings and numbers only
		}
		out[strconv.Itoa(i+1)] = string(raw)
	}
	return out
}

// create runs create.lua, and for a small distribution layout.lua with it: one wait for the disk instead of two. What is not
// laid out now is by the chore.
func (s *Store) create(ctx context.Context, n New, keys []string, args []any) (created, error) {
	exclusive := slices.ContainsFunc(n.Definition.Steps, func(st plan.Step) bool { return st.Exclusive })
	if n.Size.Units() > slice || exclusive {
		return createScript.run(ctx, s.c, keys, args...)
	}
	sh := s.shardOf(n.Production)
	g := &Graph{plan: n.Definition, rules: Rules{Priority: n.Priority}}
	_, layoutArgs, err := layout(ctx, Chore{Distribution: n.ID, name: layoutChore(n.ID), Cursor: "0"}, g, n.Size, nil)
	if err != nil {
		return created{}, err
	}
	pipe := s.c.Pipeline()
	first := createScript.EvalSha(ctx, pipe, keys, args...)
	layoutScript.EvalSha(ctx, pipe, layoutKeys(sh, n.ID), layoutArgs...)
	_, err = pipe.Exec(ctx)
	if first.Err() != nil {
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			return createScript.run(ctx, s.c, keys, args...)
		}
		return created{}, fmt.Errorf("create: %w", first.Err())
	}
	got, err := createScript.decode(reply{first.Val()})
	if err != nil {
		return created{}, fmt.Errorf("create: %w", err)
	}
	return got, nil
}

// first is the state in which a step is laid out.
func first(d *plan.Definition, st *plan.Step) plan.State {
	if len(st.Needs) == 0 {
		return plan.Ready
	}
	return plan.Pending
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
	return ended(code)
}

// ended is the error of a script's code for a distribution that has ended or is not there.
func ended(code int) error {
	switch code {
	case 3:
		return ErrEnded
	case 4:
		return ErrNotFound
	}
	return nil
}

// Pause stops handing out a distribution's steps, or, with on false, lets it go on; a chore then queues its steps. Doing
// so again is harmless. ErrEnded, ErrNotFound.
func (s *Store) Pause(ctx context.Context, production, id, who string, on bool) error {
	sh := s.shardOf(production)
	args := []any{id, "", resumeChore(id), production, who}
	if on {
		args[1] = "1"
	}
	for _, st := range plan.DistributionStates {
		if st.Final() {
			args = append(args, string(st))
		}
	}
	code, err := pauseScript.run(ctx, s.c, []string{sh.dist(id), sh.events(id), sh.chores(), sh.changed()}, args...)
	if err != nil {
		return err
	}
	return ended(code)
}

// Children lists the distributions that steps of one started.
func (s *Store) Children(ctx context.Context, production, id string) ([]string, error) {
	ids, err := s.c.SMembers(ctx, s.shardOf(production).kids(id)).Result()
	if err != nil {
		return nil, fmt.Errorf("read children: %w", err)
	}
	slices.Sort(ids)
	return ids, nil
}
