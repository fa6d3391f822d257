package define_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
)

// head begins definitions whose fourth line is the first of their steps.
const head = "name: a\nversion: 1\nsteps:\n"

func TestParseSaysWhereAndWhat(t *testing.T) {
	for _, tc := range []struct{ name, source, want string }{
		{"nothing", "",
			`line 1: it is empty; a definition has a name, a version and steps`},
		{"only a comment", "# to come\n",
			`line 1: it is empty; a definition has a name, a version and steps`},
		{"no YAML", "name: a\nversion: 1\nsteps: [\n",
			`line 3: this is not YAML: did not find expected node content`},
		{"a tab", "name: a\nversion: 1\nsteps:\n\t- name: xx\n",
			`line 4: this is not YAML: found character that cannot start any token`},
		{"a list", "- name: a\n",
			`line 1: here belong fields, and there is a list`},
		{"two documents", head + "  - {name: xx, scope: item, function: f.F}\n---\nname: b\n",
			`line 5: a second document begins here; each definition is a file of its own`},
		{"no name, no version, no steps", "\n\nsteps: []\n", lines(
			`line 3: it has no name; a definition has a name and a version, counted from 1`,
			`line 3: it has no version; a definition has a name and a version, counted from 1`,
			`line 3: it has no steps; a definition has at least one`)},
		{"a bad name and a bad version", "name: My Steps\nversion: 0\nsteps:\n  - {name: xx, scope: item, function: f.F}\n", lines(
			`line 1, name: "My Steps" is no name for a definition; it has up to 64 lower-case letters, digits and dashes, a letter first`,
			`line 2, version: it is a whole number from 1 to 1000000000, not "0"`)},
		{"a field nobody knows", head + "  - {name: xx, scope: item, function: f.F}\ncolour: red\n",
			`line 5: there is no field "colour"; there are name, version and steps`},
		{"a slip in a field", head + "  - name: xx\n    scope: item\n    function: f.F\n    neds: [yy]\n    retry: {atempts: 3}\n", lines(
			`line 7, step "xx": there is no field "neds"; did you mean "needs"?`,
			`line 8, step "xx", retry: there is no field "atempts"; did you mean "attempts"?`)},
		{"a field twice", head + "  - name: xx\n    scope: item\n    function: f.F\n    scope: file\n",
			`line 7, step "xx", scope: it is there twice; the first is in line 5`},
		{"a step that is a word", head + "  - watermark\n",
			`line 4, step "1": here belongs a step, and there is "watermark"`},
		{"a step without anything", head + "  - optional: true\n", lines(
			`line 4, step "1", name: it has none; a name has 2 to 20 lower-case letters, digits and dashes`,
			`line 4, step "1", scope: it has none; a step is about the distribution, a file, a recipient or an item`,
			`line 4, step "1", function: it calls none; name the function that a worker announces`)},
		{"step names", head + "  - {name: X, scope: item, function: f.F}\n  - {name: d-step-that-is-far-too-long, scope: item, function: f.F}\n", lines(
			`line 4, step "X", name: "X" is no name for a step; it has 2 to 20 lower-case letters, digits and dashes`,
			`line 5, step "d-step-that-is-far-too-long", name: "d-step-that-is-far-too-long" is no name for a step; it has 2 to 20 lower-case letters, digits and dashes`)},
		{"a name twice", head + "  - {name: xx, scope: item, function: f.F}\n  - {name: xx, scope: item, function: f.F}\n",
			`line 5, step "xx", name: step 1 has this name already`},
		{"a bad scope", head + "  - name: xx\n    scope: itm\n    function: f.F\n",
			`line 5, step "xx", scope: "itm" is no scope; a step is about the distribution, a file, a recipient or an item`},
		{"functions", head + "  - name: xx\n    scope: item\n    function: f.F@0\n  - name: yy\n    scope: item\n    function: http://host/f\n  - name: zz\n    scope: item\n    function:\n", lines(
			`line 6, step "xx", function: "f.F@0" is no function; it is a name that a worker announces, such as watermark.Stamp, or with a version watermark.Stamp@2`,
			`line 9, step "yy", function: "http://host/f" is no function; it is a name that a worker announces, such as watermark.Stamp, or with a version watermark.Stamp@2`,
			`line 10, step "zz", function: it calls none; name the function that a worker announces`)},
		{"a need that is no step", head + "  - {name: watermark, scope: item, function: f.F}\n  - name: email\n    scope: recipient\n    function: f.F\n    needs:\n      - watermark\n      - watermrk\n",
			`line 10, step "email", needs: there is no step "watermrk"; the others are watermark`},
		{"a need that comes later", head + "  - {name: xx, scope: item, function: f.F, needs: [yy]}\n  - {name: yy, scope: item, function: f.F}\n",
			`line 4, step "xx", needs: "yy" comes later; a step stands below all that it needs`},
		{"a circle", head + "  - name: aa\n    scope: item\n    function: f.F\n    needs: [cc]\n  - name: bb\n    scope: item\n    function: f.F\n    needs: [aa]\n  - name: cc\n    scope: item\n    function: f.F\n    needs: [bb, cc, bb]\n", lines(
			`line 7, step "aa", needs: these wait for each other: aa needs cc, which needs bb, which needs aa`,
			`line 15, step "cc", needs: a step cannot wait for itself`,
			`line 15, step "cc", needs: "bb" is there twice`)},
		{"an item that waits for a recipient", head + "  - {name: rr, scope: recipient, function: f.F}\n  - name: xx\n    scope: item\n    function: f.F\n    needs: [rr]\n",
			`line 8, step "xx", needs: a step for each item cannot wait for "rr", which is for each recipient; it may wait for steps of its item and of its file`},
		{"needs that are no list", head + "  - name: xx\n    scope: item\n    function: f.F\n    needs: {a: b}\n",
			`line 7, step "xx", needs: here belongs a list, such as [a, b], and there is a group of fields`},
		{"an expression that cannot be read", head + "  - name: xx\n    scope: item\n    function: f.F\n    with:\n      a: 'item.('\n",
			`line 8, step "xx", with.a: this cannot be read at "(": no viable alternative at input '.('`},
		{"an expression that stops", head + "  - name: xx\n    scope: item\n    function: f.F\n    with:\n      a: >-\n        item.id +\n          file.name +\n\n      b: item.id\n",
			`line 12, step "xx", with.a: this cannot be read at its end: mismatched input '<EOF>'`},
		{"a word that expressions do not know", head + "  - name: xx\n    scope: item\n    function: f.F\n    with:\n      a: |\n        # the id\n        itm.id\n      b: distribution.nope\n", lines(
			`line 9, step "xx", with.a: this cannot be read at "# the id": token recognition error at: '#'`,
			`line 9, step "xx", with.a: this cannot be read at "id": mismatched input 'id'`)},
		{"types that do not fit", head + "  - name: xx\n    scope: item\n    function: f.F\n    with:\n      a: \"\\\"\\\" +\n        item.id + (1 + 'b')\"\n",
			`line 9, step "xx", with.a: at "+ 'b')": found no matching overload for '_+_' applied to '(int, string)'`},
		{"a request that was not quoted", head + "  - name: xx\n    scope: item\n    function: f.F\n    with:\n      to: {name: recipient.name}\n      2nd: item.id\n", lines(
			`line 8, step "xx", with.to: here belongs an expression, and there is a group of fields; put quotes around an expression that begins with { or [`,
			`line 9, step "xx", with: "2nd" is no name of a field`)},
		{"variables of another scope", head + "  - name: xx\n    scope: recipient\n    function: f.F\n    with:\n      a: 'items.map(item, item.id)'\n      b: >-\n        recipient.name\n        + file.name\n",
			`line 11, step "xx", with.b: a step for each recipient has no "file"; it may look at distribution, production, recipient, items and steps`},
		{"steps that are not waited for", head + `  - {name: aa, scope: file, function: f.F}
  - {name: bb, scope: item, function: f.F, needs: [aa]}
  - {name: cc, scope: item, function: f.F}
  - name: dd
    scope: recipient
    function: f.F
    needs: [bb]
    with:
      a: steps.bb.output.x
      b: items.map(i, i.steps.cc.state)
      c: items.filter(i, i.steps.bb.state == "done").map(i, i.steps.b.output)
      d: steps["cc"].state + steps.aa.state
      e: items[0].steps.aa.state
`, lines(
			`line 12, step "dd", with.a: step "bb" is one of each item; look at it as items.all(i, i.steps.bb.state == "done")`,
			`line 13, step "dd", with.b: step "cc" of the items may not have ended yet; add it to needs`,
			`line 14, step "dd", with.c: items have no step "b"; did you mean "bb"?`,
			`line 15, step "dd", with.d: step "aa" is one of each file, and there are many for one recipient`,
			`line 15, step "dd", with.d: steps.cc may not have ended yet; add "cc" to needs`,
			`line 16, step "dd", with.e: items have no step "aa"; there is bb`)},
		{"a step that is waited for through one that may be left out", head + `  - {name: aa, scope: item, function: f.F}
  - {name: bb, scope: item, function: f.F, needs: [aa], when: distribution.locked}
  - name: cc
    scope: item
    function: f.F
    needs: [bb]
    with: {b: steps.bb.state, a: steps.aa.state}
`,
			`line 10, step "cc", with.a: steps.aa may not have ended yet; add "aa" to needs`},
		{"conditions and keys of other types", head + "  - name: xx\n    scope: item\n    function: f.F\n    when: '\"yes\"'\n    exclusive: 1 + 2\n", lines(
			`line 7, step "xx", when: it gives a text, not true or false`,
			`line 8, step "xx", exclusive: it gives a number, not a text`)},
		{"a key of what steps gave", head + "  - {name: aa, scope: item, function: f.F}\n  - name: xx\n    scope: item\n    function: f.F\n    needs: [aa]\n    exclusive: steps.aa.output.drive\n",
			`line 9, step "xx", exclusive: the key is made when the distribution starts, so it cannot look at "steps", which tells what steps gave`},
		{"numbers and times", head + "  - name: xx\n    scope: item\n    function: f.F\n    priority: 10\n    timeout: 5\n    retry:\n      attempts: many\n      backoff: [1s, 2 days]\n    optional: yes\n", lines(
			`line 7, step "xx", priority: it is a whole number from 0 to 9, not "10"`,
			`line 8, step "xx", timeout: it is a time such as 500ms, 30s or 5m, at most 24h, not "5"`,
			`line 10, step "xx", retry.attempts: it is a whole number from 1 to 100, not "many"`,
			`line 11, step "xx", retry.backoff: it is a time such as 500ms, 30s or 5m, at most 24h, not "2 days"`,
			`line 12, step "xx", optional: it is true or false, not "yes"`)},
		{"a back-off that grows", head + "  - name: xx\n    scope: item\n    function: f.F\n    retry: {backoff: {first: 1s, factor: 0, max: 3s}, permanent: [full]}\n", lines(
			`line 7, step "xx", retry.permanent: "full" is no code of an error; it is a word such as EMAIL_REJECTED`,
			`line 7, step "xx", retry.backoff: there is no field "max"; there are first, factor and most`,
			`line 7, step "xx", retry.backoff.factor: it is a whole number from 1 to 10, not "0"`)},
		{"limits and resources", head + "  - name: xx\n    scope: item\n    function: f.F\n    limits: [drive, team/drive, 7up]\n    resources:\n      - studio/smtp\n      - drive\n", lines(
			`line 7, step "xx", limits: "team/drive" is no name of a limit or a resource; it has up to 48 letters, digits and the signs . @ _ -, a letter first, and studio/ before it if all productions share it`,
			`line 7, step "xx", limits: "7up" is no name of a limit or a resource; it has up to 48 letters, digits and the signs . @ _ -, a letter first, and studio/ before it if all productions share it`,
			`line 10, step "xx", resources: "drive" is there twice; a resource is a limit, too, and is named once`)},
		{"a step that starts and calls", head + "  - name: xx\n    scope: item\n    starts: true\n    function: f.F\n  - {name: yy, scope: item, function: distribution.Start}\n", lines(
			`line 7, step "xx", function: a step that starts a distribution calls no function of its own; leave out starts or function`,
			"line 8, step \"yy\", function: to start another distribution, say `starts: true` instead")},
		{"deliveries", head + "  - {name: aa, scope: item, function: f.F, delivers: email}\n  - {name: bb, scope: recipient, function: f.F, delivers: email, optional: true}\n  - {name: cc, scope: recipient, function: f.F, delivers: A B}\n", lines(
			`line 4, step "aa", delivers: only a step of scope recipient delivers`,
			`line 5, step "bb", delivers: what is delivered cannot be optional: items are done when it is`,
			`line 6, step "cc", delivers: "A B" is no channel; it is a lower-case word, such as email`,
			`line 6, step "cc", delivers: step "aa" delivers already, and one may`)},
		{"an alias", head + "  - name: xx\n    scope: item\n    function: f.F\n    with: {a: &a item.id}\n  - name: yy\n    scope: file\n    function: f.F\n    with:\n      a: *a\n",
			`line 12, step "yy", with.a: a step for each file has no "item"; it may look at distribution, production, file and steps`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := define.Parse(tc.source)
			var bad *define.Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a *define.Error", err)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("problems differ (-want +got):\n%s", diff)
			}
		})
	}
}

func lines(l ...string) string { return strings.Join(l, "\n") }

// A file that is another than was meant does not fill the screen.
func TestParseTellsTheFirstProblems(t *testing.T) {
	_, err := define.Parse(head + strings.Repeat("  - optional: sometimes\n", 65))
	got := strings.Split(err.Error(), "\n")
	if len(got) != 51 || got[50] != "and 207 more" {
		t.Errorf("got %d lines, the last %q; want 50, and how many more there are", len(got), got[len(got)-1])
	}
	if got[0] != "line 4, steps: there are 65; at most 64 are allowed" {
		t.Errorf("got %q first", got[0])
	}
}
