package readside

import (
	"context"

	"github.com/filigreehq/filigree/services/orchestrator"
)

// Planned is a step of what a distribution runs.
type Planned = orchestrator.Planned

// Standing is a step of one unit as it stands.
type Standing = orchestrator.Standing

// Artifact is what a step made.
type Artifact = orchestrator.Artifact

// ArtifactOf reads what a step made out of its output.
func ArtifactOf(output string) Artifact { return orchestrator.ArtifactOf(output) }

// Plan lists the steps of what a distribution runs, in the definition's order.
func (r *Records) Plan(ctx context.Context, production, id string) ([]Planned, error) {
	return call(ctx, r, id, func(reader *orchestrator.Reader, ctx context.Context, id string) ([]Planned, error) {
		return reader.Plan(ctx, production, id)
	})
}

// Standing reads the steps of units ("d", "f2", "r7", "i2.7"), at most 1,000: in their order, and the definition's.
func (r *Records) Standing(ctx context.Context, production, id string, units []string) ([]Standing, error) {
	return call(ctx, r, units, func(reader *orchestrator.Reader, ctx context.Context, units []string) ([]Standing, error) {
		return reader.Standing(ctx, production, id, units)
	})
}

// Request is what a step of a unit is asked with, as JSON, as it would be made now; empty while what it is made of is not
// there. It holds no secret.
func (r *Records) Request(ctx context.Context, production, id, unit, step string) (string, error) {
	return call(ctx, r, step, func(reader *orchestrator.Reader, ctx context.Context, step string) (string, error) {
		return reader.Request(ctx, production, id, unit, step)
	})
}
