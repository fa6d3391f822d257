// Package ses hands one message for one recipient to Amazon SES (API version 2), and says what became of it.
//
// What Client.Send promises:
//   - The request is made only after the whole message was written, credentials are at hand and the caller's checkpoint,
//     which runs last, returned nil. It is made once: SES has no way to tell it not to take a message twice.
//   - No error, then SES answered with the id it gave the message. Else an *Error tells what became of it: only with
//     Uncertain may SES have the message, which is when the whole request went out and no answer of SES's came.
//
// SES replaces the message's Message-ID by its own, which is in Send's reply.
package ses

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/aws/smithy-go/logging"
)

// MaxSize is the largest message that SES takes.
const MaxSize = 40 << 20

// Config sets a Client up. All durations must be positive.
type Config struct {
	Region string
	// Endpoint is where SES is; empty: Amazon's in the region.
	Endpoint string
	// Profile is one of the shared AWS configuration; empty: the environment's.
	Profile string
	// Set is the configuration set that messages belong to; empty: the account's.
	Set string
	// TLS is for authorities of one's own; nil: the system's.
	TLS *tls.Config

	// Requests is how many are made at once; each holds its message in memory, somewhat more than twice.
	Requests int
	// Dial is the longest wait for a connection, Timeout for a message to be taken and answered; an unused connection is
	// kept for Idle.
	Dial    time.Duration
	Timeout time.Duration
	Idle    time.Duration
}

// Client sends messages. It is safe for concurrent use, and needs no closing: its connections end by themselves.
type Client struct {
	cfg         Config
	api         *sesv2.Client
	credentials aws.CredentialsProvider
	turn        chan struct{}
}

// New makes a client; SES is not called before there is something to send.
func New(ctx context.Context, cfg Config) (*Client, error) {
	transport := awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = cfg.Dial }).
		WithTransportOptions(func(t *http.Transport) {
			t.IdleConnTimeout = cfg.Idle
			if cfg.TLS != nil {
				t.TLSClientConfig = cfg.TLS.Clone()
			}
		})
	options := []func(*config.LoadOptions) error{
		config.WithRegion(cfg.Region), config.WithHTTPClient(transport), config.WithLogger(logging.Nop{}),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if cfg.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(cfg.Profile))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("ses: %w", err)
	}
	api := sesv2.NewFromConfig(loaded, func(o *sesv2.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint = &cfg.Endpoint
		}
	})
	return &Client{cfg: cfg, api: api, credentials: loaded.Credentials, turn: make(chan struct{}, cfg.Requests)}, nil
}

// Envelope is who sends to whom: bare mailboxes.
type Envelope struct {
	From, To string
	Size     int64 // bytes of the message
}

// Send sends the message that write writes. checkpoint is asked last; its error, and those of write, are returned as
// they are.
func (c *Client) Send(ctx context.Context, e Envelope, write func(io.Writer) error, checkpoint func(context.Context) error) (reply string, err error) {
	if e.Size > MaxSize {
		return "", &Error{Outcome: TooBig}
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return "", &Error{Outcome: Unreachable, cause: context.Cause(ctx)}
	}
	var message bytes.Buffer
	message.Grow(int(e.Size))
	err = write(&message)
	if err != nil {
		return "", err
	}
	_, err = c.credentials.Retrieve(ctx)
	if err != nil {
		return "", &Error{Outcome: AuthFailed, cause: err}
	}
	err = checkpoint(ctx)
	if err != nil {
		return "", err
	}
	return c.request(ctx, e, message.Bytes())
}

func (c *Client) request(ctx context.Context, e Envelope, message []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var out atomic.Bool // the whole request is
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			out.Store(true)
		}
	}})
	in := &sesv2.SendEmailInput{
		FromEmailAddress: &e.From,
		Destination:      &types.Destination{ToAddresses: []string{e.To}},
		Content:          &types.EmailContent{Raw: &types.RawMessage{Data: message}},
	}
	if c.cfg.Set != "" {
		in.ConfigurationSetName = &c.cfg.Set
	}
	sent, err := c.api.SendEmail(ctx, in)
	if err != nil {
		return "", classify(err, out.Load())
	}
	if aws.ToString(sent.MessageId) == "" {
		return "", &Error{Outcome: Uncertain, cause: errors.New("the answer has no message id")}
	}
	return "Amazon SES took it as " + *sent.MessageId, nil
}
