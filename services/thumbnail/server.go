package thumbnail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/sandbox"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/thumbnail/internal/cache"
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
	placements *cache.Cache[sourceKey, []*watermarkv1.PageRun]
	bases      *cache.Cache[baseKey, *raster.Base]
}

var _ thumbnailv1.ThumbnailServiceServer = (*Server)(nil)

// sourceKey is a source of a production. Productions share nothing, not even what is the same in both.
type sourceKey struct{ production, sha256 string }

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
		placements: cache.New[sourceKey, []*watermarkv1.PageRun](placementBytes, never),
		bases:      cache.New[baseKey, *raster.Base](cfg.CacheBytes, unrenderable),
	}, nil
}

// never: what the watermark service refuses today it may take after its next start.
func never(error) bool { return false }

// unrenderable reports whether err lies in the page itself, so that a thousand recipients' tasks need not find it out
// one after the other.
func unrenderable(err error) bool { return strings.HasPrefix(fault.From(err).Reason, "PDF_") }

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
	number, width := max(1, int(req.GetPage())), int(req.GetWidth())
	if width == 0 {
		width = defaultWidth
	}
	m, err := mark.Compose(req.GetMark().GetTemplate(), req.GetFields())
	if err != nil {
		return nil, markFault(err)
	}
	page, err := s.page(ctx, req.GetProduction(), req.GetFile(), number)
	if err != nil {
		return nil, err
	}
	base, err := s.base(ctx, req.GetProduction(), req.GetFile(), page, number, width)
	if err != nil {
		return nil, err
	}
	picture, err := base.Mark(m, page)
	if err != nil {
		return nil, err
	}
	key := "art/" + req.GetProduction() + "/" + artifact(req, number, width, s.cfg.MaxPixels, s.versions)
	size, sum, err := s.store(ctx, key, picture)
	if err != nil {
		return nil, err
	}
	return &thumbnailv1.RenderResponse{
		Artifact: &watermarkv1.Artifact{Key: key, Sha256: sum, Size: size, Pages: 1, MediaType: picture.MediaType, Engine: s.versions},
		Width:    int32(picture.Size.Width), Height: int32(picture.Size.Height),
	}, nil
}

// page tells where page number of a source lies. What the watermark service refuses is refused here in its words.
func (s *Server) page(ctx context.Context, production string, file *watermarkv1.File, number int) (mark.Page, error) {
	runs, err := s.placements.Get(ctx, sourceKey{production, file.GetSha256()}, func(ctx context.Context) ([]*watermarkv1.PageRun, int64, error) {
		ctx, cancel := context.WithTimeout(ctx, loadTimeout)
		defer cancel()
		resp, err := s.watermark.Prepare(ctx, &watermarkv1.PrepareRequest{Production: production, File: file})
		if err != nil {
			return nil, 0, err
		}
		runs := resp.GetPlacement().GetRuns()
		const perRun = 200 // bytes, about
		return runs, int64(perRun * (1 + len(runs))), nil
	})
	if err != nil {
		return mark.Page{}, err
	}
	pages := 0
	for _, run := range runs {
		pages += int(run.GetCount())
		if number > pages {
			continue
		}
		if len(run.GetBox()) != 4 {
			return mark.Page{}, fmt.Errorf("placement of page %d of %s: its box has %d numbers, want 4", number, file.GetSha256(), len(run.GetBox()))
		}
		return mark.Page{Box: [4]float64(run.GetBox()), Rotate: int(run.GetRotate()), Unit: run.GetUserUnit()}, nil
	}
	return mark.Page{}, fault.New(fault.Invalid, "PAGE_UNKNOWN", "%s has %d pages and so no page %d", file.GetName(), pages, number)
}

// base is the rendered page without a mark. It must not leave this process.
func (s *Server) base(ctx context.Context, production string, file *watermarkv1.File, page mark.Page, number, width int) (*raster.Base, error) {
	source := sourceKey{production, file.GetSha256()}
	return s.bases.Get(ctx, baseKey{source, number, width}, func(ctx context.Context) (*raster.Base, int64, error) {
		ctx, cancel := context.WithTimeout(ctx, loadTimeout)
		defer cancel()
		src, err := s.source(ctx, production, file)
		if err != nil {
			return nil, 0, err
		}
		defer func() { _ = src.Close() }() // unlinked, only read
		started := time.Now()
		base, err := s.renderer.Page(ctx, src, number, raster.Fit(page, width, s.cfg.MaxPixels))
		s.log.DebugContext(ctx, "page rendered", "file", file.GetSha256(), "page", number, "took", time.Since(started), "err", err)
		if err != nil {
			return nil, 0, err
		}
		return base, base.Bytes(), nil
	})
}

// source fetches the file to a temporary one.
func (s *Server) source(ctx context.Context, production string, file *watermarkv1.File) (*os.File, error) {
	src, err := s.blobs.Fetch(ctx, "src/"+production+"/"+file.GetSha256(), s.cfg.TempDir)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "FILE_MISSING", "%s is not there any more: upload it again", file.GetName()).Because(err)
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the file could not be fetched; it will be tried again").Because(err)
	}
	return src, nil
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
		return 0, "", fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the picture could not be stored; it will be tried again").Because(err)
	}
	return size, sum, nil
}

// markFault makes an error of package mark a fault.
func markFault(err error) error {
	var m *mark.Error
	if errors.As(err, &m) {
		return fault.New(fault.Invalid, m.Reason, "%s", m.Message)
	}
	return err
}
