package define_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
)

func builtin(t *testing.T) *define.Definition {
	t.Helper()
	source, err := os.ReadFile("../../definitions/send-documents.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := define.Parse(string(source))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRequestOfTheMail(t *testing.T) {
	made := map[string]any{"watermark": map[string]any{"state": "done", "output": map[string]any{"artifact": map[string]any{
		"key": "art/default/aa", "sha256": "ff", "size": "1234", "media_type": "application/pdf"}}}}
	failed := map[string]any{"watermark": map[string]any{"state": "failed", "output": map[string]any{}}}
	got, err := builtin(t).Request("email", define.View{
		"production":   map[string]any{"id": "default", "name": "The Lamplighters"},
		"distribution": map[string]any{"subject": "Script", "text": "", "reply_to": "", "locked": false, "mode": "attachment"},
		"recipient":    map[string]any{"id": "D.r1", "delivery": "D.r1", "mail": "D.r1/2", "name": "Ana", "email": "ana@example.com"},
		"items": []any{
			map[string]any{"file": map[string]any{"name": "a.pdf"}, "steps": made},
			map[string]any{"file": map[string]any{"name": "b.pdf"}, "steps": failed},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	err = json.Unmarshal([]byte(got), &fields)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"production": "default", "production_name": "The Lamplighters", "delivery": "D.r1/2", "subject": "Script",
		"text": "", "locked": false, "link": "", "linked": []any{}, "to": map[string]any{"name": "Ana", "email": "ana@example.com"},
		"attachments": []any{map[string]any{
			"name": "a.pdf", "key": "art/default/aa", "sha256": "ff", "size": "1234", "media_type": "application/pdf"}},
		"missing": []any{"b.pdf"},
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("request differs (-want +got):\n%s", diff)
	}
}

func TestStepsWhoseConditionIsFalseAreLeftOut(t *testing.T) {
	for mode, want := range map[string][]string{
		"attachment": {"prepare", "watermark", "thumbnail", "email", "push"},
		"link":       {"prepare", "watermark", "thumbnail", "link", "email", "push"},
	} {
		graph, err := builtin(t).For(define.View{"distribution": map[string]any{"mode": mode}, "production": map[string]any{}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range graph.Steps {
			got = append(got, s.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: steps differ (-want +got):\n%s", mode, diff)
		}
	}
}

func TestParseSaysWhereAndWhat(t *testing.T) {
	for name, tc := range map[string]struct{ source, want string }{
		"an expression that does not compile": {"name: a\nversion: 1\nsteps:\n  - name: xx\n    scope: item\n    function: f.F\n    with: {a: 'item.('}\n", "line 4"},
		"a field nobody knows":                {"name: a\nversion: 1\nsteps: []\ncolour: red\n", "colour"},
		"a need that comes later":             {"name: a\nversion: 1\nsteps:\n  - {name: xx, scope: item, function: f.F, needs: [y]}\n", `needs "y"`},
		"an item that waits for a recipient":  {"name: a\nversion: 1\nsteps:\n  - {name: rr, scope: recipient, function: f.F}\n  - {name: xx, scope: item, function: f.F, needs: [rr]}\n", "cannot need"},
		"no steps":                            {"name: a\nversion: 1\n", "no steps"},
		"no version":                          {"name: a\nsteps: []\n", "version"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := define.Parse(tc.source)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want something with %q", err, tc.want)
			}
		})
	}
}
