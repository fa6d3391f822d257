package email

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/filigreehq/filigree/services/email/internal/smtp"
)

// URL is a mail server's address, or Amazon SES. Printed, logged or marshalled it hides its password.
type URL string

// String is the URL with *** for the password.
func (u URL) String() string {
	parsed, err := url.Parse(string(u))
	if err != nil {
		return "***" // whatever it is, it may hold a password
	}
	_, has := parsed.User.Password()
	if has {
		user := url.User(parsed.User.Username()).String()
		return strings.Replace(parsed.Redacted(), user+":xxxxx@", user+":***@", 1)
	}
	return string(u)
}

// GoString hides the password from %#v, too.
func (u URL) GoString() string { return u.String() }

// MarshalText implements encoding.TextMarshaler, and so JSON.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler, for flags and environment.
func (u *URL) UnmarshalText(text []byte) error {
	*u = URL(text)
	return nil
}

// target is what a URL says.
type target struct {
	host, port     string
	implicit       bool
	policy         smtp.Policy
	user, password string
	loopback       bool
}

var policies = map[string]smtp.Policy{"required": smtp.Required, "opportunistic": smtp.Opportunistic, "never": smtp.Never}

func (u URL) parse() (target, error) {
	if u == "" {
		return target{}, errors.New("no mail server is named; it looks like smtp://user:password@host:587")
	}
	parsed, err := url.Parse(string(u))
	if err != nil {
		// The error would quote the whole URL, password included.
		return target{}, errors.New("this is no URL; a mail server's looks like smtp://user:password@host:587, with % for special characters")
	}
	t := target{host: parsed.Hostname(), port: parsed.Port(), user: parsed.User.Username()}
	t.password, _ = parsed.User.Password()
	switch parsed.Scheme {
	case "smtp":
		if t.port == "" {
			t.port = "587"
		}
	case "smtps":
		t.implicit = true
		if t.port == "" {
			t.port = "465"
		}
	default:
		return target{}, fmt.Errorf("%q is neither smtp:// nor smtps:// nor ses://", parsed.Scheme)
	}
	if t.host == "" {
		return target{}, errors.New("the URL names no host")
	}
	if strings.Trim(parsed.Path, "/") != "" || parsed.Fragment != "" {
		return target{}, errors.New("the URL has a path; special characters of a password are written with %, as %2F for /")
	}
	t.loopback = isLoopback(t.host)
	t.policy = smtp.Required
	if t.loopback && t.user == "" {
		t.policy = smtp.Opportunistic
	}
	for key, values := range parsed.Query() {
		policy, known := policies[values[0]]
		if key != "starttls" || !known || len(values) > 1 {
			return target{}, fmt.Errorf("%s=%s is not known; there is starttls=required, opportunistic and never", key, values[0])
		}
		if t.implicit {
			return target{}, errors.New("smtps:// is encrypted from the start and has no starttls")
		}
		t.policy = policy
	}
	return t, nil
}

const sesScheme = "ses://"

// isSES reports whether u names Amazon SES and no mail server.
func (u URL) isSES() bool { return strings.HasPrefix(string(u), sesScheme) }

// service is what a URL of Amazon SES says.
type service struct {
	region, endpoint, profile, set string
	loopback                       bool
}

func (u URL) parseSES() (service, error) {
	parsed, err := url.Parse(string(u))
	if err != nil {
		return service{}, errors.New("this is no URL; that of Amazon SES looks like ses://eu-central-1")
	}
	if parsed.User != nil {
		return service{}, errors.New("credentials of Amazon SES are never in the URL; they come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the machine's role")
	}
	s := service{region: parsed.Host}
	if s.region == "" || strings.Contains(s.region, ".") || strings.Contains(s.region, ":") || strings.Trim(parsed.Path, "/") != "" || parsed.Fragment != "" {
		return service{}, errors.New("the URL names no region; it looks like ses://eu-central-1")
	}
	for key, values := range parsed.Query() {
		field, known := map[string]*string{"endpoint": &s.endpoint, "profile": &s.profile, "configuration-set": &s.set}[key]
		if !known || len(values) > 1 {
			return service{}, fmt.Errorf("%s=%s is not known; there is endpoint, profile and configuration-set", key, values[0])
		}
		*field = values[0]
	}
	if s.endpoint == "" {
		return s, nil
	}
	at, err := url.Parse(s.endpoint)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" || at.User != nil {
		return service{}, fmt.Errorf("endpoint: %q does not look like https://email.eu-central-1.amazonaws.com", s.endpoint)
	}
	s.loopback = isLoopback(at.Hostname())
	if at.Scheme == "http" && !s.loopback {
		return service{}, fmt.Errorf("endpoint: messages would go to %s in plain text; use https", at.Host)
	}
	return s, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
