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

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Summary is a distribution's record with its counters, all of one instant.
type Summary struct {
	ID, Production   string
	State            plan.DistributionState
	Definition       string
	Version          int
	Size             plan.Size
	Created, Started time.Time // Started is zero before the first step began
	Ended, Deadline  time.Time
	HeldUntil        time.Time // the end of the undo window; zero without one
	Priority         int
	Parent           string // the step that started it: "<distribution>/<unit>/<step>"
	// StoppedBy says why it was cancelled.
	StoppedBy plan.Stop
	// Change counts changes: another number means another state.
	Change          int
	CancelRequested bool
	Items           map[plan.ItemState]int
	Deliveries      map[plan.Delivery]int
	Steps           map[string]map[plan.State]int
}

// Get returns a distribution's summary. ErrNotFound, also if it is another production's.
func (s *Store) Get(ctx context.Context, production, id string) (*Summary, error) {
	got, err := s.getAll(ctx, production, []string{id})
	if err != nil {
		return nil, err
	}
	if got[0] == nil {
		return nil, ErrNotFound
	}
	return got[0], nil
}

func (s *Store) getAll(ctx context.Context, production string, ids []string) ([]*Summary, error) {
	sh := s.shardOf(production)
	pipe := s.c.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		cmds[i] = pipe.HGetAll(ctx, sh.dist(id))
	}
	_, err := pipe.Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("read distributions: %w", err)
	}
	out := make([]*Summary, len(ids))
	for i, cmd := range cmds {
		h := cmd.Val()
		// The key does not say whose it is, so the record must.
		if h["production"] == production && len(h) > 0 {
			out[i] = summary(ids[i], h)
		}
	}
	return out, nil
}

func summary(id string, h map[string]string) *Summary {
	d := &Summary{
		ID: id, Production: h["production"], State: plan.DistributionState(h["state"]),
		Definition: h["def"], Version: number(h["defv"]),
		Size:    plan.Size{Files: number(h["files"]), Recipients: number(h["recipients"])},
		Created: at(h["created"]), Started: at(h["started"]), Ended: at(h["ended"]), Deadline: at(h["deadline"]),
		HeldUntil: at(h["hold"]), Change: number(h["ver"]),
		CancelRequested: h["cancel"] != "", Priority: number(h["priority"]), Parent: h["parent"], StoppedBy: plan.Stop(h["stop"]),
		Items:      map[plan.ItemState]int{},
		Deliveries: map[plan.Delivery]int{},
		Steps:      map[string]map[plan.State]int{},
	}
	for field, value := range h {
		kind, rest, ok := strings.Cut(field, ":")
		if !ok {
			continue
		}
		n := number(value)
		switch kind {
		case "i":
			d.Items[plan.Item(plan.Phase(rest), plan.NoDelivery)] += n
		case "m":
			d.Items[plan.Item(plan.PhaseMade, plan.Delivery(rest))] += n
		case "v":
			d.Deliveries[plan.Delivery(rest)] += n
		case "s":
			step, state, _ := strings.Cut(rest, ":")
			if d.Steps[step] == nil {
				d.Steps[step] = map[plan.State]int{}
			}
			d.Steps[step][plan.State(state)] += n
		}
	}
	return d
}

func number(s string) int {
	if s == "" {
		return 0
	}
	n, _ := strconv.Atoi(s) // an absent counter is 0
	return n
}

func at(ms string) time.Time {
	if ms == "" {
		return time.Time{}
	}
	return time.UnixMilli(int64(number(ms)))
}

// List returns a page of a production's distributions, newest first, after the one that cursor names ("" for the
// first page), and the cursor of the next page, empty at the end.
func (s *Store) List(ctx context.Context, production, cursor string, n int) ([]*Summary, string, error) {
	sh := s.shardOf(production)
	start := int64(0)
	if cursor != "" {
		rank, err := s.c.ZRevRank(ctx, sh.list(production), cursor).Result()
		if errors.Is(err, redis.Nil) {
			return nil, "", ErrNotFound
		}
		if err != nil {
			return nil, "", fmt.Errorf("list: %w", err)
		}
		start = rank + 1
	}
	ids, err := s.c.ZRevRange(ctx, sh.list(production), start, start+int64(n)).Result()
	if err != nil {
		return nil, "", fmt.Errorf("list: %w", err)
	}
	next := ""
	if len(ids) > n {
		ids = ids[:n]
		next = ids[n-1]
	}
	all, err := s.getAll(ctx, production, ids)
	if err != nil {
		return nil, "", err
	}
	out := all[:0]
	for _, d := range all {
		if d != nil {
			out = append(out, d)
		}
	}
	return out, next, nil
}

