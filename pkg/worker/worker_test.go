package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

type empty = emptypb.Empty

// do makes a function of a handler that neither needs a request nor has an answer.
func do(name string, handler func(context.Context) error) worker.Function {
	return worker.Func(name, func(ctx context.Context, _ *empty) (*empty, error) { return &empty{}, handler(ctx) })
}

// start runs a worker; stop ends it and waits until it has returned.
func start(t *testing.T, o taskv1.TaskServiceClient, name string, slots int, functions ...worker.Function) (stop func()) {
	w := worker.New(worker.Config{Name: name, Slots: slots}, o, slog.New(slog.DiscardHandler), functions...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := w.Run(ctx)
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return func() { cancel(); <-done }
}

// What an orchestrator does not answer, or answers without being heard, costs time and nothing else. A bubble that is
// left with anything still running fails, so this also shows that Run leaves nothing behind.
func TestLostCallsAndAnswers(t *testing.T) {
	for _, method := range []string{"Pull", "Report", "Checkpoint", "Renew", "Occupy", "Vacate", "any"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newService(t)
				o.limits["db"] = 3
				random := rand.New(rand.NewPCG(1, 2))
				var mu sync.Mutex
				o.lose = func(m string) loss {
					mu.Lock()
					defer mu.Unlock()
					if (method == "any" || m == method) && random.IntN(100) < 30 {
						return loss(1 + random.IntN(4))
					}
					return nothing
				}
				o.add("test.Do", "{}", 300)
				effects := map[string]int{}
				handler := do("test.Do", func(ctx context.Context) error {
					task, _ := worker.TaskFrom(ctx)
					release, err := worker.Occupy(ctx, "db", 1)
					if err != nil {
						return err
					}
					sleep(ctx, time.Second)
					release()
					err = worker.Checkpoint(ctx, "act")
					if err != nil {
						return err
					}
					mu.Lock()
					defer mu.Unlock()
					effects[strings.Split(task.ID, "#")[0]]++
					return nil
				})
				var stops []func()
				for i := range 3 {
					stops = append(stops, start(t, o, fmt.Sprint("w", i), 8, handler))
				}
				o.settled(24 * time.Hour)
				for _, stop := range stops {
					stop()
				}
				if got := o.count("done"); got != 300 {
					t.Errorf("%d of 300 steps are done", got)
				}
				again := 0
				for _, n := range effects {
					again += n - 1
				}
				if len(effects) != 300 || again > o.expired {
					t.Errorf("%d steps had their effect, %d of them again; %d leases ran out", len(effects), again, o.expired)
				}
				if method != "any" && method != "Renew" && method != "Pull" && o.expired > 0 {
					t.Errorf("%d leases ran out although Renew was never disturbed", o.expired)
				}
				if n := o.taken("db"); n != 0 {
					t.Errorf("%d slots are left taken", n)
				}
			})
		})
	}
}

// sleep waits in the bubble's time.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Ten thousand outside jobs, each asked for three times, hold no goroutine while nobody asks.
func TestPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		const jobs = 10_000
		o.add("test.Do", "{}", jobs)
		handler := do("test.Do", func(ctx context.Context) error {
			task, _ := worker.TaskFrom(ctx)
			switch task.Checkpoint {
			case "":
				return worker.Pending(time.Hour, "job of "+strings.Split(task.ID, "#")[0])
			case "job of " + strings.Split(task.ID, "#")[0]:
				return fmt.Errorf("wrapped: %w", worker.Pending(time.Hour, "asked"))
			case "asked":
				return nil
			}
			t.Errorf("task %s has checkpoint %q", task.ID, task.Checkpoint)
			return nil
		})
		before := runtime.NumGoroutine()
		stop := start(t, o, "w", 64, handler)
		for range 2 {
			time.Sleep(30 * time.Minute)
			synctest.Wait()
			if n := o.count("ready"); n != jobs {
				t.Errorf("%d steps wait to be asked for, want %d", n, jobs)
			}
			if n := runtime.NumGoroutine() - before; n >= 100 {
				t.Errorf("%d goroutines hold %d pending tasks, want fewer than 100", n, jobs)
			}
			time.Sleep(30 * time.Minute)
		}
		o.settled(time.Minute)
		stop()
		for _, s := range o.steps {
			if s.state != "done" || s.attempt != 3 {
				t.Fatalf("step %s is %s after %d attempts, want done after 3", s.name, s.state, s.attempt)
			}
		}
	})
}

