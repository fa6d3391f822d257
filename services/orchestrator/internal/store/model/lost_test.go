package model_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

const alone = "TestEveryScriptRunTwice"

// repeats says of every script how the random histories repeat it after its reply was lost: "same" by lost, since the second
// reply must mean what the first did; else what shows it.
var repeats = map[string]string{
	"checkpoint": "same", "renew": "same", "due": "same", "strays": "same", "occupy": "same", "permit": "same", "sweep": "same",
	"gather": "same", "pause": "same", "cancel": "same", "create": "same", "settle": "same", "chores": "same",
	"ask":    "same",
	"layout": "history.again: the slice is taken",
	"revive": "history.reviveSome: something has changed",
	"claim":  "history.strays: what was handed out goes back",
	// Not in the histories, but, like all others, in TestEveryScriptRunTwice of package store.
	"heed": alone, "define": alone, "hook_fired": alone, "schedule_due": alone, "lifecycle": alone,
	"schedule_move": alone, "starter_put": alone, "advance": alone, "batches": alone, "enlist": alone, "halt": alone,
	"release": alone, "archived": alone,
}

// lost runs some scripts twice and returns the second reply: the first got lost, and the caller repeated it.
type lost struct {
	scripts map[string]string // by digest
	rng     *rand.Rand
	counts  map[string]int
}

func (l *lost) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (l *lost) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *lost) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		reply, ok := cmd.(*redis.Cmd)
		if err != nil || !ok || cmd.Name() != "evalsha" {
			return err
		}
		digest, _ := cmd.Args()[1].(string)
		name := l.scripts[digest]
		if repeats[name] != "same" || l.rng.IntN(10) > 0 || name == "settle" && !plain(reply) {
			return nil
		}
		l.counts[name]++
		second := redis.NewCmd(ctx, cmd.Args()...)
		err = next(ctx, second)
		reply.SetVal(second.Val())
		reply.SetErr(err)
		return err
	}
}

// plain reports whether a settlement ended no distribution, belongs to no chore, and cannot have stopped its distribution
// for failures: of the first two the second reply does not tell, and after the third it calls fenced what it put back.
func plain(reply *redis.Cmd) bool {
	parts, ok := reply.Val().([]any)
	args := reply.Args()
	keys, _ := args[2].(int)
	chore, _ := args[3+keys+3].(string)
	graph := fmt.Sprintf("%s", args[3+keys+1])
	return ok && len(parts) == 3 && parts[1] == "" && chore == "" && strings.Contains(graph, `"tolerate":-1`)
}

// A new script says what becomes of it when its reply gets lost.
func TestEveryScriptMayBeRepeated(t *testing.T) {
	for _, name := range store.Digests() {
		if repeats[name] == "" {
			t.Errorf("%s.lua is not among repeats: say what a second run of it does", name)
		}
	}
}