// Spec returns what Create was given as Spec.
func (s *Store) Spec(ctx context.Context, production, id string) ([]byte, error) {
	raw, err := s.c.Get(ctx, s.shardOf(production).spec(id)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read spec: %w", err)
	}
	return raw, nil
}

// StepRecord is the record of one step of one unit.
type StepRecord struct {
	State          plan.State
	Attempts       int
	Tally          plan.Tally
	Worker         string
	Started, Ended time.Time
	RetryAt        time.Time
	Code, Message  string
	Output         string
	MaybeDuplicate bool
	// Aside names the limit that a ready step waits for; empty when it waits for a worker.
	Aside string
	// Revision is how often somebody asked for it again, of a step that starts another distribution.
	Revision int
}

// UnitRecord is the record of one unit.
type UnitRecord struct {
	plan.Unit
	Phase    plan.Phase    // of an item
	Delivery plan.Delivery // of a recipient
	// Phases counts a recipient's items.
	Phases map[plan.Phase]int
	Steps  map[string]StepRecord
	// Heard are, by step of an item, the steps of its file whose ends it has counted, as far as that is remembered.
	Heard map[string][]string
}

// Units reads the records of units, in their order; one that was not laid out yet has no steps.
func (s *Store) Units(ctx context.Context, production, id string, units []plan.Unit) ([]UnitRecord, error) {
	sh := s.shardOf(production)
	pipe := s.c.Pipeline()
	short := make([]*redis.MapStringStringCmd, len(units))
	long := make([]*redis.MapStringStringCmd, len(units))
	for i, u := range units {
		short[i] = pipe.HGetAll(ctx, sh.unit(id, u.String()))
		long[i] = pipe.HGetAll(ctx, sh.long(id, u.String()))
	}
	_, err := pipe.Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("read units: %w", err)
	}
	out := make([]UnitRecord, len(units))
	for i, u := range units {
		out[i] = unitRecord(u, short[i].Val(), long[i].Val())
	}
	return out, nil
}

func unitRecord(u plan.Unit, h, long map[string]string) UnitRecord {
	rec := UnitRecord{Unit: u, Phase: plan.Phase(h["p"]), Delivery: plan.Delivery(h["v"]),
		Phases: map[plan.Phase]int{}, Steps: map[string]StepRecord{}}
	for field, value := range h {
		phase, ok := strings.CutPrefix(field, "n:")
		if ok {
			rec.Phases[plan.Phase(phase)] = number(value)
			continue
		}
		step, of, ok := strings.Cut(field, ".h.")
		if ok {
			if rec.Heard == nil {
				rec.Heard = map[string][]string{}
			}
			rec.Heard[step] = append(rec.Heard[step], of)
			continue
		}
		if strings.Contains(field, ".") || len(field) < 2 {
			continue
		}
		rec.Steps[field] = StepRecord{
			State: plan.State(value), Attempts: number(h[field+".a"]), Worker: h[field+".by"],
			Tally:   plan.Tally{Errors: number(h[field+".err"]), Crashes: number(h[field+".crash"]), Throttles: number(h[field+".thr"])},
			Started: at(h[field+".at"]), Ended: at(h[field+".end"]), RetryAt: at(h[field+".due"]),
			Code: h[field+".code"], Message: long[field+".msg"], Output: long[field+".out"],
			MaybeDuplicate: h[field+".dup"] != "", Aside: limitOf(h[field+".aside"]),
			Revision: number(h[field+".rev"]),
		}
	}
	return rec
}

// limitOf is the name of the limit with whose key, and since when, a step was put aside; empty when it has started since.
func limitOf(where string) string {
	key, _ := cutLast(where, " ")
	if !strings.HasPrefix(key, "{") {
		return ""
	}
	parts := strings.Split(key, ":")
	return parts[len(parts)-1]
}

// Recipients reads recipients by number, counted from 1.
func (s *Store) Recipients(ctx context.Context, production, id string, numbers []int) ([]Recipient, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	fields := make([]string, len(numbers))
	for i, n := range numbers {
		fields[i] = strconv.Itoa(n)
	}
	raw, err := s.c.HMGet(ctx, s.shardOf(production).recipients(id), fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("read recipients: %w", err)
	}
	out := make([]Recipient, len(numbers))
	for i, v := range raw {
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("recipient %d of %s is missing", numbers[i], id)
		}
		err = json.Unmarshal([]byte(text), &out[i])
		if err != nil {
			return nil, fmt.Errorf("recipient %d of %s: %w", numbers[i], id, err)
		}
	}
	return out, nil
}

