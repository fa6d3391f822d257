package watermark_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"google.golang.org/grpc"

	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

// previews takes what a server sends, as long as it may.
type previews struct {
	grpc.ServerStreamingServer[watermarkv1.PreviewResponse]
	ctx  context.Context
	sent []*watermarkv1.PreviewResponse
	most int // after so many it is gone; 0 is never
}

var errGone = errors.New("nobody listens any more")

func (p *previews) Context() context.Context { return p.ctx }

func (p *previews) Send(r *watermarkv1.PreviewResponse) error {
	if p.most > 0 && len(p.sent) == p.most {
		return errGone
	}
	p.sent = append(p.sent, &watermarkv1.PreviewResponse{MediaType: r.GetMediaType(), Data: bytes.Clone(r.GetData())})
	return nil
}

func TestAPreviewIsAWholeCopy(t *testing.T) {
	needTools(t)
	b := newBench(t)
	r := b.replica(t)
	doc := onePage("/MediaBox[0 0 612 792]/Resources<</XObject<</I 5 0 R>>>>", []byte("q 500 0 0 500 50 100 cm /I Do Q"))
	pixels := make([]byte, 500*500*3) // more than one answer holds
	random := rand.New(rand.NewPCG(1, 1))
	for i := range pixels {
		pixels[i] = uint8(200 + random.IntN(50))
	}
	doc.stream("/Type/XObject/Subtype/Image/Width 500/Height 500/BitsPerComponent 8/ColorSpace/DeviceRGB", pixels)
	f := b.upload(t, doc.bytes())
	req := &watermarkv1.PreviewRequest{Production: production, File: f, Fields: somebody}
	out := &previews{ctx: t.Context()}
	err := r.Preview(req, out)
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	for i, part := range out.sent {
		if (part.GetMediaType() == "application/pdf") != (i == 0) || len(part.GetData()) > 1<<20 {
			t.Errorf("answer %d is %d bytes of %q", i, len(part.GetData()), part.GetMediaType())
		}
		data = append(data, part.GetData()...)
	}
	if len(out.sent) < 2 {
		t.Errorf("it came in %d answers", len(out.sent))
	}
	said, err := tool(t, "qpdf", "--show-npages", write(t, data))
	if err != nil || said != "1\n" {
		t.Errorf("it has %q pages, %v", said, err)
	}
	if keys := b.list(t, "art/"); len(keys) > 0 {
		t.Errorf("stored are %q", keys)
	}
	if bytes.Equal(data, b.fetch(t, stamped(t, r, order(f, "i")))) {
		t.Error("somebody's copy is the preview")
	}

	gone := &previews{ctx: t.Context(), most: 1}
	err = r.Preview(req, gone)
	if !errors.Is(err, errGone) || len(gone.sent) != 1 {
		t.Errorf("got %v after %d answers", err, len(gone.sent))
	}
	req.Production = "other"
	wantFault(t, r.Preview(req, out), "FILE_MISSING")
	req.Production, req.Fields = production, nil
	wantFault(t, r.Preview(req, out), "MARK_EMPTY")
}
