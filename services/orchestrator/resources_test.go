package orchestrator_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

const usesDrive = `name: use-drive
version: 1
steps:
  - name: use
    scope: item
    function: drive.Use
    resources: [%s]
    retry: {attempts: 2, backoff: [10ms]}
`

// house is orchestrators on one Redis, and workers whose behaviour a test chooses.
type house struct {
	t       *testing.T
	redis   *redistest.Server
	servers []*orchestrator.Server
	secrets *credentials
	opener  credentialv1.CredentialServiceClient
	ctx     context.Context // of somebody who may do everything
	control controlv1.ControlServiceServer
	sending distributionv1.DistributionServiceClient
	tasks   []taskv1.TaskServiceClient

	use                    func(context.Context) (map[string]string, error)
	create, check, destroy func(context.Context, *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error)

	running, most          atomic.Int64 // calls of use
	used                   atomic.Int64
	created, ended, looked atomic.Int64
}

func newHouse(t *testing.T, orchestrators int, resource string) *house {
	t.Helper()
	h := &house{t: t, redis: redistest.Start(t), secrets: &credentials{secrets: map[string]string{}}}
	h.use = func(context.Context) (map[string]string, error) { return map[string]string{}, nil }
	answer := func(context.Context, *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
		return &controlv1.ResourceTaskResponse{StateJson: `{"id":7}`}, nil
	}
	h.create, h.check, h.destroy = answer, answer, answer
	h.ctx = rpc.Serving(t.Context(), &accessv1.Principal{Subject: "tok_ada", Role: accessv1.Role_ROLE_ADMIN, Productions: []string{"*"}})
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	srv := rpc.NewServer(log)
	directoryv1.RegisterDirectoryServiceServer(srv, directory{})
	filev1.RegisterFileServiceServer(srv, directory{})
	credentialv1.RegisterCredentialServiceServer(srv, h.secrets)
	connect, stop := rpc.InProcess(srv)
	t.Cleanup(stop)
	conn := must(connect("test"))
	t.Cleanup(func() { _ = conn.Close() })
	h.opener = credentialv1.NewCredentialServiceClient(conn)
	for range orchestrators {
		s := must(orchestrator.New(t.Context(), orchestrator.Config{Shards: 2, Sweep: time.Second, Tick: 20 * time.Millisecond}, orchestrator.Deps{
			Redis: h.redis.Client, Directory: directoryv1.NewDirectoryServiceClient(conn), Files: filev1.NewFileServiceClient(conn),
			Credentials: h.opener, Log: log}))
		h.servers = append(h.servers, s)
		api := rpc.NewServer(log)
		s.Register(api)
		connectAPI, stopAPI := rpc.InProcess(api)
		t.Cleanup(stopAPI)
		conn := must(connectAPI("test"))
		t.Cleanup(func() { _ = conn.Close() })
		h.tasks = append(h.tasks, taskv1.NewTaskServiceClient(conn))
		h.control = s
		h.sending = distributionv1.NewDistributionServiceClient(conn)
		_, err := definitionv1.NewDefinitionServiceClient(conn).PutDefinition(t.Context(), &definitionv1.PutDefinitionRequest{Source: fmt.Sprintf(usesDrive, resource)})
		if err != nil {
			t.Fatal(err)
		}
		h.background(s.Run)
	}
	return h
}

