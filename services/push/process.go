package push

import (
	"context"

	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/pkg/worker"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
)

// Process is a push service in a process of its own.
type Process struct {
	run.Flags
	Orchestrator string `required:"" placeholder:"HOST:PORT" help:"Where tasks come from; several replicas with commas between."`
	Directory    string `required:"" placeholder:"HOST:PORT" help:"Where the directory is; several replicas with commas between."`
	Slots        int    `default:"16" help:"How many people are told at once."`
	Config       Config `embed:""`
}

// Functions are what definitions can ask of s.
func (s *Server) Functions() []worker.Function {
	return []worker.Function{worker.Func("push.Send", s.Send)}
}

// Build implements run.Service.
func (p *Process) Build(_ context.Context, h *run.Host) error {
	dir, err := h.Dial("directory", p.Directory)
	if err != nil {
		return err
	}
	s, err := New(p.Config, Deps{Directory: directoryv1.NewDirectoryServiceClient(dir), Log: h.Log})
	if err != nil {
		return err
	}
	h.Closer("push", s.Close)
	s.Register(h.Server())
	return h.Work(p.Orchestrator, p.Slots, s.Functions()...)
}
