package orchestrator_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// studio is orchestrators on one Redis, and workers whose functions are a test's own.
type studio struct {
	t             *testing.T
	redis         redis.UniversalClient
	distributions []distributionv1.DistributionServiceClient
	tasks         []taskv1.TaskServiceClient
	control       controlv1.ControlServiceClient
	definitions   definitionv1.DefinitionServiceClient
	log           *slog.Logger
	// unsteady are connections to the orchestrators as newStudioOver makes them.
	unsteady []grpc.ClientConnInterface
}

func newStudio(t *testing.T, orchestrators int, cfg orchestrator.Config) *studio {
	t.Helper()
	return newStudioOver(t, orchestrators, cfg, func(conn grpc.ClientConnInterface) grpc.ClientConnInterface { return conn })
}

// newStudioOver has the orchestrators ask others over connections that over makes, and makes such to them.
func newStudioOver(t *testing.T, orchestrators int, cfg orchestrator.Config, over func(grpc.ClientConnInterface) grpc.ClientConnInterface) *studio {
	t.Helper()
	s := &studio{t: t, redis: redistest.New(t), log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	cfg.Shards, cfg.Sweep, cfg.Tick = cmp.Or(cfg.Shards, 2), time.Second, 20*time.Millisecond
	for range orchestrators {
		srv := rpc.NewServer(s.log)
		directoryv1.RegisterDirectoryServiceServer(srv, directory{})
		filev1.RegisterFileServiceServer(srv, directory{})
		connect, stopServer := rpc.InProcess(srv)
		conn, err := connect("test")
		if err != nil {
			t.Fatal(err)
		}
		asks := over(conn)
		server, err := orchestrator.New(t.Context(), cfg, orchestrator.Deps{
			Redis: s.redis, Directory: directoryv1.NewDirectoryServiceClient(asks), Files: filev1.NewFileServiceClient(asks), Log: s.log})
		if err != nil {
			t.Fatal(err)
		}
		api := rpc.NewServer(s.log)
		server.Register(api)
		connectAPI, stopAPI := rpc.InProcess(api)
		apiConn, err := connectAPI("test")
		if err != nil {
			t.Fatal(err)
		}
		s.distributions = append(s.distributions, distributionv1.NewDistributionServiceClient(apiConn))
		s.tasks = append(s.tasks, taskv1.NewTaskServiceClient(apiConn))
		s.unsteady = append(s.unsteady, over(apiConn))
		s.control, s.definitions = controlv1.NewControlServiceClient(apiConn), definitionv1.NewDefinitionServiceClient(apiConn)
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = server.Run(ctx) })
		t.Cleanup(func() {
			cancel()
			running.Wait()
			_, _ = apiConn.Close(), conn.Close()
			stopAPI()
			stopServer()
		})
	}
	return s
}

type handler = func(ctx context.Context, r *structpb.Struct) (*structpb.Struct, error)

// work starts a worker and returns how to stop it.
func (s *studio) work(name string, slots int, functions map[string]handler) (stop func()) {
	s.t.Helper()
	return s.workBy(s.tasks[len(name)%len(s.tasks)], name, slots, functions)
}

// workBy is work by way of tasks.
func (s *studio) workBy(tasks taskv1.TaskServiceClient, name string, slots int, functions map[string]handler) (stop func()) {
	s.t.Helper()
	var all []worker.Function
	for fn, h := range functions {
		all = append(all, worker.Func(fn, h))
	}
	w := worker.New(worker.Config{Name: name, Slots: slots, Renew: time.Second, Grace: 5 * time.Second}, tasks, s.log, all...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	s.t.Cleanup(stop)
	return stop
}

func (s *studio) define(source string) {
	s.t.Helper()
	_, err := s.definitions.PutDefinition(s.t.Context(), &definitionv1.PutDefinitionRequest{Source: source})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *studio) create(production, definition string, f, r int, change ...func(*distributionv1.CreateDistributionRequest)) string {
	s.t.Helper()
	req := request(f, r)
	req.Production, req.Definition = production, definition
	for _, c := range change {
		c(req)
	}
	resp, err := s.distributions[0].CreateDistribution(s.t.Context(), req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.GetDistribution().GetId()
}

func (s *studio) get(production, id string) *distributionv1.Distribution {
	s.t.Helper()
	resp, err := s.distributions[0].GetDistribution(s.t.Context(), &distributionv1.GetDistributionRequest{Production: production, Distribution: id})
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.GetDistribution()
}

// await polls until ok, or fails the test.
func (s *studio) await(what string, ok func() bool) {
	s.t.Helper()
	s.within(5*time.Minute, what, ok)
}

func (s *studio) within(limit time.Duration, what string, ok func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			s.t.Fatalf("in %s it did not come to this: %s", limit, what)
		case <-tick.C:
		}
	}
}

