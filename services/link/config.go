package link

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/limit"
)

// Config sets the service up. Durations and counts that are zero take their default.
type Config struct {
	Addr string `name:"addr" default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Where recipients are served; an origin of its own."`
	URL  string `name:"url" placeholder:"URL" help:"Address under which recipients reach --addr, as it stands in mails; empty: http:// and the address. With https:// cookies are sent over TLS only."`

	Lifetime time.Duration `name:"lifetime" default:"720h" help:"How long a link is valid if its distribution does not say."`
	Session  time.Duration `name:"session" default:"30m" help:"How long documents can be fetched after a link was opened; then it is opened again. A transfer under way goes on."`
	Form     time.Duration `name:"form" default:"12h" help:"How long a page's button works after the page was shown; then it shows the page anew."`

	Misses  int      `name:"misses" default:"20" help:"Unknown addresses one network address may ask for in a minute before it is told to wait. Valid links work all the same."`
	Proxies []string `name:"proxies" placeholder:"CIDR" help:"Networks of reverse proxies of ours; from them, and only from them, X-Forwarded-For is believed."`

	Check        time.Duration `name:"check" default:"1s" help:"How often a transfer under way asks whether its link still holds."`
	Stall        time.Duration `name:"stall" default:"1m" help:"A transfer is given up when the other side takes nothing for so long."`
	HeaderWait   time.Duration `name:"header-wait" default:"5s" help:"Longest wait for the head of a request."`
	IdleTimeout  time.Duration `name:"idle-timeout" default:"2m" help:"An unused connection is kept so long."`
	DrainTimeout time.Duration `name:"drain-timeout" default:"10s" help:"When stopping, transfers under way may take so long to end."`
}

// maxLifetime is the longest that a link may be valid.
const maxLifetime = 3650 * 24 * time.Hour

// maxSilence is how long a transfer goes on while nobody can say whether its link still holds.
const maxSilence = 4 * time.Second

// DefaultConfig is what a process starts with that says nothing.
func DefaultConfig() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	set(&c.Addr, "127.0.0.1:8081")
	set(&c.Lifetime, 30*24*time.Hour)
	set(&c.Session, 30*time.Minute)
	set(&c.Form, 12*time.Hour)
	set(&c.Misses, 20)
	set(&c.Check, time.Second)
	set(&c.Stall, time.Minute)
	set(&c.HeaderWait, 5*time.Second)
	set(&c.IdleTimeout, 2*time.Minute)
	set(&c.DrainTimeout, 10*time.Second)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns everything that is wrong with c.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	_, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		bad("addr: %q is not a host and a port: %w", c.Addr, err)
	}
	_, err = c.base()
	if err != nil {
		errs = append(errs, err)
	}
	_, err = limit.ParseProxies(c.Proxies)
	if err != nil {
		errs = append(errs, err)
	}
	if c.Lifetime < time.Minute || c.Lifetime > maxLifetime {
		bad("lifetime: %s is not between a minute and ten years", c.Lifetime)
	}
	if c.Session < time.Second || c.Session > 24*time.Hour {
		bad("session: %s is not between a second and a day", c.Session)
	}
	if c.Misses < 1 {
		bad("misses: %d is less than 1", c.Misses)
	}
	if c.Check < 10*time.Millisecond || c.Check > 4*time.Second {
		bad("check: %s is not between 10ms and 4s; a revoked transfer must end within 5 s", c.Check)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"form", c.Form}, {"stall", c.Stall}, {"header-wait", c.HeaderWait}, {"idle-timeout", c.IdleTimeout}, {"drain-timeout", c.DrainTimeout},
	} {
		if d.value < 0 {
			bad("%s: %s is negative", d.name, d.value)
		}
	}
	return errors.Join(errs...)
}

// base is the origin that links begin with, without a slash at its end.
func (c Config) base() (*url.URL, error) {
	text := c.URL
	if text == "" {
		text = "http://" + c.Addr
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("url: %q does not look like https://copies.example.com", text)
	}
	if strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("url: %q has a path; links need an origin of their own", text)
	}
	u.Path = ""
	return u, nil
}
