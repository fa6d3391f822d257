package link

import (
	"context"
	"fmt"
	"net"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/redisconf"
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/pkg/worker"
)

// Process is a link service in a process of its own.
type Process struct {
	run.Flags
	Redis        redisconf.Flags `embed:""`
	Keys         keyring.Flags   `embed:""`
	Blob         string          `required:"" placeholder:"URL" help:"Where documents are kept: a folder, or s3://bucket?region=…."`
	Orchestrator string          `required:"" placeholder:"HOST:PORT" help:"Where tasks come from; several replicas with commas between."`
	Observer     string          `placeholder:"HOST:PORT" help:"Where the observer is, which keeps the audit; several replicas with commas between. Without it nobody does."`
	Slots        int             `default:"8" help:"How many links are made at once."`
	Drive        DriveConfig     `embed:""`
	Config       Config          `embed:""`
}

// Functions are what definitions can ask of s.
func (s *Server) Functions() []worker.Function {
	return []worker.Function{worker.Func("link.Create", s.Create)}
}

// Build implements run.Service.
func (p *Process) Build(ctx context.Context, h *run.Host) error {
	client, err := p.Redis.Open(ctx, h.Log)
	if err != nil {
		return err
	}
	h.Closer("redis", client.Close)
	blobs, err := blob.Open(ctx, p.Blob)
	if err != nil {
		return err
	}
	h.Closer("blobs", blobs.Close)
	keys, err := p.Keys.Open()
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", p.Config.Addr)
	if err != nil {
		return fmt.Errorf("serve on --addr %s: %w", p.Config.Addr, err)
	}
	if p.Config.URL == "" {
		p.Config.URL = "http://" + lis.Addr().String()
	}
	drive, err := OpenDrive(ctx, p.Drive, blobs)
	if err != nil {
		_ = lis.Close() // the first error is the one to tell
		return err
	}
	deps := Deps{Redis: client, Blobs: blobs, Keys: keys, Drive: drive, Log: h.Log}
	if p.Observer != "" {
		deps.Observer, err = h.Dial("observer", p.Observer)
		if err != nil {
			_ = lis.Close() // the first error is the one to tell
			return err
		}
	}
	s, err := New(p.Config, deps)
	if err != nil {
		_ = lis.Close() // the first error is the one to tell
		return err
	}
	s.Register(h.Server())
	h.Health(s.Health)
	h.Loop("recipients", func(ctx context.Context) error { return s.Serve(ctx, lis) })
	h.Says("http", lis.Addr().String())
	return h.Work(p.Orchestrator, p.Slots, s.Functions()...)
}
