package email

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/filigreehq/filigree/services/email/internal/smtp"
)

// URL is a mail server's address. Printed, logged or marshalled it hides its password.
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
		return target{}, fmt.Errorf("%q is neither smtp:// nor smtps://", parsed.Scheme)
	}
	if t.host == "" {
		return target{}, errors.New("the URL names no host")
	}
	if strings.Trim(parsed.Path, "/") != "" || parsed.Fragment != "" {
		return target{}, errors.New("the URL has a path; special characters of a password are written with %, as %2F for /")
	}
	ip := net.ParseIP(t.host)
	t.loopback = t.host == "localhost" || ip != nil && ip.IsLoopback()
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
