package define_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

func parse(t *testing.T, source string) *define.Definition {
	t.Helper()
	d, err := define.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func step(t *testing.T, d *plan.Definition, name string) *plan.Step {
	t.Helper()
	s, ok := d.Step(name)
	if !ok {
		t.Fatalf("there is no step %s", name)
	}
	return s
}

func TestWhatAStepSays(t *testing.T) {
	d := parse(t, head+`  - name: upload
    scope: item
    function: drive.Upload@2
    priority: 7
    limits: [drive-writes, studio/egress]
    resources: [drive]
    exclusive: recipient.email
    optional: true
    reaches: true
    timeout: 90s
    retry: {attempts: 3, backoff: [1s, 1m], permanent: [DRIVE_FULL]}
  - name: wait
    scope: item
    starts: true
    resources: [studio/smtp]
    limits: [drive]
    retry: {attempts: 6, backoff: {first: 2s, factor: 3, most: 1m}}
  - {name: plain, scope: file, function: f.F}
  - {name: once, scope: file, function: f.F, retry: {attempts: 1}}
`)
	want := []plan.Step{
		{Name: "upload", Scope: plan.ScopeItem, Function: "drive.Upload@2", Priority: 7, Optional: true, Reaches: true, Exclusive: true,
			Limits: []string{"drive-writes", "studio/egress", "drive"}, Resources: []string{"drive"}, Timeout: 90 * time.Second,
			Retry: plan.Retry{Attempts: 3, Backoff: []time.Duration{time.Second, time.Minute}, Permanent: []string{"DRIVE_FULL"}}},
		{Name: "wait", Scope: plan.ScopeItem, Function: "distribution.Start", Starts: true,
			Limits: []string{"studio/smtp", "drive"}, Resources: []string{"studio/smtp"}, Timeout: 5 * time.Minute,
			Retry: plan.Retry{Attempts: 6, Backoff: []time.Duration{2 * time.Second, 6 * time.Second, 18 * time.Second, 54 * time.Second, time.Minute}}},
		{Name: "plain", Scope: plan.ScopeFile, Function: "f.F", Timeout: 5 * time.Minute,
			Retry: plan.Retry{Attempts: 5, Backoff: []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute}}},
		{Name: "once", Scope: plan.ScopeFile, Function: "f.F", Timeout: 5 * time.Minute,
			Retry: plan.Retry{Attempts: 1, Backoff: []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute}}},
	}
	if diff := cmp.Diff(want, d.Steps); diff != "" {
		t.Errorf("steps differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"drive.Upload@2", "distribution.Start", "f.F"}, d.Functions()); diff != "" {
		t.Errorf("functions differ (-want +got):\n%s", diff)
	}
}

const gates = head + `  - {name: prepare, scope: file, function: f.F}
  - {name: check, scope: item, function: f.F, needs: [prepare], when: 'distribution.mode == "link" && production.strict'}
  - {name: stamp, scope: item, function: f.F, needs: [check], when: 'steps.check.state == "skipped" || steps.check.output.good'}
  - {name: late, scope: item, function: f.F, needs: [prepare], when: item.fields.role == "Writer"}
  - {name: mail, scope: recipient, function: f.F, needs: [stamp], when: 'items.exists(i, i.steps.stamp.state == "done")'}
`

// What looks at nothing but the distribution and its production is decided before anything runs, all else by whoever
// hands a step out.
func TestWhenAConditionIsDecided(t *testing.T) {
	d := parse(t, gates)
	for name, conditional := range map[string]bool{"prepare": false, "check": false, "stamp": true, "late": true, "mail": true} {
		if got := step(t, &d.Definition, name).Conditional; got != conditional {
			t.Errorf("%s: conditional is %v, want %v", name, got, conditional)
		}
	}
	for mode, want := range map[string]string{"link": "prepare check stamp late mail", "attachment": "prepare stamp late mail"} {
		graph, err := d.For(define.View{"distribution": map[string]any{"mode": mode}, "production": map[string]any{"strict": true}})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range graph.Steps {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %s, want %s", mode, got, want)
		}
	}
}

