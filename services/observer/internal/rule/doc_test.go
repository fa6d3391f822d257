package rule_test

import (
	"os"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/services/observer/internal/rule"
)

// docs/rules.md says of every field what rules may look at; FILIGREE_WRITE=1 writes it anew.
func TestTheReferenceInDocs(t *testing.T) {
	t.Parallel()
	const path, begin = "../../../../docs/rules.md", "<!-- what follows is written by the test of services/observer/internal/rule -->\n"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(raw), begin)
	if !ok {
		t.Fatalf("%s has no line %q", path, begin)
	}
	want := head + begin + "\n" + strings.TrimRight(rule.Reference(), "\n") + "\n"
	if string(raw) == want {
		return
	}
	if os.Getenv("FILIGREE_WRITE") == "" {
		t.Fatalf("%s is not what rules can look at; FILIGREE_WRITE=1 go test ./services/observer/internal/rule writes it anew", path)
	}
	err = os.WriteFile(path, []byte(want), 0o600)
	if err != nil {
		t.Fatal(err)
	}
}
