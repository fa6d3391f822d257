package orchestrator_test

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// fleet is orchestrators on one Redis that do what a test makes them do, at the time that it says.
type fleet struct {
	t        *testing.T
	ctx      context.Context
	replicas []*replica

	mu  sync.Mutex
	now time.Time
	// files is what the directory answers about any file; nil: it is there.
	files error
}

type replica struct {
	*orchestrator.Server
	mortal
}

// mortal lets a process die at one of its commands to Redis: before it, or after it and before its answer.
type mortal struct {
	mu    sync.Mutex
	left  int // commands until it dies; 0: it does not
	after bool
	sha   string // of a script that it does not get to run
	dead  bool
}

var errDead = errors.New("the process has died")

func (m *mortal) dieAt(n int, after bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left, m.after, m.sha, m.dead = n, after, "", false
}

// dieBefore makes it die as it is about to run a script.
func (m *mortal) dieBefore(script string) {
	raw := must(os.ReadFile("internal/store/lua/" + script + ".lua"))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left, m.sha, m.dead = 0, fmt.Sprintf("%x", sha1.Sum(raw)), false
}

// died says whether it has, since dieAt.
func (m *mortal) died() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

func (m *mortal) command(cmd redis.Cmder, do func() error) error {
	m.mu.Lock()
	if m.dead {
		m.mu.Unlock()
		return errDead
	}
	dies := m.left == 1 || cmd != nil && m.sha != "" && len(cmd.Args()) > 1 && cmd.Args()[1] == m.sha
	m.left = max(0, m.left-1)
	m.dead = dies
	after := m.after && m.sha == ""
	m.mu.Unlock()
	if dies && !after {
		return errDead
	}
	err := do()
	if dies {
		return errDead
	}
	return err
}

func (m *mortal) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m *mortal) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := m.command(cmd, func() error { return next(ctx, cmd) })
		if errors.Is(err, errDead) {
			cmd.SetErr(err)
		}
		return err
	}
}

func (m *mortal) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := m.command(nil, func() error { return next(ctx, cmds) })
		if errors.Is(err, errDead) {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// shelf has every file, unless the test says otherwise.
type shelf struct {
	directory
	f *fleet
}

func (s shelf) GetFile(ctx context.Context, r *filev1.GetFileRequest) (*filev1.GetFileResponse, error) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if s.f.files != nil {
		return nil, s.f.files
	}
	return s.directory.GetFile(ctx, r)
}

func newFleet(t *testing.T, n int, now time.Time) *fleet {
	t.Helper()
	f := &fleet{t: t, now: now}
	f.ctx = rpc.Serving(t.Context(), &accessv1.Principal{Subject: "tok_ada", Role: accessv1.Role_ROLE_COORDINATOR, Productions: []string{"default"}})
	log := slog.New(slog.DiscardHandler)
	srv := rpc.NewServer(log)
	directoryv1.RegisterDirectoryServiceServer(srv, directory{})
	filev1.RegisterFileServiceServer(srv, shelf{f: f})
	connect, stop := rpc.InProcess(srv)
	t.Cleanup(stop)
	conn, err := connect("orchestrator")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r := redistest.Start(t)
	for range n {
		one := &replica{}
		client := redis.NewClient(&redis.Options{Network: "unix", Addr: r.Socket, MaxRetries: -1})
		t.Cleanup(func() { _ = client.Close() })
		client.AddHook(&one.mortal)
		one.Server, err = orchestrator.New(t.Context(), orchestrator.Config{Shards: 2, Sweep: time.Second, Tick: time.Second}, orchestrator.Deps{
			Redis: client, Directory: directoryv1.NewDirectoryServiceClient(conn), Files: filev1.NewFileServiceClient(conn), Log: log})
		if err != nil {
			t.Fatal(err)
		}
		one.SetClock(func() time.Time {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.now
		})
		f.replicas = append(f.replicas, one)
	}
	return f
}

func (f *fleet) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fleet) answerAboutFiles(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files = err
}

func (f *fleet) put(name string, sch *schedulev1.Schedule) *schedulev1.Schedule {
	f.t.Helper()
	if sch.GetStart() == nil {
		sch.Start = template()
		sch.Start.Title = name + " {date} {time}"
	}
	resp, err := f.replicas[0].PutSchedule(f.ctx, &schedulev1.PutScheduleRequest{Production: "default", Name: name, Schedule: sch})
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.GetSchedule()
}

