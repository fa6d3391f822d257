// Package api speaks Filigree's REST API for the command line.
//
// Reading, storing a file, and setting something to what it is to be (cancelling, revoking, pausing, a limit) are repeated
// when the connection breaks or the server says that trying again can help. Creating a distribution or a batch is repeated
// too, with the same idempotency key, so that an answer lost on the way never makes two of it. Nothing else that changes
// something is repeated. Repeats are bounded and stop with the context; only Follow goes on for as long as its context
// lasts.
package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds what is read of one answer: a page of 1,000 items is well below.
const maxAnswer = 64 << 20

// maxRefusal bounds what is read of an answer that is no success.
const maxRefusal = 1 << 20

// Client calls one server with one token. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client
	pause func(context.Context, time.Duration) error
}

// New returns a client of the server at base ("http://host:port"). agent names the caller in the server's log.
func New(base, token, agent string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is not the address of a server: it looks like http://host:port", base)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	transport.ResponseHeaderTimeout = 2 * time.Minute
	return &Client{
		base:  strings.TrimRight(base, "/"),
		token: token,
		http: &http.Client{
			Transport: named{next: transport, agent: agent},
			// A redirect would carry token and body to an address nobody named.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		pause: pause,
	}, nil
}

// Base is the server's address.
func (c *Client) Base() string { return c.base }

type named struct {
	next  http.RoundTripper
	agent string
}

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", n.agent)
	return n.next.RoundTrip(r)
}

// Error is an answer of the server that is no success.
type Error struct {
	Status    int    // of HTTP
	Code      string // stable: "PRODUCTION_UNKNOWN"
	Message   string // what is wrong, with what, what to do
	Retryable bool

	retryAfter time.Duration
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%s)", e.Message, e.Code) }

// UnreachableError says that a server gave no answer at all. What was asked may or may not have happened, unless Refused.
type UnreachableError struct {
	Base string
	// Refused: no connection was made, so nothing was asked.
	Refused bool
	cause   error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no answer from %s: %v", e.Base, e.cause)
}

func (e *UnreachableError) Unwrap() error { return e.cause }

// call is one request and how often it may be repeated.
type call struct {
	method, path string
	query        url.Values
	key          string        // header Idempotency-Key
	json         []byte        // a JSON body, or
	open         func() source // any other body, opened anew for each try
	tries        int           // 0 is 1
	// patient repeats even when no connection was made: the server was there a moment ago.
	patient bool
}

type source struct {
	body io.ReadCloser
	size int64
	err  error
}

// do makes the call and returns the body of its success.
func (c *Client) do(ctx context.Context, call call) (data []byte, err error) {
	err = c.repeat(ctx, call, func() error {
		data, err = c.once(ctx, call)
		return err
	})
	return data, err
}

// repeat makes the call by once until it succeeds, or another time cannot help or is not allowed.
func (c *Client) repeat(ctx context.Context, call call, once func() error) error {
	for try := 1; ; try++ {
		err := once()
		if err == nil || ctx.Err() != nil || try >= call.tries {
			return err
		}
		again, after := passing(err)
		var gone *UnreachableError
		if !again || errors.As(err, &gone) && gone.Refused && !call.patient {
			return err
		}
		stopped := c.pause(ctx, max(backoff(try), after))
		if stopped != nil {
			return err
		}
	}
}

// passing reports whether an error may be gone at the next try, and how long that should wait at least.
func passing(err error) (again bool, after time.Duration) {
	var answer *Error
	var gone *UnreachableError
	switch {
	case errors.As(err, &answer):
		return answer.Retryable, answer.retryAfter
	case errors.As(err, &gone):
		return true, 0
	}
	return false, 0
}

// backoff is how long to wait after so many failures in a row.
func backoff(failures int) time.Duration {
	wait := min(250*time.Millisecond<<min(failures-1, 10), 5*time.Second)
	return wait/2 + rand.N(wait/2) // clients that lost the server together do not come back together
}

func (c *Client) once(ctx context.Context, call call) ([]byte, error) {
	body, err := c.ask(ctx, call)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // read to its end below; nothing is left to fail
	data, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if len(data) > maxAnswer {
		return nil, fmt.Errorf("the answer of %s to %s is larger than %d MB", c.base, call.path, maxAnswer>>20)
	}
	return data, nil
}

// ask makes the call once and returns the body of its success, which has to be closed.
func (c *Client) ask(ctx context.Context, call call) (io.ReadCloser, error) {
	req, err := c.request(ctx, call)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode/100 == 2 {
		noteOf(ctx, resp.Header.Get("Filigree-Note"))
		return resp.Body, nil
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	_ = resp.Body.Close() // its status says enough
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	return nil, refusal(resp, data)
}

func (c *Client) request(ctx context.Context, call call) (*http.Request, error) {
	var body io.Reader
	size := int64(0)
	kind := ""
	switch {
	case call.open != nil:
		src := call.open()
		if src.err != nil {
			return nil, src.err
		}
		body, size, kind = src.body, src.size, "application/octet-stream"
	case call.json != nil:
		body, size, kind = bytes.NewReader(call.json), int64(len(call.json)), "application/json"
	}
	target := c.base + call.path
	if len(call.query) > 0 {
		target += "?" + call.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, call.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", call.method, call.path, err)
	}
	req.ContentLength = size
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "application/json")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if call.key != "" {
		req.Header.Set("Idempotency-Key", call.key)
	}
	if call.open != nil {
		// A refusal (token, size) comes before the bytes are sent, not in the middle of them.
		req.Header.Set("Expect", "100-continue")
	}
	return req, nil
}

// unreachable tells an answer that did not come from a caller who stopped waiting for it.
func (c *Client) unreachable(ctx context.Context, err error) error {
	var local *localError
	if errors.As(err, &local) {
		return local
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err // the address is said once already
	}
	var op *net.OpError
	return &UnreachableError{Base: c.base, Refused: errors.As(err, &op) && op.Op == "dial", cause: err}
}

// refusal reads {"error":{code,message,retryable}}; what a proxy says instead becomes an error of the same form.
func refusal(resp *http.Response, data []byte) error {
	var doc struct {
		Error struct {
			Code      string `json:"code"`
			Message   string `json:"message"`
			Retryable bool   `json:"retryable"`
		} `json:"error"`
	}
	e := &Error{Status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	err := json.Unmarshal(data, &doc)
	if err == nil && doc.Error.Code != "" {
		e.Code, e.Message, e.Retryable = doc.Error.Code, doc.Error.Message, doc.Error.Retryable
	} else {
		e.Code = "HTTP_" + strconv.Itoa(resp.StatusCode)
		e.Message = fmt.Sprintf("%s answered %s, which is not an answer of Filigree: is this its address?", resp.Request.URL.Host, resp.Status)
	}
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.Retryable = true // also when a proxy says it
	}
	return e
}

// retryAfter reads the header in seconds or as a date; at most a minute is believed.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err == nil {
		return min(max(time.Duration(seconds)*time.Second, 0), time.Minute)
	}
	at, err := http.ParseTime(header)
	if err == nil {
		return min(max(time.Until(at), 0), time.Minute)
	}
	return 0
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