func (s *studio) ended(production, id string) *distributionv1.Distribution {
	s.t.Helper()
	return s.endedWithin(5*time.Minute, production, id)
}

func (s *studio) endedWithin(limit time.Duration, production, id string) *distributionv1.Distribution {
	s.t.Helper()
	var d *distributionv1.Distribution
	s.within(limit, "an end of "+id, func() bool {
		d = s.get(production, id)
		return ended(d)
	})
	return d
}

// gauge counts who is in it at once, by name.
type gauge struct {
	mu   sync.Mutex
	now  map[string]int
	most map[string]int
	all  map[string]int
}

func newGauge() *gauge {
	return &gauge{now: map[string]int{}, most: map[string]int{}, all: map[string]int{}}
}

func (g *gauge) in(names ...string) (out func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range names {
		g.now[n]++
		g.all[n]++
		g.most[n] = max(g.most[n], g.now[n])
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, n := range names {
			g.now[n]--
		}
	}
}

func (g *gauge) total(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all[name]
}

// step is a definition of one step for each item.
func step(name, more string) string {
	return "name: " + name + "\nversion: 1\nsteps:\n  - name: work\n    scope: item\n    function: test.Work\n    with: {production: production.id, file: file.sha256}\n    retry: {attempts: 3, backoff: [10ms]}\n" + more
}

// spend is a little while in which others could come in.
func spend(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func TestLimitsAreNeverPassed(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 2, orchestrator.Config{})
	s.define(step("limited", "    limits: [desk, studio/press]\n    exclusive: file.sha256\n"))
	for _, p := range []string{"one", "two"} {
		_, err := s.control.SetLimit(t.Context(), &controlv1.SetLimitRequest{Production: p, Name: "desk", Limit: &controlv1.Limit{Name: "desk", Concurrency: 3}})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.control.SetStudioLimit(t.Context(), &controlv1.SetStudioLimitRequest{Name: "press", Limit: &controlv1.Limit{Name: "press", Concurrency: 4}})
	if err != nil {
		t.Fatal(err)
	}
	g := newGauge()
	for w := range 3 {
		s.work(fmt.Sprint("worker", strings.Repeat("-", w)), 8, map[string]handler{"test.Work": func(ctx context.Context, r *structpb.Struct) (*structpb.Struct, error) {
			p, f := r.GetFields()["production"].GetStringValue(), r.GetFields()["file"].GetStringValue()
			defer g.in("all", p, p+f)()
			spend(ctx, 5*time.Millisecond)
			return &structpb.Struct{}, nil
		}})
	}
	a, b := s.create("one", "limited", 8, 10), s.create("two", "limited", 8, 10)
	for p, id := range map[string]string{"one": a, "two": b} {
		d := s.ended(p, id)
		if d.GetState() != "completed" {
			t.Errorf("%s ended %s", p, d.GetState())
		}
	}
	for name, n := range g.most {
		most := map[string]int{"all": 4, "one": 3, "two": 3}[name]
		if most == 0 {
			most = 1
		}
		if n > most {
			t.Errorf("%d of %s ran at once, want at most %d", n, name, most)
		}
	}
	if g.most["all"] < 3 || g.total("all") != 160 {
		t.Errorf("at most %d ran at once and %d in all, want 4 (3 will do on a busy machine) and 160", g.most["all"], g.total("all"))
	}
	resp, err := s.control.ListStudioLimits(t.Context(), &controlv1.ListStudioLimitsRequest{})
	if err != nil || len(resp.GetLimits()) != 1 || resp.GetLimits()[0].GetTaken() != 0 || resp.GetLimits()[0].GetWaiting() != 0 {
		t.Errorf("the limit afterwards: %v %v", resp, err)
	}
}

// A limit by a function's name that is set while the function runs counts what runs already.
func TestALimitSetWhileStepsRun(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("free", ""))
	g, gate := newGauge(), make(chan struct{})
	s.work("w", 8, map[string]handler{"test.Work": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
		defer g.in("all")()
		select {
		case <-ctx.Done():
		case <-gate:
		}
		return &structpb.Struct{}, nil
	}})
	id := s.create("one", "free", 1, 40)
	s.await("eight running", func() bool { return g.total("all") == 8 })
	_, err := s.control.SetLimit(t.Context(), &controlv1.SetLimitRequest{Production: "one", Name: "test.Work", Limit: &controlv1.Limit{Name: "test.Work", Concurrency: 2}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 6 {
		gate <- struct{}{}
		if n < 5 && g.total("all") != 8 {
			t.Fatalf("%d had started after %d ended, want the 8", g.total("all"), n+1)
		}
	}
	close(gate)
	g.mu.Lock()
	g.most["all"] = 0
	g.mu.Unlock()
	d := s.ended("one", id)
	if d.GetState() != "completed" || g.most["all"] > 2 {
		t.Errorf("it ended %s with %d at once, want completed and at most 2", d.GetState(), g.most["all"])
	}
}

func TestRatesAreKept(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("paced", "    limits: [pace]\n"))
	_, err := s.control.SetLimit(t.Context(), &controlv1.SetLimitRequest{Production: "one", Name: "pace", Limit: &controlv1.Limit{Name: "pace", Rate: 20, Burst: 5}})
	if err != nil {
		t.Fatal(err)
	}
	s.work("w", 8, map[string]handler{"test.Work": func(context.Context, *structpb.Struct) (*structpb.Struct, error) { return &structpb.Struct{}, nil }})
	begin := time.Now()
	s.ended("one", s.create("one", "paced", 1, 45))
	if took := time.Since(begin); took < 1900*time.Millisecond || took > time.Minute {
		t.Errorf("45 steps at 20 a second and 5 at once took %s, want 2s or a little more", took)
	}
}