// background runs do until the test ends.
func (h *house) background(do func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = do(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	h.t.Cleanup(stop)
	return stop
}

// work starts a worker at each orchestrator.
func (h *house) work() {
	job := func(n *atomic.Int64, do *func(context.Context, *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error)) func(context.Context, *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
		return func(ctx context.Context, r *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
			n.Add(1)
			return (*do)(ctx, r)
		}
	}
	for i, tasks := range h.tasks {
		w := worker.New(worker.Config{Name: fmt.Sprint("worker-", i), Slots: 16, Renew: time.Second, Grace: 50 * time.Millisecond}, tasks, slog.New(slog.DiscardHandler),
			worker.JSON("drive.Use", func(ctx context.Context, _ struct{}) (map[string]string, error) {
				n := h.running.Add(1)
				defer h.running.Add(-1)
				for most := h.most.Load(); n > most && !h.most.CompareAndSwap(most, n); most = h.most.Load() {
				}
				h.used.Add(1)
				return h.use(ctx)
			}),
			worker.Func("drive.Create", job(&h.created, &h.create)), worker.Func("drive.Check", job(&h.looked, &h.check)),
			worker.Func("drive.Destroy", job(&h.ended, &h.destroy)))
		h.background(w.Run)
	}
}

func (h *house) put(name string, r *controlv1.Resource) *controlv1.Resource {
	h.t.Helper()
	if r.Limit == nil {
		r.Limit = &controlv1.Limit{Name: name}
	}
	var err error
	if strings.HasPrefix(name, "studio/") {
		bare := strings.TrimPrefix(name, "studio/")
		r.Limit.Name = bare
		var resp *controlv1.PutStudioResourceResponse
		resp, err = h.control.PutStudioResource(h.ctx, &controlv1.PutStudioResourceRequest{Name: bare, Resource: r})
		r = resp.GetResource()
	} else {
		var resp *controlv1.PutResourceResponse
		resp, err = h.control.PutResource(h.ctx, &controlv1.PutResourceRequest{Production: "default", Name: name, Resource: r})
		r = resp.GetResource()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// get reads the resource; nil if there is none.
func (h *house) get(name string) *controlv1.Resource {
	h.t.Helper()
	var all []*controlv1.Resource
	if strings.HasPrefix(name, "studio/") {
		all = must(h.control.ListStudioResources(h.ctx, &controlv1.ListStudioResourcesRequest{})).GetResources()
	} else {
		all = must(h.control.ListResources(h.ctx, &controlv1.ListResourcesRequest{Production: "default"})).GetResources()
	}
	for _, r := range all {
		if r.GetLimit().GetName() == strings.TrimPrefix(name, "studio/") {
			return r
		}
	}
	return nil
}

// until waits until ok, or fails the test with what is said.
func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			h.t.Fatalf("it did not come to that: %s; used %d, created %d, ended %d, looked %d; %v %v", what,
				h.used.Load(), h.created.Load(), h.ended.Load(), h.looked.Load(), h.get("drive"), h.get("studio/drive"))
		case <-tick.C:
		}
	}
}

// life waits until the resource is so.
func (h *house) life(name, state string) {
	h.t.Helper()
	h.until(name+" is "+state, func() bool { return h.get(name).GetState() == state })
}

// send starts a distribution of n items, each a use of the drive.
func (h *house) send(production string, n int) string {
	h.t.Helper()
	req := request(1, n)
	req.Production, req.Definition = production, "use-drive"
	return must(h.sending.CreateDistribution(h.t.Context(), req)).GetDistribution().GetId()
}

func (h *house) of(production, id string) *distributionv1.Distribution {
	h.t.Helper()
	return must(h.sending.GetDistribution(h.t.Context(), &distributionv1.GetDistributionRequest{Production: production, Distribution: id})).GetDistribution()
}

// done waits until all of a distribution went well.
func (h *house) done(production, id string) {
	h.t.Helper()
	h.until("the distribution has ended", func() bool { return h.of(production, id).GetEndedAt() != nil })
	if d := h.of(production, id); d.GetState() != "completed" {
		h.t.Fatalf("ended as %v", d)
	}
}

func drive() *controlv1.Resource {
	return &controlv1.Resource{Kind: "drive", Create: "drive.Create", Destroy: "drive.Destroy", BreakerOpen: durationpb.New(300 * time.Millisecond)}
}

