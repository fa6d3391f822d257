package watermark

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/pkg/worker"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
)

// Deps is what a Server works with.
type Deps struct {
	// Blobs holds sources under src/<production>/<sha256>, and takes templates under tpl/<sha256>/ and copies under
	// art/<production>/<artifact>.
	Blobs *blob.Bucket
	Keys  *keyring.Ring
	Log   *slog.Logger
}

// Server implements watermarkv1.WatermarkServiceServer. All that it keeps is in the store, or can be made again; it is safe
// for concurrent use.
type Server struct {
	watermarkv1.UnimplementedWatermarkServiceServer
	engine  *engine.Engine
	sources *sources
	blobs   *blob.Bucket
	keys    *keyring.Ring
	locks   *locks
	log     *slog.Logger
	open    bool // without a sandbox
	// prove has independent programs read a copy; see engine.Engine.Prove.
	prove func(ctx context.Context, t *engine.Template, r engine.Recipe, password string) error
}

var _ watermarkv1.WatermarkServiceServer = (*Server)(nil)

// New returns a server. It fails where children cannot be confined, unless cfg accepts that by name. The program must
// have called sandbox.Main first.
func New(cfg Config, deps Deps) (*Server, error) {
	err := ready(cfg, deps.Log)
	if err != nil {
		return nil, err
	}
	e := engine.New(cfg.engine(), deps.Log)
	return &Server{
		engine: e, sources: newSources(cfg, e, deps.Blobs, deps.Log), blobs: deps.Blobs, keys: deps.Keys, locks: newLocks(), log: deps.Log,
		open: cfg.AcceptUnsandboxed, prove: e.Prove,
	}, nil
}

// ready checks the configuration and the sandbox.
func ready(cfg Config, log *slog.Logger) error {
	err := cfg.Validate()
	if err != nil {
		return err
	}
	for _, tool := range []struct{ name, of string }{{"qpdf", "qpdf"}, {"pdftoppm", "poppler-utils"}, {"pdfinfo", "poppler-utils"}} {
		_, err := exec.LookPath(tool.name)
		if err != nil {
			return fmt.Errorf("watermark: copies are checked by %s, which is not installed (Debian has it in %s): %w", tool.name, tool.of, err)
		}
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
	spec := specOf(req.GetMark())
	t, err := s.sources.template(ctx, req.GetProduction(), req.GetFile())
	if err != nil {
		return nil, err
	}
	levels, err := s.sources.levels(ctx, req.GetFile(), t, spec)
	if err != nil {
		return nil, err
	}
	worker.Bytes(ctx, t.Size(), 0)
	return &watermarkv1.PrepareResponse{
		Pages: int32(t.Pages()), Notes: t.Notes(), Placement: placement(t, levels), MediaType: t.MediaType(),
	}, nil
}

// placement folds pages that are alike and at one level.
func placement(t *engine.Template, levels []uint8) *watermarkv1.Placement {
	p := &watermarkv1.Placement{}
	number := 0
	for _, run := range t.Runs() {
		var last *watermarkv1.PageRun
		for range run.Count {
			level := int32(levels[number])
			number++
			if last == nil || last.GetLevel() != level {
				last = &watermarkv1.PageRun{
					Box: run.Page.Box[:], Rotate: int32(run.Page.Rotate), UserUnit: run.Page.Unit, Level: level,
				}
				p.Runs = append(p.Runs, last)
			}
			last.Count++
		}
	}
	return p
}

// Stamp implements watermarkv1.WatermarkServiceServer.
func (s *Server) Stamp(ctx context.Context, req *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
	t, o, err := s.order(ctx, req)
	if err != nil {
		return nil, err
	}
	err = s.sample(ctx, req.GetFile(), t, o)
	if err != nil {
		return nil, err
	}
	key := "art/" + req.GetProduction() + "/" + o.artifact
	size, digest, err := s.store(ctx, key, t, o)
	if err != nil {
		return nil, err
	}
	worker.Bytes(ctx, t.Size(), size)
	return &watermarkv1.StampResponse{Artifact: &watermarkv1.Artifact{
		Key: key, Sha256: digest, Size: size, Pages: int32(t.Pages()), MediaType: t.MediaType(), Engine: t.Engine(),
	}}, nil
}

// order has all made that the copy which req asks for depends on.
func (s *Server) order(ctx context.Context, req *watermarkv1.StampRequest) (*engine.Template, order, error) {
	spec := specOf(req.GetMark())
	m, err := mark.Compose(spec, req.GetFields())
	if err != nil {
		return nil, order{}, explain(err)
	}
	t, err := s.sources.template(ctx, req.GetProduction(), req.GetFile())
	if err != nil {
		return nil, order{}, err
	}
	levels, err := s.sources.levels(ctx, req.GetFile(), t, spec)
	if err != nil {
		return nil, order{}, err
	}
	in := ingredients{keys: s.keys, template: t, levels: levels, spec: spec, mark: m, about: aboutOf(req)}
	in.scope = []string{"item", req.GetProduction(), req.GetFile().GetSha256(), fmt.Sprint(req.GetRevision())}
	in.password, err = passwordOf(req, s.keys)
	if err != nil {
		return nil, order{}, err
	}
	o, err := in.order(s.locks)
	return t, o, err
}

// previewChunk is how much of a preview one answer carries.
const previewChunk = 256 << 10

// preview is what copies that nobody was sent have for an item.
const preview = "preview"

// Preview implements watermarkv1.WatermarkServiceServer.
func (s *Server) Preview(req *watermarkv1.PreviewRequest, out grpc.ServerStreamingServer[watermarkv1.PreviewResponse]) error {
	ctx := out.Context()
	t, o, err := s.order(ctx, &watermarkv1.StampRequest{
		Production: req.GetProduction(), File: req.GetFile(), Mark: req.GetMark(), Fields: req.GetFields(), Item: preview,
	})
	if err != nil {
		return err
	}
	c, err := t.Copy(o.recipe)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(&sender{out: out, mediaType: t.MediaType()}, previewChunk)
	_, err = c.WriteTo(w)
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return fmt.Errorf("send a preview: %w", err)
	}
	return nil
}

