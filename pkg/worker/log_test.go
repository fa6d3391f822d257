package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/conf"
	"github.com/filigreehq/filigree/pkg/worker"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

// told is a service whose tasks say what they are about.
type told struct{ *service }

func (s told) Pull(ctx context.Context, r *taskv1.PullRequest, opts ...grpc.CallOption) (*taskv1.PullResponse, error) {
	resp, err := s.service.Pull(ctx, r, opts...)
	for _, t := range resp.GetTasks() {
		t.Production, t.Distribution, t.Unit, t.Step = "indigo", "01JDQ6Z8Y3ABCDEFGHJKMNPQRS", "i2.7", "watermark"
	}
	return resp, err
}

// with runs handler as an attempt, and gives what was reported and logged.
func with(t *testing.T, level slog.Level, handler func(context.Context)) (*taskv1.Result, string) {
	t.Helper()
	var logged bytes.Buffer
	var result *taskv1.Result
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		step := o.add("test.Do", "{}", 1)[0]
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		log := slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: level}))
		w := worker.New(worker.Config{Name: "w", Slots: 1}, told{o}, log, do("test.Do", func(ctx context.Context) error {
			handler(ctx)
			return nil
		}))
		go func() {
			defer close(ended)
			_ = w.Run(ctx) // it returns nil
		}()
		o.settled(time.Hour)
		cancel()
		<-ended
		result = step.last
	})
	return result, logged.String()
}

func TestLinesOfAnAttempt(t *testing.T) {
	t.Parallel()
	type account struct {
		User     string
		Key      conf.Secret
		password conf.Secret //nolint:unused // it is what must not be printed
	}
	result, logged := with(t, slog.LevelInfo, func(ctx context.Context) {
		log := worker.Log(ctx)
		for i := range 30 {
			log.InfoContext(ctx, "line", "n", i)
		}
		log.DebugContext(ctx, "nobody wants to know")
		log.With("engine", "x").WithGroup("font").WarnContext(ctx, "odd", "name", "A B", slog.Group("at", "page", 3), "key", conf.Secret("hunter2"),
			"account", account{User: "u", Key: "hunter2", password: "hunter2"}, "err", fmt.Errorf("no %s", "way"))
		log.ErrorContext(ctx, strings.Repeat("long \xff", 500))
	})
	lines := result.GetLog()
	if len(lines) != 20 {
		t.Fatalf("%d lines are kept, want 20", len(lines))
	}
	if lines[17].GetText() != "line n=29 worker=w" || lines[17].GetLevel() != "info" || lines[17].GetTime().AsTime().IsZero() {
		t.Errorf("got %v, want line n=29", lines[17])
	}
	const want = `odd font.name="A B" font.at.page=3 font.key=*** font.account="{\"User\":\"u\",\"Key\":\"***\"}" font.err="no way" worker=w engine=x`
	if lines[18].GetText() != want || lines[18].GetLevel() != "warn" {
		t.Errorf("got %s, want %s", lines[18].GetText(), want)
	}
	if len(lines[19].GetText()) > 512 || len(lines[19].GetText()) < 500 || lines[19].GetLevel() != "error" {
		t.Errorf("got a line of %d bytes, want about 512", len(lines[19].GetText()))
	}
	if strings.Contains(logged, "hunter2") || strings.Contains(fmt.Sprint(lines), "hunter2") {
		t.Error("a secret was logged")
	}
	first, _, _ := strings.Cut(logged, "\n")
	var got map[string]any
	err := json.Unmarshal([]byte(first), &got)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]any{"production": "indigo", "distribution": "01JDQ6Z8Y3ABCDEFGHJKMNPQRS", "unit": "i2.7", "step": "watermark", "attempt": 1.0} {
		if got[k] != v {
			t.Errorf("%s is %v in %s, want %v", k, got[k], first, v)
		}
	}
	if id, _ := got["trace_id"].(string); len(id) != 32 {
		t.Errorf("%s has no trace_id", first)
	}
}

// What is not logged because of its level is kept all the same.
// noted is an error that looks into itself, and fails to say so when there is nothing.
type noted struct{ reason string }

func (e *noted) Error() string { return e.reason }

type loud struct{}

func (loud) String() string { panic("no words") }

// What cannot say itself ends no step.
func TestALineThatCannotSayItselfEndsNothing(t *testing.T) {
	t.Parallel()
	result, _ := with(t, slog.LevelInfo, func(ctx context.Context) {
		worker.Log(ctx).InfoContext(ctx, "read", "refused", (*noted)(nil), "and", loud{})
	})
	if result.GetFailure() != nil || len(result.GetLog()) != 1 || !strings.HasPrefix(result.GetLog()[0].GetText(), `read refused=nil and="!PANIC: no words"`) {
		t.Errorf("got %v", result)
	}
}

func TestQuietLog(t *testing.T) {
	t.Parallel()
	result, logged := with(t, slog.LevelError, func(ctx context.Context) { worker.Log(ctx).InfoContext(ctx, "kept") })
	if len(result.GetLog()) != 1 || logged != "" {
		t.Errorf("kept %v and logged %q, want one line kept", result.GetLog(), logged)
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	result, logged := with(t, slog.LevelInfo, func(ctx context.Context) {
		worker.Bytes(ctx, 100, 10)
		worker.Bytes(ctx, 1, 2)
		worker.Metric(ctx, "pages", 3, "kind", "a4")
		worker.Metric(ctx, "pages", 4, "kind", "a4")
		worker.Metric(ctx, "pages", 5, "kind", "a3")
		worker.Metric(ctx, "Pages", 1)
		worker.Metric(ctx, "pages", math.NaN())
		worker.Metric(ctx, "pages", 1, "kind")
		worker.Metric(ctx, "pages", 1, "function", "mine")
		for i := range 30 {
			worker.Metric(ctx, fmt.Sprint("m", i), 1)
		}
	})
	if result.GetBytesIn() != 101 || result.GetBytesOut() != 12 {
		t.Errorf("read %d and made %d bytes, want 101 and 12", result.GetBytesIn(), result.GetBytesOut())
	}
	m := result.GetMetrics()
	if len(m) != 20 || m[0].GetName() != "pages" || m[0].GetValue() != 7 || m[0].GetLabels()["kind"] != "a4" || m[1].GetValue() != 5 {
		t.Errorf("got %v, want pages 7, pages 5 and 18 more", m)
	}
	if n := strings.Count(logged, "metric dropped"); n != 16 {
		t.Errorf("%d metrics were dropped, want 16: 4 that may not be and 12 that are too many", n)
	}
}

// Who calls the handler as a plain RPC has no attempt.
func TestFiguresOutsideOfATask(t *testing.T) {
	t.Parallel()
	worker.Bytes(t.Context(), 1, 1)
	worker.Metric(t.Context(), "pages", 1)
	worker.Log(t.Context()).Error("nobody hears")
}
