// Package rest speaks the little of the REST API that measuring needs. It repeats nothing: what fails is the result.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
)

// Client calls one server with one token, for one production. It is safe for concurrent use.
type Client struct {
	base, token, production string
	http                    *http.Client
}

// New returns a client of the server at base ("http://host:port").
func New(base, token, production string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 100 // bursts keep theirs
	return &Client{strings.TrimRight(base, "/"), token, production, &http.Client{Transport: transport}}
}

// In is the same client for another production.
func (c *Client) In(production string) *Client {
	other := *c
	other.production = production
	return &other
}

// Error is an answer that is no success.
type Error struct {
	Status        int // of HTTP
	Code, Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%s)", e.Message, e.Code) }

// mostAnswer bounds what is read of an answer: a page of 1,000 events is well below.
const mostAnswer = 64 << 20

func (c *Client) call(ctx context.Context, method, path string, body []byte, kind string, into proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", kind)
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return refusal(c.base, resp, text)
	}
	if into == nil {
		return nil
	}
	err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(text, into)
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return nil
}

func refusal(base string, resp *http.Response, text []byte) error {
	var doc struct {
		Error struct{ Code, Message string }
	}
	err := json.Unmarshal(text, &doc)
	if err != nil || doc.Error.Code == "" {
		return fmt.Errorf("%s answers %s, which is not an answer of Filigree: is this its address?", base, resp.Status)
	}
	return &Error{resp.StatusCode, doc.Error.Code, doc.Error.Message}
}

// in is a path below the production.
func (c *Client) in(path string) string {
	return "/v1/productions/" + url.PathEscape(c.production) + path
}

const asJSON = "application/json"

// CreateProduction makes a production.
func (c *Client) CreateProduction(ctx context.Context, id string) error {
	body, err := protojson.Marshal(&directoryv1.CreateProductionRequest{Id: id, Name: id})
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, "/v1/productions", body, asJSON, nil)
}

// Upload stores a document.
func (c *Client) Upload(ctx context.Context, name string, data []byte) (*filev1.File, error) {
	f := &filev1.File{}
	return f, c.call(ctx, http.MethodPost, c.in("/files?name="+url.QueryEscape(name)), data, "application/pdf", f)
}

// Create starts a distribution; its key is in req.
func (c *Client) Create(ctx context.Context, req *distributionv1.CreateDistributionRequest) (*distributionv1.Distribution, error) {
	body, err := protojson.Marshal(req)
	if err != nil {
		return nil, err
	}
	d := &distributionv1.Distribution{}
	return d, c.call(ctx, http.MethodPost, c.in("/distributions"), body, asJSON, d)
}

// Distribution reads one.
func (c *Client) Distribution(ctx context.Context, id string) (*distributionv1.Distribution, error) {
	d := &distributionv1.Distribution{}
	return d, c.call(ctx, http.MethodGet, c.in("/distributions/"+url.PathEscape(id)), nil, asJSON, d)
}

// Cancel stops one.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, c.in("/distributions/"+url.PathEscape(id)+":cancel"), []byte("{}"), asJSON, nil)
}

// Events reads all events of a distribution.
func (c *Client) Events(ctx context.Context, id string) (all []*distributionv1.Event, err error) {
	for token := ""; ; {
		page := &distributionv1.ListEventsResponse{}
		err = c.call(ctx, http.MethodGet, c.in("/distributions/"+url.PathEscape(id)+"/events?page_size=1000&page_token="+url.QueryEscape(token)), nil, asJSON, page)
		if err != nil {
			return nil, err
		}
		all = append(all, page.GetEvents()...)
		if page.GetNextPageToken() == "" {
			return all, nil
		}
		token = page.GetNextPageToken()
	}
}

// Definition reads the source of a definition's version.
func (c *Client) Definition(ctx context.Context, name string, version int32) (string, error) {
	d := &definitionv1.Definition{}
	err := c.call(ctx, http.MethodGet, fmt.Sprintf("/v1/definitions/%s?version=%d", url.PathEscape(name), version), nil, asJSON, d)
	return d.GetSource(), err
}
