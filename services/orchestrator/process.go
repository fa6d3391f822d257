package orchestrator

import (
	"context"
	"runtime/debug"

	"github.com/filigreehq/filigree/pkg/redisconf"
	"github.com/filigreehq/filigree/pkg/run"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
)

// Process is an orchestrator in a process of its own.
type Process struct {
	run.Flags
	Redis     redisconf.Flags `embed:""`
	Directory string          `required:"" placeholder:"HOST:PORT" help:"Where the directory is; several replicas with commas between."`
	Link      string          `required:"" placeholder:"HOST:PORT" help:"Where the link service is; several replicas with commas between."`
	Config    Config          `embed:""`
}

// Build implements run.Service.
func (p *Process) Build(ctx context.Context, h *run.Host) error {
	// What lives is small (some thirty MB) and what passes through is much: a tenth of the steps a second went to collecting
	// it. Whoever sets GOGC is heeded.
	was := debug.SetGCPercent(400)
	if was != 100 {
		debug.SetGCPercent(was)
	}
	client, err := p.Redis.Open(ctx, h.Log)
	if err != nil {
		return err
	}
	h.Closer("redis", client.Close)
	dir, err := h.Dial("directory", p.Directory)
	if err != nil {
		return err
	}
	link, err := h.Dial("link", p.Link)
	if err != nil {
		return err
	}
	s, err := New(ctx, p.Config, Deps{
		Redis: client, Directory: directoryv1.NewDirectoryServiceClient(dir), Files: filev1.NewFileServiceClient(dir),
		Credentials: credentialv1.NewCredentialServiceClient(dir), Links: linkv1.NewLinkServiceClient(link), Log: h.Log, Metrics: h.Metrics, Stopping: h.Stopping(),
	})
	if err != nil {
		return err
	}
	s.Register(h.Server())
	h.Health(s.Health)
	h.Loop("orchestrator", s.Run)
	return nil
}
