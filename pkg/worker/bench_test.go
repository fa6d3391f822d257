package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

// plenty always has work, and needs a moment for each call, as one with a store does.
type plenty struct {
	taskv1.UnimplementedTaskServiceServer
	takes       time.Duration
	left        atomic.Int64
	next        atomic.Int64
	reported    atomic.Int64
	pulls, sent atomic.Int64
	done        chan struct{}
}

func (p *plenty) Pull(ctx context.Context, r *taskv1.PullRequest) (*taskv1.PullResponse, error) {
	p.pulls.Add(1)
	time.Sleep(p.takes)
	resp := &taskv1.PullResponse{}
	for range r.GetSlots() {
		if p.left.Add(-1) < 0 {
			break
		}
		resp.Tasks = append(resp.Tasks, &taskv1.Task{Id: "0/0123456789abcdef/i1." + strconv.FormatInt(p.next.Add(1), 10) + "/step/1", Function: "test.Do", Step: "step",
			Attempt: 1, Production: "default", Distribution: "0123456789abcdef", Unit: "i1.17", RequestJson: "{}", Timeout: durationpb.New(time.Minute)})
	}
	if len(resp.GetTasks()) == 0 {
		<-ctx.Done()
	}
	return resp, nil
}

func (p *plenty) Report(_ context.Context, r *taskv1.ReportRequest) (*taskv1.ReportResponse, error) {
	p.sent.Add(1)
	time.Sleep(p.takes)
	if p.reported.Add(int64(-len(r.GetResults()))) == 0 {
		close(p.done)
	}
	return &taskv1.ReportResponse{Verdicts: make([]taskv1.Verdict, len(r.GetResults()))}, nil
}

// BenchmarkSteps is one step that does nothing, pulled and reported through gRPC in memory.
func BenchmarkSteps(b *testing.B) {
	for _, takes := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond} {
		for _, slots := range []int{8, 64} {
			b.Run(fmt.Sprintf("%s/%d", takes, slots), func(b *testing.B) {
				p := &plenty{takes: takes, done: make(chan struct{})}
				p.left.Store(int64(b.N))
				p.reported.Store(int64(b.N))
				log := slog.New(slog.DiscardHandler)
				srv := rpc.NewServer(log)
				taskv1.RegisterTaskServiceServer(srv, p)
				connect, stop := rpc.InProcess(srv)
				defer stop()
				conn, err := connect("test")
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				w := worker.Over(worker.Config{Name: "w", Slots: slots}, conn, log, do("test.Do", func(context.Context) error { return nil }))
				ctx, cancel := context.WithCancel(b.Context())
				ended := make(chan error)
				b.ReportAllocs()
				b.ResetTimer()
				go func() { ended <- w.Run(ctx) }()
				<-p.done
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
				b.ReportMetric(float64(p.pulls.Load())/float64(b.N)*100, "pulls/100")
				b.ReportMetric(float64(p.sent.Load())/float64(b.N)*100, "reports/100")
				cancel()
				<-ended
			})
		}
	}
}
