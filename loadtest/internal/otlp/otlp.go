// Package otlp is a receiver of OpenTelemetry's spans, as any collector is one: it takes them by gRPC and keeps them, or
// only their number.
package otlp

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"sync"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// Receiver takes spans. It is safe for concurrent use.
type Receiver struct {
	collectorv1.UnimplementedTraceServiceServer

	lis    net.Listener
	server *grpc.Server
	keep   bool

	mu     sync.Mutex
	count  int
	traces map[string][]Span
}

// Span is one that was received.
type Span struct {
	Name         string
	ID, Parent   string // Parent is empty of a root
	Process      string // its service.name
	Attributes   map[string]string
	Events       []string
	LinkedTraces []string
	Failed       bool
}

// Start takes spans on a free port of this machine; with keep it keeps them.
func Start(keep bool) (*Receiver, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("take spans: %w", err)
	}
	r := &Receiver{lis: lis, server: grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20)), keep: keep, traces: map[string][]Span{}}
	collectorv1.RegisterTraceServiceServer(r.server, r)
	go func() { _ = r.server.Serve(lis) }() // ends with Close
	return r, nil
}

// Close ends it.
func (r *Receiver) Close() error {
	r.server.Stop()
	return nil
}

// Env is what makes a program send its spans here.
func (r *Receiver) Env() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + r.lis.Addr().String(), "OTEL_BSP_SCHEDULE_DELAY=1000"}
}

// Count is how many spans came.
func (r *Receiver) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// Traces are the spans that came, by trace.
func (r *Receiver) Traces() map[string][]Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string][]Span{}
	for id, spans := range r.traces {
		out[id] = append([]Span(nil), spans...)
	}
	return out
}

// Export implements collectorv1.TraceServiceServer.
func (r *Receiver) Export(_ context.Context, req *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range req.GetResourceSpans() {
		process := texts(rs.GetResource().GetAttributes())["service.name"]
		for _, ss := range rs.GetScopeSpans() {
			r.count += len(ss.GetSpans())
			if !r.keep {
				continue
			}
			for _, s := range ss.GetSpans() {
				id := hex.EncodeToString(s.GetTraceId())
				r.traces[id] = append(r.traces[id], span(s, process))
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func span(s *tracev1.Span, process string) Span {
	out := Span{
		Name: s.GetName(), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()), Process: process,
		Attributes: texts(s.GetAttributes()), Failed: s.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR,
	}
	for _, e := range s.GetEvents() {
		out.Events = append(out.Events, e.GetName())
	}
	for _, l := range s.GetLinks() {
		out.LinkedTraces = append(out.LinkedTraces, hex.EncodeToString(l.GetTraceId()))
	}
	return out
}

// texts are attributes as text; of numbers those that are whole.
func texts(all []*commonv1.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range all {
		switch v := a.GetValue().GetValue().(type) {
		case *commonv1.AnyValue_StringValue:
			out[a.GetKey()] = v.StringValue
		case *commonv1.AnyValue_IntValue:
			out[a.GetKey()] = fmt.Sprint(v.IntValue)
		}
	}
	return out
}
