package observer

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// The reads of the orchestrator's services, from the records: answers are the same, and come while no orchestrator does.
// What changes something is the orchestrator's alone, and unimplemented here. Methods of Records are one level less deep
// than the unimplemented ones, so they are the ones that are called.

// noteKey is the metadata of an answer that holds Freshness.note, where the answer has no place for it.
const noteKey = "filigree-note"

// noted adds to an answer what is to be known beside it.
func noted[Q, A any](ctx context.Context, s *Server, req Q, read func(context.Context, Q) (A, error)) (A, error) {
	resp, err := read(ctx, req)
	if err == nil {
		if note := s.stateNow(ctx).Note(); note != "" {
			_ = grpc.SetHeader(ctx, metadata.Pairs(noteKey, note)) // outside of a call nobody reads it
		}
	}
	return resp, err
}

// distributionReads are those of DistributionService.
type distributionReads struct {
	*readside.Records
	noDistributions
	s *Server
}

type noDistributions struct {
	distributionv1.UnimplementedDistributionServiceServer
}

var _ distributionv1.DistributionServiceServer = distributionReads{}

func (r distributionReads) GetDistribution(ctx context.Context, req *distributionv1.GetDistributionRequest) (*distributionv1.GetDistributionResponse, error) {
	return noted(ctx, r.s, req, r.s.getDistribution)
}

func (r distributionReads) ListDistributions(ctx context.Context, req *distributionv1.ListDistributionsRequest) (*distributionv1.ListDistributionsResponse, error) {
	return noted(ctx, r.s, req, r.s.listDistributions)
}

func (r distributionReads) ListItems(ctx context.Context, req *distributionv1.ListItemsRequest) (*distributionv1.ListItemsResponse, error) {
	return noted(ctx, r.s, req, r.s.listItems)
}

func (r distributionReads) ListRecipients(ctx context.Context, req *distributionv1.ListRecipientsRequest) (*distributionv1.ListRecipientsResponse, error) {
	return noted(ctx, r.s, req, r.s.listRecipients)
}

func (r distributionReads) ListEvents(ctx context.Context, req *distributionv1.ListEventsRequest) (*distributionv1.ListEventsResponse, error) {
	return noted(ctx, r.s, req, r.s.listEvents)
}

func (r distributionReads) GetDistributionGraph(ctx context.Context, req *distributionv1.GetDistributionGraphRequest) (*distributionv1.GetDistributionGraphResponse, error) {
	return noted(ctx, r.s, req, r.s.getDistributionGraph)
}

func (r distributionReads) GetArtifact(ctx context.Context, req *distributionv1.GetArtifactRequest) (*distributionv1.GetArtifactResponse, error) {
	return noted(ctx, r.s, req, r.s.getArtifact)
}

func (r distributionReads) GetBatch(ctx context.Context, req *distributionv1.GetBatchRequest) (*distributionv1.GetBatchResponse, error) {
	return noted(ctx, r.s, req, r.Records.GetBatch)
}

func (r distributionReads) ListBatches(ctx context.Context, req *distributionv1.ListBatchesRequest) (*distributionv1.ListBatchesResponse, error) {
	return noted(ctx, r.s, req, r.Records.ListBatches)
}

// controlReads are those of ControlService.
type controlReads struct {
	*readside.Records
	noControl
	s *Server
}

type noControl struct {
	controlv1.UnimplementedControlServiceServer
}

var _ controlv1.ControlServiceServer = controlReads{}

func (r controlReads) ListFunctions(ctx context.Context, req *controlv1.ListFunctionsRequest) (*controlv1.ListFunctionsResponse, error) {
	return noted(ctx, r.s, req, r.Records.ListFunctions)
}

func (r controlReads) ListWorkers(ctx context.Context, req *controlv1.ListWorkersRequest) (*controlv1.ListWorkersResponse, error) {
	return noted(ctx, r.s, req, r.Records.ListWorkers)
}

func (r controlReads) GetPauses(ctx context.Context, req *controlv1.GetPausesRequest) (*controlv1.GetPausesResponse, error) {
	return noted(ctx, r.s, req, r.Records.GetPauses)
}

func (r controlReads) ListLimits(ctx context.Context, req *controlv1.ListLimitsRequest) (*controlv1.ListLimitsResponse, error) {
	return noted(ctx, r.s, req, r.Records.ListLimits)
}

func (r controlReads) ListResources(ctx context.Context, req *controlv1.ListResourcesRequest) (*controlv1.ListResourcesResponse, error) {
	return noted(ctx, r.s, req, r.Records.ListResources)
}

func (r controlReads) ListStudioLimits(ctx context.Context, req *controlv1.ListStudioLimitsRequest) (*controlv1.ListStudioLimitsResponse, error) {
	return noted(ctx, r.s, req, r.Records.ListStudioLimits)
}

func (r controlReads) ListStudioResources(ctx context.Context, req *controlv1.ListStudioResourcesRequest) (*controlv1.ListStudioResourcesResponse, error) {
	return noted(ctx, r.s, req, r.Records.ListStudioResources)
}

// definitionReads are those of DefinitionService.
type definitionReads struct {
	*readside.Records
	noDefinitions
	s *Server
}

type noDefinitions struct {
	definitionv1.UnimplementedDefinitionServiceServer
}

var _ definitionv1.DefinitionServiceServer = definitionReads{}

func (r definitionReads) GetDefinition(ctx context.Context, req *definitionv1.GetDefinitionRequest) (*definitionv1.GetDefinitionResponse, error) {
	return noted(ctx, r.s, req, r.Records.GetDefinition)
}

func (r definitionReads) ListDefinitions(ctx context.Context, req *definitionv1.ListDefinitionsRequest) (*definitionv1.ListDefinitionsResponse, error) {
	return noted(ctx, r.s, req, r.Records.ListDefinitions)
}

func (r definitionReads) GetDefinitionGraph(ctx context.Context, req *definitionv1.GetDefinitionGraphRequest) (*definitionv1.GetDefinitionGraphResponse, error) {
	return noted(ctx, r.s, req, r.Records.GetDefinitionGraph)
}

func (r definitionReads) ListRollouts(ctx context.Context, req *definitionv1.ListRolloutsRequest) (*definitionv1.ListRolloutsResponse, error) {
	return noted(ctx, r.s, req, r.Records.ListRollouts)
}
