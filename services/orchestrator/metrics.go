package orchestrator

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Bounds of what one process tells of: labels come from workers and definitions, and Prometheus keeps each for long.
const (
	mostFunctions = 200
	mostCodes     = 200
	mostSeries    = 1000
	// others stands for what is beyond.
	others = "other"
)

// metrics are what an orchestrator counts; nil counts nothing. What several replicas count adds up.
type metrics struct {
	seconds  *prometheus.HistogramVec // function, outcome
	attempts *prometheus.CounterVec   // function, class
	failures *prometheus.CounterVec   // function, code
	retries  *prometheus.CounterVec   // function
	bytes    *prometheus.CounterVec   // function, direction
	ended    *prometheus.CounterVec   // state
	late     prometheus.Histogram
	complete prometheus.Histogram
	own      *functionMetrics

	mu        sync.Mutex
	functions map[string]*counted
	codes     map[string]bool
	// over takes distributions that have ended, to be looked at when there is time for it.
	over chan [2]string // production and id
}

// counted is what most attempts at a function are counted by.
type counted struct {
	name    string
	done    prometheus.Observer
	ok      prometheus.Counter
	in, out prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	if r == nil {
		return nil, nil //nolint:nilnil // nothing is counted
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "filigree_task_seconds",
			Help:    "How long attempts took in their workers, by how they ended.",
			Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800}}, []string{"function", "outcome"}),
		attempts: counter("filigree_attempts_total", "Attempts that ended, by what that means for the next one.", "function", "class"),
		failures: counter("filigree_failures_total", "Attempts that failed, by code.", "function", "code"),
		retries:  counter("filigree_retries_total", "Attempts that are followed by another because they failed.", "function"),
		bytes:    counter("filigree_function_bytes_total", "Bytes that functions say they read (in) and made (out).", "function", "direction"),
		ended:    counter("filigree_distributions_ended_total", "Distributions that ended, by state.", "state"),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "filigree_distribution_lateness_seconds",
			Help:    "How long after their deadline distributions ended; 0 for those in time.",
			Buckets: []float64{0, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400}}),
		complete: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "filigree_distribution_completeness_ratio",
			Help:    "Which part of their items was done when distributions ended.",
			Buckets: []float64{0, .5, .9, .95, .99, .999, 1}}),
		own:       &functionMetrics{sums: map[string]*sum{}},
		functions: map[string]*counted{}, codes: map[string]bool{}, over: make(chan [2]string, 1000),
	}
	for _, c := range []prometheus.Collector{m.seconds, m.attempts, m.failures, m.retries, m.bytes, m.ended, m.late, m.complete, m.own} {
		err := r.Register(c)
		if err != nil {
			return nil, err
		}
	}
	// There from the start, so that an alert about the first one sees it come.
	for _, state := range []plan.DistributionState{plan.Completed, plan.CompletedWithFailures, plan.AllFailed, plan.Stopped} {
		m.ended.WithLabelValues(string(state))
	}
	return m, nil
}

// of is what attempts at a function are counted by.
func (m *metrics) of(function string) *counted {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.functions[function]
	if c != nil {
		return c
	}
	name := function
	if len(m.functions) >= mostFunctions {
		name = others
		if m.functions[others] != nil {
			return m.functions[others]
		}
	}
	c = &counted{
		name: name, done: m.seconds.WithLabelValues(name, string(plan.Done)), ok: m.attempts.WithLabelValues(name, "ok"),
		in: m.bytes.WithLabelValues(name, "in"), out: m.bytes.WithLabelValues(name, "out"),
	}
	m.retries.WithLabelValues(name)
	m.functions[name] = c
	return c
}

func (m *metrics) code(code string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.codes[code] {
		if len(m.codes) >= mostCodes {
			return others
		}
		m.codes[code] = true
	}
	return code
}

// slow is from when on an attempt is worth being named as an example.
const slow = 1.0

// attempt counts the end of an attempt; r is nil of one that its worker said nothing about. trace names it: failures and slow
// ones are told with an example, which leads from a figure to an item.
func (m *metrics) attempt(function string, o plan.Outcome, r *taskv1.Result, trace func() string) {
	if m == nil {
		return
	}
	c := m.of(function)
	took := r.GetEndedAt().AsTime().Sub(r.GetStartedAt().AsTime()).Seconds()
	if o.To == plan.Done {
		c.ok.Inc()
		observe(c.done, took, trace)
	} else {
		m.attempts.WithLabelValues(c.name, classOf(r)).Inc()
		if r != nil && r.GetHandBack() == nil {
			seconds := m.seconds.WithLabelValues(c.name, string(o.To))
			observe(seconds, took, trace)
		}
	}
	if o.Code != "" {
		add(m.failures.WithLabelValues(c.name, m.code(o.Code)), trace)
		if o.To == plan.Retrying {
			m.retries.WithLabelValues(c.name).Inc()
		}
	}
	if r.GetBytesIn() > 0 {
		c.in.Add(float64(r.GetBytesIn()))
	}
	if r.GetBytesOut() > 0 {
		c.out.Add(float64(r.GetBytesOut()))
	}
	if len(r.GetMetrics()) > 0 {
		m.own.add(c.name, r.GetMetrics())
	}
}

