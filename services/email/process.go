package email

import (
	"context"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/pkg/worker"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
)

// Process is an email service in a process of its own.
type Process struct {
	run.Flags
	Blob         string `required:"" placeholder:"URL" help:"Where documents are kept: a folder, or s3://bucket?region=…."`
	Orchestrator string `required:"" placeholder:"HOST:PORT" help:"Where tasks come from; several replicas with commas between."`
	Link         string `required:"" placeholder:"HOST:PORT" help:"Where the link service is; several replicas with commas between."`
	Config       Config `embed:""`
}

// Functions are what definitions can ask of s.
func (s *Server) Functions() []worker.Function {
	return []worker.Function{worker.Func("email.Send", s.Send)}
}

// Build implements run.Service.
func (p *Process) Build(ctx context.Context, h *run.Host) error {
	blobs, err := blob.Open(ctx, p.Blob)
	if err != nil {
		return err
	}
	h.Closer("blobs", blobs.Close)
	link, err := h.Dial("link", p.Link)
	if err != nil {
		return err
	}
	s, err := New(p.Config, Deps{Blobs: blobs, Links: linkv1.NewLinkServiceClient(link), Log: h.Log})
	if err != nil {
		return err
	}
	h.Closer("mail connections", s.Close)
	s.Register(h.Server())
	return h.Work(p.Orchestrator, s.cfg.Connections, s.Functions()...)
}
