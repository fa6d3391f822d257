package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// bodyBuffer makes the writes of a message large: few system calls, full TLS records.
const bodyBuffer = 64 << 10

// conn is one connection to the server, used by one Send at a time.
type conn struct {
	*smtp.Client
	cfg   Config
	wire  *wire
	sent  int         // messages tried over it
	timer *time.Timer // ends it when idle for long
}

// dial opens a connection up to and including authentication.
func dial(ctx context.Context, cfg Config) (*conn, error) {
	d := net.Dialer{Timeout: cfg.Dial}
	raw, err := d.DialContext(ctx, "tcp", net.JoinHostPort(cfg.Host, cfg.Port))
	if err != nil {
		return nil, classify(Connect, err)
	}
	c := &conn{cfg: cfg, wire: &wire{Conn: raw}}
	release := c.wire.follow(ctx)
	err = c.open()
	if !release() && err == nil {
		err = classify(Connect, context.Cause(ctx))
	}
	if err != nil {
		c.wire.abort()
		return nil, err
	}
	return c, nil
}

func (c *conn) open() error {
	var transport net.Conn = c.wire
	if c.cfg.Implicit {
		c.wire.begin(c.cfg.Command)
		t := tls.Client(c.wire, c.tls(Required))
		err := t.Handshake()
		if err != nil {
			return classify(StartTLS, fmt.Errorf("TLS: %w", err))
		}
		transport = t
		c.passed(StartTLS)
	}
	c.wire.begin(c.cfg.Command)
	client, err := smtp.NewClient(transport, c.cfg.Host)
	if err != nil {
		return classify(Banner, err)
	}
	c.Client = client
	c.passed(Banner)
	c.wire.begin(c.cfg.Command)
	err = c.Hello(c.cfg.Hello)
	if err != nil {
		return classify(Hello, err)
	}
	c.passed(Hello)
	if !c.cfg.Implicit {
		err = c.startTLS()
		if err != nil {
			return err
		}
	}
	err = c.authenticate()
	if err != nil {
		return err
	}
	c.Text.W = bufio.NewWriterSize(through{c.Text.W}, bodyBuffer)
	return nil
}

func (c *conn) startTLS() error {
	if c.cfg.StartTLS == Never {
		return nil
	}
	offered, _ := c.Extension("STARTTLS")
	if !offered {
		if c.cfg.StartTLS == Opportunistic {
			return nil
		}
		return classify(StartTLS, errors.New("the server does not offer STARTTLS, which is required"))
	}
	c.wire.begin(c.cfg.Command)
	err := c.StartTLS(c.tls(c.cfg.StartTLS))
	if err != nil {
		return classify(StartTLS, err)
	}
	c.passed(StartTLS)
	return nil
}

func (c *conn) tls(policy Policy) *tls.Config {
	t := &tls.Config{}
	if c.cfg.TLS != nil {
		t = c.cfg.TLS.Clone()
	}
	t.ServerName = c.cfg.Host
	t.MinVersion = max(t.MinVersion, tls.VersionTLS12)
	if policy == Opportunistic {
		t.InsecureSkipVerify = true //nolint:gosec // the alternative is plain text; whoever wants more asks for Required
	}
	return t
}

// authenticate signs in by the best way both sides know.
func (c *conn) authenticate() error {
	if c.cfg.User == "" {
		return nil
	}
	offered, list := c.Extension("AUTH")
	if !offered {
		return &Error{Outcome: AuthFailed, Phase: Auth, cause: errors.New("the server offers no way to sign in")}
	}
	ways := strings.Fields(strings.ToUpper(list))
	var auth smtp.Auth
	switch {
	case slices.Contains(ways, "SCRAM-SHA-256"):
		auth = smtp.ScramSHA256Auth(c.cfg.User, c.cfg.Password)
	case slices.Contains(ways, "PLAIN"):
		auth = smtp.PlainAuth("", c.cfg.User, c.cfg.Password, c.cfg.Host, c.cfg.PlainAuth)
	case slices.Contains(ways, "LOGIN"):
		auth = smtp.LoginAuth(c.cfg.User, c.cfg.Password, c.cfg.Host, c.cfg.PlainAuth)
	case slices.Contains(ways, "CRAM-MD5"):
		auth = smtp.CRAMMD5Auth(c.cfg.User, c.cfg.Password)
	default:
		return &Error{Outcome: AuthFailed, Phase: Auth, cause: fmt.Errorf("the server offers %q, none of which we know", list)}
	}
	c.wire.begin(c.cfg.Command)
	err := c.Auth(auth)
	if err == nil {
		c.passed(Auth)
		return nil
	}
	if errors.Is(err, smtp.ErrUnencrypted) {
		return &Error{Outcome: AuthFailed, Phase: Auth, cause: err}
	}
	return classify(Auth, err)
}

// limit is the largest message that the server says it takes; 0 if it does not say.
func (c *conn) limit() int64 {
	_, size := c.Extension("SIZE")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// quit takes leave, not waiting long.
func (c *conn) quit() {
	c.wire.begin(min(c.cfg.Command, 2*time.Second))
	_ = c.Quit() // the server owes us nothing any more
	_ = c.wire.Close()
}