// Twenty steps wait and three orchestrators look: it is created once, by one task, and not before it is needed. Its steps
// run then, each with what create answered, and nobody sees the task among what was sent.
func TestAResourceIsCreatedOnFirstUse(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"drive", "studio/drive"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 3, name)
			ready := make(chan struct{})
			var asked *controlv1.ResourceTaskRequest
			h.create = func(ctx context.Context, r *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
				asked = r
				select {
				case <-ready:
				case <-ctx.Done():
				}
				return &controlv1.ResourceTaskResponse{StateJson: `{"id":7}`, Detail: "made folder 7"}, nil
			}
			var wrong atomic.Int64
			h.use = func(ctx context.Context) (map[string]string, error) {
				r, ok := worker.ResourceFrom(ctx, name)
				if !ok || r.State != `{"id":7}` || r.Kind != "drive" {
					wrong.Add(1)
				}
				return map[string]string{}, nil
			}
			r := drive()
			r.ConfigJson = `{"team":"props"}`
			if got := h.put(name, r).GetState(); got != "absent" {
				t.Fatalf("put: %s", got)
			}
			h.work()
			id := h.send("default", 20)
			h.life(name, "creating")
			h.until("the task is at work", func() bool { return h.created.Load() == 1 })
			if h.used.Load() != 0 {
				t.Errorf("%d steps ran before it was there", h.used.Load())
			}
			close(ready)
			h.done("default", id)
			if h.created.Load() != 1 || h.used.Load() != 20 || wrong.Load() != 0 {
				t.Errorf("created %d times, used %d times, %d of them without its state", h.created.Load(), h.used.Load(), wrong.Load())
			}
			if asked.GetConfigJson() != `{"team":"props"}` || asked.GetName() != "drive" || asked.GetKind() != "drive" || (asked.GetProduction() == "") != (name != "drive") {
				t.Errorf("create was asked with %v", asked)
			}
			if got := h.get(name); got.GetState() != "ready" || got.GetDetail() != "made folder 7" {
				t.Errorf("after: %v", got)
			}
			list := must(h.sending.ListDistributions(t.Context(), &distributionv1.ListDistributionsRequest{Production: "default"}))
			if len(list.GetDistributions()) != 1 {
				t.Errorf("listed: %v", list)
			}
			// What came of the task was taken: nothing of it is kept but for keys that go by themselves.
			left := must(h.redis.Client.Keys(t.Context(), "*:spec:*").Result())
			if len(left) != 1 {
				t.Errorf("kept: %v", left)
			}
		})
	}
}

func TestAnIdleResourceIsDestroyedAndCreatedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, "drive")
	hold := make(chan struct{})
	h.destroy = func(ctx context.Context, r *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
		if r.GetStateJson() != `{"id":7}` {
			return nil, fault.New(fault.Invalid, "STATE_WRONG", "state is %s", r.GetStateJson())
		}
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return &controlv1.ResourceTaskResponse{}, nil
	}
	slow := make(chan struct{})
	h.use = func(ctx context.Context) (map[string]string, error) {
		select {
		case <-slow:
		case <-ctx.Done():
		}
		return map[string]string{}, nil
	}
	r := drive()
	r.IdleTimeout = durationpb.New(500 * time.Millisecond)
	h.put("drive", r)
	h.work()
	id := h.send("default", 1)
	h.until("it is used", func() bool { return h.used.Load() == 1 })
	began := time.Now()
	h.until("it has been used for longer than it may be idle", func() bool { return time.Since(began) > 900*time.Millisecond })
	if h.get("drive").GetState() != "ready" || h.ended.Load() != 0 {
		t.Fatalf("destroyed while it was used: %v", h.get("drive"))
	}
	close(slow)
	h.done("default", id)
	h.until("it is being destroyed", func() bool { return h.ended.Load() == 1 })
	// Somebody comes meanwhile: they wait for the next one.
	id = h.send("default", 3)
	h.until("they wait", func() bool { return h.get("drive").GetLimit().GetWaiting() == 3 })
	if h.created.Load() != 1 || h.used.Load() != 1 {
		t.Errorf("created %d, used %d", h.created.Load(), h.used.Load())
	}
	close(hold)
	h.done("default", id)
	if h.created.Load() != 2 {
		t.Errorf("created %d times", h.created.Load())
	}
	h.life("drive", "absent")
	if h.ended.Load() != 2 {
		t.Errorf("destroyed %d times", h.ended.Load())
	}
}

func TestWhatCannotBeCreatedIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, "drive")
	var broken atomic.Bool
	broken.Store(true)
	h.create = func(context.Context, *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
		if broken.Load() {
			return nil, fault.New(fault.Invalid, "QUOTA_SPENT", "the quota is spent; buy more")
		}
		return &controlv1.ResourceTaskResponse{}, nil
	}
	h.put("drive", drive())
	h.work()
	id := h.send("default", 5)
	h.life("drive", "failed")
	if r := h.get("drive"); r.GetLastCode() != "QUOTA_SPENT" || r.GetLastMessage() != "the quota is spent; buy more" {
		t.Errorf("failed with %v", r)
	}
	h.until("it is tried again", func() bool { return h.created.Load() >= 3 })
	// With a long back-off only a person has it tried at once.
	slow := drive()
	slow.BreakerOpen = durationpb.New(time.Hour)
	h.put("drive", slow)
	h.until("it waits for long", func() bool {
		r := h.get("drive")
		return r.GetState() == "failed" && time.Until(r.GetBlockedUntil().AsTime()) > time.Minute
	})
	broken.Store(false)
	_, err := h.control.ResetResource(h.ctx, &controlv1.ResetResourceRequest{Production: "default", Name: "drive"})
	if err != nil {
		t.Fatal(err)
	}
	h.done("default", id)
	if h.used.Load() != 5 {
		t.Errorf("used %d times", h.used.Load())
	}
}

// Nobody makes for steps that were cancelled what failed for them.
func TestNothingIsCreatedForWhatWasCancelled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"drive", "studio/drive"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1, name)
			h.create = func(context.Context, *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
				return nil, fault.New(fault.Invalid, "QUOTA_SPENT", "the quota is spent; buy more")
			}
			h.put(name, drive())
			h.work()
			id := h.send("default", 5)
			h.life(name, "failed")
			_, err := h.sending.RevokeDistribution(t.Context(), &distributionv1.RevokeDistributionRequest{Production: "default", Distribution: id})
			if err != nil {
				t.Fatal(err)
			}
			h.until("nobody waits", func() bool { return h.get(name).GetLimit().GetWaiting() == 0 })
			n := h.created.Load()
			began := time.Now()
			h.until("it would have been tried again", func() bool { return time.Since(began) > time.Second })
			if h.created.Load() > n+1 {
				t.Errorf("created %d times more", h.created.Load()-n)
			}
		})
	}
}

func TestAHealthCheckOpensAndClosesTheBreaker(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, "studio/drive")
	var ill atomic.Bool
	ill.Store(true)
	var at, most atomic.Int64
	h.check = func(context.Context, *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
		most.Store(max(most.Load(), at.Add(1)))
		defer at.Add(-1)
		if ill.Load() {
			return nil, fault.New(fault.Unavailable, "RELAY_DOWN", "the relay does not answer")
		}
		return &controlv1.ResourceTaskResponse{Detail: "fine"}, nil
	}
	h.work()
	h.put("studio/drive", &controlv1.Resource{Check: "drive.Check", CheckEvery: durationpb.New(50 * time.Millisecond), BreakerFailures: 3, BreakerOpen: durationpb.New(time.Hour)})
	h.until("the breaker is open", func() bool { return h.get("studio/drive").GetBreaker() == "open" })
	if r := h.get("studio/drive"); r.GetLastCode() != "RELAY_DOWN" || h.looked.Load() < 3 || r.GetCheckedAt() == nil {
		t.Errorf("after %d checks: %v", h.looked.Load(), r)
	}
	id := h.send("default", 5)
	h.until("they wait", func() bool { return h.get("studio/drive").GetLimit().GetWaiting() == 5 })
	if h.used.Load() != 0 {
		t.Errorf("%d steps ran", h.used.Load())
	}
	ill.Store(false)
	h.done("default", id) // an hour too early for the back-off
	h.until("it is well", func() bool {
		return h.get("studio/drive").GetBreaker() == "closed" && h.get("studio/drive").GetDetail() == "fine"
	})
	if most.Load() != 1 {
		t.Errorf("%d checks at once", most.Load())
	}
}

