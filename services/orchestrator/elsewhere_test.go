package orchestrator_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

// Work that goes on elsewhere is asked for again and again, with what it was submitted as, and no asking is a failure.
func TestWorkThatGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const askings = 9 // more than a step may fail
	var mu sync.Mutex
	asked := map[string]int{}
	last := map[string]time.Time{}
	stamp := b.stamp
	b.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		task, _ := worker.TaskFrom(ctx)
		mu.Lock()
		defer mu.Unlock()
		n := asked[r.GetItem()]
		want := ""
		if n > 0 {
			want = "job of " + r.GetItem()
		}
		if task.Checkpoint != want {
			t.Errorf("asking %d for %s has checkpoint %q, want %q", n, r.GetItem(), task.Checkpoint, want)
		}
		if since := time.Since(last[r.GetItem()]); n > 0 && since < 50*time.Millisecond {
			t.Errorf("%s was asked for again after %s, want 50ms", r.GetItem(), since)
		}
		asked[r.GetItem()]++
		last[r.GetItem()] = time.Now()
		if n < askings {
			return nil, worker.Pending(50*time.Millisecond, "job of "+r.GetItem())
		}
		return stamp(ctx, r)
	}
	id := b.create(request(2, 10))
	d := b.until(id, ended)
	if d.GetState() != "completed" {
		t.Errorf("it is %s, want completed", d.GetState())
	}
	if len(asked) != 20 {
		t.Errorf("%d items were asked for, want 20", len(asked))
	}
	for item, n := range asked {
		if n != askings+1 {
			t.Errorf("%s was asked for %d times, want %d", item, n, askings+1)
		}
	}
}

// Named slots that a task took around a part of its handler come back when its worker dies, and not before.
func TestOccupiedSlotsOfACrash(t *testing.T) {
	t.Parallel()
	b := setup(t)
	oncall, err := rpc.As(t.Context(), &accessv1.Principal{Subject: "test", Role: accessv1.Role_ROLE_ONCALL, Productions: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.control.SetLimit(oncall, &controlv1.SetLimitRequest{Production: "default", Name: "db", Limit: &controlv1.Limit{Name: "db", Concurrency: 2}})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var inside, most int
	var entered []time.Time
	stamp := b.stamp
	b.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		_, err := worker.Occupy(ctx, "db", 1) // given back by the return
		if err != nil {
			return nil, err
		}
		mu.Lock()
		inside++
		most = max(most, inside)
		entered = append(entered, time.Now())
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			inside--
		}()
		pause := time.NewTimer(20 * time.Millisecond)
		defer pause.Stop()
		<-pause.C
		return stamp(ctx, r)
	}

	// This one takes a task and both slots, and is never heard of again.
	occupied := make(chan error, 1)
	go func() {
		occupied <- func() error {
			pulled, err := b.tasks.Pull(t.Context(), &taskv1.PullRequest{Worker: "crashed", Functions: []string{"watermark.Stamp"}, Slots: 1, Wait: durationpb.New(20 * time.Second)})
			if err != nil {
				return err
			}
			if len(pulled.GetTasks()) != 1 {
				return errors.New("it was handed no task")
			}
			resp, err := b.tasks.Occupy(t.Context(), &taskv1.OccupyRequest{Worker: "crashed", Task: pulled.GetTasks()[0].GetId(),
				Limit: "db", Slots: 2, Key: "1", Wait: durationpb.New(20 * time.Second)})
			if err == nil && !resp.GetOccupied() {
				err = errors.New("it got no slots: " + resp.GetVerdict().String())
			}
			return err
		}()
	}()
	id := b.create(request(1, 40))
	err = <-occupied
	if err != nil {
		t.Fatal(err)
	}
	crashed := time.Now()
	d := b.until(id, ended)
	if d.GetState() != "completed" {
		t.Errorf("it is %s, want completed", d.GetState())
	}
	mu.Lock()
	defer mu.Unlock()
	if most != 2 {
		t.Errorf("%d handlers had one of 2 slots at once, want 2", most)
	}
	after := 0
	for _, at := range entered {
		since := at.Sub(crashed)
		if since > 0 {
			after++
		}
		if since > 0 && since < 8*time.Second {
			t.Errorf("a slot was taken %s after both were, while their lease held", since)
		}
	}
	if after == 0 || len(entered) < 40 {
		t.Errorf("%d handlers took slots, %d of them after the crash; want 40, and some", len(entered), after)
	}
	for _, i := range b.items(id, "done") {
		for _, s := range i.GetSteps() {
			if strings.HasPrefix(s.GetName(), "watermark") && s.GetState() != "done" {
				t.Errorf("%s of %s is %s", s.GetName(), i.GetId(), s.GetState())
			}
		}
	}
}