func TestProductionsTakeTurnsByWeight(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{Shards: 1})
	s.define(step("turns", ""))
	_, err := s.control.SetWeight(t.Context(), &controlv1.SetWeightRequest{Production: "heavy", Weight: 3})
	if err != nil {
		t.Fatal(err)
	}
	hold := func(on bool) {
		if on {
			_, err = s.control.PauseFunction(t.Context(), &controlv1.PauseFunctionRequest{Function: "test.Work"})
		} else {
			_, err = s.control.ResumeFunction(t.Context(), &controlv1.ResumeFunctionRequest{Function: "test.Work"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	g := newGauge()
	var order []string
	s.work("w", 2, map[string]handler{"test.Work": func(_ context.Context, r *structpb.Struct) (*structpb.Struct, error) {
		p := r.GetFields()["production"].GetStringValue()
		defer g.in(p)()
		g.mu.Lock()
		order = append(order, p)
		g.mu.Unlock()
		return &structpb.Struct{}, nil
	}})
	s.await("the function known", func() bool {
		resp, err := s.control.ListFunctions(t.Context(), &controlv1.ListFunctionsRequest{})
		return err == nil && len(resp.GetFunctions()) > 0 && strings.Contains(resp.String(), "test.Work")
	})
	hold(true)
	// The light one has a far larger distribution, and had it first.
	ids := map[string]string{"light": s.create("light", "turns", 3, 100), "heavy": s.create("heavy", "turns", 1, 100)}
	s.await("all ready", func() bool {
		return s.get("light", ids["light"]).GetState() == "running" && s.get("heavy", ids["heavy"]).GetState() == "running"
	})
	hold(false)
	for p, id := range ids {
		s.ended(p, id)
	}
	heavy := 0
	for _, p := range order[:100] {
		if p == "heavy" {
			heavy++
		}
	}
	if heavy < 70 || heavy > 80 {
		t.Errorf("of the first hundred steps %d were the production's with three times the weight, want 75", heavy)
	}
}

func TestFiveStepsOnFiveWorkers(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 3, orchestrator.Config{Shards: 1})
	s.define(step("spread", ""))
	g := newGauge()
	gate := make(chan struct{})
	for w := range 5 {
		name := "worker" + strings.Repeat("x", w)
		s.work(name, 10, map[string]handler{"test.Work": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
			defer g.in(name, "all")()
			select {
			case <-ctx.Done():
			case <-gate:
			}
			return &structpb.Struct{}, nil
		}})
	}
	s.await("five workers", func() bool {
		resp, err := s.control.ListFunctions(t.Context(), &controlv1.ListFunctionsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range resp.GetFunctions() {
			if f.GetName() == "test.Work" && len(f.GetWorkers()) == 5 {
				return true
			}
		}
		return false
	})
	id := s.create("one", "spread", 1, 5)
	s.await("all running", func() bool { return g.total("all") == 5 })
	for w := range 5 {
		if n := g.total("worker" + strings.Repeat("x", w)); n != 1 {
			t.Errorf("worker %d got %d of five steps, want one each", w, n)
		}
	}
	close(gate)
	s.ended("one", id)
}

func TestPausing(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 2, orchestrator.Config{})
	s.define(step("paused", ""))
	var done atomic.Int64
	s.work("w", 4, map[string]handler{"test.Work": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
		spend(ctx, time.Millisecond)
		done.Add(1)
		return &structpb.Struct{}, nil
	}})
	s.ended("one", s.create("one", "paused", 1, 1))
	for name, pause := range map[string]func(id string, on bool) error{
		"distribution": func(id string, on bool) error {
			var err error
			if on {
				_, err = s.distributions[1].PauseDistribution(t.Context(), &distributionv1.PauseDistributionRequest{Production: "one", Distribution: id})
			} else {
				_, err = s.distributions[1].ResumeDistribution(t.Context(), &distributionv1.ResumeDistributionRequest{Production: "one", Distribution: id})
			}
			return err
		},
		"production": func(_ string, on bool) error {
			var err error
			if on {
				_, err = s.control.PauseProduction(t.Context(), &controlv1.PauseProductionRequest{Production: "one"})
			} else {
				_, err = s.control.ResumeProduction(t.Context(), &controlv1.ResumeProductionRequest{Production: "one"})
			}
			return err
		},
		"function": func(_ string, on bool) error {
			var err error
			if on {
				_, err = s.control.PauseFunction(t.Context(), &controlv1.PauseFunctionRequest{Function: "test.Work"})
			} else {
				_, err = s.control.ResumeFunction(t.Context(), &controlv1.ResumeFunctionRequest{Function: "test.Work"})
			}
			return err
		},
		"function in a production": func(_ string, on bool) error {
			var err error
			if on {
				_, err = s.control.PauseFunction(t.Context(), &controlv1.PauseFunctionRequest{Function: "test.Work", Production: "one"})
			} else {
				_, err = s.control.ResumeFunction(t.Context(), &controlv1.ResumeFunctionRequest{Function: "test.Work", Production: "one"})
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := s.create("one", "paused", 2, 150)
			s.await("some done", func() bool { return s.get("one", id).GetItems().GetDone() > 10 })
			err := pause(id, true)
			if err != nil {
				t.Fatal(err)
			}
			s.await("nothing running", func() bool { return s.get("one", id).GetItems().GetRunning() == 0 })
			was := s.get("one", id)
			if was.GetItems().GetDone() == 300 {
				t.Fatal("it was over before it could be paused")
			}
			other := s.create("other", "paused", 1, 2)
			if name != "function" {
				s.ended("other", other)
			}
			spend(t.Context(), 1200*time.Millisecond) // a sweep and a poll
			now := s.get("one", id)
			if now.GetItems().GetDone() != was.GetItems().GetDone() {
				t.Errorf("%d were done when it was paused, and %d a while later", was.GetItems().GetDone(), now.GetItems().GetDone())
			}
			if name == "distribution" && now.GetState() != "paused" {
				t.Errorf("its state is %s", now.GetState())
			}
			err = pause(id, false)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			d := s.ended("one", id)
			if d.GetState() != "completed" || time.Since(begin) > 5*time.Minute {
				t.Errorf("it ended %s after %s", d.GetState(), time.Since(begin))
			}
			s.ended("other", other)
		})
	}
}

