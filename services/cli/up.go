package cli

import (
	"context"

	"github.com/filigreehq/filigree/services/standalone"
)

// upCmd runs all services in this process; its flags are theirs.
type upCmd struct {
	standalone.Config
}

func (c *upCmd) Run(ctx context.Context, t *term) error {
	return standalone.Run(ctx, c.Config, t.out, t.err)
}
