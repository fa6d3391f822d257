package observer

import (
	"cmp"
	"context"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/history"
)

// GetHistory implements observerv1.ObserverServiceServer.
func (s *Server) GetHistory(ctx context.Context, req *observerv1.GetHistoryRequest) (*observerv1.GetHistoryResponse, error) {
	back := cmp.Or(int(req.GetWeeks()), 12) - 1 // this one is the last
	since := history.Monday(s.deps.Now()).AddDate(0, 0, -7*back)
	weeks, err := s.keeping.history.Weeks(ctx, req.GetProduction(), req.GetDefinition(), since, func(production string) bool { return rpc.MayActIn(ctx, production) })
	if err != nil {
		return nil, fault.New(fault.Unavailable, "HISTORY_UNAVAILABLE", "the history does not answer; try again").Because(err)
	}
	resp := &observerv1.GetHistoryResponse{}
	for _, w := range weeks {
		resp.Weeks = append(resp.Weeks, &observerv1.HistoryWeek{From: timestamppb.New(w.From), Production: w.Production, Definition: w.Definition,
			Distributions: int32(w.Distributions), Items: w.Items, ItemsFailed: w.ItemsFailed, Recipients: w.Recipients,
			DistributionsFailed: int32(w.Failed), Late: int32(w.Late), DurationP50: durationpb.New(w.Half), DurationP90: durationpb.New(w.Most),
			BytesIn: w.BytesIn, BytesOut: w.BytesOut, BytesUnknown: int32(w.BytesUnknown), Kind: w.Kind})
	}
	return resp, nil
}
