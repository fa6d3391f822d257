package engine

import (
	"context"
	"strings"

	"github.com/filigreehq/filigree/pkg/worker"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	pushv1 "github.com/filigreehq/filigree/proto/gen/filigree/push/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

// workload is what runs: a definition, and functions for it that do nothing.
type workload struct {
	definition string // its name
	source     string // to be put before; empty for the built-in one
	// steps is how many steps a distribution of one file to n people has.
	steps     func(n int) int
	functions []worker.Function
}

// chained is n steps an item, one after the other, and a join of all items.
func chained(n int, p *probe) workload {
	w := workload{definition: chainName(n), source: chain(n), steps: func(items int) int { return n * items }}
	for i := range n {
		w.functions = append(w.functions, worker.JSON(stepFunction(i), func(_ context.Context, r about) (struct{}, error) {
			p.begin(r.Item, i)
			p.end(r.Distribution, r.Item, i, i == n-1)
			return struct{}{}, nil
		}))
	}
	w.functions = append(w.functions, worker.JSON(joinFunction, func(_ context.Context, r about) (struct{}, error) {
		p.join(r.Distribution)
		return struct{}{}, nil
	}))
	return w
}

// about is what a step of a chain is asked with; asynq's has the same size and is read in the same way.
type about struct {
	Distribution string `json:"distribution"`
	Item         string `json:"item"`
}

// builtIn is send-documents with functions that answer as those of the product do, and do nothing: four steps an item of
// one file.
func builtIn(p *probe) workload {
	artifact := func(item string) *watermarkv1.Artifact {
		return &watermarkv1.Artifact{Key: "art/load/" + item, Sha256: strings.Repeat("a", 64), Size: 300_000, Pages: 120, MediaType: "application/pdf"}
	}
	distribution := func(item string) string { id, _, _ := strings.Cut(item, "."); return id }
	return workload{steps: func(n int) int { return 4 * n }, functions: []worker.Function{
		worker.Func("watermark.Prepare", func(context.Context, *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
			return &watermarkv1.PrepareResponse{Pages: 120}, nil
		}),
		worker.Func("watermark.Stamp", func(_ context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
			p.begin(r.GetItem(), 0)
			defer p.end(distribution(r.GetItem()), r.GetItem(), 0, false)
			return &watermarkv1.StampResponse{Artifact: artifact(r.GetItem())}, nil
		}),
		worker.Func("thumbnail.Render", func(_ context.Context, r *thumbnailv1.RenderRequest) (*thumbnailv1.RenderResponse, error) {
			p.begin(r.GetItem(), 1)
			defer p.end(distribution(r.GetItem()), r.GetItem(), 1, true)
			return &thumbnailv1.RenderResponse{Artifact: artifact(r.GetItem())}, nil
		}),
		worker.Func("email.Send", func(_ context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
			defer p.end("", r.GetDelivery(), 0, true)
			return &emailv1.SendResponse{MessageId: "<" + r.GetDelivery() + ">", Reply: "250 taken"}, nil
		}),
		worker.Func("push.Send", func(_ context.Context, r *pushv1.SendRequest) (*pushv1.SendResponse, error) {
			defer p.end("", r.GetDelivery(), 1, true)
			return &pushv1.SendResponse{}, nil
		}),
	}}
}
