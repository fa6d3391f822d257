package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// mostTasks bounds how many tasks of one worker are shown.
const mostTasks = 100

// ListWorkers implements controlv1.ControlServiceServer.
func (s *Server) ListWorkers(ctx context.Context, _ *controlv1.ListWorkersRequest) (*controlv1.ListWorkersResponse, error) {
	workers, err := s.workers(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	return &controlv1.ListWorkersResponse{Workers: workers}, nil
}

// workers lists those that are there, by name.
func (s *Server) workers(ctx context.Context) ([]*controlv1.Worker, error) {
	functions, err := s.store.Functions(ctx)
	if err != nil {
		return nil, err
	}
	by := map[string]*controlv1.Worker{}
	var out []*controlv1.Worker
	for _, f := range functions {
		for _, w := range f.Workers {
			v := by[w.Name]
			if v == nil {
				v = &controlv1.Worker{Name: w.Name, Running: int32(w.Running), Draining: w.Draining}
				by[w.Name], out = v, append(out, v)
			}
			v.Functions = append(v.Functions, f.Name)
			if w.Seen.After(v.GetSeenAt().AsTime()) {
				v.SeenAt = timestamppb.New(w.Seen)
			}
		}
	}
	room, err := s.store.Room(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range out {
		v.Free = max(0, int32(room[v.GetName()])-v.GetRunning())
	}
	err = s.addTasks(ctx, by)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b *controlv1.Worker) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return out, nil
}

// addTasks says what workers have, as far as the caller may know.
func (s *Server) addTasks(ctx context.Context, by map[string]*controlv1.Worker) error {
	leases, err := s.store.Leases(ctx, mostTasks)
	if err != nil {
		return err
	}
	slices.SortStableFunc(leases, func(a, b store.Leased) int { return a.Since.Compare(b.Since) })
	for _, l := range leases {
		v := by[l.Worker]
		if v == nil || len(v.GetTasks()) == mostTasks {
			continue
		}
		d, err := s.loadRef(ctx, l.Ref)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if !rpc.MayActIn(ctx, d.production) {
			continue
		}
		task := &controlv1.WorkerTask{Production: d.production, Distribution: d.id, Unit: l.Ref.Unit.String(), Step: l.Ref.Step, Since: timestamppb.New(l.Since.Truncate(time.Millisecond))}
		step, ok := d.steps.Step(l.Ref.Step)
		if ok {
			task.Function = step.Function
		}
		v.Tasks = append(v.Tasks, task)
	}
	return nil
}

// DrainWorker implements controlv1.ControlServiceServer.
func (s *Server) DrainWorker(ctx context.Context, req *controlv1.DrainWorkerRequest) (*controlv1.DrainWorkerResponse, error) {
	w, err := s.drain(ctx, req.GetWorker(), true)
	return &controlv1.DrainWorkerResponse{Worker: w}, err
}

// UndrainWorker implements controlv1.ControlServiceServer.
func (s *Server) UndrainWorker(ctx context.Context, req *controlv1.UndrainWorkerRequest) (*controlv1.UndrainWorkerResponse, error) {
	w, err := s.drain(ctx, req.GetWorker(), false)
	return &controlv1.UndrainWorkerResponse{Worker: w}, err
}

func (s *Server) drain(ctx context.Context, worker string, on bool) (*controlv1.Worker, error) {
	workers, err := s.workers(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	i := slices.IndexFunc(workers, func(w *controlv1.Worker) bool { return w.GetName() == worker })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "WORKER_UNKNOWN", "no worker %q has called within the last 30 s; see the list of workers", worker)
	}
	err = s.store.Drain(ctx, worker, on)
	if err != nil {
		return nil, unavailable(err)
	}
	s.deps.Log.InfoContext(ctx, "draining changed", "worker", worker, "draining", on, "by", who(ctx))
	workers[i].Draining = on
	return workers[i], nil
}
