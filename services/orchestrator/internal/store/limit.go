package store

import (
	"context"
	"crypto/rand"
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

// Limit is how many running steps and occupied slots a name may have at once, and how many may start in a second.
type Limit struct {
	Name        string
	Concurrency int     // 0: any number
	Rate        float64 // 0: any number
	Burst       int
	// Taken is how many have a place now, Waiting how many steps were put aside until there is one.
	Taken, Waiting int
}

// Resource is a limit with what is known of the health of the thing that it is the limit of.
type Resource struct {
	Limit
	Words
	Production            string // empty: productions share it
	BreakerFailures       int
	BreakerOpen           time.Duration
	Check                 string
	CheckEvery, IdleAfter time.Duration
	Life                  plan.Life
	Task, CheckTask       string    // distributions that do something about it now
	Stale                 bool      // the check's answer will be of the past
	Made                  *Words    // by which it was made, or is being made; nil: by none
	Wanted, Deleted       bool      // somebody was turned away; people want it no more
	Output, Detail        string    // what create answered, JSON; what a function said last
	BlockedUntil          time.Time // zero when that is over
	Trial                 bool      // the breaker is open: when BlockedUntil is over one step may try
	Failures              int
	Code, Message         string
	Checked, Used         time.Time

	now   time.Time // when it was read
	moves int
}

// place is where a limit or resource lies, a production's or one that productions share.
type place struct {
	limit, holders, names, failures string
}

func (s *Store) place(production, name string) place {
	if production == "" {
		return place{studioLimit(name), studioHolders(name), studioLimits(), studioFailures(name)}
	}
	sh := s.shardOf(production)
	return place{sh.limit(production, name), sh.holders(production, name), sh.limits(production), sh.failures(production, name)}
}

// ofStep is where the limit lies that a step of production calls name.
func (s *Store) ofStep(production, name string) place {
	bare, isStudio := strings.CutPrefix(name, studio)
	if isStudio {
		return s.place("", bare)
	}
	return s.place(production, name)
}

// SetLimit sets or changes a limit; production is empty for one that productions share. Running steps go on; those of a
// function whose name the limit has, and that run, are counted from now on (adopt lists them).
func (s *Store) SetLimit(ctx context.Context, production string, l Limit, adopt []Ref) error {
	p := s.place(production, l.Name)
	pipe := s.c.Pipeline()
	pipe.SAdd(ctx, p.names, l.Name)
	pipe.HSet(ctx, p.limit, "max", l.Concurrency, "rate", strconv.FormatFloat(l.Rate, 'g', -1, 64), "burst", l.Burst)
	for _, ref := range adopt {
		pipe.ZAddNX(ctx, p.holders, redis.Z{Score: inf, Member: ref.member()})
	}
	_, err := pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("set limit %s: %w", l.Name, err)
	}
	return s.Look(ctx, production, l.Name)
}

