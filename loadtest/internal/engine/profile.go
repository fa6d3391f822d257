package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// profiled is how much of a run is profiled.
const profiled = 10 * time.Second

// profile writes processor profiles of the orchestrator and of the workers into dir, over what comes until wait is called
// and profiled at least, and profiles of all that they allocated. wait returns when they are written.
func (b *bed) profile(ctx context.Context, dir string) (wait func() error, err error) {
	err = os.MkdirAll(dir, 0o755)
	if err != nil {
		return nil, fmt.Errorf("a folder for profiles: %w", err)
	}
	var own bytes.Buffer
	err = pprof.StartCPUProfile(&own)
	if err != nil {
		return nil, fmt.Errorf("profile the workers: %w", err)
	}
	done := make(chan error, 1)
	go func() {
		done <- b.fetchProfile(ctx, fmt.Sprintf("profile?seconds=%d", int(profiled.Seconds())), filepath.Join(dir, "orchestrator.pprof"))
	}()
	return func() error {
		err := <-done
		pprof.StopCPUProfile()
		var allocs bytes.Buffer
		return errors.Join(err, os.WriteFile(filepath.Join(dir, "workers.pprof"), own.Bytes(), 0o600),
			pprof.Lookup("allocs").WriteTo(&allocs, 0), os.WriteFile(filepath.Join(dir, "workers-allocs.pprof"), allocs.Bytes(), 0o600),
			b.fetchProfile(ctx, "allocs", filepath.Join(dir, "orchestrator-allocs.pprof")))
	}, nil
}

// fetchProfile has the orchestrator profile itself.
func (b *bed) fetchProfile(ctx context.Context, what, path string) error {
	url := fmt.Sprintf("http://%s/debug/pprof/%s", b.orchestrator.Word("admin"), what)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("profile the orchestrator: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("profile the orchestrator: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profile the orchestrator: %s says %s: %.200s", url, resp.Status, text)
	}
	return os.WriteFile(path, text, 0o600)
}
