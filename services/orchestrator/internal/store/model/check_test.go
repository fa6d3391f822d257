package model_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store/model"
)

func (h *history) tag(production string) string {
	f := fnv.New32a()
	_, _ = f.Write([]byte(production))
	return fmt.Sprintf("{%d}:", f.Sum32()%uint32(h.shards))
}

func (h *history) queue(d *distribution, r model.Ref) string {
	return h.tag(d.Production) + "q:" + d.Steps[r].Def.Function + ":" + d.Production
}

// check holds the records of all distributions that something was done to against the model, and the queues of their
// productions against the records.
func (h *history) check() {
	some := map[string]bool{}
	for _, d := range h.dists {
		if !h.touched[d] {
			continue
		}
		if h.byID[d.ID] != nil {
			h.records(d)
			some[d.Production] = true
		}
		for _, why := range d.Violations {
			h.fail("%s: %s", d.ID, why)
		}
		// A child's end wakes the step that started it.
		if d.Parent != "" && d.State.Final() && h.byID[d.ID] != nil {
			h.woken(d)
		}
	}
	clear(h.touched)
	for _, p := range slices.Sorted(maps.Keys(some)) {
		h.queues(p)
		h.used(p)
	}
}

// used holds the items that count against a production's quota against those of its distributions that have not ended.
func (h *history) used(production string) {
	want := 0
	for _, d := range h.dists {
		if d.Production == production && h.byID[d.ID] != nil && !d.State.Final() {
			want += d.Size.Items()
		}
	}
	got, err := h.c.Get(h.ctx, h.tag(production)+"used:"+production).Int()
	if !errors.Is(err, redis.Nil) {
		h.must(err)
	}
	if got != want {
		h.fail("%d items of %s count against its quota, want %d", got, production, want)
	}
}

func (h *history) records(d *distribution) {
	tag := h.tag(d.Production)
	pipe := h.c.Pipeline()
	about := pipe.HGetAll(h.ctx, tag+"d:"+d.ID)
	units := make([]*redis.MapStringStringCmd, d.LaidOut)
	for i := range units {
		units[i] = pipe.HGetAll(h.ctx, tag+"u:"+d.ID+":"+d.Size.UnitAt(i).String())
	}
	_, err := pipe.Exec(h.ctx)
	h.must(err)
	rec := about.Val()
	got := map[string]int{}
	for field, value := range rec {
		kind, _, ok := strings.Cut(field, ":")
		if ok && (kind == "s" || kind == "i" || kind == "m" || kind == "v") || field == "open" {
			n, err := strconv.Atoi(value)
			h.must(err)
			if n != 0 {
				got[field] = n
			}
		}
	}
	if diff := cmp.Diff(d.Counters(), got); diff != "" {
		h.fail("counters of %s are not what the model counts (-model +Redis):\n%s", d.ID, diff)
	}
	if rec["state"] != string(d.State) || (rec["cancel"] != "") != d.Cancelled || rec["stop"] != string(d.Stop) {
		h.fail("%s is %s, cancelled %q, stopped by %q; want %s, %v, %q", d.ID, rec["state"], rec["cancel"], rec["stop"], d.State, d.Cancelled, d.Stop)
	}
	if want := map[bool]string{false: "1", true: "0"}[d.State.Final()]; rec["counted"] != want {
		h.fail("%s is %s, and whether its items count against the quota is %q, want %q", d.ID, d.State, rec["counted"], want)
	}
	for i, cmd := range units {
		h.unit(d, d.Size.UnitAt(i), cmd.Val())
	}
}