// work makes the replica start what is due, as if it did so without accident.
func (f *fleet) work(n int) {
	f.t.Helper()
	f.replicas[n].dieAt(0, false)
	err := f.replicas[n].StartDue(f.ctx)
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) get(name string) *schedulev1.Schedule {
	f.t.Helper()
	resp, err := f.replicas[0].ListSchedules(f.ctx, &schedulev1.ListSchedulesRequest{Production: "default"})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, s := range resp.GetSchedules() {
		if s.GetName() == name {
			return s
		}
	}
	return nil
}

// runs are the titles of what the schedule of this name started, without the name, in their order.
func (f *fleet) runs(name string) []string {
	f.t.Helper()
	runs := []string{}
	for cursor := ""; ; {
		resp, err := f.replicas[0].ListDistributions(f.ctx, &distributionv1.ListDistributionsRequest{Production: "default", PageToken: cursor})
		if err != nil {
			f.t.Fatal(err)
		}
		for _, d := range resp.GetDistributions() {
			of, run, _ := strings.Cut(d.GetTitle(), " ")
			if of == name {
				runs = append(runs, run)
			}
		}
		cursor = resp.GetNextPageToken()
		if cursor == "" {
			slices.Sort(runs)
			return runs
		}
	}
}

func moment(s string) time.Time { return must(time.Parse(time.RFC3339, s)) }

const noon = "2026-05-04T12:00:00Z"

// Three orchestrators, of which at each step one sets about what is due and dies at some command, or not: each run is
// started once, or, where that is asked for, left out and counted; none twice and none forgotten.
func TestEachRunStartsOnce(t *testing.T) {
	t.Parallel()
	seeds := 5
	if testing.Short() {
		seeds = 1
	}
	deaths := 0
	for seed := range seeds {
		f := newFleet(t, 3, moment(noon))
		rng := rand.New(rand.NewPCG(uint64(seed), 11))
		f.put("all", &schedulev1.Schedule{Cron: "* * * * *", Missed: "catch_up"})
		f.put("some", &schedulev1.Schedule{Cron: "* * * * *"})
		for f.now.Before(moment(noon).Add(80 * time.Minute)) {
			f.pass(time.Duration(1+rng.IntN(20)) * time.Second)
			r := f.replicas[rng.IntN(len(f.replicas))]
			r.dieAt(rng.IntN(30), rng.IntN(2) == 0)
			err := r.StartDue(f.ctx)
			if r.died() {
				deaths++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		f.replicas[0].dieAt(0, false)
		for range 4 { // what the dead have taken comes back within half a minute
			f.pass(20 * time.Second)
			f.work(0)
		}
		var want []string
		for at := moment(noon).Add(time.Minute); !at.After(f.now); at = at.Add(time.Minute) {
			want = append(want, at.Format("2006-01-02 15:04"))
		}
		all, some := f.runs("all"), f.runs("some")
		if !slices.Equal(all, want) {
			t.Errorf("seed %d: started were %q, want %q", seed, all, want)
		}
		skipped := int(f.get("some").GetSkipped())
		if !slices.Equal(slices.Compact(slices.Clone(some)), some) || len(some)+skipped != len(want) || len(some) < len(want)/2 {
			t.Errorf("seed %d: of %d runs, %d were started (%q) and %d left out", seed, len(want), len(some), some, skipped)
		}
		if got := f.get("all"); got.GetSkipped() != 0 || got.GetLastError() != nil || !got.GetLastAt().AsTime().Equal(f.now.Truncate(time.Minute)) {
			t.Errorf("seed %d: got %v", seed, got)
		}
	}
	t.Logf("%d deaths", deaths)
	if deaths < 30*seeds {
		t.Errorf("%d deaths show nothing", deaths)
	}
}

// The same one command after the other: whoever dies at whichever command, before or after it, another one completes the
// run, once.
func TestDeathAtEachCommand(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, moment(noon))
	f.put("each", &schedulev1.Schedule{Cron: "* * * * *"})
	runs := 0
	for n := 1; ; n++ {
		for _, after := range []bool{false, true} {
			f.pass(time.Minute)
			runs++
			f.replicas[1].dieAt(n, after)
			_ = f.replicas[1].StartDue(f.ctx) // errDead, if it died
			f.pass(31 * time.Second)
			f.work(0)
			f.pass(-31 * time.Second)
			if got := f.runs("each"); len(got) != runs || f.get("each").GetSkipped() != 0 {
				t.Fatalf("death at command %d (after it: %t): %d runs of %d", n, after, len(got), runs)
			}
		}
		if !f.replicas[1].died() {
			t.Logf("a run takes %d commands", n-1)
			if n < 5 {
				t.Error("that is too few to show anything")
			}
			return
		}
	}
}

func TestAllReplicasAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, moment(noon))
	for i := range 25 {
		f.put(fmt.Sprint("s", i), &schedulev1.Schedule{Cron: "* * * * *", Missed: "catch_up"})
	}
	f.pass(5*time.Minute + 10*time.Second)
	var working sync.WaitGroup
	for _, r := range f.replicas {
		working.Go(func() {
			err := r.StartDue(f.ctx)
			if err != nil {
				t.Error(err)
			}
		})
	}
	working.Wait()
	for i := range 25 {
		if got := f.runs(fmt.Sprint("s", i)); len(got) != 5 || len(slices.Compact(got)) != 5 {
			t.Errorf("s%d: %q", i, got)
		}
	}
}