// Facts is what is to be read of one unit of a distribution, and what was.
type Facts struct {
	Production, Distribution string
	Recipient                int // 0: none
	Units                    []plan.Unit
	Document                 string // see End.Document; empty: none

	Person  *Recipient // nil without Recipient
	Records []UnitRecord
	Crashes int
}

// Read reads all facts in one go.
func (s *Store) Read(ctx context.Context, facts []*Facts) error {
	pipe := s.c.Pipeline()
	// Recipients of one distribution are one command: it is most of them.
	type people struct {
		numbers []string
		got     *redis.SliceCmd
	}
	asked := map[string]*people{} // by key
	type waiting struct {
		people      *people // nil: nobody
		person      int     // which of them
		short, long []*redis.MapStringStringCmd
		crashes     *redis.StringCmd
	}
	got := make([]waiting, len(facts))
	n := 0
	suspects := map[string]*redis.StringCmd{}
	for i, f := range facts {
		sh := s.shardOf(f.Production)
		if f.Recipient > 0 {
			key := sh.recipients(f.Distribution)
			p := asked[key]
			if p == nil {
				p = &people{}
				asked[key] = p
			}
			got[i].people, got[i].person = p, len(p.numbers)
			p.numbers = append(p.numbers, strconv.Itoa(f.Recipient))
			n++
		}
		for _, u := range f.Units {
			got[i].short = append(got[i].short, pipe.HGetAll(ctx, sh.unit(f.Distribution, u.String())))
			got[i].long = append(got[i].long, pipe.HGetAll(ctx, sh.long(f.Distribution, u.String())))
			n++
		}
		if f.Document != "" {
			key := f.Production + "/" + f.Document
			if suspects[key] == nil {
				suspects[key] = pipe.HGet(ctx, sh.crashes(f.Production), f.Document)
				n++
			}
			got[i].crashes = suspects[key]
		}
	}
	if n == 0 {
		return nil
	}
	for key, p := range asked {
		p.got = pipe.HMGet(ctx, key, p.numbers...)
	}
	_, err := pipe.Exec(ctx)
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("read: %w", err)
	}
	for i, f := range facts {
		if got[i].people != nil {
			f.Person = &Recipient{}
			raw, _ := got[i].people.got.Val()[got[i].person].(string) // nil, and then no JSON, when it is not there
			err = json.Unmarshal([]byte(raw), f.Person)
			if err != nil {
				return fmt.Errorf("recipient %d of %s: %w", f.Recipient, f.Distribution, err)
			}
		}
		for j, u := range f.Units {
			f.Records = append(f.Records, unitRecord(u, got[i].short[j].Val(), got[i].long[j].Val()))
		}
		if got[i].crashes != nil {
			count, _, _ := strings.Cut(got[i].crashes.Val(), " ")
			f.Crashes = number(count)
		}
	}
	return nil
}

// Wakes calls woken with the name of each function for which something became ready, until ctx ends. It is a hint: a
// name can be lost, and whoever waits looks for himself now and then.
func (s *Store) Wakes(ctx context.Context, woken func(function string)) error {
	var channels []string
	for n := range s.shards {
		channels = append(channels, shard(n).wakeChannel())
	}
	sub := s.c.Subscribe(ctx, channels...)
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-sub.Channel():
			if !ok {
				return nil
			}
			woken(m.Payload)
		}
	}
}

// Changes calls changed with the id of each distribution that changes, from now on until ctx ends.
func (s *Store) Changes(ctx context.Context, changed func(id string)) error {
	errs := make(chan error, s.shards)
	for n := range s.shards {
		go func() { errs <- s.follow(ctx, shard(n).changed(), changed) }()
	}
	var first error
	for range s.shards {
		err := <-errs
		if first == nil {
			first = err
		}
	}
	return first
}

// follow reads one stream as it grows. A follower that falls far behind misses entries, since the stream is capped.
func (s *Store) follow(ctx context.Context, stream string, changed func(id string)) error {
	after := "$"
	for ctx.Err() == nil {
		// A bounded block, so that the end of ctx is noticed on a silent connection, too.
		got, err := s.c.XRead(ctx, &redis.XReadArgs{Streams: []string{stream, after}, Count: 1000, Block: 2 * time.Second}).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return fmt.Errorf("follow changes: %w", err)
		}
		for _, m := range got[0].Messages {
			after = m.ID
			id, _ := m.Values["d"].(string)
			changed(id)
		}
	}
	return nil
}
