package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	// pageSize is the largest page that is served.
	pageSize = 1000
	// readTries is how often something is asked, createTries how often something is sent that may not get lost. With
	// the pauses between, the latter bridge the restart of a server: some 15 seconds.
	readTries   = 3
	createTries = 7
)

// Production reads one production; it also tells whether server and token are good.
func (c *Client) Production(ctx context.Context, id string) (*directoryv1.Production, error) {
	p := &directoryv1.Production{}
	data, err := c.do(ctx, call{method: http.MethodGet, path: join("productions", id), tries: readTries})
	return p, decode(data, err, p)
}

// Productions lists the productions that the token may act in.
func (c *Client) Productions(ctx context.Context) ([]*directoryv1.Production, []json.RawMessage, error) {
	return pages(ctx, c, join("productions"), "productions", nil, func() *directoryv1.Production { return &directoryv1.Production{} })
}

// CreateProduction makes a production; an empty id lets the server make one of the name.
func (c *Client) CreateProduction(ctx context.Context, req *directoryv1.CreateProductionRequest) (*directoryv1.Production, json.RawMessage, error) {
	p := &directoryv1.Production{}
	data, err := c.post(ctx, join("productions"), req)
	return p, data, decode(data, err, p)
}

// UpdateProduction changes a production's settings. Changing them to the same again is harmless, so it is repeated.
func (c *Client) UpdateProduction(ctx context.Context, req *directoryv1.UpdateProductionRequest) (*directoryv1.Production, json.RawMessage, error) {
	p := &directoryv1.Production{}
	body, err := marshal(req)
	if err != nil {
		return nil, nil, err
	}
	data, err := c.do(ctx, call{method: http.MethodPatch, path: join("productions", req.GetProduction()), json: body, tries: readTries})
	return p, data, decode(data, err, p)
}

// CreateToken makes a token. Its secret is in the answer and can never be asked for again.
func (c *Client) CreateToken(ctx context.Context, req *directoryv1.CreateTokenRequest) (*directoryv1.CreateTokenResponse, json.RawMessage, error) {
	t := &directoryv1.CreateTokenResponse{}
	data, err := c.post(ctx, join("tokens"), req)
	return t, data, decode(data, err, t)
}

// RevokeToken ends a token, named by its id.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: join("tokens", id)})
	return err
}

// CreateSignIn makes a code that signs one browser in. It is in the answer and can never be asked for again.
func (c *Client) CreateSignIn(ctx context.Context, req *sessionv1.CreateSignInRequest) (*sessionv1.CreateSignInResponse, error) {
	made := &sessionv1.CreateSignInResponse{}
	data, err := c.post(ctx, join("sign-ins"), req)
	return made, decode(data, err, made)
}

// RevealPassword tells a recipient's password; the server records that it did.
func (c *Client) RevealPassword(ctx context.Context, production, recipient string) (string, error) {
	answer := &directoryv1.RevealPasswordResponse{}
	path := join("productions", production, "recipients", recipient) + ":revealPassword"
	data, err := c.do(ctx, call{method: http.MethodPost, path: path, json: []byte("{}"), tries: readTries})
	err = decode(data, err, answer)
	return answer.GetPassword(), err
}

// localError is a failure on our side of the connection.
type localError struct{ error }

func (e *localError) Unwrap() error { return e.error }

// localReader marks the errors of a file as ours: the transport would hand them on as if the server had gone.
type localReader struct{ io.ReadCloser }

func (r localReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &localError{err}
	}
	return n, err
}

// Upload stores the document at path under name. watch wraps what is read, for a progress bar; a repeat wraps anew.
// The server keeps one copy of the same bytes, so repeating is harmless.
func (c *Client) Upload(ctx context.Context, production, name, path string, watch func(io.Reader) io.Reader) (*filev1.File, error) {
	file := &filev1.File{}
	data, err := c.do(ctx, call{
		method: http.MethodPost, path: join("productions", production, "files"), query: url.Values{"name": {name}},
		tries: createTries, patient: true,
		open: func() source {
			f, err := os.Open(path)
			if err != nil {
				return source{err: err}
			}
			info, err := f.Stat()
			if err != nil {
				return source{err: errors.Join(err, f.Close())}
			}
			body := struct {
				io.Reader
				io.Closer
			}{watch(f), f}
			return source{body: localReader{body}, size: info.Size()}
		},
	})
	return file, decode(data, err, file)
}

