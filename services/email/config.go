package email

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/conf"
	"github.com/filigreehq/filigree/services/email/internal/message"
	"github.com/filigreehq/filigree/services/email/internal/ses"
	"github.com/filigreehq/filigree/services/email/internal/smtp"
)

// Config sets the service up. What is said of connections and timeouts goes for requests to Amazon SES, too: one may take
// data-timeout and dot-timeout together. Durations, counts and sizes that are zero take their default.
type Config struct {
	SMTP         URL         `name:"smtp" placeholder:"URL" help:"Mail server: smtp://[user[:password]@]host[:587] or smtps://…[:465]. ?starttls=required|opportunistic|never says whether plain smtp must be encrypted; without it: required, except to a loopback address without credentials. Or Amazon SES: ses://REGION[?profile=NAME&configuration-set=NAME&endpoint=URL], with credentials from where AWS programs look."`
	SMTPPassword conf.Secret `name:"smtp-password" help:"Password for the mail server; goes before one in the URL."`
	SMTPCA       string      `name:"smtp-ca" placeholder:"FILE" help:"PEM file of certificate authorities to trust for the mail server; empty: the system's."`
	From         string      `name:"from" placeholder:"ADDRESS" default:"filigree@localhost" help:"Address that mails come from; the mail server must be allowed to send for it. The default serves for a mail server on this machine only."`
	FromName     string      `name:"from-name" default:"Filigree" help:"Name shown with the sender's address."`
	Hello        string      `name:"hello" placeholder:"HOST" help:"Name of this machine to the mail server; empty: the host name."`

	Connections    int           `name:"connections" default:"4" help:"Connections to the mail server at once."`
	PerConnection  int           `name:"per-connection" default:"100" help:"Messages before a connection is replaced; many servers refuse more."`
	MaxSize        int64         `name:"max-size" default:"26214400" help:"Largest message in bytes, as sent (documents grow by 37 %)."`
	DialTimeout    time.Duration `name:"dial-timeout" default:"10s" help:"Longest wait for a connection."`
	CommandTimeout time.Duration `name:"command-timeout" default:"30s" help:"Longest wait for an answer, and for a TLS handshake."`
	DataTimeout    time.Duration `name:"data-timeout" default:"60s" help:"Longest wait for the server to take the next piece of a message."`
	DotTimeout     time.Duration `name:"dot-timeout" default:"2m" help:"Longest wait for the answer to a complete message. When it runs out nobody knows whether the server took it."`
	IdleTimeout    time.Duration `name:"idle-timeout" default:"30s" help:"An unused connection is kept so long."`
	RetryAfter     time.Duration `name:"retry-after" default:"60s" help:"After the server said to try later, wait at least so long."`
}

// localFrom is the sender where mail does not leave the machine.
const localFrom = "filigree@localhost"

func (c Config) withDefaults() Config {
	set(&c.From, localFrom)
	set(&c.FromName, "Filigree")
	set(&c.Connections, 4)
	set(&c.PerConnection, 100)
	set(&c.MaxSize, 25<<20)
	set(&c.DialTimeout, 10*time.Second)
	set(&c.CommandTimeout, 30*time.Second)
	set(&c.DataTimeout, time.Minute)
	set(&c.DotTimeout, 2*time.Minute)
	set(&c.IdleTimeout, 30*time.Second)
	set(&c.RetryAfter, time.Minute)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns everything that is wrong with c. That no mail server is named is not: a process that brings one of
// its own fills it in before New, which asks for it.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.SMTP != "" {
		errs = append(errs, c.validateServer()...)
	}
	_, err := message.ParseAddress(c.FromName, c.From)
	if err != nil {
		bad("from: %q is no address to send from: %w", c.From, err)
	}
	if c.SMTPCA != "" {
		_, err = authorities(c.SMTPCA)
		if err != nil {
			errs = append(errs, err)
		}
	}
	if c.Hello != "" && !helloName(c.Hello) {
		bad("hello: %q is not the name of a machine", c.Hello)
	}
	if c.Connections < 1 || c.Connections > 100 {
		bad("connections: %d is not between 1 and 100", c.Connections)
	}
	if c.PerConnection < 1 {
		bad("per-connection: %d is less than 1", c.PerConnection)
	}
	if c.MaxSize < 64<<10 {
		bad("max-size: %d bytes are too few for any message", c.MaxSize)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"dial-timeout", c.DialTimeout},
		{"command-timeout", c.CommandTimeout},
		{"data-timeout", c.DataTimeout},
		{"dot-timeout", c.DotTimeout},
		{"idle-timeout", c.IdleTimeout},
		{"retry-after", c.RetryAfter},
	} {
		if d.value < 0 {
			bad("%s: %s is negative", d.name, d.value)
		}
	}
	return errors.Join(errs...)
}

