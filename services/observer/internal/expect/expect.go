// Package expect says when a distribution will have ended, and how sure that is.
//
// A forecast is a number of its own (from the distribution's progress and from how long others of its definition took),
// corrected by what earlier forecasts were worth: of each the ratio of the actual to the forecast time is kept once the
// distribution has ended, and P50 and P90 are the forecast times these ratios' quantiles. That is split conformal prediction
// (Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005): whatever the forecast is like, nine of ten end
// before P90, as long as today is like yesterday. Since it is not quite, and what ends late is learnt from late, the quantiles
// themselves follow how many ended before (adaptive conformal inference: Gibbs, Candès, NeurIPS 2021).
package expect

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// State is what is known of a distribution that goes on.
type State struct {
	Definition string
	Items      int
	Elapsed    time.Duration // since it was accepted, without pauses
	Steps      []Step
}

// Step counts a step's instances.
type Step struct {
	Function    string
	Total, Done int // Done: ended, however
}

// Sample is a forecast whose distribution has ended; one of each stage of a distribution is to be told of, taken at random (see Stage).
type Sample struct {
	Forecast
	Actual time.Duration // that was left
}

// Ended is a distribution that has ended.
type Ended struct {
	Definition string
	Items      int
	Duration   time.Duration
	// Service is the mean time with a worker of each function that it used.
	Service map[string]time.Duration
}

// Forecast is what can be said of the time that is left.
type Forecast struct {
	Progress float64       // of the work, 0 to 1
	Raw      time.Duration // uncorrected: what goes into a Sample
	P50, P90 time.Duration
	Samples  int // earlier forecasts that it rests on
}

// Kept is all that a model knows, to be written down.
type Kept struct {
	Ended    map[string][]Ended
	Service  map[string]float64
	Ratios   [4][]float64
	Q50, Q90 [4]float64
}

// Keep returns all that m knows.
func (m *Model) Keep() Kept { return Kept{m.ended, m.service, m.ratios, m.q50, m.q90} }

// Restore makes a model of what another knew.
func Restore(k Kept) *Model {
	m := NewModel()
	if k.Ended != nil && k.Service != nil && k.Q90[0] > 0 {
		m.ended, m.service, m.ratios, m.q50, m.q90 = k.Ended, k.Service, k.Ratios, k.Q50, k.Q90
	}
	return m
}

// Usual is how long one like s took; ok is false when none of its kind has ended yet.
func (m *Model) Usual(s State) (d time.Duration, ok bool) {
	seconds, ok := m.prior(s)
	return time.Duration(seconds * float64(time.Second)), ok
}

// least is how many earlier forecasts are needed before their ratios say anything.
const least = 20

// most is how many are kept for each stage: yesterday counts, last year does not.
const most = 400

// Model learns from what has ended. It is not safe for concurrent use.
type Model struct {
	ended   map[string][]Ended // by definition, the newest last
	service map[string]float64 // seconds by function, a running mean
	ratios  [4][]float64       // by stage, the newest last
	q50     [4]float64         // which quantiles half, and nine of ten, ended before lately
	q90     [4]float64
}

// NewModel makes one that knows nothing.
func NewModel() *Model {
	m := &Model{ended: map[string][]Ended{}, service: map[string]float64{}}
	for i := range m.q50 {
		m.q50[i], m.q90[i] = 0.5, 0.9
	}
	return m
}

// Learn takes in a distribution that has ended.
func (m *Model) Learn(e Ended) {
	all := append(m.ended[e.Definition], e)
	m.ended[e.Definition] = all[max(0, len(all)-most):]
	for f, d := range e.Service {
		was, known := m.service[f]
		if !known {
			was = d.Seconds()
		}
		m.service[f] = was + (d.Seconds()-was)/10
	}
}

