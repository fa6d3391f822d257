package orchestrator_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// record is what a test's functions were called for, in order.
type record struct {
	mu    sync.Mutex
	calls []string
}

func (r *record) add(call string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
}

func (r *record) count(call string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, c := range r.calls {
		if c == call {
			n++
		}
	}
	return n
}

// says is a handler that is recorded and answers with what do does; nil: nothing.
func (r *record) says(call string, do func(ctx context.Context, n int) error) handler {
	return func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
		r.add(call)
		if do == nil {
			return &structpb.Struct{}, nil
		}
		return &structpb.Struct{}, do(ctx, r.count(call))
	}
}

// until waits for gate, or for the end of the test.
func until(ctx context.Context, gate <-chan struct{}) error {
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errBroken = fault.New(fault.Invalid, "BROKEN", "this one is broken; mend it")

func (s *studio) retry(id string, change ...func(*distributionv1.RetryDistributionRequest)) error {
	req := &distributionv1.RetryDistributionRequest{Production: "one", Distribution: id}
	for _, c := range change {
		c(req)
	}
	_, err := s.distributions[0].RetryDistribution(s.t.Context(), req)
	return err
}

func (s *studio) counts(id, step string) *distributionv1.StepCounts {
	for _, c := range s.get("one", id).GetSteps() {
		if c.GetName() == step {
			return c
		}
	}
	return nil
}

// A report at the end waits for what is asked for again beneath it, as if that had never ended, and is made once.
func TestAJoinOfAllWaitsForWhatIsAskedForAgain(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("joined", "  - name: report\n    scope: distribution\n    function: test.Report\n    needs: [work]\n"))
	first, second := make(chan struct{}), make(chan struct{})
	var r record
	s.work("w", 8, map[string]handler{
		"test.Work": r.says("work", func(ctx context.Context, n int) error {
			switch {
			case n == 1:
				return errBroken
			case n > 4:
				return until(ctx, second)
			}
			return until(ctx, first)
		}),
		"test.Report": r.says("report", nil)})
	id := s.create("one", "joined", 1, 4)
	s.await("one failed", func() bool { return s.get("one", id).GetItems().GetFailed() == 1 && r.count("work") == 4 })
	err := s.retry(id)
	if err != nil {
		t.Fatal(err)
	}
	s.await("it is tried again", func() bool { return r.count("work") == 5 })
	close(first)
	s.await("the others are done", func() bool { return s.counts(id, "work").GetDone() == 3 })
	if c := s.counts(id, "report"); c.GetPending() != 1 {
		t.Errorf("while one is made again the report is %v, want pending", c)
	}
	close(second)
	d := s.ended("one", id)
	if d.GetState() != "completed" || r.count("report") != 1 || s.counts(id, "report").GetDone() != 1 {
		t.Errorf("it ended %s, with %d reports: %v", d.GetState(), r.count("report"), d.GetSteps())
	}
}

// What failed of the whole distribution is run again by a retry, with what needs it, and nothing else is.
func TestAJoinOfAllThatFailedIsRetried(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("failing", "  - name: report\n    scope: distribution\n    function: test.Report\n    needs: [work]\n"+
		"  - name: file\n    scope: distribution\n    function: test.File\n    needs: [report]\n"))
	var r record
	s.work("w", 8, map[string]handler{
		"test.Work": r.says("work", nil),
		"test.Report": r.says("report", func(_ context.Context, n int) error {
			if n < 3 {
				return fault.New(fault.Invalid, "NO_PAPER", "there is no paper; put some in")
			}
			return nil
		}),
		"test.File": r.says("file", nil)})
	id := s.create("one", "failing", 1, 2)
	if d := s.ended("one", id); d.GetState() != "completed_with_failures" || s.counts(id, "file").GetCancelled() != 1 {
		t.Errorf("it ended %s: %v", d.GetState(), d.GetSteps())
	}
	for what, change := range map[string]func(*distributionv1.RetryDistributionRequest){
		"by another code":     func(req *distributionv1.RetryDistributionRequest) { req.Code = "BROKEN" },
		"of other recipients": func(req *distributionv1.RetryDistributionRequest) { req.Recipients = []string{id + ".r1"} },
	} {
		err := s.retry(id, change)
		if fault.From(err).Reason != "NOTHING_TO_RETRY" {
			t.Errorf("a retry %s: %v", what, err)
		}
	}
	for want, change := range []func(*distributionv1.RetryDistributionRequest){
		func(*distributionv1.RetryDistributionRequest) {},
		func(req *distributionv1.RetryDistributionRequest) { req.Code = "NO_PAPER" },
	} {
		err := s.retry(id, change)
		if err != nil {
			t.Fatal(err)
		}
		s.ended("one", id)
		if r.count("report") != want+2 {
			t.Errorf("%d reports, want %d", r.count("report"), want+2)
		}
	}
	d := s.get("one", id)
	if d.GetState() != "completed" || r.count("work") != 2 || r.count("file") != 1 {
		t.Errorf("it is %s, after %v", d.GetState(), r.calls)
	}
	err := s.retry(id)
	if fault.From(err).Reason != "NOTHING_TO_RETRY" {
		t.Errorf("retrying what is done: %v", err)
	}
}

