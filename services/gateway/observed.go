package gateway

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/filigreehq/filigree/pkg/fault"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// keyNote is the metadata of an answer in which the observer says how far it can be trusted to be of now; headerNote is the
// header in which that goes on to clients.
const (
	keyNote    = "filigree-note"
	headerNote = "Filigree-Note"
)

// firstTimeout is how long the one that is asked first may take before the other is asked.
const firstTimeout = 5 * time.Second

// observed makes reads of distributions go to the observer first, which also knows those that were archived, and to the
// orchestrator when the observer does not answer. What is steered is read from the orchestrator, and from the observer while
// none answers.
func (d Deps) observed() Deps {
	if d.Observer == nil {
		d.Observer = noObserver{}
		return d
	}
	d.Distributions = observedDistributions{d.Distributions, distributionv1.NewDistributionServiceClient(d.Observer), &patience{}}
	d.Control = observedControl{d.Control, controlv1.NewControlServiceClient(d.Observer), &patience{}}
	d.Definitions = observedDefinitions{d.Definitions, definitionv1.NewDefinitionServiceClient(d.Observer), &patience{}}
	return d
}

// patience is lost for a while with whoever is asked first and did not answer in time: others are not made to wait as long.
type patience struct{ until atomic.Int64 }

const lostFor = 10 * time.Second

func (p *patience) late() bool { return time.Now().UnixNano() < p.until.Load() }

// lost also ends the time of whoever was asked first instead.
func (p *patience) lost() {
	if p.late() {
		p.until.Store(0)
		return
	}
	p.until.Store(time.Now().Add(lostFor).UnixNano())
}

// either asks first, and second when first does not answer.
func either[Q, A any](ctx context.Context, p *patience, req Q, opts []grpc.CallOption, first, second func(context.Context, Q, ...grpc.CallOption) (A, error)) (A, error) {
	swapped := p.late()
	if swapped {
		first, second = second, first
	}
	short, cancel := context.WithTimeout(ctx, firstTimeout)
	defer cancel()
	began := time.Now()
	var header metadata.MD
	resp, err := first(short, req, append(opts, grpc.Header(&header))...)
	if note := header.Get(keyNote); err == nil && len(note) == 1 {
		callFrom(ctx).note = note[0]
	}
	if err == nil || ctx.Err() != nil || !silent(err) && !(swapped && fault.From(err).Kind == fault.NotFound) {
		return resp, err // what is archived only the one knows that is asked first otherwise
	}
	if time.Since(began) >= firstTimeout {
		p.lost()
	}
	other, errOther := second(ctx, req, append(opts, grpc.Header(&header))...)
	if note := header.Get(keyNote); errOther == nil && len(note) == 1 {
		callFrom(ctx).note = note[0]
	}
	if errOther != nil && nobody(errOther) && !nobody(err) {
		return resp, err // the first one says what is wrong
	}
	return other, errOther
}

// silent says whether err is that something did not answer, or that whoever did has never heard of the call.
func silent(err error) bool {
	return fault.From(err).Kind == fault.Unavailable || nobody(err)
}

// nobody says whether err is of the way there: it says nothing about what was asked.
func nobody(err error) bool {
	switch fault.From(err).Reason {
	case "UNAVAILABLE", "TIMEOUT", "UNKNOWN_METHOD", "OBSERVER_MISSING":
		return true
	}
	return false
}

type observedDistributions struct {
	distributionv1.DistributionServiceClient
	observer distributionv1.DistributionServiceClient
	patience *patience
}

func (o observedDistributions) GetDistribution(ctx context.Context, req *distributionv1.GetDistributionRequest, opts ...grpc.CallOption) (*distributionv1.GetDistributionResponse, error) {
	return either(ctx, o.patience, req, opts, o.observer.GetDistribution, o.DistributionServiceClient.GetDistribution)
}

func (o observedDistributions) ListDistributions(ctx context.Context, req *distributionv1.ListDistributionsRequest, opts ...grpc.CallOption) (*distributionv1.ListDistributionsResponse, error) {
	return either(ctx, o.patience, req, opts, o.observer.ListDistributions, o.DistributionServiceClient.ListDistributions)
}