func observe(h prometheus.Observer, took float64, trace func() string) {
	e, ok := h.(prometheus.ExemplarObserver)
	if took >= slow && ok {
		e.ObserveWithExemplar(took, prometheus.Labels{"trace_id": trace()})
		return
	}
	h.Observe(max(took, 0))
}

func add(c prometheus.Counter, trace func() string) {
	e, ok := c.(prometheus.ExemplarAdder)
	if ok {
		e.AddWithExemplar(1, prometheus.Labels{"trace_id": trace()})
		return
	}
	c.Inc()
}

// classOf is what the end of an attempt means for the next, in a word.
func classOf(r *taskv1.Result) string {
	switch {
	case r == nil:
		return "lost"
	case r.GetHandBack() != nil:
		return "handed_back"
	case r.GetPending() != nil:
		return "pending"
	case r.GetFailure() != nil:
		return strings.ToLower(strings.TrimPrefix(r.GetFailure().GetClass().String(), "FAILURE_CLASS_"))
	}
	return "permanent" // an answer that nobody could read
}

// distribution counts one that has ended, and has it looked at later.
func (m *metrics) distribution(production, id, state string) {
	m.ended.WithLabelValues(state).Inc()
	select {
	case m.over <- [2]string{production, id}:
	default: // nobody has time for it: figures are of those that were looked at
	}
}

// judge says how late and how complete distributions were that have ended, until ctx ends.
func (s *Server) judge(ctx context.Context) {
	if s.metrics == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case which := <-s.metrics.over:
			sum, err := s.store.Get(ctx, which[0], which[1])
			if err != nil || sum.Ended.IsZero() {
				continue // its end was counted; how it was will not be known
			}
			late := time.Duration(0)
			if !sum.Deadline.IsZero() {
				late = max(0, sum.Ended.Sub(sum.Deadline))
			}
			s.metrics.late.Observe(late.Seconds())
			if n := sum.Size.Items(); n > 0 {
				s.metrics.complete.Observe(float64(sum.Items[plan.ItemDone]) / float64(n))
			}
		}
	}
}

// functionMetrics are the numbers that functions give with their attempts, as one family whose labels are theirs.
type functionMetrics struct {
	mu   sync.Mutex
	sums map[string]*sum
	// lost is how many numbers were dropped because there are too many series.
	lost float64
}

type sum struct {
	desc   *prometheus.Desc
	values []string
	count  uint64
	total  float64
}

var metricsDropped = prometheus.NewDesc("filigree_function_metrics_dropped_total",
	"Numbers of functions that are not in filigree_function_metric because there are more than 1,000 combinations of name and labels.", nil, nil)

// Describe implements prometheus.Collector. It describes nothing: what there is shows when it comes.
func (f *functionMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (f *functionMetrics) Collect(out chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sums {
		out <- prometheus.MustNewConstSummary(s.desc, s.count, s.total, nil, s.values...)
	}
	out <- prometheus.MustNewConstMetric(metricsDropped, prometheus.CounterValue, f.lost)
}

func (f *functionMetrics) add(function string, all []*taskv1.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range all {
		names := []string{"function", "name"}
		var keys []string
		for k := range m.GetLabels() {
			if k != "function" && k != "name" && k != "service" {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		values := []string{function, m.GetName()}
		for _, k := range keys {
			names, values = append(names, k), append(values, strings.ToValidUTF8(m.GetLabels()[k], "�"))
		}
		id := strings.Join(names, "\x00") + "\x01" + strings.Join(values, "\x00")
		s := f.sums[id]
		if s == nil {
			if len(f.sums) >= mostSeries {
				f.lost++
				continue
			}
			s = &sum{values: values, desc: prometheus.NewDesc("filigree_function_metric", "Numbers that functions gave with their attempts, summed up.", names, nil)}
			f.sums[id] = s
		}
		s.count++
		s.total += m.GetValue()
	}
}
