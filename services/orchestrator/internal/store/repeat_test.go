package store_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// errLost is what the caller of a script hears whose answer never came.
var errLost = errors.New("no answer, by the test")

// unsure has one run of a script end without an answer: carried out, or not.
type unsure struct {
	mu     sync.Mutex
	digest string
	done   bool // it is carried out
	hits   int
}

// arm has the next run of a script end without an answer.
func (u *unsure) arm(source string, done bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	sum := sha1.Sum([]byte(source))
	u.digest, u.done, u.hits = hex.EncodeToString(sum[:]), done, 0
}

// hit reports whether cmd is the run that was waited for.
func (u *unsure) hit(cmd redis.Cmder) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.digest == "" || cmd.Name() != "evalsha" || cmd.Args()[1] != u.digest {
		return false
	}
	u.digest = ""
	u.hits++
	return true
}

func (u *unsure) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (u *unsure) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !u.hit(cmd) {
			return next(ctx, cmd)
		}
		if u.done {
			err := next(ctx, cmd)
			if err != nil {
				return err
			}
		}
		cmd.SetErr(errLost)
		return errLost
	}
}

func (u *unsure) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !slices.ContainsFunc(cmds, u.hit) {
			return next(ctx, cmds)
		}
		if u.done {
			err := next(ctx, cmds)
			if err != nil {
				return err
			}
		}
		for _, cmd := range cmds {
			cmd.SetErr(errLost)
		}
		return errLost
	}
}

// repeat is one way to run a script by the store's own method, and what may come of running it twice.
type repeat struct {
	script, name string
	// before makes what the script works on, without faults.
	before func(r *repeated)
	// call runs it, the n-th time.
	call func(r *repeated, n int) error
	// between is what lies between the two calls; nil is nothing.
	between func(r *repeated)
	// again is what the second call answers after the first was carried out; nil: what the first would have.
	again error
	// why says what is right about an answer or a state that is another than that of one call. A state that differs must do so
	// in nothing but keys that the pattern except finds.
	why, except string
}

// repeated is what the callbacks of a repeat work with.
type repeated struct {
	*history
	claimed []store.Claimed
	chore   store.Chore
	batch   *store.Batch
	due     []store.DueSchedule
	res     *store.Resource
	again   store.Again
	lost    []store.Due
}

// Every script may be run again by a caller who got no answer, whether it was carried out or not: everything in Redis is
// then as after one run. A script that is in no row fails this test.
func TestEveryScriptRunTwice(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	u := &unsure{}
	faulty := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{server.Socket}, MaxRetries: -1})
	t.Cleanup(func() { _ = faulty.Close() })
	faulty.AddHook(u)
	sources := map[string]string{}
	for file, source := range store.Scripts(t) {
		sources[strings.TrimSuffix(path.Base(file), ".lua")] = source
		err := server.Client.ScriptLoad(t.Context(), source).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	rows := map[string]bool{}
	for _, row := range repeats {
		rows[row.script] = true
		t.Run(row.script+" "+row.name, func(t *testing.T) {
			run := func(fault string) (state map[string]string, answer error) {
				err := server.Client.FlushAll(t.Context()).Err()
				if err != nil {
					t.Fatal(err)
				}
				st, err := store.Open(t.Context(), faulty, 1)
				if err != nil {
					t.Fatal(err)
				}
				r := newRepeated(t, st, server.Client)
				row.before(r)
				if fault == "" {
					return dump(t, server.Client, ""), row.call(r, 1)
				}
				first := 1
				if fault != "none" {
					u.arm(sources[row.script], fault == "carried out")
					err = row.call(r, 1)
					if u.hits != 1 || !errors.Is(err, errLost) {
						t.Fatalf("%s: the first call met the fault %d times and answered %v", fault, u.hits, err)
					}
					if row.between != nil {
						row.between(r)
					}
					first = 2
				}
				answer = row.call(r, first)
				return dump(t, server.Client, row.except), answer
			}
			untouched, _ := run("")
			want, answer := run("none")
			if answer != nil {
				t.Fatalf("one call answers %v", answer)
			}
			if cmp.Equal(untouched, want) && !readsOnly[row.script] {
				t.Fatal("one call changes nothing, so that two show nothing")
			}
			for _, fault := range []string{"not carried out", "carried out"} {
				got, answer := run(fault)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, and called again: the state is another than after one call (-once +twice):\n%s", fault, diff)
				}
				wanted := row.again
				if fault == "not carried out" {
					wanted = nil
				}
				if !errors.Is(answer, wanted) {
					t.Errorf("%s, and called again, it answers %v, want %v", fault, answer, wanted)
				}
			}
			if (row.again != nil || row.except != "") && row.why == "" {
				t.Error("its second answer or state is another, and the row does not say why")
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if !rows[name] {
			t.Errorf("%s.lua is in no row of repeats: say how it is run, and what comes of running it twice", name)
		}
	}
}

// clock is a moment in ms, alone or in an id of a stream.
var clock = regexp.MustCompile(`\b1\d{12,15}(\.\d+)?\b`)

// dump is all of Redis in words, but for keys that except finds, and with T in the place of every moment.
func dump(t *testing.T, c redis.UniversalClient, except string) map[string]string {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	keys, err := c.Keys(ctx, "*").Result()
	must(err)
	out := map[string]string{}
	for _, key := range keys {
		if except != "" && regexp.MustCompile(except).MatchString(key) {
			continue
		}
		kind, err := c.Type(ctx, key).Result()
		must(err)
		var lines []string
		switch kind {
		case "string":
			v, err := c.Get(ctx, key).Result()
			must(err)
			lines = append(lines, v)
		case "hash":
			h, err := c.HGetAll(ctx, key).Result()
			must(err)
			for f, v := range h {
				lines = append(lines, f+"="+v)
			}
		case "set":
			lines, err = c.SMembers(ctx, key).Result()
			must(err)
		case "zset":
			all, err := c.ZRangeWithScores(ctx, key, 0, -1).Result()
			must(err)
			for _, z := range all {
				lines = append(lines, fmt.Sprintf("%s at %.0f", z.Member, z.Score))
			}
		case "stream":
			all, err := c.XRange(ctx, key, "-", "+").Result()
			must(err)
			for n, m := range all {
				line := fmt.Sprintf("%03d", n)
				for _, f := range slices.Sorted(maps.Keys(m.Values)) {
					line += fmt.Sprintf(" %s=%v", f, m.Values[f])
				}
				lines = append(lines, line)
			}
		default:
			t.Fatalf("%s is a %s, which dump does not know", key, kind)
		}
		ttl, err := c.TTL(ctx, key).Result()
		must(err)
		if ttl > 0 {
			lines = append(lines, "goes by itself")
		}
		slices.Sort(lines)
		out[key] = clock.ReplaceAllString(strings.Join(lines, "\n"), "T")
	}
	return out
}
