package thumbnail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/worker"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/thumbnail/internal/raster"
)

// order is what a picture is made of, however it was asked for.
type order struct {
	production  string
	file        *watermarkv1.File
	mark        *watermarkv1.Mark
	fields      map[string]string
	page, width int
	format      raster.Format
}

func (o order) source() sourceKey { return sourceKey{o.production, o.file.GetSha256()} }

// formats of raster by those of the wire.
var formats = map[thumbnailv1.Format]raster.Format{
	thumbnailv1.Format_FORMAT_UNSPECIFIED: raster.JPEG,
	thumbnailv1.Format_FORMAT_JPEG:        raster.JPEG,
	thumbnailv1.Format_FORMAT_PNG:         raster.PNG,
}

// spec is a mark as package mark has it.
func spec(m *watermarkv1.Mark) mark.Spec {
	return mark.Spec{Template: m.GetTemplate(), Style: mark.Style{
		Layout: mark.Layout(m.GetLayout()), Color: m.GetColor(), Opacity: int(m.GetOpacity()), Size: int(m.GetSize()), Pages: m.GetPages(),
	}}
}

// draw makes the picture.
func (s *Server) draw(ctx context.Context, o order) (raster.Picture, error) {
	m, err := mark.Compose(spec(o.mark), o.fields)
	if err != nil {
		return raster.Picture{}, markFault(err)
	}
	placed, err := s.placement(ctx, o)
	if err != nil {
		return raster.Picture{}, err
	}
	page, err := placed.page(o)
	if err != nil {
		return raster.Picture{}, err
	}
	base, err := s.base(ctx, o, placed.mediaType, page)
	if err != nil {
		return raster.Picture{}, err
	}
	worker.Bytes(ctx, base.Bytes(), 0)
	return base.Mark(m, page, o.page, o.format)
}

// placement is what the watermark service says of a source.
type placement struct {
	runs      []*watermarkv1.PageRun
	mediaType string // empty counts as PDF
}

// placement asks for it. What the watermark service refuses is refused here in its words.
func (s *Server) placement(ctx context.Context, o order) (placement, error) {
	key := placementKey{o.source(), o.file.GetOpenRestricted(), spec(o.mark)}
	return s.placements.Get(ctx, key, func(ctx context.Context) (placement, int64, error) {
		ctx, cancel := context.WithTimeout(ctx, loadTimeout)
		defer cancel()
		resp, err := s.watermark.Prepare(ctx, &watermarkv1.PrepareRequest{Production: o.production, File: o.file, Mark: o.mark})
		if err != nil {
			return placement{}, 0, err
		}
		runs := resp.GetPlacement().GetRuns()
		const perRun = 200 // bytes, about
		return placement{runs, resp.GetMediaType()}, int64(perRun*(1+len(runs)) + len(key.mark.Template)), nil
	})
}

// page tells where the page lies, and how strong the mark must be there.
func (p placement) page(o order) (mark.Page, error) {
	pages := 0
	for _, run := range p.runs {
		pages += int(run.GetCount())
		if o.page > pages {
			continue
		}
		if len(run.GetBox()) != 4 {
			return mark.Page{}, fmt.Errorf("placement of page %d of %s: its box has %d numbers, want 4", o.page, o.file.GetSha256(), len(run.GetBox()))
		}
		return mark.Page{Box: [4]float64(run.GetBox()), Rotate: int(run.GetRotate()), Unit: run.GetUserUnit(), Level: int(run.GetLevel())}, nil
	}
	return mark.Page{}, fault.New(fault.Invalid, "PAGE_UNKNOWN", "%s has %d pages and so no page %d", o.file.GetName(), pages, o.page)
}

// base is the rendered page without a mark. It must not leave this process.
func (s *Server) base(ctx context.Context, o order, mediaType string, page mark.Page) (*raster.Base, error) {
	return s.bases.Get(ctx, baseKey{o.source(), o.page, o.width}, func(ctx context.Context) (*raster.Base, int64, error) {
		ctx, cancel := context.WithTimeout(ctx, loadTimeout)
		defer cancel()
		src, err := s.source(ctx, o)
		if err != nil {
			return nil, 0, err
		}
		defer func() { _ = src.Close() }() // unlinked, only read
		size := raster.Fit(page, o.width, s.cfg.MaxPixels)
		started := time.Now()
		var base *raster.Base
		switch mediaType {
		case "", "application/pdf":
			base, err = s.renderer.Page(ctx, src, o.page, size)
		case "image/png", "image/jpeg":
			base, err = s.renderer.Picture(ctx, src, size)
		default:
			err = fault.New(fault.Invalid, "PICTURE_UNSUPPORTED", "no picture can be made of files of the type %s; copies of them are not concerned", mediaType)
		}
		s.log.DebugContext(ctx, "page rendered", "file", o.file.GetSha256(), "page", o.page, "took", time.Since(started), "err", err)
		if err != nil {
			return nil, 0, err
		}
		return base, base.Bytes(), nil
	})
}

// source fetches the file to a temporary one.
func (s *Server) source(ctx context.Context, o order) (*os.File, error) {
	src, err := s.blobs.Fetch(ctx, "src/"+o.production+"/"+o.file.GetSha256(), s.cfg.TempDir)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "FILE_MISSING", "%s is not there any more: upload it again", o.file.GetName()).Because(err)
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the file could not be fetched; it will be tried again").Because(err)
	}
	return src, nil
}

// markFault makes an error of package mark a fault.
func markFault(err error) error {
	var m *mark.Error
	if errors.As(err, &m) {
		return fault.New(fault.Invalid, m.Reason, "%s", m.Message)
	}
	return err
}
