package run

import (
	"context"
	"log/slog"
	"time"
)

// Every runs do at once, then at each interval or when kicked, until ctx ends. An error is logged once while it lasts.
func Every(ctx context.Context, log *slog.Logger, interval time.Duration, kick <-chan struct{}, name string, do func(context.Context) error) {
	t := time.NewTicker(interval)
	defer t.Stop()
	failing := false
	for {
		err := do(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			log.WarnContext(ctx, "background work fails", "loop", name, "err", err)
		}
		if err == nil && failing {
			log.InfoContext(ctx, "background work goes on", "loop", name)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-kick:
		}
	}
}
