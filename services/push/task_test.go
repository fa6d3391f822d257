package push_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/filigreehq/filigree/pkg/worker"
	pushv1 "github.com/filigreehq/filigree/proto/gen/filigree/push/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

// tasks hands out one task and answers its checkpoint.
type tasks struct {
	taskv1.TaskServiceClient
	verdict taskv1.Verdict
	task    chan *taskv1.Task

	mu          sync.Mutex
	checkpoints []string
	before      int // messages sent by then
	sent        func() int
}

func (o *tasks) Pull(ctx context.Context, _ *taskv1.PullRequest, _ ...grpc.CallOption) (*taskv1.PullResponse, error) {
	select {
	case task := <-o.task:
		return &taskv1.PullResponse{Tasks: []*taskv1.Task{task}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (o *tasks) Checkpoint(_ context.Context, req *taskv1.CheckpointRequest, _ ...grpc.CallOption) (*taskv1.CheckpointResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.checkpoints, o.before = append(o.checkpoints, req.GetState()), o.sent()
	return &taskv1.CheckpointResponse{Verdict: o.verdict}, nil
}

func (o *tasks) Renew(context.Context, *taskv1.RenewRequest, ...grpc.CallOption) (*taskv1.RenewResponse, error) {
	return &taskv1.RenewResponse{}, nil
}

func (o *tasks) Report(_ context.Context, req *taskv1.ReportRequest, _ ...grpc.CallOption) (*taskv1.ReportResponse, error) {
	return &taskv1.ReportResponse{Verdicts: make([]taskv1.Verdict, len(req.GetResults()))}, nil
}

func TestTheCheckpointGoesBeforeTheFirstCall(t *testing.T) {
	t.Parallel()
	for verdict, sent := range map[taskv1.Verdict]int{
		taskv1.Verdict_VERDICT_OK: 2, taskv1.Verdict_VERDICT_FENCED: 0, taskv1.Verdict_VERDICT_CANCELLED: 0,
	} {
		t.Run(verdict.String(), func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			s := newServer(t, f, with("phone", "tablet"), quiet())
			raw, err := protojson.Marshal(request())
			if err != nil {
				t.Fatal(err)
			}
			o := &tasks{verdict: verdict, task: make(chan *taskv1.Task, 1), sent: func() int {
				f.mu.Lock()
				defer f.mu.Unlock()
				return len(f.sent) + f.issued
			}}
			o.task <- &taskv1.Task{Id: "t1", Function: "push.Send", Attempt: 1, RequestJson: string(raw)}
			ended := make(chan struct{})
			w := worker.New(worker.Config{Name: "test", Slots: 1}, o, quiet(), worker.Func("push.Send",
				func(ctx context.Context, req *pushv1.SendRequest) (*pushv1.SendResponse, error) {
					defer close(ended)
					return s.Send(ctx, req)
				}))
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx) }()
			<-ended
			cancel()
			<-done
			if !slices.Equal(o.checkpoints, []string{"push"}) || o.before != 0 {
				t.Errorf("checkpoints %q, %d calls before", o.checkpoints, o.before)
			}
			if n := len(f.asked()); n != sent {
				t.Errorf("%d devices were told, want %d", n, sent)
			}
		})
	}
}
