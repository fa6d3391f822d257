// Package telemetry says what was done, as spans of OpenTelemetry, to whoever is named by the standard environment variables
// (OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_SERVICE_NAME,
// OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, …).
//
// Without one of the two endpoints nothing is made, kept or sent: no interceptor and no hook is put anywhere, and every
// function here returns at once.
//
// With one, every unit of a distribution has a trace of its own, whose id says what it is about (pkg/traceid): each attempt
// is a span of the orchestrator in it, and what the function did, its calls, its Redis commands and its SMTP conversation are
// below. What is done for a recipient of few files is in the traces of those items, too, so that one id shows all of an item.
// Context goes over gRPC and HTTP as W3C Trace Context.
//
// Spans hold no names, addresses, tokens, paths, keys of Redis or anything else out of a document: what of, which step, how
// long, how it ended. They are sent in the background; when nobody takes them they are dropped, and nothing waits for that.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// state is what is there while spans are sent.
type state struct {
	provider *sdktrace.TracerProvider
	sampler  sdktrace.Sampler
	tracer   trace.Tracer
	words    propagation.TextMapPropagator
}

var current atomic.Pointer[state]

// On reports whether spans are made. It does not change between Start and the stop that it returned.
func On() bool { return current.Load() != nil }

// Start begins sending the spans of this process, which is called service unless OTEL_SERVICE_NAME says otherwise, if the
// environment says where to. To be called once, before servers, connections and clients are made. stop sends what is left,
// for a few seconds at most.
func Start(ctx context.Context, service string, log *slog.Logger) (stop func(), err error) {
	if !wanted() {
		return func() {}, nil
	}
	sampler, err := sampling(os.Getenv("OTEL_TRACES_SAMPLER"), os.Getenv("OTEL_TRACES_SAMPLER_ARG"))
	if err != nil {
		return nil, err
	}
	exporter, err := exporting(ctx)
	if err != nil {
		return nil, fmt.Errorf("send spans: %w", err)
	}
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(),
		resource.WithAttributes(pairs("service.name", "filigree-"+service, "service.namespace", "filigree")...), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("describe this process: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(copying{exporter}), sdktrace.WithResource(res),
		sdktrace.WithSampler(sampler), sdktrace.WithIDGenerator(ids{}))
	otel.SetErrorHandler(complaints(log))
	s := &state{provider: provider, sampler: sampler, tracer: provider.Tracer("filigree"), words: propagation.TraceContext{}}
	current.Store(s)
	log.InfoContext(ctx, "spans are sent", "endpoint", cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")))
	return func() {
		current.CompareAndSwap(s, nil)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := provider.Shutdown(last)
		if err != nil {
			log.WarnContext(ctx, "spans are lost", "err", err)
		}
	}, nil
}

// wanted reports whether the environment says where spans go, and does not forbid it.
func wanted() bool {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return false
	}
	off, _ := strconv.ParseBool(os.Getenv("OTEL_SDK_DISABLED"))
	return !off && os.Getenv("OTEL_TRACES_EXPORTER") != "none"
}

// exporting connects when there is something to send; its own variables say how.
func exporting(ctx context.Context) (*otlptrace.Exporter, error) {
	switch protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "grpc"); protocol {
	case "grpc":
		return otlptracegrpc.New(ctx)
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL=%s is not spoken here; say grpc or http/protobuf", protocol)
	}
}

// sampling reads which traces are kept. A share is of distributions: the part of a trace id that decides is the same for all
// that belongs to one.
func sampling(name, arg string) (sdktrace.Sampler, error) {
	share := 1.0
	if arg != "" {
		var err error
		share, err = strconv.ParseFloat(arg, 64)
		if err != nil || share < 0 || share > 1 {
			return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG=%q is no number from 0 to 1", arg)
		}
	}
	var root sdktrace.Sampler
	switch name {
	case "", "parentbased_always_on", "always_on":
		root = sdktrace.AlwaysSample()
	case "parentbased_always_off", "always_off":
		root = sdktrace.NeverSample()
	case "parentbased_traceidratio", "traceidratio":
		root = sdktrace.TraceIDRatioBased(share)
	default:
		return nil, fmt.Errorf("OTEL_TRACES_SAMPLER=%s is not known here; say always_on, always_off or traceidratio, with parentbased_ before it or not", name)
	}
	if name == "always_on" || name == "always_off" || name == "traceidratio" {
		return marked{root}, nil
	}
	return marked{sdktrace.ParentBased(root)}, nil
}

// complaints says at most once a minute what goes wrong with sending.
func complaints(log *slog.Logger) otel.ErrorHandler {
	var last atomic.Int64
	return otel.ErrorHandlerFunc(func(err error) {
		now := time.Now().Unix()
		was := last.Load()
		if now-was >= 60 && last.CompareAndSwap(was, now) {
			log.Warn("spans cannot be sent", "err", err)
		}
	})
}

// quiet are calls that workers make all the time and that are of no item: they would be most of all traces.
var quiet = map[string]bool{
	"/filigree.task.v1.TaskService/Pull": true, "/filigree.task.v1.TaskService/Report": true, "/filigree.task.v1.TaskService/Renew": true,
}

func grpcOptions(s *state) []otelgrpc.Option {
	return []otelgrpc.Option{
		otelgrpc.WithTracerProvider(s.provider), otelgrpc.WithPropagators(s.words), otelgrpc.WithMeterProvider(noop.NewMeterProvider()),
		otelgrpc.WithFilter(func(info *stats.RPCTagInfo) bool { return !quiet[info.FullMethodName] }),
	}
}

// ServerOptions make a gRPC server say what it was called for.
func ServerOptions() []grpc.ServerOption {
	s := current.Load()
	if s == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(grpcOptions(s)...))}
}

// DialOptions make a gRPC connection say what was called over it.
func DialOptions() []grpc.DialOption {
	s := current.Load()
	if s == nil {
		return nil
	}
	return []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(grpcOptions(s)...))}
}

// FromHTTP takes over the trace that a request's header names.
func FromHTTP(ctx context.Context, h http.Header) context.Context {
	s := current.Load()
	if s == nil {
		return ctx
	}
	return s.words.Extract(ctx, propagation.HeaderCarrier(h))
}

// TraceID is the id of the trace that ctx is in, empty without one.
func TraceID(ctx context.Context) string {
	at := trace.SpanContextFromContext(ctx)
	if !at.HasTraceID() {
		return ""
	}
	return at.TraceID().String()
}

// ids gives spans the ids that their context asks for, and others random ones.
type ids struct{}

type given struct{}

// identity is what the span that is started next is to be.
type identity struct {
	trace trace.TraceID
	span  trace.SpanID
	files int
}

// NewIDs implements sdktrace.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	want, ok := ctx.Value(given{}).(identity)
	if ok {
		return want.trace, g.NewSpanID(ctx, want.trace)
	}
	var id trace.TraceID
	for !id.IsValid() {
		put(id[:8], rand.Uint64())
		put(id[8:], rand.Uint64())
	}
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	want, ok := ctx.Value(given{}).(identity)
	if ok && want.span.IsValid() {
		return want.span
	}
	var id trace.SpanID
	for !id.IsValid() {
		put(id[:], rand.Uint64())
	}
	return id
}

func put(b []byte, v uint64) {
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
}