// Whoever calls a handler as a plain RPC is told that it cannot wait, and not to repeat the call.
func TestPendingPlainCall(t *testing.T) {
	f := fault.From(worker.Pending(time.Second, "job 7"))
	if f.Reason != "TASK_ONLY" || f.Transient() {
		t.Errorf("got %v, transient %v; want TASK_ONLY and not transient", f, f.Transient())
	}
	st, _ := status.FromError(f.GRPCStatus().Err())
	if !strings.Contains(st.Message(), "step of a distribution") {
		t.Errorf("a plain caller sees %q, want what to do", st.Message())
	}
	for _, checkpoint := range []string{"", strings.Repeat("x", 1025), "\xff"} {
		f = fault.From(worker.Pending(time.Second, checkpoint))
		if f.Reason != "PENDING_INVALID" || f.Transient() {
			t.Errorf("checkpoint %.10q: got %v, want PENDING_INVALID", checkpoint, f)
		}
	}
}

// A stopping worker keeps what it runs for the grace period, hands back what is not ready by then, and gives up what it
// was handed without hearing of it at once: the others need not wait for a lease.
func TestLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		slow := o.add("test.Slow", "{}", 1)[0]
		long := o.add("test.Long", "{}", 1)[0]
		stop := start(t, o, "w1", 4,
			do("test.Slow", func(ctx context.Context) error { sleep(ctx, 5*time.Second); return ctx.Err() }),
			do("test.Long", func(ctx context.Context) error { sleep(ctx, time.Hour); return ctx.Err() }),
			do("test.Do", func(context.Context) error { return nil }))
		synctest.Wait()
		o.mu.Lock()
		o.lose = func(m string) loss {
			if m == "Pull" {
				return lostAnswer
			}
			return nothing
		}
		o.mu.Unlock()
		// The Pull under way is not lost, so it brings one more; that of the next is never heard of.
		seen := o.add("test.Do", "{}", 1)[0]
		synctest.Wait()
		unseen := o.add("test.Do", "{}", 1)[0]
		synctest.Wait()
		o.mu.Lock()
		if seen.state != "done" || unseen.state != "running" {
			t.Errorf("the steps are %s and %s, want done and running", seen.state, unseen.state)
		}
		o.lose = nil
		o.mu.Unlock()

		began := time.Now()
		stop2 := start(t, o, "w2", 4, do("test.Do", func(context.Context) error { return nil }))
		stop()
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("stopping took %s, want the grace period, 8s", took)
		}
		if slow.state != "done" || slow.attempt != 1 {
			t.Errorf("the slow step is %s after %d attempts, want done after 1", slow.state, slow.attempt)
		}
		if long.state != "ready" || long.last.GetHandBack() == nil {
			t.Errorf("the long step is %s by %v, want handed back", long.state, long.last)
		}
		if last := unseen.pulledAt[len(unseen.pulledAt)-1]; unseen.state != "done" || !last.Equal(began) {
			t.Errorf("the unseen step is %s, pulled %s after the stop; want done by another at once", unseen.state, last.Sub(began))
		}
		stop2()
	})
}

// A worker names all that it holds, in as many calls as it takes, and keeps every lease.
func TestRenewMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		o.add("test.Do", "{}", 2500)
		stop := start(t, o, "w", 2500, do("test.Do", func(ctx context.Context) error { sleep(ctx, 25*time.Second); return ctx.Err() }))
		time.Sleep(24 * time.Second)
		if n := o.count("running"); n != 2500 {
			t.Errorf("%d steps run, want 2500", n)
		}
		o.settled(time.Minute)
		stop()
		if o.expired != 0 || o.count("done") != 2500 {
			t.Errorf("%d leases ran out and %d of 2500 steps are done", o.expired, o.count("done"))
		}
	})
}

// A worker that leaves with more than one call can name keeps all of it.
func TestLeavingWithMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		o.add("test.Do", "{}", 1500)
		stop := start(t, o, "w", 1500, do("test.Do", func(ctx context.Context) error { sleep(ctx, 7*time.Second); return ctx.Err() }))
		time.Sleep(time.Second)
		stop()
		if n := o.count("done"); n != 1500 || o.expired != 0 {
			t.Errorf("%d of 1500 steps are done and %d leases ran out", n, o.expired)
		}
	})
}

