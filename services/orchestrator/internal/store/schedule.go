package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrTooManyStarters: the production has MostStarters of these already.
	ErrTooManyStarters = errors.New("too many schedules or webhooks")
	// ErrTooLarge: what the production's schedules, or webhooks, start would be more than MostStarts bytes together.
	ErrTooLarge = errors.New("schedules or webhooks too large together")
)

const (
	// MostStarters is how many schedules a production has at most, and how many webhooks.
	MostStarters = 100
	// MostStarts is how many bytes all that they start may have: one answer has room for it.
	MostStarts = 3 << 20
	// RunHold is how long a due schedule is kept from others once handed out: longer than starting may take.
	RunHold = 30 * time.Second
	// RunMemory is for how long it can be told whether a run was started that somebody had set about.
	RunMemory = keepIdempotency - time.Hour
)

// Schedule starts distributions by the clock. The store looks neither into Cron and Zone nor into Start.
type Schedule struct {
	Production, Name string
	Cron, Zone       string
	CatchUp, Paused  bool
	Start            []byte
	By               string // who put it there

	// Next is the run that is due next; zero: none.
	Next time.Time
	// Last is the last run that is over, LastDistribution what a run started last, Failure what is wrong.
	Last             time.Time
	LastDistribution string
	Failure          Failure
	Skipped          int
}

// Failure is why a run did not start. The zero value is none.
type Failure struct {
	Code, Message string
	Retryable     bool
}

// Hook starts a distribution when it is called. The store does not look into Start.
type Hook struct {
	Production, Name string
	Start            []byte
	By               string
	Last             time.Time
	LastDistribution string
}

// Now is Redis's time.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if s.Clock != nil {
		return s.Clock(), nil
	}
	now, err := s.c.Time(ctx).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the time: %w", err)
	}
	return now, nil
}

// nowArg makes scripts take the time of tests in the place of Redis's.
func (s *Store) nowArg() string {
	if s.Clock == nil {
		return ""
	}
	return ms(s.Clock())
}

