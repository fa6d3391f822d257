package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrNoList: the production has no such list.
	ErrNoList = errors.New("list unknown")
	// ErrListExists: there is another list with this id.
	ErrListExists = errors.New("list exists")
	// ErrFull: there is as much as there may be.
	ErrFull = errors.New("full")
)

const (
	// MaxLists is how many lists a production has at most.
	MaxLists = 200
	// MaxListPeople is how many people are in a list at most: as many as one distribution goes to.
	MaxListPeople = 10_000
)

// Policy is how a distribution to a list goes out where it says nothing itself.
type Policy struct {
	Mode     string `json:"mode,omitempty"`
	Mark     string `json:"mark,omitempty"`
	Password string `json:"password,omitempty"`
}

// List is a list's record.
type List struct {
	ID               string
	Name             string
	Word             string // Name as it is ordered and compared
	Policy           Policy
	People           int
	Created, Updated time.Time
	Revision         int
}

// CreateList makes l; making the same again is no error.
func (t Tenant) CreateList(ctx context.Context, l List) error { return t.putList(ctx, "create", l) }

// UpdateList sets l's name and policy, if it is of l.Revision or that is 0.
func (t Tenant) UpdateList(ctx context.Context, l List) error { return t.putList(ctx, "update", l) }

func (t Tenant) putList(ctx context.Context, mode string, l List) error {
	if !ValidProduction(l.ID) { // lists have ids of the same form
		return ErrNoList
	}
	policy, err := json.Marshal(l.Policy)
	if err != nil {
		return err
	}
	keys := []string{productionKey(t.production), listKey(t.production, l.ID), listsKey(t.production)}
	r, err := t.s.run(ctx, t.s.scripts.listPut, 0, keys, mode, l.ID, l.Revision, l.Name, policy, l.Word, MaxLists)
	if err != nil {
		return fmt.Errorf("%s list %s: %w", mode, l.ID, err)
	}
	switch r.code {
	case "put", "already":
		return nil
	case "exists":
		return ErrListExists
	case "changed":
		return ErrChanged
	case "taken":
		return ErrTaken
	case "full":
		return ErrFull
	case "absent":
		return ErrNoList
	case "no_production":
		return ErrNoProduction
	}
	return r.unexpected()
}

// DeleteList removes a list; removing what is not there is no error.
func (t Tenant) DeleteList(ctx context.Context, id string) error {
	if !ValidProduction(id) {
		return nil // there is none
	}
	keys := []string{listKey(t.production, id), listsKey(t.production), listPeopleKey(t.production, id)}
	r, err := t.s.run(ctx, t.s.scripts.listDelete, 0, keys, id)
	if err != nil {
		return fmt.Errorf("delete list %s: %w", id, err)
	}
	switch r.code {
	case "deleted", "absent":
		return nil
	}
	return r.unexpected()
}

// List returns the list id.
func (t Tenant) List(ctx context.Context, id string) (List, error) {
	if !ValidProduction(id) {
		return List{}, ErrNoList
	}
	found, err := t.lists(ctx, []string{id})
	if err == nil && len(found) == 0 {
		return List{}, ErrNoList
	}
	if err != nil {
		return List{}, err
	}
	return found[0], nil
}

// Lists returns all lists in the order of their names.
func (t Tenant) Lists(ctx context.Context) ([]List, error) {
	ids, err := t.listIDs(ctx)
	if err != nil {
		return nil, err
	}
	return t.lists(ctx, ids)
}

func (t Tenant) listIDs(ctx context.Context) ([]string, error) {
	ids, err := t.s.redis.ZRange(ctx, listsKey(t.production), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list lists: %w", err)
	}
	for i, member := range ids {
		_, ids[i], _ = strings.Cut(member, "\x00")
	}
	return ids, nil
}

func (t Tenant) lists(ctx context.Context, ids []string) ([]List, error) {
	read, count := make([]*redis.MapStringStringCmd, len(ids)), make([]*redis.IntCmd, len(ids))
	_, err := t.s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			read[i], count[i] = p.HGetAll(ctx, listKey(t.production, id)), p.ZCard(ctx, listPeopleKey(t.production, id))
		}
		return nil
	})
	if err != nil && len(ids) > 0 {
		return nil, fmt.Errorf("read lists: %w", err)
	}
	var found []List
	for i, id := range ids {
		record := read[i].Val()
		if len(record) == 0 {
			continue // deleted since, or never there
		}
		l := List{ID: id, Name: record["name"], People: int(count[i].Val())}
		created, errCreated := millis(record["created"])
		updated, errUpdated := millis(record["updated"])
		revision, errRevision := strconv.Atoi(record["revision"])
		l.Created, l.Updated, l.Revision = created, updated, revision
		err = errors.Join(errCreated, errUpdated, errRevision, json.Unmarshal([]byte(record["policy"]), &l.Policy))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", id, err)
		}
		found = append(found, l)
	}
	return found, nil
}

