package store_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// What one step of a chain of four costs Redis, in processor time of the server: claimed and settled by the hundred.
func BenchmarkStep(b *testing.B) {
	chain := plan.Definition{Name: "chain", Version: 1}
	var functions []string
	for i := range 4 {
		st := plan.Step{Name: "s" + strconv.Itoa(i), Scope: plan.ScopeItem, Function: "bench.S" + strconv.Itoa(i), Retry: plan.Retry{Attempts: 3}}
		if i > 0 {
			st.Needs = []string{"s" + strconv.Itoa(i-1)}
		}
		chain.Steps = append(chain.Steps, st)
		functions = append(functions, st.Function)
	}
	ctx := b.Context()
	client := redistest.New(b)
	st, err := store.Open(ctx, client, 1)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	steps := 0
	var graph *store.Graph
	for b.Loop() {
		b.StopTimer()
		n++
		id := "D" + strconv.Itoa(n)
		size := plan.Size{Files: 1, Recipients: 1000}
		graph, err = store.NewGraph(&chain, id, store.Rules{})
		if err != nil {
			b.Fatal(err)
		}
		people := make([]store.Recipient, size.Recipients)
		_, err = st.Create(ctx, store.New{ID: id, Production: "p", Key: id, Hash: "h", Definition: &chain, Size: size, Spec: []byte("{}"), Recipients: people})
		if err != nil {
			b.Fatal(err)
		}
		chores, err := st.Chores(ctx)
		if err != nil || len(chores) != 1 {
			b.Fatal(chores, err)
		}
		for c := chores[0]; ; {
			c.Cursor, err = st.Layout(ctx, c, graph, size, nil)
			if err != nil {
				b.Fatal(err)
			}
			if c.Cursor == "" {
				break
			}
		}
		before := cpu(ctx, b, client)
		b.StartTimer()
		for {
			claimed, err := st.Claim(ctx, "w", functions, 100)
			if err != nil {
				b.Fatal(err)
			}
			if len(claimed) == 0 {
				break
			}
			ends := make([]store.End, len(claimed))
			for i, c := range claimed {
				step, _ := chain.Step(c.Step)
				ends[i] = store.End{Ref: c.Ref, Worker: "w", Outcome: plan.Succeeded(step, plan.Tally{})}
			}
			_, _, err = st.Settle(ctx, graph, "p", id, ends)
			if err != nil {
				b.Fatal(err)
			}
			steps += len(ends)
		}
		b.StopTimer()
		used += cpu(ctx, b, client) - before
		b.StartTimer()
	}
	b.ReportMetric(used*1e6/float64(steps), "redis-µs/step")
	used = 0
}

var used float64

// cpu is the processor time that the server has used, in seconds.
func cpu(ctx context.Context, b *testing.B, c redis.UniversalClient) float64 {
	text, err := c.Info(ctx, "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	sum := 0.0
	for _, name := range []string{"used_cpu_sys:", "used_cpu_user:"} {
		_, rest, _ := strings.Cut(text, name)
		value, _, _ := strings.Cut(rest, "\r\n")
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += seconds
	}
	return sum
}