// Create starts a distribution under an idempotency key: the same key and request give the same distribution.
func (c *Client) Create(ctx context.Context, req *distributionv1.CreateDistributionRequest, key string) (*distributionv1.Distribution, json.RawMessage, error) {
	d := &distributionv1.Distribution{}
	body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(req)
	if err != nil {
		return nil, nil, fmt.Errorf("write the request: %w", err)
	}
	data, err := c.do(ctx, call{
		method: http.MethodPost, path: join("productions", req.GetProduction(), "distributions"),
		json: body, key: key, tries: createTries, patient: true,
	})
	return d, data, decode(data, err, d)
}

// Check says what would become of a distribution; it creates nothing.
func (c *Client) Check(ctx context.Context, req *distributionv1.CreateDistributionRequest) (*distributionv1.CheckDistributionResponse, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPost, join("productions", req.GetProduction(), "distributions")+":check", req, &distributionv1.CheckDistributionResponse{})
}

// Distribution reads one distribution, as message and as the server wrote it.
func (c *Client) Distribution(ctx context.Context, production, id string) (*distributionv1.Distribution, json.RawMessage, error) {
	d := &distributionv1.Distribution{}
	data, err := c.do(ctx, call{method: http.MethodGet, path: join("productions", production, "distributions", id), tries: readTries})
	return d, data, decode(data, err, d)
}

// Distributions lists a production's distributions, newest first.
func (c *Client) Distributions(ctx context.Context, production string) ([]*distributionv1.Distribution, []json.RawMessage, error) {
	return pages(ctx, c, join("productions", production, "distributions"), "distributions", nil,
		func() *distributionv1.Distribution { return &distributionv1.Distribution{} })
}

// Items lists a distribution's items, only those in state unless it is empty.
func (c *Client) Items(ctx context.Context, production, id, state string) ([]*distributionv1.Item, []json.RawMessage, error) {
	query := url.Values{}
	if state != "" {
		query.Set("state", state)
	}
	return pages(ctx, c, join("productions", production, "distributions", id, "items"), "items", query,
		func() *distributionv1.Item { return &distributionv1.Item{} })
}

// Recipients lists a distribution's recipients in the order they were given.
func (c *Client) Recipients(ctx context.Context, production, id string) ([]*distributionv1.Recipient, []json.RawMessage, error) {
	return pages(ctx, c, join("productions", production, "distributions", id, "recipients"), "recipients", nil,
		func() *distributionv1.Recipient { return &distributionv1.Recipient{} })
}

// Copy writes an item's copy to f, and returns the SHA-256 of what came.
func (c *Client) Copy(ctx context.Context, production, id, item string, f *os.File) (sha string, err error) {
	return c.fetch(ctx, join("productions", production, "distributions", id, "items", item, "copy"), f)
}

// Report writes who got what of a distribution, as CSV, to f.
func (c *Client) Report(ctx context.Context, production, id string, f *os.File) error {
	_, err := c.fetch(ctx, join("productions", production, "distributions", id, "report.csv"), f)
	return err
}

// fetch writes what stands at path to f, from its beginning, and returns the SHA-256 of what came. A broken connection
// starts it anew.
func (c *Client) fetch(ctx context.Context, path string, f *os.File) (sha string, err error) {
	get := call{method: http.MethodGet, path: path, tries: readTries}
	err = c.repeat(ctx, get, func() error {
		_, err := f.Seek(0, io.SeekStart)
		if err == nil {
			err = f.Truncate(0)
		}
		if err != nil {
			return err
		}
		body, err := c.ask(ctx, get)
		if err != nil {
			return err
		}
		defer func() { _ = body.Close() }() // read to its end, or of no use
		sum := sha256.New()
		_, err = io.Copy(localWriter{io.MultiWriter(f, sum)}, body)
		if err != nil {
			return c.unreachable(ctx, err)
		}
		sha = hex.EncodeToString(sum.Sum(nil))
		return nil
	})
	return sha, err
}

