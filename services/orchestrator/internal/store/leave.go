package store

import (
	"context"
	"slices"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// leftOut is the outcome that goes to what waits for a step that a person skipped: it is neither there nor missing.
const leftOut = "left"

// EndSteps ends steps, in order, that no worker has, for a chore whose cursor stays: skipped or cancelled by who. Steps that a
// worker has stay as they are, and so do those that have ended. Those of one unit end together. ErrTaken: somebody else goes on
// with the chore.
func (s *Store) EndSteps(ctx context.Context, c Chore, g *Graph, steps []plan.StepOf, to plan.State, who string) error {
	for from := 0; from < len(steps); {
		until := min(from+slice, len(steps))
		for until < len(steps) && until > from+1 && steps[until].Unit == steps[until-1].Unit {
			until--
		}
		var ops []luaOp
		for _, st := range steps[from:until] {
			step, ok := g.plan.Step(st.Step)
			if !ok {
				continue
			}
			k := luaKind{Step: st.Step, From: [3]plan.State(plan.Leaving), To: to, Outcome: outcomeOf(to), Code: plan.CodeCancelled, Told: who}
			if to == plan.Skipped {
				k.Outcome, k.Code = leftOut, plan.CodeSkipped
			}
			if step.Delivers != "" {
				k.Deliver = plan.Withdrawn
			}
			ops = append(ops, luaOp{unit: st.Unit, kind: k})
		}
		got, err := s.settle(ctx, g, c.Production, c.Distribution, ops, c, c.Cursor)
		if err != nil {
			return err
		}
		if !got.mine {
			return ErrTaken
		}
		from = until
	}
	return nil
}

// Unfinished reports whether a step in one of states is among those that a summary counts.
func (s *Summary) Unfinished(states ...plan.State) bool {
	for _, counts := range s.Steps {
		for state, n := range counts {
			if n > 0 && slices.Contains(states, state) {
				return true
			}
		}
	}
	return false
}
