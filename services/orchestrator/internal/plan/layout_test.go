package plan_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// randomGraph makes a graph that may be wrong: needs of any scope, now and then of steps that come later.
func randomGraph(rng *rand.Rand) *plan.Definition {
	d := &plan.Definition{Name: "random", Version: 1}
	n := 1 + rng.IntN(6)
	name := func(i int) string { return fmt.Sprintf("step-%d", i) }
	for i := range n {
		s := plan.Step{Name: name(i), Scope: plan.Scopes[rng.IntN(len(plan.Scopes))], Function: "f.F", Optional: rng.IntN(4) == 0}
		for j := range n {
			if j < i && rng.IntN(3) == 0 || rng.IntN(40) == 0 {
				s.Needs = append(s.Needs, name(j))
			}
		}
		if rng.IntN(6) == 0 {
			s.Delivers = "email"
		}
		d.Steps = append(d.Steps, s)
	}
	return d
}

// with lists the units of scope that have to do with u: those whose file and recipient are not others.
func with(u plan.Unit, scope plan.Scope, size plan.Size) []plan.Unit {
	var out []plan.Unit
	for n := range size.Units() {
		v := size.UnitAt(n)
		if v.Scope() == scope && (u.File == 0 || v.File == 0 || u.File == v.File) &&
			(u.Recipient == 0 || v.Recipient == 0 || u.Recipient == v.Recipient) {
			out = append(out, v)
		}
	}
	return out
}

// Whatever graph is accepted comes to its end: each step waits for as many ends as there are, so that with the last of
// them, and not before, it can begin.
func TestWhatIsAcceptedCanBeLaidOut(t *testing.T) {
	accepted, refused := 0, 0
	for seed := range 20_000 {
		rng := rand.New(rand.NewPCG(uint64(seed), 5))
		d := randomGraph(rng)
		if d.Validate() != nil {
			refused++
			continue
		}
		accepted++
		size := plan.Size{Files: 1 + rng.IntN(3), Recipients: 1 + rng.IntN(4)}
		waits := map[string]map[plan.Unit]int{}
		for i := range d.Steps {
			s := &d.Steps[i]
			waits[s.Name] = map[plan.Unit]int{}
			units := with(plan.Unit{}, s.Scope, size)
			if len(units) != size.Count(s.Scope) {
				t.Fatalf("%d units of scope %s, want %d", len(units), s.Scope, size.Count(s.Scope))
			}
			for _, u := range units {
				waits[s.Name][u] = d.Waits(s, size)
			}
		}
		// Steps stand below what they need: one pass ends them all.
		for i := range d.Steps {
			s := &d.Steps[i]
			for u, left := range waits[s.Name] {
				if left != 0 {
					t.Fatalf("seed %d: step %s of %s still waits for %d when all it needs has ended: %+v", seed, s.Name, u, left, d.Steps)
				}
				for _, dep := range d.Dependents(s.Name) {
					for _, v := range with(u, dep.Scope, size) {
						waits[dep.Name][v]--
					}
				}
			}
		}
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
	if accepted < 1000 || refused < 1000 {
		t.Error("the graphs are too much alike to show anything")
	}
}

func TestProblemsOfAGraph(t *testing.T) {
	good := plan.Step{Name: "good", Scope: plan.ScopeItem, Function: "f.F"}
	for name, tc := range map[string]struct {
		steps []plan.Step
		want  plan.Problem
	}{
		"a name":            {[]plan.Step{{Name: "x", Scope: plan.ScopeItem, Function: "f.F"}}, plan.Problem{Step: 0, Field: "name", Index: -1}},
		"no function":       {[]plan.Step{good, {Name: "xx", Scope: plan.ScopeItem}}, plan.Problem{Step: 1, Field: "function", Index: -1}},
		"no such need":      {[]plan.Step{good, {Name: "xx", Scope: plan.ScopeItem, Function: "f.F", Needs: []string{"good", "bad"}}}, plan.Problem{Step: 1, Field: "needs", Index: 1}},
		"a need twice":      {[]plan.Step{good, {Name: "xx", Scope: plan.ScopeItem, Function: "f.F", Needs: []string{"good", "good"}}}, plan.Problem{Step: 1, Field: "needs", Index: 1}},
		"a scope":           {[]plan.Step{{Name: "xx", Scope: "itm", Function: "f.F"}}, plan.Problem{Step: 0, Field: "scope", Index: -1}},
		"optional delivery": {[]plan.Step{{Name: "xx", Scope: plan.ScopeRecipient, Function: "f.F", Delivers: "email", Optional: true}}, plan.Problem{Step: 0, Field: "delivers", Index: -1}},
	} {
		d := &plan.Definition{Name: "a", Version: 1, Steps: tc.steps}
		got := d.Problems()
		if len(got) != 1 || got[0].Text == "" || got[0].Step != tc.want.Step || got[0].Field != tc.want.Field || got[0].Index != tc.want.Index {
			t.Errorf("%s: got %+v, want one like %+v", name, got, tc.want)
		}
		if d.Validate() == nil {
			t.Errorf("%s: it is accepted", name)
		}
	}
}
