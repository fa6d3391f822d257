package directory

import (
	"context"
	"time"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/conf"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/redisconf"
	"github.com/filigreehq/filigree/pkg/run"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

// Process is a directory in a process of its own.
type Process struct {
	run.Flags
	Redis      redisconf.Flags `embed:""`
	Keys       keyring.Flags   `embed:""`
	Blob       string          `required:"" placeholder:"URL" help:"Where documents are kept: a folder, or s3://bucket?region=…."`
	Watermark  string          `required:"" placeholder:"HOST:PORT" help:"Where the watermark service is, for inspecting uploads; several replicas with commas between."`
	AdminToken conf.Secret     `name:"admin-token" placeholder:"SECRET" help:"Token of role admin that is made valid at start, to create the others with: fg_ and 43 letters."`
	Config     Config          `embed:""`
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
	marks, err := h.Dial("watermark", p.Watermark)
	if err != nil {
		return err
	}
	s, err := New(p.Config, Deps{Redis: client, Blobs: blobs, Keys: keys, Log: h.Log, Now: time.Now,
		Watermark: watermarkv1.NewWatermarkServiceClient(marks)})
	if err != nil {
		return err
	}
	err = s.EnsureProduction(ctx, "default", "Default")
	if err != nil {
		return err
	}
	if p.AdminToken != "" {
		err = s.EnsureToken(ctx, p.AdminToken.Reveal(), "admin", []string{"*"}, "first start")
		if err != nil {
			return err
		}
	}
	s.Register(h.Server())
	h.Health(func(ctx context.Context) error { return client.Ping(ctx).Err() })
	h.Loop("directory", s.Run)
	return nil
}
