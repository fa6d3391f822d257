package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Words are what people say of a resource as far as what is made depends on it. What was made keeps those that it was made
// by, so that it can be ended by them.
type Words struct {
	Kind       string `json:"kind"`
	Credential string `json:"credential,omitempty"`
	Config     string `json:"config,omitempty"` // JSON
	Create     string `json:"create,omitempty"`
	Destroy    string `json:"destroy,omitempty"`
}

// same reports whether w makes what o does. Its credential may change, and so may what ends it.
func (w Words) same(o Words) bool {
	return w.Kind == o.Kind && w.Config == o.Config && w.Create == o.Create
}

// Ends is the function that ends what was made: that of today for the same kind, else that of its time; empty if none does.
func (r *Resource) Ends() string {
	if r.Made == nil || r.Create != "" && r.Made.Kind == r.Kind {
		return r.Destroy
	}
	return r.Made.Destroy
}

// Standing is what the resource's next move depends on.
func (r *Resource) Standing() plan.Standing {
	s := plan.Standing{
		Life: r.Life, Busy: r.Task != "", Checking: r.CheckTask != "", Wanted: r.Wanted, Unused: r.Taken == 0,
		Blocked: !r.BlockedUntil.IsZero(), Creates: r.Create != "", Deleted: r.Deleted,
		CheckDue: r.Check != "" && r.now.Sub(r.Checked) >= r.CheckEvery,
	}
	if r.Made != nil {
		s.Made, s.Destroys, s.Changed = true, r.Ends() != "", !r.Made.same(r.Words)
	}
	s.Idle = r.IdleAfter > 0 && r.now.Sub(r.Used) >= r.IdleAfter
	return s
}

// Moved is a move of a resource with what goes with it.
type Moved struct {
	Move plan.Move
	// Task is the distribution that does what begins with the move.
	Task string
	// State and Detail are what the function answered.
	State, Detail string
	// Code and Message say why it failed.
	Code, Message string
}

// MoveResource makes a move of a resource as it was read, and reports whether it did: not when something moved it meanwhile, nor
// when the resource is to be taken from somebody who has a place in it.
func (s *Store) MoveResource(ctx context.Context, r *Resource, m Moved) (bool, error) {
	set, gone, unused, err := r.fields(m)
	if err != nil {
		return false, err
	}
	raw, err := json.Marshal(gone)
	if err != nil {
		return false, err
	}
	args := []any{r.moves, "-", "-", raw}
	if unused {
		args[1] = "unused"
	}
	if m.Move == plan.MoveRemove {
		args[2] = "remove"
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		args = append(args, name, set[name])
	}
	p := s.place(r.Production, r.Name)
	code, err := lifecycleScript.run(ctx, s.c, []string{p.limit, p.holders}, args...)
	if err != nil || code == 0 {
		return false, err
	}
	switch m.Move {
	case plan.MoveRemove:
		// Whoever dies here leaves names of nothing, which readers pass over and Tended drops.
		err = s.c.SRem(ctx, p.names, r.Name).Err()
		if err != nil {
			return true, fmt.Errorf("remove resource %s: %w", r.Name, err)
		}
		return true, s.Look(ctx, r.Production, r.Name)
	case plan.MoveAdopt, plan.MoveCreated:
		return true, s.Look(ctx, r.Production, r.Name)
	}
	return true, nil
}

