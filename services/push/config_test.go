package push_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/push"
)

func parse(t *testing.T, args ...string) push.Config {
	t.Helper()
	var flags struct {
		Push push.Config `embed:""`
	}
	p, err := kong.New(&flags, kong.DefaultEnvars("FILIGREE_TEST"), kong.Exit(func(int) { t.Error("kong exits") }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	return flags.Push
}

func TestDefaultsOfFlagsAreThoseOfTheZeroConfig(t *testing.T) {
	t.Parallel()
	diff := cmp.Diff(push.DefaultConfig(), parse(t))
	if diff != "" {
		t.Error(diff)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	got := parse(t, "--fcm-project=films-4711", "--fcm-credentials="+f.credentials(), "--fcm-endpoint="+f.server.URL)
	err := got.Validate()
	if err != nil {
		t.Error(err)
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	other := filepath.Join(t.TempDir(), "user.json")
	err := os.WriteFile(other, []byte(`{"type":"authorized_user","refresh_token":"canary"}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  push.Config
		want []string
	}{
		"project alone":      {push.Config{FCMProject: "films-4711"}, []string{"fcm-project", "fcm-credentials"}},
		"no file":            {push.Config{FCMCredentials: "/nonexistent"}, []string{"fcm-credentials"}},
		"another kind":       {push.Config{FCMCredentials: other}, []string{"fcm-credentials", "service account"}},
		"project of no form": {push.Config{FCMCredentials: f.credentials(), FCMProject: "../x"}, []string{"fcm-project"}},
		"endpoint in clear":  {push.Config{FCMEndpoint: "http://fcm.example/"}, []string{"fcm-endpoint"}},
		"numbers":            {push.Config{Timeout: 1, RetryAfter: -1, Parallel: 1000}, []string{"timeout", "retry-after", "parallel"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.cfg.Validate()
			for _, word := range c.want {
				if err == nil || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "canary") {
					t.Errorf("got %v, want that it names %s", err, word)
				}
			}
		})
	}
}
