package orchestrator

import (
	"context"
	"errors"
	"slices"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// failedWhole are the steps of the whole distribution that c chooses, with how many attempts they had: those that failed, if
// it does not choose recipients. What they need comes before them.
func (s *Server) failedWhole(ctx context.Context, d *distribution, c *choice) (map[string]int, error) {
	steps := d.steps.Whole()
	if len(steps) == 0 || c.Numbers != nil {
		return nil, nil
	}
	records, err := s.store.Units(ctx, d.production, d.id, []plan.Unit{{}})
	if err != nil {
		return nil, err
	}
	out, stay := map[string]int{}, map[string]bool{}
	for _, st := range steps {
		was := records[0].Steps[st.Name]
		if !slices.Contains(plan.GivenUp, was.State) {
			continue
		}
		// What was given up for another that is given up, and is not chosen, would be given up again.
		if c.Code != "" && was.Code != c.Code || slices.ContainsFunc(st.Needs, func(need string) bool { return stay[need] }) {
			stay[st.Name] = !st.Optional
			continue
		}
		out[st.Name] = was.Attempts
	}
	return out, nil
}

// retryWhole is the last of a retry: steps of the whole distribution that failed themselves. They wait for all that was asked
// for before.
func (s *Server) retryWhole(ctx context.Context, d *distribution, c *choice, ch store.Chore, at progress) error {
	whole, err := s.failedWhole(ctx, d, c)
	if err != nil {
		return err
	}
	at.next++
	if len(whole) > 0 {
		err = s.store.Revive(ctx, d.graph, d.production, d.id, store.Again{Whole: whole, Who: c.By, Kind: "retry", Chore: ch, Next: at.String()})
		if err != nil && !errors.Is(err, store.ErrCancelled) {
			return err
		}
		if err == nil {
			ch.Cursor = at.String()
		}
	}
	return s.retried(ctx, d, ch)
}