// Work that goes on elsewhere: submitted, asked for, done, without a word of failure.
func TestWorkThatIsPendingTwice(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("elsewhere", ""))
	long := strings.Repeat("job-", 100)
	var submitted, asked atomic.Int64
	s.work("w", 4, map[string]handler{"test.Work": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
		task, _ := worker.TaskFrom(ctx)
		switch task.Checkpoint {
		case "":
			submitted.Add(1)
			return nil, worker.Pending(50*time.Millisecond, "1 "+long)
		case "1 " + long:
			asked.Add(1)
			return nil, worker.Pending(50*time.Millisecond, "2")
		case "2":
			return &structpb.Struct{}, nil
		}
		return nil, fault.New(fault.Invalid, "CHECKPOINT_STRANGE", "got %q", task.Checkpoint)
	}})
	d := s.ended("one", s.create("one", "elsewhere", 2, 100))
	if d.GetState() != "completed" || submitted.Load() != 200 || asked.Load() != 200 {
		t.Errorf("it ended %s; %d submitted and %d asked for, want 200 each", d.GetState(), submitted.Load(), asked.Load())
	}
}

const family = `name: family
version: 1
steps:
  - name: work
    scope: item
    function: test.Work
    with: {production: production.id, file: file.sha256}
  - name: report
    scope: distribution
    starts: true
    needs: [work]
    with:
      definition: '"child"'
      title: '"Report of " + distribution.title'
  - name: after
    scope: distribution
    function: test.After
    needs: [report]
    with: {child: steps.report.output.distribution.id}
`