// Renewing is tried again soon enough to keep the lease.
func TestRenewAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		began := time.Now()
		o.lose = func(m string) loss {
			if m == "Renew" && time.Since(began) < 7900*time.Millisecond {
				return lostCall
			}
			return nothing
		}
		o.add("test.Do", "{}", 1)
		stop := start(t, o, "w", 1, do("test.Do", func(ctx context.Context) error { sleep(ctx, 30*time.Second); return ctx.Err() }))
		o.settled(time.Minute)
		stop()
		if o.expired != 0 {
			t.Errorf("%d leases ran out", o.expired)
		}
	})
}

// A worker that cannot report any more gives up in the end, and others have its tasks at once. Nothing of it runs on.
func TestNobodyHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		o.limits["db"] = 1
		o.lose = func(m string) loss {
			if m == "Report" || m == "Vacate" {
				return lostCall
			}
			return nothing
		}
		before := runtime.NumGoroutine()
		s := o.add("test.Do", "{}", 1)[0]
		stop := start(t, o, "w", 1, do("test.Do", func(ctx context.Context) error {
			_, err := worker.Occupy(ctx, "db", 1)
			return err
		}))
		time.Sleep(time.Minute)
		began := time.Now()
		stop()
		if took := time.Since(began); took < 20*time.Second || took > 30*time.Second {
			t.Errorf("stopping took %s, want to try for 20s", took)
		}
		if s.state != "ready" {
			t.Errorf("the step is %s, want it ready for others", s.state)
		}
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines, %d before", n, before)
		}
	})
}

// A task that is handed out twice under one name is one attempt.
func TestHandedOutTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		s := o.add("test.Do", "{}", 1)[0]
		var runs atomic.Int32
		stop := start(t, twice{o}, "w", 4, do("test.Do", func(ctx context.Context) error { runs.Add(1); sleep(ctx, time.Second); return nil }))
		o.settled(time.Minute)
		o.add("test.Do", "{}", 10)
		o.settled(time.Minute)
		stop()
		if s.attempt != 1 || runs.Load() != 11 {
			t.Errorf("11 steps ran %d times", runs.Load())
		}
	})
}

// A lease lost, and a distribution cancelled, end the handler; the first is not reported, the second handed back.
func TestLostAndCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		lost, cancelled := o.add("test.Do", "{}", 1)[0], o.add("test.Do", "{}", 1)[0]
		causes := map[string]error{}
		var mu sync.Mutex
		stop := start(t, o, "w", 4, do("test.Do", func(ctx context.Context) error {
			task, _ := worker.TaskFrom(ctx)
			if task.Attempt > 1 {
				return nil
			}
			<-ctx.Done()
			_, errOccupy := worker.Occupy(ctx, "db", 1)
			errCheckpoint := worker.Checkpoint(context.WithoutCancel(ctx), "act")
			mu.Lock()
			defer mu.Unlock()
			causes[task.ID] = context.Cause(ctx)
			if !errors.Is(errOccupy, causes[task.ID]) || !errors.Is(errCheckpoint, causes[task.ID]) {
				t.Errorf("Occupy says %v, Checkpoint %v, want %v", errOccupy, errCheckpoint, causes[task.ID])
			}
			return ctx.Err()
		}))
		synctest.Wait()
		o.mu.Lock()
		o.end(lost, "ready", 0)
		cancelled.cancelled = true
		o.mu.Unlock()
		o.settled(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		defer stop()
		if err := causes[lost.name+"#1"]; !errors.Is(err, worker.ErrFenced) || errors.Is(err, worker.ErrCancelled) {
			t.Errorf("the lost one ended with %v, want ErrFenced", err)
		}
		if err := causes[cancelled.name+"#1"]; !errors.Is(err, worker.ErrCancelled) || errors.Is(err, worker.ErrFenced) {
			t.Errorf("the cancelled one ended with %v, want ErrCancelled", err)
		}
		if lost.state != "done" || cancelled.last.GetHandBack() == nil {
			t.Errorf("the lost one is %s, the cancelled one's result %v; want done by its second attempt, and handed back", lost.state, cancelled.last)
		}
	})
}

