package send

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/filigreehq/filigree/loadtest/internal/rest"
	"github.com/filigreehq/filigree/loadtest/internal/rig"
	"github.com/filigreehq/filigree/loadtest/internal/sink"
)

// site is an installation to send with.
type site struct {
	client   *rest.Client
	sink     *sink.Sink   // takes its mails; nil when somebody else's does
	up       *rig.Process // nil when it is somebody else's
	requests atomic.Int64
}

// by says whose clock tells when a mail was accepted.
func (s *site) by() string {
	if s.sink == nil {
		return "events"
	}
	return "smtp"
}

// cpu is the processor time that an installation of our own has used, its redis-server's aside.
func (s *site) cpu() time.Duration {
	if s.up == nil {
		return 0
	}
	return s.up.CPU()
}

// open uses the installation that o names, or starts one; r ends it.
func open(ctx context.Context, r *rig.Rig, o Options) (*site, error) {
	if o.URL != "" {
		return &site{client: rest.New(o.URL, o.Token, o.Production)}, nil
	}
	program, err := r.Program(ctx, "filigree")
	if err != nil {
		return nil, err
	}
	dir, err := r.Dir("data")
	if err != nil {
		return nil, err
	}
	box, err := sink.Start()
	if err != nil {
		return nil, err
	}
	r.Closer(box.Close)
	r.Env = o.Env
	up, err := r.Start(ctx, true, program, append([]string{"up", "--data", dir, "--addr", "127.0.0.1:0", "--link-addr", "127.0.0.1:0",
		"--smtp", box.URL(), "--fsync", o.Fsync, "--log-level", "warn"}, o.Args...)...)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "credentials.json"))
	if err != nil {
		return nil, fmt.Errorf("find the token: %w", err)
	}
	var credentials struct{ Tokens map[string]string }
	err = json.Unmarshal(text, &credentials)
	if err != nil {
		return nil, fmt.Errorf("read credentials.json: %w", err)
	}
	return &site{client: rest.New(up.Ready, credentials.Tokens["admin"], o.Production), sink: box, up: up}, nil
}