func TestAStepStartsADistributionAndWaits(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 2, orchestrator.Config{})
	s.define(step("child", "  - name: last\n    scope: recipient\n    function: test.Last\n    needs: [work]\n"))
	s.define(family)
	var child atomic.Value
	gate := make(chan struct{})
	s.work("w", 8, map[string]handler{
		"test.Work": func(context.Context, *structpb.Struct) (*structpb.Struct, error) { return &structpb.Struct{}, nil },
		"test.Last": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
			select {
			case <-gate:
				return &structpb.Struct{}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		"test.After": func(_ context.Context, r *structpb.Struct) (*structpb.Struct, error) {
			child.Store(r.GetFields()["child"].GetStringValue())
			return &structpb.Struct{}, nil
		}})
	cancelled := s.create("one", "family", 1, 2)
	id := s.create("one", "family", 2, 3)
	var kid string
	for _, parent := range []string{cancelled, id} {
		s.await("a child", func() bool {
			d := s.get("one", parent)
			if len(d.GetChildren()) == 1 {
				kid = d.GetChildren()[0]
			}
			return len(d.GetChildren()) == 1
		})
	}
	c := s.get("one", kid)
	if c.GetParent() != id || c.GetParentStep() != "report" || c.GetItems().GetTotal() != 6 || c.GetTitle() != "Report of "+s.get("one", id).GetTitle() {
		t.Errorf("the child is %v", c)
	}
	_, err := s.distributions[0].CancelDistribution(t.Context(), &distributionv1.CancelDistributionRequest{Production: "one", Distribution: cancelled})
	if err != nil {
		t.Fatal(err)
	}
	close(gate)
	d := s.ended("one", id)
	if d.GetState() != "completed" || child.Load() != kid || s.get("one", kid).GetState() != "completed" {
		t.Errorf("it ended %s, its child %s; the step after it was told %v", d.GetState(), s.get("one", kid).GetState(), child.Load())
	}
	s.ended("one", cancelled)
	if got := s.ended("one", s.get("one", cancelled).GetChildren()[0]).GetState(); got != "cancelled" && got != "completed" {
		t.Errorf("the child of a cancelled one ended %s", got)
	}
}