func ms(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

func mark(b bool) string {
	if b {
		return "1"
	}
	return ""
}

// PutSchedule keeps sch, with what it knows of runs as it is. If it replaces one of the same times, that one's next run
// stays, else sch.Next is it; a paused one has none. ErrTooManyStarters, ErrTooLarge.
func (s *Store) PutSchedule(ctx context.Context, sch Schedule) error {
	sh := s.shardOf(sch.Production)
	next := ms(sch.Next)
	if sch.Paused {
		next = ""
	}
	timing := strings.Join([]string{sch.Cron, sch.Zone, mark(sch.Paused)}, "\n")
	// Before the schedule: who has one is in the set.
	err := s.c.SAdd(ctx, sh.scheduling(), sch.Production).Err()
	if err != nil {
		return fmt.Errorf("put schedule: %w", err)
	}
	_, err = s.putStarter(ctx, []string{sh.schedule(sch.Production, sch.Name), sh.schedules(sch.Production), sh.clock()},
		sch.Name, clockMember(sch.Production, sch.Name), timing, next, MostStarters, MostStarts,
		"cron", sch.Cron, "zone", sch.Zone, "catch", mark(sch.CatchUp), "paused", mark(sch.Paused), "start", sch.Start, "by", sch.By)
	return err
}

// PutHook keeps h and reports whether it is new. ErrTooManyStarters, ErrTooLarge.
func (s *Store) PutHook(ctx context.Context, h Hook) (fresh bool, err error) {
	sh := s.shardOf(h.Production)
	return s.putStarter(ctx, []string{sh.hook(h.Production, h.Name), sh.hooks(h.Production), sh.clock()},
		h.Name, "", "", "", MostStarters, MostStarts, "start", h.Start, "by", h.By)
}

func (s *Store) putStarter(ctx context.Context, keys []string, args ...any) (fresh bool, err error) {
	code, err := starterPutScript.run(ctx, s.c, keys, args...)
	if err != nil {
		return false, err
	}
	switch code {
	case 3:
		return false, ErrTooManyStarters
	case 4:
		return false, ErrTooLarge
	}
	return code == 2, nil
}

// DeleteSchedule removes a schedule and reports whether there was one. A run that somebody has set about may still start.
func (s *Store) DeleteSchedule(ctx context.Context, production, name string) (bool, error) {
	sh := s.shardOf(production)
	return s.deleteStarter(ctx, sh, sh.schedule(production, name), sh.schedules(production), production, name)
}

// DeleteHook removes a webhook and reports whether there was one.
func (s *Store) DeleteHook(ctx context.Context, production, name string) (bool, error) {
	sh := s.shardOf(production)
	return s.deleteStarter(ctx, sh, sh.hook(production, name), sh.hooks(production), production, name)
}

func (s *Store) deleteStarter(ctx context.Context, sh shard, record, names, production, name string) (bool, error) {
	var removed *redis.IntCmd
	_, err := s.c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		removed = p.Del(ctx, record)
		p.SRem(ctx, names, name)
		if record == sh.schedule(production, name) {
			p.ZRem(ctx, sh.clock(), clockMember(production, name))
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("delete %s of %s: %w", name, production, err)
	}
	return removed.Val() > 0, nil
}

// Schedules returns all of a production's, by name.
func (s *Store) Schedules(ctx context.Context, production string) ([]Schedule, error) {
	sh := s.shardOf(production)
	var out []Schedule
	err := s.starters(ctx, sh.schedules(production), func(name string) string { return sh.schedule(production, name) },
		func(name string, h map[string]string) { out = append(out, schedule(production, name, h)) })
	return out, err
}

// Schedule returns one. ErrNotFound.
func (s *Store) Schedule(ctx context.Context, production, name string) (Schedule, error) {
	h, err := s.starter(ctx, s.shardOf(production).schedule(production, name))
	return schedule(production, name, h), err
}

// Hooks returns all of a production's, by name.
func (s *Store) Hooks(ctx context.Context, production string) ([]Hook, error) {
	sh := s.shardOf(production)
	var out []Hook
	err := s.starters(ctx, sh.hooks(production), func(name string) string { return sh.hook(production, name) },
		func(name string, h map[string]string) { out = append(out, hook(production, name, h)) })
	return out, err
}

// Hook returns one. ErrNotFound.
func (s *Store) Hook(ctx context.Context, production, name string) (Hook, error) {
	h, err := s.starter(ctx, s.shardOf(production).hook(production, name))
	return hook(production, name, h), err
}

func (s *Store) starters(ctx context.Context, names string, key func(name string) string, each func(name string, h map[string]string)) error {
	all, err := s.c.SMembers(ctx, names).Result()
	if err != nil {
		return fmt.Errorf("list schedules or webhooks: %w", err)
	}
	slices.Sort(all)
	cmds := make([]*redis.MapStringStringCmd, len(all))
	_, err = s.c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range all {
			cmds[i] = p.HGetAll(ctx, key(name))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read schedules or webhooks: %w", err)
	}
	for i, name := range all {
		if len(cmds[i].Val()) > 0 {
			each(name, cmds[i].Val())
		}
	}
	return nil
}

func (s *Store) starter(ctx context.Context, key string) (map[string]string, error) {
	h, err := s.c.HGetAll(ctx, key).Result()
	if err != nil {
		return nil, fmt.Errorf("read a schedule or webhook: %w", err)
	}
	if len(h) == 0 {
		return nil, ErrNotFound
	}
	return h, nil
}

func schedule(production, name string, h map[string]string) Schedule {
	return Schedule{
		Production: production, Name: name, Cron: h["cron"], Zone: h["zone"], CatchUp: h["catch"] != "", Paused: h["paused"] != "",
		Start: []byte(h["start"]), By: h["by"], Next: at(h["next"]), Last: at(h["last"]), LastDistribution: h["dist"],
		Failure: Failure{h["code"], h["msg"], h["again"] != ""}, Skipped: number(h["skipped"]),
	}
}

func hook(production, name string, h map[string]string) Hook {
	return Hook{Production: production, Name: name, Start: []byte(h["start"]), By: h["by"], Last: at(h["last"]), LastDistribution: h["dist"]}
}

// DueSchedule is a schedule whose next run is due.
type DueSchedule struct {
	Schedule
	Now time.Time
	// Tried is when somebody set about this run before; zero: nobody did.
	Tried time.Time
}

// DueSchedules hands out at most ten due schedules per shard and keeps them from others for RunHold.
func (s *Store) DueSchedules(ctx context.Context) ([]DueSchedule, error) {
	var out []DueSchedule
	for n := range s.shards {
		sh := shard(n)
		r, err := scheduleDueScript.run(ctx, s.c, []string{sh.clock()}, s.nowArg(), RunHold.Milliseconds(), 10)
		if err != nil {
			return out, err
		}
		for _, e := range r.due {
			production, name, ok := strings.Cut(e[0], "/")
			if !ok || len(e) != 8 {
				return out, fmt.Errorf("due schedules: %w", errShape)
			}
			out = append(out, DueSchedule{
				Schedule: Schedule{Production: production, Name: name, Next: at(e[1]), Cron: e[3], Zone: e[4], CatchUp: e[5] != "",
					By: e[6], Start: []byte(e[7])},
				Now: time.UnixMilli(r.now), Tried: at(e[2]),
			})
		}
	}
	return out, nil
}

// Move says how a due schedule goes on.
type Move struct {
	// To is the next run from now on; zero: none. If it is the run that was due, that is tried again at Look.
	To, Look time.Time
	// Skipped is how many runs were left out.
	Skipped int
	// Over says that the run that was due is over; it started Distribution, unless that is empty.
	Over         bool
	Distribution string
	Failure      Failure
}

// MoveSchedule moves a due schedule on. It reports false if the schedule was changed, moved or deleted meanwhile; then
// nothing but the run's outcome was noted.
func (s *Store) MoveSchedule(ctx context.Context, d DueSchedule, m Move) (bool, error) {
	sh := s.shardOf(d.Production)
	look := m.Look
	if look.IsZero() {
		look = m.To
	}
	code, err := scheduleMoveScript.run(ctx, s.c, []string{sh.schedule(d.Production, d.Name), sh.clock()},
		clockMember(d.Production, d.Name), ms(d.Next), ms(m.To), ms(look), m.Skipped, mark(m.Over), m.Distribution,
		m.Failure.Code, m.Failure.Message, mark(m.Failure.Retryable))
	return code == 1, err
}

// restoreClock puts schedules that the clock of a shard does not have back into it, where their next run is. Whatever was
// handed out meanwhile is found out when it is due: a run starts by the same key however often it is set about.
func (s *Store) restoreClock(ctx context.Context, sh shard) error {
	members, err := s.c.ZRange(ctx, sh.clock(), 0, -1).Result()
	if err != nil {
		return err
	}
	has, productions := map[string]bool{}, map[string]bool{}
	for _, m := range members {
		production, _, _ := strings.Cut(m, "/")
		has[m], productions[production] = true, true
	}
	known, err := s.c.SMembers(ctx, sh.scheduling()).Result()
	if err != nil {
		return err
	}
	for _, p := range known {
		delete(productions, p)
	}
	for p := range productions {
		// Its schedules are older than the set of who has some.
		known = append(known, p)
		err = s.c.SAdd(ctx, sh.scheduling(), p).Err()
		if err != nil {
			return err
		}
	}
	for _, p := range known {
		names, err := s.c.SMembers(ctx, sh.schedules(p)).Result()
		if err != nil {
			return err
		}
		for _, name := range names {
			member := clockMember(p, name)
			if has[member] {
				continue
			}
			next, err := s.c.HGet(ctx, sh.schedule(p, name), "next").Float64()
			if errors.Is(err, redis.Nil) {
				continue // paused, or without another run
			}
			if err == nil {
				err = s.c.ZAddNX(ctx, sh.clock(), redis.Z{Score: next, Member: member}).Err()
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Made returns the distribution that an idempotency key made within the last two days, and for which hash; both are empty
// if it made none.
func (s *Store) Made(ctx context.Context, production, key string) (id, hash string, err error) {
	got, err := s.c.HMGet(ctx, s.shardOf(production).idempotency(production, key), "d", "h").Result()
	if err != nil {
		return "", "", fmt.Errorf("look for what a key made: %w", err)
	}
	id, _ = got[0].(string)
	hash, _ = got[1].(string)
	return id, hash, nil
}

// HookFired notes that a webhook started a distribution just now.
func (s *Store) HookFired(ctx context.Context, production, name, distribution string) error {
	_, err := hookFiredScript.run(ctx, s.c, []string{s.shardOf(production).hook(production, name)}, distribution, s.nowArg())
	return err
}
