package expect_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/expect"
)

// A job of the replay: items that a house of so many hands shares fairly with whatever else is there.
type job struct {
	definition   string
	items        int
	accepted     float64 // seconds
	stamped, all float64 // work left, in seconds of a hand
	stampWork    float64
	sendWork     float64
	ended        float64
	forecasts    []forecast
}

type forecast struct {
	at float64
	expect.Forecast
}

// replay runs mixed loads through a house of 8 hands: small jobs and large ones, of two definitions, in a day that has
// busy hours. At moments of their own each is forecast; when it ends, the model learns what that was worth.
func replay(seed uint64, jobs int) []*job {
	r := rand.New(rand.NewPCG(seed, 10))
	m := expect.NewModel()
	var open, done []*job
	now, next := 0.0, 0.0
	for len(done) < jobs {
		if now >= next {
			j := &job{definition: []string{"attach", "link"}[r.IntN(2)], items: 1 + int(math.Exp(r.NormFloat64()*1.5+3)), accepted: now}
			per := 0.02 * math.Exp(r.NormFloat64()*0.4)
			if j.definition == "link" {
				per *= 3
			}
			j.stampWork, j.sendWork = float64(j.items)*per, float64(j.items)*per/2+0.2
			j.stamped, j.all = j.stampWork, j.sendWork
			open = append(open, j)
			busy := 1 + 0.8*math.Sin(now/1800)
			next = now + r.ExpFloat64()*0.7/busy
		}
		const step = 0.05
		now += step
		share := 8 * step / max(1, float64(len(open)))
		var still []*job
		for _, j := range open {
			take := min(share, step*4) // no more hands than it has work for
			if j.stamped > 0 {
				j.stamped -= take
			} else {
				j.all -= take
			}
			if j.all > 0 {
				if len(j.forecasts) == 0 || now-j.forecasts[len(j.forecasts)-1].at > 0.3*(now-j.accepted)+0.1 {
					f, ok := m.Forecast(j.state(now))
					if ok {
						j.forecasts = append(j.forecasts, forecast{now, f})
					}
				}
				still = append(still, j)
				continue
			}
			j.ended = now
			m.Learn(expect.Ended{Definition: j.definition, Items: j.items, Duration: seconds(now - j.accepted),
				Service: map[string]time.Duration{"stamp": seconds(j.stampWork / float64(j.items)), "send": seconds(j.sendWork / float64(j.items))}})
			for n := range 4 {
				if f, ok := j.one(r, n); ok {
					m.Check(expect.Sample{Forecast: f.Forecast, Actual: seconds(now - f.at)})
				}
			}
			done = append(done, j)
		}
		open = still
	}
	return done
}

// one is a forecast of a stage, whichever.
func (j *job) one(r *rand.Rand, stage int) (forecast, bool) {
	var of []forecast
	for _, f := range j.forecasts {
		if expect.Stage(f.Progress) == stage {
			of = append(of, f)
		}
	}
	if len(of) == 0 {
		return forecast{}, false
	}
	return of[r.IntN(len(of))], true
}

func (j *job) state(now float64) expect.State {
	done := func(left, all float64) int { return int(float64(j.items) * min(1, max(0, 1-left/all))) }
	return expect.State{Definition: j.definition, Items: j.items, Elapsed: seconds(now - j.accepted), Steps: []expect.Step{
		{Function: "stamp", Total: j.items, Done: done(j.stamped, j.stampWork)},
		{Function: "send", Total: j.items, Done: done(j.all, j.sendWork)},
	}}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Of forecasts in a replay of mixed loads, one of each stage of a job, nine of ten jobs end before P90, and half before P50.
func TestForecastsAreCalibrated(t *testing.T) {
	t.Parallel()
	var before50, before90, all int
	var errors []float64
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 11))
		for _, j := range replay(seed, 1200)[300:] {
			for stage := range 4 {
				f, ok := j.one(r, stage)
				if !ok {
					continue
				}
				left := j.ended - f.at
				all++
				if left <= f.P50.Seconds() {
					before50++
				}
				if left <= f.P90.Seconds() {
					before90++
				}
				errors = append(errors, math.Abs(left-f.P50.Seconds())/left)
			}
		}
	}
	slices.Sort(errors)
	p50, p90 := 100*float64(before50)/float64(all), 100*float64(before90)/float64(all)
	t.Logf("of %d forecasts %.1f %% ended before P50 and %.1f %% before P90; the middle one was off by %.0f %% of the time left", all, p50, p90, 100*errors[len(errors)/2])
	if p90 < 88 || p90 > 92 {
		t.Errorf("%.1f %% ended before P90, want 88 to 92", p90)
	}
	if p50 < 45 || p50 > 55 {
		t.Errorf("%.1f %% ended before P50, want 45 to 55", p50)
	}
}

func TestNothingIsSaidOfTheUnknown(t *testing.T) {
	t.Parallel()
	m := expect.NewModel()
	s := expect.State{Definition: "new", Items: 10, Elapsed: time.Second, Steps: []expect.Step{{Function: "f", Total: 10}}}
	if f, ok := m.Forecast(s); ok {
		t.Errorf("it says %v, and nothing tells", f)
	}
	s.Steps[0].Done = 5
	f, ok := m.Forecast(s)
	if !ok || f.Raw != time.Second || f.Samples != 0 || f.Progress != 0.5 {
		t.Errorf("half way, after a second: %+v, %v", f, ok)
	}
	m.Learn(expect.Ended{Definition: "new", Items: 10, Duration: 10 * time.Second})
	s.Steps[0].Done = 0
	f, ok = m.Forecast(s)
	if !ok || f.Raw != 10*time.Second {
		t.Errorf("as the last one: %+v, %v", f, ok)
	}
}
