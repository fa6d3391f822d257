package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

var (
	// ErrDefined: another source is kept under this name and version.
	ErrDefined = errors.New("version kept with another source")
	// ErrNoDefinition: there is no such definition, or no such version of it.
	ErrNoDefinition = errors.New("definition not found")
	// ErrTooMany: there are as many as are kept at most.
	ErrTooMany = errors.New("too many definitions")
)

// mostDefinitions bounds how many versions of all definitions there are.
const mostDefinitions = 1000

// Defined is a version of a definition as it is kept.
type Defined struct {
	Name      string
	Version   int
	Source    string
	Created   time.Time // zero of what orchestrators of the first release kept
	Functions []string
}

// Define keeps a definition's source under its name and version. The same again is harmless; ErrDefined, ErrTooMany.
//
// Every shard has a copy, so that a production needs no other shard; the first shard decides. What an error left half
// done is done by repeating it, and read from the first shard until then.
func (s *Store) Define(ctx context.Context, d *plan.Definition, source string) error {
	var functions []string
	for _, st := range d.Steps {
		if !slices.Contains(functions, st.Function) {
			functions = append(functions, st.Function)
		}
	}
	for n := range s.shards {
		sh := shard(n)
		code, err := defineScript.run(ctx, s.c, []string{sh.definition(d.Name), sh.definitions()},
			d.Name, d.Version, source, strings.Join(functions, " "), mostDefinitions)
		if err != nil {
			return err
		}
		switch code {
		case 2:
			return ErrDefined
		case 3:
			return ErrTooMany
		}
	}
	return nil
}

// DefinitionSource returns the source of a definition as it was defined. ErrNoDefinition.
func (s *Store) DefinitionSource(ctx context.Context, production, name string, version int) (string, error) {
	for _, sh := range []shard{s.shardOf(production), 0} {
		source, err := s.c.HGet(ctx, sh.definition(name), strconv.Itoa(version)).Result()
		if err == nil {
			return source, nil
		}
		if !errors.Is(err, redis.Nil) {
			return "", fmt.Errorf("read definition %s@%d: %w", name, version, err)
		}
	}
	return "", ErrNoDefinition
}

// Definition returns a version as it is kept; 0 is the newest. ErrNoDefinition.
func (s *Store) Definition(ctx context.Context, name string, version int) (Defined, error) {
	if version == 0 {
		keys, err := s.c.HKeys(ctx, shard(0).definition(name)).Result()
		if err != nil {
			return Defined{}, fmt.Errorf("read versions of %s: %w", name, err)
		}
		version = newest(keys)
	}
	v := strconv.Itoa(version)
	got, err := s.c.HMGet(ctx, shard(0).definition(name), v, v+".at", v+".fn").Result()
	if err != nil {
		return Defined{}, fmt.Errorf("read definition %s@%d: %w", name, version, err)
	}
	source, ok := got[0].(string)
	if !ok {
		return Defined{}, ErrNoDefinition
	}
	d := defined(name, version, got[1:])
	d.Source = source
	return d, nil
}

// defined decodes what is kept beside a source: when, and the functions.
func defined(name string, version int, about []any) Defined {
	when, _ := about[0].(string) // absent: of the first release
	functions, _ := about[1].(string)
	return Defined{Name: name, Version: version, Created: at(when), Functions: strings.Fields(functions)}
}

// newest is the greatest version among a definition's fields; 0 if there is none.
func newest(fields []string) int {
	most := 0
	for _, f := range fields {
		n, err := strconv.Atoi(f)
		if err == nil {
			most = max(most, n)
		}
	}
	return most
}

// Definitions lists all versions without their sources, by name, newest first.
func (s *Store) Definitions(ctx context.Context) ([]Defined, error) {
	members, err := s.c.SMembers(ctx, shard(0).definitions()).Result()
	if err != nil {
		return nil, fmt.Errorf("list definitions: %w", err)
	}
	pipe := s.c.Pipeline()
	out := make([]Defined, len(members))
	about := make([]*redis.SliceCmd, len(members))
	for i, m := range members {
		name, v, _ := strings.Cut(m, "@")
		out[i] = Defined{Name: name, Version: number(v)}
		about[i] = pipe.HMGet(ctx, shard(0).definition(name), v+".at", v+".fn")
	}
	if len(members) > 0 {
		_, err = pipe.Exec(ctx)
		if err != nil {
			return nil, fmt.Errorf("list definitions: %w", err)
		}
	}
	for i := range out {
		out[i] = defined(out[i].Name, out[i].Version, about[i].Val())
	}
	slices.SortFunc(out, func(a, b Defined) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(b.Version, a.Version))
	})
	return out, nil
}

// Rollout returns how a production's new distributions are spread over versions of a definition, none if nobody said, and
// the newest version, 0 if there is none.
func (s *Store) Rollout(ctx context.Context, production, name string) ([]plan.Share, int, error) {
	sh := s.shardOf(production)
	pipe := s.c.Pipeline()
	said := pipe.HGet(ctx, sh.rollouts(production), name)
	keys := pipe.HKeys(ctx, sh.definition(name))
	_, err := pipe.Exec(ctx)
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, 0, fmt.Errorf("read rollout of %s: %w", name, err)
	}
	var shares []plan.Share
	if said.Val() != "" {
		err = json.Unmarshal([]byte(said.Val()), &shares)
		if err != nil {
			return nil, 0, fmt.Errorf("read rollout of %s: %w", name, err)
		}
	}
	return shares, newest(keys.Val()), nil
}

// SetRollout keeps a rollout; without shares there is none any more.
func (s *Store) SetRollout(ctx context.Context, production, name string, shares []plan.Share) error {
	key := s.shardOf(production).rollouts(production)
	var err error
	if len(shares) == 0 {
		err = s.c.HDel(ctx, key, name).Err()
	} else {
		var raw []byte
		raw, err = json.Marshal(shares)
		if err != nil {
			return err
		}
		err = s.c.HSet(ctx, key, name, raw).Err()
	}
	if err != nil {
		return fmt.Errorf("set rollout of %s: %w", name, err)
	}
	return nil
}

// Rollouts returns all rollouts of a production by definition.
func (s *Store) Rollouts(ctx context.Context, production string) (map[string][]plan.Share, error) {
	all, err := s.c.HGetAll(ctx, s.shardOf(production).rollouts(production)).Result()
	if err != nil {
		return nil, fmt.Errorf("list rollouts: %w", err)
	}
	out := map[string][]plan.Share{}
	for name, raw := range all {
		var shares []plan.Share
		err = json.Unmarshal([]byte(raw), &shares)
		if err != nil {
			return nil, fmt.Errorf("read rollout of %s: %w", name, err)
		}
		out[name] = shares
	}
	return out, nil
}
