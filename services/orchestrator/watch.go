package orchestrator

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

const (
	// watchPause is between two messages of one watcher at least.
	watchPause = 100 * time.Millisecond
	// watchLook is how long a change can stay unseen when word of it got lost.
	watchLook = 5 * time.Second
)

// WatchDistribution implements distributionv1.DistributionServiceServer.
func (s *Server) WatchDistribution(req *distributionv1.WatchDistributionRequest, out grpc.ServerStreamingServer[distributionv1.WatchDistributionResponse]) error {
	ctx := out.Context()
	d, err := s.find(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return err
	}
	changed, stop := s.changes.wait([]string{d.id})
	defer stop()
	for seen := req.GetAfter(); ; {
		sum, err := s.store.Get(ctx, d.production, d.id)
		if errors.Is(err, store.ErrNotFound) {
			return unknown(d.id)
		}
		if err != nil {
			return unavailable(err)
		}
		cursor := strconv.Itoa(sum.Change)
		if cursor != seen {
			err = out.Send(&distributionv1.WatchDistributionResponse{Cursor: cursor, Distribution: view(sum, d)})
			if err != nil {
				return err
			}
			seen = cursor
		}
		if sum.State.Final() {
			return nil
		}
		err = s.pause(ctx, watchPause, nil)
		if err == nil {
			err = s.pause(ctx, watchLook, changed)
		}
		if errors.Is(err, errStopping) {
			return fault.New(fault.Unavailable, "STOPPING", "this replica is stopping; ask again")
		}
		if err != nil {
			return nil // the client went away
		}
	}
}

var errStopping = errors.New("stopping")

// pause waits for d or woken, whichever comes first; its error is ctx's, or errStopping.
func (s *Server) pause(ctx context.Context, d time.Duration, woken <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.deps.Stopping:
		return errStopping
	case <-t.C:
	case <-woken:
	}
	return nil
}

// follow passes word of changes on to watchers.
func (s *Server) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.store.Changes(ctx, s.changes.wake)
		if err != nil && ctx.Err() == nil {
			s.deps.Log.WarnContext(ctx, "word of changes is lost; watchers look for themselves", "err", err)
		}
		_ = s.pause(ctx, time.Second, nil) // ends with ctx, as the loop does
	}
}
