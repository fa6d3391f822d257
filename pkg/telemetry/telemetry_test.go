package telemetry_test

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/telemetry"
	"github.com/filigreehq/filigree/pkg/traceid"
)

// collector is a receiver of OTLP.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans map[string][]*tracev1.Span // by trace
	names []string                   // of services
}

func (c *collector) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range r.GetResourceSpans() {
		for _, a := range rs.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				c.names = append(c.names, a.GetValue().GetStringValue())
			}
		}
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				id := hex.EncodeToString(s.GetTraceId())
				c.spans[id] = append(c.spans[id], s)
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// receive starts a collector and names it in the environment.
func receive(t *testing.T) *collector {
	t.Helper()
	c := &collector{spans: map[string][]*tracev1.Span{}}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(srv, c)
	go func() { _ = srv.Serve(lis) }() // ends with Stop
	t.Cleanup(srv.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+lis.Addr().String())
	return c
}

// receiveHTTP is receive for OTLP over HTTP (OTLP 1.5, 2.2: binary protobuf by POST to /v1/traces).
func receiveHTTP(t *testing.T) *collector {
	t.Helper()
	c := &collector{spans: map[string][]*tracev1.Span{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		var err error
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, err = gzip.NewReader(r.Body)
		}
		var raw []byte
		if err == nil {
			raw, err = io.ReadAll(body)
		}
		in := &collectorv1.ExportTraceServiceRequest{}
		if err == nil {
			err = proto.Unmarshal(raw, in)
		}
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s of %s: %v", r.Method, r.URL.Path, r.Header.Get("Content-Type"), err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		out, err := c.Export(r.Context(), in)
		if err == nil {
			raw, err = proto.Marshal(out)
		}
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(raw) // whoever hung up is not told
	}))
	t.Cleanup(srv.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	return c
}

func TestSpansGoByEitherProtocol(t *testing.T) {
	for name, receive := range map[string]func(*testing.T) *collector{"grpc": receive, "http/protobuf": receiveHTTP} {
		t.Run(name, func(t *testing.T) {
			c := receive(t)
			stop := begin(t)
			work(t, attempt("i1.7", "watermark", 1), "")
			stop()
			c.mu.Lock()
			defer c.mu.Unlock()
			id, _ := traceid.Of(distribution, "i1.7")
			if got := len(c.spans[hex.EncodeToString(id[:])]); got != 3 || len(c.names) == 0 || c.names[0] != "filigree-test" {
				t.Errorf("%d spans came of service %v, want 3 of filigree-test; traces: %d", got, c.names, len(c.spans))
			}
		})
	}
}

