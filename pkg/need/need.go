// Package need ends tests that this machine cannot run: they are skipped, and where CI is set in the environment they fail,
// since nobody reads there what was left out.
package need

import (
	"os"
	"os/exec"
	"testing"
)

// Programs ends the test unless all programs are installed.
func Programs(tb testing.TB, names ...string) {
	tb.Helper()
	for _, name := range names {
		_, err := exec.LookPath(name)
		if err != nil {
			lacking(tb, "%s is not installed: deploy/setup.sh test installs it", name)
		}
	}
}

// Working ends the test if err says why there is no such thing as what on this machine.
func Working(tb testing.TB, what string, err error) {
	tb.Helper()
	if err != nil {
		lacking(tb, "no %s on this machine: %v", what, err)
	}
}

func lacking(tb testing.TB, format string, args ...any) {
	tb.Helper()
	end := tb.Skipf
	if os.Getenv("CI") != "" {
		end = tb.Fatalf
	}
	end(format, args...)
}