func TestWhen(t *testing.T) {
	d := parse(t, gates)
	steps := func(check map[string]any) define.View {
		return define.View{"steps": map[string]any{"check": check}, "item": map[string]any{"fields": map[string]any{"role": "Writer"}}}
	}
	items := func(states ...string) define.View {
		var all []any
		for _, s := range states {
			all = append(all, map[string]any{"steps": map[string]any{"stamp": map[string]any{"state": s}}})
		}
		return define.View{"items": all}
	}
	for _, tc := range []struct {
		name, step string
		view       define.View
		want       bool
	}{
		{"no condition", "prepare", define.View{}, true},
		{"an output that says yes", "stamp", steps(map[string]any{"state": "done", "output": map[string]any{"good": true}}), true},
		{"an output that says no", "stamp", steps(map[string]any{"state": "done", "output": map[string]any{"good": false}}), false},
		{"a step that was left out", "stamp", define.View{}, true},
		{"a step that was left out, beside others", "stamp", define.View{"steps": map[string]any{"prepare": map[string]any{"state": "done"}}}, true},
		{"a field of the item", "late", steps(nil), true},
		{"one of the items", "mail", items("failed", "done"), true},
		{"none of the items", "mail", items("failed"), false},
		{"items without the step", "mail", define.View{"items": []any{map[string]any{"id": "D.1.1"}}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := d.When(tc.step, tc.view)
			if err != nil || got != tc.want {
				t.Errorf("got %v, %v, want %v", got, err, tc.want)
			}
		})
	}
	_, err := d.When("stamp", steps(map[string]any{"state": "done", "output": map[string]any{}}))
	if err == nil || !strings.Contains(err.Error(), "step stamp: when: no such key: good") {
		t.Errorf("got %v, want that the output lacks it", err)
	}
	_, err = d.When("stamp", steps(map[string]any{"state": "done", "output": map[string]any{"good": "yes"}}))
	if err == nil {
		t.Error("a condition that gives a text was taken")
	}
}

