package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Every key of the orchestrator is made here. All keys of a production share the hash tag {n}, its shard, so that one
// script can change everything that must agree. Lua builds some of these itself from ids and names that it reads.

type shard int

// shardOf tells the shard of a production, of n.
func shardOf(production string, n int) shard {
	h := fnv.New32a()
	_, _ = h.Write([]byte(production)) // never fails (hash.Hash)
	return shard(h.Sum32() % uint32(n))
}

func (s shard) key(parts ...string) string {
	b := append(make([]byte, 0, 80), '{')
	b = append(strconv.AppendInt(b, int64(s), 10), '}')
	for _, p := range parts {
		b = append(append(b, ':'), p...)
	}
	return string(b)
}

func (s shard) dist(id string) string              { return s.key("d", id) }          // hash: state, counters, cursors
func (s shard) unit(id, u string) string           { return s.key("u", id, u) }       // hash: the steps of one unit
func (s shard) long(id, u string) string           { return s.key("x", id, u) }       // hash: their outputs and sentences
func (s shard) recipients(id string) string        { return s.key("to", id) }         // hash: number → recipient
func (s shard) spec(id string) string              { return s.key("spec", id) }       // string: what never changes
func (s shard) events(id string) string            { return s.key("ev", id) }         // stream
func (s shard) kids(id string) string              { return s.key("kids", id) }       // set: distributions it started
func (s shard) asks(id string) string              { return s.key("ask", id) }        // hash: what retries under way are for
func (s shard) batch(id string) string             { return s.key("b", id) }          // hash: a batch
func (s shard) batchList(production string) string { return s.key("bs", production) } // zset: a production's, by age
func (s shard) batches() string                    { return s.key("batches") }        // zset: those under way
func (s shard) changed() string                    { return s.key("changed") }        // capped stream: who changed
func (s shard) workers() string                    { return s.key("workers") }        // zset: workers by when they last called
func (s shard) leases(worker string) string        { return s.key("w", worker) }      // zset: its running steps by lease end
func (s shard) later() string                      { return s.key("later") }          // zset: retries by time
func (s shard) chores() string                     { return s.key("chores") }         // zset: work done in slices
func (s shard) open() string                       { return s.key("open") }           // zset: distributions not ended
func (s shard) ended() string                      { return s.key("ended") }          // zset: ended distributions by time
func (s shard) list(production string) string      { return s.key("p", production) }  // zset: a production's, by age
func (s shard) definition(name string) string      { return s.key("def", name) }      // hash: version → source, and when and what of each
func (s shard) definitions() string                { return s.key("defs") }           // set: name@version of all
func (s shard) rollouts(p string) string           { return s.key("rollouts", p) }    // hash: definition → shares
func (s shard) sweeping() string                   { return s.key("sweeping") }       // string: somebody sweeps
func (s shard) functions() string                  { return s.key("fn") }             // set: functions that definitions name

// Ready steps stand in one queue for each function and production, by rank and deadline; an index of a function's
// productions says whose turn it is (virtual time), and passes what time a production had when its queue ran dry.
func (s shard) queue(function, production string) string { return s.key("q", function, production) }
func (s shard) index(function string) string             { return s.key("f", function) }
func (s shard) drained(worker string) string             { return s.key("drain", worker) } // that it takes nothing new: for how many ms after it called
func (s shard) awaiting(function string) string          { return s.key("a", function) }   // zset: workers with room, by when
func (s shard) serving(function string) string           { return s.key("s", function) }   // zset: workers, by when they called
func (s shard) passes() string                           { return s.key("pass") }
func (s shard) weights() string                          { return s.key("weight") } // hash: production → weight
func (s shard) paused() string                           { return s.key("paused") } // set: "f <function>", "p <production>", "b <function> <production>"

// Limits of a production: what they are, who holds a place, which steps were put aside, and when to look at them again.
func (s shard) limit(production, name string) string    { return s.key("g", production, name) }
func (s shard) holders(production, name string) string  { return s.key("gh", production, name) }
func (s shard) failures(production, name string) string { return s.key("gf", production, name) } // zset: counted by its breaker
func (s shard) aside(production, name string) string    { return s.key("gw", production, name) }
func (s shard) limits(production string) string         { return s.key("gs", production) } // set: their names
func (s shard) timed() string                           { return s.key("gt") }
func (s shard) tended() string                          { return s.key("gr") } // set: production:name of resources with functions of their own

// asideStudio holds the steps of a shard that wait for a limit that productions share.
func (s shard) asideStudio(name string) string { return s.key("gw", name) }
func (s shard) waitedFor() string              { return s.key("gws") } // set: names of those

