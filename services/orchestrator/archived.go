package orchestrator

import (
	"context"
	"errors"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// ArchivedDistribution implements distributionv1.DistributionServiceServer.
func (s *Server) ArchivedDistribution(ctx context.Context, req *distributionv1.ArchivedDistributionRequest) (*distributionv1.ArchivedDistributionResponse, error) {
	id := req.GetDistribution()
	more, err := s.store.Archived(ctx, req.GetProduction(), id, store.Archive{Ended: req.GetEndedAt().AsTime(), LastEvent: req.GetLastEvent(), SHA256: req.GetSha256()})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, unknown(id)
	case errors.Is(err, store.ErrOpen):
		return nil, fault.New(fault.Conflict, "DISTRIBUTION_NOT_ENDED", "distribution %s has not ended; its events stay until it has", id)
	case errors.Is(err, store.ErrOutdated):
		return nil, fault.New(fault.Conflict, "ARCHIVE_OUTDATED", "distribution %s has ended anew since it was archived; archive that end", id)
	case errors.Is(err, store.ErrOther):
		return nil, fault.New(fault.Conflict, "ARCHIVE_CONFLICT", "another archive of the same events of distribution %s was told of before; nothing is deleted", id)
	case err != nil:
		return nil, unavailable(err)
	}
	return &distributionv1.ArchivedDistributionResponse{More: more}, nil
}