// A document that kills three workers is left alone; the others go on; a retry lifts that.
func TestADocumentThatKillsWorkers(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{Shards: 1})
	s.define(step("deadly", ""))
	bad := request(2, 1).GetFiles()[1].GetSha256()
	id := s.create("one", "deadly", 2, 30)
	dead := 0
	for n := range 40 {
		name := fmt.Sprint("mortal-", n)
		resp, err := s.tasks[0].Pull(t.Context(), &taskv1.PullRequest{Worker: name, Functions: []string{"test.Work"}, Slots: 10, Wait: durationpb.New(2 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.GetTasks()) == 0 {
			break
		}
		report := &taskv1.ReportRequest{Worker: name}
		killed := false
		for _, task := range resp.GetTasks() {
			killed = killed || strings.Contains(task.GetRequestJson(), bad)
		}
		for _, task := range resp.GetTasks() {
			if !killed {
				report.Results = append(report.Results, &taskv1.Result{Task: task.GetId(), Outcome: &taskv1.Result_OutputJson{OutputJson: "{}"}})
			}
		}
		if !killed {
			_, err = s.tasks[0].Report(t.Context(), report)
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		dead++
		// Its leases run out.
		key := "{0}:w:" + name
		members, err := s.redis.ZRange(t.Context(), key, 0, -1).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			s.redis.ZAddXX(t.Context(), key, redis.Z{Score: 1, Member: m})
		}
		s.await("its tasks given up", func() bool { return s.redis.ZCard(t.Context(), key).Val() == 0 })
	}
	d := s.ended("one", id)
	if dead > 3 || d.GetItems().GetFailed() != 30 || d.GetItems().GetDone() != 30 {
		t.Errorf("%d workers died; %v", dead, d.GetItems())
	}
	resp, err := s.distributions[0].ListItems(t.Context(), &distributionv1.ListItemsRequest{Production: "one", Distribution: id, State: "failed", PageSize: 100})
	if err != nil || len(resp.GetItems()) != 30 {
		t.Fatal(resp, err)
	}
	for _, item := range resp.GetItems() {
		if code := item.GetError().GetCode(); code != "FILE_QUARANTINED" && code != "WORKER_CRASHED" {
			t.Errorf("%s failed by %s", item.GetId(), code)
		}
	}
	s.work("healed", 8, map[string]handler{"test.Work": func(context.Context, *structpb.Struct) (*structpb.Struct, error) { return &structpb.Struct{}, nil }})
	_, err = s.distributions[0].RetryDistribution(t.Context(), &distributionv1.RetryDistributionRequest{Production: "one", Distribution: id})
	if err != nil {
		t.Fatal(err)
	}
	s.await("all done", func() bool { return s.get("one", id).GetItems().GetDone() == 60 })
}

func TestToleratedFailures(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("tolerant", ""))
	var n atomic.Int64
	s.work("w", 1, map[string]handler{"test.Work": func(context.Context, *structpb.Struct) (*structpb.Struct, error) {
		if n.Add(1)%2 == 0 {
			return nil, fault.New(fault.Invalid, "BROKEN", "this one is broken; mend it")
		}
		return &structpb.Struct{}, nil
	}})
	three := int32(3)
	id := s.create("one", "tolerant", 1, 60, func(r *distributionv1.CreateDistributionRequest) {
		r.Policy = &distributionv1.Policy{Tolerate: &distributionv1.Tolerance{Items: &three}}
	})
	d := s.ended("one", id)
	if d.GetState() != "failed" || d.GetError().GetCode() != "TOO_MANY_FAILURES" || d.GetItems().GetFailed() < 4 || d.GetItems().GetFailed() > 6 || d.GetItems().GetCancelled() < 40 {
		t.Errorf("more failed than are tolerated: %v", d)
	}
	n.Store(-1_000_000_001) // odd: none fails before a million
	percent := int32(50)
	n.Store(0)
	id = s.create("one", "tolerant", 1, 60, func(r *distributionv1.CreateDistributionRequest) {
		r.Policy = &distributionv1.Policy{Tolerate: &distributionv1.Tolerance{Percent: &percent}}
	})
	d = s.ended("one", id)
	if d.GetState() != "completed_with_failures" || d.GetItems().GetFailed() != 30 {
		t.Errorf("as many failed as are tolerated: %v", d)
	}
}

func TestConditionsOverOutputs(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(`name: conditional
version: 1
steps:
  - name: weigh
    scope: item
    function: test.Weigh
    with: {number: recipient.number}
  - name: heavy
    scope: item
    function: test.Heavy
    needs: [weigh]
    when: steps.weigh.output.weight > 5.0
  - name: after
    scope: item
    function: test.After
    needs: [heavy]
`)
	var heavy, after atomic.Int64
	s.work("w", 8, map[string]handler{
		"test.Weigh": func(_ context.Context, r *structpb.Struct) (*structpb.Struct, error) {
			return structpb.NewStruct(map[string]any{"weight": r.GetFields()["number"].GetNumberValue()})
		},
		"test.Heavy": func(context.Context, *structpb.Struct) (*structpb.Struct, error) {
			heavy.Add(1)
			return &structpb.Struct{}, nil
		},
		"test.After": func(context.Context, *structpb.Struct) (*structpb.Struct, error) {
			after.Add(1)
			return &structpb.Struct{}, nil
		}})
	d := s.ended("one", s.create("one", "conditional", 1, 12))
	if d.GetState() != "completed" || heavy.Load() != 7 || after.Load() != 12 || d.GetSteps()[1].GetSkipped() != 5 {
		t.Errorf("%d ran, %d after it; %v", heavy.Load(), after.Load(), d)
	}
}

