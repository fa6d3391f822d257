package observer

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/store"
)

// mostRun bounds what is kept of a run.
const mostRun = 256 << 10

// ReportRun implements observerv1.ObserverServiceServer.
func (s *Server) ReportRun(ctx context.Context, req *observerv1.ReportRunRequest) (*observerv1.ReportRunResponse, error) {
	run, _ := proto.Clone(req.GetRun()).(*observerv1.Run)
	run.Production, run.Id = req.GetProduction(), req.GetId()
	err := checkRun(run)
	if err != nil {
		return nil, err
	}
	had, err := s.store.Run(ctx, run.GetProduction(), run.GetId())
	if errors.Is(err, store.ErrNotFound) {
		// A production that nobody made must not come to be by being spoken of.
		_, err = s.deps.Directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: run.GetProduction()})
		if err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, storeUnavailable(err)
	}
	before, err := runOf(had)
	if err != nil {
		return nil, err
	}
	now := s.deps.Now()
	if run.GetStartedAt() == nil {
		run.StartedAt = before.GetStartedAt()
		if run.GetStartedAt() == nil {
			run.StartedAt = timestamppb.New(now)
		}
	}
	over := run.GetState() != "running"
	if over && run.GetEndedAt() == nil {
		run.EndedAt = timestamppb.New(now)
	}
	if over && run.GetEndedAt().AsTime().Before(run.GetStartedAt().AsTime()) {
		return nil, fault.New(fault.Invalid, "RUN_INVALID", "run %q ended before it started", run.GetId())
	}
	raw, err := protojson.Marshal(run)
	if err != nil {
		return nil, err
	}
	if len(raw) > mostRun {
		return nil, fault.New(fault.Invalid, "RUN_INVALID", "run %q is %d bytes as JSON, and %d are kept: tell less of its log", run.GetId(), len(raw), mostRun)
	}
	kept, err := s.store.PutRun(ctx, store.Run{Production: run.GetProduction(), ID: run.GetId(), State: run.GetState(), Told: raw}, over)
	if errors.Is(err, store.ErrEnded) {
		was, err := runOf(store.Run{Told: kept})
		if err != nil {
			return nil, err
		}
		if was.GetState() == run.GetState() && over {
			return &observerv1.ReportRunResponse{Run: was}, nil // the same again: its answer got lost
		}
		return nil, fault.New(fault.Conflict, "RUN_ENDED", "run %q has ended already as %s; tell of another one under another id", run.GetId(), was.GetState())
	}
	if err != nil {
		return nil, storeUnavailable(err)
	}
	return &observerv1.ReportRunResponse{Run: run}, nil
}

// checkRun refuses what cannot be.
func checkRun(run *observerv1.Run) error {
	wrong := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "RUN_INVALID", "run %q: %s", run.GetId(), fmt.Sprintf(format, args...))
	}
	switch {
	case run.GetState() == "running" && run.GetEndedAt() != nil:
		return wrong("it is running and has ended_at")
	case run.GetState() == "completed" && run.GetError() != nil:
		return wrong("it is completed and has an error")
	case run.GetTotal() < 0 || run.GetDone() < 0 || run.GetBytesIn() < 0 || run.GetBytesOut() < 0:
		return wrong("a number of it is negative")
	case run.GetTotal() > 0 && run.GetDone() > run.GetTotal():
		return wrong("%d of %d are done", run.GetDone(), run.GetTotal())
	}
	for name, value := range run.GetLabels() {
		if name == "" || len(name) > 64 || len(value) > 256 {
			return wrong("label %.64q: a name has 1 to 64 bytes, a value up to 256", name)
		}
	}
	return nil
}

// GetRun implements observerv1.ObserverServiceServer.
func (s *Server) GetRun(ctx context.Context, req *observerv1.GetRunRequest) (*observerv1.GetRunResponse, error) {
	got, err := s.store.Run(ctx, req.GetProduction(), req.GetId())
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "RUN_UNKNOWN", "nobody told of a run %q in this production", req.GetId())
	}
	if err != nil {
		return nil, storeUnavailable(err)
	}
	run, err := runOf(got)
	if err != nil {
		return nil, err
	}
	return &observerv1.GetRunResponse{Run: run}, nil
}

// runOf reads a run as it was kept; of one that was not it is empty.
func runOf(r store.Run) (*observerv1.Run, error) {
	run := &observerv1.Run{}
	if len(r.Told) == 0 {
		return run, nil
	}
	err := protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(r.Told, run)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", r.ID, err)
	}
	return run, nil
}

func storeUnavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the state store did not answer; try again").Because(err)
}