// A report that was given up, since something failed, is made when that is done after all; while anything else stays failed it
// is not.
func TestAJoinOfAllThatWasGivenUpRunsAfterARetry(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("given", "  - name: report\n    scope: distribution\n    function: test.Report\n    needs: [work]\n"))
	var r record
	s.work("w", 1, map[string]handler{
		"test.Work": r.says("work", func(_ context.Context, n int) error {
			if n <= 2 {
				return errBroken
			}
			return nil
		}),
		"test.Report": r.says("report", nil)})
	id := s.create("one", "given", 1, 3)
	s.ended("one", id)
	var failed []string
	for n := range 3 {
		rec, err := s.distributions[0].ListRecipients(t.Context(), &distributionv1.ListRecipientsRequest{Production: "one", Distribution: id})
		if err != nil {
			t.Fatal(err)
		}
		if rec.GetRecipients()[n].GetItems().GetFailed() > 0 {
			failed = append(failed, rec.GetRecipients()[n].GetId())
		}
	}
	if len(failed) != 2 || s.counts(id, "report").GetCancelled() != 1 {
		t.Fatalf("%v failed; %v", failed, s.get("one", id).GetSteps())
	}
	for n, who := range failed {
		err := s.retry(id, func(req *distributionv1.RetryDistributionRequest) { req.Recipients = []string{who} })
		if err != nil {
			t.Fatal(err)
		}
		d := s.ended("one", id)
		if r.count("report") != n || r.count("work") != 4+n {
			t.Errorf("after %d of 2: %s, %v", n+1, d.GetState(), r.calls)
		}
	}
	if d := s.get("one", id); d.GetState() != "completed" {
		t.Errorf("it is %s: %v", d.GetState(), d.GetSteps())
	}
}

// A report that is being made when something beneath it is asked for again goes on with what there was, and is not made again;
// nor is one that is done.
func TestAJoinOfAllThatHasBegunStays(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("begun", "    optional: true\n  - name: report\n    scope: distribution\n    function: test.Report\n    needs: [work]\n"))
	gate := make(chan struct{})
	var r record
	s.work("w", 8, map[string]handler{
		"test.Work": r.says("work", func(_ context.Context, n int) error {
			if n <= 4 {
				return errBroken
			}
			return nil
		}),
		"test.Report": r.says("report", func(ctx context.Context, _ int) error { return until(ctx, gate) })})
	id := s.create("one", "begun", 1, 2)
	s.await("the report has begun", func() bool { return r.count("report") == 1 })
	err := s.retry(id)
	if err != nil {
		t.Fatal(err)
	}
	s.await("both are tried again", func() bool { return r.count("work") == 4 && s.counts(id, "work").GetFailed() == 2 })
	close(gate)
	s.ended("one", id)
	err = s.retry(id)
	if err != nil {
		t.Fatal(err)
	}
	s.await("all done", func() bool { return s.counts(id, "work").GetDone() == 2 })
	if d := s.ended("one", id); d.GetState() != "completed" || r.count("report") != 1 || r.count("work") != 6 {
		t.Errorf("it ended %s after %v", d.GetState(), r.calls)
	}
}