func TestAThrottleBacksOffTheWholeResource(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, "studio/drive")
	var throttled, early atomic.Int64
	var until atomic.Int64
	h.use = func(context.Context) (map[string]string, error) {
		if throttled.Add(1) == 1 {
			until.Store(time.Now().Add(700 * time.Millisecond).UnixMilli())
			f := fault.New(fault.Exhausted, "SLOW_DOWN", "too many requests")
			f.RetryAfter = 800 * time.Millisecond
			return nil, f
		}
		if time.Now().UnixMilli() < until.Load() {
			early.Add(1)
		}
		return map[string]string{}, nil
	}
	h.put("studio/drive", &controlv1.Resource{Limit: &controlv1.Limit{Concurrency: 1}})
	h.work()
	one, two := h.send("default", 5), h.send("other", 5)
	h.until("it backs off", func() bool { return h.get("studio/drive").GetBlockedUntil() != nil })
	h.done("default", one)
	h.done("other", two)
	if early.Load() != 0 || h.used.Load() != 11 {
		t.Errorf("%d uses while it was too busy, %d in all, want 11", early.Load(), h.used.Load())
	}
}

// Five failures open it; when it has been open for a while one step tries, alone, and its success closes it.
func TestTheBreakerLetsOneTry(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, "drive")
	var ill atomic.Bool
	ill.Store(true)
	h.use = func(ctx context.Context) (map[string]string, error) {
		if ill.Load() {
			return nil, fault.New(fault.Unavailable, "DRIVE_DOWN", "the drive does not answer")
		}
		return map[string]string{}, nil
	}
	h.put("drive", &controlv1.Resource{BreakerOpen: durationpb.New(time.Hour), Limit: &controlv1.Limit{Name: "drive", Concurrency: 1}})
	h.work()
	id := h.send("default", 12)
	h.until("it is open", func() bool { return h.get("drive").GetBreaker() == "open" })
	if n := h.used.Load(); n != 5 {
		t.Errorf("%d failures opened it, want 5", n)
	}
	// A while later, as its record has it.
	h.used.Store(0)
	trying, goOn := make(chan struct{}, 100), make(chan struct{})
	h.use = func(ctx context.Context) (map[string]string, error) {
		trying <- struct{}{}
		select {
		case <-goOn:
		case <-ctx.Done():
		}
		return map[string]string{}, nil
	}
	h.redis.Client.HSet(t.Context(), must(h.redis.Client.Keys(t.Context(), "*:g:default:drive").Result())[0], "till", 1)
	// With its words it is looked at again: else whoever waits for it is left alone until the time that stood there.
	h.put("drive", &controlv1.Resource{BreakerOpen: durationpb.New(time.Hour), Limit: &controlv1.Limit{Name: "drive", Concurrency: 4}})
	h.until("somebody tries", func() bool { return len(trying) > 0 })
	began := time.Now()
	h.until("others would have come", func() bool { return time.Since(began) > 1300*time.Millisecond })
	if n := h.used.Load(); n != 1 {
		t.Errorf("%d tried, want 1", n)
	}
	close(goOn)
	h.until("it has ended", func() bool { return h.of("default", id).GetEndedAt() != nil })
	if r := h.get("drive"); r.GetBreaker() != "closed" {
		t.Errorf("after: %v", r)
	}
	if most := h.most.Load(); most > 4 {
		t.Errorf("%d at once, want at most 4", most)
	}
}

