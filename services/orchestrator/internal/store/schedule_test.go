package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// shelf is a store of which a test sets the clock.
func shelf(t *testing.T) (st *store.Store, now *time.Time) {
	t.Helper()
	st, err := store.Open(t.Context(), redistest.New(t), 3)
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1_800_000_000_000)
	st.Clock = func() time.Time { return at }
	return st, &at
}

func putSchedule(t *testing.T, st *store.Store, s store.Schedule) store.Schedule {
	t.Helper()
	err := st.PutSchedule(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return readSchedule(t, st, s.Production, s.Name)
}

func readSchedule(t *testing.T, st *store.Store, production, name string) store.Schedule {
	t.Helper()
	got, err := st.Schedule(t.Context(), production, name)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func due(t *testing.T, st *store.Store, want int) []store.DueSchedule {
	t.Helper()
	got, err := st.DueSchedules(t.Context())
	if err != nil || len(got) != want {
		t.Fatalf("%d are due: %+v, %v; want %d", len(got), got, err, want)
	}
	return got
}

func move(t *testing.T, st *store.Store, d store.DueSchedule, m store.Move, want bool) {
	t.Helper()
	moved, err := st.MoveSchedule(t.Context(), d, m)
	if err != nil || moved != want {
		t.Errorf("moved: %t, %v; want %t", moved, err, want)
	}
}

func TestScheduleIsHandedOutAndMovesOn(t *testing.T) {
	t.Parallel()
	st, now := shelf(t)
	want := store.Schedule{Production: "p", Name: "a", Cron: "@hourly", Zone: "Europe/Berlin", CatchUp: true, Start: []byte("\x00\xff bytes"), By: "tok", Next: now.Add(time.Hour)}
	got := putSchedule(t, st, want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	due(t, st, 0)
	*now = want.Next
	first := due(t, st, 1)[0]
	if diff := cmp.Diff(store.DueSchedule{Schedule: want, Now: *now}, first); diff != "" {
		t.Error(diff)
	}
	due(t, st, 0) // somebody is at it
	*now = now.Add(store.RunHold)
	second := due(t, st, 1)[0] // who has died, it seems
	if !second.Tried.Equal(first.Now) || !second.Now.Equal(*now) {
		t.Errorf("got %+v", second)
	}
	failed := store.Failure{Code: "AWAY", Message: "nobody answers", Retryable: true}
	move(t, st, second, store.Move{To: second.Next, Look: now.Add(5 * time.Second), Failure: failed}, true)
	*now = now.Add(5 * time.Second)
	third := due(t, st, 1)[0]
	want.Failure = failed
	if diff := cmp.Diff(want, readSchedule(t, st, "p", "a")); diff != "" {
		t.Error(diff)
	}
	move(t, st, third, store.Move{To: third.Next.Add(time.Hour), Over: true, Distribution: "D1"}, true)
	want.Last, want.LastDistribution, want.Failure, want.Next = third.Next, "D1", store.Failure{}, third.Next.Add(time.Hour)
	if diff := cmp.Diff(want, readSchedule(t, st, "p", "a")); diff != "" {
		t.Error(diff)
	}
	// Who was only slow comes back: it moves nothing, and what it says of the run is what there is.
	move(t, st, second, store.Move{To: third.Next.Add(time.Minute), Skipped: 7}, false)
	move(t, st, first, store.Move{To: third.Next.Add(time.Minute), Over: true, Distribution: "D1"}, false)
	if diff := cmp.Diff(want, readSchedule(t, st, "p", "a")); diff != "" {
		t.Error(diff)
	}
	*now = want.Next
	fourth := due(t, st, 1)[0]
	if !fourth.Tried.IsZero() {
		t.Errorf("somebody had set about a new run: %+v", fourth)
	}
	move(t, st, fourth, store.Move{Skipped: 3}, true)
	got = readSchedule(t, st, "p", "a")
	if got.Skipped != 3 || !got.Next.IsZero() {
		t.Errorf("got %+v", got)
	}
	move(t, st, third, store.Move{Over: true, Distribution: "D0"}, false)
	*now = now.Add(1000 * time.Hour)
	due(t, st, 0)
}

// Whoever is at a run while the schedule is paused, changed or deleted does not undo that.
// The clock is an index: a sweep makes it again from the schedules, so that losing it costs one round.
func TestALostClockIsMadeAgain(t *testing.T) {
	t.Parallel()
	client := redistest.New(t)
	st, err := store.Open(t.Context(), client, 3)
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1_800_000_000_000)
	st.Clock = func() time.Time { return at }
	for n := range 9 {
		sch := store.Schedule{Production: fmt.Sprint("p", n), Name: "nightly", Cron: "0 3 * * *", Zone: "UTC", Next: at.Add(time.Hour), Start: []byte("{}")}
		sch.Paused = n == 8
		putSchedule(t, st, sch)
	}
	due(t, st, 0)
	clocks, err := client.Keys(t.Context(), "*:clock").Result()
	if err != nil || len(clocks) != 3 {
		t.Fatalf("clocks %v, %v", clocks, err)
	}
	lose := func(what string) {
		t.Helper()
		for n := range 3 {
			err := client.Del(t.Context(), fmt.Sprintf("{%d}:%s", n, what)).Err()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	sweep := func() {
		t.Helper()
		lose("sweeping") // whoever swept a moment ago
		_, err := st.Sweep(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	// Who has schedules is known from a clock that was there before the set was.
	lose("scheduling")
	sweep()
	lose("clock")
	at = at.Add(90 * time.Minute)
	due(t, st, 0)
	sweep()
	runs := due(t, st, 8)
	move(t, st, runs[0], store.Move{To: at.Add(time.Hour), Over: true}, true)
	// What somebody has set about is handed out again when its clock is lost, and what has moved on is not.
	lose("clock")
	sweep()
	if again := due(t, st, 7); again[0].Tried.IsZero() {
		t.Error("a run that somebody had set about looks as if nobody had")
	}
}

func TestScheduleChangedWhileARunIsDue(t *testing.T) {
	t.Parallel()
	st, now := shelf(t)
	base := store.Schedule{Production: "p", Name: "a", Cron: "@hourly", Next: *now}
	for name, change := range map[string]func() (next time.Time){
		"paused": func() time.Time {
			s := base
			s.Paused = true
			putSchedule(t, st, s)
			return time.Time{}
		},
		"changed": func() time.Time {
			s := base
			s.Cron, s.Next = "@daily", now.Add(24*time.Hour)
			putSchedule(t, st, s)
			return s.Next
		},
	} {
		putSchedule(t, st, base)
		d := due(t, st, 1)[0]
		next := change()
		move(t, st, d, store.Move{To: now.Add(time.Hour), Skipped: 1, Over: true, Distribution: "D" + name}, false)
		got := readSchedule(t, st, "p", "a")
		if !got.Next.Equal(next) || got.Skipped != 0 || got.LastDistribution != "D"+name {
			t.Errorf("%s: got %+v", name, got)
		}
		due(t, st, 0)
		_, err := st.DeleteSchedule(t.Context(), "p", "a")
		if err != nil {
			t.Fatal(err)
		}
	}
	putSchedule(t, st, base)
	d := due(t, st, 1)[0]
	for _, there := range []bool{true, false} {
		got, err := st.DeleteSchedule(t.Context(), "p", "a")
		if err != nil || got != there {
			t.Errorf("deleted: %t, %v", got, err)
		}
	}
	move(t, st, d, store.Move{To: now.Add(time.Hour), Over: true, Distribution: "D"}, false)
	_, err := st.Schedule(t.Context(), "p", "a")
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want it gone", err)
	}
	*now = now.Add(1000 * time.Hour)
	due(t, st, 0)
}

func TestStartersAreOfOneProductionAndBounded(t *testing.T) {
	t.Parallel()
	st, now := shelf(t)
	for i := range store.MostStarters {
		name := fmt.Sprintf("s%03d", i)
		putSchedule(t, st, store.Schedule{Production: "p", Name: name, Next: *now})
		fresh, err := st.PutHook(t.Context(), store.Hook{Production: "p", Name: name, Start: []byte("x")})
		if err != nil || !fresh {
			t.Fatal(fresh, err)
		}
	}
	fresh, err := st.PutHook(t.Context(), store.Hook{Production: "p", Name: "s000", Start: []byte("y"), By: "tok"})
	if err != nil || fresh {
		t.Error(fresh, err)
	}
	err = st.PutSchedule(t.Context(), store.Schedule{Production: "p", Name: "one-more"})
	_, err2 := st.PutHook(t.Context(), store.Hook{Production: "p", Name: "one-more"})
	if !errors.Is(err, store.ErrTooManyStarters) || !errors.Is(err2, store.ErrTooManyStarters) {
		t.Errorf("got %v and %v, want ErrTooManyStarters", err, err2)
	}
	half := []byte(strings.Repeat("x", store.MostStarts/2+1))
	putSchedule(t, st, store.Schedule{Production: "p", Name: "s001", Start: half})
	err = st.PutSchedule(t.Context(), store.Schedule{Production: "p", Name: "s002", Start: half})
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	putSchedule(t, st, store.Schedule{Production: "p", Name: "s001", Start: half}) // in its own place there is room
	putSchedule(t, st, store.Schedule{Production: "other", Name: "s002", Start: half})
	schedules, err := st.Schedules(t.Context(), "p")
	hooks, err2 := st.Hooks(t.Context(), "p")
	if err = errors.Join(err, err2); err != nil || len(schedules) != store.MostStarters || len(hooks) != store.MostStarters {
		t.Fatalf("%d and %d, %v", len(schedules), len(hooks), err)
	}
	if schedules[7].Name != "s007" || hooks[7].Name != "s007" || string(hooks[0].Start) != "y" || hooks[0].By != "tok" {
		t.Errorf("got %+v and %+v", schedules[7], hooks[0])
	}
	none, err := st.Hooks(t.Context(), "other")
	if err != nil || len(none) != 0 {
		t.Errorf("got %v, %v", none, err)
	}
	for _, name := range []string{"s000", "none"} {
		err = st.HookFired(t.Context(), "p", name, "D1")
		if err != nil {
			t.Error(err)
		}
	}
	fired, err := st.Hook(t.Context(), "p", "s000")
	if err != nil || fired.LastDistribution != "D1" || !fired.Last.Equal(*now) {
		t.Errorf("got %+v, %v", fired, err)
	}
	_, err = st.Hook(t.Context(), "p", "none")
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v: a call made the hook", err)
	}
	seen := map[string]bool{}
	for len(seen) < store.MostStarters-1 { // s001 and the other production's have no next run
		got, err := st.DueSchedules(t.Context())
		if err != nil || len(got) == 0 {
			t.Fatalf("%d, then %v", len(seen), err)
		}
		for _, d := range got {
			if seen[d.Name] {
				t.Errorf("%s is handed out twice", d.Name)
			}
			seen[d.Name] = true
		}
	}
	due(t, st, 0)
}
