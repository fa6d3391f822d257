package rig

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// packages tells what each program of ours is built from.
var packages = map[string]string{
	"filigree":     "github.com/filigreehq/filigree/services/cli/cmd/filigree",
	"orchestrator": "github.com/filigreehq/filigree/services/orchestrator/cmd/orchestrator",
}

// Program is the path of one of our programs: beside this one, where `make build` puts it, or built from the workspace.
func (r *Rig) Program(ctx context.Context, name string) (string, error) {
	self, err := os.Executable()
	if err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		_, err = os.Stat(beside)
		if err == nil {
			return beside, nil
		}
	}
	if r.programs == "" {
		r.programs, err = r.Dir("bin")
		if err != nil {
			return "", err
		}
	}
	built := filepath.Join(r.programs, name)
	_, err = os.Stat(built)
	if err == nil {
		return built, nil
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", built, packages[name])
	build.Cancel = func() error { return build.Process.Signal(os.Interrupt) } // killed, it leaves its own folder behind
	build.WaitDelay = 10 * time.Second
	out, err := build.CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("%s is not beside this program and cannot be built here; run make build, then bin/loadtest: %w\n%s", name, err, bytes.TrimSpace(out))
	}
	return built, nil
}
