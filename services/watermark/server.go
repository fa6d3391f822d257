package watermark

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/sandbox"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
)

const mediaType = "application/pdf"

// Deps is what a Server works with.
type Deps struct {
	// Blobs holds sources under src/<production>/<sha256> and takes copies under art/<production>/<artifact>.
	Blobs *blob.Bucket
	Keys  *keyring.Ring
	Log   *slog.Logger
}

// Server implements watermarkv1.WatermarkServiceServer. It keeps no state and is safe for concurrent use.
type Server struct {
	watermarkv1.UnimplementedWatermarkServiceServer
	engine *engine.Engine
	blobs  *blob.Bucket
	keys   *keyring.Ring
	log    *slog.Logger
	temp   string
	open   bool // without a sandbox
}

var _ watermarkv1.WatermarkServiceServer = (*Server)(nil)

// New returns a server. It fails where children cannot be confined, unless cfg accepts that by name. The program must
// have called sandbox.Main first.
func New(cfg Config, deps Deps) (*Server, error) {
	err := ready(cfg, deps.Log)
	if err != nil {
		return nil, err
	}
	return &Server{
		engine: engine.New(cfg.engine(), deps.Log), blobs: deps.Blobs, keys: deps.Keys, log: deps.Log, temp: cfg.TempDir,
		open: cfg.AcceptUnsandboxed,
	}, nil
}

// ready checks the configuration and the sandbox.
func ready(cfg Config, log *slog.Logger) error {
	err := cfg.Validate()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = sandbox.Check(ctx)
	if err == nil {
		return nil
	}
	if !cfg.AcceptUnsandboxed {
		return fmt.Errorf("watermark: PDFs from strangers are opened in a sandbox only, and there is none here: %w; to go without, set --i-accept-unsandboxed-pdf", err)
	}
	log.Warn("PDFs are opened without a sandbox", "err", err)
	return nil
}

// Register makes s known to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { watermarkv1.RegisterWatermarkServiceServer(r, s) }

// Health reports whether copies can be made: whether a child starts and confines itself.
func (s *Server) Health(ctx context.Context) error {
	if s.open {
		return nil
	}
	return sandbox.Check(ctx)
}

// Prepare implements watermarkv1.WatermarkServiceServer.
func (s *Server) Prepare(ctx context.Context, req *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
	src, err := s.source(ctx, req.GetProduction(), req.GetFile())
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }() // unlinked, only read
	report, err := s.engine.Inspect(ctx, src)
	if err != nil {
		return nil, explain(err)
	}
	resp := &watermarkv1.PrepareResponse{
		Pages: int32(report.Pages), Notes: report.Notes, Placement: &watermarkv1.Placement{},
	}
	for _, run := range report.Runs {
		resp.Placement.Runs = append(resp.Placement.Runs, &watermarkv1.PageRun{
			Count: int32(run.Count), Box: run.Page.Box[:], Rotate: int32(run.Page.Rotate), UserUnit: run.Page.Unit,
		})
	}
	return resp, nil
}

// Stamp implements watermarkv1.WatermarkServiceServer.
func (s *Server) Stamp(ctx context.Context, req *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
	r, err := newRecipe(req, s.keys)
	if err != nil {
		return nil, err
	}
	src, err := s.source(ctx, req.GetProduction(), req.GetFile())
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }() // unlinked, only read
	dst, err := scratch(s.temp)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dst.Close() }() // unlinked, and copied on before
	report, err := s.engine.Stamp(ctx, src, dst, r.recipe)
	if err != nil {
		return nil, explain(err)
	}
	key := "art/" + req.GetProduction() + "/" + r.artifact
	size, digest, err := s.store(ctx, key, dst)
	if err != nil {
		return nil, err
	}
	return &watermarkv1.StampResponse{Artifact: &watermarkv1.Artifact{
		Key: key, Sha256: digest, Size: size, Pages: int32(report.Pages), MediaType: mediaType, Engine: Engine,
	}}, nil
}

// source fetches the file to a temporary one.
func (s *Server) source(ctx context.Context, production string, file *watermarkv1.File) (*os.File, error) {
	src, err := s.blobs.Fetch(ctx, "src/"+production+"/"+file.GetSha256(), s.temp)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "FILE_MISSING", "%s is not there any more: upload it again", file.GetName()).Because(err)
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the file could not be fetched; it will be tried again").Because(err)
	}
	return src, nil
}

// store puts the copy under key. Where it was put before, the bytes there are what was made and what is told: another
// build of this program might compress differently.
func (s *Server) store(ctx context.Context, key string, dst *os.File) (int64, string, error) {
	_, err := dst.Seek(0, io.SeekStart)
	if err != nil {
		return 0, "", err
	}
	size, sum, err := s.blobs.Create(ctx, key, mediaType, dst)
	if errors.Is(err, blob.ErrExists) {
		var stored io.ReadCloser
		stored, err = s.blobs.Read(ctx, key)
		if err == nil {
			size, sum, err = digest(stored)
			err = errors.Join(err, stored.Close())
		}
	}
	if err != nil {
		return 0, "", fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the copy could not be stored; it will be tried again").Because(err)
	}
	return size, sum, nil
}

// scratch makes a temporary file without a name.
func scratch(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "copy-*")
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "DISK_UNAVAILABLE", "no temporary file could be made; it will be tried again").Because(err)
	}
	return f, nil
}
