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

// Quota is how much a production may have under way. nil means that nothing is said, 0 any number.
type Quota struct {
	// Items is how many items of distributions that have not ended there may be.
	Items *int
	// Minute is how many distributions may be created in any minute.
	Minute *int
}

// args are q's for create.lua, where what is not said is any number.
func (q Quota) args() (items, minute any) {
	items, minute = 0, 0
	if q.Items != nil {
		items = *q.Items
	}
	if q.Minute != nil {
		minute = *q.Minute
	}
	return items, minute
}

// Used is what a production uses of its quota.
type Used struct {
	Items, Minute int
}

// Beyond is the error of a distribution that its production's quota has no room for.
type Beyond struct {
	// Items: it would have brought Want items beside Have, and Most may be open. Otherwise Most distributions were created
	// within the last minute, and After that the next one may be.
	Items            bool
	Have, Want, Most int
	After            time.Duration
}

func (b *Beyond) Error() string {
	if b.Items {
		return fmt.Sprintf("%d items beside %d are more than %d", b.Want, b.Have, b.Most)
	}
	return fmt.Sprintf("%d distributions were created within a minute", b.Most)
}

// beyond reads what create.lua said of the quota.
func beyond(got created, items int) error {
	have, most, ok := strings.Cut(got.id, " ")
	n, err1 := strconv.Atoi(have)
	m, err2 := strconv.Atoi(most)
	if !ok || err1 != nil || err2 != nil {
		return fmt.Errorf("create: quota: %w", errShape)
	}
	if got.code == 4 {
		return &Beyond{Items: true, Have: n, Want: items, Most: m}
	}
	return &Beyond{Most: m, After: time.Duration(n) * time.Millisecond}
}

// SetQuota sets the quota of a production; what it says nothing of is as for all again. What is under way goes on.
func (s *Store) SetQuota(ctx context.Context, production string, q Quota) error {
	key := s.shardOf(production).quota(production)
	pipe := s.c.TxPipeline()
	for field, v := range map[string]*int{"items": q.Items, "minute": q.Minute} {
		if v == nil {
			pipe.HDel(ctx, key, field)
		} else {
			pipe.HSet(ctx, key, field, *v)
		}
	}
	_, err := pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("set quota: %w", err)
	}
	return nil
}

// Quota reads what was set for a production, and what it uses.
func (s *Store) Quota(ctx context.Context, production string) (Quota, Used, error) {
	sh := s.shardOf(production)
	now, err := s.c.Time(ctx).Result()
	if err != nil {
		return Quota{}, Used{}, fmt.Errorf("read quota: %w", err)
	}
	pipe := s.c.Pipeline()
	set := pipe.HGetAll(ctx, sh.quota(production))
	used := pipe.Get(ctx, sh.used(production))
	minute := pipe.ZCount(ctx, sh.list(production), "("+strconv.FormatInt(now.Add(-time.Minute).UnixMilli(), 10), "+inf")
	_, err = pipe.Exec(ctx)
	if err != nil && !errors.Is(err, redis.Nil) {
		return Quota{}, Used{}, fmt.Errorf("read quota: %w", err)
	}
	var q Quota
	for field, into := range map[string]**int{"items": &q.Items, "minute": &q.Minute} {
		text, ok := set.Val()[field]
		if ok {
			*into = new(number(text))
		}
	}
	return q, Used{Items: number(used.Val()), Minute: int(minute.Val())}, nil
}