func TestMissedRunsAreLeftOutOrCaughtUpWith(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, moment(noon))
	f.put("skips", &schedulev1.Schedule{Cron: "0 * * * *"})
	f.put("catches", &schedulev1.Schedule{Cron: "0 * * * *", Missed: "catch_up"})
	f.put("floods", &schedulev1.Schedule{Cron: "* * * * *", Missed: "catch_up"})
	f.pass(5*time.Hour + 30*time.Minute)
	f.work(0)
	for name, want := range map[string]struct {
		runs, skipped int
		next          string
	}{
		"skips": {0, 5, "2026-05-04T18:00:00Z"}, "catches": {5, 0, "2026-05-04T18:00:00Z"}, "floods": {100, 230, "2026-05-04T17:31:00Z"},
	} {
		got := f.get(name)
		if n := len(f.runs(name)); n != want.runs || int(got.GetSkipped()) != want.skipped || !got.GetNextAt().AsTime().Equal(moment(want.next)) {
			t.Errorf("%s: %d runs, %v; want %+v", name, n, got, want)
		}
	}
	// A restart misses nothing.
	f.pass(30*time.Minute + 40*time.Second)
	f.work(0)
	if got := f.runs("skips"); !slices.Equal(got, []string{"2026-05-04 18:00"}) {
		t.Errorf("got %q", got)
	}
}