func TestPriorityThenDeadline(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{Shards: 1})
	s.define(step("ordered", ""))
	big := s.create("one", "ordered", 4, 100)
	small := s.create("one", "ordered", 1, 3)
	urgent := s.create("one", "ordered", 2, 100, func(r *distributionv1.CreateDistributionRequest) { r.Priority = 5 })
	s.await("all ready", func() bool {
		return s.get("one", urgent).GetState() == "running" && s.get("one", big).GetState() == "running" && s.get("one", small).GetState() == "running"
	})
	var mu sync.Mutex
	var order []string
	s.work("w", 1, map[string]handler{"test.Work": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
		task, _ := worker.TaskFrom(ctx)
		mu.Lock()
		defer mu.Unlock()
		id := strings.Split(task.ID, "/")[1]
		if len(order) == 0 || order[len(order)-1] != id {
			order = append(order, id)
		}
		return &structpb.Struct{}, nil
	}})
	s.ended("one", big)
	want := []string{urgent, small, big}
	if fmt.Sprint(order) != fmt.Sprint(want) {
		t.Errorf("served in the order %v, want %v: the urgent one, the small one, the big one", order, want)
	}
}

// What a lost answer of Pull carried goes to others while the worker lives, and is no crash.
func TestALostAnswerOfPull(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{Shards: 1})
	s.define(step("lost", ""))
	id := s.create("one", "lost", 1, 4)
	pulled, err := s.tasks[0].Pull(t.Context(), &taskv1.PullRequest{Worker: "deaf", Functions: []string{"test.Work"}, Slots: 4, Wait: durationpb.New(10 * time.Second)})
	if err != nil || len(pulled.GetTasks()) != 4 {
		t.Fatal(pulled, err)
	}
	// It never heard that, and stops in good order.
	_, err = s.tasks[0].Renew(t.Context(), &taskv1.RenewRequest{Worker: "deaf", Leaving: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.get("one", id).GetSteps()[0].GetReady(); n != 4 {
		t.Errorf("%d of 4 steps are ready again, want all before a lease runs out", n)
	}
	s.work("hearing", 4, map[string]handler{"test.Work": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
		task, _ := worker.TaskFrom(ctx)
		if task.Attempt != 2 {
			return nil, errors.New("not the second attempt")
		}
		return &structpb.Struct{}, nil
	}})
	d := s.ended("one", id)
	if d.GetState() != "completed" {
		t.Errorf("it ended %s, want completed", d.GetState())
	}
}

// A worker of somebody's own may answer anything. What is no JSON object fails the step, not what reads it later.
func TestAnAnswerThatIsNoObject(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("odd", ""))
	id := s.create("one", "odd", 1, 4)
	pulled, err := s.tasks[0].Pull(t.Context(), &taskv1.PullRequest{Worker: "odd", Functions: []string{"test.Work"}, Slots: 4, Wait: durationpb.New(10 * time.Second)})
	if err != nil || len(pulled.GetTasks()) != 4 {
		t.Fatal(pulled, err)
	}
	report := &taskv1.ReportRequest{Worker: "odd"}
	for i, out := range []string{"[1]", "{", "\"x\"", ` {"a": 1} `} {
		report.Results = append(report.Results, &taskv1.Result{Task: pulled.GetTasks()[i].GetId(), Outcome: &taskv1.Result_OutputJson{OutputJson: out}})
	}
	_, err = s.tasks[0].Report(t.Context(), report)
	if err != nil {
		t.Fatal(err)
	}
	d := s.ended("one", id)
	items, err := s.distributions[0].ListItems(t.Context(), &distributionv1.ListItemsRequest{Production: "one", Distribution: id, State: "failed"})
	if err != nil || d.GetItems().GetDone() != 1 || len(items.GetItems()) != 3 || items.GetItems()[0].GetError().GetCode() != "OUTPUT_INVALID" {
		t.Errorf("got %v, %v, %v", d.GetItems(), items, err)
	}
}

