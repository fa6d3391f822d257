package run_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filigreehq/filigree/pkg/run"
)

func TestEveryGoesOnAndSaysOnceWhatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10500*time.Millisecond)
		defer cancel()
		var log bytes.Buffer
		n, kick := 0, make(chan struct{}, 1)
		kick <- struct{}{}
		run.Every(ctx, slog.New(slog.NewTextHandler(&log, nil)), time.Second, kick, "x", func(context.Context) error {
			n++
			if n > 3 && n < 8 {
				return errors.New("away")
			}
			return nil
		})
		if n != 12 || strings.Count(log.String(), "fails") != 1 || strings.Count(log.String(), "goes on") != 1 {
			t.Errorf("it ran %d times, want 12: %s", n, log.String())
		}
	})
}
