package thumbnail

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/cache"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/pkg/worker"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/thumbnail/internal/raster"
)

const (
	// defaultWidth is what a request without one gets.
	defaultWidth = 480
	// placementBytes is what the placements of sources may take in memory.
	placementBytes = 8 << 20
	// loadTimeout ends what nobody waits for any more; children have limits of their own.
	loadTimeout = 5 * time.Minute
)

// Deps is what a Server works with.
type Deps struct {
	// Blobs holds sources under src/<production>/<sha256> and takes pictures under art/<production>/<artifact>.
	Blobs     *blob.Bucket
	Watermark watermarkv1.WatermarkServiceClient // knows where a source's pages lie
	Log       *slog.Logger
}

// Server implements thumbnailv1.ThumbnailServiceServer. It is safe for concurrent use.
type Server struct {
	thumbnailv1.UnimplementedThumbnailServiceServer

	cfg        Config
	blobs      *blob.Bucket
	watermark  watermarkv1.WatermarkServiceClient
	log        *slog.Logger
	renderer   *raster.Renderer
	versions   string
	placements *cache.Cache[placementKey, placement]
	bases      *cache.Cache[baseKey, *raster.Base]
}

var _ thumbnailv1.ThumbnailServiceServer = (*Server)(nil)

// sourceKey is a source of a production. Productions share nothing, not even what is the same in both.
type sourceKey struct{ production, sha256 string }

// placementKey is what a placement depends on: whether a mark shows depends on the mark.
type placementKey struct {
	source sourceKey
	open   bool // encrypted sources that open without a password are taken
	mark   mark.Spec
}

type baseKey struct {
	source      sourceKey
	page, width int
}

// New returns a server. It fails where there is no poppler, or where children cannot be confined, unless cfg accepts
// that by name. The program must have called sandbox.Main first.
func New(cfg Config, deps Deps) (*Server, error) {
	err := cfg.Validate()
	if err != nil {
		return nil, err
	}
	if deps.Blobs == nil || deps.Watermark == nil || deps.Log == nil {
		return nil, errors.New("thumbnail: a dependency is missing")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = sandbox.Check(ctx)
	if err != nil && !cfg.AcceptUnsandboxed {
		return nil, fmt.Errorf("thumbnail: PDFs from strangers are opened in a sandbox only, and there is none here: %w; to go without, set --i-accept-unsandboxed-pdf", err)
	}
	if err != nil {
		deps.Log.Warn("PDFs are rendered without a sandbox", "err", err)
	}
	renderer, err := raster.New(ctx, cfg.renderer())
	if err != nil {
		return nil, fmt.Errorf("thumbnail: %w", err)
	}
	return &Server{
		cfg: cfg, blobs: deps.Blobs, watermark: deps.Watermark, log: deps.Log, renderer: renderer, versions: versions(renderer.Tool()),
		placements: cache.New[placementKey, placement](placementBytes, never),
		bases:      cache.New[baseKey, *raster.Base](cfg.CacheBytes, unrenderable),
	}, nil
}

// never: what the watermark service refuses today it may take after its next start.
func never(error) bool { return false }

// unrenderable reports whether err lies in the page itself, so that a thousand recipients' tasks need not find it out
// one after the other.
func unrenderable(err error) bool {
	reason := fault.From(err).Reason
	return strings.HasPrefix(reason, "PDF_") || strings.HasPrefix(reason, "IMAGE_") || reason == "PICTURE_UNSUPPORTED"
}

// Register makes s known to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { thumbnailv1.RegisterThumbnailServiceServer(r, s) }

// Health reports whether pictures can be made: whether a child starts and confines itself.
func (s *Server) Health(ctx context.Context) error {
	if s.cfg.AcceptUnsandboxed {
		return nil
	}
	return sandbox.Check(ctx)
}

// Render implements thumbnailv1.ThumbnailServiceServer. It is the handler of the function "thumbnail.Render", and works
// as a plain RPC, too.
func (s *Server) Render(ctx context.Context, req *thumbnailv1.RenderRequest) (*thumbnailv1.RenderResponse, error) {
	o := order{
		production: req.GetProduction(), file: req.GetFile(), mark: req.GetMark(), fields: req.GetFields(),
		page: max(1, int(req.GetPage())), width: cmp.Or(int(req.GetWidth()), defaultWidth), format: formats[req.GetFormat()],
	}
	picture, err := s.draw(ctx, o)
	if err != nil {
		return nil, err
	}
	key := "art/" + req.GetProduction() + "/" + artifact(req, o, s.cfg.MaxPixels, s.versions)
	size, sum, err := s.store(ctx, key, picture)
	if err != nil {
		return nil, err
	}
	worker.Bytes(ctx, 0, size)
	return &thumbnailv1.RenderResponse{
		Artifact: &watermarkv1.Artifact{Key: key, Sha256: sum, Size: size, Pages: 1, MediaType: picture.MediaType, Engine: s.versions},
		Width:    int32(picture.Size.Width), Height: int32(picture.Size.Height),
	}, nil
}

// store puts the picture under key. Where it was put before, the bytes there are what was made and what is told: fonts
// of another machine may make another picture of a page that brings none.
func (s *Server) store(ctx context.Context, key string, p raster.Picture) (int64, string, error) {
	size, sum, err := s.blobs.Create(ctx, key, p.MediaType, bytes.NewReader(p.Data))
	if errors.Is(err, blob.ErrExists) {
		var stored io.ReadCloser
		stored, err = s.blobs.Read(ctx, key)
		if err == nil {
			size, sum, err = digest(stored)
			err = errors.Join(err, stored.Close())
		}
	}
	if err != nil {
		if blob.Full(err) {
			return 0, "", fault.New(fault.Unavailable, "STORE_FULL", "the picture could not be stored: no space is left where documents are kept; it will be tried again").Because(err)
		}
		return 0, "", fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the picture could not be stored; it will be tried again").Because(err)
	}
	return size, sum, nil
}
