package telemetry

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/filigreehq/filigree/pkg/traceid"
)

// Attempt is one attempt at one step of one unit. Whoever knows what it is knows its span's ids: an orchestrator hands it
// out, another one hears of its end, and the worker between them never waits for either.
type Attempt struct {
	Production, Distribution, Unit, Step, Function string
	Attempt                                        int
	// Files is how many files the distribution has.
	Files int
}

// mostCopies is up to how many files what is done for a recipient is copied into the traces of the items.
const mostCopies = 4

// member is our entry in tracestate: in how many items' traces a recipient's spans stand, too.
const member = "filigree"

func (a Attempt) identity() (identity, bool) {
	id, ok := traceid.Of(a.Distribution, a.Unit)
	if !ok {
		return identity{}, false
	}
	want := identity{trace: trace.TraceID(id)}
	sum := sha256.Sum256([]byte(a.Distribution + "/" + a.Unit + "/" + a.Step + "/" + strconv.Itoa(a.Attempt)))
	copy(want.span[:], sum[:])
	about, err := traceid.Parse(id.String())
	if err == nil && about.Recipient > 0 && about.File == 0 && a.Files > 0 && a.Files <= mostCopies {
		want.files = a.Files
	}
	return want, want.span.IsValid()
}

func (a Attempt) name() string { return a.Step }

func (a Attempt) attributes() []any {
	return []any{"filigree.production", a.Production, "filigree.distribution", a.Distribution, "filigree.unit", a.Unit,
		"filigree.step", a.Step, "filigree.function", a.Function, "filigree.attempt", a.Attempt}
}

// Context is the attempt's span as W3C Trace Context, for who works on it; empty when spans are not made.
func (a Attempt) Context() (traceparent, tracestate string) {
	s := current.Load()
	if s == nil {
		return "", ""
	}
	want, ok := a.identity()
	if !ok {
		return "", ""
	}
	got := s.sampler.ShouldSample(sdktrace.SamplingParameters{
		ParentContext: context.WithValue(context.Background(), given{}, want), TraceID: want.trace, Name: a.name(), Kind: Inside})
	flags := trace.TraceFlags(0).WithSampled(got.Decision == sdktrace.RecordAndSample)
	return fmt.Sprintf("00-%s-%s-%s", want.trace, want.span, flags), got.Tracestate.String()
}

// Ended makes the attempt's span, when it has ended: as code says, which is empty where all went well.
func (a Attempt) Ended(from, to time.Time, state, code string) {
	s := current.Load()
	if s == nil {
		return
	}
	want, ok := a.identity()
	if !ok {
		return
	}
	if from.IsZero() || from.After(to) {
		from = to
	}
	opts := []trace.SpanStartOption{trace.WithNewRoot(), trace.WithTimestamp(from), trace.WithAttributes(pairs(a.attributes()...)...)}
	if want.files == 0 {
		opts = append(opts, trace.WithLinks(a.items(want)...))
	}
	_, span := s.tracer.Start(context.WithValue(context.Background(), given{}, want), a.name(), opts...)
	out := &Span{span}
	out.Set("filigree.state", state, "filigree.code", code)
	if code != "" {
		out.Fail(code)
	}
	out.endAt(to)
}

// items are the traces of a recipient's items, when they are many.
func (a Attempt) items(want identity) []trace.Link {
	about, err := traceid.Parse(want.trace.String())
	if err != nil || about.File > 0 || about.Recipient == 0 {
		return nil
	}
	var links []trace.Link
	for file := 1; file <= min(a.Files, 100); file++ {
		id, ok := traceid.ID(want.trace).Item(file)
		if !ok {
			break
		}
		links = append(links, trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID(id), SpanID: want.span, TraceFlags: trace.FlagsSampled, Remote: true})})
	}
	return links
}

// Work begins the work on an attempt, within the span that traceparent and tracestate name.
func (a Attempt) Work(ctx context.Context, traceparent, tracestate string) (context.Context, *Span) {
	s := current.Load()
	if s == nil || traceparent == "" {
		return ctx, nil
	}
	ctx = s.words.Extract(ctx, carrier{"traceparent": traceparent, "tracestate": tracestate})
	return Begin(ctx, Inside, a.Function, a.attributes()...)
}

// carrier is what a propagator reads.
type carrier map[string]string

func (m carrier) Get(key string) string { return m[key] }
func (m carrier) Set(key, value string) { m[key] = value }
func (m carrier) Keys() []string        { return []string{"traceparent", "tracestate"} }

// marked notes in tracestate what a recipient's root says about copies; below it, it is inherited.
type marked struct{ sdktrace.Sampler }

func (m marked) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	r := m.Sampler.ShouldSample(p)
	want, ok := p.ParentContext.Value(given{}).(identity)
	if ok && want.files > 0 {
		state, err := r.Tracestate.Insert(member, strconv.Itoa(want.files))
		if err == nil {
			r.Tracestate = state
		}
	}
	return r
}

// copying sends what is done for a recipient a second time, as of each of the items.
type copying struct{ sdktrace.SpanExporter }

func (c copying) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	out := spans
	for _, s := range spans {
		files, err := strconv.Atoi(s.SpanContext().TraceState().Get(member))
		if err != nil {
			continue
		}
		for file := 1; file <= min(files, mostCopies); file++ {
			id, ok := traceid.ID(s.SpanContext().TraceID()).Item(file)
			if ok {
				out = append(out[:len(out):len(out)], moved{s, trace.TraceID(id)})
			}
		}
	}
	return c.SpanExporter.ExportSpans(ctx, out)
}

// moved is a span as one of another trace.
type moved struct {
	sdktrace.ReadOnlySpan
	trace trace.TraceID
}

func (m moved) SpanContext() trace.SpanContext {
	return m.ReadOnlySpan.SpanContext().WithTraceID(m.trace)
}

func (m moved) Parent() trace.SpanContext {
	p := m.ReadOnlySpan.Parent()
	if !p.IsValid() {
		return p
	}
	return p.WithTraceID(m.trace)
}