// A run is never started twice, however long everything stood still in the middle of it.
func TestALongSilenceInTheMiddleOfARun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		missed  string
		after   bool // it died after the distribution was there
		silence time.Duration
		runs    int
		skipped int32
		code    string
	}{
		"skip, not started":                     {"skip", false, time.Hour, 0, 1, ""},
		"skip, started":                         {"skip", true, time.Hour, 1, 0, ""},
		"catch up, not started":                 {"catch_up", false, time.Hour, 1, 0, ""},
		"catch up, started":                     {"catch_up", true, time.Hour, 1, 0, ""},
		"catch up, started, days ago":           {"catch_up", true, 48 * time.Hour, 1, 0, ""}, // keys are remembered in real time
		"catch up, who knows whether, days ago": {"catch_up", false, 48 * time.Hour, 0, 0, "RUN_UNCERTAIN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 2, moment(noon))
			f.put("run", &schedulev1.Schedule{Cron: "30 12 4 5 *", Missed: c.missed})
			f.pass(30 * time.Minute)
			f.replicas[1].dieBefore(map[bool]string{true: "schedule_move", false: "create"}[c.after])
			_ = f.replicas[1].StartDue(f.ctx) // errDead
			if !f.replicas[1].died() || len(f.runs("run")) == 1 != c.after {
				t.Fatalf("it died: %t, after it had started %d runs", f.replicas[1].died(), len(f.runs("run")))
			}
			f.pass(c.silence)
			f.work(0)
			got := f.get("run")
			if n := len(f.runs("run")); n != c.runs || got.GetSkipped() != c.skipped || got.GetLastError().GetCode() != c.code {
				t.Errorf("%d runs, %v", n, got)
			}
			if (c.runs == 1) != (got.GetLastDistribution() != "") || got.GetNextAt().AsTime().Year() != 2027 {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestAScheduleGoesOnAfterARefusal(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, moment(noon))
	f.put("run", &schedulev1.Schedule{Cron: "0 * * * *"})
	f.pass(time.Hour)
	f.answerAboutFiles(fault.New(fault.NotFound, "FILE_UNKNOWN", "there is no such file"))
	f.work(0)
	got := f.get("run")
	if e := got.GetLastError(); e.GetCode() != "FILE_UNKNOWN" || e.GetMessage() != "there is no such file" || e.GetRetryable() || got.GetLastDistribution() != "" {
		t.Errorf("got %v", got)
	}
	if !got.GetLastAt().AsTime().Equal(f.now) || !got.GetNextAt().AsTime().Equal(f.now.Add(time.Hour)) || got.GetSkipped() != 0 {
		t.Errorf("got %v", got)
	}
	f.answerAboutFiles(nil)
	f.pass(time.Hour)
	f.work(0)
	got = f.get("run")
	if got.GetLastError() != nil || got.GetLastDistribution() == "" || !slices.Equal(f.runs("run"), []string{"2026-05-04 14:00"}) {
		t.Errorf("got %v, and runs %q", got, f.runs("run"))
	}
}

func TestARunIsTriedAgainWhileSomethingIsAway(t *testing.T) {
	t.Parallel()
	for missed, c := range map[string]struct{ runs, skipped int }{"skip": {0, 1}, "catch_up": {1, 0}} {
		f := newFleet(t, 2, moment(noon))
		f.put("soon", &schedulev1.Schedule{Cron: "0 * * * *", Missed: missed})
		f.put("late", &schedulev1.Schedule{Cron: "30 * * * *", Missed: missed})
		away := fault.New(fault.Unavailable, "DIRECTORY_AWAY", "nobody answers")
		f.pass(30 * time.Minute)
		f.answerAboutFiles(away)
		for range 20 {
			err := f.replicas[1].StartDue(f.ctx)
			if err != nil && !strings.Contains(err.Error(), "DIRECTORY_AWAY") {
				t.Fatal(err)
			}
			f.pass(5 * time.Second)
		}
		if e := f.get("late").GetLastError(); e.GetCode() != "DIRECTORY_AWAY" || !e.GetRetryable() {
			t.Errorf("got %v", e)
		}
		f.answerAboutFiles(nil)
		f.work(0)
		got := f.get("late")
		if len(f.runs("late")) != c.runs || int(got.GetSkipped()) != c.skipped || missed == "catch_up" && got.GetLastError() != nil {
			t.Errorf("%s: %d runs, %v", missed, len(f.runs("late")), got)
		}
		// For less than a minute it makes no difference.
		f.pass(moment("2026-05-04T13:00:00Z").Sub(f.now))
		f.answerAboutFiles(away)
		err := f.replicas[1].StartDue(f.ctx)
		if err == nil {
			t.Error("nobody says that a run cannot be started")
		}
		f.answerAboutFiles(nil)
		f.work(0)
		if len(f.runs("soon")) != 0 {
			t.Error("it was not given time to recover")
		}
		f.pass(6 * time.Second)
		f.work(0)
		if got = f.get("soon"); len(f.runs("soon")) != 1 || got.GetLastError() != nil || got.GetSkipped() != 0 {
			t.Errorf("%s: %d runs, %v", missed, len(f.runs("soon")), got)
		}
	}
}

func TestASchedulePausesChangesAndEnds(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, moment(noon))
	hourly := func(change func(*schedulev1.Schedule)) *schedulev1.Schedule {
		sch := &schedulev1.Schedule{Cron: "0 * * * *", Missed: "catch_up"}
		change(sch)
		return f.put("run", sch)
	}
	got := hourly(func(*schedulev1.Schedule) {})
	if !got.GetNextAt().AsTime().Equal(moment("2026-05-04T13:00:00Z")) || got.GetMissed() != "catch_up" || got.GetStart().GetTitle() != "run {date} {time}" {
		t.Errorf("got %v", got)
	}
	// Changed while a run is due, it does not lose the run: neither by another text nor by being put again.
	f.pass(time.Hour)
	hourly(func(*schedulev1.Schedule) {})
	f.work(0)
	if n := len(f.runs("run")); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
	// Of what would have been while it was paused there is nothing, not even to catch up with.
	got = hourly(func(s *schedulev1.Schedule) { s.Paused = true })
	if got.GetNextAt() != nil || !got.GetPaused() || got.GetLastDistribution() == "" {
		t.Errorf("got %v", got)
	}
	f.pass(5*time.Hour + time.Minute)
	f.work(0)
	got = hourly(func(*schedulev1.Schedule) {})
	f.work(0)
	if n := len(f.runs("run")); n != 1 || !got.GetNextAt().AsTime().Equal(moment("2026-05-04T19:00:00Z")) {
		t.Errorf("%d runs, %v", n, got)
	}
	got = hourly(func(s *schedulev1.Schedule) { s.Cron, s.TimeZone = "30 20 * * *", "Europe/Berlin" })
	if !got.GetNextAt().AsTime().Equal(moment("2026-05-04T18:30:00Z")) {
		t.Errorf("got %v", got)
	}
	f.pass(30 * time.Minute)
	f.work(0)
	if runs := f.runs("run"); !slices.Equal(runs, []string{"2026-05-04 13:00", "2026-05-04 20:30"}) {
		t.Errorf("got %q", runs)
	}
	for range 2 {
		_, err := f.replicas[0].DeleteSchedule(f.ctx, &schedulev1.DeleteScheduleRequest{Production: "default", Name: "run"})
		if err != nil {
			t.Fatal(err)
		}
	}
	f.pass(48 * time.Hour)
	f.work(0)
	if n := len(f.runs("run")); n != 2 || f.get("run") != nil {
		t.Errorf("%d runs, %v", n, f.get("run"))
	}
}

// Over the days on which clocks in Berlin are put forward and back.
func TestSummerTime(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]struct{ nightly, hourly []string }{
		"2026-03-28T12:00:00Z": {
			[]string{"2026-03-29 03:00", "2026-03-30 02:30"},
			[]string{"00:15", "01:15", "03:15", "04:15"},
		},
		"2026-10-24T12:00:00Z": {
			[]string{"2026-10-25 02:30", "2026-10-26 02:30"},
			[]string{"00:15", "01:15", "02:15", "02:15", "03:15", "04:15"},
		},
	} {
		f := newFleet(t, 1, moment(from))
		f.put("nightly", &schedulev1.Schedule{Cron: "30 2 * * *", TimeZone: "Europe/Berlin"})
		f.put("hourly", &schedulev1.Schedule{Cron: "15 * * * *", TimeZone: "Europe/Berlin"})
		for range 40 * 60 {
			f.pass(time.Minute)
			f.work(0)
		}
		if got := f.runs("nightly"); !slices.Equal(got, want.nightly) {
			t.Errorf("from %s: got %q, want %q", from, got, want.nightly)
		}
		day := want.nightly[0][:len("2026-03-29 ")]
		var got []string
		for _, run := range f.runs("hourly") {
			at, ok := strings.CutPrefix(run, day)
			if ok && at < "05" {
				got = append(got, at)
			}
		}
		if !slices.Equal(got, want.hourly) {
			t.Errorf("from %s: got %q, want %q", from, got, want.hourly)
		}
	}
}