// A worker that does not hear the answer reports again. What ended the first time tells the resource nothing the second time:
// no failure, no throttle, no success.
func TestAReportThatIsRepeatedTellsAResourceNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, "drive")
	h.put("drive", &controlv1.Resource{BreakerOpen: durationpb.New(time.Hour), Limit: &controlv1.Limit{Name: "drive", Concurrency: 20}})
	h.send("default", 8)
	var tasks []string
	for len(tasks) < 7 {
		got := must(h.tasks[0].Pull(t.Context(), &taskv1.PullRequest{Worker: "w", Functions: []string{"drive.Use"}, Slots: 7, Wait: durationpb.New(20 * time.Second)}))
		for _, task := range got.GetTasks() {
			tasks = append(tasks, task.GetId())
		}
	}
	end := func(n int, class taskv1.FailureClass) *taskv1.Result {
		return &taskv1.Result{Task: tasks[n], Outcome: &taskv1.Result_Failure{Failure: &taskv1.Failure{Class: class, Code: "DRIVE_DOWN",
			Message: "the drive does not answer", RetryAfter: durationpb.New(time.Minute)}}}
	}
	report := func(results ...*taskv1.Result) {
		t.Helper()
		for _, tasks := range h.tasks {
			_, err := tasks.Report(t.Context(), &taskv1.ReportRequest{Worker: "w", Results: results})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	well := &taskv1.Result{Task: tasks[0], Outcome: &taskv1.Result_OutputJson{OutputJson: "{}"}}
	report(well)
	fail := taskv1.FailureClass_FAILURE_CLASS_TRANSIENT
	report(end(1, fail), end(2, fail), end(3, fail))
	if r := h.get("drive"); r.GetBreaker() != "closed" {
		t.Errorf("after three failures that were reported twice it is %v", r)
	}
	report(well)
	report(end(4, fail))
	if r := h.get("drive"); r.GetBreaker() != "closed" {
		t.Errorf("after four failures it is %v", r)
	}
	throttle := end(5, taskv1.FailureClass_FAILURE_CLASS_THROTTLED)
	_, err := h.tasks[0].Report(t.Context(), &taskv1.ReportRequest{Worker: "w", Results: []*taskv1.Result{throttle}})
	if err != nil {
		t.Fatal(err)
	}
	was := h.get("drive").GetBlockedUntil().AsTime()
	throttle.GetFailure().RetryAfter = durationpb.New(time.Hour)
	report(throttle)
	if now := h.get("drive").GetBlockedUntil().AsTime(); was.Before(time.Now()) || !now.Equal(was) {
		t.Errorf("blocked until %s, and after a repeated report until %s", was, now)
	}
	report(end(6, fail))
	if r := h.get("drive"); r.GetBreaker() != "open" {
		t.Errorf("after five failures, between which an old success was reported again, it is %v", r)
	}
}

func TestNeverMoreThanItsConcurrency(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, "studio/drive")
	r := drive()
	r.Limit = &controlv1.Limit{Concurrency: 3}
	h.put("studio/drive", r)
	h.use = func(context.Context) (map[string]string, error) {
		<-time.After(2 * time.Millisecond) // long enough for one too many to be seen
		return map[string]string{}, nil
	}
	h.work()
	ids := map[string]string{}
	for _, p := range []string{"default", "other", "third"} {
		ids[p] = h.send(p, 40)
	}
	for p, id := range ids {
		h.done(p, id)
	}
	if h.used.Load() != 120 || h.most.Load() > 3 || h.created.Load() != 1 {
		t.Errorf("used %d times, %d at once, created %d times", h.used.Load(), h.most.Load(), h.created.Load())
	}
}

