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
// script can change everything that must agree. Lua builds two of these itself from ids that it pops: unit and dist.

type shard int

// shardOf tells the shard of a production, of n.
func shardOf(production string, n int) shard {
	h := fnv.New32a()
	_, _ = h.Write([]byte(production)) // never fails (hash.Hash)
	return shard(h.Sum32() % uint32(n))
}

func (s shard) key(parts ...string) string {
	return "{" + strconv.Itoa(int(s)) + "}:" + strings.Join(parts, ":")
}

func (s shard) dist(id string) string         { return s.key("d", id) }         // hash: state, counters, cursors
func (s shard) unit(id, u string) string      { return s.key("u", id, u) }      // hash: the steps of one unit
func (s shard) long(id, u string) string      { return s.key("x", id, u) }      // hash: their outputs and sentences
func (s shard) recipients(id string) string   { return s.key("to", id) }        // hash: number → recipient
func (s shard) spec(id string) string         { return s.key("spec", id) }      // string: what never changes
func (s shard) events(id string) string       { return s.key("ev", id) }        // stream
func (s shard) changed() string               { return s.key("changed") }       // capped stream: who changed
func (s shard) queue(function string) string  { return s.key("q", function) }   // zset: ready steps by deadline
func (s shard) leases() string                { return s.key("lease") }         // zset: running steps by lease end
func (s shard) later() string                 { return s.key("later") }         // zset: retries by time
func (s shard) chores() string                { return s.key("chores") }        // zset: work done in slices
func (s shard) open() string                  { return s.key("open") }          // zset: distributions not ended
func (s shard) list(production string) string { return s.key("p", production) } // zset: a production's, by age
func (s shard) definition(name string) string { return s.key("def", name) }     // hash: version → source
func (s shard) sweeping() string              { return s.key("sweeping") }      // string: somebody sweeps
func (s shard) idempotency(production, key string) string { // hash: what a caller's key made
	sum := sha256.Sum256([]byte(key))
	return s.key("idem", production, hex.EncodeToString(sum[:16]))
}

// wakeChannel carries the names of functions for which something became ready.
func (s shard) wakeChannel() string { return s.key("wake") }

// metaKey holds what was fixed at first start: how many shards there are.
func metaKey() string { return shard(0).key("meta") }

func layoutChore(id string) string { return "layout/" + id }
func cancelChore(id string) string { return "cancel/" + id }

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
	return fmt.Sprintf("%d/%s/%s/%s/%d", r.shard, r.Distribution, r.Unit, r.Step, r.Attempt)
}

// ParseRef is the reverse of Ref.String.
func ParseRef(s string) (Ref, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 5 {
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
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return Ref{}, fmt.Errorf("%q is not a step", s)
	}
	u, err := plan.ParseUnit(parts[1])
	if err != nil {
		return Ref{}, err
	}
	return Ref{shard: sh, Distribution: parts[0], Unit: u, Step: parts[2], Attempt: attempt}, nil
}
