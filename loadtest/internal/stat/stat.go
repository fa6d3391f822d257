// Package stat is the little arithmetic that figures need.
package stat

import (
	"slices"
	"time"
)

// Percentile is the smallest of d that p percent of them do not exceed; 0 of none. It sorts d.
func Percentile(d []time.Duration, p int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[max(0, (len(d)*p+99)/100-1)]
}

// Median of values; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Milliseconds of d.
func Milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// Quantiles are what a list of times looks like, in milliseconds.
type Quantiles struct {
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
}

// QuantilesOf d, which it sorts.
func QuantilesOf(d []time.Duration) Quantiles {
	return Quantiles{Milliseconds(Percentile(d, 50)), Milliseconds(Percentile(d, 95)), Milliseconds(Percentile(d, 99))}
}