// Named slots are never taken by more handlers than there are, and come back on every exit.
func TestOccupy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		o.limits["db"] = 3
		var inside, most atomic.Int32
		o.add("test.Do", "{}", 60)
		stop := start(t, o, "w", 20, do("test.Do", func(ctx context.Context) error {
			task, _ := worker.TaskFrom(ctx)
			before := time.Now()
			release, err := worker.Occupy(ctx, "nobody limits it", 5)
			if err != nil || time.Since(before) != 0 {
				return fmt.Errorf("no limit: %v after %s", err, time.Since(before))
			}
			release()
			release()
			release, err = worker.Occupy(ctx, "db", 1)
			if err != nil {
				return err
			}
			most.Store(max(most.Load(), inside.Add(1)))
			sleep(ctx, time.Second)
			inside.Add(-1)
			switch task.Attempt {
			case 1:
				panic("left behind by a panic")
			case 2:
				return fault.New(fault.Unavailable, "LEFT", "left behind by a failure")
			case 3:
				return worker.Pending(time.Second, "left behind by an answer")
			}
			release()
			release()
			again, err := worker.Occupy(ctx, "db", 1)
			if err != nil {
				return err
			}
			release() // the first, still: the second stays
			most.Store(max(most.Load(), inside.Add(1)))
			sleep(ctx, time.Second)
			inside.Add(-1)
			again()
			return nil
		}))
		began := time.Now()
		o.settled(time.Hour)
		stop()
		if n := o.count("done"); n != 60 {
			t.Errorf("%d of 60 steps are done", n)
		}
		// Four attempts each, with two Occupys each, and a third in the last.
		if n := o.calls["Vacate"]; n > 60*9 {
			t.Errorf("%d calls gave slots back, which were taken %d times", n, 60*9)
		}
		if most.Load() != 3 {
			t.Errorf("%d handlers had one of 3 slots at once, want 3", most.Load())
		}
		// 60 × 5 s inside, three at a time; slots that stay away would make it longer.
		if took := time.Since(began); took > 110*time.Second {
			t.Errorf("it took %s, want a little more than 100s", took)
		}
		if n := o.taken("db"); n != 0 {
			t.Errorf("%d slots are left taken", n)
		}
	})
}

// Whoever stops waiting for slots has none.
func TestOccupyGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		o.limits["db"] = 0
		o.add("test.Do", "{}", 1)
		stop := start(t, o, "w", 2, do("test.Do", func(ctx context.Context) error {
			short, cancel := context.WithTimeout(ctx, 25*time.Second)
			defer cancel()
			before := time.Now()
			release, err := worker.Occupy(short, "db", 1)
			release()
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != 25*time.Second {
				t.Errorf("got %v after %s, want its own deadline after 25s", err, time.Since(before))
			}
			o.mu.Lock()
			o.limits["db"] = 1
			o.mu.Unlock()
			o.loseNext("Occupy", lostAnswer) // taken, unheard of
			short, cancel = context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err = worker.Occupy(short, "db", 1)
			if err == nil {
				t.Error("a lost answer gave slots")
			}
			before = time.Now()
			_, err = worker.Occupy(ctx, "db", 1)
			if err != nil || time.Since(before) > time.Second {
				t.Errorf("after slots that were never heard of: %v after %s, want slots at once", err, time.Since(before))
			}
			return nil
		}))
		o.settled(time.Hour)
		stop()
	})
}

// Slots that a handler left behind do not wait for its report to be heard.
func TestOccupyLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		o.limits["db"] = 1
		o.lose = func(m string) loss {
			if m == "Report" && time.Now().Minute() == 0 {
				return refused
			}
			return nothing
		}
		var at []time.Duration
		began := time.Now()
		o.add("test.Do", "{}", 3)
		stop := start(t, o, "w", 4, do("test.Do", func(ctx context.Context) error {
			_, err := worker.Occupy(ctx, "db", 1)
			at = append(at, time.Since(began)) // one at a time has the slot
			return err
		}))
		o.settled(time.Hour)
		stop()
		if len(at) != 3 || at[2] > time.Second {
			t.Errorf("the slot was taken at %v while nobody could report, want three times at once", at)
		}
	})
}

