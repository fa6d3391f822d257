package telemetry

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Kind says which side of a call a span is.
type Kind = trace.SpanKind

// The kinds there are.
const (
	Inside = trace.SpanKindInternal
	Served = trace.SpanKindServer
	Called = trace.SpanKindClient
)

// Span is something being done. A nil one does nothing.
type Span struct {
	span trace.Span
}

// Begin begins something within what ctx is about; attributes are names, each with its value after it. The caller ends it.
// Nil when spans are not made.
func Begin(ctx context.Context, kind Kind, name string, attributes ...any) (context.Context, *Span) {
	s := current.Load()
	if s == nil {
		return ctx, nil
	}
	ctx, span := s.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(pairs(attributes...)...))
	if !span.IsRecording() {
		return ctx, nil
	}
	return ctx, &Span{span}
}

// Recording reports whether ctx is within a span that will be sent, so that something below it is worth one.
func Recording(ctx context.Context) bool {
	return On() && trace.SpanFromContext(ctx).IsRecording()
}

// Event notes a moment within the span that ctx is in, if it is in one.
func Event(ctx context.Context, name string, attributes ...any) {
	if Recording(ctx) {
		trace.SpanFromContext(ctx).AddEvent(name, trace.WithAttributes(pairs(attributes...)...))
	}
}

// Set adds attributes.
func (s *Span) Set(attributes ...any) {
	if s != nil {
		s.span.SetAttributes(pairs(attributes...)...)
	}
}

// Name renames it, when what it is shows late.
func (s *Span) Name(name string) {
	if s != nil {
		s.span.SetName(name)
	}
}

// Fail says that it failed, by a stable code. Not an error's text, which may name people.
func (s *Span) Fail(code string) {
	if s != nil {
		s.span.SetStatus(codes.Error, code)
	}
}

// End ends it.
func (s *Span) End() {
	if s != nil {
		s.span.End()
	}
}

// endAt ends it as of at.
func (s *Span) endAt(at time.Time) {
	if s != nil {
		s.span.End(trace.WithTimestamp(at))
	}
}

// pairs are attributes out of names and values.
func pairs(list ...any) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		key, _ := list[i].(string)
		switch v := list[i+1].(type) {
		case string:
			if v != "" {
				out = append(out, attribute.String(key, v))
			}
		case int:
			out = append(out, attribute.Int(key, v))
		case int64:
			out = append(out, attribute.Int64(key, v))
		case bool:
			out = append(out, attribute.Bool(key, v))
		default:
			out = append(out, attribute.String(key, fmt.Sprint(v)))
		}
	}
	return out
}
