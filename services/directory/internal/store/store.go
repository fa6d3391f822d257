// Package store keeps directory's records in Redis: productions, tokens, files, devices, sealed credentials, and the
// audit of what was revealed.
//
// What belongs to a production is reached through a Tenant only, which In gives to who may act there; so a caller that
// forgot to check finds nothing. Every write is one script, and repeating it changes nothing.
package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrNoProduction: there is no such production, or who asks may not act in it.
	ErrNoProduction = errors.New("production unknown")
	// ErrNoFile: the production has no such file.
	ErrNoFile = errors.New("file unknown")
	// ErrNoToken: there is no such token, or it was revoked.
	ErrNoToken = errors.New("token unknown")
	// ErrRevoked: the secret was a token's that was revoked, and will not be one again.
	ErrRevoked = errors.New("token revoked")
)

// maxPage is how many records one page has at most.
const maxPage = 1000

// Store is the records of one installation. It is safe for concurrent use.
type Store struct {
	redis   redis.UniversalClient
	scripts scripts
}

// New returns the store in client, which stays the caller's to close.
func New(client redis.UniversalClient) *Store {
	return &Store{redis: client, scripts: newScripts()}
}

// Grant says where somebody may act.
type Grant struct {
	All         bool
	Productions []string
}

// Allows reports whether production is one of them.
func (g Grant) Allows(production string) bool {
	return g.All || slices.Contains(g.Productions, production)
}

// Covers reports whether all that other allows is allowed.
func (g Grant) Covers(other Grant) bool {
	return g.All || !other.All && !slices.ContainsFunc(other.Productions, func(p string) bool { return !g.Allows(p) })
}

// Everywhere is the grant of the installation itself.
func Everywhere() Grant { return Grant{All: true} }

// Production is a tenant's record.
type Production struct {
	ID      string
	Name    string
	Created time.Time
	Settings
}

// Settings are what may be changed of a production.
type Settings struct {
	// OpenRestricted takes documents that are encrypted but open without a password.
	OpenRestricted bool
}

var productionID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ValidProduction reports whether id can be a production's.
func ValidProduction(id string) bool { return productionID.MatchString(id) }

// CreateProduction makes a production, or returns the one that has this id already, whatever its name and settings.
func (s *Store) CreateProduction(ctx context.Context, id, name string, set Settings) (Production, error) {
	if !ValidProduction(id) {
		return Production{}, fmt.Errorf("create production: %q is no id for one", id)
	}
	// The index lies in another slot than the record, so two writes: an id in the index without a record is passed over
	// by lists and completed by a repeat; a record that lists never find would not be noticed.
	err := s.redis.ZAdd(ctx, productionsKey(), redis.Z{Member: id}).Err()
	if err != nil {
		return Production{}, fmt.Errorf("create production %s: %w", id, err)
	}
	r, err := s.run(ctx, s.scripts.productionCreate, 3, []string{productionKey(id)}, name, flag(set.OpenRestricted))
	if err != nil {
		return Production{}, fmt.Errorf("create production %s: %w", id, err)
	}
	switch r.code {
	case "created", "exists":
		created, err := millis(r.more[1])
		return Production{ID: id, Name: r.more[0], Created: created, Settings: Settings{OpenRestricted: r.more[2] == on}}, err
	}
	return Production{}, r.unexpected()
}

// on is how a setting that is on is recorded; one that is off is empty, or not there at all.
const on = "1"

func flag(b bool) string {
	if b {
		return on
	}
	return ""
}

// Productions returns up to limit productions that grant allows, in the order of their ids, from the first id after
// after. next is the after of the following page, empty when there is none.
func (s *Store) Productions(ctx context.Context, grant Grant, after string, limit int) (page []Production, next string, err error) {
	limit = min(limit, maxPage)
	for {
		ids, err := s.productionIDs(ctx, grant, after, limit+1)
		if err != nil {
			return nil, "", fmt.Errorf("list productions: %w", err)
		}
		more := len(ids) > limit
		ids = ids[:min(len(ids), limit)]
		found, err := s.productions(ctx, ids)
		if err != nil {
			return nil, "", fmt.Errorf("list productions: %w", err)
		}
		for _, p := range found {
			if len(page) == limit {
				return page, page[limit-1].ID, nil
			}
			page = append(page, p)
		}
		if !more {
			return page, "", nil
		}
		after = ids[len(ids)-1]
		if len(page) == limit {
			return page, after, nil
		}
	}
}

func (s *Store) productionIDs(ctx context.Context, grant Grant, after string, limit int) ([]string, error) {
	if grant.All {
		from := "-"
		if after != "" {
			from = "(" + after
		}
		return s.redis.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: productionsKey(), Start: from, Stop: "+", ByLex: true, Count: int64(limit),
		}).Result()
	}
	ids := slices.Clone(grant.Productions)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	ids = slices.DeleteFunc(ids, func(id string) bool { return id <= after || !ValidProduction(id) })
	return ids[:min(len(ids), limit)], nil
}

// productions reads the records of ids, leaving out those that have none.
func (s *Store) productions(ctx context.Context, ids []string) ([]Production, error) {
	read := make([]*redis.MapStringStringCmd, len(ids))
	_, err := s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			read[i] = p.HGetAll(ctx, productionKey(id))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var found []Production
	for i, id := range ids {
		record := read[i].Val()
		if len(record) == 0 {
			continue
		}
		created, err := millis(record["created"])
		if err != nil {
			return nil, fmt.Errorf("production %s: %w", id, err)
		}
		found = append(found, Production{ID: id, Name: record["name"], Created: created, Settings: Settings{OpenRestricted: record["open_restricted"] == on}})
	}
	return found, nil
}

// Tenant is one production as somebody sees it who may act in it.
type Tenant struct {
	s          *Store
	production string
}

// In returns the production id, or ErrNoProduction if there is none that grant allows.
func (s *Store) In(ctx context.Context, grant Grant, id string) (Tenant, Production, error) {
	if !grant.Allows(id) || !ValidProduction(id) {
		return Tenant{}, Production{}, ErrNoProduction
	}
	found, err := s.productions(ctx, []string{id})
	if err != nil {
		return Tenant{}, Production{}, fmt.Errorf("look for production %s: %w", id, err)
	}
	if len(found) == 0 {
		return Tenant{}, Production{}, ErrNoProduction
	}
	return Tenant{s, id}, found[0], nil
}

func millis(s string) (time.Time, error) {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("a record's time: %w", err)
	}
	return time.UnixMilli(ms), nil
}
