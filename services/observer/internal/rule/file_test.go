package rule_test

import (
	"strings"
	"testing"

	"github.com/filigreehq/filigree/services/observer/internal/rule"
)

func TestTheBuiltInRulesWork(t *testing.T) {
	t.Parallel()
	rules := rule.Builtin()
	if len(rules) < 10 {
		t.Errorf("only %d", len(rules))
	}
	for _, r := range rules {
		if r.Source != "built in" || r.Title == r.Name || len(r.Actions) > 0 {
			t.Errorf("%s: from %q, titled %q, does %v", r.Name, r.Source, r.Title, r.Actions)
		}
	}
}

func TestWhatIsWrongWithAFileOfRulesIsToldByLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"name: x":                          "line 1: it is no list",
		"- x":                              "line 1: it is no rule",
		"- name: [":                        "line 1",
		"- name: x\n  on: run\n  wen: tru": `line 3: a rule has no "wen"`,
		"- name: x\n  on: run\n  when: state == 3":                               "line 3, rule x: when: line 1, column 7",
		"- name: x\n  on: run\n  when: 'true'\n  for: soon":                      `line 4: for: "soon" is no time`,
		"- name: x\n  on: run\n  when: 'true'\n  severity: high":                 "line 4: severity: it is page",
		"- {name: x, on: run, when: 'true'}\n- {name: x, on: run, when: 'true'}": "line 2: there is a rule x already, on line 1",
	} {
		_, err := rule.Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	rules, err := rule.Parse("")
	if err != nil || len(rules) != 0 {
		t.Errorf("an empty one: %v, %v", rules, err)
	}
	rules, err = rule.Parse("- name: x\n  on: failures\n  when: open > 3\n  actions:\n  - slack: https://hooks.example.com/1\n  - retry: true\n  - mail: [a@b.example]\n  - webhook: {url: https://x.example, credential: hook}\n")
	if err != nil || len(rules) != 1 || len(rules[0].Actions) != 4 || rules[0].Actions[0].Slack.URL == "" || !rules[0].Actions[1].Retry || rules[0].Actions[3].Webhook.Credential != "hook" {
		t.Errorf("with actions: %+v, %v", rules, err)
	}
}
