package orchestrator_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

func (s *studio) attempts(production, id string) []*distributionv1.Event {
	s.t.Helper()
	resp, err := s.distributions[0].ListEvents(s.t.Context(), &distributionv1.ListEventsRequest{Production: production, Distribution: id, PageSize: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	var out []*distributionv1.Event
	for _, e := range resp.GetEvents() {
		if e.GetKind() == "attempt" {
			out = append(out, e)
		}
	}
	return out
}

// What a function gives beside its answer is in the attempt's event, and so is when it is tried again.
func TestWhatAFunctionGivesBesideItsAnswer(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("talking", ""))
	s.work("w", 1, map[string]handler{"test.Work": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
		task, _ := worker.TaskFrom(ctx)
		worker.Log(ctx).InfoContext(ctx, "begun", "page", 3)
		worker.Bytes(ctx, 1000, 20)
		worker.Metric(ctx, "pages", 12, "kind", "a4")
		if task.Attempt == 1 {
			return nil, fault.New(fault.Unavailable, "NOT_YET", "come again")
		}
		return structpb.NewStruct(map[string]any{"said": "two\nlines"})
	}})
	id := s.create("one", "talking", 1, 1)
	if got := s.ended("one", id); got.GetState() != "completed" {
		t.Fatalf("it ended %s, want completed", got.GetState())
	}
	events := s.attempts("one", id)
	if len(events) != 2 {
		t.Fatalf("got %v, want two attempts", events)
	}
	for _, e := range events {
		if e.GetBytesIn() != 1000 || e.GetBytesOut() != 20 || len(e.GetMetrics()) != 1 || len(e.GetLog()) != 1 {
			t.Fatalf("got %v, want bytes, a metric and a line", e)
		}
		m, l := e.GetMetrics()[0], e.GetLog()[0]
		if m.GetName() != "pages" || m.GetValue() != 12 || m.GetLabels()["kind"] != "a4" {
			t.Errorf("got %v, want 12 pages", m)
		}
		if !strings.HasPrefix(l.GetText(), "begun page=3") || l.GetLevel() != "info" || time.Since(l.GetTime().AsTime()).Abs() > time.Hour {
			t.Errorf("got %v, want the line", l)
		}
		if e.GetLimit() != "" || e.GetLimitWait() != nil {
			t.Errorf("it waited for %s, want for nothing", e.GetLimit())
		}
	}
	first := events[0]
	if first.GetError().GetCode() != "NOT_YET" || first.GetRetryAt().AsTime().Before(first.GetStartedAt().AsTime()) {
		t.Errorf("got %v, want when it is tried again", first)
	}
	if events[1].GetRetryAt() != nil {
		t.Errorf("got %v, want nothing after it", events[1])
	}
}

// An attempt says which limit its step had waited for, and how long; those that did not wait say nothing.
func TestHowLongALimitHeldAnAttemptUp(t *testing.T) {
	t.Parallel()
	const busy = 300 * time.Millisecond
	for limit, more := range map[string]string{"desk": "    limits: [desk]\n", "studio/desk": "    limits: [studio/desk]\n", "test.Work": ""} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			s := newStudio(t, 1, orchestrator.Config{Shards: 1})
			s.define(step("limited", more))
			name, shared := strings.CutPrefix(limit, "studio/")
			l := &controlv1.Limit{Name: name, Concurrency: 1}
			var err error
			if shared {
				_, err = s.control.SetStudioLimit(t.Context(), &controlv1.SetStudioLimitRequest{Name: name, Limit: l})
			} else {
				_, err = s.control.SetLimit(t.Context(), &controlv1.SetLimitRequest{Production: "one", Name: limit, Limit: l})
			}
			if err != nil {
				t.Fatal(err)
			}
			s.work("w", 8, map[string]handler{"test.Work": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
				spend(ctx, busy)
				return &structpb.Struct{}, nil
			}})
			id := s.create("one", "limited", 1, 3)
			s.ended("one", id)
			free, longest := 0, time.Duration(0)
			events := s.attempts("one", id)
			for _, e := range events {
				switch e.GetLimit() {
				case "":
					free++
				case limit:
					longest = max(longest, e.GetLimitWait().AsDuration())
				default:
					t.Errorf("it waited for %q, want %q", e.GetLimit(), limit)
				}
			}
			// The first has the place at once, or after it was granted one that productions share.
			if len(events) != 3 || free > 1 || longest < busy {
				t.Errorf("of %d attempts %d waited for nothing, the longest waited %s, want 2 or 3 that waited, up to %s and more", len(events), free, longest, 2*busy)
			}
			left, err := s.redis.Do(t.Context(), "EVAL", `local n = 0 for _, k in ipairs(redis.call('KEYS', '*:u:*')) do if redis.call('HEXISTS', k, 'work.aside') == 1 then n = n + 1 end end return n`, "0").Int()
			if err != nil || left != 0 {
				t.Errorf("%d records still say where their steps were put aside, %v", left, err)
			}
		})
	}
}
