package observer

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// fresh says how far an answer can be trusted to be of now.
func (s *Server) fresh(ctx context.Context) *observerv1.Freshness {
	return s.freshOf(s.stateNow(ctx))
}

func (s *Server) freshOf(st readside.State) *observerv1.Freshness {
	f := &observerv1.Freshness{AsOf: timestamppb.New(st.Now), OrchestratorAlive: st.Alive, Note: st.Note()}
	if !st.Alive && !st.SeenAt.IsZero() {
		f.OrchestratorSeenAt = timestamppb.New(st.SeenAt)
	}
	lag, known := s.follow.Lag(time.Now())
	if known {
		f.IndexLag = durationpb.New(lag)
	}
	return f
}

// stateNow is who is there, as of the last second or two.
func (s *Server) stateNow(ctx context.Context) readside.State {
	st, ok := s.state.get(s.cfg.Look)
	if ok {
		return st
	}
	st = s.records.State(ctx)
	s.state.set(st)
	return st
}

// itself is the context of the observer's own reading, for whom every production is there.
func itself(ctx context.Context) context.Context {
	return rpc.Serving(ctx, &accessv1.Principal{Subject: "service:observer", Role: accessv1.Role_ROLE_SERVICE})
}
