package gateway

import (
	"context"
	"fmt"
	"io/fs"
	"net"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/run"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
)

// Process is a gateway in a process of its own.
type Process struct {
	run.Flags
	Blob         string `required:"" placeholder:"URL" help:"Where documents are kept: a folder, or s3://bucket?region=…."`
	Orchestrator string `required:"" placeholder:"HOST:PORT" help:"Where distributions are; several replicas with commas between."`
	Directory    string `required:"" placeholder:"HOST:PORT" help:"Where the directory is; several replicas with commas between."`
	Observer     string `placeholder:"HOST:PORT" help:"Where the observer is, which is asked first about what became of things; several replicas with commas between. Without it there is no search, no why, no alerts."`
	Thumbnail    string `placeholder:"HOST:PORT" help:"Where the thumbnail service is, for previews; several replicas with commas between. Without it there are none."`
	Config       Config `embed:""`
	// Console holds the console's built files; nil serves a page that says what this is.
	Console fs.FS `kong:"-"`
}

// Build implements run.Service.
func (p *Process) Build(ctx context.Context, h *run.Host) error {
	blobs, err := blob.Open(ctx, p.Blob)
	if err != nil {
		return err
	}
	h.Closer("blobs", blobs.Close)
	orch, err := h.Dial("orchestrator", p.Orchestrator)
	if err != nil {
		return err
	}
	dir, err := h.Dial("directory", p.Directory)
	if err != nil {
		return err
	}
	deps := Deps{
		Directory: directoryv1.NewDirectoryServiceClient(dir), Files: filev1.NewFileServiceClient(dir),
		Credentials: credentialv1.NewCredentialServiceClient(dir), Distributions: distributionv1.NewDistributionServiceClient(orch),
		Definitions: definitionv1.NewDefinitionServiceClient(orch), Control: controlv1.NewControlServiceClient(orch),
		Schedules: schedulev1.NewScheduleServiceClient(orch), Sessions: sessionv1.NewSessionServiceClient(dir), Blobs: blobs, Console: p.Console, Log: h.Log,
	}
	if p.Observer != "" {
		deps.Observer, err = h.Dial("observer", p.Observer)
		if err != nil {
			return err
		}
	}
	if p.Thumbnail != "" {
		thumbs, err := h.Dial("thumbnail", p.Thumbnail)
		if err != nil {
			return err
		}
		deps.Thumbnails = thumbnailv1.NewThumbnailServiceClient(thumbs)
	}
	s, err := New(p.Config, deps)
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", p.Config.Addr)
	if err != nil {
		return fmt.Errorf("serve on --addr %s: %w", p.Config.Addr, err)
	}
	h.Loop("http", func(ctx context.Context) error { return s.Serve(ctx, lis) })
	h.Says("http", lis.Addr().String())
	return nil
}