// Other words for what there is: it is ended as it was made, once nobody uses it, and made anew.
func TestAResourceWithOtherWordsIsMadeAnew(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, "drive")
	var mu sync.Mutex
	var story []string
	tell := func(what string) func(context.Context, *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
		return func(_ context.Context, r *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
			mu.Lock()
			defer mu.Unlock()
			story = append(story, what+" "+r.GetConfigJson()+r.GetStateJson())
			return &controlv1.ResourceTaskResponse{StateJson: r.GetConfigJson()}, nil
		}
	}
	h.create, h.destroy = tell("create"), tell("destroy")
	hold := make(chan struct{})
	h.use = func(ctx context.Context) (map[string]string, error) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return map[string]string{}, nil
	}
	r := drive()
	r.ConfigJson = "1"
	h.put("drive", r)
	h.work()
	one := h.send("default", 1)
	h.until("it is used", func() bool { return h.used.Load() == 1 })
	// A new credential, limit or check leaves it.
	r = drive()
	r.ConfigJson, r.Credential = "1", "other"
	if got := h.put("drive", r).GetState(); got != "ready" {
		t.Errorf("with another credential it is %s", got)
	}
	r.ConfigJson = "2"
	if got := h.put("drive", r).GetState(); got != "destroying" {
		t.Errorf("with another config it is %s", got)
	}
	two := h.send("default", 1)
	h.until("the next one waits", func() bool { return h.get("drive").GetLimit().GetWaiting() == 1 })
	if h.ended.Load() != 0 {
		t.Error("it was destroyed while it was used")
	}
	close(hold)
	h.done("default", one)
	h.done("default", two)
	mu.Lock()
	got := strings.Join(story, ", ")
	mu.Unlock()
	if got != "create 1, destroy 11, create 2" {
		t.Errorf("got %s", got)
	}
	// Deleted, it goes the same way, and then nothing is left of it.
	_, err := h.control.DeleteResource(h.ctx, &controlv1.DeleteResourceRequest{Production: "default", Name: "drive"})
	if err != nil {
		t.Fatal(err)
	}
	h.until("it is gone", func() bool { return h.get("drive") == nil })
	if h.ended.Load() != 2 {
		t.Errorf("destroyed %d times", h.ended.Load())
	}
	_, err = h.control.DeleteResource(h.ctx, &controlv1.DeleteResourceRequest{Production: "default", Name: "drive"})
	if fault.From(err).Reason != "RESOURCE_UNKNOWN" {
		t.Errorf("deleted again: %v", err)
	}
	h.done("default", h.send("default", 2)) // a name that is not set holds nobody up
	left := must(h.redis.Client.Keys(t.Context(), "*drive*").Result())
	left = slices.DeleteFunc(left, func(k string) bool { return strings.Contains(k, "use-drive") || strings.Contains(k, "drive.") })
	if len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A destroy function that never answers well keeps the resource; deleting it again leaves what was made.
func TestDeletingTwiceForgets(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, "studio/drive")
	h.destroy = func(context.Context, *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
		return nil, fault.New(fault.Invalid, "NOT_NOW", "not now")
	}
	h.put("studio/drive", drive())
	h.work()
	h.done("default", h.send("default", 1))
	remove := func() {
		_, err := h.control.DeleteStudioResource(h.ctx, &controlv1.DeleteStudioResourceRequest{Name: "drive"})
		if err != nil {
			t.Fatal(err)
		}
	}
	remove()
	h.until("destroy has failed and is tried again", func() bool { return h.ended.Load() >= 2 })
	if r := h.get("studio/drive"); r.GetState() != "destroying" || r.GetLastCode() != "NOT_NOW" {
		t.Errorf("after: %v", r)
	}
	remove()
	if r := h.get("studio/drive"); r != nil {
		t.Errorf("after deleting it twice: %v", r)
	}
}

// Orchestrators die at each command of the creation, and the worker that creates dies, too: it is created all the same.
func TestCrashesWhileCreating(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, "drive")
	h.put("drive", drive())
	// A worker takes the task and is never heard of again.
	id := h.send("default", 3)
	var lost []*taskv1.Task
	h.until("it was handed out", func() bool {
		resp := must(h.tasks[0].Pull(t.Context(), &taskv1.PullRequest{Worker: "mortal", Functions: []string{"drive.Use", "drive.Create"}, Slots: 4, Wait: durationpb.New(100 * time.Millisecond)}))
		lost = append(lost, resp.GetTasks()...)
		return len(lost) > 0
	})
	if len(lost) != 1 || lost[0].GetFunction() != "drive.Create" {
		t.Fatalf("handed out: %v", lost)
	}
	h.work()
	h.done("default", id)
	if h.created.Load() != 1 {
		t.Errorf("created %d times by who was not lost", h.created.Load())
	}
}

