package plan_test

import (
	"testing"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

func TestTheNextMoveOfAResource(t *testing.T) {
	t.Parallel()
	made := plan.Standing{Life: plan.LifeReady, Creates: true, Made: true, Destroys: true, Unused: true}
	with := func(s plan.Standing, change func(*plan.Standing)) plan.Standing {
		change(&s)
		return s
	}
	absent := plan.Standing{Life: plan.LifeAbsent, Creates: true, Unused: true}
	failed := plan.Standing{Life: plan.LifeFailed, Creates: true, Made: true, Wanted: true, Unused: true}
	going := plan.Standing{Life: plan.LifeDestroying, Creates: true, Made: true, Destroys: true, Unused: true}
	for _, test := range []struct {
		name string
		s    plan.Standing
		want plan.Move
	}{
		{"nobody needs it", absent, plan.MoveNone},
		{"somebody does", with(absent, func(s *plan.Standing) { s.Wanted = true }), plan.MoveCreate},
		{"there is nothing to create any more", with(absent, func(s *plan.Standing) { s.Creates = false }), plan.MoveAdopt},
		{"absent and deleted", with(absent, func(s *plan.Standing) { s.Deleted, s.Wanted = true, true }), plan.MoveRemove},
		{"being created", plan.Standing{Life: plan.LifeCreating, Busy: true, Wanted: true, Creates: true, Deleted: true}, plan.MoveNone},
		{"failed just now", with(failed, func(s *plan.Standing) { s.Blocked = true }), plan.MoveNone},
		{"failed a while ago", failed, plan.MoveCreate},
		{"failed, and corrected", with(failed, func(s *plan.Standing) { s.Blocked, s.Changed = true, true }), plan.MoveDrop},
		{"ready", made, plan.MoveNone},
		{"idle, and in use", with(made, func(s *plan.Standing) { s.Idle, s.Unused = true, false }), plan.MoveNone},
		{"idle", with(made, func(s *plan.Standing) { s.Idle = true }), plan.MoveDrain},
		{"other words, in use", with(made, func(s *plan.Standing) { s.Changed, s.Unused = true, false }), plan.MoveDrain},
		{"no create any more", with(made, func(s *plan.Standing) { s.Creates = false }), plan.MoveDrain},
		{"deleted, in use", with(made, func(s *plan.Standing) { s.Deleted, s.Unused = true, false }), plan.MoveDrain},
		{"never created, and now there is a function for it", with(made, func(s *plan.Standing) { s.Made = false }), plan.MoveUnmake},
		{"never created, deleted", with(made, func(s *plan.Standing) { s.Made, s.Deleted = false, true }), plan.MoveRemove},
		{"a check is due", with(made, func(s *plan.Standing) { s.CheckDue = true }), plan.MoveCheck},
		{"a check is due and under way", with(made, func(s *plan.Standing) { s.CheckDue, s.Checking = true, true }), plan.MoveNone},
		{"going, with users", with(going, func(s *plan.Standing) { s.Unused = false }), plan.MoveNone},
		{"going, unused", going, plan.MoveDestroy},
		{"going, its function at work", with(going, func(s *plan.Standing) { s.Busy = true }), plan.MoveNone},
		{"going, its function failed just now", with(going, func(s *plan.Standing) { s.Blocked = true }), plan.MoveNone},
		{"going, without a function", with(going, func(s *plan.Standing) { s.Destroys = false }), plan.MoveDrop},
	} {
		got := test.s.Next()
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