// Outside of a task there is nothing to hold on to.
func TestOutsideOfATask(t *testing.T) {
	release, err := worker.Occupy(t.Context(), "db", 1)
	if err != nil {
		t.Error(err)
	}
	release()
	release()
	_, err = worker.Occupy(t.Context(), "", 1)
	if err == nil || fault.From(err).Reason != "OCCUPY_INVALID" {
		t.Errorf("a limit without a name: got %v, want OCCUPY_INVALID", err)
	}
	err = worker.Checkpoint(t.Context(), "act")
	if err != nil {
		t.Error(err)
	}
	_, ok := worker.TaskFrom(t.Context())
	if ok {
		t.Error("there is a task outside of a task")
	}
}

// While there is more work than slots, Pulls bring many tasks each.
func TestPullsOfManyTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		var n atomic.Int64
		o.add("test.Do", "{}", 1000)
		stop := start(t, o, "w", 20, do("test.Do", func(ctx context.Context) error {
			sleep(ctx, time.Duration(n.Add(1)%10)*100*time.Microsecond) // they end one after the other
			return nil
		}))
		time.Sleep(10 * time.Second)
		o.mu.Lock()
		if n := o.calls["Pull"]; n > 120 {
			t.Errorf("%d Pulls for 1000 tasks on 20 slots", n)
		}
		o.mu.Unlock()
		if n := o.count("done"); n != 1000 {
			t.Errorf("%d of 1000 are done", n)
		}
		stop()
	})
}

// A slot that becomes free is offered at once, whatever the others do, and an idle worker hardly asks.
func TestFreedSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		o.add("test.Long", "{}", 5)
		stop := start(t, o, "w", 8,
			do("test.Long", func(ctx context.Context) error { sleep(ctx, 10*time.Minute); return ctx.Err() }),
			do("test.Do", func(ctx context.Context) error { sleep(ctx, 10*time.Millisecond); return nil }))
		synctest.Wait()
		began := time.Now()
		o.add("test.Do", "{}", 300) // three at a time: 1 s
		time.Sleep(1010 * time.Millisecond)
		synctest.Wait()
		if n := o.count("done"); n != 300 {
			t.Errorf("%d of 300 steps are done after %s on 3 free slots, want all", n, time.Since(began))
		}
		o.mu.Lock()
		before := o.calls["Pull"]
		o.mu.Unlock()
		// Each round at another moment of a Pull's wait.
		for range 100 {
			time.Sleep(1300 * time.Millisecond)
			for _, s := range o.add("test.Do", "{}", 3) {
				synctest.Wait()
				if len(s.pulledAt) == 0 {
					t.Fatal("a ready step waits although a slot is free")
				}
			}
		}
		o.mu.Lock()
		if n := o.calls["Pull"] - before; n > 450 {
			t.Errorf("%d Pulls for 300 steps", n)
		}
		before = o.calls["Pull"]
		o.mu.Unlock()
		time.Sleep(10 * time.Minute)
		o.mu.Lock()
		if n := o.calls["Pull"] - before; n > 62 {
			t.Errorf("%d Pulls in 10 idle minutes, want two in 20s", n)
		}
		o.mu.Unlock()
		o.settled(time.Hour)
		stop()
	})
}

// An orchestrator that answers at once with nothing, as one does that stops, is not asked again and again.
func TestEmptyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		stop := start(t, stopping{o}, "w", 4, do("test.Do", func(context.Context) error { return nil }))
		time.Sleep(time.Minute)
		stop()
		if n := o.calls["Pull"]; n > 80 {
			t.Errorf("%d Pulls in a minute", n)
		}
	})
}

