// Package egress calls addresses that people wrote down: webhooks, chat. Whoever may write an address must not be able to
// reach with it what only this machine reaches, so a connection is made only to an address of the public Internet, decided
// on the very IP address that is connected to, after names were looked up: a name that is looked up twice cannot change
// its mind in between (server-side request forgery, DNS rebinding).
package egress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
)

const (
	// MaxBody is the longest body that is sent, in bytes.
	MaxBody = 64 << 10
	// maxAnswer is how much of an answer is read.
	maxAnswer = 4 << 10
	timeout   = 10 * time.Second
)

// closed are the networks that nobody is to be reached in: of this machine, of its neighbours, of nobody, and those that
// carry an IPv4 address inside (IANA's special-purpose registries, RFC 6890 and its successors).
var closed = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	"5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

var errClosed = errors.New("not an address of the public Internet")

// Client makes calls. It is safe for concurrent use.
type Client struct {
	open []netip.Prefix
	http *http.Client
}

// New makes a client. Networks in open are reached although they are not public: a studio's own chat server.
func New(open []netip.Prefix) *Client {
	c := &Client{open: slices.Clone(open)}
	dialer := &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error { return c.permit(address) }}
	c.http = &http.Client{
		Timeout: timeout,
		// An answer that sends elsewhere is the answer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		// No Proxy: one from the environment would be connected to instead, and do the looking-up.
		Transport: &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
			MaxResponseHeaderBytes: 16 << 10, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2, ForceAttemptHTTP2: true},
	}
	return c
}

// ParseOpen reads the networks of --egress-open; it reports all that are none.
func ParseOpen(texts []string) ([]netip.Prefix, error) {
	var open []netip.Prefix
	var errs []error
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("--egress-open: %q is no network; write it as 10.1.0.0/16", text))
			continue
		}
		open = append(open, p)
	}
	return open, errors.Join(errs...)
}

// permit says whether a socket may be connected to address, "IP:port".
func (c *Client) permit(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errClosed
	}
	if !c.public(at.Addr()) {
		return fmt.Errorf("%s: %w", at.Addr(), errClosed)
	}
	return nil
}

func (c *Client) public(ip netip.Addr) bool {
	ip = ip.WithZone("")
	in := func(p netip.Prefix) bool { return p.Contains(ip) || p.Contains(ip.Unmap()) }
	return slices.ContainsFunc(c.open, in) || !slices.ContainsFunc(closed, in)
}

// Check says what is wrong with an address that somebody writes down, before anything is kept: URL_INVALID, or
// URL_FORBIDDEN. A name is not looked up: what it stands for is decided when it is called.
func (c *Client) Check(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return fault.New(fault.Invalid, "URL_INVALID", "%q is no address; write it as https://host/path", clip(address))
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fault.New(fault.Invalid, "URL_FORBIDDEN", "an address begins with https:// or http://, not with %q", clip(u.Scheme))
	case u.User != nil:
		return fault.New(fault.Invalid, "URL_FORBIDDEN", "%q has a user name in it; use the address without", clip(u.Redacted()))
	case strings.Contains(u.Host, "%"), u.Hostname() == "":
		return fault.New(fault.Invalid, "URL_INVALID", "%q names no host", clip(address))
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && !c.public(ip), err != nil && numeric(host), err != nil && internal(host) && len(c.open) == 0:
		return fault.New(fault.Invalid, "URL_FORBIDDEN", "%s is not an address of the public Internet; whoever runs Filigree can allow a network with --egress-open", clip(host))
	}
	return nil
}

// numeric reports whether a host is a number in another writing (0x7f.1, 2130706433, 0177.0.0.1), which some look-ups take
// for an IP address: the last label of a name is never one.
func numeric(host string) bool {
	label, hex := strings.CutPrefix(host[strings.LastIndexByte(host, '.')+1:], "0x")
	return label == "" || strings.Trim(label, "0123456789abcdef") == "" && (hex || strings.ContainsAny(label[:1], "0123456789"))
}

// internal reports whether a name is one of those that never stand for anything public (RFC 6761, 6762, 8375).
func internal(host string) bool {
	for _, suffix := range []string{"localhost", "local", "internal", "home.arpa", "localdomain"} {
		if host == suffix || strings.HasSuffix(host, "."+suffix) {
			return true
		}
	}
	return false
}

// Answer is what came back.
type Answer struct {
	Status int
	Body   []byte // the first 4 KiB
}

// Post calls address. An answer of whatever status is no error. A body of more than MaxBody is refused.
func (c *Client) Post(ctx context.Context, address string, header http.Header, body []byte) (Answer, error) {
	if len(body) > MaxBody {
		return Answer{}, fault.New(fault.Invalid, "BODY_TOO_LARGE", "the call would carry %d bytes, and %d is the most", len(body), MaxBody)
	}
	err := c.Check(address)
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fault.New(fault.Invalid, "URL_INVALID", "%q is no address; write it as https://host/path", clip(address))
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, errClosed) {
		return Answer{}, fault.New(fault.Invalid, "URL_FORBIDDEN", "%s stands for an address that is not of the public Internet; whoever runs Filigree can allow a network with --egress-open", clip(req.URL.Hostname())).Because(err)
	}
	if err != nil {
		return Answer{}, fault.New(fault.Unavailable, "URL_UNREACHABLE", "%s does not answer", clip(req.URL.Hostname())).Because(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Answer{}, fault.New(fault.Unavailable, "URL_UNREACHABLE", "%s broke off its answer", clip(req.URL.Hostname())).Because(err)
	}
	return Answer{Status: resp.StatusCode, Body: got}, nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// Transport is for libraries that make calls by themselves: what may be reached is decided as for Post, of every request.
// Answers that send elsewhere, and how much of an answer is read, are theirs to mind.
func (c *Client) Transport() http.RoundTripper { return guarded{c} }

type guarded struct{ c *Client }

func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	err := g.c.Check(r.URL.String())
	if err != nil {
		return nil, err
	}
	return g.c.http.Transport.RoundTrip(r)
}