// localWriter marks the errors of a file as ours.
type localWriter struct{ io.Writer }

func (w localWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		err = &localError{err}
	}
	return n, err
}

// Events lists what happened to a distribution, oldest first.
func (c *Client) Events(ctx context.Context, production, id string) ([]*distributionv1.Event, []json.RawMessage, error) {
	return pages(ctx, c, join("productions", production, "distributions", id, "events"), "events", nil,
		func() *distributionv1.Event { return &distributionv1.Event{} })
}

// Cancel stops what has not happened yet. Cancelling again is harmless, so it is repeated like reading.
func (c *Client) Cancel(ctx context.Context, production, id string) (*distributionv1.Distribution, json.RawMessage, error) {
	d := &distributionv1.Distribution{}
	path := join("productions", production, "distributions", id) + ":cancel"
	data, err := c.do(ctx, call{method: http.MethodPost, path: path, json: []byte("{}"), tries: readTries})
	return d, data, decode(data, err, d)
}

// Revoke ends a distribution's links and cancels what has not been sent. Revoking again is harmless, so it is repeated
// like reading; the links are counted by the call that ended them.
func (c *Client) Revoke(ctx context.Context, production, id string) (*distributionv1.RevokeDistributionResponse, json.RawMessage, error) {
	answer := &distributionv1.RevokeDistributionResponse{}
	path := join("productions", production, "distributions", id) + ":revoke"
	data, err := c.do(ctx, call{method: http.MethodPost, path: path, json: []byte("{}"), tries: readTries})
	return answer, data, decode(data, err, answer)
}

// RevokeRecipient ends one recipient's links, as Revoke does all.
func (c *Client) RevokeRecipient(ctx context.Context, production, id, recipient string) (*distributionv1.RevokeRecipientResponse, json.RawMessage, error) {
	path := join("productions", production, "distributions", id, "recipients", recipient) + ":revoke"
	return settle(ctx, c, http.MethodPost, path, &distributionv1.RevokeRecipientRequest{}, &distributionv1.RevokeRecipientResponse{})
}

// Retry runs what failed again, as req says. It is not repeated: a second call finds nothing to retry and would hide the
// first one's answer, or does everything once more.
func (c *Client) Retry(ctx context.Context, req *distributionv1.RetryDistributionRequest) (*distributionv1.Distribution, json.RawMessage, error) {
	d := &distributionv1.Distribution{}
	path := join("productions", req.GetProduction(), "distributions", req.GetDistribution()) + ":retry"
	data, err := c.post(ctx, path, req)
	return d, data, decode(data, err, d)
}

// Pause stops handing out a distribution's steps.
func (c *Client) Pause(ctx context.Context, production, id string) (*distributionv1.Distribution, json.RawMessage, error) {
	path := join("productions", production, "distributions", id) + ":pause"
	return settle(ctx, c, http.MethodPost, path, &distributionv1.PauseDistributionRequest{}, &distributionv1.Distribution{})
}

// Resume goes on where Pause stopped.
func (c *Client) Resume(ctx context.Context, production, id string) (*distributionv1.Distribution, json.RawMessage, error) {
	path := join("productions", production, "distributions", id) + ":resume"
	return settle(ctx, c, http.MethodPost, path, &distributionv1.ResumeDistributionRequest{}, &distributionv1.Distribution{})
}

// Graph draws a distribution, as "mermaid" or "dot".
func (c *Client) Graph(ctx context.Context, production, id, format string) (string, error) {
	answer, _, err := get(ctx, c, join("productions", production, "distributions", id, "graph"), url.Values{"format": {format}},
		&distributionv1.GetDistributionGraphResponse{})
	return answer.GetText(), err
}

// Resend sends to a recipient again, to another address or under another name unless these are empty. It is not
// repeated: each call is a mail.
func (c *Client) Resend(ctx context.Context, production, id, recipient, email, name string) (*distributionv1.Recipient, json.RawMessage, error) {
	r := &distributionv1.Recipient{}
	path := join("productions", production, "distributions", id, "recipients", recipient) + ":resend"
	data, err := c.post(ctx, path, &distributionv1.ResendRecipientRequest{Email: email, Name: name})
	return r, data, decode(data, err, r)
}

