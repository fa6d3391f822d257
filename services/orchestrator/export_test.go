package orchestrator

import (
	"context"
	"time"
)

// StartDue starts what is due, as Run does each second.
func (s *Server) StartDue(ctx context.Context) error { return s.schedules(ctx) }

// SetClock makes s go by another clock than Redis's, where schedules and webhooks are concerned.
func (s *Server) SetClock(now func() time.Time) { s.store.Clock = now }

// Tend makes the moves that resources have to make, as Run does all the time.
func (s *Server) Tend(ctx context.Context) error { return s.tend(ctx) }
