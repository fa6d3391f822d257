package thumbnail_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/thumbnail"
)

func TestDefaultsOfFlagsAreThoseOfDefaultConfig(t *testing.T) {
	t.Parallel()
	var flags struct {
		Thumbnail thumbnail.Config `embed:""`
	}
	p, err := kong.New(&flags, kong.DefaultEnvars("FILIGREE_TEST"), kong.Exit(func(int) { t.Error("kong exits") }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	diff := cmp.Diff(thumbnail.DefaultConfig(), flags.Thumbnail)
	if diff != "" {
		t.Error(diff)
	}
	err = flags.Thumbnail.Validate()
	if err != nil {
		t.Error(err)
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := thumbnail.New(thumbnail.Config{Parallel: -1, Wall: -1, TempDir: "/nonexistent"}, thumbnail.Deps{})
	for _, word := range []string{"cache-bytes", "max-pixels", "memory", "cpu", "wall", "parallel", "temp-dir"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("got %v, want that it names %s", err, word)
		}
	}
	_, err = thumbnail.New(thumbnail.DefaultConfig(), thumbnail.Deps{Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "dependency") {
		t.Errorf("got %v, want that a dependency is missing", err)
	}
}
