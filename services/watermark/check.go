package watermark

import (
	"context"
	"fmt"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
)

// check finds out how strong a mark like spec must be on each page of t. Errors are faults.
func check(ctx context.Context, e *engine.Engine, t *engine.Template, spec mark.Spec, progress func(done, total int)) ([]uint8, error) {
	sample, err := mark.Compose(spec, sampleFields(spec.Template))
	if err != nil {
		return nil, explain(err)
	}
	levels, err := e.Check(ctx, t, sample, progress)
	if err != nil {
		return nil, explain(fmt.Errorf("look whether the mark shows: %w", err))
	}
	return levels, nil
}

// sampleFields are values for every field that template names, of the length they usually have.
func sampleFields(template string) map[string]string {
	fields := map[string]string{}
	for _, name := range mark.Fields(template) {
		fields[name] = "Sample Value"
	}
	fields["name"], fields["email"] = "Sample Recipient", "sample.recipient@example.com"
	return fields
}
