package api

import (
	"context"
	"encoding/json"
	"net/http"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// CreateBatch starts an operation on many distributions under an idempotency key: the same key and request give the same
// batch, so it is repeated like Create.
func (c *Client) CreateBatch(ctx context.Context, req *distributionv1.CreateBatchRequest, key string) (*distributionv1.Batch, json.RawMessage, error) {
	b := &distributionv1.Batch{}
	body, err := marshal(req)
	if err != nil {
		return nil, nil, err
	}
	data, err := c.do(ctx, call{
		method: http.MethodPost, path: join("productions", req.GetProduction(), "batches"), json: body, key: key, tries: createTries, patient: true,
	})
	return b, data, decode(data, err, b)
}

// Batch reads one batch.
func (c *Client) Batch(ctx context.Context, production, id string) (*distributionv1.Batch, json.RawMessage, error) {
	return get(ctx, c, join("productions", production, "batches", id), nil, &distributionv1.Batch{})
}

// Batches lists a production's batches, newest first.
func (c *Client) Batches(ctx context.Context, production string) ([]*distributionv1.Batch, []json.RawMessage, error) {
	return pages(ctx, c, join("productions", production, "batches"), "batches", nil, func() *distributionv1.Batch { return &distributionv1.Batch{} })
}

// PauseBatch stops a batch between two distributions.
func (c *Client) PauseBatch(ctx context.Context, production, id string) (*distributionv1.Batch, json.RawMessage, error) {
	path := join("productions", production, "batches", id) + ":pause"
	return settle(ctx, c, http.MethodPost, path, &distributionv1.PauseBatchRequest{}, &distributionv1.Batch{})
}

// ResumeBatch goes on where PauseBatch stopped.
func (c *Client) ResumeBatch(ctx context.Context, production, id string) (*distributionv1.Batch, json.RawMessage, error) {
	path := join("productions", production, "batches", id) + ":resume"
	return settle(ctx, c, http.MethodPost, path, &distributionv1.ResumeBatchRequest{}, &distributionv1.Batch{})
}