func (h *history) unit(d *distribution, u plan.Unit, rec map[string]string) {
	open := 0
	for _, def := range d.Def.Steps {
		r := model.Ref{Unit: u, Step: def.Name}
		s := d.Steps[r]
		if s == nil {
			continue
		}
		is := func(field, got, want string) {
			if got != want {
				h.fail("%s of %s is %s: its %s is %q, want %q", r, d.ID, rec[def.Name], field, got, want)
			}
		}
		is("state", rec[def.Name], string(s.State))
		is("attempt", strconv.Itoa(number(rec[def.Name+".a"])), strconv.Itoa(s.Attempt))
		if s.State == plan.Pending {
			waits := rec[def.Name+".w"]
			if waits == "" {
				waits = "1" // what most steps wait for
			}
			is("number of what it waits for", waits, strconv.Itoa(len(s.Waits)))
		}
		if s.Attempt > 0 {
			is("worker", rec[def.Name+".by"], s.Worker)
		}
		cp := rec[def.Name+".cp"]
		if cp == "@" {
			var err error
			cp, err = h.c.HGet(h.ctx, h.tag(d.Production)+"x:"+d.ID+":"+u.String(), def.Name+".cp").Result()
			h.must(err)
		}
		is("checkpoint", cp, s.Checkpoint)
		t := plan.Tally{Errors: number(rec[def.Name+".err"]), Crashes: number(rec[def.Name+".crash"]), Throttles: number(rec[def.Name+".thr"])}
		is("tally", fmt.Sprint(t), fmt.Sprint(s.Tally))
		if s.State == plan.Done || s.State == plan.Failed || s.State == plan.Cancelled && !d.asked {
			is("code", rec[def.Name+".code"], s.Code)
		}
		if !s.State.Final() {
			open++
		}
	}
	switch u.Scope() {
	case plan.ScopeItem:
		if rec["p"] != string(d.Phase(u)) {
			h.fail("item %s of %s is %s, want %s", u, d.ID, rec["p"], d.Phase(u))
		}
		if number(rec["o"]) != open {
			h.fail("item %s of %s has %s steps open, want %d", u, d.ID, rec["o"], open)
		}
	case plan.ScopeRecipient:
		if rec["v"] != string(d.Deliveries[u.Recipient]) {
			h.fail("the delivery to %s of %s is %s, want %s", u, d.ID, rec["v"], d.Deliveries[u.Recipient])
		}
		want := map[string]int{}
		for f := 1; f <= d.Size.Files; f++ {
			want[string(d.Phase(plan.Unit{File: f, Recipient: u.Recipient}))]++
		}
		for _, p := range plan.Phases {
			if number(rec["n:"+string(p)]) != want[string(p)] {
				h.fail("%s of %s counts %s items %s, want %d", u, d.ID, rec["n:"+string(p)], p, want[string(p)])
			}
		}
	}
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // what is not there is 0
	return n
}

// woken: the step that started a distribution which has ended is due.
func (h *history) woken(d *distribution) {
	f := strings.Split(d.Parent, "/")
	parent := h.byID[f[0]]
	u, err := plan.ParseUnit(f[1])
	h.must(err)
	if parent == nil || h.disturbed || parent.Steps[model.Ref{Unit: u, Step: f[2]}].State != plan.Retrying {
		return
	}
	due, err := h.c.ZScore(h.ctx, h.tag(d.Production)+"later", d.Parent).Result()
	h.must(err)
	now, err := h.c.Time(h.ctx).Result()
	h.must(err)
	if due > float64(now.UnixMilli()) {
		h.fail("%s has ended, and %s, which started it, waits on", d.ID, d.Parent)
	}
}

