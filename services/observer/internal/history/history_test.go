package history_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/filigreehq/filigree/services/observer/internal/history"
)

func TestAFileThatCannotBeOpenedIsPutAwayAndNotLost(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history.db")
	open := func() {
		t.Helper()
		f, err := history.Open(path)
		if err == nil {
			_, _, err = f.Get(t.Context(), "default", "D1")
			_ = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	open()
	open()
	_, err := os.Stat(path + ".old")
	if err == nil {
		t.Error("a good one was put away")
	}
	for _, broken := range []string{"no database", "nor this"} {
		err := os.WriteFile(path, []byte(broken), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		open()
		old, err := os.ReadFile(path + ".old")
		if err != nil || !bytes.Equal(old, []byte(broken)) {
			t.Errorf("put away is %q, %v; want %q", old, err, broken)
		}
	}
}