func TestSchedulesThatCannotBe(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, moment(noon))
	good := func(change func(*schedulev1.Schedule)) *schedulev1.Schedule {
		sch := &schedulev1.Schedule{Cron: "@daily", Start: template()}
		change(sch)
		return sch
	}
	for name, c := range map[string]struct {
		sch      *schedulev1.Schedule
		reason   string
		mentions string
	}{
		"none":        {nil, "INVALID", "schedule"},
		"other name":  {good(func(s *schedulev1.Schedule) { s.Name = "other" }), "INVALID", `"other"`},
		"cron":        {good(func(s *schedulev1.Schedule) { s.Cron = "61 * * * *" }), "CRON_INVALID", "above maximum (59)"},
		"never":       {good(func(s *schedulev1.Schedule) { s.Cron = "0 0 30 2 *" }), "CRON_INVALID", "no such day"},
		"zone":        {good(func(s *schedulev1.Schedule) { s.TimeZone = "Europe/Atlantis" }), "TIME_ZONE_UNKNOWN", `"Europe/Atlantis"`},
		"no start":    {good(func(s *schedulev1.Schedule) { s.Start = nil }), "START_INVALID", "start"},
		"production":  {good(func(s *schedulev1.Schedule) { s.Start.Production = "other" }), "START_INVALID", `"other"`},
		"deadline":    {good(func(s *schedulev1.Schedule) { s.Start.Deadline = timestamppb.Now() }), "START_INVALID", "deadline"},
		"no files":    {good(func(s *schedulev1.Schedule) { s.Start.Files = nil }), "START_INVALID", "files"},
		"no people":   {good(func(s *schedulev1.Schedule) { s.Start.Recipients = nil }), "INVALID", "recipients"},
		"address":     {good(func(s *schedulev1.Schedule) { s.Start.Recipients[0].Email = "nobody" }), "RECIPIENT_INVALID", `"nobody"`},
		"mark":        {good(func(s *schedulev1.Schedule) { s.Start.Mark = "{unknown}" }), "MARK_FIELD_UNKNOWN", "unknown"},
		"twice":       {good(func(s *schedulev1.Schedule) { s.Start.Files = append(s.Start.Files, s.Start.Files[0]) }), "FILE_DUPLICATE", "twice"},
		"title":       {good(func(s *schedulev1.Schedule) { s.Start.Title = strings.Repeat("{date}", 40) }), "START_INVALID", "title"},
		"its own key": {good(func(s *schedulev1.Schedule) { s.Start.IdempotencyKey = "k" }), "", ""},
	} {
		_, err := f.replicas[0].PutSchedule(f.ctx, &schedulev1.PutScheduleRequest{Production: "default", Name: "run", Schedule: c.sch})
		if c.reason == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || fault.From(err).Kind != fault.Invalid || fault.From(err).Reason != c.reason || !strings.Contains(fault.From(err).Message, c.mentions) {
			t.Errorf("%s: got %v, want %s with %s", name, err, c.reason, c.mentions)
		}
	}
	if got := f.get("run"); got.GetStart().GetIdempotencyKey() != "" || got.GetMissed() != "skip" {
		t.Errorf("got %v", got)
	}
	// Together they are as large as one answer may be, and no larger.
	big := template()
	for i := range 9000 {
		big.Recipients = append(big.Recipients, &distributionv1.RecipientInput{Name: "Person with some name", Email: fmt.Sprintf("person-%d@some-production.example.com", i)})
	}
	var refused error
	kept := 0
	for i := range 10 {
		_, refused = f.replicas[0].PutSchedule(f.ctx, &schedulev1.PutScheduleRequest{Production: "default", Name: fmt.Sprint("big", i), Schedule: &schedulev1.Schedule{Cron: "@daily", Start: big}})
		if refused != nil {
			break
		}
		kept++
	}
	wantFault(t, refused, fault.Conflict, "TOO_LARGE_TOGETHER", "3 MiB")
	if kept < 3 {
		t.Errorf("%d were kept", kept)
	}
	if f.get("big0") == nil {
		t.Error("what was kept is not listed")
	}
}

