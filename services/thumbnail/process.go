package thumbnail

import (
	"context"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/pkg/worker"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

// Process is a thumbnail service in a process of its own.
type Process struct {
	run.Flags
	Blob         string `required:"" placeholder:"URL" help:"Where documents are kept: a folder, or s3://bucket?region=…."`
	Orchestrator string `required:"" placeholder:"HOST:PORT" help:"Where tasks come from; several replicas with commas between."`
	Watermark    string `required:"" placeholder:"HOST:PORT" help:"Where the watermark service is; several replicas with commas between."`
	Slots        int    `default:"8" help:"How many tasks at once; they wait for the disk most of the time, so four for each processor is a good number."`
	Config       Config `embed:""`
}

// Functions are what definitions can ask of s.
func (s *Server) Functions() []worker.Function {
	return []worker.Function{worker.Func("thumbnail.Render", s.Render)}
}

// Build implements run.Service.
func (p *Process) Build(ctx context.Context, h *run.Host) error {
	blobs, err := blob.Open(ctx, p.Blob)
	if err != nil {
		return err
	}
	h.Closer("blobs", blobs.Close)
	marks, err := h.Dial("watermark", p.Watermark)
	if err != nil {
		return err
	}
	s, err := New(p.Config, Deps{Blobs: blobs, Watermark: watermarkv1.NewWatermarkServiceClient(marks), Log: h.Log})
	if err != nil {
		return err
	}
	s.Register(h.Server())
	h.Health(s.Health)
	return h.Work(p.Orchestrator, p.Slots, s.Functions()...)
}
