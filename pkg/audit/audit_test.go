package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/audit"
	"github.com/filigreehq/filigree/pkg/fault"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

// observer takes batches once each; answers are lost as often as it is told.
type observer struct {
	observerv1.ObserverServiceClient

	mu      sync.Mutex
	silent  bool
	lose    int
	batches map[string]int
	lines   map[string]int
}

func (o *observer) RecordAccess(_ context.Context, req *observerv1.RecordAccessRequest, _ ...grpc.CallOption) (*observerv1.RecordAccessResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.silent {
		return nil, fault.New(fault.Unavailable, "GONE", "nobody is there")
	}
	o.batches[req.GetBatch()]++
	if o.batches[req.GetBatch()] == 1 {
		for _, l := range req.GetLines() {
			o.lines[l.GetObject()]++
		}
	}
	if o.lose > 0 {
		o.lose--
		return nil, fault.New(fault.Unavailable, "LOST", "the answer is lost")
	}
	return &observerv1.RecordAccessResponse{}, nil
}

func record(r *audit.Recorder, n int) {
	for i := range n {
		r.Record(audit.Line{Subject: "t", Action: "a", Object: fmt.Sprint(i)})
	}
}

func TestLinesAreToldOnceAlsoWhenAnswersAreLostAndAtTheEnd(t *testing.T) {
	t.Parallel()
	o := &observer{lose: 4, batches: map[string]int{}, lines: map[string]int{}}
	r := audit.New(o, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	record(r, 3000)
	cancel()
	<-done
	if len(o.lines) != 3000 || r.Lost() != 0 {
		t.Errorf("%d lines, %d lost", len(o.lines), r.Lost())
	}
	for line, n := range o.lines {
		if n != 1 {
			t.Errorf("line %s is there %d times", line, n)
		}
	}
}

func TestWhatFindsNoRoomIsCountedAndNobodyWaits(t *testing.T) {
	t.Parallel()
	o := &observer{silent: true, batches: map[string]int{}, lines: map[string]int{}}
	r := audit.New(o, slog.New(slog.DiscardHandler))
	record(r, 20_500)
	if r.Lost() != 500 {
		t.Errorf("%d lost, want 500", r.Lost())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = r.Run(ctx) // it tries for a few seconds, and ends
	if r.Lost() != 20_500 {
		t.Errorf("%d lost, want all 20,500", r.Lost())
	}
	var none *audit.Recorder
	none.Record(audit.Line{})
}

func TestWhatACallerMadeIsCutToWhatALineTakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"D1.2.7":                        "D1.2.7",
		"\xff":                          "",
		"a\xffb":                        "ab",
		strings.Repeat("x", 60<<10):     strings.Repeat("x", 512),
		"x" + strings.Repeat("ä", 1000): "x" + strings.Repeat("ä", 255), // at a rune
	} {
		o := &observer{batches: map[string]int{}, lines: map[string]int{}}
		r := audit.New(o, slog.New(slog.DiscardHandler))
		r.Record(audit.Line{Production: text, Subject: text, Action: text, Object: text, Detail: text})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = r.Run(ctx)
		if len(o.lines) != 1 || o.lines[want] != 1 || !utf8.ValidString(want) {
			t.Errorf("of %.20q the audit has %.600v", text, o.lines)
		}
	}
}