// Check takes in what a forecast was worth. One of nothing, or of what ended at once, teaches nothing.
func (m *Model) Check(s Sample) {
	if s.Raw <= 0 || s.Actual <= 0 {
		return
	}
	n := Stage(s.Progress)
	all := append(m.ratios[n], float64(s.Actual)/float64(s.Raw))
	m.ratios[n] = all[max(0, len(all)-most):]
	if s.Samples >= least {
		m.q50[n] = follow(m.q50[n], 0.5, s.Actual <= s.P50)
		m.q90[n] = follow(m.q90[n], 0.9, s.Actual <= s.P90)
	}
}

// follow moves a quantile up a little when something ended after it, and down less when before.
func follow(q, goal float64, before bool) float64 {
	const pace = 0.01
	if before {
		q -= pace * (1 - goal)
	} else {
		q += pace * goal
	}
	return min(max(q, 0.05), 0.995)
}

// Stage is how far a forecast was made: not begun, in the first quarter, in the middle, in the last quarter.
func Stage(progress float64) int {
	switch {
	case progress <= 0:
		return 0
	case progress < 0.25:
		return 1
	case progress < 0.75:
		return 2
	}
	return 3
}

// Forecast says how long s goes on; ok is false when nothing tells: nothing is done of it, and none of its kind has ended yet.
func (m *Model) Forecast(s State) (f Forecast, ok bool) {
	f.Progress = m.progress(s.Steps)
	prior, known := m.prior(s)
	if !known && f.Progress <= 0 {
		return f, false
	}
	left := (1 - f.Progress) * prior
	if f.Progress > 0 {
		// What it did itself counts the more the more of it there is.
		own := s.Elapsed.Seconds() * (1 - f.Progress) / f.Progress
		trust := math.Sqrt(f.Progress)
		if !known {
			trust = 1
		}
		left = (1-trust)*left + trust*own
	}
	f.Raw = max(time.Duration(left*float64(time.Second)), time.Millisecond)
	n := Stage(f.Progress)
	ratios := slices.Clone(m.ratios[n])
	f.Samples = len(ratios)
	if len(ratios) < least {
		f.P50, f.P90 = f.Raw, 2*f.Raw // a guess, and Samples says so
		return f, true
	}
	slices.Sort(ratios)
	f.P50 = time.Duration(quantile(ratios, m.q50[n]) * float64(f.Raw))
	f.P90 = time.Duration(quantile(ratios, m.q90[n]) * float64(f.Raw))
	return f, true
}

// quantile is the ⌈(n+1)q⌉-th of n sorted numbers, so that a further one is not above it with probability q at least.
func quantile(sorted []float64, q float64) float64 {
	n := int(math.Ceil(float64(len(sorted)+1) * q))
	return sorted[min(max(n, 1), len(sorted))-1]
}

// progress is how much of the work is done, each step weighed by how long its function takes.
func (m *Model) progress(steps []Step) float64 {
	var all, done float64
	for _, s := range steps {
		weight, known := m.service[s.Function]
		if !known || weight <= 0 {
			weight = 0.01
		}
		all += weight * float64(s.Total)
		done += weight * float64(s.Done)
	}
	if all == 0 {
		return 0
	}
	return min(done/all, 1)
}

// prior is how many seconds one like it took: of its definition those nearest in size, by their time an item.
func (m *Model) prior(s State) (float64, bool) {
	all := slices.Clone(m.ended[s.Definition])
	if len(all) == 0 {
		return 0, false
	}
	size := func(e Ended) float64 { return math.Abs(math.Log(float64(e.Items+1) / float64(s.Items+1))) }
	newest := all[max(0, len(all)-200):]
	slices.SortStableFunc(newest, func(a, b Ended) int { return cmp.Compare(size(a), size(b)) })
	near := newest[:min(len(newest), 15)]
	times := make([]float64, len(near))
	for i, e := range near {
		// A part of the time does not grow with the size: half of the difference is scaled in logarithms.
		times[i] = e.Duration.Seconds() * math.Sqrt(float64(s.Items+1)/float64(e.Items+1))
	}
	slices.Sort(times)
	return times[len(times)/2], true
}
