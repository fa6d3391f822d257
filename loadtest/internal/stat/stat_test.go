package stat_test

import (
	"testing"
	"time"

	"github.com/filigreehq/filigree/loadtest/internal/stat"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[99-i] = time.Duration(i + 1)
	}
	for _, tt := range []struct {
		of   []time.Duration
		p    int
		want time.Duration
	}{
		{nil, 50, 0}, {[]time.Duration{7}, 1, 7}, {[]time.Duration{7}, 99, 7}, {[]time.Duration{2, 1}, 50, 1}, {[]time.Duration{2, 1}, 51, 2},
		{hundred, 50, 50}, {hundred, 95, 95}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred, 0, 1},
	} {
		got := stat.Percentile(tt.of, tt.p)
		if got != tt.want {
			t.Errorf("percentile %d of %d times: got %d, want %d", tt.p, len(tt.of), got, tt.want)
		}
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 5}, 5}} {
		got := stat.Median(tt.of)
		if got != tt.want {
			t.Errorf("median of %v: got %v, want %v", tt.of, got, tt.want)
		}
	}
}
