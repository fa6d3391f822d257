package define_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Whatever is put in: it is refused with lines that it has, or it is a graph that can be laid out.
func FuzzParse(f *testing.F) {
	source, err := os.ReadFile("../../definitions/send-documents.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(source))
	f.Add(head + "  - {name: xx, scope: item, function: f.F, needs: [yy], when: steps.yy.output.a, exclusive: item.id}\n")
	f.Add(head + "  - &a {name: xx, scope: file, function: f.F, retry: {attempts: 3, backoff: {first: 1s, factor: 3}}}\n  - *a\n")
	f.Add("a: &a [*a]\nsteps: *a\n")
	f.Add("steps:\n" + strings.Repeat("[", 1000))
	f.Add("name: \"a\\\n  b\"\nversion: !!int 1\nsteps: {<<: {a: 1}}\n")
	f.Fuzz(func(t *testing.T, source string) {
		d, err := define.Parse(source)
		if err != nil {
			var bad *define.Error
			if !errors.As(err, &bad) || len(bad.Problems) == 0 {
				t.Fatalf("got %v, want a *define.Error", err)
			}
			lines := strings.Count(source, "\n") + 1
			for _, p := range bad.Problems {
				if p.Line < 1 || p.Line > lines || p.Text == "" {
					t.Errorf("%q: no such line, or no text", p)
				}
			}
			return
		}
		err = d.Validate()
		if err != nil {
			t.Fatal(err)
		}
		size := plan.Size{Files: 3, Recipients: 2}
		for i := range d.Steps {
			n := d.Waits(&d.Steps[i], size)
			if n < 0 || (n == 0) != (len(d.Steps[i].Needs) == 0) {
				t.Errorf("step %s waits for %d ends", d.Steps[i].Name, n)
			}
		}
	})
}
