package rule_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/rule"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func function(name string, workers, ready int, oldest time.Duration) rule.Row {
	return rule.Row{"name": name, "workers": workers, "running": 0, "ready": ready, "at_limit": 0, "oldest": oldest, "paused": false}
}

func failed(production, code, unit string) rule.Row {
	return rule.Row{"kind": "attempt", "production": production, "distribution": "D", "title": "T", "step": "email", "unit": unit, "attempt": 1, "worker": "w",
		"state": "failed", "code": code, "message": "it is " + code, "took": time.Second, "limit": "", "limited": time.Duration(0), "metrics": map[string]float64{"size": 3}}
}

type ids int

func (n *ids) next() string { *n++; return fmt.Sprint("a", int(*n)) }

func compile(t *testing.T, r rule.Rule) *rule.Compiled {
	t.Helper()
	c, err := rule.Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func look(t *testing.T, m *rule.Memory, c *rule.Compiled, n *ids, at time.Duration, rows ...rule.Row) []string {
	t.Helper()
	changes, err := m.Look(c, rows, noon.Add(at), n.next)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, ch := range changes {
		word := "over"
		if ch.Opened {
			word = "open"
		}
		out = append(out, fmt.Sprintf("%s %s %s ×%d", ch.ID, word, ch.Sentence, ch.Count))
	}
	return out
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestAnAlertOpensWhenItHasBeenSoForLongEnough(t *testing.T) {
	t.Parallel()
	c := compile(t, rule.Rule{Name: "no-worker", On: "function", When: "ready > 0 && workers == 0", For: 30 * time.Second,
		Sentence: "nobody serves {name}, and {ready} steps wait since {oldest}"})
	m, n := rule.NewMemory(), new(ids)
	bad, good := function("email.Send", 0, 7, 90*time.Second), function("email.Send", 1, 7, 90*time.Second)
	want(t, look(t, m, c, n, 0, bad))
	want(t, look(t, m, c, n, 10*time.Second, good)) // it was nothing
	want(t, look(t, m, c, n, 20*time.Second, bad))
	want(t, look(t, m, c, n, 49*time.Second, bad))
	want(t, look(t, m, c, n, 50*time.Second, bad, function("push.Send", 0, 0, 0)), "a1 open nobody serves email.Send, and 7 steps wait since 1m30s ×1")
	want(t, look(t, m, c, n, 60*time.Second, bad)) // once
	blind := function("email.Send", 0, 0, 0)
	blind[rule.Blind] = true
	want(t, look(t, m, c, n, 65*time.Second, blind)) // nobody can say that it is over
	want(t, look(t, m, c, n, 70*time.Second, good), "a1 over nobody serves email.Send, and 7 steps wait since 1m30s ×1")
	want(t, look(t, m, c, n, 80*time.Second, good))
}

// A thousand events of one cause are one alert.
func TestOneAlertPerCause(t *testing.T) {
	t.Parallel()
	c := compile(t, rule.Rule{Name: "failed", On: "event", When: `kind == "attempt" && state == "failed" && metrics.size > 1.0`})
	m, n := rule.NewMemory(), new(ids)
	var rows []rule.Row
	for i := range 1000 {
		rows = append(rows, failed("p", []string{"MAIL_REFUSED", "PDF_BROKEN"}[i%2], fmt.Sprint("r", i)))
	}
	want(t, look(t, m, c, n, 0, rows...), "a1 open p: email failed MAIL_REFUSED: it is MAIL_REFUSED ×500", "a2 open p: email failed PDF_BROKEN: it is PDF_BROKEN ×500")
	want(t, look(t, m, c, n, time.Minute, failed("p", "PDF_BROKEN", "r1")))
	want(t, look(t, m, c, n, 15*time.Minute+time.Second), "a1 over p: email failed MAIL_REFUSED: it is MAIL_REFUSED ×500")
	want(t, look(t, m, c, n, 16*time.Minute+time.Second), "a2 over p: email failed PDF_BROKEN: it is PDF_BROKEN ×501")
	want(t, look(t, m, c, n, 17*time.Minute, failed("q", "PDF_BROKEN", "r1")), "a3 open q: email failed PDF_BROKEN: it is PDF_BROKEN ×1")
}

func TestWhatShouldHaveHappenedAndHasNot(t *testing.T) {
	t.Parallel()
	c := compile(t, rule.Rule{Name: "dailies", On: "event", When: `kind == "ended"`, Absent: time.Hour, Productions: []string{"p"}})
	m, n := rule.NewMemory(), new(ids)
	ended := failed("p", "", "d")
	ended["kind"] = "ended"
	other := failed("q", "", "d")
	other["kind"] = "ended"
	want(t, look(t, m, c, n, 0))
	want(t, look(t, m, c, n, 59*time.Minute, other))
	want(t, look(t, m, c, n, 60*time.Minute, other), "a1 open what rule dailies expects has not happened for 1h0m0s ×1")
	want(t, look(t, m, c, n, 70*time.Minute))
	want(t, look(t, m, c, n, 80*time.Minute, ended), "a1 over what rule dailies expects has not happened for 1h10m0s ×1")
	want(t, look(t, m, c, n, 139*time.Minute))
	want(t, look(t, m, c, n, 140*time.Minute), "a2 open what rule dailies expects has not happened for 1h0m0s ×1")
	changes := m.Forget("dailies", noon)
	if len(changes) != 1 || changes[0].Opened || len(m.States) != 0 {
		t.Errorf("a rule that is gone: %v", changes)
	}
}

func TestARuleThatCannotWork(t *testing.T) {
	t.Parallel()
	fine := rule.Rule{Name: "x", On: "function", When: "ready > 0"}
	for name, tc := range map[string]struct {
		change func(*rule.Rule)
		say    string
	}{
		"a name with spaces": {func(r *rule.Rule) { r.Name = "No worker" }, "small letters"},
		"no such thing":      {func(r *rule.Rule) { r.On = "moon" }, "there are distribution, event, failures, function, heartbeat"},
		"no such field":      {func(r *rule.Rule) { r.When = "raedy > 0" }, "when: line 1, column 1: function has no 'raedy' (did you mean 'ready'?); it has name, workers, running"},
		"no condition":       {func(r *rule.Rule) { r.When = "ready" }, "when: it gives int, not bool"},
		"half of one":        {func(r *rule.Rule) { r.When = "ready >" }, "when: line 1, column 8"},
		"types":              {func(r *rule.Rule) { r.When = `ready > "3"` }, "when: line 1, column 7"},
		"a sentence's field": {func(r *rule.Rule) { r.Sentence = "{moon}" }, "function has no {moon}"},
		"for and absent":     {func(r *rule.Rule) { r.For, r.Absent = time.Second, time.Second }, "leave `for` out"},
		"for an event":       {func(r *rule.Rule) { r.On, r.When, r.For = "event", "true", time.Second }, "leave it out"},
		"nothing to retry":   {func(r *rule.Rule) { r.Actions = []rule.Action{{Retry: true}} }, "only groups of failures"},
		"nothing to pause":   {func(r *rule.Rule) { r.Actions = []rule.Action{{Pause: "production"}} }, "about no production"},
		"a group of numbers": {func(r *rule.Rule) { r.Group = "ready" }, "group: it gives int, not string"},
	} {
		r := fine
		tc.change(&r)
		_, err := rule.Compile(r)
		var e *rule.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), tc.say) {
			t.Errorf("%s: %v, want it to say %q", name, err, tc.say)
		}
	}
	// What costs more than a condition may is an error, and the others go on.
	c := compile(t, rule.Rule{Name: "dear", On: "event", When: `[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, a+b+c+d+e > 0)))))`})
	_, err := rule.NewMemory().Look(c, []rule.Row{failed("p", "X", "r1")}, noon, new(ids).next)
	if err == nil || !strings.Contains(err.Error(), "dear") {
		t.Errorf("a dear one: %v", err)
	}
}

// Rows of each kind have the fields that rules are promised, with the types that they are promised.
func TestTheReferenceNamesEveryField(t *testing.T) {
	t.Parallel()
	text := rule.Reference()
	for _, k := range rule.Kinds() {
		if !strings.Contains(text, "`"+k+"`: ") {
			t.Errorf("no %s", k)
		}
	}
}