// Look has steps that wait for a limit queued as far as there is room: its limits have changed, or it is well again.
func (s *Store) Look(ctx context.Context, production, name string) error {
	if production != "" {
		sh := s.shardOf(production)
		err := s.c.ZAdd(ctx, sh.timed(), redis.Z{Score: 0, Member: production + ":" + name}).Err()
		if err != nil {
			return fmt.Errorf("look at limit %s: %w", name, err)
		}
		_, err = s.gather(ctx, sh, "")
		return err
	}
	for n := range s.shards {
		_, err := s.gather(ctx, shard(n), studio+name)
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteLimit removes a limit or resource; what waited for it goes on. ErrNotFound.
func (s *Store) DeleteLimit(ctx context.Context, production, name string) error {
	p := s.place(production, name)
	n, err := s.c.Del(ctx, p.limit).Result()
	if err != nil {
		return fmt.Errorf("delete limit %s: %w", name, err)
	}
	err = s.c.SRem(ctx, p.names, name).Err()
	if err != nil {
		return fmt.Errorf("delete limit %s: %w", name, err)
	}
	if n == 0 {
		return ErrNotFound
	}
	return s.Look(ctx, production, name)
}

// PutResource sets or changes what people say of a resource. What follows from it for what was made is a move of its own.
func (s *Store) PutResource(ctx context.Context, r Resource) error {
	p := s.place(r.Production, r.Name)
	first := plan.LifeReady
	if r.Create != "" {
		first = plan.LifeAbsent
	}
	pipe := s.c.TxPipeline()
	pipe.HSetNX(ctx, p.limit, "st", string(first))
	pipe.HSet(ctx, p.limit, "kind", r.Kind, "cred", r.Credential, "breaker", max(r.BreakerFailures, 0), "open", r.BreakerOpen.Milliseconds(),
		"create", r.Create, "check", r.Check, "destroy", r.Destroy, "every", r.CheckEvery.Milliseconds(), "idle", r.IdleAfter.Milliseconds(),
		"conf", r.Config)
	pipe.HDel(ctx, p.limit, "gone")
	pipe.HIncrBy(ctx, p.limit, "moves", 1) // what was decided on by the words before is not to be
	_, err := pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("put resource %s: %w", r.Name, err)
	}
	err = s.tend(ctx, &r)
	if err != nil {
		return err
	}
	return s.SetLimit(ctx, r.Production, r.Limit, nil)
}

// Limits lists the limits of a production, or those that productions share; resources are among them, with a Kind.
func (s *Store) Limits(ctx context.Context, production string) ([]Resource, error) {
	names, err := s.c.SMembers(ctx, s.place(production, "").names).Result()
	if err != nil {
		return nil, fmt.Errorf("list limits: %w", err)
	}
	slices.Sort(names)
	var out []Resource
	for _, name := range names {
		r, err := s.Limit(ctx, production, name)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *r)
	}
	return out, nil
}

// Limit reads one limit or resource. ErrNotFound.
func (s *Store) Limit(ctx context.Context, production, name string) (*Resource, error) {
	p := s.place(production, name)
	now, err := s.c.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("read limit %s: %w", name, err)
	}
	pipe := s.c.Pipeline()
	record := pipe.HGetAll(ctx, p.limit)
	taken := pipe.ZCount(ctx, p.holders, "("+strconv.FormatInt(now.UnixMilli(), 10), "+inf")
	var waiting []*redis.IntCmd
	if production != "" {
		waiting = append(waiting, pipe.ZCard(ctx, s.shardOf(production).aside(production, name)))
	} else {
		for n := range s.shards {
			waiting = append(waiting, pipe.ZCard(ctx, shard(n).asideStudio(studio+name)))
		}
	}
	_, err = pipe.Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("read limit %s: %w", name, err)
	}
	h := record.Val()
	if len(h) == 0 {
		return nil, ErrNotFound
	}
	rate, _ := strconv.ParseFloat(h["rate"], 64) // written by SetLimit
	ms := func(f string) time.Duration { return time.Duration(number(h[f])) * time.Millisecond }
	r := &Resource{
		Limit:      Limit{Name: name, Concurrency: number(h["max"]), Rate: rate, Burst: number(h["burst"]), Taken: int(taken.Val())},
		Words:      Words{Kind: h["kind"], Credential: h["cred"], Config: h["conf"], Create: h["create"], Destroy: h["destroy"]},
		Production: production, BreakerFailures: number(h["breaker"]), BreakerOpen: ms("open"),
		Check: h["check"], CheckEvery: ms("every"), IdleAfter: ms("idle"),
		Life: plan.Life(h["st"]), Task: h["task"], CheckTask: h["ctask"], Stale: h["stale"] != "", Wanted: h["wanted"] != "", Deleted: h["gone"] != "",
		Output: h["state"], Detail: h["detail"], Trial: h["trial"] != "", Failures: number(h["fails"]),
		Code: h["code"], Message: h["msg"], Checked: at(h["checked"]), Used: at(h["used"]),
		now: now, moves: number(h["moves"]),
	}
	if h["made"] != "" {
		r.Made = &Words{}
		err = json.Unmarshal([]byte(h["made"]), r.Made)
		if err != nil {
			return nil, fmt.Errorf("read limit %s: %w", name, err)
		}
	}
	till := at(h["till"])
	if till.After(now) {
		r.BlockedUntil = till
	}
	for _, w := range waiting {
		r.Waiting += int(w.Val())
	}
	return r, nil
}

// Told is what became of a step, for the resources that it used.
type Told struct {
	Kind string // ok, fail, throttle; used, by one that runs; well, of a check; reset
	// About is what failed: told twice, it counts once. Empty counts each time.
	About         string
	Wait          time.Duration
	Code, Message string
}