func (c *Client) post(ctx context.Context, path string, req proto.Message) ([]byte, error) {
	body, err := marshal(req)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, call{method: http.MethodPost, path: path, json: body})
}

func marshal(req proto.Message) ([]byte, error) {
	body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	return body, nil
}

// get reads what stands at path into m, which it returns with what the server wrote.
func get[T proto.Message](ctx context.Context, c *Client, path string, query url.Values, m T) (T, json.RawMessage, error) {
	data, err := c.do(ctx, call{method: http.MethodGet, path: path, query: query, tries: readTries})
	return m, data, decode(data, err, m)
}

// settle changes something to what req says and reads the answer into m. The same change again must be harmless: it is
// repeated like reading.
func settle[T proto.Message](ctx context.Context, c *Client, method, path string, req proto.Message, m T) (T, json.RawMessage, error) {
	body, err := marshal(req)
	if err != nil {
		return m, nil, err
	}
	data, err := c.do(ctx, call{method: method, path: path, json: body, tries: readTries})
	return m, data, decode(data, err, m)
}

// remove deletes what stands at path. It is not repeated: the second call would find nothing and say so.
func (c *Client) remove(ctx context.Context, path string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path})
	return err
}

// pages reads all pages of a list whose elements stand under field, each as message and as the server wrote it.
func pages[T proto.Message](ctx context.Context, c *Client, path, field string, query url.Values, fresh func() T) ([]T, []json.RawMessage, error) {
	q := url.Values{"page_size": {strconv.Itoa(pageSize)}}
	for k, v := range query {
		q[k] = v
	}
	var list []T
	raws := []json.RawMessage{} // an empty list is [], not null
	for {
		part, partRaws, next, err := onePage(ctx, c, path, field, q, fresh)
		if err != nil {
			return nil, nil, err
		}
		list, raws = append(list, part...), append(raws, partRaws...)
		if next == "" {
			return list, raws, nil
		}
		if next == q.Get("page_token") {
			return nil, nil, fmt.Errorf("the server gives the same page of %s again and again", field)
		}
		q.Set("page_token", next)
	}
}

// whole reads a list that is not paged.
func whole[T proto.Message](ctx context.Context, c *Client, path, field string, fresh func() T) ([]T, []json.RawMessage, error) {
	list, raws, _, err := onePage(ctx, c, path, field, nil, fresh)
	return list, raws, err
}

func onePage[T proto.Message](ctx context.Context, c *Client, path, field string, q url.Values, fresh func() T) (list []T, raws []json.RawMessage, next string, err error) {
	data, err := c.do(ctx, call{method: http.MethodGet, path: path, query: q, tries: readTries})
	if err != nil {
		return nil, nil, "", err
	}
	var page map[string]json.RawMessage
	raws = []json.RawMessage{} // an empty list is [], not null
	err = json.Unmarshal(data, &page)
	if err == nil && page[field] != nil {
		err = json.Unmarshal(page[field], &raws)
	}
	if err == nil && page["next_page_token"] != nil {
		err = json.Unmarshal(page["next_page_token"], &next)
	}
	if err != nil {
		return nil, nil, "", unreadable(err)
	}
	for _, raw := range raws {
		m := fresh()
		err = decode(raw, nil, m)
		if err != nil {
			return nil, nil, "", err
		}
		list = append(list, m)
	}
	return list, raws, next, nil
}

// decode reads data into m unless there is an error already. Fields that a newer server adds are left out.
func decode(data []byte, err error, m proto.Message) error {
	if err != nil {
		return err
	}
	err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, m)
	if err != nil {
		return unreadable(err)
	}
	return nil
}

func unreadable(err error) error {
	return fmt.Errorf("the server's answer cannot be read (%w): is this the address of Filigree, and of this version?", err)
}

// join makes the path of a resource.
func join(parts ...string) string {
	path := "/v1"
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}