// queues holds the queues of a production against the model: what is ready can be found by who looks for work, what runs
// has a lease, what is to be tried again a time, and who runs its places, and nobody else.
func (h *history) queues(production string) {
	tag := h.tag(production)
	pipe := h.c.Pipeline()
	type set struct {
		name string
		cmd  *redis.ZSliceCmd
	}
	var sets []set
	add := func(name string) {
		sets = append(sets, set{name, pipe.ZRangeWithScores(h.ctx, tag+name, 0, -1)})
	}
	for _, f := range functions {
		add("q:" + f + ":" + production)
		add("f:" + f)
	}
	for _, w := range workers {
		add("w:" + w)
	}
	add("later")
	limits := slices.Concat(ownLimits, []string{"k/" + hashed("e of 0"), "k/" + hashed("e of 1"), "k/" + hashed("s of 0"), "k/" + hashed("s of 1"),
		"k/" + hashed("m of 0"), "k/" + hashed("m of 1")})
	for _, l := range limits {
		add("gw:" + production + ":" + l)
		add("gh:" + production + ":" + l)
	}
	for _, l := range studioLimits {
		add("gw:studio/" + l)
	}
	_, err := pipe.Exec(h.ctx)
	h.must(err)
	in := map[string]map[string]float64{}
	for _, s := range sets {
		in[s.name] = map[string]float64{}
		for _, z := range s.cmd.Val() {
			member, _ := z.Member.(string)
			in[s.name][member] = z.Score
		}
	}
	if h.disturbed {
		return
	}
	places := map[string]map[string]bool{}
	for _, d := range h.dists {
		if d.Production != production || h.byID[d.ID] == nil {
			continue
		}
		for r, s := range d.Steps {
			member := d.ID + "/" + r.String()
			fn := s.Def.Function
			switch {
			case s.State == plan.Ready && d.State == plan.InProgress && !d.Cancelled && !d.loose && !d.laying:
				score, queued := in["q:"+fn+":"+production][member]
				_, indexed := in["f:"+fn][production]
				if queued && !indexed && !h.paused["p "+production] && !h.paused["b "+fn+" "+production] {
					h.fail("%s is queued, and %s is not among those whose turn it is for %s", member, production, fn)
				}
				for name, set := range in {
					if strings.HasPrefix(name, "gw:") {
						put, aside := set[fn+" "+member]
						if aside {
							score, queued = put, true
						}
					}
				}
				if !queued {
					h.fail("%s is ready and in no queue", member)
				}
				if score != d.rank(r) {
					h.fail("%s stands at %.0f, want %.0f", member, score, d.rank(r))
				}
			case s.State == plan.Running:
				_, leased := in["w:"+s.Worker][member]
				if !leased {
					h.fail("%s is with %s and has no lease", member, s.Worker)
				}
			case s.State == plan.Retrying:
				_, waits := in["later"][member]
				if !waits {
					h.fail("%s is to be tried again and has no time", member)
				}
			}
			if s.State != plan.Running {
				continue
			}
			for _, l := range d.limitsOf(r) {
				if places[l] == nil {
					places[l] = map[string]bool{}
				}
				places[l][member] = true
			}
		}
	}
	for _, l := range limits {
		name := production + "/" + l
		held := in["gh:"+production+":"+l]
		hash, isKey := strings.CutPrefix(l, "k/")
		if isKey {
			for k := range places {
				if strings.HasPrefix(k, production+"/key ") && hashed(k[len(production)+5:]) == hash {
					name = k
				}
			}
		}
		for member, score := range held {
			if score > 1e15 && !places[name][member] {
				h.fail("%s has a place in %s and does not run", member, l)
			}
		}
		_, exists := h.limits[name]
		for member := range places[name] {
			_, has := held[member]
			if !has && (exists || !strings.HasPrefix(l, "f.")) {
				h.fail("%s runs and has no place in %s", member, l)
			}
		}
	}
	crashes, err := h.c.HGetAll(h.ctx, tag+"crash:"+production).Result()
	h.must(err)
	want := map[string]string{}
	for key, n := range h.crash {
		p, doc, _ := strings.Cut(key, " ")
		if p == production {
			want[doc] = n
		}
	}
	if diff := cmp.Diff(want, crashes); diff != "" {
		h.fail("workers lost by document in %s (-model +Redis):\n%s", production, diff)
	}
}

func hashed(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// inOrder fails if something stands in a queue that should have gone before what was handed out of it.
func (h *history) inOrder(last map[string]float64) {
	for queue, rank := range last {
		first, err := h.c.ZRangeWithScores(h.ctx, queue, 0, 0).Result()
		h.must(err)
		if len(first) > 0 && first[0].Score < rank {
			h.fail("of %s something was handed out of rank %.0f while %s of rank %.0f waits", queue, rank, first[0].Member, first[0].Score)
		}
	}
}

// vacant fails if anybody has a place when all has ended.
func (h *history) vacant() {
	keys := h.find(":gh:")
	for _, name := range studioLimits {
		keys = append(keys, "{limit:"+name+"}:holders")
	}
	for _, key := range keys {
		got, err := h.c.ZRangeByScoreWithScores(h.ctx, key, &redis.ZRangeBy{Min: "2", Max: "+inf"}).Result()
		h.must(err)
		for _, z := range got {
			h.fail("all has ended, and %v has a place in %s", z.Member, key)
		}
	}
}
