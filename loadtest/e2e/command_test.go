package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// said is what a command printed and how it ended.
type said struct {
	stdout, stderr string
	code           int
}

// cli runs a command as the coordinator of the system.
func (s system) cli(t *testing.T, args ...string) said {
	t.Helper()
	return command(t, []string{"FILIGREE_URL=" + s.url, "FILIGREE_TOKEN=" + s.tokens["coordinator"]}, args...)
}

// command runs filigree with further environment, and nothing of this one's that could name a server.
func command(t *testing.T, env []string, args ...string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FILIGREE_") })
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("filigree %s: %v", strings.Join(args, " "), err)
	}
	return said{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}