// sender sends what is written to it, in parts no longer than an answer may be.
type sender struct {
	out       grpc.ServerStreamingServer[watermarkv1.PreviewResponse]
	mediaType string // until it was said
}

func (s *sender) Write(p []byte) (int, error) {
	for part := range slices.Chunk(p, previewChunk) {
		err := s.out.Send(&watermarkv1.PreviewResponse{MediaType: s.mediaType, Data: part})
		if err != nil {
			return 0, err
		}
		s.mediaType = ""
	}
	return len(p), nil
}

// aboutOf says whose copy a request is for. An item's id begins with its distribution's.
func aboutOf(req *watermarkv1.StampRequest) hidden.About {
	distribution, _, _ := strings.Cut(req.GetItem(), ".")
	return hidden.About{
		Production: req.GetProduction(), Distribution: distribution, Item: req.GetItem(),
		Name: req.GetFields()["name"], Email: req.GetFields()["email"],
	}
}

// store puts the copy under key. Where it was put before, the bytes there are what was made and what is told.
func (s *Server) store(ctx context.Context, key string, t *engine.Template, o order) (int64, string, error) {
	c, err := t.Copy(o.recipe)
	if err != nil {
		return 0, "", err
	}
	r := engine.Reader(c)
	defer func() { _ = r.Close() }() // it ends the writing if the store ended the reading
	size, sum, err := s.blobs.Create(ctx, key, t.MediaType(), r)
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
			return 0, "", fault.New(fault.Unavailable, "STORE_FULL", "the copy could not be stored: no space is left where documents are kept; it will be tried again").Because(err)
		}
		return 0, "", fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the copy could not be stored; it will be tried again").Because(err)
	}
	return size, sum, nil
}

// sampled is how many copies there are to one that independent programs read before it may leave.
const sampled = 200

// sample has some copies read, always the same ones. One that is found unsound is kept back, and with it all further
// copies of its template, since what is wrong with one is wrong with all.
func (s *Server) sample(ctx context.Context, file *watermarkv1.File, t *engine.Template, o order) error {
	if o.recipe.ID.Number%sampled != 0 {
		return nil
	}
	err := s.prove(ctx, t, o.recipe, o.password)
	var unsound *preflight.Unsound
	if errors.As(err, &unsound) {
		s.log.ErrorContext(ctx, "a copy is unsound: all copies of its source are held back", "artifact", o.artifact, "file", file.GetSha256(), "err", err)
		return errors.Join(s.sources.quarantine(ctx, file), errUnsound)
	}
	if err != nil {
		return explain(fmt.Errorf("have a copy read: %w", err))
	}
	return nil
}
