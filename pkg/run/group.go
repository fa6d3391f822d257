package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// Group starts loops and ends them in the reverse order of their starting, each after the one above it has ended:
// whoever is started last stops first, while all it needs still runs. Loop and Closer are called from one goroutine.
type Group struct {
	log    *slog.Logger
	failed chan struct{}

	mu    sync.Mutex
	err   error
	once  sync.Once
	stops []func()
}

// NewGroup returns an empty group.
func NewGroup(log *slog.Logger) *Group {
	return &Group{log: log, failed: make(chan struct{})}
}

// Failed is closed when a loop ended by itself.
func (g *Group) Failed() <-chan struct{} { return g.failed }

// Loop runs run until its turn to stop comes, and makes the group fail when it returns before.
func (g *Group) Loop(name string, run func(context.Context) error) {
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

// Closer closes something at its turn.
func (g *Group) Closer(name string, close func() error) {
	g.stops = append(g.stops, func() {
		err := close()
		if err != nil {
			g.fail(fmt.Errorf("close %s: %w", name, err))
		}
	})
}

func (g *Group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = errors.Join(g.err, err)
	g.once.Do(func() { close(g.failed) })
}

// Stop ends everything and returns what went wrong, now or before.
func (g *Group) Stop() error {
	for i := len(g.stops) - 1; i >= 0; i-- {
		g.stops[i]()
	}
	g.stops = nil
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
