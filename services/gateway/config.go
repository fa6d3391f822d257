package gateway

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/filigreehq/filigree/pkg/limit"
)

// Config is what can be set about a gateway. The defaults serve one machine.
type Config struct {
	// Addr is where HTTP is served, host:port; port 0 takes a free one. Serve takes a listener: this is for whoever opens it.
	Addr string `help:"Address to serve HTTP on, host:port." default:"127.0.0.1:8080"`
	// MaxUpload is the largest document taken, in bytes. The directory has a limit of its own; the smaller one holds.
	MaxUpload int64 `help:"Largest document taken, in bytes." default:"209715200"`
	// MaxBody is the largest JSON body taken, in bytes. It is held in memory.
	MaxBody int64 `help:"Largest JSON body taken, in bytes." default:"4194304"`
	// ReadHeaderTimeout is how long a client may take to send a request's header.
	ReadHeaderTimeout time.Duration `help:"How long a client may take to send a request's header." default:"10s"`
	// StallTimeout is how long a body may take to bring its next 64 KiB, or its end, before the request is given up.
	StallTimeout time.Duration `help:"How long a body may take to bring its next 64 KiB before it is given up." default:"30s"`
	// WriteTimeout is how long a client may take to accept an answer once it has begun.
	WriteTimeout time.Duration `help:"How long a client may take to accept an answer." default:"60s"`
	// IdleTimeout is how long a connection is kept between requests.
	IdleTimeout time.Duration `help:"How long a connection is kept between requests." default:"2m"`
	// CallTimeout is how long another service may take to answer one call, or to take one piece of an upload.
	CallTimeout time.Duration `help:"How long another service may take to answer." default:"30s"`
	// DrainTimeout is how long requests under way may take to end once the gateway is told to stop.
	DrainTimeout time.Duration `help:"How long requests under way may take to end at a stop." default:"10s"`
	// TokenCache is how long an accepted token is believed without asking the directory again: the longest that a token
	// revoked through another gateway keeps working, but for reading while the directory does not answer. 0 asks each time.
	TokenCache time.Duration `help:"How long an accepted token is believed without asking again, at most 2s." default:"2s"`
	// PublicURL is how browsers reach this gateway. With https, cookies are sent over TLS only; and a call that a browser makes
	// with its session must come from this origin. Without it, it must come from wherever the browser says it is.
	PublicURL string `name:"public-url" placeholder:"URL" help:"How browsers reach this gateway, http(s)://host[:port]. With https their cookies are sent over TLS only."`
	// OIDC lets people sign in to the console by an identity provider. Without an issuer there is none.
	OIDC OIDC `embed:""`
	// Misses is how many calls of webhooks without a right signature one network address may make in a minute; then its calls
	// are refused for the rest of it, right ones too. Many callers have one address if it is that of a proxy which Proxies does
	// not name.
	Misses int `help:"Calls of webhooks without a right signature, and sign-ins that fail, that one network address may make in a minute before it is told to wait." default:"20"`
	// Proxies are networks of reverse proxies; from them, and only from them, X-Forwarded-For is believed.
	Proxies []string `placeholder:"CIDR" help:"Networks of reverse proxies of ours; from them, and only from them, X-Forwarded-For is believed."`
}

// DefaultConfig returns the defaults, the same that the flags have.
func DefaultConfig() Config {
	return Config{
		Addr:              "127.0.0.1:8080",
		MaxUpload:         200 << 20,
		MaxBody:           4 << 20,
		ReadHeaderTimeout: 10 * time.Second,
		StallTimeout:      30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		CallTimeout:       30 * time.Second,
		DrainTimeout:      10 * time.Second,
		TokenCache:        2 * time.Second,
		Misses:            20,
		OIDC:              DefaultOIDC(),
	}
}

// maxTokenCache bounds TokenCache: revocation must take effect nearly at once.
const maxTokenCache = 2 * time.Second

// Validate returns everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	_, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		errs = append(errs, fmt.Errorf("addr %q is not host:port: %w", c.Addr, err))
	}
	for _, size := range []struct {
		name  string
		value int64
	}{{"max-upload", c.MaxUpload}, {"max-body", c.MaxBody}} {
		if size.value < 1 {
			errs = append(errs, fmt.Errorf("%s is %d and must be at least 1 byte", size.name, size.value))
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"read-header-timeout", c.ReadHeaderTimeout},
		{"stall-timeout", c.StallTimeout},
		{"write-timeout", c.WriteTimeout},
		{"idle-timeout", c.IdleTimeout},
		{"call-timeout", c.CallTimeout},
		{"drain-timeout", c.DrainTimeout},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s is %s and must be more than nothing", d.name, d.value))
		}
	}
	if c.TokenCache < 0 || c.TokenCache > maxTokenCache {
		errs = append(errs, fmt.Errorf("token-cache is %s and must be between 0 and %s", c.TokenCache, maxTokenCache))
	}
	_, err = siteOf(c.PublicURL)
	if err != nil {
		errs = append(errs, err)
	}
	if c.OIDC.Issuer != "" && c.PublicURL == "" {
		errs = append(errs, errors.New("oidc-issuer is given without public-url: the provider must be told where to send browsers back to"))
	}
	errs = append(errs, c.OIDC.Validate())
	if c.Misses < 1 {
		errs = append(errs, fmt.Errorf("misses is %d and must be at least 1", c.Misses))
	}
	_, err = limit.ParseProxies(c.Proxies)
	if err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
