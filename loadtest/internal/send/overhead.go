package send

import (
	"context"
	"fmt"
	"slices"

	"github.com/filigreehq/filigree/loadtest/internal/otlp"
)

// Overhead is what it costs to see everything: rounds with all switched on, and rounds with nothing, in turns.
type Overhead struct {
	Files, Recipients, Rounds int
	// Off and On are seconds from the first request to the acceptance of the last mail, CPU the installation's seconds.
	Off    []float64 `json:"off_seconds"`
	On     []float64 `json:"on_seconds"`
	OffCPU []float64 `json:"off_cpu_seconds"`
	OnCPU  []float64 `json:"on_cpu_seconds"`
	// Spans came to our receiver in all rounds together.
	Spans int `json:"spans"`
	// Ratio is the median of On over that of Off, CPURatio likewise.
	Ratio    float64 `json:"ratio"`
	CPURatio float64 `json:"cpu_ratio"`
}

// MeasureOverhead sends the same to fresh installations, in turns without an observer and spans, and with an observer, spans
// that a receiver takes, and metrics.
func MeasureOverhead(ctx context.Context, o Options, rounds int, progress func(string)) (Overhead, error) {
	out := Overhead{Files: o.Files, Recipients: o.Recipients, Rounds: rounds}
	o.Profile = One
	receiver, err := otlp.Start(false)
	if err != nil {
		return out, err
	}
	defer receiver.Close() // nothing comes any more
	quiet := func(string) {}
	// The first of each is thrown away: it fills the machine's caches.
	for round := range rounds + 1 {
		o.Args, o.Env = []string{"--no-observe"}, nil
		off, err := Measure(ctx, o, quiet)
		if err != nil {
			return out, err
		}
		o.Args, o.Env = []string{"--admin", "127.0.0.1:0"}, receiver.Env()
		on, err := Measure(ctx, o, quiet)
		if err != nil {
			return out, err
		}
		progress(fmt.Sprintf("round %d: off %.2f s (%.2f s of processors), on %.2f s (%.2f s)", round, off.Seconds, off.CPU, on.Seconds, on.CPU))
		if round > 0 {
			out.Off, out.On = append(out.Off, off.Seconds), append(out.On, on.Seconds)
			out.OffCPU, out.OnCPU = append(out.OffCPU, off.CPU), append(out.OnCPU, on.CPU)
		}
	}
	out.Spans = receiver.Count()
	if out.Spans == 0 {
		return out, fmt.Errorf("no span came: what was measured is not everything switched on")
	}
	out.Ratio, out.CPURatio = middle(out.On)/middle(out.Off), middle(out.OnCPU)/middle(out.OffCPU)
	return out, nil
}

func middle(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