func (o observedDistributions) ListItems(ctx context.Context, req *distributionv1.ListItemsRequest, opts ...grpc.CallOption) (*distributionv1.ListItemsResponse, error) {
	return either(ctx, o.patience, req, opts, o.observer.ListItems, o.DistributionServiceClient.ListItems)
}

func (o observedDistributions) ListRecipients(ctx context.Context, req *distributionv1.ListRecipientsRequest, opts ...grpc.CallOption) (*distributionv1.ListRecipientsResponse, error) {
	return either(ctx, o.patience, req, opts, o.observer.ListRecipients, o.DistributionServiceClient.ListRecipients)
}

func (o observedDistributions) ListEvents(ctx context.Context, req *distributionv1.ListEventsRequest, opts ...grpc.CallOption) (*distributionv1.ListEventsResponse, error) {
	return either(ctx, o.patience, req, opts, o.observer.ListEvents, o.DistributionServiceClient.ListEvents)
}

func (o observedDistributions) GetDistributionGraph(ctx context.Context, req *distributionv1.GetDistributionGraphRequest, opts ...grpc.CallOption) (*distributionv1.GetDistributionGraphResponse, error) {
	return either(ctx, o.patience, req, opts, o.observer.GetDistributionGraph, o.DistributionServiceClient.GetDistributionGraph)
}

// GetArtifact is the orchestrator's, and the observer's where that has forgotten the distribution or does not answer.
func (o observedDistributions) GetArtifact(ctx context.Context, req *distributionv1.GetArtifactRequest, opts ...grpc.CallOption) (*distributionv1.GetArtifactResponse, error) {
	resp, err := o.DistributionServiceClient.GetArtifact(ctx, req, opts...)
	if err == nil || !silent(err) && fault.From(err).Reason != "DISTRIBUTION_UNKNOWN" {
		return resp, err
	}
	other, errOther := o.observer.GetArtifact(ctx, req, opts...)
	if errOther != nil {
		return resp, err
	}
	return other, nil
}

func (o observedDistributions) GetBatch(ctx context.Context, req *distributionv1.GetBatchRequest, opts ...grpc.CallOption) (*distributionv1.GetBatchResponse, error) {
	return either(ctx, o.patience, req, opts, o.observer.GetBatch, o.DistributionServiceClient.GetBatch)
}

func (o observedDistributions) ListBatches(ctx context.Context, req *distributionv1.ListBatchesRequest, opts ...grpc.CallOption) (*distributionv1.ListBatchesResponse, error) {
	return either(ctx, o.patience, req, opts, o.observer.ListBatches, o.DistributionServiceClient.ListBatches)
}

type observedControl struct {
	controlv1.ControlServiceClient
	observer controlv1.ControlServiceClient
	patience *patience
}

func (o observedControl) ListFunctions(ctx context.Context, req *controlv1.ListFunctionsRequest, opts ...grpc.CallOption) (*controlv1.ListFunctionsResponse, error) {
	return either(ctx, o.patience, req, opts, o.ControlServiceClient.ListFunctions, o.observer.ListFunctions)
}

func (o observedControl) ListWorkers(ctx context.Context, req *controlv1.ListWorkersRequest, opts ...grpc.CallOption) (*controlv1.ListWorkersResponse, error) {
	return either(ctx, o.patience, req, opts, o.ControlServiceClient.ListWorkers, o.observer.ListWorkers)
}

func (o observedControl) GetPauses(ctx context.Context, req *controlv1.GetPausesRequest, opts ...grpc.CallOption) (*controlv1.GetPausesResponse, error) {
	return either(ctx, o.patience, req, opts, o.ControlServiceClient.GetPauses, o.observer.GetPauses)
}

func (o observedControl) ListLimits(ctx context.Context, req *controlv1.ListLimitsRequest, opts ...grpc.CallOption) (*controlv1.ListLimitsResponse, error) {
	return either(ctx, o.patience, req, opts, o.ControlServiceClient.ListLimits, o.observer.ListLimits)
}

func (o observedControl) ListResources(ctx context.Context, req *controlv1.ListResourcesRequest, opts ...grpc.CallOption) (*controlv1.ListResourcesResponse, error) {
	return either(ctx, o.patience, req, opts, o.ControlServiceClient.ListResources, o.observer.ListResources)
}

