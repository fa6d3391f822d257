// Package fcm sends notifications by Firebase Cloud Messaging, version 1 of its HTTP API, and sorts its answers.
package fcm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/oauth2/jwt"
	api "google.golang.org/api/fcm/v1"
	"google.golang.org/api/option"
)

// maxAnswer bounds what is read of an answer; real ones have some hundred bytes.
const maxAnswer = 1 << 20

// Config says where to send, and as whom.
type Config struct {
	// Project is the Firebase project's id.
	Project string
	// Credentials is the key file of a service account that may send in it.
	Credentials []byte
	// Endpoint replaces Google's if not empty.
	Endpoint string
	// Timeout is how long one request may take.
	Timeout time.Duration
	// RetryAfter is how long to wait after an answer that asks to, and does not say how long.
	RetryAfter time.Duration
}

// Message is one notification to one device.
type Message struct {
	Token       string // the device's registration token
	Title, Text string
	// Collapse makes a device show one notification of those that share it. At most 64 bytes.
	Collapse string
	Data     map[string]string
}

// Client sends messages. It is safe for concurrent use.
type Client struct {
	cfg     Config
	service *api.Service
	base    *http.Transport
}

// New returns a client; it connects to nothing yet.
func New(cfg Config) (*Client, error) {
	account, err := ParseCredentials(cfg.Credentials)
	if err != nil {
		return nil, err
	}
	defaults, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		defaults = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	base := defaults.Clone()
	plain := &http.Client{Transport: bounded{base}, Timeout: cfg.Timeout, CheckRedirect: stay}
	// The context is the token source's for as long as it lives: it carries the client and never ends.
	tokens := account.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, plain))
	authorized := &http.Client{Transport: &oauth2.Transport{Source: tokens, Base: bounded{base}}, CheckRedirect: stay} // its deadline is Send's
	options := []option.ClientOption{option.WithHTTPClient(authorized)}
	if cfg.Endpoint != "" {
		options = append(options, option.WithEndpoint(cfg.Endpoint))
	}
	service, err := api.NewService(context.Background(), options...)
	if err != nil {
		return nil, fmt.Errorf("make a client of FCM: %w", err)
	}
	return &Client{cfg: cfg, service: service, base: base}, nil
}

// Close gives up idle connections.
func (c *Client) Close() error {
	c.base.CloseIdleConnections()
	return nil
}

// ParseCredentials reads the key file of a service account.
func ParseCredentials(data []byte) (*jwt.Config, error) {
	account, err := google.JWTConfigFromJSON(data, api.FirebaseMessagingScope)
	if err != nil {
		return nil, errors.New("this is not the key file of a service account (JSON with \"type\": \"service_account\")") // err may quote it
	}
	if account.Email == "" || len(account.PrivateKey) == 0 {
		return nil, errors.New("the service account's key file has no client_email or no private_key")
	}
	return account, nil
}

// Send hands m to FCM. An error is an *Error, or that of ctx when ctx ended first.
func (c *Client) Send(ctx context.Context, m Message) error {
	call, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	_, err := c.service.Projects.Messages.Send("projects/"+c.cfg.Project, request(m)).Context(call).Do()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.classify(err)
}

// request is m as FCM takes it.
func request(m Message) *api.SendMessageRequest {
	return &api.SendMessageRequest{Message: &api.Message{
		Token:        m.Token,
		Notification: &api.Notification{Title: m.Title, Body: m.Text},
		Data:         m.Data,
		// The key collapses what waits for the device, the tag what it shows; Apple's id does both.
		Android: &api.AndroidConfig{CollapseKey: m.Collapse, Notification: &api.AndroidNotification{Tag: m.Collapse}},
		Apns:    &api.ApnsConfig{Headers: map[string]string{"apns-collapse-id": m.Collapse}},
	}}
}

// stay follows no redirection: the request carries a token.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// bounded reads no answer beyond maxAnswer.
type bounded struct{ base http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}