// Heed applies it to a resource that a step of production calls name; see heed.lua.
func (s *Store) Heed(ctx context.Context, production, name string, t Told) error {
	p := s.ofStep(production, name)
	_, err := heedScript.run(ctx, s.c, []string{p.limit, p.failures}, t.Kind, t.Wait.Milliseconds(), t.Code, t.Message, t.About)
	if err != nil {
		return err
	}
	if t.Kind == "reset" || t.Kind == "well" {
		bare, isStudio := strings.CutPrefix(name, studio)
		if isStudio {
			return s.Look(ctx, "", bare)
		}
		return s.Look(ctx, production, name)
	}
	return nil
}

// Gather brings steps back into their queues whose limit has room again, of all limits whose time has come.
func (s *Store) Gather(ctx context.Context) error {
	for n := range s.shards {
		sh := shard(n)
		_, err := s.gather(ctx, sh, "")
		if err != nil {
			return err
		}
		// Steps may wait for a limit that nobody has set: whoever put them aside died before starting them.
		names, err := s.c.SMembers(ctx, sh.waitedFor()).Result()
		if err != nil {
			return fmt.Errorf("gather: %w", err)
		}
		for _, name := range names {
			waiting, err := s.c.Exists(ctx, sh.asideStudio(name)).Result()
			if err != nil {
				return fmt.Errorf("gather: %w", err)
			}
			if waiting == 0 {
				continue
			}
			err = s.gatherStudio(ctx, sh, strings.TrimPrefix(name, studio))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// gatherStudio brings back as many steps of a shard as a limit that productions share has room for. They may come in vain,
// since others are as quick: then they are put aside again.
func (s *Store) gatherStudio(ctx context.Context, sh shard, name string) error {
	r, err := s.Limit(ctx, "", name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	room := slice
	if r != nil {
		if !r.BlockedUntil.IsZero() {
			return nil
		}
		switch {
		case r.Life == plan.LifeAbsent || r.Life == plan.LifeFailed:
			// They come in vain, but say once more that they need it: those that were cancelled meanwhile do not.
			r.Concurrency, r.Rate = 0, 0
		case r.Life != "" && r.Life != plan.LifeReady:
			return nil
		case r.Trial:
			r.Concurrency = 1
		}
		if r.Concurrency > 0 {
			room = min(room, r.Concurrency-r.Taken)
		}
		if r.Rate > 0 {
			room = min(room, max(1, int(r.Rate/5)))
		}
	}
	if room <= 0 {
		return nil
	}
	_, err = gatherScript.run(ctx, s.c, []string{sh.timed(), sh.passes()}, room, studio+name)
	return err
}

func (s *Store) gather(ctx context.Context, sh shard, name string) (int, error) {
	return gatherScript.run(ctx, s.c, []string{sh.timed(), sh.passes()}, slice, name)
}

// permitLease is how long a place in a limit that productions share outlives the word of whoever has it: longer than a
// task's lease, so that no place is free before its task is known to be over.
const permitLease = Lease + 5*time.Second

// holder is how an attempt stands among the holders of a limit that productions share.
func holder(r Ref) string { return r.String() }

// claimShared takes places in limits that productions share for steps that need them, and starts those that got all.
func (s *Store) claimShared(ctx context.Context, sh shard, worker string, wants []wanted, n int) ([]Claimed, error) {
	var granted [][4]string
	took := map[string][]string{} // by member
	// Several may be after the same step, and one gets it. So each takes places in a name of its own until the step is its:
	// who goes without gives back its own places, and no other's.
	by := rand.Text()
	full := map[string]bool{}
	for _, w := range wants {
		if len(granted) >= n {
			break
		}
		all := true
		for _, name := range w.limits {
			if full[name] {
				all = false
				break
			}
			ok, err := s.permit(ctx, strings.TrimPrefix(name, studio), by+"/"+w.member)
			if err != nil {
				return nil, err
			}
			if !ok {
				full[name], all = true, false
				break
			}
			took[w.member] = append(took[w.member], name)
		}
		if all {
			granted = append(granted, [4]string{w.function, w.production, w.member, sh.asideStudio(w.limits[0])})
		}
	}
	var out []Claimed
	var err error
	if len(granted) > 0 {
		out, _, err = s.claim(ctx, sh, worker, nil, len(granted), granted)
		if err != nil {
			return out, err // what was taken comes free with its lease
		}
	}
	for _, c := range out {
		err = s.takeOver(ctx, c.Ref, by+"/"+c.member(), took[c.member()])
		if err != nil {
			return nil, err // nobody is handed them, and their leases run out
		}
		delete(took, c.member())
	}
	for member, names := range took {
		for _, name := range names {
			err = s.c.ZRem(ctx, studioHolders(strings.TrimPrefix(name, studio)), by+"/"+member).Err()
			if err != nil {
				return out, fmt.Errorf("give back: %w", err)
			}
		}
	}
	return out, nil
}

// takeOver has an attempt hold what was taken for it under another name.
func (s *Store) takeOver(ctx context.Context, r Ref, from string, names []string) error {
	now, err := s.c.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("take places over: %w", err)
	}
	for _, name := range names {
		held := studioHolders(strings.TrimPrefix(name, studio))
		pipe := s.c.TxPipeline()
		pipe.ZRem(ctx, held, from)
		pipe.ZAdd(ctx, held, redis.Z{Score: float64(now.Add(permitLease).UnixMilli()), Member: holder(r)})
		_, err = pipe.Exec(ctx)
		if err != nil {
			return fmt.Errorf("take places over: %w", err)
		}
	}
	return nil
}

func (s *Store) permit(ctx context.Context, name, who string) (bool, error) {
	list, err := permitScript.run(ctx, s.c, []string{studioLimit(name), studioHolders(name)}, permitLease.Milliseconds(), who)
	if err != nil {
		return false, err
	}
	if len(list) != 2 {
		return false, fmt.Errorf("permit: %w", errShape)
	}
	n, err := list[0].int()
	return n == 1, err
}

// giveBack frees the places that ended attempts had in limits that productions share, and has others queued for them. When it
// fails, a repeated Settle gives back what was left; without one, places free themselves permitLease after their holder was last
// heard of, and Gather comes back to who waits: fewer than the limit run until then, never more.
func (s *Store) giveBack(ctx context.Context, g *Graph, ends []End, codes []int) error {
	freed := map[string]bool{}
	for i, e := range ends {
		st, ok := g.plan.Step(e.Step)
		if !ok || codes[i] == 3 {
			continue
		}
		for _, name := range shared(st.Limits) {
			bare := strings.TrimPrefix(name, studio)
			err := s.c.ZRem(ctx, studioHolders(bare), holder(e.Ref)).Err()
			if err != nil {
				return fmt.Errorf("give back: %w", err)
			}
			freed[bare] = true
		}
	}
	for name := range freed {
		for n := range s.shards {
			err := s.gatherStudio(ctx, shard(n), name)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Keep prolongs the places of running attempts in limits that productions share, names by attempt. It comes before the
// leases are prolonged, so that these never outlive the places.
func (s *Store) Keep(ctx context.Context, refs []Ref, names [][]string) error {
	pipe := s.c.Pipeline()
	now, err := s.c.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("keep places: %w", err)
	}
	until := float64(now.Add(permitLease).UnixMilli())
	n := 0
	for i, r := range refs {
		for _, name := range shared(names[i]) {
			pipe.ZAddXX(ctx, studioHolders(strings.TrimPrefix(name, studio)), redis.Z{Score: until, Member: holder(r)})
			n++
		}
	}
	if n == 0 {
		return nil
	}
	_, err = pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep places: %w", err)
	}
	return nil
}

// slots are the holders of n slots that a task has taken under key.
func slots(r Ref, key string, n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = r.String() + "#" + key + "#" + strconv.Itoa(i)
	}
	return out
}

// Occupied is slots that a task holds of a limit.
type Occupied struct {
	Ref
	Production, Limit, Key string
	Slots                  int
}

// Occupy takes slots for a part of a task, or prolongs them: OK; 0 while there is no room; Fenced when the task is over.
func (s *Store) Occupy(ctx context.Context, worker string, o Occupied) (Verdict, error) {
	// What it has is written down first: whoever renews the task's lease must know of it.
	held, err := s.holds(ctx, worker, o.Ref)
	if err != nil || !held {
		return Fenced, err
	}
	unit, long := o.shard.unit(o.Distribution, o.Unit.String()), o.shard.long(o.Distribution, o.Unit.String())
	pipe := s.c.Pipeline()
	pipe.HSet(ctx, unit, o.Step+".occ", 1)
	pipe.HSet(ctx, long, o.Step+".occ:"+o.Key, o.Limit+" "+strconv.Itoa(o.Slots)+" "+o.Production+" "+strconv.Itoa(o.Attempt))
	_, err = pipe.Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("occupy: %w", err)
	}
	return s.occupy(ctx, worker, o)
}

func (s *Store) occupy(ctx context.Context, worker string, o Occupied) (Verdict, error) {
	p, who := s.ofStep(o.Production, o.Limit), slots(o.Ref, o.Key, o.Slots)
	if strings.HasPrefix(o.Limit, studio) {
		list, err := permitScript.run(ctx, s.c, []string{p.limit, p.holders}, append([]any{permitLease.Milliseconds()}, who...)...)
		if err != nil {
			return 0, err
		}
		if len(list) != 2 {
			return 0, fmt.Errorf("permit: %w", errShape)
		}
		n, err := list[0].int()
		if err == nil && n < o.Slots {
			return 0, s.c.ZRem(ctx, p.holders, who...).Err() // all or none
		}
		return OK, err
	}
	args := append([]any{permitLease.Milliseconds(), o.Step, o.Attempt, worker}, who...)
	code, err := occupyScript.run(ctx, s.c, []string{p.limit, p.holders, o.shard.unit(o.Distribution, o.Unit.String())}, args...)
	switch {
	case err != nil:
		return 0, err
	case code == 1:
		return OK, nil
	case code == 2:
		return Fenced, nil
	}
	return 0, nil
}

// keepSlots prolongs the slots that an attempt has.
func (s *Store) keepSlots(ctx context.Context, r Ref) error {
	fields, err := s.c.HGetAll(ctx, r.shard.long(r.Distribution, r.Unit.String())).Result()
	if err != nil {
		return fmt.Errorf("keep slots: %w", err)
	}
	now, err := s.c.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("keep slots: %w", err)
	}
	until := float64(now.Add(permitLease).UnixMilli())
	for field, value := range fields {
		key, ok := strings.CutPrefix(field, r.Step+".occ:")
		f := strings.Fields(value) // limit, slots, production, attempt
		if !ok || len(f) != 4 || f[3] != strconv.Itoa(r.Attempt) {
			continue
		}
		p := s.ofStep(f[2], f[0])
		pipe := s.c.Pipeline()
		for _, who := range slots(r, key, number(f[1])) {
			pipe.ZAddXX(ctx, p.holders, redis.Z{Score: until, Member: who})
		}
		_, err = pipe.Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep slots: %w", err)
		}
	}
	return nil
}

