package readside

import (
	"context"

	"google.golang.org/grpc"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// GetDistribution is distributionv1.DistributionService's.
func (r *Records) GetDistribution(ctx context.Context, req *distributionv1.GetDistributionRequest) (*distributionv1.GetDistributionResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).GetDistribution)
}

// ListDistributions is distributionv1.DistributionService's.
func (r *Records) ListDistributions(ctx context.Context, req *distributionv1.ListDistributionsRequest) (*distributionv1.ListDistributionsResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListDistributions)
}

// ListItems is distributionv1.DistributionService's.
func (r *Records) ListItems(ctx context.Context, req *distributionv1.ListItemsRequest) (*distributionv1.ListItemsResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListItems)
}

// ListRecipients is distributionv1.DistributionService's.
func (r *Records) ListRecipients(ctx context.Context, req *distributionv1.ListRecipientsRequest) (*distributionv1.ListRecipientsResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListRecipients)
}

// ListEvents is distributionv1.DistributionService's.
func (r *Records) ListEvents(ctx context.Context, req *distributionv1.ListEventsRequest) (*distributionv1.ListEventsResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListEvents)
}

// GetDistributionGraph is distributionv1.DistributionService's.
func (r *Records) GetDistributionGraph(ctx context.Context, req *distributionv1.GetDistributionGraphRequest) (*distributionv1.GetDistributionGraphResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).GetDistributionGraph)
}

// GetBatch is distributionv1.DistributionService's.
func (r *Records) GetBatch(ctx context.Context, req *distributionv1.GetBatchRequest) (*distributionv1.GetBatchResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).GetBatch)
}

// ListBatches is distributionv1.DistributionService's.
func (r *Records) ListBatches(ctx context.Context, req *distributionv1.ListBatchesRequest) (*distributionv1.ListBatchesResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListBatches)
}

// GetDefinition is definitionv1.DefinitionService's.
func (r *Records) GetDefinition(ctx context.Context, req *definitionv1.GetDefinitionRequest) (*definitionv1.GetDefinitionResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).GetDefinition)
}

// ListDefinitions is definitionv1.DefinitionService's.
func (r *Records) ListDefinitions(ctx context.Context, req *definitionv1.ListDefinitionsRequest) (*definitionv1.ListDefinitionsResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListDefinitions)
}

// GetDefinitionGraph is definitionv1.DefinitionService's.
func (r *Records) GetDefinitionGraph(ctx context.Context, req *definitionv1.GetDefinitionGraphRequest) (*definitionv1.GetDefinitionGraphResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).GetDefinitionGraph)
}

// ListRollouts is definitionv1.DefinitionService's.
func (r *Records) ListRollouts(ctx context.Context, req *definitionv1.ListRolloutsRequest) (*definitionv1.ListRolloutsResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListRollouts)
}

// ListFunctions is controlv1.ControlService's.
func (r *Records) ListFunctions(ctx context.Context, req *controlv1.ListFunctionsRequest) (*controlv1.ListFunctionsResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListFunctions)
}

// ListWorkers is controlv1.ControlService's.
func (r *Records) ListWorkers(ctx context.Context, req *controlv1.ListWorkersRequest) (*controlv1.ListWorkersResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListWorkers)
}

// GetPauses is controlv1.ControlService's.
func (r *Records) GetPauses(ctx context.Context, req *controlv1.GetPausesRequest) (*controlv1.GetPausesResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).GetPauses)
}

// ListLimits is controlv1.ControlService's.
func (r *Records) ListLimits(ctx context.Context, req *controlv1.ListLimitsRequest) (*controlv1.ListLimitsResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListLimits)
}

// ListResources is controlv1.ControlService's.
func (r *Records) ListResources(ctx context.Context, req *controlv1.ListResourcesRequest) (*controlv1.ListResourcesResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListResources)
}

// ListStudioLimits is controlv1.ControlService's.
func (r *Records) ListStudioLimits(ctx context.Context, req *controlv1.ListStudioLimitsRequest) (*controlv1.ListStudioLimitsResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListStudioLimits)
}

// ListStudioResources is controlv1.ControlService's.
func (r *Records) ListStudioResources(ctx context.Context, req *controlv1.ListStudioResourcesRequest) (*controlv1.ListStudioResourcesResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListStudioResources)
}

// ListSchedules is schedulev1.ScheduleService's.
func (r *Records) ListSchedules(ctx context.Context, req *schedulev1.ListSchedulesRequest) (*schedulev1.ListSchedulesResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListSchedules)
}

// ListHooks is schedulev1.ScheduleService's.
func (r *Records) ListHooks(ctx context.Context, req *schedulev1.ListHooksRequest) (*schedulev1.ListHooksResponse, error) {
	return call(ctx, r, req, (*orchestrator.Reader).ListHooks)
}

// WatchDistribution is distributionv1.DistributionService's. It reads the primary, and hears of changes while Run runs.
func (r *Records) WatchDistribution(req *distributionv1.WatchDistributionRequest, out grpc.ServerStreamingServer[distributionv1.WatchDistributionResponse]) error {
	reader, err := r.primary.open(out.Context())
	if err != nil {
		return err
	}
	return reader.WatchDistribution(req, out)
}
