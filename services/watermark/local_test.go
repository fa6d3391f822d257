package watermark_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	if os.Getenv(serviceEnv) != "" {
		os.Exit(serve())
	}
	os.Exit(m.Run())
}

var somebody = map[string]string{"name": "Zoë Müller-Ångström", "email": "zoe.mueller@example.com"}

func newLocal(tb testing.TB) *watermark.Local {
	tb.Helper()
	local, err := watermark.NewLocal(watermark.DefaultConfig(), newKeys(tb), slog.New(slog.DiscardHandler))
	need.Working(tb, "copies", err)
	return local
}

func newKeys(tb testing.TB) *keyring.Ring {
	tb.Helper()
	keys, err := keyring.LoadOrCreate(filepath.Join(tb.TempDir(), "keys.json"))
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}
