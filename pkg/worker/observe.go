package worker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

// ErrUnreported: the run came to its end, and its end could not be told.
var ErrUnreported = errors.New("the end of the run was not reported")

// Observed is a run that a program does itself, elsewhere, and where it is told of: by Conn (gRPC, to an observer) or by URL
// and Token (REST, to the API).
type Observed struct {
	Production string
	ID         string // the program's own: letters, digits, dots and dashes, at most 64
	Name       string // what kind of thing it is: "nightly-import"
	Total      int64  // how much there is to do; 0: not known
	Deadline   time.Time
	Labels     map[string]string

	Conn       grpc.ClientConnInterface
	URL, Token string
	Log        *slog.Logger // nil: slog.Default
	// Every is how often progress is told at most; 0 is 1 s.
	Every time.Duration
}

// A Run is what is known of a run under way. It is safe for concurrent use; everything is told with the next report.
type Run struct {
	mu  sync.Mutex
	run *observerv1.Run
}

// How much of a run's log is kept, the newest; and how long the last word is tried.
const (
	mostRunLines   = 100
	mostRunMetrics = 20
	lastReport     = 15 * time.Second
	oneReport      = 5 * time.Second
)

// Observe does a run by do, and has an observer know of it: that it began, how far it is, and how it ended. Then it is found,
// alerted on and kept like a distribution. What do returns is what it ended in, and is returned.
//
// Nobody waits for an observer that does not answer: what cannot be told is logged, and told with the next report. Only the
// end is tried for 15 s; when that fails the error is ErrUnreported beside do's own.
func Observe(ctx context.Context, o Observed, do func(ctx context.Context, r *Run) error) error {
	o.Log, o.Every = cmp.Or(o.Log, slog.Default()), cmp.Or(o.Every, time.Second)
	tell, err := o.teller()
	if err != nil {
		return err
	}
	r := &Run{run: &observerv1.Run{Production: o.Production, Id: o.ID, Name: o.Name, State: "running", StartedAt: timestamppb.Now(),
		Total: o.Total, Labels: maps.Clone(o.Labels)}}
	if !o.Deadline.IsZero() {
		r.run.Deadline = timestamppb.New(o.Deadline)
	}
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	var telling sync.WaitGroup
	telling.Go(func() { o.keepTelling(working, r, tell) })
	err = do(ctx, r)
	stop()
	telling.Wait()
	r.end(err)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastReport)
	defer cancel()
	var untold error
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		untold = tell(last, r.now())
		if untold == nil || !fault.Transient(untold) || last.Err() != nil {
			break
		}
		sleep(last, pause)
	}
	if untold != nil {
		return errors.Join(err, fmt.Errorf("%w: %w", ErrUnreported, untold))
	}
	return err
}