// What starts distributions: schedules, with a clock that says when to look at each, and webhooks, without their secrets.
func (s shard) clock() string                           { return s.key("clock") }                   // zset: production/name → when
func (s shard) scheduling() string                      { return s.key("scheduling") }              // set: productions that have, or had, schedules
func (s shard) schedules(production string) string      { return s.key("scheds", production) }      // set: their names
func (s shard) hooks(production string) string          { return s.key("hooks", production) }       // set: their names
func (s shard) quota(production string) string          { return s.key("quota", production) }       // hash: what may be open, and made in a minute
func (s shard) used(production string) string           { return s.key("used", production) }        // string: items of distributions not ended
func (s shard) schedule(production, name string) string { return s.key("sched", production, name) } // hash: it and its runs
func (s shard) hook(production, name string) string     { return s.key("hook", production, name) }  // hash

// crashes counts by document and function the workers lost in a row.
func (s shard) crashes(production string) string { return s.key("crash", production) }

// Limits that productions share have a slot of their own.
func studioLimit(name string) string    { return "{limit:" + name + "}:limit" }
func studioHolders(name string) string  { return "{limit:" + name + "}:holders" }
func studioFailures(name string) string { return "{limit:" + name + "}:failures" }
func studioLimits() string              { return "{limit}:names" }  // set
func studioTended() string              { return "{limit}:tended" } // set: names of resources with functions of their own

func (s shard) idempotency(production, key string) string { // hash: what a caller's key made
	sum := sha256.Sum256([]byte(key))
	return s.key("idem", production, hex.EncodeToString(sum[:16]))
}

// wakeChannel carries the names of functions for which something became ready.
func (s shard) wakeChannel() string { return s.key("wake") }

// metaKey holds what was fixed at first start: how many shards there are, and the version of the records.
func metaKey() string { return shard(0).key("meta") }

// beatsKey holds orchestrators by when they were there last.
func beatsKey() string { return shard(0).key("beats") } // zset

// roomKey holds how many slots workers have.
func roomKey() string { return shard(0).key("room") } // hash

func layoutChore(id string) string     { return "layout/" + id }
func cancelChore(id string) string     { return "cancel/" + id }
func resumeChore(id string) string     { return "resume/" + id }
func retryChore(id, ask string) string { return "retry/" + id + "/" + ask }
func leaveChore(id, ask string) string { return "leave/" + id + "/" + ask }

// clockMember is how a schedule stands in the clock.
func clockMember(production, name string) string { return production + "/" + name }

// Ref names one attempt at one step.
type Ref struct {
	shard        shard
	Distribution string
	Unit         plan.Unit
	Step         string
	Attempt      int
}

// String is the task id that workers see.
func (r Ref) String() string {
	b := make([]byte, 0, 64)
	b = append(strconv.AppendInt(b, int64(r.shard), 10), '/')
	b = append(append(b, r.Distribution...), '/')
	b = append(r.Unit.Append(b), '/')
	b = append(append(b, r.Step...), '/')
	return string(strconv.AppendInt(b, int64(r.Attempt), 10))
}

// ParseRef is the reverse of Ref.String.
func ParseRef(s string) (Ref, error) {
	var parts [5]string
	rest, more := s, true
	for i := range parts {
		if !more {
			return Ref{}, fmt.Errorf("%q is not a task id", s)
		}
		parts[i], rest, more = strings.Cut(rest, "/")
	}
	if more {
		return Ref{}, fmt.Errorf("%q is not a task id", s)
	}
	n, err1 := strconv.Atoi(parts[0])
	u, err2 := plan.ParseUnit(parts[2])
	attempt, err3 := strconv.Atoi(parts[4])
	if err1 != nil || err2 != nil || err3 != nil || n < 0 || attempt < 1 {
		return Ref{}, fmt.Errorf("%q is not a task id", s)
	}
	return Ref{shard: shard(n), Distribution: parts[1], Unit: u, Step: parts[3], Attempt: attempt}, nil
}

// member is how a step stands in queues.
func (r Ref) member() string { return r.Distribution + "/" + r.Unit.String() + "/" + r.Step }

func parseMember(sh shard, s string, attempt int) (Ref, error) {
	id, rest, ok1 := strings.Cut(s, "/")
	unit, step, ok2 := strings.Cut(rest, "/")
	if !ok1 || !ok2 || strings.Contains(step, "/") {
		return Ref{}, fmt.Errorf("%q is not a step", s)
	}
	u, err := plan.ParseUnit(unit)
	if err != nil {
		return Ref{}, err
	}
	return Ref{shard: sh, Distribution: id, Unit: u, Step: step, Attempt: attempt}, nil
}
