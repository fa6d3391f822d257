package store_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// mute fails calls that give places back while it is on.
type mute struct{ on atomic.Bool }

func (m *mute) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (m *mute) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (m *mute) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if m.on.Load() && cmd.Name() == "zrem" && strings.HasPrefix(cmd.Args()[1].(string), "{limit:") {
			cmd.SetErr(errors.New("away"))
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}

// A place that is not given back, as that call failed, is given back when the end is reported again, and at the latest 15 s after
// its holder was last heard of.
func TestAPlaceThatIsNotGivenBackFreesItself(t *testing.T) {
	t.Parallel()
	client := redistest.New(t)
	m := &mute{}
	client.AddHook(m)
	st, err := store.Open(t.Context(), client, 1)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	must(st.SetLimit(t.Context(), "", store.Limit{Name: "relay", Concurrency: 1, Burst: 1}, nil))
	def := &plan.Definition{Name: "mail", Version: 1, Steps: []plan.Step{{Name: "mail", Scope: plan.ScopeRecipient, Function: "f.Mail", Limits: []string{"studio/relay"}, Retry: plan.Retry{Attempts: 1}}}}
	n := store.New{ID: "D1", Production: "p", Key: "k", Hash: "h", Definition: def, Size: plan.Size{Files: 1, Recipients: 3}, Spec: []byte("{}")}
	for range 3 {
		n.Recipients = append(n.Recipients, store.Recipient{Name: "a", Email: "a@example.com"})
	}
	create(t, st, n)
	g, err := store.NewGraph(def, "D1", store.Rules{})
	must(err)
	all, err := st.Chores(t.Context())
	must(err)
	for _, c := range all {
		for c.Cursor != "" {
			c.Cursor, err = st.Layout(t.Context(), c, g, n.Size, nil)
			must(err)
		}
	}
	claim := func(want int) []store.Claimed {
		t.Helper()
		must(st.Gather(t.Context()))
		got, err := st.Claim(t.Context(), "w", []string{"f.Mail"}, 3)
		if err != nil || len(got) != want {
			t.Fatalf("handed out %d: %v; want %d", len(got), err, want)
		}
		return got
	}
	settle := func(c store.Claimed) error {
		_, _, err := st.Settle(t.Context(), g, "p", "D1", []store.End{{Ref: c.Ref, Worker: "w", Outcome: plan.Succeeded(&def.Steps[0], plan.Tally{})}})
		return err
	}
	one := claim(1)[0]
	m.on.Store(true)
	if settle(one) == nil {
		t.Error("nobody was told that the place was not given back")
	}
	m.on.Store(false)
	claim(0)
	must(settle(one)) // as the worker does that got no answer
	two := claim(1)[0]
	m.on.Store(true)
	if settle(two) == nil {
		t.Error("nobody was told that the place was not given back")
	}
	m.on.Store(false)
	claim(0)
	now, err := client.Time(t.Context()).Result()
	must(err)
	held, err := client.ZRangeWithScores(t.Context(), "{limit:relay}:holders", 0, -1).Result()
	must(err)
	if len(held) != 1 || time.UnixMilli(int64(held[0].Score)).Sub(now) > 15*time.Second {
		t.Fatalf("the places are %v, at %d; want one, for 15 s at most", held, now.UnixMilli())
	}
	must(client.ZAdd(t.Context(), "{limit:relay}:holders", redis.Z{Score: 1, Member: held[0].Member}).Err()) // 15 s later
	claim(1)
}