// keepTelling tells of r at once, when it has changed, and now and then that it is still there.
func (o Observed) keepTelling(ctx context.Context, r *Run, tell func(context.Context, *observerv1.Run) error) {
	const alive = 15 * time.Second
	var told *observerv1.Run
	at := time.Time{}
	failing := false
	for ctx.Err() == nil {
		now := r.now()
		if told == nil || !proto.Equal(told, now) || time.Since(at) > alive {
			once, cancel := context.WithTimeout(ctx, oneReport)
			err := tell(once, now)
			cancel()
			if ctx.Err() != nil {
				return
			}
			if err != nil && !failing {
				o.Log.WarnContext(ctx, "the run is not reported; it goes on, and is reported when an observer answers", "run", o.ID, "err", err)
			}
			failing = err != nil
			if err == nil {
				told, at = now, time.Now()
			}
		}
		sleep(ctx, o.Every)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Progress says how much is done in all.
func (r *Run) Progress(done int64) { r.change(func(run *observerv1.Run) { run.Done = done }) }

// Total says how much there is to do.
func (r *Run) Total(total int64) { r.change(func(run *observerv1.Run) { run.Total = total }) }

// Bytes adds to how much went in and came out.
func (r *Run) Bytes(in, out int64) {
	r.change(func(run *observerv1.Run) { run.BytesIn += in; run.BytesOut += out })
}

// Metric sets a number of the run's own; labels are names and values in turn. The first 20 are kept.
func (r *Run) Metric(name string, value float64, labels ...string) {
	m := &taskv1.Metric{Name: name, Value: value, Labels: map[string]string{}}
	for i := 0; i+1 < len(labels); i += 2 {
		m.Labels[labels[i]] = labels[i+1]
	}
	r.change(func(run *observerv1.Run) {
		for i, had := range run.GetMetrics() {
			if had.GetName() == name && maps.Equal(had.GetLabels(), m.GetLabels()) {
				run.Metrics[i] = m
				return
			}
		}
		if len(run.GetMetrics()) < mostRunMetrics {
			run.Metrics = append(run.Metrics, m)
		}
	})
}

// Logf adds a line to the run's log; level is debug, info, warn or error. The last 100 are kept.
func (r *Run) Logf(level, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(text) > 512 {
		text = strings.ToValidUTF8(text[:512], "")
	}
	r.change(func(run *observerv1.Run) {
		run.Log = append(run.Log, &taskv1.LogLine{Time: timestamppb.Now(), Level: level, Text: text})
		if over := len(run.GetLog()) - mostRunLines; over > 0 {
			run.Log = run.GetLog()[over:]
		}
	})
}

func (r *Run) change(by func(*observerv1.Run)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	by(r.run)
}

func (r *Run) now() *observerv1.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	run, _ := proto.Clone(r.run).(*observerv1.Run)
	return run
}

func (r *Run) end(err error) {
	r.change(func(run *observerv1.Run) {
		run.EndedAt, run.State = timestamppb.Now(), "completed"
		if err != nil {
			run.State = "failed"
			run.Error = &distributionv1.Error{Code: "FAILED", Message: err.Error(), Retryable: fault.Transient(err)}
			var f *fault.Error
			if errors.As(err, &f) {
				run.Error.Code, run.Error.Message = f.Reason, f.Message
			}
		}
	})
}

// teller is how a run is told of.
func (o Observed) teller() (func(context.Context, *observerv1.Run) error, error) {
	switch {
	case o.Production == "" || o.ID == "" || o.Name == "":
		return nil, errors.New("worker: Observe needs a production, an id and a name")
	case o.Conn != nil && o.URL == "":
		client := observerv1.NewObserverServiceClient(o.Conn)
		return func(ctx context.Context, run *observerv1.Run) error {
			_, err := client.ReportRun(ctx, &observerv1.ReportRunRequest{Production: o.Production, Id: o.ID, Run: run})
			return err
		}, nil
	case o.Conn == nil && o.URL != "":
		address, err := url.JoinPath(o.URL, "v1", "productions", o.Production, "runs", o.ID)
		if err != nil {
			return nil, fmt.Errorf("worker: Observe: URL: %w", err)
		}
		return func(ctx context.Context, run *observerv1.Run) error { return o.put(ctx, address, run) }, nil
	}
	return nil, errors.New("worker: Observe needs either a Conn or a URL")
}

// put tells of a run by REST.
func (o Observed) put(ctx context.Context, address string, run *observerv1.Run) error {
	body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(run)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+o.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fault.New(fault.Unavailable, "SERVER_UNREACHABLE", "%s does not answer", o.URL).Because(err)
	}
	defer func() { _ = resp.Body.Close() }() // read as far as it is wanted
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode/100 == 2 {
		return err
	}
	var said struct {
		Error struct {
			Code, Message string
			Retryable     bool
		}
	}
	_ = json.Unmarshal(answer, &said) // a proxy's page is no JSON, and says as much by its status
	kind := fault.Invalid
	if said.Error.Retryable || resp.StatusCode >= 500 {
		kind = fault.Unavailable
	}
	return fault.New(kind, cmp.Or(said.Error.Code, "HTTP"), "%s", cmp.Or(said.Error.Message, resp.Status))
}
