package orchestrator

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// queuesKept is how long what the queues looked like is good enough: several may ask.
	queuesKept = 2 * time.Second
	queuesTime = 3 * time.Second
	// mostOpen is how many open distributions are looked at for lateness.
	mostOpen = 1000
)

// queues tells Prometheus, when it asks, what waits and what runs, of all replicas together: each of them says the same.
type queues struct {
	s *Server

	mu   sync.Mutex
	at   time.Time
	last []prometheus.Metric
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	queueAge     = gauge("filigree_queue_age_seconds", "For how long the first step that is ready has waited for a worker; 0 when none does.", "function")
	queueReady   = gauge("filigree_steps_ready", "Steps that a worker could take now.", "function")
	queueRunning = gauge("filigree_steps_running", "Steps that workers have.", "function")
	queueAtLimit = gauge("filigree_steps_at_limit", "Steps that wait for a place at a limit or resource; of one limit at most 1,000 are counted.", "function", "limit")
	queueWorkers = gauge("filigree_function_workers", "Workers that serve the function.", "function")
	queuePaused  = gauge("filigree_function_paused", "1 when somebody has paused the function for all productions.", "function")
	openNow      = gauge("filigree_distributions_open", "Distributions that have not ended, at most 1,000.")
	lateNow      = gauge("filigree_distributions_late", "Of those, the ones past their deadline.")
	lateMost     = gauge("filigree_distributions_late_seconds", "How far the latest of those is past its deadline.")
	queuesSeen   = gauge("filigree_queues_known", "1 when the state store answered, and what is said about queues is so; 0 when nothing is said.")
)

// Describe implements prometheus.Collector.
func (q *queues) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueAge, queueReady, queueRunning, queueAtLimit, queueWorkers, queuePaused, openNow, lateNow, lateMost, queuesSeen} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (q *queues) Collect(out chan<- prometheus.Metric) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if time.Since(q.at) > queuesKept {
		ctx, cancel := context.WithTimeout(context.Background(), queuesTime)
		defer cancel()
		all, err := q.look(ctx)
		known := 1.0
		if err != nil {
			q.s.deps.Log.WarnContext(ctx, "queues cannot be told to Prometheus", "err", err)
			all, known = nil, 0
		}
		q.last, q.at = append(all, constant(queuesSeen, known)), time.Now()
	}
	for _, m := range q.last {
		out <- m
	}
}

func constant(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (q *queues) look(ctx context.Context) ([]prometheus.Metric, error) {
	functions, err := q.s.store.Functions(ctx)
	if err != nil {
		return nil, err
	}
	running, err := q.s.running(ctx, functions)
	if err != nil {
		return nil, err
	}
	var out []prometheus.Metric
	for i, f := range functions {
		if i == mostFunctions {
			break
		}
		busy, paused := 0, 0.0
		for _, w := range f.Workers {
			busy += running[w.Name][f.Name]
		}
		if f.Paused {
			paused = 1
		}
		age := 0.0
		if f.Ready > 0 {
			age = f.Oldest.Seconds()
		}
		out = append(out, constant(queueAge, age, f.Name), constant(queueReady, float64(f.Ready), f.Name), constant(queueRunning, float64(busy), f.Name),
			constant(queueWorkers, float64(len(f.Workers)), f.Name), constant(queuePaused, paused, f.Name))
	}
	open, err := q.s.store.Unended(ctx, mostOpen)
	if err != nil {
		return nil, err
	}
	late, most := 0, time.Duration(0)
	productions := map[string]bool{}
	for _, sum := range open {
		productions[sum.Production] = true
		if by := time.Since(sum.Deadline); !sum.Deadline.IsZero() && by > 0 {
			late, most = late+1, max(most, by)
		}
	}
	out = append(out, constant(openNow, float64(len(open))), constant(lateNow, float64(late)), constant(lateMost, most.Seconds()))
	aside, err := q.aside(ctx, productions)
	return append(out, aside...), err
}

// aside counts what waits at limits, by function and by the limit's name.
func (q *queues) aside(ctx context.Context, productions map[string]bool) ([]prometheus.Metric, error) {
	var names []string
	for p := range productions {
		names = append(names, p)
	}
	waiting, err := q.s.store.SetAside(ctx, names)
	if err != nil {
		return nil, err
	}
	counts := map[[2]string]int{}
	for _, w := range waiting {
		key := [2]string{w.Function, w.Limit}
		if len(counts) >= mostFunctions {
			key = [2]string{others, others}
		}
		counts[key] += w.Steps
	}
	var out []prometheus.Metric
	for key, n := range counts {
		out = append(out, constant(queueAtLimit, float64(n), key[0], key[1]))
	}
	return out, nil
}
