package orchestrator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// trace is what all attempts of these tests belong to.
func trace() string { return strings.Repeat("ab", 16) }

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m, err := newMetrics(prometheus.WrapRegistererWith(prometheus.Labels{"service": "orchestrator"}, registry))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1000, 0)
	ran := func(r *taskv1.Result) *taskv1.Result {
		r.StartedAt, r.EndedAt = timestamppb.New(at), timestamppb.New(at.Add(200*time.Millisecond))
		return r
	}
	m.attempt("watermark.Stamp", plan.Outcome{To: plan.Done}, ran(&taskv1.Result{Outcome: &taskv1.Result_OutputJson{OutputJson: "{}"}, BytesIn: 10, BytesOut: 20,
		Metrics: []*taskv1.Metric{{Name: "pages", Value: 3, Labels: map[string]string{"kind": "a4"}}, {Name: "seconds", Value: 1.5}}}), trace)
	m.attempt("watermark.Stamp", plan.Outcome{To: plan.Retrying, Code: "WATERMARK_BUSY"}, ran(&taskv1.Result{Outcome: &taskv1.Result_Failure{
		Failure: &taskv1.Failure{Class: taskv1.FailureClass_FAILURE_CLASS_TRANSIENT, Code: "WATERMARK_BUSY"}}}), trace)
	m.attempt("watermark.Stamp", plan.Outcome{To: plan.Retrying, Code: "WORKER_LOST"}, nil, trace)
	err = testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP filigree_attempts_total Attempts that ended, by what that means for the next one.
# TYPE filigree_attempts_total counter
filigree_attempts_total{class="lost",function="watermark.Stamp",service="orchestrator"} 1
filigree_attempts_total{class="ok",function="watermark.Stamp",service="orchestrator"} 1
filigree_attempts_total{class="transient",function="watermark.Stamp",service="orchestrator"} 1
# HELP filigree_failures_total Attempts that failed, by code.
# TYPE filigree_failures_total counter
filigree_failures_total{code="WATERMARK_BUSY",function="watermark.Stamp",service="orchestrator"} 1
filigree_failures_total{code="WORKER_LOST",function="watermark.Stamp",service="orchestrator"} 1
# HELP filigree_function_bytes_total Bytes that functions say they read (in) and made (out).
# TYPE filigree_function_bytes_total counter
filigree_function_bytes_total{direction="in",function="watermark.Stamp",service="orchestrator"} 10
filigree_function_bytes_total{direction="out",function="watermark.Stamp",service="orchestrator"} 20
# HELP filigree_function_metric Numbers that functions gave with their attempts, summed up.
# TYPE filigree_function_metric summary
filigree_function_metric_sum{function="watermark.Stamp",kind="a4",name="pages",service="orchestrator"} 3
filigree_function_metric_count{function="watermark.Stamp",kind="a4",name="pages",service="orchestrator"} 1
filigree_function_metric_sum{function="watermark.Stamp",name="seconds",service="orchestrator"} 1.5
filigree_function_metric_count{function="watermark.Stamp",name="seconds",service="orchestrator"} 1
# HELP filigree_retries_total Attempts that are followed by another because they failed.
# TYPE filigree_retries_total counter
filigree_retries_total{function="watermark.Stamp",service="orchestrator"} 2
`), "filigree_attempts_total", "filigree_failures_total", "filigree_function_bytes_total", "filigree_function_metric", "filigree_retries_total")
	if err != nil {
		t.Error(err)
	}
	// A failure leads to an item.
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			if f.GetName() == "filigree_failures_total" && s.GetCounter().GetExemplar().GetLabel()[0].GetValue() != trace() {
				t.Errorf("got %v, want an example", s)
			}
		}
	}
}

// Whatever workers call things, what one process tells stays bounded.
func TestMetricsAreBounded(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		name := fmt.Sprint("f", i)
		m.attempt(name, plan.Outcome{To: plan.Failed, Code: fmt.Sprint("C", i)}, &taskv1.Result{Outcome: &taskv1.Result_OutputJson{}, BytesIn: 1,
			Metrics: []*taskv1.Metric{{Name: name, Value: 1}}}, trace)
	}
	n, err := testutil.GatherAndCount(registry)
	if err != nil {
		t.Fatal(err)
	}
	if n > 4000 {
		t.Errorf("3,000 functions make %d series", n)
	}
	if got := testutil.ToFloat64(m.bytes.WithLabelValues(others, "in")); got != 3000-mostFunctions {
		t.Errorf("%v attempts are counted with others, want %d", got, 3000-mostFunctions)
	}
	if m.own.lost != 3000-mostSeries {
		t.Errorf("%v numbers were dropped, want %d", m.own.lost, 3000-mostSeries)
	}
}
