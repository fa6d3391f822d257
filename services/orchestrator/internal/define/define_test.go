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
	}, nil)
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

// While orchestrators are replaced, one of the version before makes requests by the new definition.
func TestTheMarkWithAndWithoutAStyle(t *testing.T) {
	yesterday := map[string]any{"mark": "{name}"}
	styled := map[string]any{"mark": "{name}", "mark_style": map[string]any{
		"layout": "tiled", "color": "", "opacity": int32(35), "size": int32(0), "pages": "1-3"}}
	plain := map[string]any{"template": "{name}"}
	full := map[string]any{"template": "{name}", "layout": "tiled", "color": "", "opacity": 35.0, "size": 0.0, "pages": "1-3"}
	for name, tc := range map[string]struct {
		distribution, production, want map[string]any
		open                           bool
	}{
		"as yesterday knew it": {yesterday, map[string]any{"id": "p"}, plain, false},
		"without a style":      {yesterday, map[string]any{"id": "p", "open_restricted": false}, plain, false},
		"with one":             {styled, map[string]any{"id": "p", "open_restricted": true}, full, true},
	} {
		for _, step := range []string{"prepare", "watermark", "thumbnail"} {
			tc.distribution["locked"] = false
			got, err := builtin(t).Request(step, define.View{
				"production": tc.production, "distribution": tc.distribution,
				"file":      map[string]any{"sha256": "ff", "name": "a.pdf"},
				"recipient": map[string]any{"id": "D.r1"}, "item": map[string]any{"id": "D.1.1", "fields": map[string]any{}},
			}, nil)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, step, err)
			}
			var fields map[string]any
			err = json.Unmarshal([]byte(got), &fields)
			if err != nil {
				t.Fatal(err)
			}
			file := map[string]any{"sha256": "ff", "name": "a.pdf", "open_restricted": tc.open}
			if diff := cmp.Diff(tc.want, fields["mark"]) + cmp.Diff(file, fields["file"]); diff != "" {
				t.Errorf("%s, %s: mark or file differ (-want +got):\n%s", name, step, diff)
			}
		}
	}
}

func TestAStyleIsNotLostOnWhoKnowsNone(t *testing.T) {
	_, err := builtin(t).Request("watermark", define.View{
		"production": map[string]any{"id": "p"}, "distribution": map[string]any{"mark": "", "locked": false},
		"file": map[string]any{"sha256": "ff", "name": "a.pdf"}, "recipient": map[string]any{"id": "D.r1"},
		"item": map[string]any{"id": "D.1.1", "fields": map[string]any{}},
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "mark_style") {
		t.Errorf("got %v, want that it lacks mark_style", err)
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

func TestUsesOfTheMark(t *testing.T) {
	for step, want := range map[string]bool{"prepare": true, "watermark": true, "thumbnail": true, "link": false, "email": false, "push": false} {
		if got := builtin(t).Uses(step).Mark; got != want {
			t.Errorf("%s draws the mark: %v, want %v", step, got, want)
		}
	}
	for with, want := range map[string]bool{
		"{title: distribution.title}":                                false,
		"{style: 'has(distribution.mark_style)'}":                    true,
		"{text: 'distribution[\"mark\"]'}":                           true,
		"{all: distribution}":                                        true,
		"{text: '[1].map(distribution, distribution).size() > 0'}":   false,
		"{text: '[1].map(d, distribution.mark != \"\").size() > 0'}": true,
	} {
		d, err := define.Parse("name: own\nversion: 1\nsteps:\n  - {name: note, scope: recipient, function: own.Note, with: " + with + "}\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Uses("note").Mark; got != want {
			t.Errorf("%s draws the mark: %v, want %v", with, got, want)
		}
	}
}