// NoPersonError names a person who is not there.
type NoPersonError struct{ ID string }

func (e *NoPersonError) Error() string { return "person " + e.ID + " unknown" }

// AddToList puts up to MaxPut people into a list, or nobody, and returns how many came in and how many are in it.
func (t Tenant) AddToList(ctx context.Context, list string, people []string) (changed, now int, err error) {
	for _, id := range people {
		if !personID.MatchString(id) {
			return 0, 0, &NoPersonError{id}
		}
	}
	return t.listPeople(ctx, "add", list, people)
}

// RemoveFromList takes up to MaxPut people out of a list, and returns how many went and how many are in it.
func (t Tenant) RemoveFromList(ctx context.Context, list string, people []string) (changed, now int, err error) {
	return t.listPeople(ctx, "remove", list, people)
}

func (t Tenant) listPeople(ctx context.Context, mode, list string, people []string) (changed, now int, err error) {
	if !ValidProduction(list) {
		return 0, 0, ErrNoList
	}
	args := []any{mode, personKey(t.production, ""), MaxListPeople}
	for _, id := range people {
		args = append(args, id)
	}
	r, err := t.s.run(ctx, t.s.scripts.listPeople, 2, []string{listKey(t.production, list), listPeopleKey(t.production, list)}, args...)
	if err != nil {
		return 0, 0, fmt.Errorf("%s people of list %s: %w", mode, list, err)
	}
	switch r.code {
	case "done":
		changed, err = strconv.Atoi(r.more[0])
		now, also := strconv.Atoi(r.more[1])
		return changed, now, errors.Join(err, also)
	case "no_person":
		return 0, 0, &NoPersonError{r.more[0]}
	case "full":
		return 0, 0, ErrFull
	case "absent":
		return 0, 0, ErrNoList
	}
	return 0, 0, r.unexpected()
}

// ListPeople returns up to limit of a list's people in the order in which they came, after the one that after stands for.
// next is the after of the following page, 0 when there is none; a page may be short and have a next all the same.
func (t Tenant) ListPeople(ctx context.Context, list string, after int64, limit int) (page []Person, next int64, err error) {
	limit = min(limit, maxPage)
	entries, err := t.s.redis.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: listPeopleKey(t.production, list),
		Start: "(" + strconv.FormatInt(after, 10), Stop: "+inf", ByScore: true, Count: int64(limit + 1)}).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("list people of %s: %w", list, err)
	}
	more := len(entries) > limit
	entries = entries[:min(len(entries), limit)]
	ids, score := make([]string, len(entries)), map[string]int64{}
	for i, e := range entries {
		ids[i], _ = e.Member.(string)
		score[ids[i]] = int64(e.Score)
	}
	found, err := t.People(ctx, ids)
	if err != nil {
		return nil, 0, err
	}
	bytes := 0
	for i, p := range found {
		page = append(page, p)
		bytes += p.size()
		if bytes > pageBytes && (more || i+1 < len(found)) {
			return page, score[p.ID], nil
		}
	}
	if more {
		next = score[ids[len(ids)-1]]
	}
	return page, next, nil
}

// ListsOf returns the ids of the lists that a person is in, in the order of the lists' names.
func (t Tenant) ListsOf(ctx context.Context, person string) ([]string, error) {
	ids, err := t.listIDs(ctx)
	if err != nil {
		return nil, err
	}
	in := make([]*redis.FloatCmd, len(ids))
	_, err = t.s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			in[i] = p.ZScore(ctx, listPeopleKey(t.production, id), person)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) && len(ids) > 0 {
		return nil, fmt.Errorf("look for lists of %s: %w", person, err)
	}
	var found []string
	for i, id := range ids {
		if in[i].Err() == nil {
			found = append(found, id)
		}
	}
	return found, nil
}