func (o observedControl) ListStudioLimits(ctx context.Context, req *controlv1.ListStudioLimitsRequest, opts ...grpc.CallOption) (*controlv1.ListStudioLimitsResponse, error) {
	return either(ctx, o.patience, req, opts, o.ControlServiceClient.ListStudioLimits, o.observer.ListStudioLimits)
}

func (o observedControl) ListStudioResources(ctx context.Context, req *controlv1.ListStudioResourcesRequest, opts ...grpc.CallOption) (*controlv1.ListStudioResourcesResponse, error) {
	return either(ctx, o.patience, req, opts, o.ControlServiceClient.ListStudioResources, o.observer.ListStudioResources)
}

type observedDefinitions struct {
	definitionv1.DefinitionServiceClient
	observer definitionv1.DefinitionServiceClient
	patience *patience
}

func (o observedDefinitions) GetDefinition(ctx context.Context, req *definitionv1.GetDefinitionRequest, opts ...grpc.CallOption) (*definitionv1.GetDefinitionResponse, error) {
	return either(ctx, o.patience, req, opts, o.DefinitionServiceClient.GetDefinition, o.observer.GetDefinition)
}

func (o observedDefinitions) ListDefinitions(ctx context.Context, req *definitionv1.ListDefinitionsRequest, opts ...grpc.CallOption) (*definitionv1.ListDefinitionsResponse, error) {
	return either(ctx, o.patience, req, opts, o.DefinitionServiceClient.ListDefinitions, o.observer.ListDefinitions)
}

func (o observedDefinitions) GetDefinitionGraph(ctx context.Context, req *definitionv1.GetDefinitionGraphRequest, opts ...grpc.CallOption) (*definitionv1.GetDefinitionGraphResponse, error) {
	return either(ctx, o.patience, req, opts, o.DefinitionServiceClient.GetDefinitionGraph, o.observer.GetDefinitionGraph)
}

func (o observedDefinitions) ListRollouts(ctx context.Context, req *definitionv1.ListRolloutsRequest, opts ...grpc.CallOption) (*definitionv1.ListRolloutsResponse, error) {
	return either(ctx, o.patience, req, opts, o.DefinitionServiceClient.ListRollouts, o.observer.ListRollouts)
}

// noObserver answers for an observer that this gateway was not given.
type noObserver struct{}

func (noObserver) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return errNoObserver()
}

func (noObserver) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errNoObserver()
}

func errNoObserver() error {
	return fault.New(fault.Unavailable, "OBSERVER_MISSING", "this gateway was not told where an observer is; start it with --observer")
}

// WatchDistribution is the orchestrator's, and the observer's where that has forgotten the distribution or does not answer.
func (o observedDistributions) WatchDistribution(ctx context.Context, req *distributionv1.WatchDistributionRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[distributionv1.WatchDistributionResponse], error) {
	first, err := o.DistributionServiceClient.WatchDistribution(ctx, req, opts...)
	if err == nil {
		return &observedWatch{ServerStreamingClient: first, other: func() (grpc.ServerStreamingClient[distributionv1.WatchDistributionResponse], error) {
			return o.observer.WatchDistribution(ctx, req, opts...)
		}}, nil
	}
	if silent(err) {
		return o.observer.WatchDistribution(ctx, req, opts...)
	}
	return nil, err
}

// observedWatch is a stream that turns to another when its first word is that it cannot say anything.
type observedWatch struct {
	grpc.ServerStreamingClient[distributionv1.WatchDistributionResponse]
	other func() (grpc.ServerStreamingClient[distributionv1.WatchDistributionResponse], error)
	begun bool
}

func (w *observedWatch) Recv() (*distributionv1.WatchDistributionResponse, error) {
	m, err := w.ServerStreamingClient.Recv()
	first := !w.begun
	w.begun = true
	if err == nil || !first || errors.Is(err, io.EOF) || !silent(err) && fault.From(err).Kind != fault.NotFound {
		return m, err
	}
	other, errOther := w.other()
	if errOther != nil {
		return m, err
	}
	m, errOther = other.Recv()
	if errOther != nil && !errors.Is(errOther, io.EOF) && nobody(errOther) {
		return m, err // the first one says what is wrong
	}
	w.ServerStreamingClient = other
	return m, errOther
}