// What a function is handed and what becomes of its answer, as definitions see it.
func TestResults(t *testing.T) {
	for _, test := range []struct {
		name     string
		function worker.Function
		request  string
		want     string // of the result, as text
	}{
		{"an empty request and answer", do("test.Do", func(context.Context) error { return nil }), "{}", `output_json:"{}"`},
		{"an unknown field", worker.Func("test.Do", func(_ context.Context, r *structpb.Struct) (*structpb.Struct, error) { return r, nil }), `{"a":[1]}`, `output_json:"{\"a\":[1]}"`},
		{"a request that is refused although it is empty", worker.Func("test.Do", func(context.Context, *emailv1.SendRequest) (*empty, error) { return nil, nil }), "{}", "TASK_INVALID"},
		{"a request that is no message", worker.Func("test.Do", func(context.Context, *emailv1.SendRequest) (*empty, error) { return nil, nil }), "[]", "TASK_INVALID"},
		{"plain JSON", worker.JSON("test.Do", func(_ context.Context, r struct{ Name string }) (map[string]string, error) {
			return map[string]string{"hello": r.Name}, nil
		}), `{"name":"Ann","more":1}`, `output_json:"{\"hello\":\"Ann\"}"`},
		{"plain JSON that is no object", worker.JSON("test.Do", func(context.Context, struct{}) (int, error) { return 7, nil }), "{}", "OUTPUT_INVALID"},
		{"plain JSON of another form", worker.JSON("test.Do", func(context.Context, struct{ Name string }) (struct{}, error) { return struct{}{}, nil }), `{"name":7}`, "TASK_INVALID"},
		{"too much", worker.JSON("test.Do", func(context.Context, struct{}) (map[string]string, error) {
			return map[string]string{"a": strings.Repeat("x", 8200)}, nil
		}), "{}", "OUTPUT_TOO_LARGE"},
		{"a failure with a wild code, text and delivery", do("test.Do", func(context.Context) error {
			f := fault.New(fault.Invalid, "no such code!", "%s", strings.Repeat("a\xff€", 1000))
			f.Delivery = "elsewhere"
			return f
		}), "{}", `code:"UNNAMED"`},
		{"a throttle", do("test.Do", func(context.Context) error {
			f := fault.New(fault.Exhausted, "SLOW_DOWN", "slow down")
			f.RetryAfter = time.Hour
			return f
		}), "{}", "retry_after:{seconds:3600}"},
		{"a longer time than there is", do("test.Do", func(context.Context) error { return worker.Pending(48*time.Hour, "job 7") }), "{}", `pending:{ask_after:{seconds:86400} checkpoint:"job 7"}`},
		{"no time at all", do("test.Do", func(context.Context) error { return worker.Pending(0, "job 7") }), "{}", `pending:{ask_after:{nanos:1000000} checkpoint:"job 7"}`},
		{"resources", do("test.Do", func(ctx context.Context) error {
			task, _ := worker.TaskFrom(ctx)
			return fault.New(fault.Invalid, "TOLD", "%+v", task.Resources)
		}), "{}", "{Name:studio/smtp Production: Kind:smtp State:{\\\"a\\\":1} Credential:c1}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newService(t) // which refuses what is not valid
				s := o.add("test.Do", test.request, 1)[0]
				stop := start(t, o, "w", 2, test.function)
				time.Sleep(time.Second)
				stop()
				if s.last == nil {
					t.Fatal("nothing was reported")
				}
				err := protovalidate.Validate(s.last)
				if err != nil {
					t.Error(err)
				}
				got := strings.ReplaceAll(s.last.String(), "  ", " ")
				if !strings.Contains(got, test.want) {
					t.Errorf("got %.300s, want %s", got, test.want)
				}
			})
		})
	}
}

// slowWord answers the first checkpoint with leave, long after it was given, and others as the orchestrator does that has
// given the task to somebody else meanwhile.
type slowWord struct {
	taskv1.TaskServiceClient
	asked atomic.Int64
}

func (s *slowWord) Checkpoint(context.Context, *taskv1.CheckpointRequest, ...grpc.CallOption) (*taskv1.CheckpointResponse, error) {
	if s.asked.Add(1) > 1 {
		return &taskv1.CheckpointResponse{Verdict: taskv1.Verdict_VERDICT_FENCED}, nil
	}
	time.Sleep(12 * time.Second) // in a bubble; the process stands still
	return &taskv1.CheckpointResponse{Verdict: taskv1.Verdict_VERDICT_OK}, nil
}

// A process that stood still between asking and reading the answer does not act on it: it asks again.
func TestLeaveThatIsTooOldIsNotActedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newService(t)
		o.add("test.Do", "{}", 1)
		s := &slowWord{TaskServiceClient: o}
		got := make(chan error, 1)
		stop := start(t, s, "w", 1, do("test.Do", func(ctx context.Context) error {
			err := worker.Checkpoint(ctx, "dot")
			got <- err
			return err
		}))
		err := <-got
		stop()
		if !errors.Is(err, worker.ErrFenced) || s.asked.Load() != 2 {
			t.Errorf("got %v after asking %d times, want a refusal after asking again", err, s.asked.Load())
		}
	})
}