// A step whose child is under way has begun, too: it waits for that one, and starts no other.
func TestAJoinOfAllWhoseChildIsUnderWayStays(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define("name: child\nversion: 1\nsteps:\n  - name: kid\n    scope: item\n    function: test.Kid\n")
	s.define(strings.Replace(family, "    scope: item\n", "    scope: item\n    optional: true\n", 1))
	gate := make(chan struct{})
	var r record
	s.work("w", 8, map[string]handler{
		"test.Work": r.says("work", func(_ context.Context, n int) error {
			if n == 1 {
				return errBroken
			}
			return nil
		}),
		"test.Kid":   r.says("kid", func(ctx context.Context, _ int) error { return until(ctx, gate) }),
		"test.After": r.says("after", nil)})
	id := s.create("one", "family", 1, 2)
	s.await("the child is under way", func() bool { return r.count("kid") == 2 && s.counts(id, "report").GetRetrying() == 1 })
	err := s.retry(id)
	if err != nil {
		t.Fatal(err)
	}
	s.await("all is made", func() bool { return s.counts(id, "work").GetDone() == 2 })
	if c := s.counts(id, "report"); c.GetRetrying() != 1 {
		t.Errorf("the step that started it is %v, want retrying", c)
	}
	close(gate)
	if d := s.ended("one", id); d.GetState() != "completed" || len(d.GetChildren()) != 1 || r.count("work") != 3 {
		t.Errorf("it ended %s, with children %v, after %v", d.GetState(), d.GetChildren(), r.calls)
	}
}

// A mail that is sent again while a report waits for all is waited for.
func TestAJoinOfAllWaitsForWhatIsSentAgain(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define(step("sending", "  - name: tell\n    scope: recipient\n    function: test.Tell\n    needs: [work]\n"+
		"  - name: report\n    scope: distribution\n    function: test.Report\n    needs: [tell]\n"))
	first, second := make(chan struct{}), make(chan struct{})
	var r record
	s.work("w", 8, map[string]handler{
		"test.Work": r.says("work", nil),
		"test.Tell": r.says("tell", func(ctx context.Context, n int) error {
			switch n {
			case 1:
				return nil
			case 2:
				return until(ctx, first)
			}
			return until(ctx, second)
		}),
		"test.Report": r.says("report", nil)})
	id := s.create("one", "sending", 1, 2)
	s.await("one is told", func() bool { return s.counts(id, "tell").GetDone() == 1 && r.count("tell") == 2 })
	list, err := s.distributions[0].ListRecipients(t.Context(), &distributionv1.ListRecipientsRequest{Production: "one", Distribution: id})
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, p := range list.GetRecipients() {
		_, err = s.distributions[0].ResendRecipient(t.Context(), &distributionv1.ResendRecipientRequest{Production: "one", Distribution: id, Recipient: p.GetId()})
		switch {
		case err == nil:
			sent++
		case fault.From(err).Reason != "DELIVERY_UNDER_WAY":
			t.Errorf("sending to %s again: %v", p.GetId(), err)
		}
	}
	s.await("it is sent again", func() bool { return r.count("tell") == 3 })
	close(first)
	s.await("the other is told", func() bool { return s.counts(id, "tell").GetDone() == 1 })
	if c := s.counts(id, "report"); sent != 1 || c.GetPending() != 1 {
		t.Errorf("%d were sent to again, and the report is %v, want pending", sent, c)
	}
	close(second)
	if d := s.ended("one", id); d.GetState() != "completed" || r.count("report") != 1 {
		t.Errorf("it ended %s after %v", d.GetState(), r.calls)
	}
}

// A step whose child failed starts another one when it is retried, and the old one stays among its children.
func TestARetriedStepStartsAnotherChild(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	s.define("name: child\nversion: 1\nsteps:\n  - name: kid\n    scope: item\n    function: test.Kid\n")
	s.define(family)
	var broken atomic.Bool
	broken.Store(true)
	var r record
	s.work("w", 8, map[string]handler{
		"test.Work": r.says("work", nil),
		"test.Kid": r.says("kid", func(context.Context, int) error {
			if broken.Load() {
				return errBroken
			}
			return nil
		}),
		"test.After": r.says("after", nil)})
	id := s.create("one", "family", 1, 2)
	s.ended("one", id)
	was := s.get("one", id).GetChildren()
	if len(was) != 1 || s.get("one", was[0]).GetState() != "failed" {
		t.Fatalf("children %v", was)
	}
	broken.Store(false)
	err := s.retry(id)
	if err != nil {
		t.Fatal(err)
	}
	d := s.ended("one", id)
	if d.GetState() != "completed" || r.count("after") != 1 || len(d.GetChildren()) != 2 || !slices.Contains(d.GetChildren(), was[0]) {
		t.Errorf("it ended %s, its children are %v: %v", d.GetState(), d.GetChildren(), d.GetSteps())
	}
	if got := s.get("one", was[0]).GetState(); got != "failed" {
		t.Errorf("the old child is %s", got)
	}
}