func (c Config) validateServer() (errs []error) {
	if c.SMTP.isSES() {
		return c.validateSES()
	}
	target, err := c.SMTP.parse()
	if err != nil {
		return []error{fmt.Errorf("smtp: %w", err)}
	}
	if target.user != "" && target.policy == smtp.Never && !target.loopback {
		errs = append(errs, fmt.Errorf("smtp: credentials would go to %s in plain text; drop starttls=never or the credentials", target.host))
	}
	if target.user == "" && c.SMTPPassword != "" {
		errs = append(errs, errors.New("smtp-password: the URL names no user for it"))
	}
	if c.From == localFrom && !target.loopback {
		errs = append(errs, fmt.Errorf("from: name the address that %s lets us send from; nobody could answer %s", target.host, localFrom))
	}
	return errs
}

func (c Config) validateSES() (errs []error) {
	at, err := c.SMTP.parseSES()
	if err != nil {
		return []error{fmt.Errorf("smtp: %w", err)}
	}
	if c.SMTPPassword != "" {
		errs = append(errs, errors.New("smtp-password: Amazon SES takes AWS credentials; leave it empty"))
	}
	if c.From == localFrom && !at.loopback {
		errs = append(errs, fmt.Errorf("from: name an address that Amazon SES lets us send from; nobody could answer %s", localFrom))
	}
	return errs
}

// service is the settings for Amazon SES of a valid c with its defaults.
func (c Config) service() (ses.Config, error) {
	at, err := c.SMTP.parseSES()
	if err != nil {
		return ses.Config{}, fmt.Errorf("smtp: %w", err)
	}
	base, err := c.trust()
	if err != nil {
		return ses.Config{}, err
	}
	return ses.Config{
		Region: at.region, Endpoint: at.endpoint, Profile: at.profile, Set: at.set, TLS: base,
		Requests: c.Connections, Dial: c.DialTimeout, Timeout: c.DataTimeout + c.DotTimeout, Idle: c.IdleTimeout,
	}, nil
}

// trust is the authorities of c; nil for the system's.
func (c Config) trust() (*tls.Config, error) {
	if c.SMTPCA == "" {
		return nil, nil
	}
	roots, err := authorities(c.SMTPCA)
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// pool is the connection settings of a valid c with its defaults.
func (c Config) pool() (smtp.Config, error) {
	target, err := c.SMTP.parse()
	if err != nil {
		return smtp.Config{}, fmt.Errorf("smtp: %w", err)
	}
	password := target.password
	if c.SMTPPassword != "" {
		password = c.SMTPPassword.Reveal()
	}
	base, err := c.trust()
	if err != nil {
		return smtp.Config{}, err
	}
	return smtp.Config{
		Host: target.host, Port: target.port, Implicit: target.implicit, StartTLS: target.policy, TLS: base,
		User: target.user, Password: password, PlainAuth: target.loopback,
		Hello: hello(c.Hello), Connections: c.Connections, PerConn: c.PerConnection,
		Dial: c.DialTimeout, Command: c.CommandTimeout, Data: c.DataTimeout, Dot: c.DotTimeout, Idle: c.IdleTimeout,
	}, nil
}

func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("smtp-ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("smtp-ca: %s holds no certificate in PEM form", file)
	}
	return roots, nil
}

// hello is name, or else the machine's if that can be said to a server.
func hello(name string) string {
	if name != "" {
		return name
	}
	host, err := os.Hostname()
	if err != nil || !helloName(host) {
		return "localhost"
	}
	return host
}

func helloName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:[]") == ""
}
