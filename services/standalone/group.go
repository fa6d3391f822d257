package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// group starts loops and closes things in the reverse order of their starting, each after the one above it has ended:
// whoever is started last stops first, while all it needs still runs.
type group struct {
	log    *slog.Logger
	failed chan struct{} // closed when a loop ended by itself

	mu    sync.Mutex
	err   error
	once  sync.Once
	stops []func()
}

func newGroup(log *slog.Logger) *group {
	return &group{log: log, failed: make(chan struct{})}
}

// loop runs run until stop, and makes the group fail when it returns before.
func (g *group) loop(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := run(ctx)
		if err == nil && ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		g.fail(fmt.Errorf("%s: %w", name, err))
	}()
	g.stops = append(g.stops, func() {
		cancel()
		<-done
		g.log.Debug("stopped", "part", name)
	})
}

// closer closes something at its turn.
func (g *group) closer(name string, close func() error) {
	g.stops = append(g.stops, func() {
		err := close()
		if err != nil {
			g.fail(fmt.Errorf("close %s: %w", name, err))
		}
	})
}

func (g *group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = errors.Join(g.err, err)
	g.once.Do(func() { close(g.failed) })
}

// stop ends everything and returns what went wrong.
func (g *group) stop() error {
	for i := len(g.stops) - 1; i >= 0; i-- {
		g.stops[i]()
	}
	g.stops = nil
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