func TestNamedSlotsAcrossProductions(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 2, orchestrator.Config{})
	s.define(step("slots", ""))
	_, err := s.control.SetStudioLimit(t.Context(), &controlv1.SetStudioLimitRequest{Name: "db", Limit: &controlv1.Limit{Name: "db", Concurrency: 3}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.control.SetLimit(t.Context(), &controlv1.SetLimitRequest{Production: "one", Name: "pen", Limit: &controlv1.Limit{Name: "pen", Concurrency: 1}})
	if err != nil {
		t.Fatal(err)
	}
	g := newGauge()
	for w := range 3 {
		s.work("worker"+strings.Repeat("x", w), 6, map[string]handler{"test.Work": func(ctx context.Context, r *structpb.Struct) (*structpb.Struct, error) {
			release, err := worker.Occupy(ctx, "studio/db", 1)
			if err != nil {
				return nil, err
			}
			out := g.in("db")
			spend(ctx, 3*time.Millisecond)
			out()
			release()
			if r.GetFields()["production"].GetStringValue() == "one" {
				_, err = worker.Occupy(ctx, "pen", 1)
				if err != nil {
					return nil, err
				}
				defer g.in("pen")() // left to the worker to give back
			}
			return &structpb.Struct{}, nil
		}})
	}
	a, b := s.create("one", "slots", 1, 30), s.create("two", "slots", 1, 30)
	for p, id := range map[string]string{"one": a, "two": b} {
		d := s.ended(p, id)
		if d.GetState() != "completed" {
			t.Errorf("%s ended %s", p, d.GetState())
		}
	}
	if g.most["db"] > 3 || g.most["pen"] > 1 || g.total("db") < 60 {
		t.Errorf("at once %v, in all %v; want at most 3 and 1", g.most, g.all)
	}
}

func TestWhatIsKeptLongEnoughIsDeleted(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{Retention: 2 * time.Second})
	s.define(step("brief", ""))
	s.work("w", 8, map[string]handler{"test.Work": func(context.Context, *structpb.Struct) (*structpb.Struct, error) { return &structpb.Struct{}, nil }})
	id := s.create("one", "brief", 2, 150)
	s.ended("one", id)
	s.await("it is gone", func() bool {
		_, err := s.distributions[0].GetDistribution(t.Context(), &distributionv1.GetDistributionRequest{Production: "one", Distribution: id})
		return err != nil && fault.From(err).Kind == fault.NotFound
	})
	s.await("no key of it is left", func() bool {
		keys, err := s.redis.Keys(t.Context(), "*"+id+"*").Result()
		if err != nil {
			t.Fatal(err)
		}
		return len(keys) == 0
	})
}

// Steps that wait at a limit are told, since nobody finds them among those that are ready.
func TestWhatWaitsAtALimitIsCounted(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("narrow", ""))
	_, err := s.control.SetLimit(t.Context(), &controlv1.SetLimitRequest{Production: "one", Name: "test.Work", Limit: &controlv1.Limit{Name: "test.Work", Concurrency: 1}})
	if err != nil {
		t.Fatal(err)
	}
	goOn := make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	s.work("w", 4, map[string]handler{"test.Work": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
		select {
		case <-goOn:
		case <-ctx.Done():
		}
		return &structpb.Struct{}, nil
	}})
	t.Cleanup(release)
	id := s.create("one", "narrow", 1, 5)
	of := func() *controlv1.Function {
		resp, err := s.control.ListFunctions(t.Context(), &controlv1.ListFunctionsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range resp.GetFunctions() {
			if f.GetName() == "test.Work" {
				return f
			}
		}
		return nil
	}
	s.await("one runs and the others wait", func() bool {
		return of().GetRunning() == 1 && of().GetAtLimit()+of().GetReady() == 4 && of().GetAtLimit() > 0
	})
	release()
	s.ended("one", id)
	if n := of().GetAtLimit(); n != 0 {
		t.Errorf("%d wait when nothing is left", n)
	}
}