func TestOrchestratorsDieWhileTheyTendAResource(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, "drive")
	r := drive()
	r.IdleTimeout = durationpb.New(300 * time.Millisecond)
	var there, wrong atomic.Int64
	change := func(by int64) func(context.Context, *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
		return func(context.Context, *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
			if n := there.Add(by); n < 0 || n > 1 {
				wrong.Add(1)
			}
			return &controlv1.ResourceTaskResponse{}, nil
		}
	}
	h.create, h.destroy = change(1), change(-1)
	h.use = func(context.Context) (map[string]string, error) {
		if there.Load() != 1 {
			wrong.Add(1)
		}
		return map[string]string{}, nil
	}
	r.Check, r.CheckEvery = "drive.Check", durationpb.New(200*time.Millisecond)
	h.put("drive", r)
	h.work()
	one := &mortal{}
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: h.redis.Socket, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	client.AddHook(one)
	doomed := must(orchestrator.New(t.Context(), orchestrator.Config{Shards: 2, Sweep: time.Second, Tick: time.Second}, orchestrator.Deps{
		Redis: client, Log: slog.New(slog.DiscardHandler)}))
	// One that dies, over and over again, at a command further on each time, races with one that lives.
	h.background(func(ctx context.Context) error {
		for n := 0; ctx.Err() == nil; n++ {
			one.dieAt(1+n/2%25, n%2 == 0)
			_ = doomed.Tend(ctx)
		}
		return nil
	})
	for range 5 {
		h.done("default", h.send("default", 2))
		h.life("drive", "absent")
	}
	if h.created.Load() < 5 || there.Load() != 0 || wrong.Load() != 0 {
		t.Errorf("created %d times and destroyed %d times, %d times out of order", h.created.Load(), h.ended.Load(), wrong.Load())
	}
}

// A credential is opened by who uses it and is nowhere else: not in Redis, not in events, not in outputs.
func TestACredentialStaysSealed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, "drive")
	const secret = "correct horse battery staple"
	h.secrets.secrets["default/drive-key"] = secret
	var opened atomic.Int64
	h.create = func(ctx context.Context, r *controlv1.ResourceTaskRequest) (*controlv1.ResourceTaskResponse, error) {
		resp, err := h.opener.OpenCredential(ctx, &credentialv1.OpenCredentialRequest{Production: r.GetProduction(), Name: r.GetCredential()})
		if err != nil || resp.GetSecret() != secret {
			return nil, fault.New(fault.Invalid, "NOT_OPENED", "%v", err)
		}
		opened.Add(1)
		return &controlv1.ResourceTaskResponse{StateJson: `{"folder":"f7"}`}, nil
	}
	h.use = func(ctx context.Context) (map[string]string, error) {
		r, _ := worker.ResourceFrom(ctx, "drive")
		got, err := r.Secret(ctx, h.opener)
		if err != nil || got != secret {
			return nil, fault.New(fault.Invalid, "NOT_OPENED", "%v", err)
		}
		opened.Add(1)
		return map[string]string{"folder": r.State}, nil
	}
	r := drive()
	r.Credential = "drive-key"
	h.put("drive", r)
	h.work()
	id := h.send("default", 3)
	h.done("default", id)
	if opened.Load() != 4 {
		t.Fatalf("opened %d times, want 4", opened.Load())
	}
	events := must(h.sending.ListEvents(t.Context(), &distributionv1.ListEventsRequest{Production: "default", Distribution: id}))
	if strings.Contains(events.String(), secret) || len(events.GetEvents()) == 0 {
		t.Errorf("events: %v", events)
	}
	all := h.everything()
	if !strings.Contains(all, "drive-key") || !strings.Contains(all, "f7") {
		t.Error("what is in Redis was not read")
	}
	if strings.Contains(all, secret) {
		t.Error("the secret is in Redis")
	}
}

// everything is what Redis has, as text.
func (h *house) everything() string {
	ctx, c := h.t.Context(), h.redis.Client
	var all strings.Builder
	for _, k := range must(c.Keys(ctx, "*").Result()) {
		fmt.Fprintln(&all, k)
		switch must(c.Type(ctx, k).Result()) {
		case "hash":
			fmt.Fprintln(&all, must(c.HGetAll(ctx, k).Result()))
		case "string":
			fmt.Fprintln(&all, must(c.Get(ctx, k).Result()))
		case "set":
			fmt.Fprintln(&all, must(c.SMembers(ctx, k).Result()))
		case "zset":
			fmt.Fprintln(&all, must(c.ZRange(ctx, k, 0, -1).Result()))
		case "stream":
			fmt.Fprintln(&all, must(c.XRange(ctx, k, "-", "+").Result()))
		default:
			h.t.Errorf("what is %s?", k)
		}
	}
	return all.String()
}