func begin(t *testing.T) (stop func()) {
	t.Helper()
	stop, err := telemetry.Start(t.Context(), "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

const distribution = "01JDQ6Z8Y3ABCDEFGHJKMNPQRS"

func attempt(unit, step string, files int) telemetry.Attempt {
	return telemetry.Attempt{Production: "default", Distribution: distribution, Unit: unit, Step: step, Function: step + ".Do", Attempt: 1, Files: files}
}

// work is an attempt as its three parties see it.
func work(t *testing.T, a telemetry.Attempt, code string) {
	t.Helper()
	parent, state := a.Context()
	ctx, span := a.Work(t.Context(), parent, state)
	_, call := telemetry.Begin(ctx, telemetry.Called, "call", "n", 1)
	telemetry.Event(ctx, "half way")
	call.End()
	span.End()
	a.Ended(time.Now().Add(-time.Second), time.Now(), "done", code)
}

func TestOneTraceForEachItem(t *testing.T) {
	c := receive(t)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	stop := begin(t)
	work(t, attempt("i1.7", "watermark", 2), "")
	work(t, attempt("i2.7", "watermark", 2), "WATERMARK_FAILED")
	work(t, attempt("r7", "email", 2), "")
	stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for unit, want := range map[string][]string{
		"i1.7": {"watermark", "watermark.Do", "call", "email", "email.Do", "call"},
		"i2.7": {"watermark", "watermark.Do", "call", "email", "email.Do", "call"},
		"r7":   {"email", "email.Do", "call"},
	} {
		id, _ := traceid.Of(distribution, unit)
		var got []string
		known := map[string]bool{}
		for _, s := range c.spans[id.String()] {
			got = append(got, s.GetName())
			known[string(s.GetSpanId())] = true
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("the trace of %s has the spans %q, want %q", unit, got, want)
		}
		for _, s := range c.spans[id.String()] {
			if len(s.GetParentSpanId()) > 0 && !known[string(s.GetParentSpanId())] {
				t.Errorf("%s of %s is below a span that is not there", s.GetName(), unit)
			}
		}
	}
	if len(c.spans) != 3 || !slices.Contains(c.names, "filigree-test") {
		t.Errorf("got %d traces of %q, want 3 of filigree-test", len(c.spans), c.names)
	}
}

// With many files the mail is in a trace of its own, which names those of the items.
func TestManyFiles(t *testing.T) {
	c := receive(t)
	stop := begin(t)
	work(t, attempt("r7", "email", 40), "")
	stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	id, _ := traceid.Of(distribution, "r7")
	item, _ := traceid.Of(distribution, "i40.7")
	if len(c.spans) != 1 || len(c.spans[id.String()]) != 3 {
		t.Fatalf("got %v, want the recipient's trace alone", c.spans)
	}
	for _, s := range c.spans[id.String()] {
		if s.GetName() == "email" && (len(s.GetLinks()) != 40 || hex.EncodeToString(s.GetLinks()[39].GetTraceId()) != item.String()) {
			t.Errorf("the attempt has links %v, want 40", s.GetLinks())
		}
	}
}

// What is not sampled is so for all who see it.
func TestNotSampled(t *testing.T) {
	c := receive(t)
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0")
	stop := begin(t)
	a := attempt("i1.7", "watermark", 2)
	parent, _ := a.Context()
	if !strings.HasSuffix(parent, "-00") {
		t.Errorf("Context() = %s, want it not sampled", parent)
	}
	work(t, a, "")
	stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans) != 0 {
		t.Errorf("got %v, want nothing", c.spans)
	}
}

func TestOff(t *testing.T) {
	for _, env := range [][2]string{{"OTEL_EXPORTER_OTLP_ENDPOINT", ""}, {"OTEL_SDK_DISABLED", "true"}, {"OTEL_TRACES_EXPORTER", "none"}} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
		t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
		t.Setenv(env[0], env[1])
		stop := begin(t)
		parent, _ := attempt("i1.7", "watermark", 1).Context()
		if telemetry.On() || parent != "" || len(telemetry.ServerOptions())+len(telemetry.DialOptions()) > 0 {
			t.Errorf("%s=%s: spans are made", env[0], env[1])
		}
		work(t, attempt("i1.7", "watermark", 1), "X")
		header := http.Header{}
		allocs := testing.AllocsPerRun(100, func() {
			telemetry.Event(t.Context(), "x")
			_, span := telemetry.Begin(t.Context(), telemetry.Inside, "x")
			span.Name("y")
			span.End()
			_ = telemetry.FromHTTP(t.Context(), header)
		})
		if allocs > 0 {
			t.Errorf("%s=%s: nothing costs %v allocations", env[0], env[1], allocs)
		}
		stop()
		t.Setenv(env[0], "")
	}
}

func TestRefused(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	for _, env := range [][2]string{{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"}, {"OTEL_TRACES_SAMPLER", "sometimes"}, {"OTEL_TRACES_SAMPLER_ARG", "2"}} {
		t.Setenv(env[0], env[1])
		_, err := telemetry.Start(t.Context(), "test", slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), env[0]) {
			t.Errorf("%s=%s: got %v, want it refused by name", env[0], env[1], err)
		}
		t.Setenv(env[0], "")
	}
}
