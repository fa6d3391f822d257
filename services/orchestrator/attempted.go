package orchestrator

import (
	"time"

	"github.com/filigreehq/filigree/pkg/telemetry"
	"github.com/filigreehq/filigree/pkg/traceid"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// attempt is what spans call an attempt by.
func (d *distribution) attempt(r store.Ref, step *plan.Step) telemetry.Attempt {
	return telemetry.Attempt{
		Production: d.production, Distribution: d.id, Unit: r.Unit.String(), Step: step.Name, Function: step.Function,
		Attempt: r.Attempt, Files: len(d.spec.Files),
	}
}

// trace is the id of the trace that an attempt belongs to, also where none is made.
func (d *distribution) trace(r store.Ref) string {
	id, ok := traceid.Of(d.id, r.Unit.String())
	if !ok {
		return ""
	}
	return id.String()
}

// attempted tells whoever counts and traces that an attempt has ended; r is nil of one that its worker said nothing about. A
// report that came twice is told twice.
func (s *Server) attempted(d *distribution, e store.End, r *taskv1.Result) {
	if s.metrics == nil && !telemetry.On() {
		return
	}
	step, ok := d.steps.Step(e.Step)
	if !ok {
		return
	}
	s.metrics.attempt(step.Function, e.Outcome, r, func() string { return d.trace(e.Ref) })
	if !telemetry.On() {
		return
	}
	from, to := time.Now(), time.Now()
	if r.GetStartedAt() != nil && r.GetEndedAt() != nil {
		from, to = r.GetStartedAt().AsTime(), r.GetEndedAt().AsTime()
	}
	d.attempt(e.Ref, step).Ended(from, to, string(e.Outcome.To), e.Outcome.Code)
}