func (s *Store) holds(ctx context.Context, worker string, r Ref) (bool, error) {
	at, err := s.c.HMGet(ctx, r.shard.unit(r.Distribution, r.Unit.String()), r.Step, r.Step+".a", r.Step+".by").Result()
	if err != nil {
		return false, fmt.Errorf("occupy: %w", err)
	}
	return at[0] == "running" && at[1] == strconv.Itoa(r.Attempt) && at[2] == worker, nil
}

// Vacate gives slots back and has steps queued that wait for them.
func (s *Store) Vacate(ctx context.Context, o Occupied) error {
	p := s.ofStep(o.Production, o.Limit)
	err := s.c.ZRem(ctx, p.holders, slots(o.Ref, o.Key, 1000)...).Err()
	if err != nil {
		return fmt.Errorf("vacate: %w", err)
	}
	err = s.c.HDel(ctx, o.shard.long(o.Distribution, o.Unit.String()), o.Step+".occ:"+o.Key).Err()
	if err != nil {
		return fmt.Errorf("vacate: %w", err)
	}
	bare, isStudio := strings.CutPrefix(o.Limit, studio)
	if isStudio {
		for n := range s.shards {
			err = s.gatherStudio(ctx, shard(n), bare)
			if err != nil {
				return err
			}
		}
		return nil
	}
	return s.Look(ctx, o.Production, o.Limit)
}