// Run looks by itself, by Redis's time, and by whom a distribution was made is recorded.
func TestRunStartsWhatIsDue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	start := template()
	_, err := b.schedules.PutSchedule(t.Context(), &schedulev1.PutScheduleRequest{Production: "default", Name: "daily",
		Schedule: &schedulev1.Schedule{Cron: "* * * * *", Start: start}})
	if err != nil {
		t.Fatal(err)
	}
	var record string
	keys, err := b.redis.Client.Keys(t.Context(), "*:sched:default:daily").Result()
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	record = keys[0]
	shard, _, _ := strings.Cut(record, ":")
	due := time.Now().Truncate(time.Minute).UnixMilli()
	err = errors.Join(b.redis.Client.HSet(t.Context(), record, "next", due).Err(),
		b.redis.Client.ZAdd(t.Context(), shard+":clock", redis.Z{Score: float64(due), Member: "default/daily"}).Err())
	if err != nil {
		t.Fatal(err)
	}
	var last string
	deadline := time.Now().Add(20 * time.Second)
	for last == "" && time.Now().Before(deadline) {
		resp, err := b.schedules.ListSchedules(t.Context(), &schedulev1.ListSchedulesRequest{Production: "default"})
		if err != nil {
			t.Fatal(err)
		}
		last = resp.GetSchedules()[0].GetLastDistribution()
	}
	d := b.until(last, ended)
	if d.GetState() != "completed" || d.GetTitle() != "Call sheet" {
		t.Errorf("got %v", d)
	}
	spec, err := b.redis.Client.Get(t.Context(), shard+":spec:"+last).Result()
	if err != nil || !strings.Contains(spec, `"by":"schedule/daily"`) {
		t.Errorf("got %s, %v, want it by the schedule", spec, err)
	}
}
