package send

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/filigreehq/filigree/loadtest/internal/stat"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// Step is where the time of a step went.
type Step struct {
	Name     string `json:"name"`
	Attempts int    `json:"attempts"`
	// Wait is from the end of what it needs to the first attempt's start.
	Wait stat.Quantiles `json:"wait"`
	Run  stat.Quantiles `json:"run"`
}

// graph is what of a definition decides when a step is ready.
type graph struct {
	Steps []struct {
		Name  string   `yaml:"name"`
		Needs []string `yaml:"needs"`
	} `yaml:"steps"`
}

// steps tells where the time of all jobs went, by their events.
func (s *site) steps(ctx context.Context, jobs []*job) ([]Step, error) {
	g, err := s.graph(ctx, jobs[0].state.GetDefinition())
	if err != nil {
		return nil, err
	}
	run, wait := map[string][]time.Duration{}, map[string][]time.Duration{}
	for _, j := range jobs {
		spans(j.events, g, run, wait)
	}
	var out []Step
	for _, counts := range jobs[0].state.GetSteps() {
		name := counts.GetName()
		if len(run[name]) == 0 {
			continue
		}
		out = append(out, Step{Name: name, Attempts: len(run[name]), Wait: stat.QuantilesOf(wait[name]), Run: stat.QuantilesOf(run[name])})
	}
	return out, nil
}

// graph reads the definition that a distribution ran.
func (s *site) graph(ctx context.Context, d *distributionv1.Definition) (*graph, error) {
	source, err := s.client.Definition(ctx, d.GetName(), d.GetVersion())
	if err != nil {
		return nil, fmt.Errorf("read the definition: %w", err)
	}
	g := &graph{}
	err = yaml.Unmarshal([]byte(source), g)
	if err != nil {
		return nil, fmt.Errorf("read the definition %s: %w", d.GetName(), err)
	}
	return g, nil
}

// spans adds up running and waiting times by step. What retried waited on purpose, so only first attempts count as
// waiting.
func spans(events []*distributionv1.Event, g *graph, run, wait map[string][]time.Duration) {
	ended := ends{}
	var first []*distributionv1.Event
	for _, e := range events {
		switch {
		case e.GetKind() == "accepted":
			ended.note("", "d", e.GetTime().AsTime())
		case e.GetKind() == "attempt" && e.GetStartedAt() != nil:
			begin, end := e.GetStartedAt().AsTime(), e.GetTime().AsTime()
			run[e.GetStep()] = append(run[e.GetStep()], max(0, end.Sub(begin)))
			ended.note(e.GetStep(), e.GetUnit(), end)
			if e.GetAttempt() == 1 {
				first = append(first, e)
			}
		}
	}
	needs := map[string][]string{}
	for _, st := range g.Steps {
		needs[st.Name] = st.Needs
	}
	for _, e := range first {
		ready := ended[when{"", "d"}]
		for _, need := range needs[e.GetStep()] {
			ready = later(ready, ended.of(need, e.GetUnit()))
		}
		if !ready.IsZero() {
			wait[e.GetStep()] = append(wait[e.GetStep()], max(0, e.GetStartedAt().AsTime().Sub(ready)))
		}
	}
}

// when names a step of a unit, or the last of that step of all units that belong to it.
type when struct{ step, unit string }

// ends are when steps ended: the last of each unit's, and of all that belong to a file, a recipient or the distribution.
type ends map[when]time.Time

func (m ends) note(step, unit string, at time.Time) {
	for _, u := range append(above(unit), unit) {
		m[when{step, u}] = later(m[when{step, u}], at)
	}
}

// of is when step had ended as far as unit is concerned: its own, or that of all that belong to it, or of what it belongs
// to. Zero when there was no such step.
func (m ends) of(step, unit string) time.Time {
	for _, u := range append([]string{unit}, above(unit)...) {
		at, ok := m[when{step, u}]
		if ok {
			return at
		}
	}
	return time.Time{}
}

// above are the units that unit belongs to: of item i2.7, file f2, recipient r7 and the distribution d.
func above(unit string) []string {
	item, ok := strings.CutPrefix(unit, "i")
	if ok {
		file, recipient, _ := strings.Cut(item, ".")
		return []string{"f" + file, "r" + recipient, "d"}
	}
	if unit == "d" {
		return nil
	}
	return []string{"d"}
}
