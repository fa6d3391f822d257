package worker

import (
	"context"
	"math"
	"regexp"
	"unicode/utf8"

	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

const (
	keptMetrics = 20
	metricPairs = 5
	pairBytes   = 64
)

var metricName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)

// Bytes notes how much the handler has read and made; calls add up. It is shown with the attempt, and summed up by function
// for Prometheus. Outside of a task it does nothing.
func Bytes(ctx context.Context, in, out int64) {
	r, ok := ctx.Value(runCtx{}).(*run)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		n := r.notes()
		n.in += max(in, 0)
		n.out += max(out, 0)
	}
}

// Metric notes a number of the function's own: "pages", "seconds_of_film". It is shown with the attempt, and summed up for
// Prometheus as filigree_function_metric with the labels name, function, and those given here: names, each with its value
// after it, out of small closed sets and never about a person.
//
// Name and label names are lower-case letters, digits and _. An attempt keeps 20, with 5 labels of 64 bytes each; what is
// beyond that, or no number, is dropped and logged. The same name with the same labels adds up. Outside of a task it does
// nothing.
func Metric(ctx context.Context, name string, value float64, labels ...string) {
	r, ok := ctx.Value(runCtx{}).(*run)
	if !ok {
		return
	}
	m := &taskv1.Metric{Name: name, Value: value}
	bad := !metricName.MatchString(name) || math.IsNaN(value) || math.IsInf(value, 0) || len(labels)%2 == 1 || len(labels) > 2*metricPairs
	for i := 0; i+1 < len(labels); i += 2 {
		bad = bad || !metricName.MatchString(labels[i]) || labels[i] == "name" || labels[i] == "function" || labels[i] == "service" ||
			len(labels[i+1]) > pairBytes || !utf8.ValidString(labels[i+1])
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		m.Labels[labels[i]] = labels[i+1]
	}
	if bad || !r.note(m) {
		r.worker.log.WarnContext(ctx, "metric dropped: it has a name, a value or labels that it may not have, or there are too many", "metric", clip(name, 64))
	}
}

// note adds a number to the attempt's; false when there is no room.
func (r *run) note(m *taskv1.Metric) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	n := r.notes()
	for _, had := range n.metrics {
		if had.GetName() == m.GetName() && same(had.GetLabels(), m.GetLabels()) {
			had.Value += m.GetValue()
			return true
		}
	}
	if len(n.metrics) == keptMetrics {
		return false
	}
	n.metrics = append(n.metrics, m)
	return true
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		other, ok := b[k]
		if !ok || other != v {
			return false
		}
	}
	return true
}

// figures puts into the result of an attempt that has ended what its handler noted and logged; what comes later is too late.
func (r *run) figures(result *taskv1.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.noted
	if n != nil {
		result.BytesIn, result.BytesOut, result.Metrics, result.Log = n.in, n.out, n.metrics, n.lines
	}
}

// notes are what a handler notes; to be used under the run's lock.
type notes struct {
	in, out int64
	metrics []*taskv1.Metric
	lines   []*taskv1.LogLine
}

func (r *run) notes() *notes {
	if r.noted == nil {
		r.noted = &notes{}
	}
	return r.noted
}