// fields are the fields that a move sets, those that go with it, and whether nobody may have a place in the resource.
func (r *Resource) fields(m Moved) (set map[string]any, gone []string, unused bool, err error) {
	now := r.now.UnixMilli()
	failed := func() {
		set["code"], set["msg"] = m.Code, m.Message
		set["till"] = max(now+r.BreakerOpen.Milliseconds(), r.BlockedUntil.UnixMilli())
		gone = append(gone, "task")
	}
	set, gone = map[string]any{}, []string{}
	switch m.Move {
	case plan.MoveAdopt:
		set["st"] = string(plan.LifeReady)
		gone = append(gone, "wanted", "made")
	case plan.MoveUnmake:
		set["st"] = string(plan.LifeAbsent)
	case plan.MoveCreate:
		made, err := json.Marshal(r.Words)
		if err != nil {
			return nil, nil, false, err
		}
		set["st"], set["task"], set["made"] = string(plan.LifeCreating), m.Task, made
		gone = append(gone, "wanted", "state")
	case plan.MoveCreated:
		set["st"], set["state"], set["detail"], set["used"], set["checked"] = string(plan.LifeReady), m.State, m.Detail, now, now
		gone = append(gone, "task", "wanted", "fails", "trial", "till")
	case plan.MoveCreateFailed:
		set["st"] = string(plan.LifeFailed)
		gone = append(gone, "wanted")
		failed()
	case plan.MoveDrain:
		set["st"] = string(plan.LifeDestroying)
		unused = r.Standing().Idle && !r.Deleted && r.Create != "" && r.Made.same(r.Words)
		gone = append(gone, "till") // the back-off was the users'
		if r.CheckTask != "" {
			set["stale"] = 1 // what it says is of the past
		}
	case plan.MoveDestroy:
		set["task"] = m.Task
		unused = true
	case plan.MoveDestroyed, plan.MoveDrop:
		set["st"], set["detail"] = string(plan.LifeAbsent), m.Detail
		unused = m.Move == plan.MoveDrop
		gone = append(gone, "task", "state", "made", "fails", "trial", "till")
	case plan.MoveDestroyFailed:
		failed()
	case plan.MoveCheck:
		set["ctask"] = m.Task
		gone = append(gone, "stale")
	case plan.MoveChecked:
		set["checked"] = now
		if m.Code == "" {
			set["detail"] = m.Detail
		}
		gone = append(gone, "ctask", "stale")
	case plan.MoveRemove:
	default:
		return nil, nil, false, fmt.Errorf("resource %s: no such move: %q", r.Name, m.Move)
	}
	return set, gone, unused, nil
}

// Retire has a resource removed when what was made of it has been ended.
func (s *Store) Retire(ctx context.Context, production, name string) error {
	err := s.c.HSet(ctx, s.place(production, name).limit, "gone", 1).Err()
	if err != nil {
		return fmt.Errorf("delete resource %s: %w", name, err)
	}
	return nil
}

// tend has the resource looked after, if it has functions of its own. It comes after the record: see untend.
func (s *Store) tend(ctx context.Context, r *Resource) error {
	if r.settled() {
		return nil
	}
	key, member := s.tended(r.Production, r.Name)
	err := s.c.SAdd(ctx, key, member).Err()
	if err != nil {
		return fmt.Errorf("look after resource %s: %w", r.Name, err)
	}
	return nil
}

func (s *Store) tended(production, name string) (key, member string) {
	if production == "" {
		return studioTended(), name
	}
	return s.shardOf(production).tended(), production + ":" + name
}

// Tended reads all resources that have functions of their own. One that has none any more is left out from then on.
func (s *Store) Tended(ctx context.Context) ([]*Resource, error) {
	keys := []string{studioTended()}
	for n := range s.shards {
		keys = append(keys, shard(n).tended())
	}
	var out []*Resource
	for _, key := range keys {
		members, err := s.c.SMembers(ctx, key).Result()
		if err != nil {
			return nil, fmt.Errorf("list resources: %w", err)
		}
		for _, m := range members {
			production, name, ok := strings.Cut(m, ":")
			if !ok {
				production, name = "", m
			}
			r, err := s.Limit(ctx, production, name)
			switch {
			case errors.Is(err, ErrNotFound) || err == nil && r.settled():
				err = s.untend(ctx, production, name)
				if err != nil {
					return nil, err
				}
			case err != nil:
				return nil, err
			default:
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// untend leaves a resource out from those that are looked after, unless somebody gave it functions just now: they write
// the record first, and this reads it last.
func (s *Store) untend(ctx context.Context, production, name string) error {
	key, member := s.tended(production, name)
	err := s.c.SRem(ctx, key, member).Err()
	if err != nil {
		return fmt.Errorf("leave out resource %s: %w", name, err)
	}
	r, err := s.Limit(ctx, production, name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.tend(ctx, r)
}

// settled reports whether nothing ever happens to the resource by itself.
func (r *Resource) settled() bool {
	moving := r.Life != "" && r.Life != plan.LifeReady || r.Made != nil || r.Task != "" || r.CheckTask != ""
	return r.Kind == "" || r.Create == "" && r.Check == "" && !moving
}

// Discard deletes a distribution that has ended before its time: what came of it was taken.
func (s *Store) Discard(ctx context.Context, production, id string) error {
	err := s.forget(ctx, s.shardOf(production), id)
	if err != nil {
		return fmt.Errorf("discard %s: %w", id, err)
	}
	return nil
}