// Leaving a step out must not start those too early that waited through it for others.
func TestWhoWaitsThroughAStepThatIsLeftOut(t *testing.T) {
	for name, tc := range map[string]struct{ source, want string }{
		"something is left to wait for": {`  - {name: aa, scope: item, function: f.F}
  - {name: bb, scope: item, function: f.F, needs: [aa]}
  - {name: cc, scope: item, function: f.F, needs: [bb], when: "false"}
  - {name: dd, scope: item, function: f.F, needs: [aa, cc]}
`, "aa[] bb[aa] dd[aa]"},
		"nothing is left": {`  - {name: aa, scope: item, function: f.F}
  - {name: bb, scope: item, function: f.F, needs: [aa], when: "false"}
  - {name: cc, scope: item, function: f.F, needs: [bb], when: "false"}
  - {name: dd, scope: recipient, function: f.F, needs: [cc, bb]}
`, "aa[] dd[aa]"},
		"who waits cannot wait for the other": {`  - {name: aa, scope: file, function: f.F}
  - {name: bb, scope: item, function: f.F, needs: [aa], when: "false"}
  - {name: cc, scope: recipient, function: f.F, needs: [bb]}
`, "aa[] bb?[aa] cc[bb]"},
		"a condition that holds": {`  - {name: aa, scope: file, function: f.F}
  - {name: bb, scope: item, function: f.F, needs: [aa], when: "true"}
  - {name: cc, scope: recipient, function: f.F, needs: [bb]}
`, "aa[] bb[aa] cc[bb]"},
	} {
		t.Run(name, func(t *testing.T) {
			graph, err := parse(t, head+tc.source).For(define.View{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range graph.Steps {
				mark := ""
				if s.Conditional {
					mark = "?"
				}
				got = append(got, s.Name+mark+"["+strings.Join(s.Needs, ",")+"]")
			}
			if text := strings.Join(got, " "); text != tc.want {
				t.Errorf("got %s, want %s", text, tc.want)
			}
		})
	}
}

func TestKey(t *testing.T) {
	d := parse(t, head+`  - {name: free, scope: item, function: f.F}
  - {name: mine, scope: item, function: f.F, exclusive: recipient.email}
  - {name: some, scope: item, function: f.F, exclusive: 'distribution.locked ? dyn(file.name) : dyn(null)'}
`)
	view := func(email string, locked bool) define.View {
		return define.View{"recipient": map[string]any{"email": email}, "file": map[string]any{"name": "a.pdf"},
			"distribution": map[string]any{"locked": locked}}
	}
	for _, tc := range []struct {
		step string
		view define.View
		want string
	}{
		{"free", view("a@b.c", true), ""},
		{"mine", view("a@b.c", true), "a@b.c"},
		{"mine", view("", true), ""},
		{"some", view("", true), "a.pdf"},
		{"some", view("", false), ""},
	} {
		got, err := d.Key(tc.step, tc.view)
		if err != nil || got != tc.want {
			t.Errorf("%s: got %q, %v, want %q", tc.step, got, err, tc.want)
		}
	}
	_, err := d.Key("mine", define.View{"recipient": map[string]any{"email": 5}})
	if err == nil {
		t.Error("a number was taken for a key")
	}
}

func TestRequestOverSteps(t *testing.T) {
	d := parse(t, head+`  - {name: review, scope: item, function: f.F}
  - {name: my-own, scope: item, function: f.F, when: distribution.own}
  - name: stamp
    scope: item
    function: f.F
    needs: [review, my-own]
    with:
      by: steps.review.output.by
      own: steps["my-own"].state
`)
	got, err := d.Request("stamp", define.View{"steps": map[string]any{
		"review": map[string]any{"state": "done", "output": map[string]any{"by": "Ana"}}}}, nil)
	if err != nil || got != `{"by":"Ana","own":"skipped"}` {
		t.Errorf("got %s, %v", got, err)
	}
}

// Whatever is left out: what remains is a graph, and nobody begins before those that he waited for, through others or
// not, as far as these remain.
func TestWhateverIsLeftOut(t *testing.T) {
	scopes := []plan.Scope{plan.ScopeFile, plan.ScopeItem, plan.ScopeItem, plan.ScopeRecipient, plan.ScopeDistribution}
	seen := map[string]int{}
	for seed := range 3000 {
		rng := rand.New(rand.NewPCG(uint64(seed), 3))
		source := head
		var names []string
		var at []plan.Scope
		for i := range 2 + rng.IntN(5) {
			name, scope := fmt.Sprint("s", i), scopes[min(rng.IntN(i+2), len(scopes)-1)]
			var needs []string
			for j, n := range names {
				if plan.MayNeed(at[j], scope) && rng.IntN(2) == 0 {
					needs = append(needs, n)
				}
			}
			when := ""
			if i > 0 && rng.IntN(2) == 0 {
				when = fmt.Sprintf(", when: %q", fmt.Sprint(rng.IntN(3) == 0))
			}
			source += fmt.Sprintf("  - {name: %s, scope: %s, function: f.F, needs: [%s]%s}\n", name, scope, strings.Join(needs, ", "), when)
			names, at = append(names, name), append(at, scope)
		}
		d := parse(t, source)
		graph, err := d.For(define.View{})
		if err != nil {
			t.Fatalf("%v\n%s", err, source)
		}
		for i := range graph.Steps {
			s := &graph.Steps[i]
			was := step(t, &d.Definition, s.Name)
			if len(s.Needs) == 0 && len(was.Needs) > 0 {
				for n := range ancestors(&d.Definition, s.Name) {
					_, remains := graph.Step(n)
					if remains {
						t.Fatalf("%s begins at once, and waited for %s:\n%s", s.Name, n, source)
					}
				}
				seen["nothing left"]++
			}
			if s.Conditional {
				seen["not spared"]++
			}
		}
		seen["left out"] += len(d.Steps) - len(graph.Steps)
	}
	for _, what := range []string{"nothing left", "not spared", "left out"} {
		if seen[what] < 20 {
			t.Errorf("%q came %d times, too rarely to show anything", what, seen[what])
		}
	}
}

// ancestors are all steps that one waits for, through others or not.
func ancestors(d *plan.Definition, name string) map[string]bool {
	all := map[string]bool{}
	s, _ := d.Step(name)
	for _, n := range s.Needs {
		all[n] = true
		for m := range ancestors(d, n) {
			all[m] = true
		}
	}
	return all
}
