package orchestrator

import (
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// What can be told by word is what stands in the view, and everything that is read for it is.
func TestWordsAreWhatTheViewHas(t *testing.T) {
	t.Parallel()
	d := &distribution{id: "D", production: "p", spec: spec{At: time.Unix(0, 0), Files: []file{{SHA256: strings.Repeat("a", 64), Name: "a.pdf"}}}}
	people := map[string]*store.Recipient{"unread": nil, "plain": {Name: "Ana", Email: "ana@example.com"},
		"again": {Name: "Ana", Email: "ana@example.com", Revision: 2, Mails: 1}}
	told := 0
	for name, r := range people {
		for _, u := range []plan.Unit{{}, {File: 1}, {Recipient: 3}, {File: 1, Recipient: 3}} {
			if u.Recipient == 0 && r != nil {
				continue
			}
			k := &known{d: d, unit: u, facts: &store.Facts{Person: r}}
			view, err := k.View()
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{
				"item.id", "item.fields", "recipient.id", "recipient.name", "recipient.email", "recipient.delivery", "recipient.mail",
				"recipient.number", "file.sha256", "file.name", "file.pages", "distribution.id", "production.id",
			} {
				got, ok := k.Word(path)
				if !ok {
					continue
				}
				told++
				variable, field, _ := strings.Cut(path, ".")
				of, there := view[variable].(map[string]any)
				if there && of[field] != got {
					t.Errorf("%s, %s, %s: told %q, and the view has %v", name, u, path, got, of[field])
				}
				if !there && (r != nil || field != "id") {
					t.Errorf("%s, %s, %s: told %q, and the view has nothing", name, u, path, got)
				}
			}
		}
	}
	if told < 15 {
		t.Errorf("%d words were told, want more", told)
	}
}
