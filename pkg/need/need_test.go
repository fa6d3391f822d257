package need_test

import (
	"errors"
	"testing"

	"github.com/filigreehq/filigree/pkg/need"
)

// What is missing skips a test, and fails it where CI is set.
func TestMissing(t *testing.T) {
	for ci, want := range map[string]string{"": "skipped", "1": "failed"} {
		t.Setenv("CI", ci)
		for name, ask := range map[string]func(tb testing.TB){
			"a program": func(tb testing.TB) { need.Programs(tb, "sh", "no-such-program") },
			"a thing":   func(tb testing.TB) { need.Working(tb, "copies", errors.New("qpdf is broken")) },
		} {
			r := &recorder{TB: t}
			ask(r)
			if r.ended != want {
				t.Errorf("CI=%q, %s is missing: %q, want %s", ci, name, r.ended, want)
			}
		}
		r := &recorder{TB: t}
		need.Programs(r, "sh")
		need.Working(r, "copies", nil)
		if r.ended != "" {
			t.Errorf("CI=%q, nothing is missing: %s", ci, r.ended)
		}
	}
}

// recorder keeps how a test would have ended.
type recorder struct {
	testing.TB
	ended string
}

func (r *recorder) Skipf(string, ...any)  { r.ended = "skipped" }
func (r *recorder) Fatalf(string, ...any) { r.ended = "failed" }
